"""The outbox, in memory."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from uuid import UUID

from cloud_integrations.domain.identifiers import TenantId
from cloud_integrations.domain.outbox import OutboxEntry
from cloud_integrations.ports.store import AddEntry, DelayEntry, FinishEntry

from .keys import require_active_key
from .tables import Memory, Tables, handles, unless_stale


class Outbox(Memory):
    """Reads and claims for workers that deliver entries of a kind."""

    def claim_entries(self, kind: str, /, *, limit: int, hold: timedelta, in_order: bool = False) -> tuple[OutboxEntry, ...]:
        """Return due entries of *kind*, those that were due first coming first, and hold them."""
        with self._lock:
            now = self._now()
            entries = [entry for entry in self._tables.outbox.values() if entry.kind == kind]
            first: dict[tuple[TenantId, UUID], OutboxEntry] = {}
            for entry in sorted(entries, key=_age):
                first.setdefault((entry.tenant_id, entry.integration_id), entry)
            due = sorted(
                (
                    entry
                    for entry in entries
                    if entry.next_attempt_at <= now and (not in_order or first[entry.tenant_id, entry.integration_id] is entry)
                ),
                key=lambda entry: (entry.next_attempt_at, entry.id),
            )
            claimed = tuple(replace(entry, next_attempt_at=now + hold) for entry in due[:limit])
            self._tables.outbox.update({(entry.tenant_id, entry.id): entry for entry in claimed})
            return claimed

    def count_entries(self, kind: str, /) -> int:
        """Return how many entries of *kind* wait."""
        return sum(entry.kind == kind for entry in list(self._tables.outbox.values()))

    def list_entries(self, tenant_id: TenantId, kind: str, /, *, index_key: str | None = None, limit: int) -> tuple[OutboxEntry, ...]:
        """Return the tenant's entries of *kind* (with one index key), the oldest first."""
        own = (
            entry
            for entry in list(self._tables.outbox.values())
            if (entry.tenant_id, entry.kind) == (tenant_id, kind) and index_key in {None, entry.index_key}
        )
        return tuple(sorted(own, key=_age)[:limit])


def _age(entry: OutboxEntry) -> tuple[datetime, UUID]:
    return entry.created_at, entry.id


@handles(AddEntry)
def add_entry(tables: Tables, change: AddEntry) -> None:
    """Put an entry into the outbox."""
    entry = change.entry
    if entry.key_id is not None:
        require_active_key(tables, entry.tenant_id, entry.key_id)
    unless_stale((entry.tenant_id, entry.id) not in tables.outbox)
    tables.outbox[entry.tenant_id, entry.id] = entry


@handles(FinishEntry)
def finish_entry(tables: Tables, change: FinishEntry) -> None:
    """Delete an entry."""
    tables.outbox.pop((change.tenant_id, change.entry_id), None)


@handles(DelayEntry)
def delay_entry(tables: Tables, change: DelayEntry) -> None:
    """Count a failed attempt and set the next time."""
    entry = tables.outbox.get((change.tenant_id, change.entry_id))
    if entry is not None:
        tables.outbox[change.tenant_id, change.entry_id] = replace(
            entry, attempts=entry.attempts + 1, next_attempt_at=change.next_attempt_at, last_error=change.error
        )
