"""The operator's own credentials at providers."""

from __future__ import annotations

from typing import Protocol

from cloud_integrations.domain.platform import PlatformCredential


class Platform(Protocol):
    """Gives the operator's own credentials."""

    async def find(self, provider: str, /) -> PlatformCredential | None:
        """Return the credential for the provider with this slug, or None if the operator has configured none.

        Raises `ConfigurationError` if the operator's function fails, or returns something else.
        """
        ...

    def has(self, provider: str, /) -> bool:
        """Return whether the operator has configured a credential for the provider with this slug; nothing is asked for it."""
        ...
