"""Requests sent with httpx or httpx2: one exchange, no redirect, no retry, nothing kept.

The connections of our own clients are opened by a network backend that resolves a host once, checks every
address that comes back, and connects to a checked one; TLS still proves the host's name.
"""

from __future__ import annotations

import asyncio
import logging
import math
import os
import socket
import ssl
import time
import zlib
from collections.abc import AsyncIterator, Callable, Generator, Iterable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from datetime import UTC, datetime, timedelta
from http.cookiejar import CookieJar, DefaultCookiePolicy
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any, Final, cast

from cloud_integrations.backends.foreign_errors import alone
from cloud_integrations.errors import (
    AnswerLostError,
    CloudIntegrationsError,
    ConfigurationError,
    ProviderUnavailableError,
    ProviderUnreachableError,
)
from cloud_integrations.ports.clock import Clock
from cloud_integrations.ports.conformance import require_clock
from cloud_integrations.protocol.egress import EndpointRefusedError, Reach, read_target
from cloud_integrations.protocol.http import HttpRequest, HttpResponse

if TYPE_CHECKING:
    import httpcore
    import httpx
    import httpx2
else:
    try:
        import httpcore
        import httpx
    except ImportError:  # its successor alone is installed, which has the same names
        import httpcore2 as httpcore
        import httpx2 as httpx

CONNECT_WITHIN: Final = timedelta(seconds=3)
MAX_HEADERS: Final = 64 * 1024
"""The longest header block that is accepted, in bytes: cookies and policies of 20 KB come beside tokens."""
MAX_CONNECTIONS: Final = 100
KEEP_ALIVE: Final = timedelta(seconds=5)
"""Short: a request on a connection that the provider is about to close would have an unknown outcome."""

_MOST_ATTEMPTS: Final = 4
_GZIP_OR_ZLIB: Final = zlib.MAX_WBITS | 32
_PARTS: Final = ("connection", "http11", "http2", "proxy", "socks")
_LOGGERS: Final = ("httpx", "httpx2", *(f"{core}.{part}" for core in ("httpcore", "httpcore2") for part in _PARTS))
# By name, because httpx, httpcore and httpx2 each have classes of these names.
_NEVER_SENT: Final = {"ConnectError", "ConnectTimeout", "PoolTimeout", "UnsupportedProtocol", "InvalidURL"}
_CLOSED: Final = {"RemoteProtocolError", "ReadError", "WriteError"}
"""The other side has closed the connection, so nothing can come any more."""

_quiet: ContextVar[bool] = ContextVar("_quiet", default=False)
_ends_at: ContextVar[float] = ContextVar("_ends_at", default=math.inf)


