"""Short memory in this process."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any, Protocol

from cloud_integrations.domain.credential import AccessToken


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


Shelf = dict[Hashable, tuple[float, AccessToken]]
"""One tenant's tokens: key → (when it ends on the monotonic clock, token)."""


class TokenCache(Protocol):
    """Tokens that may be handed out again without a look at the store, tenant by tenant."""

    shelves: dict[str, Shelf]

    def find(self, tenant_id: str, key: Hashable, /) -> AccessToken | None:
        """Return a token that still has its life, or None."""
        ...

    def shelf(self, tenant_id: str, /) -> Shelf:
        """Return the tenant's shelf.  Fetch it before reading the store: what is put on a shelf that was dropped meanwhile is not seen."""
        ...

    def put(self, shelf: Shelf, key: Hashable, token: AccessToken, /, *, seconds: float) -> None:
        """Put *token* on *shelf* for *seconds*."""
        ...

    def drop(self, tenant_id: str, /) -> None:
        """Forget the tenant's tokens."""
        ...

    def clear(self) -> None:
        """Forget everything."""
        ...
