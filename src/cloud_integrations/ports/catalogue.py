"""The catalogue of providers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol
from uuid import UUID

if TYPE_CHECKING:
    from cloud_integrations.domain.guides.template import ProviderGuides
    from cloud_integrations.domain.provider import Provider
    from cloud_integrations.protocol.client import OAuthBackend


class Providers(Protocol):
    """A catalogue of providers.  It is in memory, so its methods do not wait."""

    def require(self, provider: str | UUID, /) -> Provider:
        """Return the provider with this slug or UUID (also as text), or raise `ProviderNotFoundError`."""
        ...

    def backend_of(self, provider: Provider, /) -> OAuthBackend:
        """Return the OAuth backend that *provider* names; *provider* must be from this catalogue."""
        ...

    def guides_of(self, provider: Provider, /) -> ProviderGuides | None:
        """Return the setup guides of *provider*, which must be from this catalogue; None if it has none."""
        ...

    def list_providers(self) -> tuple[Provider, ...]:
        """Return every provider, ordered by slug."""
        ...