class HttpxTransport:
    """A `Transport` over httpx, or over httpx2 where that alone is installed.

    Safe to share between threads, and usable in the child after a fork.

    Without *client*, it opens its own connections, under the rules of `protocol.egress`; *ssl_context*
    replaces the certificates that are trusted.  A *client* of the host, of httpx or of httpx2, stays the host's: its
    proxies, certificates and addresses are the host's responsibility, URLs are still checked, the total deadline is
    checked between the parts of an answer, and `close` leaves it open.
    The system's resolver ends a name lookup in its own time; the awaiting transport does not wait longer than the deadline.
    """

    def __init__(
        self,
        client: httpx.Client | httpx2.Client | None = None,
        *,
        clock: Clock | None = None,
        ssl_context: ssl.SSLContext | None = None,
    ) -> None:
        _require_client(client, enters="__enter__", other="__aenter__")
        require_clock(clock)
        self._given = cast("httpx.Client | None", client)
        self._now: Callable[[], datetime] = _wall_clock if clock is None else clock.now
        self._ssl_context = ssl_context
        self._own: dict[tuple[int, Reach], httpx.Client] = {}
        _install_filter()

    def send(self, request: HttpRequest, /, *, deadline: timedelta) -> HttpResponse:
        """Send *request*; see `ports.transport.Transport`.

        Raises `ProviderUnavailableError` with the reason `answer_too_long` for an answer
        that came and cannot be used, and `ProviderUnreachableError` with `endpoint_not_allowed` for a URL or
        an address that may not be asked.
        """
        problem: CloudIntegrationsError
        with _exchange(deadline) as ends_at:
            try:
                return self._send(request, deadline=deadline, ends_at=ends_at)
            except CloudIntegrationsError as error:
                problem = error
            except Exception as error:  # noqa: BLE001  # whatever httpx lets out may hold the request: none of it leaves this file
                problem = _in_our_words(error, request)
        raise alone(problem)

    def close(self) -> None:
        """Close the connections that this transport opened."""
        for (process, _), client in self._own.items():
            if process == os.getpid():
                client.close()
        self._own.clear()

    def _send(self, request: HttpRequest, /, *, deadline: timedelta, ends_at: float) -> HttpResponse:
        client = self._client_for(_reach_of(request))
        sent_at = self._now()
        response = client.send(_build(client, request, deadline), stream=True, auth=None, follow_redirects=False)
        try:
            body = _Body(request)
            _check_headers(response, request)
            for part in response.iter_raw():
                body.add(part)
                if time.monotonic() >= ends_at:
                    raise AnswerLostError(provider_id=request.provider_id)
        finally:
            response.close()
        return _read(response, body.whole(response.headers.get("content-encoding", "")), sent_at)

    def _client_for(self, reach: Reach) -> httpx.Client:
        if self._given is not None:
            return self._given
        # A client for each reach: a connection opened on the operator's word never serves a tenant's.
        key = (os.getpid(), reach)
        if key not in self._own:
            pool = httpcore.ConnectionPool(
                ssl_context=self._ssl_context or _certificates(),
                max_connections=MAX_CONNECTIONS,
                keepalive_expiry=KEEP_ALIVE.total_seconds(),
                network_backend=_CheckedBackend(reach),
            )
            self._own.setdefault(key, httpx.Client(transport=_PoolTransport(pool), trust_env=False, cookies=_no_cookies()))
        return self._own[key]


class AsyncHttpxTransport:
    """An `AsyncTransport` over httpx; see `HttpxTransport`.  It may be used from one event loop after another."""

    def __init__(
        self,
        client: httpx.AsyncClient | httpx2.AsyncClient | None = None,
        *,
        clock: Clock | None = None,
        ssl_context: ssl.SSLContext | None = None,
    ) -> None:
        _require_client(client, enters="__aenter__", other="__enter__")
        require_clock(clock)
        self._given = cast("httpx.AsyncClient | None", client)
        self._now: Callable[[], datetime] = _wall_clock if clock is None else clock.now
        self._ssl_context = ssl_context
        self._own: dict[Reach, httpx.AsyncClient] = {}
        self._home: tuple[int, asyncio.AbstractEventLoop] | None = None
        _install_filter()

    async def send(self, request: HttpRequest, /, *, deadline: timedelta) -> HttpResponse:
        """Send *request*; see `HttpxTransport.send`."""
        problem: CloudIntegrationsError
        with _exchange(deadline):
            try:
                async with asyncio.timeout(deadline.total_seconds()):
                    return await self._send(request, deadline=deadline)
            except CloudIntegrationsError as error:
                problem = error
            except Exception as error:  # noqa: BLE001  # as in the blocking transport
                problem = _in_our_words(error, request)
        raise alone(problem)

    async def close(self) -> None:
        """Close the connections that this transport opened in the running event loop."""
        if self._home == _home():
            for client in self._own.values():
                await client.aclose()
        self._own.clear()

    async def _send(self, request: HttpRequest, /, *, deadline: timedelta) -> HttpResponse:
        client = self._client_for(_reach_of(request))
        sent_at = self._now()
        response = await client.send(_build(client, request, deadline), stream=True, auth=None, follow_redirects=False)
        try:
            body = _Body(request)
            _check_headers(response, request)
            async for part in response.aiter_raw():
                body.add(part)
        finally:
            await response.aclose()
        return _read(response, body.whole(response.headers.get("content-encoding", "")), sent_at)

    def _client_for(self, reach: Reach) -> httpx.AsyncClient:
        if self._given is not None:
            return self._given
        if self._home != _home():
            # Connections belong to the process and the loop that opened them; closing them here could reach into another's.
            self._own = {}
            self._home = _home()
        if reach not in self._own:
            pool = httpcore.AsyncConnectionPool(
                ssl_context=self._ssl_context or _certificates(),
                max_connections=MAX_CONNECTIONS,
                keepalive_expiry=KEEP_ALIVE.total_seconds(),
                network_backend=_AsyncCheckedBackend(reach),
            )
            self._own[reach] = httpx.AsyncClient(transport=_AsyncPoolTransport(pool), trust_env=False, cookies=_no_cookies())
        return self._own[reach]


