"""The audit chain of each tenant."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from cloud_integrations.domain.audit import AuditEvent, AuditHead, AuditRecord
from cloud_integrations.domain.identifiers import TenantId


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """Append an event to its tenant's audit chain; written last, whatever its position among the changes."""

    event: AuditEvent


class AsyncAuditStore(Protocol):
    """Reads of the audit chain."""

    async def list_audit(self, tenant_id: TenantId, /, *, after: int | None = None, limit: int = 200) -> tuple[AuditRecord, ...]:
        """Return the tenant's events in order of their numbers: all, or those with a number above *after*.

        A forged event may have any number.  If an event cannot be read, its record says so (`readable`).
        """
        ...

    async def list_audit_newest(
        self, tenant_id: TenantId, /, *, resource: str | None = None, before: int | None = None, limit: int = 200
    ) -> tuple[AuditRecord, ...]:
        """Return the tenant's newest events (of one resource), newest first, with a number below *before*."""
        ...

    async def find_audit_head(self, tenant_id: TenantId, /) -> AuditHead | None:
        """Return the end of the tenant's chain, or None if it has no event."""
        ...


class AuditStore(Protocol):
    """The blocking form of `AsyncAuditStore`: the same methods, the same promises."""

    def list_audit(self, tenant_id: TenantId, /, *, after: int | None = None, limit: int = 200) -> tuple[AuditRecord, ...]: ...

    def list_audit_newest(
        self, tenant_id: TenantId, /, *, resource: str | None = None, before: int | None = None, limit: int = 200
    ) -> tuple[AuditRecord, ...]: ...

    def find_audit_head(self, tenant_id: TenantId, /) -> AuditHead | None: ...
