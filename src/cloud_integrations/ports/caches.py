"""Caches in the memory of this process."""

from __future__ import annotations

from collections.abc import Hashable
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias

from cloud_integrations.domain.audit import Actor
from cloud_integrations.domain.identifiers import TenantId

if TYPE_CHECKING:
    from cloud_integrations.domain.credential import Credential
    from cloud_integrations.domain.freezing import Freeze


class Cache(Protocol):
    """Remembers a limited number of values, each for a limited time."""

    def find(self, key: Hashable, /) -> Any | None:
        """Return the value of *key*; None if there is none, or if its time is over."""
        ...

    def put(self, key: Hashable, value: Any, /, *, seconds: float) -> None:
        """Remember *value* under *key* for *seconds*."""
        ...

    def drop(self, key: Hashable, /) -> None:
        """Forget *key*."""
        ...

    def clear(self) -> None:
        """Forget everything."""
        ...


TenantTokens: TypeAlias = "dict[Hashable, tuple[float, Credential]]"
"""One tenant's tokens: key → (the time on the monotonic clock at which the entry ends, the token)."""


class TokenCache(Protocol):
    """Tokens that may be handed out again without reading the store, by tenant."""

    by_tenant: dict[str, TenantTokens]

    def find(self, tenant_id: str, key: Hashable, /) -> Credential | None:
        """Return the token of *key*; None if there is none, or if its time is over."""
        ...

    def for_tenant(self, tenant_id: str, /) -> TenantTokens:
        """Return the tenant's dictionary of tokens, for `put`.

        Get it before you read the store: if `drop` is called meanwhile, a token that is put into the old dictionary is never found.
        """
        ...

    def put(self, tenant_tokens: TenantTokens, key: Hashable, token: Credential, /, *, seconds: float) -> None:
        """Remember *token* in *tenant_tokens* under *key* for *seconds*."""
        ...

    def drop(self, tenant_id: str, /) -> None:
        """Forget the tenant's tokens."""
        ...

    def clear(self) -> None:
        """Forget everything."""
        ...


class FreezeMemory(Protocol):
    """The freezes that are in force, as they were read last.

    Whatever is in the cache of tokens may be handed out while `until`, on the monotonic clock, is not over.
    """

    active: tuple[Freeze, ...]
    until: float
    changes: int
    """How often `forget` was called."""

    def learn(self, found: tuple[Freeze, ...], /, *, until: float, changes: int) -> bool:
        """Remember what was read, and forget all tokens if it differs from before.

        Return False, and remember nothing, if `forget` was called since there were so many *changes*.
        """
        ...

    def forget(self) -> None:
        """Forget what was read, and all tokens: this process has changed a freeze."""
        ...


Covers = Literal["attempt", "actor", "tenant"]
"""What one audit event stands for until the end of its window.

`attempt`: repetitions of this attempt.  `actor`: every further attempt of this actor.  `tenant`: every further attempt in this tenant.
"""


class DeniedAttempts(Protocol):
    """The denied attempts that were recorded recently, by tenant; each tenant has one window at a time."""

    def admit(self, tenant_id: TenantId, actor: Actor, attempt: Hashable, /) -> Covers | None:
        """Count this attempt, and return what an audit event for it stands for; None: an earlier event of the window covers it."""
        ...

    def withdraw(self, tenant_id: TenantId, actor: Actor, attempt: Hashable, /) -> None:
        """Forget an attempt that was counted but could not be recorded."""
        ...