def _require_client(client: object, /, *, enters: str, other: str) -> None:
    # Told by how it is entered: a client may be of httpx or of httpx2, and a host may have both.
    if isinstance(client, type) or (hasattr(client, other) and not hasattr(client, enters)):
        raise ConfigurationError(
            setting="client", problem="must be a Client for HttpxTransport, and an AsyncClient for AsyncHttpxTransport, not a class"
        )


def _wall_clock() -> datetime:
    return datetime.now(UTC)


class _QuietFilter(logging.Filter):
    """Drops what the HTTP libraries log about our exchanges: URLs and header values.  Other users of httpx keep their lines."""

    def filter(self, record: logging.LogRecord) -> bool:  # noqa: ARG002  # logging's signature
        return not _quiet.get()


_FILTER: Final = _QuietFilter()


def _install_filter() -> None:
    for name in _LOGGERS:
        logging.getLogger(name).addFilter(_FILTER)


@contextmanager
def _exchange(deadline: timedelta) -> Generator[float]:
    ends_at = time.monotonic() + deadline.total_seconds()
    quiet, ends = _quiet.set(True), _ends_at.set(ends_at)
    try:
        yield ends_at
    finally:
        _ends_at.reset(ends)
        _quiet.reset(quiet)


def _home() -> tuple[int, asyncio.AbstractEventLoop]:
    return os.getpid(), asyncio.get_running_loop()


def _certificates() -> ssl.SSLContext:
    return httpx.create_ssl_context(verify=True, trust_env=False)


def _no_cookies() -> CookieJar:
    return CookieJar(DefaultCookiePolicy(allowed_domains=[]))


def _reach_of(request: HttpRequest) -> Reach:
    reach = read_target(request.url, loopback=request.loopback, private_host=request.private_host).reach
    try:
        # Some names look like names and have no form to be asked in: labels that begin with xn-- and decode to nothing (RFC 5891 §5.4).
        _ = httpx.URL(request.url).host
    except (httpx.InvalidURL, ValueError):
        raise EndpointRefusedError from None
    return reach


def _build(client: httpx.Client | httpx.AsyncClient, request: HttpRequest, deadline: timedelta) -> httpx.Request:
    total = deadline.total_seconds()
    connect = min(CONNECT_WITHIN.total_seconds(), total)
    # An answer may take as long as there is time: what comes after a shorter limit of our own would be lost.
    timeout = (connect, total, total, connect)
    # A compressed answer could be a small body that becomes a huge one.
    headers = {"Accept-Encoding": "identity", **request.headers}
    built = client.build_request(request.method, request.url, headers=headers, content=request.body, timeout=timeout)
    built.headers.pop("cookie", None)
    return built


def _in_our_words(error: Exception, request: HttpRequest) -> ProviderUnavailableError:
    if isinstance(error, EndpointRefusedError | _AddressRefusedError):
        return ProviderUnreachableError(provider_id=request.provider_id, reason="endpoint_not_allowed")
    if _NEVER_SENT & {kind.__name__ for kind in type(error).__mro__}:
        return ProviderUnreachableError(provider_id=request.provider_id)
    closed = bool(_CLOSED & {kind.__name__ for kind in type(error).__mro__})
    return AnswerLostError(provider_id=request.provider_id, connection_closed=closed)


def _check_headers(response: httpx.Response, request: HttpRequest) -> None:
    if sum(len(name) + len(value) + 4 for name, value in response.headers.raw) > MAX_HEADERS:
        raise ProviderUnavailableError(provider_id=request.provider_id, reason="answer_too_long")


