"""Freezes."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Self
from uuid import UUID

from cloud_integrations.domain.freezing import Freeze, Selection

from .audit import ActorOut
from .base import Document


@dataclass(slots=True, kw_only=True)
class SelectionOut(Document):
    """The uses of credentials that an incident is about: those that fit everything that is not null."""

    tenant_id: str | None
    provider_id: UUID | None
    application_id: UUID | None
    integration_id: UUID | None
    actor: ActorOut | None

    @classmethod
    def of(cls, selection: Selection, /) -> Self:
        """Return the document of a selection."""
        return cls._shown(selection, actor=None if selection.actor is None else ActorOut.of(selection.actor))


@dataclass(slots=True, kw_only=True)
class FreezeOut(Document):
    """A freeze: what is not handed out, since when, by whom and why."""

    id: UUID
    selection: SelectionOut
    renewals: bool
    reason: str
    begun_at: datetime
    begun_by: ActorOut
    lifted_at: datetime | None
    lifted_by: ActorOut | None
    lift_reason: str | None

    @classmethod
    def of(cls, freeze: Freeze, /) -> Self:
        """Return the document of a freeze."""
        return cls._shown(
            freeze,
            selection=SelectionOut.of(freeze.selection),
            begun_by=ActorOut.of(freeze.begun_by),
            lifted_by=None if freeze.lifted_by is None else ActorOut.of(freeze.lifted_by),
        )
