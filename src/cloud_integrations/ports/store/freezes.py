"""Freezes: changes and reads."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from cloud_integrations.domain.audit import Actor
from cloud_integrations.domain.freezing import Freeze
from cloud_integrations.domain.identifiers import FreezeId

from .damaged_row import DamagedRow


@dataclass(frozen=True, slots=True, kw_only=True)
class AddFreeze:
    """Store a freeze that begins.  `StaleWriteError` if there is one with this id."""

    freeze: Freeze


@dataclass(frozen=True, slots=True, kw_only=True)
class LiftFreeze:
    """Write that a freeze was lifted.  `StaleWriteError` if there is none with this id, or it was lifted before."""

    freeze_id: FreezeId
    lifted_at: datetime
    lifted_by: Actor
    reason: str


class AsyncFreezeStore(Protocol):
    """Reads of freezes."""

    async def list_freezes(self, *, lifted: bool = False) -> tuple[Freeze | DamagedRow, ...]:
        """Return the freezes of all tenants that are in force, the oldest first; with *lifted*, also those that are not any more."""
        ...


class FreezeStore(Protocol):
    """The blocking form of `AsyncFreezeStore`: the same methods, the same promises."""

    def list_freezes(self, *, lifted: bool = False) -> tuple[Freeze | DamagedRow, ...]: ...
