"""The parts that a manager over an engine begins with.

A manager is handed its parts; this file alone chooses some.  It takes them from the front of the package, as a host does, and only when
it is called: importing a manager loads no backend, and an extra that is missing is named.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from cloud_integrations.domain.secret import Secret
from cloud_integrations.ports.cipher import Cipher
from cloud_integrations.ports.key_service import KeyService

if TYPE_CHECKING:
    from sqlalchemy import Engine
    from sqlalchemy.ext.asyncio import AsyncEngine

    from cloud_integrations.ports.catalogue import Providers
    from cloud_integrations.ports.clock import Clock
    from cloud_integrations.ports.store import AsyncStore, Store
    from cloud_integrations.ports.transport import AsyncTransport, Transport

KeysOrText = KeyService | Secret | str | Sequence[Secret | str]
"""A key service, or what a `LocalKeyring` is made of: one entry `kid:base64`, or several, the newest first."""


def store_over(engine: Engine, clock: Clock | None, /) -> Store:
    """Return the store over a blocking engine.  Raises `ConfigurationError` for another one."""
    from cloud_integrations import SqlAlchemyStore  # noqa: PLC0415  # an extra

    return SqlAlchemyStore(engine, clock=clock)


def async_store_over(engine: AsyncEngine | Engine, clock: Clock | None, /) -> AsyncStore:
    """Return the store over an engine of either colour.  Raises `ConfigurationError` for anything else."""
    from cloud_integrations import AsyncSqlAlchemyStore  # noqa: PLC0415  # an extra

    return AsyncSqlAlchemyStore(engine, clock=clock)


def httpx_transport(clock: Clock | None, /) -> Transport:
    """Return a transport over httpx."""
    from cloud_integrations import HttpxTransport  # noqa: PLC0415  # an extra

    return HttpxTransport(clock=clock)


def async_httpx_transport(clock: Clock | None, /) -> AsyncTransport:
    """Return a transport over httpx, awaited."""
    from cloud_integrations import AsyncHttpxTransport  # noqa: PLC0415  # an extra

    return AsyncHttpxTransport(clock=clock)


def aes_gcm() -> Cipher:
    """Return the cipher of the sealing format."""
    from cloud_integrations import AesGcmCipher  # noqa: PLC0415  # loads cryptography

    return AesGcmCipher()


def builtin_providers() -> Providers:
    """Return the providers that come with the library."""
    from cloud_integrations import Catalogue  # noqa: PLC0415  # loads the models of providers

    return Catalogue.builtin()


def key_service_of(keys: KeysOrText, /) -> KeyService:
    """Return a key service as it is, and a keyring of entries.  Raises `ConfigurationError` for an entry that is none."""
    from cloud_integrations import LocalKeyring  # noqa: PLC0415  # loads cryptography

    if not isinstance(keys, str | Secret | Sequence):
        return keys
    # From here on no key is text in a local variable, which a traceback may show.
    entries = [Secret(entry) if isinstance(entry, str) else entry for entry in ([keys] if isinstance(keys, str | Secret) else keys)]
    del keys
    return LocalKeyring(entries)
