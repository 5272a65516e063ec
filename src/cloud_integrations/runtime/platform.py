"""The operator's own credentials at providers, as a manager was given them."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from cloud_integrations.domain.interruption import is_interruption
from cloud_integrations.domain.platform import PlatformCredential, PlatformSource
from cloud_integrations.domain.secret import Secret
from cloud_integrations.errors import ConfigurationError


class PlatformCredentials:
    """Credentials by provider slug.  A function runs in a thread if *in_thread* is set, because it may ask a server."""

    def __init__(self, sources: Mapping[str, PlatformSource], /, *, in_thread: bool) -> None:
        if not isinstance(sources, Mapping):
            raise ConfigurationError(setting="platform", problem="must be a mapping of provider slugs to PlatformCredential values")
        self._sources = dict(sources)
        self._in_thread = in_thread
        for slug, source in self._sources.items():
            if not callable(source):
                _require(slug, source)

    async def find(self, provider: str, /) -> PlatformCredential | None:
        """See `Platform.find`."""
        source = self._sources.get(provider)
        if source is None or isinstance(source, PlatformCredential):
            return source
        try:
            found = await asyncio.to_thread(source) if self._in_thread else source()
        except ConfigurationError:
            raise
        except Exception as error:  # the host's own code
            if is_interruption(error):
                raise
            # Its text is not repeated, because it may hold a secret.
            problem = f"could not be read: {type(error).__name__}"
            raise ConfigurationError(setting=f"platform.{provider}", problem=problem) from None
        return _require(provider, found)

    def has(self, provider: str, /) -> bool:
        """See `Platform.has`."""
        return provider in self._sources


def _require(slug: str, given: object) -> PlatformCredential:
    usable = isinstance(given, PlatformCredential) and bool(given.parts) and all(isinstance(part, Secret) for part in given.parts.values())
    if not usable:
        problem = "must be a PlatformCredential with secret parts, or a function that returns one"
        raise ConfigurationError(setting=f"platform.{slug}", problem=problem)
    assert isinstance(given, PlatformCredential)  # noqa: S101  # for the type checker
    return given
