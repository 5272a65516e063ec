"""Freezes, in memory."""

from __future__ import annotations

from dataclasses import replace

from cloud_integrations.domain.freezing import Freeze
from cloud_integrations.errors import StaleWriteError
from cloud_integrations.ports.store import AddFreeze, LiftFreeze

from .tables import Memory, Tables, handles, unless_stale


class Freezes(Memory):
    """Reads of freezes."""

    def list_freezes(self, *, lifted: bool = False) -> tuple[Freeze, ...]:
        """Return the freezes that are in force, the oldest first; with *lifted*, also those that are not any more."""
        found = [freeze for freeze in self._tables.freezes.values() if lifted or freeze.lifted_at is None]
        return tuple(sorted(found, key=lambda freeze: (freeze.begun_at, freeze.id)))


@handles(AddFreeze)
def add_freeze(tables: Tables, change: AddFreeze) -> None:
    """Store a freeze that begins."""
    unless_stale(change.freeze.id not in tables.freezes)
    tables.freezes[change.freeze.id] = change.freeze


@handles(LiftFreeze)
def lift_freeze(tables: Tables, change: LiftFreeze) -> None:
    """Write that a freeze was lifted."""
    freeze = tables.freezes.get(change.freeze_id)
    if freeze is None or freeze.lifted_at is not None:
        raise StaleWriteError
    tables.freezes[freeze.id] = replace(freeze, lifted_at=change.lifted_at, lifted_by=change.lifted_by, lift_reason=change.reason)
