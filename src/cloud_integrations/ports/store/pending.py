"""Pending authorizations: changes, reads, and consumption."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol

from cloud_integrations.domain.identifiers import ProviderId, TenantId
from cloud_integrations.domain.pending import PendingAuthorization


@dataclass(frozen=True, slots=True, kw_only=True)
class AddPending:
    """Store an authorization that begins; delete closed ones of the tenant, and the surplus by `domain.pending.surplus`.

    Setups are counted apart, so that neither they nor other authorizations push the others out.

    `StaleWriteError` if the hash of its state is stored already.
    """

    pending: PendingAuthorization


@dataclass(frozen=True, slots=True, kw_only=True)
class ClosePending:
    """Delete every authorization of this tenant with this provider for this slot: those can no longer be completed."""

    tenant_id: TenantId
    provider_id: ProviderId
    slot: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class BeginPoll:
    """Become the only poller of a device code for the time `hold`.

    The count of its `polling` goes up by one, and `next_at` becomes the store's clock plus `hold`, if the authorization is neither
    consumed nor expired, its count is still `count`, and the store's clock has reached `next_at`.  Otherwise `StaleWriteError`.
    """

    state_hash: bytes
    count: int
    hold: timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class EndPoll:
    """Write how often the provider may be asked, after a poll that brought no tokens.

    `next_at` becomes the store's clock plus `wait`, if the authorization is neither consumed nor expired and its count is still
    `count`, which is the one after `BeginPoll`.  Otherwise `StaleWriteError`.
    """

    state_hash: bytes
    count: int
    interval: timedelta
    wait: timedelta


class AsyncPendingStore(Protocol):
    """Reads and consumption of authorizations that have begun."""

    async def find_pending(self, state_hash: bytes, /) -> PendingAuthorization | None:
        """Return an authorization that is neither consumed nor expired (by the store's clock), or None."""
        ...

    async def find_closed(self, state_hash: bytes, /) -> PendingAuthorization | None:
        """Return an authorization that is consumed or expired (by the store's clock) and not yet deleted, or None."""
        ...

    async def take_pending(self, state_hash: bytes, /) -> PendingAuthorization | None:
        """Consume an authorization by one conditional statement; None if there is none, or another call consumed it."""
        ...

    async def sweep_pending(self, *, limit: int) -> int:
        """Delete up to *limit* expired authorizations, consumed or not, of all tenants; return how many."""
        ...

    async def has_pending(self, tenant_id: TenantId, provider_id: ProviderId, /, *, slot: str = "") -> bool:
        """Return whether an authorization of this tenant with this provider is open for this slot, and waits for a callback."""
        ...


class PendingStore(Protocol):
    """The blocking form of `AsyncPendingStore`: the same methods, the same promises."""

    def find_pending(self, state_hash: bytes, /) -> PendingAuthorization | None: ...

    def find_closed(self, state_hash: bytes, /) -> PendingAuthorization | None: ...

    def take_pending(self, state_hash: bytes, /) -> PendingAuthorization | None: ...

    def sweep_pending(self, *, limit: int) -> int: ...

    def has_pending(self, tenant_id: TenantId, provider_id: ProviderId, /, *, slot: str = "") -> bool: ...
