"""Short memory in this process."""

from __future__ import annotations

from collections.abc import Hashable
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias

from cloud_integrations.domain.audit import Actor
from cloud_integrations.domain.identifiers import TenantId

if TYPE_CHECKING:
    from cloud_integrations.domain.credential import Credential


class Cache(Protocol):
    """Remembers values for a while; never more than it was made for."""

    def find(self, key: Hashable, /) -> Any | None:
        """Return the value, or None when there is none or its time is over."""
        ...

    def put(self, key: Hashable, value: Any, /, *, seconds: float) -> None:
        """Remember *value* for *seconds*."""
        ...

    def drop(self, key: Hashable, /) -> None:
        """Forget *key*."""
        ...

    def clear(self) -> None:
        """Forget everything."""
        ...


TenantTokens: TypeAlias = "dict[Hashable, tuple[float, Credential]]"
"""One tenant's tokens: key → (when it ends on the monotonic clock, token)."""


class TokenCache(Protocol):
    """Tokens that may be handed out again without a look at the store, tenant by tenant."""

    by_tenant: dict[str, TenantTokens]

    def find(self, tenant_id: str, key: Hashable, /) -> Credential | None:
        """Return a token that still has its life, or None."""
        ...

    def for_tenant(self, tenant_id: str, /) -> TenantTokens:
        """Return the tenant's shelf.  Fetch it before reading the store: what is put on a shelf that was dropped meanwhile is not seen."""
        ...

    def put(self, tenant_tokens: TenantTokens, key: Hashable, token: Credential, /, *, seconds: float) -> None:
        """Put *token* on *shelf* for *seconds*."""
        ...

    def drop(self, tenant_id: str, /) -> None:
        """Forget the tenant's tokens."""
        ...

    def clear(self) -> None:
        """Forget everything."""
        ...


Covers = Literal["attempt", "actor", "tenant"]
"""What one row speaks for until its window ends: this attempt again, or every further one of this actor, or of the tenant."""


class DeniedAttempts(Protocol):
    """Which denied attempts were recorded lately, tenant by tenant; each tenant has one window at a time."""

    def admit(self, tenant_id: TenantId, actor: Actor, attempt: Hashable, /) -> Covers | None:
        """Say what a row for this attempt speaks for, and count it; None: an earlier row of the window speaks for it."""
        ...

    def withdraw(self, tenant_id: TenantId, actor: Actor, attempt: Hashable, /) -> None:
        """Forget an attempt that was admitted and could not be recorded."""
        ...
