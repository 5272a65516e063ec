"""The audit chains, in memory."""

from __future__ import annotations

from dataclasses import replace

from cloud_integrations.domain.audit import EVERY_EVENT, USED, AuditEvent, AuditFilter, AuditHead, AuditRecord, Outcome, UseCount
from cloud_integrations.domain.audit_chain import chained
from cloud_integrations.domain.events import integration_of
from cloud_integrations.domain.identifiers import TenantId
from cloud_integrations.errors import StaleWriteError
from cloud_integrations.ports.store import CutAudit, DamagedRow, HidePerson, Record, StoredCut

from .tables import Memory, Tables, handles, unless_stale


class Audit(Memory):
    """Reads of the audit chain."""

    def list_audit(self, tenant_id: TenantId, /, *, after: int | None = None, limit: int = 200) -> tuple[AuditRecord, ...]:
        """Return the tenant's events with a number above *after*, in order."""
        # Numbers have no gaps, so a record's number is its position in the list, behind those that were removed.
        first = max((after or 0) - self._removed(tenant_id), 0)
        return tuple(self._tables.chains.get(tenant_id, [])[first : first + limit])

    def list_audit_newest(
        self, tenant_id: TenantId, /, *, matching: AuditFilter = EVERY_EVENT, before: int | None = None, limit: int = 200
    ) -> tuple[AuditRecord, ...]:
        """Return the tenant's newest events that *matching* admits, newest first, with a number below *before*."""
        chain = self._tables.chains.get(tenant_id, [])
        older = chain if before is None else chain[: max(before - 1 - self._removed(tenant_id), 0)]
        return tuple([record for record in reversed(older) if matching.admits(record.event)][:limit])

    def list_audit_heads(self, *, after: TenantId | None = None, limit: int = 1_000) -> tuple[AuditHead | DamagedRow, ...]:
        """Return the ends of the chains of all tenants, in the order of their ids."""
        tenants = sorted(tenant_id for tenant_id in list(self._tables.chains) if after is None or tenant_id > after)
        return tuple([head for tenant_id in tenants[:limit] if (head := _head(self._tables, tenant_id)) is not None])

    def find_audit_cut(self, tenant_id: TenantId, /) -> StoredCut | None:
        """Return the statement that stands in place of the tenant's oldest events, or None if none was removed."""
        return self._tables.cuts.get(tenant_id)

    def _removed(self, tenant_id: TenantId) -> int:
        cut = self._tables.cuts.get(tenant_id)
        return 0 if cut is None else cut.seq

    def count_uses(
        self, matching: AuditFilter, /, *, tenant_id: TenantId | None = None, limit: int = 1_000_000
    ) -> tuple[UseCount | DamagedRow, ...]:
        """Return how often each integration was used, in the order of their ids, from the events that *matching* admits."""
        used = replace(matching, action=USED)
        uses: dict[str, list[AuditEvent]] = {}
        with self._lock:
            chains = dict(self._tables.chains) if tenant_id is None else {tenant_id: self._tables.chains.get(tenant_id, [])}
            for chain in chains.values():
                for record in chain:
                    if record.event.outcome is Outcome.SUCCESS and used.admits(record.event):
                        uses.setdefault(record.event.resource, []).append(record.event)
        return tuple([_use_count(resource, uses[resource]) for resource in sorted(uses)][:limit])

    def find_audit_head(self, tenant_id: TenantId, /) -> AuditHead | None:
        """Return the end of the tenant's chain, or None if it has no event."""
        return _head(self._tables, tenant_id)


def _use_count(resource: str, events: list[AuditEvent]) -> UseCount | DamagedRow:
    tenant_id, *others = {event.tenant_id for event in events}
    if others:
        return DamagedRow(table="ci_audit", row=resource, tenant_id=tenant_id)
    times = [event.occurred_at for event in events]
    return UseCount(
        tenant_id=tenant_id,
        integration_id=integration_of(resource),
        records=len(events),
        first_at=min(times),
        last_at=max(times),
    )


@handles(Record)
def record(tables: Tables, change: Record) -> None:
    """Append an event to its tenant's chain."""
    tenant_id = change.event.tenant_id
    tables.chains.setdefault(tenant_id, []).append(chained(change.event, _head(tables, tenant_id)))


@handles(HidePerson)
def _hide_person(tables: Tables, change: HidePerson) -> None:
    tenant_id = change.event.tenant_id
    chain = list(tables.chains.get(tenant_id, ()))
    place = next((place for place, record in enumerate(chain) if (record.seq, record.hash) == (change.seq, change.hash)), None)
    if place is None:
        raise StaleWriteError
    before, hidden = chain[place].event, change.event
    chain[place] = replace(
        chain[place], event=replace(before, actor=replace(before.actor, id=hidden.actor.id), details=hidden.details, salts=hidden.salts)
    )
    # The chains are shared with the tables before this unit of work.
    tables.chains = {**tables.chains, tenant_id: chain}


@handles(CutAudit)
def _cut_audit(tables: Tables, change: CutAudit) -> None:
    cut = change.cut
    before = tables.cuts.get(cut.tenant_id)
    unless_stale((0 if before is None else before.seq) == change.expected)
    tables.cuts[cut.tenant_id] = cut
    tables.chains = {**tables.chains, cut.tenant_id: [record for record in tables.chains.get(cut.tenant_id, ()) if record.seq > cut.seq]}


def _head(tables: Tables, tenant_id: TenantId) -> AuditHead | None:
    chain = tables.chains.get(tenant_id)
    return None if not chain else AuditHead(tenant_id=tenant_id, seq=chain[-1].seq, hash=chain[-1].hash)
