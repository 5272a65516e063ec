"""The audit chain of each tenant."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from cloud_integrations.domain.audit import EVERY_EVENT, AuditEvent, AuditFilter, AuditHead, AuditRecord, UseCount
from cloud_integrations.domain.identifiers import TenantId

from .damaged_row import DamagedRow


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """Append an event to its tenant's audit chain; written last, whatever its position among the changes."""

    event: AuditEvent


@dataclass(frozen=True, slots=True, kw_only=True)
class HidePerson:
    """Put *event*, in which pseudonyms stand for persons, in place of the tenant's event with this number and hash.

    Actor id, details and salts are written; everything else of the row stays.  `StaleWriteError` if the row is gone or has another hash.
    """

    seq: int
    hash: bytes
    event: AuditEvent


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredCut:
    """The signed statement that stands in place of a tenant's oldest events, with the number of the last of them."""

    tenant_id: TenantId
    seq: int
    note: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CutAudit:
    """Store *cut* and remove the tenant's events up to and with its number.

    `StaleWriteError` unless the tenant's events began after *expected* (0: none was removed yet).
    """

    cut: StoredCut
    expected: int


class AsyncAuditStore(Protocol):
    """Reads of the audit chain."""

    async def list_audit(self, tenant_id: TenantId, /, *, after: int | None = None, limit: int = 200) -> tuple[AuditRecord, ...]:
        """Return the tenant's events in order of their numbers: all, or those with a number above *after*.

        A forged event may have any number.  If an event cannot be read, its record says so (`readable`).
        """
        ...

    async def list_audit_newest(
        self, tenant_id: TenantId, /, *, matching: AuditFilter = EVERY_EVENT, before: int | None = None, limit: int = 200
    ) -> tuple[AuditRecord, ...]:
        """Return the tenant's newest events that *matching* admits, newest first, with a number below *before*."""
        ...

    async def list_audit_heads(self, *, after: TenantId | None = None, limit: int = 1_000) -> tuple[AuditHead | DamagedRow, ...]:
        """Return the ends of the chains of all tenants, in the order of their ids: all, or those with an id above *after*."""
        ...

    async def find_audit_cut(self, tenant_id: TenantId, /) -> StoredCut | None:
        """Return the statement that stands in place of the tenant's oldest events, or None if none was removed."""
        ...

    async def count_uses(
        self, matching: AuditFilter, /, *, tenant_id: TenantId | None = None, limit: int = 1_000_000
    ) -> tuple[UseCount | DamagedRow, ...]:
        """Return how often each integration was used, in the order of their ids, from the events that *matching* admits.

        Only successful uses count; the action of *matching* is not looked at.  For operators only: without *tenant_id*, the uses
        of all tenants are counted.  If events of several tenants name one integration, a `DamagedRow` is in its place.
        """
        ...

    async def find_audit_head(self, tenant_id: TenantId, /) -> AuditHead | None:
        """Return the end of the tenant's chain, or None if it has no event."""
        ...


class AuditStore(Protocol):
    """The blocking form of `AsyncAuditStore`: the same methods, the same promises."""

    def list_audit(self, tenant_id: TenantId, /, *, after: int | None = None, limit: int = 200) -> tuple[AuditRecord, ...]: ...

    def list_audit_newest(
        self, tenant_id: TenantId, /, *, matching: AuditFilter = EVERY_EVENT, before: int | None = None, limit: int = 200
    ) -> tuple[AuditRecord, ...]: ...

    def list_audit_heads(self, *, after: TenantId | None = None, limit: int = 1_000) -> tuple[AuditHead | DamagedRow, ...]: ...

    def find_audit_cut(self, tenant_id: TenantId, /) -> StoredCut | None: ...

    def count_uses(
        self, matching: AuditFilter, /, *, tenant_id: TenantId | None = None, limit: int = 1_000_000
    ) -> tuple[UseCount | DamagedRow, ...]: ...

    def find_audit_head(self, tenant_id: TenantId, /) -> AuditHead | None: ...
