"""The parts that `over` chooses where the caller gives none.

Only this file chooses parts; elsewhere a manager is given all of them.  It imports them from the front of the package, as a host does,
and only when it is called: importing a manager loads no backend, and the error for a missing extra names the extra.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from cloud_integrations.domain.secret import Secret
from cloud_integrations.ports.cipher import Cipher
from cloud_integrations.ports.key_service import KeyService

if TYPE_CHECKING:
    from ssl import SSLContext

    from sqlalchemy import Engine
    from sqlalchemy.ext.asyncio import AsyncEngine

    from cloud_integrations.ports.catalogue import Providers
    from cloud_integrations.ports.clock import Clock
    from cloud_integrations.ports.store import AsyncStore, Store
    from cloud_integrations.ports.transport import AsyncTransport, Transport

KeysOrText = KeyService | Secret | str | Sequence[Secret | str]
"""A key service, or what a `LocalKeyring` is made of: one text `kid:base64`, or several, the newest first."""


def store_over(engine: Engine, clock: Clock | None, /, *, row_security: bool) -> Store:
    """Return the store over a blocking engine.  Raises `ConfigurationError` for anything else."""
    from cloud_integrations import SqlAlchemyStore  # noqa: PLC0415  # an extra

    return SqlAlchemyStore(engine, clock=clock, row_security=row_security)


def async_store_over(engine: AsyncEngine | Engine, clock: Clock | None, /, *, row_security: bool) -> AsyncStore:
    """Return the awaiting store over an `AsyncEngine` or an `Engine`.  Raises `ConfigurationError` for anything else."""
    from cloud_integrations import AsyncSqlAlchemyStore  # noqa: PLC0415  # an extra

    return AsyncSqlAlchemyStore(engine, clock=clock, row_security=row_security)


def httpx_transport(clock: Clock | None, /) -> Transport:
    """Return the blocking transport over httpx."""
    from cloud_integrations import HttpxTransport  # noqa: PLC0415  # an extra

    return HttpxTransport(clock=clock)


def async_httpx_transport(clock: Clock | None, /) -> AsyncTransport:
    """Return the awaiting transport over httpx."""
    from cloud_integrations import AsyncHttpxTransport  # noqa: PLC0415  # an extra

    return AsyncHttpxTransport(clock=clock)


def tls_context(certificate: Secret | None, trust: Secret | None, /) -> SSLContext:
    """Return a TLS context; see `backends.tls.make_context`."""
    from cloud_integrations.backends.tls import make_context  # noqa: PLC0415  # loads ssl

    return make_context(certificate, trust)


def aes_gcm() -> Cipher:
    """Return the cipher of the sealing format."""
    from cloud_integrations import AesGcmCipher  # noqa: PLC0415  # loads cryptography

    return AesGcmCipher()


def builtin_providers() -> Providers:
    """Return the providers that come with the library."""
    from cloud_integrations import Catalogue  # noqa: PLC0415  # loads the models of providers

    return Catalogue.builtin()


def key_service_of(keys: KeysOrText, /) -> KeyService:
    """Return *keys* if it is a key service, else a `LocalKeyring` of its texts.  Raises `ConfigurationError` for a text of another form."""
    from cloud_integrations import LocalKeyring  # noqa: PLC0415  # loads cryptography

    if not isinstance(keys, str | Secret | Sequence):
        return keys
    # From here on no local variable holds a key as text: a traceback may show local variables.
    entries = [Secret(entry) if isinstance(entry, str) else entry for entry in ([keys] if isinstance(keys, str | Secret) else keys)]
    del keys
    return LocalKeyring(entries)