class _Body:
    """Gathers an answer and refuses to grow past what the request allows."""

    def __init__(self, request: HttpRequest) -> None:
        self._provider_id = request.provider_id
        self._limit = request.max_body
        self._parts = bytearray()

    def add(self, part: bytes) -> None:
        self._parts += part
        self._check(len(self._parts))

    def whole(self, encoding: str) -> bytes:
        body = bytes(self._parts)
        encoding = encoding.strip().lower()
        if not body or encoding in {"", "identity"}:
            return body
        # It was asked not to, but an answer to a refresh is too precious to throw away.
        for wbits in (_GZIP_OR_ZLIB, -zlib.MAX_WBITS) if encoding == "deflate" else (_GZIP_OR_ZLIB,):
            unpacker = zlib.decompressobj(wbits=wbits)
            try:
                unpacked = unpacker.decompress(body, self._limit + 1)
            except zlib.error:
                continue
            self._check(len(unpacked))
            if unpacker.eof:
                return unpacked
            if wbits == _GZIP_OR_ZLIB:
                raise AnswerLostError(provider_id=self._provider_id)
        # An encoding that is not known here, or the name of one with a body that was never packed: the reader sees what it is.
        return body

    def _check(self, length: int) -> None:
        if length > self._limit:
            raise ProviderUnavailableError(provider_id=self._provider_id, reason="answer_too_long")


def _read(response: httpx.Response, body: bytes, sent_at: datetime) -> HttpResponse:
    headers = {name.lower(): value for name, value in response.headers.items()}
    return HttpResponse(status=response.status_code, headers=headers, body=body, sent_at=sent_at)


# Opening connections


class _AddressRefusedError(httpcore.ConnectError):
    """A host has an address that may not be connected to, or a name that the resolver cannot be asked for."""


_SocketOption = Any  # httpcore's alias for what setsockopt takes is not public


class _CheckedBackend(httpcore.NetworkBackend):
    """Connects to addresses that *reach* allows."""

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
            raise _AddressRefusedError from None
        for address, within in _attempts(_allowed(found, self._reach), timeout):
            with suppress(httpcore.ConnectError, httpcore.ConnectTimeout):
                stream = self._backend.connect_tcp(address, port, _left(within), local_address, socket_options)
                return _TimedStream(stream)
        raise httpcore.ConnectError


class _TimedStream(httpcore.NetworkStream):
    """A connection whose reads and writes end when the exchange must: a slow drip is cut."""

    def __init__(self, stream: httpcore.NetworkStream) -> None:
        self._stream = stream

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max_bytes, _left(timeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._stream.write(buffer, _left(timeout))

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        return _TimedStream(self._stream.start_tls(ssl_context, server_hostname, _left(timeout)))

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


class _AsyncCheckedBackend(httpcore.AsyncNetworkBackend):
    """The awaiting `_CheckedBackend`; the deadline is the caller's `asyncio.timeout`."""

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
            raise _AddressRefusedError from None
        for address, within in _attempts(_allowed(found, self._reach), timeout):
            with suppress(httpcore.ConnectError, httpcore.ConnectTimeout):
                return await self._backend.connect_tcp(address, port, within, local_address, socket_options)
        raise httpcore.ConnectError


def _allowed(found: Iterable[tuple[Any, ...]], reach: Reach) -> list[str]:
    """Return the addresses, best first, or refuse the host when one of them is not allowed."""
    addresses = list(dict.fromkeys(str(entry[4][0]) for entry in found))
    if not all(reach.allows(ip_address(address)) for address in addresses):
        raise _AddressRefusedError
    return addresses


def _attempts(addresses: list[str], timeout: float | None) -> Iterator[tuple[str, float | None]]:
    """Share the time between the first few addresses."""
    tried = addresses[:_MOST_ATTEMPTS]
    for address in tried:
        yield address, timeout and timeout / len(tried)


def _left(timeout: float | None) -> float:
    """Cut *timeout* to what is left of the exchange; a socket needs a little more than nothing."""
    left = max(_ends_at.get() - time.monotonic(), 0.001)
    return left if timeout is None else min(timeout, left)


# Between httpx and the pool


class _PoolTransport(httpx.BaseTransport):
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


class _AsyncPoolTransport(httpx.AsyncBaseTransport):
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
