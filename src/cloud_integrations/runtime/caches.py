"""Caches with a limit and a lifetime; reading a token takes no lock."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field
from itertools import islice
from threading import Lock
from typing import TYPE_CHECKING, Any

from cloud_integrations.domain.audit import Actor
from cloud_integrations.domain.identifiers import TenantId
from cloud_integrations.ports.caches import Covers, TenantTokens, TokenCache
from cloud_integrations.ports.clock import Clock

if TYPE_CHECKING:
    from cloud_integrations.domain.credential import Credential
    from cloud_integrations.domain.freezing import Freeze


def _trim(entries: dict[Any, Any], limit: int) -> None:
    # Oldest first: a plain dict keeps insertion order, and single operations on it are atomic.
    if len(entries) > limit:
        for key in list(islice(entries, len(entries) - limit)):
            entries.pop(key, None)


class TtlCache:
    """Keeps the newest *limit* values, each for its own time."""

    def __init__(self, clock: Clock, /, *, limit: int) -> None:
        self._monotonic = clock.monotonic
        self._limit = limit
        self._entries: dict[Hashable, tuple[float, Any]] = {}

    def __repr__(self) -> str:
        return f"TtlCache({len(self._entries)} of {self._limit})"

    def find(self, key: Hashable, /) -> Any | None:
        """Return the value, or None if there is none or its time is over."""
        entry = self._entries.get(key)
        if entry is None:
            return None
        if entry[0] <= self._monotonic():
            self._entries.pop(key, None)
            return None
        return entry[1]

    def put(self, key: Hashable, value: Any, /, *, seconds: float) -> None:
        """Keep *value* for *seconds*."""
        self._entries.pop(key, None)
        self._entries[key] = (self._monotonic() + seconds, value)
        _trim(self._entries, self._limit)

    def drop(self, key: Hashable, /) -> None:
        """Forget *key*."""
        self._entries.pop(key, None)

    def clear(self) -> None:
        """Forget everything."""
        self._entries.clear()


class TenantTokenCache:
    """Keeps tokens by tenant: finding one takes two look-ups and a comparison, dropping a tenant's takes one `pop`."""

    def __init__(self, clock: Clock, /, *, tenants: int = 10_000, per_tenant: int = 1_000) -> None:
        self._monotonic = clock.monotonic
        self._tenants = tenants
        self._per_tenant = per_tenant
        self.by_tenant: dict[str, TenantTokens] = {}

    def __repr__(self) -> str:
        return f"TenantTokenCache({len(self.by_tenant)} tenants)"

    def find(self, tenant_id: str, key: Hashable, /) -> Credential | None:
        """Return the token if its time in the cache is not over, otherwise None."""
        tenant_tokens = self.by_tenant.get(tenant_id)
        if tenant_tokens is None:
            return None
        entry = tenant_tokens.get(key)
        return entry[1] if entry is not None and entry[0] > self._monotonic() else None

    def for_tenant(self, tenant_id: str, /) -> TenantTokens:
        """Return the dict for the tenant's tokens, to be passed to `put`.

        After a `drop`, tokens that are put into an earlier dict are not found any more.
        """
        tenant_tokens = self.by_tenant.setdefault(tenant_id, {})
        _trim(self.by_tenant, self._tenants)
        return tenant_tokens

    def put(self, tenant_tokens: TenantTokens, key: Hashable, token: Credential, /, *, seconds: float) -> None:
        """Keep *token* in *tenant_tokens* for *seconds*."""
        tenant_tokens.pop(key, None)
        tenant_tokens[key] = (self._monotonic() + seconds, token)
        _trim(tenant_tokens, self._per_tenant)

    def drop(self, tenant_id: str, /) -> None:
        """Forget the tenant's tokens."""
        self.by_tenant.pop(tenant_id, None)

    def clear(self) -> None:
        """Forget everything."""
        self.by_tenant.clear()


class RecentFreezes:
    """The freezes that are in force, as they were read last; *tokens* are forgotten whenever they change."""

    def __init__(self, tokens: TokenCache, /) -> None:
        self.active: tuple[Freeze, ...] = ()
        self.until = float("-inf")
        self.changes = 0
        self._tokens = tokens
        self._lock = Lock()

    def __repr__(self) -> str:
        return f"RecentFreezes({len(self.active)})"

    def learn(self, found: tuple[Freeze, ...], /, *, until: float, changes: int) -> bool:
        """Remember what was read; return False, and remember nothing, if it was read before the last change in this process."""
        with self._lock:
            if changes != self.changes:
                return False
            if found != self.active:
                # In this order: who sees that the list is new finds no token from before it.
                self.active = found
                self._tokens.clear()
            self.until = until
            return True

    def forget(self) -> None:
        """Forget what was read, and all tokens."""
        with self._lock:
            self.changes += 1
            self.until = float("-inf")
            self._tokens.clear()


@dataclass(slots=True)
class _Window:
    ends: float
    recorded: set[tuple[Actor, Hashable]] = field(default_factory=set)


class DenialWindows:
    """Limits how many denied attempts are recorded per actor and per tenant, because any stranger can cause them."""

    WINDOW = 60.0
    """The length of a window, in seconds."""
    PER_ACTOR = 5
    """The largest number of records for one actor, in one tenant and window."""
    PER_TENANT = 50
    """The largest number for all actors together: a stranger may use many identities."""

    def __init__(self, clock: Clock, /, *, tenants: int = 10_000) -> None:
        self._monotonic = clock.monotonic
        self._tenants = tenants
        self._windows: dict[TenantId, _Window] = {}
        self._lock = Lock()

    def __repr__(self) -> str:
        return f"DenialWindows({len(self._windows)} tenants)"

    def admit(self, tenant_id: TenantId, actor: Actor, attempt: Hashable, /) -> Covers | None:
        """Count an attempt and return what its record covers; None if an earlier record of the window covers it.

        The record covers this attempt, or, if it is the last one allowed, all further attempts of the actor or in the tenant.
        """
        with self._lock:
            window = self._windows.get(tenant_id)
            if window is None or window.ends <= self._monotonic():
                self._windows.pop(tenant_id, None)
                window = self._windows[tenant_id] = _Window(self._monotonic() + self.WINDOW)
                _trim(self._windows, self._tenants)
            of_actor = sum(1 for other, _ in window.recorded if other == actor)
            if (actor, attempt) in window.recorded or of_actor == self.PER_ACTOR or len(window.recorded) == self.PER_TENANT:
                return None
            window.recorded.add((actor, attempt))
            if len(window.recorded) == self.PER_TENANT:
                return "tenant"
            return "actor" if of_actor + 1 == self.PER_ACTOR else "attempt"

    def withdraw(self, tenant_id: TenantId, actor: Actor, attempt: Hashable, /) -> None:
        """Uncount an attempt that was admitted but could not be recorded."""
        with self._lock:
            window = self._windows.get(tenant_id)
            if window is not None:
                window.recorded.discard((actor, attempt))
