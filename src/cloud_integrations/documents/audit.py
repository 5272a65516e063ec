"""The audit log."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Self
from uuid import UUID

from cloud_integrations.domain.audit import Actor, AuditRecord, Outcome

from .base import Document


@dataclass(slots=True, kw_only=True)
class ActorOut(Document):
    """Who acted."""

    type: str
    id: str

    @classmethod
    def of(cls, actor: Actor, /) -> Self:
        """Return the document of an actor."""
        return cls._shown(actor)


@dataclass(slots=True, kw_only=True)
class AuditOut(Document):
    """One event of a tenant's audit log, with its number and its hash in the chain."""

    seq: int
    event_id: UUID
    occurred_at: datetime
    actor: ActorOut
    action: str
    resource: str
    outcome: Outcome
    reason: str | None
    request_id: str | None
    provider_id: UUID | None
    context_id: UUID | None
    details: dict[str, str]
    hash: str

    @classmethod
    def of(cls, record: AuditRecord, /) -> Self:
        """Return the document of a record."""
        actor = ActorOut.of(record.event.actor)
        return cls._shown(record.event, seq=record.seq, actor=actor, details=dict(record.event.details), hash=record.hash.hex())
