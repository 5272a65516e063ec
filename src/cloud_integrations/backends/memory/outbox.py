"""The outbox, in memory."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from heapq import nsmallest
from uuid import UUID

from cloud_integrations.domain.identifiers import TenantId
from cloud_integrations.domain.outbox import OutboxEntry
from cloud_integrations.domain.work_report import OutboxCount
from cloud_integrations.errors import IntegrationNotFoundError
from cloud_integrations.ports.store import AddEntry, DelayEntry, FinishEntry

from .integrations import require
from .keys import require_active_key
from .tables import Memory, Tables, handles, unless_stale


class Outbox(Memory):
    """Reads and claims for workers that deliver entries of a kind."""

    def claim_entries(
        self, kind: str, /, *, limit: int, hold: timedelta, in_order: bool = False, index_key: str | None = None
    ) -> tuple[OutboxEntry, ...]:
        """Return due entries of *kind*, those that were due first coming first, and hold them."""
        with self._lock:
            now = self._now()
            entries = [entry for entry in self._tables.outbox.values() if entry.kind == kind and index_key in {None, entry.index_key}]
            first: dict[object, OutboxEntry] = {}
            for entry in entries if in_order else ():
                first[_line(entry)] = min(entry, first.get(_line(entry), entry), key=_age)
            due = nsmallest(
                limit,
                (entry for entry in entries if entry.next_attempt_at <= now and (not in_order or first[_line(entry)] is entry)),
                key=lambda entry: (entry.next_attempt_at, entry.id),
            )
            claimed = tuple(replace(entry, next_attempt_at=now + hold) for entry in due)
            self._tables.outbox.update({(entry.tenant_id, entry.id): entry for entry in claimed})
            return claimed

    def list_due_keys(self, kind: str, /, *, limit: int) -> tuple[str, ...]:
        """Return index keys of due entries of *kind*, that of the entry that was due first coming first."""
        now = self._now()
        due: dict[str, datetime] = {}
        for entry in list(self._tables.outbox.values()):
            if entry.kind == kind and entry.index_key is not None and entry.next_attempt_at <= now:
                due[entry.index_key] = min(entry.next_attempt_at, due.get(entry.index_key, now))
        return tuple(sorted(due, key=lambda key: (due[key], key))[:limit])

    def count_entries(self, kind: str, /) -> int:
        """Return how many entries of *kind* wait."""
        return sum(entry.kind == kind for entry in list(self._tables.outbox.values()))

    def count_outbox(self) -> tuple[OutboxCount, ...]:
        """Return how many entries wait, by kind."""
        by_kind: dict[str, list[OutboxEntry]] = {}
        for entry in list(self._tables.outbox.values()):
            by_kind.setdefault(entry.kind, []).append(entry)
        return tuple(_counted(kind, entries) for kind, entries in sorted(by_kind.items()))

    def list_entries(
        self, tenant_id: TenantId | None, kind: str, /, *, index_key: str | None = None, limit: int
    ) -> tuple[OutboxEntry, ...]:
        """Return entries of *kind* (with one index key) of the tenant, or of all (None), the oldest first."""
        own = (
            entry
            for entry in list(self._tables.outbox.values())
            if entry.kind == kind and tenant_id in {None, entry.tenant_id} and index_key in {None, entry.index_key}
        )
        return tuple(sorted(own, key=_age)[:limit])


def _counted(kind: str, entries: list[OutboxEntry]) -> OutboxCount:
    return OutboxCount(
        kind=kind,
        count=len(entries),
        since=min(entry.created_at for entry in entries),
        due_since=min(entry.next_attempt_at for entry in entries),
    )


def _age(entry: OutboxEntry) -> tuple[datetime, UUID]:
    return entry.created_at, entry.id


def _line(entry: OutboxEntry) -> object:
    """Return what entries have in common that wait for each other; one about no integration waits for none."""
    return entry.id if entry.integration_id is None else (entry.tenant_id, entry.integration_id, entry.index_key)


@handles(AddEntry)
def add_entry(tables: Tables, change: AddEntry) -> None:
    """Put an entry into the outbox."""
    entry = change.entry
    if entry.key_id is not None:
        require_active_key(tables, entry.tenant_id, entry.key_id)
    if change.expected_generation is not None:
        if entry.integration_id is None:
            raise IntegrationNotFoundError
        stored = require(tables, entry.tenant_id, entry.integration_id)
        unless_stale(stored.credential.generation == change.expected_generation)
    unless_stale((entry.tenant_id, entry.id) not in tables.outbox)
    if change.follows and entry.integration_id is not None:
        line = (entry.tenant_id, entry.integration_id)
        before = [other.created_at for other in tables.outbox.values() if (other.tenant_id, other.integration_id) == line]
        entry = replace(entry, created_at=max([entry.created_at, *(at + timedelta.resolution for at in before)]))
    tables.outbox[entry.tenant_id, entry.id] = entry


@handles(FinishEntry)
def finish_entry(tables: Tables, change: FinishEntry) -> None:
    """Delete an entry."""
    found = tables.outbox.pop((change.tenant_id, change.entry_id), None)
    unless_stale(change.expected_facts is None or (found is not None and found.facts == change.expected_facts))


@handles(DelayEntry)
def delay_entry(tables: Tables, change: DelayEntry) -> None:
    """Count a failed attempt and set the next time."""
    entry = tables.outbox.get((change.tenant_id, change.entry_id))
    if entry is not None:
        tables.outbox[change.tenant_id, change.entry_id] = replace(
            entry, attempts=entry.attempts + 1, next_attempt_at=change.next_attempt_at, last_error=change.error
        )
