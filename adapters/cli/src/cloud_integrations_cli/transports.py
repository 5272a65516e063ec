"""How providers are reached: directly or through a proxy, and whose certificates are trusted."""

from __future__ import annotations

import ssl
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager

import httpx

from cloud_integrations import AsyncHttpxTransport, HttpxTransport
from cloud_integrations.errors import ConfigurationError

from .settings import Configuration


@contextmanager
def open_transport(configuration: Configuration, /) -> Generator[HttpxTransport]:
    """Give a transport that heeds `proxy` and `ca_file`, and nothing of the environment.  Raises `ConfigurationError`."""
    context = ssl_context(configuration)
    if configuration.proxy is None:
        yield HttpxTransport(ssl_context=context)
        return
    with httpx.Client(proxy=_proxy(configuration, context), verify=context or _usual(), trust_env=False) as client:
        yield HttpxTransport(client)


@asynccontextmanager
async def open_async_transport(configuration: Configuration, /) -> AsyncGenerator[AsyncHttpxTransport]:
    """Give the awaiting transport; see `open_transport`."""
    context = ssl_context(configuration)
    if configuration.proxy is None:
        yield AsyncHttpxTransport(ssl_context=context)
        return
    async with httpx.AsyncClient(proxy=_proxy(configuration, context), verify=context or _usual(), trust_env=False) as client:
        yield AsyncHttpxTransport(client)


def ssl_context(configuration: Configuration, /) -> ssl.SSLContext | None:
    """Return the usual certificates with those of `ca_file` added; None: the usual ones.  Raises `ConfigurationError`."""
    if configuration.ca_file is None:
        return None
    context = _usual()
    try:
        context.load_verify_locations(configuration.folder / configuration.ca_file)
    except ssl.SSLError:
        raise ConfigurationError(setting="ca_file", problem="holds no certificate in PEM") from None
    except OSError as error:
        raise ConfigurationError(setting="ca_file", problem=f"cannot be read: {error.strerror}") from None
    return context


def _usual() -> ssl.SSLContext:
    return httpx.create_ssl_context(verify=True, trust_env=False)


def _proxy(configuration: Configuration, context: ssl.SSLContext | None) -> httpx.Proxy:
    assert configuration.proxy is not None  # noqa: S101  # for the type checker: both callers have looked
    url = configuration.proxy.reveal()
    return httpx.Proxy(url, ssl_context=(context or _usual()) if url.startswith("https:") else None)
