"""Sending requests with httpx or httpx2: one exchange, without redirects, retries or cookies."""

from __future__ import annotations

import asyncio
import logging
import os
import ssl
import time
import zlib
from collections.abc import Callable, Generator, Iterable
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import TYPE_CHECKING, Final, cast

from cloud_integrations.backends.foreign_errors import alone
from cloud_integrations.backends.log_filter import filter_loggers, quiet
from cloud_integrations.backends.tls import copy_authorities, make_context
from cloud_integrations.domain.interruption import is_interruption
from cloud_integrations.errors import (
    AnswerLostError,
    CloudIntegrationsError,
    ConfigurationError,
    ProviderUnavailableError,
)
from cloud_integrations.ports.clock import Clock, require_clock
from cloud_integrations.ports.transport import Interruption
from cloud_integrations.protocol.egress import EndpointRefusedError, Reach, read_target
from cloud_integrations.protocol.http import HttpRequest, HttpResponse, StreamedResponse

from . import connections
from .connections import AsyncCheckedBackend, AsyncPoolTransport, CheckedBackend, PoolTransport
from .failures import in_our_words
from .streaming import CONNECT_WITHIN, build_streamed, parts_of

if TYPE_CHECKING:
    import httpcore
    import httpx
    import httpx2
else:
    try:
        import httpcore
        import httpx
    except ImportError:  # only its successor is installed, which has the same names
        import httpcore2 as httpcore
        import httpx2 as httpx

MAX_HEADERS: Final = 64 * 1024
"""The longest accepted block of headers, in bytes; answers with tokens have cookies and policies of up to 20 KB."""
MAX_CONNECTIONS: Final = 100
KEEP_ALIVE: Final = timedelta(seconds=5)
"""Short, because a request on a connection that the provider is just closing has an unknown outcome."""

_GZIP_OR_ZLIB: Final = zlib.MAX_WBITS | 32
_PARTS: Final = ("connection", "http11", "http2", "proxy", "socks")
_LOGGERS: Final = ("httpx", "httpx2", *(f"{core}.{part}" for core in ("httpcore", "httpcore2") for part in _PARTS))


