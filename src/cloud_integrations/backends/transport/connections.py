"""Connections to checked addresses.

A host is resolved once, every address in the result is checked, and the connection is made to a checked address; TLS still verifies
the host's name.  Works with httpcore, or with httpcore2 if only that is installed.
"""

from __future__ import annotations

import asyncio
import math
import socket
import ssl
import time
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext, suppress
from contextvars import ContextVar
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any, Final, cast

from cloud_integrations.ports.transport import Interruption
from cloud_integrations.protocol.egress import Reach

if TYPE_CHECKING:
    import httpcore
    import httpx
else:
    try:
        import httpcore
        import httpx
    except ImportError:  # only its successor is installed, which has the same names
        import httpcore2 as httpcore
        import httpx2 as httpx

_MOST_ATTEMPTS: Final = 4

ends_at: ContextVar[float] = ContextVar("ends_at", default=math.inf)
"""When the current exchange must end, in seconds of the monotonic clock."""
interruption: ContextVar[Interruption | None] = ContextVar("interruption", default=None)
"""What may end the current exchange from another thread; None: nothing."""


class AddressRefusedError(httpcore.ConnectError):
    """A host has an address to which no connection may be made, or a name that cannot be resolved because it cannot be encoded."""


_SocketOption = Any  # httpcore's alias for what setsockopt takes is not public


class CheckedBackend(httpcore.NetworkBackend):
    """Connects only to addresses that *reach* allows."""

    def __init__(self, reach: Reach) -> None:
        self._reach = reach
        self._backend = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[_SocketOption] | None = None,
    ) -> httpcore.NetworkStream:
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except OSError:
            raise httpcore.ConnectError from None
        except UnicodeError:
            raise AddressRefusedError from None
        for address, within in _attempts(_allowed(found, self._reach), timeout):
            with suppress(httpcore.ConnectError, httpcore.ConnectTimeout):
                stream = self._backend.connect_tcp(address, port, _left(within), local_address, socket_options)
                return _TimedStream(stream)
        raise httpcore.ConnectError


class _TimedStream(httpcore.NetworkStream):
    """A connection whose reads and writes end at the exchange's deadline, so that a slow answer cannot exceed it."""

    def __init__(self, stream: httpcore.NetworkStream) -> None:
        self._stream = stream

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        with self._interruptible():
            return self._stream.read(max_bytes, _left(timeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        with self._interruptible():
            self._stream.write(buffer, _left(timeout))

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        return _TimedStream(self._stream.start_tls(ssl_context, server_hostname, _left(timeout)))

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)

    def _interruptible(self) -> AbstractContextManager[object]:
        by = interruption.get()
        return nullcontext() if by is None else by.of(self._stream.get_extra_info("socket"))


class AsyncCheckedBackend(httpcore.AsyncNetworkBackend):
    """The awaiting `CheckedBackend`; the deadline is the caller's `asyncio.timeout`."""

    def __init__(self, reach: Reach) -> None:
        self._reach = reach
        self._backend = cast(httpcore.AsyncNetworkBackend, httpcore.AnyIOBackend())

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109  # httpcore's signature
        local_address: str | None = None,
        socket_options: Iterable[_SocketOption] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        try:
            found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except OSError:
            raise httpcore.ConnectError from None
        except UnicodeError:
            raise AddressRefusedError from None
        for address, within in _attempts(_allowed(found, self._reach), timeout):
            with suppress(httpcore.ConnectError, httpcore.ConnectTimeout):
                return await self._backend.connect_tcp(address, port, within, local_address, socket_options)
        raise httpcore.ConnectError


def _allowed(found: Iterable[tuple[Any, ...]], reach: Reach) -> list[str]:
    """Return the addresses in the resolver's order.  Raises `AddressRefusedError` if one of them is not allowed."""
    addresses = list(dict.fromkeys(str(entry[4][0]) for entry in found))
    if not all(reach.allows(ip_address(address)) for address in addresses):
        raise AddressRefusedError
    return addresses


def _attempts(addresses: list[str], timeout: float | None) -> Iterator[tuple[str, float | None]]:
    """Yield the first few addresses, each with an equal share of *timeout*."""
    tried = addresses[:_MOST_ATTEMPTS]
    for address in tried:
        yield address, timeout and timeout / len(tried)


def _left(timeout: float | None) -> float:
    """Return *timeout*, but at most the time left for the exchange, and at least 1 ms, because 0 would make a socket non-blocking."""
    left = max(ends_at.get() - time.monotonic(), 0.001)
    return left if timeout is None else min(timeout, left)


class PoolTransport(httpx.BaseTransport):
    """Sends httpx's requests through a connection pool of httpcore."""

    def __init__(self, pool: httpcore.ConnectionPool) -> None:
        self._pool = pool

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        response = self._pool.handle_request(_to_core(request))
        stream: Any = response.stream
        return httpx.Response(response.status, headers=response.headers, stream=_Parts(stream), extensions=response.extensions)

    def close(self) -> None:
        self._pool.close()


class _Parts(httpx.SyncByteStream):
    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def __iter__(self) -> Iterator[bytes]:
        yield from self._stream

    def close(self) -> None:
        self._stream.close()


class AsyncPoolTransport(httpx.AsyncBaseTransport):
    """The awaiting `PoolTransport`."""

    def __init__(self, pool: httpcore.AsyncConnectionPool) -> None:
        self._pool = pool

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        response = await self._pool.handle_async_request(_to_core(request))
        stream: Any = response.stream
        return httpx.Response(response.status, headers=response.headers, stream=_AsyncParts(stream), extensions=response.extensions)

    async def aclose(self) -> None:
        await self._pool.aclose()


class _AsyncParts(httpx.AsyncByteStream):
    def __init__(self, stream: Any) -> None:
        self._stream = stream

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for part in self._stream:
            yield part

    async def aclose(self) -> None:
        await self._stream.aclose()


def _to_core(request: httpx.Request) -> httpcore.Request:
    url = httpcore.URL(scheme=request.url.raw_scheme, host=request.url.raw_host, port=request.url.port, target=request.url.raw_path)
    return httpcore.Request(request.method, url, headers=request.headers.raw, content=request.stream, extensions=request.extensions)
