"""Which providers there are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol
from uuid import UUID

if TYPE_CHECKING:
    from cloud_integrations.domain.provider import Provider
    from cloud_integrations.protocol.client import OAuthBackend


class Providers(Protocol):
    """A catalogue of providers; a value in memory, so it is never waited for."""

    def require(self, provider: str | UUID, /) -> Provider:
        """Return the provider with this slug or UUID (also as text), or raise `ProviderNotFoundError`."""
        ...

    def backend_of(self, provider: Provider, /) -> OAuthBackend:
        """Return the OAuth backend that *provider*, which is one of these, names."""
        ...

    def list_providers(self) -> tuple[Provider, ...]:
        """Return every provider, ordered by slug."""
        ...