class HttpxTransport:
    """A `Transport` over httpx, or over httpx2 if only that is installed.

    Safe to share between threads, and usable in the child after a fork.

    Without *client*, it opens its own connections under the rules of `protocol.egress`; *ssl_context* replaces the trusted
    certificates.  A *client* of httpx or httpx2 belongs to the host, which is responsible for its proxies, certificates and
    addresses and closes it; URLs are still checked, and the total deadline is checked between the parts of an answer.
    A request with a client certificate, or with a tenant's own authority, has a connection of its own, which is then closed; with a
    *client* it raises `ConfigurationError`, and so does a request to a server that a tenant named, unless the operator listed it.
    The system's resolver may take longer than the deadline for a name; the awaiting transport stops waiting at the deadline.
    *clock* replaces the wall clock, for tests.  Raises `ConfigurationError` for a *client* of the wrong kind.
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
        filter_loggers(_LOGGERS)
        self._given = cast("httpx.Client | None", client)
        self._now: Callable[[], datetime] = _wall_clock if clock is None else clock.now
        self._ssl_context = ssl_context
        self._own: dict[tuple[int, Reach], httpx.Client] = {}

    def send(self, request: HttpRequest, /, *, deadline: timedelta) -> HttpResponse:
        """Send *request* and return the answer; see `ports.transport.Transport`.

        Raises `ProviderUnreachableError` if the request was not sent, with the reason `endpoint_not_allowed` for a URL or an address
        that is not allowed, and `certificate_refused` for a server whose certificate is not trusted; `AnswerLostError` if no answer
        came; `ProviderUnavailableError` with the reason `answer_too_long` for an answer beyond the limits.
        """
        problem: Exception
        with _exchange(deadline) as ends_at:
            try:
                return self._send(request, deadline=deadline, ends_at=ends_at)
            except CloudIntegrationsError as error:
                problem = error
            except Exception as error:  # noqa: BLE001  # whatever httpx lets out may hold the request: none of it leaves this file
                problem = error.with_traceback(None) if is_interruption(error) else in_our_words(error, request)
        raise alone(problem)

    @contextmanager
    def stream(
        self,
        request: HttpRequest,
        body: bytes | Iterable[bytes],
        /,
        *,
        deadline: timedelta,
        idle: timedelta,
        interruption: Interruption | None = None,
    ) -> Generator[StreamedResponse]:
        """Send *request* with *body*, and give the answer while it comes; see `ports.transport.StreamingTransport`.

        Raises as `send`.  A *client* of the host's is not interrupted: its exchanges end at *idle*.
        """
        problem: CloudIntegrationsError
        with _exchange(deadline, interruption), ExitStack() as opened:
            try:
                answer = self._open(opened, request, body, idle=idle)
            except CloudIntegrationsError as error:
                problem = error
            except Exception as error:  # noqa: BLE001  # as in `send`
                problem = in_our_words(error, request)
            else:
                yield answer
                return
        raise alone(problem)

    def close(self) -> None:
        """Close the connections that this transport opened."""
        for (process, _), client in self._own.items():
            if process == os.getpid():
                client.close()
        self._own.clear()

    def _send(self, request: HttpRequest, /, *, deadline: timedelta, ends_at: float) -> HttpResponse:
        reach = _reach_of(request, self._given)
        if request.certificate is None and request.trust is None:
            return self._exchange(self._client_for(reach), request, deadline=deadline, ends_at=ends_at)
        with self._client_of_its_own(request, reach) as client:
            return self._exchange(client, request, deadline=deadline, ends_at=ends_at)

    def _exchange(self, client: httpx.Client, request: HttpRequest, /, *, deadline: timedelta, ends_at: float) -> HttpResponse:
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

    def _open(self, opened: ExitStack, request: HttpRequest, body: bytes | Iterable[bytes], /, *, idle: timedelta) -> StreamedResponse:
        reach = _reach_of(request, self._given)
        alone_in_use = request.certificate is not None or request.trust is not None
        client = opened.enter_context(self._client_of_its_own(request, reach)) if alone_in_use else self._client_for(reach)
        response = client.send(build_streamed(request, body, idle), stream=True, auth=None, follow_redirects=False)
        opened.callback(response.close)
        _check_headers(response, request)
        return StreamedResponse(status=response.status_code, headers=tuple(response.headers.raw), parts=parts_of(response, request))

    def _client_for(self, reach: Reach) -> httpx.Client:
        if self._given is not None:
            return self._given
        # One client for each reach: a connection that only the operator's settings allow is never used for a tenant's address.
        key = (os.getpid(), reach)
        if key not in self._own:
            pool = httpcore.ConnectionPool(
                ssl_context=self._ssl_context or _certificates(),
                max_connections=MAX_CONNECTIONS,
                keepalive_expiry=KEEP_ALIVE.total_seconds(),
                network_backend=CheckedBackend(reach),
            )
            self._own.setdefault(key, httpx.Client(transport=PoolTransport(pool), trust_env=False, cookies=_no_cookies()))
        return self._own[key]

    def _client_of_its_own(self, request: HttpRequest, reach: Reach) -> httpx.Client:
        """Return a client for one request: a connection that shows a tenant's certificate carries no other tenant's request."""
        pool = httpcore.ConnectionPool(
            ssl_context=_context_for(request, self._given, self._ssl_context), max_connections=1, network_backend=CheckedBackend(reach)
        )
        return httpx.Client(transport=PoolTransport(pool), trust_env=False, cookies=_no_cookies())


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
        filter_loggers(_LOGGERS)
        self._given = cast("httpx.AsyncClient | None", client)
        self._now: Callable[[], datetime] = _wall_clock if clock is None else clock.now
        self._ssl_context = ssl_context
        self._own: dict[Reach, httpx.AsyncClient] = {}
        self._home: tuple[int, asyncio.AbstractEventLoop] | None = None

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
                problem = in_our_words(error, request)
        raise alone(problem)

    async def close(self) -> None:
        """Close the connections that this transport opened in the running event loop."""
        if self._home == _home():
            for client in self._own.values():
                await client.aclose()
        self._own.clear()

    async def _send(self, request: HttpRequest, /, *, deadline: timedelta) -> HttpResponse:
        reach = _reach_of(request, self._given)
        if request.certificate is None and request.trust is None:
            return await self._exchange(self._client_for(reach), request, deadline=deadline)
        async with self._client_of_its_own(request, reach) as client:
            return await self._exchange(client, request, deadline=deadline)

    async def _exchange(self, client: httpx.AsyncClient, request: HttpRequest, /, *, deadline: timedelta) -> HttpResponse:
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
            # Connections belong to the process and the loop that opened them, so the old ones are not closed from here.
            self._own = {}
            self._home = _home()
        if reach not in self._own:
            pool = httpcore.AsyncConnectionPool(
                ssl_context=self._ssl_context or _certificates(),
                max_connections=MAX_CONNECTIONS,
                keepalive_expiry=KEEP_ALIVE.total_seconds(),
                network_backend=AsyncCheckedBackend(reach),
            )
            self._own[reach] = httpx.AsyncClient(transport=AsyncPoolTransport(pool), trust_env=False, cookies=_no_cookies())
        return self._own[reach]

    def _client_of_its_own(self, request: HttpRequest, reach: Reach) -> httpx.AsyncClient:
        pool = httpcore.AsyncConnectionPool(
            ssl_context=_context_for(request, self._given, self._ssl_context), max_connections=1, network_backend=AsyncCheckedBackend(reach)
        )
        return httpx.AsyncClient(transport=AsyncPoolTransport(pool), trust_env=False, cookies=_no_cookies())


def _require_client(client: object, /, *, enters: str, other: str) -> None:
    # Checked by its context-manager methods: a client may be of httpx or of httpx2, and both may be installed.
    if isinstance(client, type) or (hasattr(client, other) and not hasattr(client, enters)):
        raise ConfigurationError(
            setting="client", problem="must be a Client for HttpxTransport, and an AsyncClient for AsyncHttpxTransport, not a class"
        )


def _wall_clock() -> datetime:
    return datetime.now(UTC)


@contextmanager
def _exchange(deadline: timedelta, interruption: Interruption | None = None) -> Generator[float]:
    ends_at = time.monotonic() + deadline.total_seconds()
    ends = connections.ends_at.set(ends_at)
    interrupted = connections.interruption.set(interruption)
    try:
        # httpx logs URLs and header values; in other threads and tasks its logs are not filtered.
        with quiet(below=logging.CRITICAL + 1):
            yield ends_at
    finally:
        connections.interruption.reset(interrupted)
        connections.ends_at.reset(ends)


def _home() -> tuple[int, asyncio.AbstractEventLoop]:
    return os.getpid(), asyncio.get_running_loop()


def _certificates() -> ssl.SSLContext:
    return httpx.create_ssl_context(verify=True, trust_env=False)


def _context_for(request: HttpRequest, given: object, usual: ssl.SSLContext | None) -> ssl.SSLContext:
    """Return the TLS context of a request that shows a client certificate or trusts a tenant's authority."""
    if given is not None:
        raise ConfigurationError(
            setting="client",
            problem="cannot show a tenant's certificate or trust a tenant's authority; leave it out, and connections are opened here",
        )
    return make_context(request.certificate, request.trust, usual=_certificates if usual is None else partial(copy_authorities, usual))


