"""The audit chains, in memory."""

from __future__ import annotations

from cloud_integrations.domain.audit import AuditHead, AuditRecord, chained
from cloud_integrations.domain.identifiers import TenantId
from cloud_integrations.ports.store import Record

from .tables import Memory, Tables, handles


class Audit(Memory):
    """Reads of the audit chain."""

    def list_audit(self, tenant_id: TenantId, /, *, after: int | None = None, limit: int = 200) -> tuple[AuditRecord, ...]:
        """Return the tenant's events with a number above *after*, in order."""
        # Numbers have no gaps, so a record's number is its position in the list.
        first = max(after or 0, 0)
        return tuple(self._tables.chains.get(tenant_id, [])[first : first + limit])

    def list_audit_newest(
        self, tenant_id: TenantId, /, *, resource: str | None = None, before: int | None = None, limit: int = 200
    ) -> tuple[AuditRecord, ...]:
        """Return the tenant's newest events (of one resource), newest first, with a number below *before*."""
        chain = self._tables.chains.get(tenant_id, [])
        older = chain if before is None else chain[: max(before - 1, 0)]
        return tuple([record for record in reversed(older) if resource in {None, record.event.resource}][:limit])

    def find_audit_head(self, tenant_id: TenantId, /) -> AuditHead | None:
        """Return the end of the tenant's chain, or None if it has no event."""
        return _head(self._tables, tenant_id)


@handles(Record)
def record(tables: Tables, change: Record) -> None:
    """Append an event to its tenant's chain."""
    tenant_id = change.event.tenant_id
    tables.chains.setdefault(tenant_id, []).append(chained(change.event, _head(tables, tenant_id)))


def _head(tables: Tables, tenant_id: TenantId) -> AuditHead | None:
    chain = tables.chains.get(tenant_id)
    return None if not chain else AuditHead(tenant_id=tenant_id, seq=chain[-1].seq, hash=chain[-1].hash)
