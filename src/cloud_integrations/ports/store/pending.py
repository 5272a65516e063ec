"""Pending authorizations: changes, reads, and consumption."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from cloud_integrations.domain.identifiers import ProviderId, TenantId
from cloud_integrations.domain.pending import PendingAuthorization


@dataclass(frozen=True, slots=True, kw_only=True)
class AddPending:
    """Store an authorization that begins; delete closed ones of the tenant, and the surplus by `domain.pending.surplus`.

    `StaleWriteError` if the hash of its state is stored already.
    """

    pending: PendingAuthorization


@dataclass(frozen=True, slots=True, kw_only=True)
class ClosePending:
    """Delete every authorization of this tenant with this provider: those that began earlier can no longer be completed (OAU-029)."""

    tenant_id: TenantId
    provider_id: ProviderId


class AsyncPendingStore(Protocol):
    """Reads and consumption of authorizations that have begun."""

    async def find_pending(self, state_hash: bytes, /) -> PendingAuthorization | None:
        """Return an authorization that is neither consumed nor expired (by the store's clock), or None."""
        ...

    async def take_pending(self, state_hash: bytes, /) -> PendingAuthorization | None:
        """Consume an authorization by one conditional statement; None if there is none, or another call consumed it (OAU-015)."""
        ...

    async def sweep_pending(self, *, limit: int) -> int:
        """Delete up to *limit* expired authorizations, consumed or not, of all tenants; return how many."""
        ...

    async def has_pending(self, tenant_id: TenantId, provider_id: ProviderId, /) -> bool:
        """Return whether an authorization of this tenant with this provider is open."""
        ...


class PendingStore(Protocol):
    """The blocking form of `AsyncPendingStore`: the same methods, the same promises."""

    def find_pending(self, state_hash: bytes, /) -> PendingAuthorization | None: ...

    def take_pending(self, state_hash: bytes, /) -> PendingAuthorization | None: ...

    def sweep_pending(self, *, limit: int) -> int: ...

    def has_pending(self, tenant_id: TenantId, provider_id: ProviderId, /) -> bool: ...