def _no_cookies() -> CookieJar:
    return CookieJar(DefaultCookiePolicy(allowed_domains=[]))


def _reach_of(request: HttpRequest, given: object) -> Reach:
    if given is not None and request.tenant_server and not (request.private_host or request.loopback):
        raise ConfigurationError(
            setting="client",
            problem="does not check addresses, so it asks no server that a tenant names; leave it out, or list the server as private",
        )
    allowances = {"loopback": request.loopback, "private_host": request.private_host, "tenant_server": request.tenant_server}
    reach = read_target(request.url, **allowances).reach
    try:
        # Some host names cannot be resolved: those with labels that begin with xn-- and are not valid (RFC 5891 §5.4).
        _ = httpx.URL(request.url).host
    except (httpx.InvalidURL, ValueError):
        raise EndpointRefusedError from None
    return reach


def _build(client: httpx.Client | httpx.AsyncClient, request: HttpRequest, deadline: timedelta) -> httpx.Request:
    total = deadline.total_seconds()
    connect = min(CONNECT_WITHIN.total_seconds(), total)
    # Reading may take the whole deadline: with a shorter limit, a late answer would be lost.
    timeout = (connect, total, total, connect)
    # Compression is not asked for, because a small compressed body can expand to a huge one.
    headers = {"Accept-Encoding": "identity", **request.headers}
    built = client.build_request(request.method, request.url, headers=headers, content=request.body, timeout=timeout)
    built.headers.pop("cookie", None)
    return built


def _check_headers(response: httpx.Response, request: HttpRequest) -> None:
    if sum(len(name) + len(value) + 4 for name, value in response.headers.raw) > MAX_HEADERS:
        raise ProviderUnavailableError(provider_id=request.provider_id, reason="answer_too_long")


class _Body:
    """Collects the body of an answer, up to the limit of its request."""

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
        # Compression was not asked for, but the answer to a refresh may have the only copy of a token, so it is unpacked.
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
        # The encoding is not known here, or the body is not compressed despite the header: the body is returned as it came.
        return body

    def _check(self, length: int) -> None:
        if length > self._limit:
            raise ProviderUnavailableError(provider_id=self._provider_id, reason="answer_too_long")


def _read(response: httpx.Response, body: bytes, sent_at: datetime) -> HttpResponse:
    headers = {name.lower(): value for name, value in response.headers.items()}
    return HttpResponse(status=response.status_code, headers=headers, body=body, sent_at=sent_at)
