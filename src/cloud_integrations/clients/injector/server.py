"""The injecting proxy: a server on loopback that one child may use, and that opens no connection which it does not read.

It ends TLS itself, with a certificate of the run's own authority, so each request is looked at.  There is no tunnel past it.
"""

from __future__ import annotations

import base64
import hmac
import logging
import re
import secrets
import socket
import socketserver
import ssl
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import Any, Final, cast

from cloud_integrations.errors import CloudIntegrationsError, SessionRefusal
from cloud_integrations.ports.transport import StreamingTransport
from cloud_integrations.protocol.egress import LOOPBACK_HOSTS

from .authority import RunAuthority
from .exchange import CutError, Exchange, error_answer
from .session import SessionInjector
from .wire import HEAD_WITHIN, Body, Gone, Head, Reader, RequestRefusedError, body_of, malformed, read_head, send_json

_log = logging.getLogger("cloud_integrations")

MOST_AT_ONCE: Final = 64
"""The most requests at one time."""
USER: Final = "session"
_LINGER: Final = 1.0
"""How long a child may take to read a refusal, in seconds, while what it still sends is thrown away."""
_AUTHORITY: Final = r"(?:[A-Za-z0-9._-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])"
_CONNECT: Final = re.compile(rf"({_AUTHORITY}):([0-9]{{1,5}})")
_HOST: Final = re.compile(rf"({_AUTHORITY})(?::([0-9]{{1,5}}))?")
_ABSOLUTE: Final = re.compile(rf"(https?)://{_HOST.pattern}(/.*)?", re.IGNORECASE)
_NEVER: Final = frozenset({"TRACE", "CONNECT"})
_PASSWORD: Final = 407
_OF_SERVERS: Final = 500
_USUAL_PORTS: Final = {"http": "80", "https": "443"}


class Connections:
    """Connections in use, all of which can be shut down at once; an `Interruption`."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._used: set[socket.socket] = set()
        self._ended = False

    @contextmanager
    def of(self, connection: socket.socket, /) -> Iterator[None]:
        """Let *connection* be shut down while the context is open.  Raises `OSError` once all of them were."""
        with self._lock:
            if self._ended:
                raise ConnectionAbortedError
            self._used.add(connection)
        try:
            yield
        finally:
            with self._lock:
                self._used.discard(connection)

    def end(self) -> None:
        """Shut all of them down; a thread that waits for one goes on at once."""
        with self._lock:
            self._ended = True
            for connection in self._used:
                with suppress(OSError):
                    # Not the method of `SSLSocket`, which takes its state away from the thread that uses it.
                    socket.socket.shutdown(connection, socket.SHUT_RDWR)


class ProxyServer(socketserver.ThreadingTCPServer):
    """The proxy of one run, for the child that shows the password in `url`; *life* is how long the run may last."""

    request_queue_size = 64
    daemon_threads = False

    def __init__(self, injector: SessionInjector, transport: StreamingTransport, authority: RunAuthority, /, *, life: timedelta) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        shown = f"{USER}:{secrets.token_urlsafe(32)}"
        self.url = f"http://{shown}@127.0.0.1:{self.server_address[1]}"
        self.connections = Connections()
        self._expected = b"Basic " + base64.b64encode(shown.encode())
        self.injector = injector
        self.authority = authority
        self._transport = transport
        self._ends_at = time.monotonic() + life.total_seconds()
        self._slots = threading.BoundedSemaphore(MOST_AT_ONCE)
        self._strangers = threading.Semaphore(1)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Answer in a thread, if there is one left."""
        if not self._slots.acquire(blocking=False):
            with suppress(OSError):
                request.settimeout(_LINGER)
                send_json(request, 503, {"code": "proxy/busy", "message": "too many requests at once"}, {"Retry-After": "1"})
            self.shutdown_request(request)
            return
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Answer one request."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._slots.release()

    def handle_error(self, request: Any, client_address: Any) -> None:  # as the standard library calls it
        """Say nothing: whatever can be said has been said where it happened."""

    def shows_password(self, head: Head, /) -> bool:
        """Return whether a request comes from the child."""
        shown = head.values("proxy-authorization")
        return len(shown) == 1 and hmac.compare_digest(shown[0].encode("latin-1"), self._expected)

    def exchange(self, head: Head, url: str, body: Body, /) -> Exchange:
        """Return the exchange of one request."""
        left = timedelta(seconds=max(0.0, self._ends_at - time.monotonic()))
        return Exchange(
            injector=self.injector, transport=self._transport, interruption=self.connections, head=head, url=url, body=body, deadline=left
        )

    def record(self, reason: SessionRefusal, host: str | None, http_method: str | None, /, *, of_child: bool) -> None:
        """Record a refusal; of what others tried only the first one, so that they cannot fill the audit log."""
        if of_child or self._strangers.acquire(blocking=False):
            self.injector.record(reason, host, http_method)


class _Handler(socketserver.BaseRequestHandler):
    """One connection, and the one request on it."""

    def setup(self) -> None:
        self._proxy = cast(ProxyServer, self.server)
        self.is_child = False
        self.host: str | None = None
        self.http_method: str | None = None

    def handle(self) -> None:
        with suppress(OSError), self._proxy.connections.of(self.request), self._answering(self.request):
            reader = Reader(self.request)
            head = read_head(reader)
            if not self._proxy.shows_password(head):
                challenge = {"Proxy-Authenticate": 'Basic realm="cloud-integrations"'}
                raise RequestRefusedError(_PASSWORD, "password", "this proxy is for another process", challenge)
            self.is_child = True
            if head.method == "CONNECT":
                self._end_tls(reader, head)
            else:
                self._answer(self.request, reader, head, *_absolute(head.target))

    def _end_tls(self, reader: Reader, head: Head) -> None:
        target = _CONNECT.fullmatch(head.target)
        if target is None or body_of(reader, head).length != 0 or reader.has_more:
            raise malformed("CONNECT names no server, or more than a server")
        authority = _authority_of("https", target[1], target[2])
        if [_authority(value, "https") for value in head.values("host")] not in ([], [authority]):
            raise malformed("the header Host names another server")
        self.host = authority
        self._proxy.injector.require_host(authority)
        context = self._proxy.authority.context_for(target[1].lower().strip("[]"))
        self.request.settimeout(HEAD_WITHIN)
        self.request.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
        with context.wrap_socket(self.request, server_side=True) as secured, self._proxy.connections.of(secured), self._answering(secured):
            inner = Reader(secured)
            asked = read_head(inner)
            if not asked.target.startswith("/"):
                raise malformed("the request names no path")
            self._answer(secured, inner, asked, f"https://{authority}{asked.target}", authority)

    def _answer(self, connection: socket.socket, reader: Reader, head: Head, url: str, authority: str) -> None:
        self.host, self.http_method = authority, head.method
        scheme = url.partition(":")[0]
        if "#" in url or [_authority(value, scheme) for value in head.values("host")] != [authority]:
            raise malformed("the header Host names another server")
        if head.method in _NEVER or head.values("upgrade"):
            raise malformed("this proxy passes on neither TRACE, CONNECT nor another protocol")
        self._proxy.exchange(head, url, body_of(reader, head)).answer(connection)

    @contextmanager
    def _answering(self, connection: socket.socket) -> Iterator[None]:
        try:
            yield
        except RequestRefusedError as refused:
            document: dict[str, object] = {"code": "proxy/refused", "reason": refused.reason, "message": refused.message}
            _tell(connection, refused.status, document, refused.headers)
            if refused.status < _OF_SERVERS:
                self._proxy.record(
                    "password" if refused.status == _PASSWORD else "request", self.host, self.http_method, of_child=self.is_child
                )
        except CloudIntegrationsError as error:
            status, document, headers = error_answer(error)
            _tell(connection, status, document, headers)
            if status == _OF_SERVERS:
                _log.warning("the injecting proxy cannot send a request: %s", error)
        except (Gone, CutError, OSError):
            return
        except Exception as error:  # noqa: BLE001  # its text may be of a request
            _log.warning("the injecting proxy did not answer a request: %s", type(error).__name__)
        _linger(connection)


def _absolute(target: str) -> tuple[str, str]:
    """Return the URL to which a request is sent that names the whole *target*, and the server that it names.

    What a child sends to the proxy as http goes on as https, but for a simulated provider.
    """
    found = _ABSOLUTE.fullmatch(target)
    if found is None:
        raise malformed("a request to this proxy names a whole URL")
    scheme, host = found[1].lower(), found[2].lower()
    authority = _authority_of(scheme, host, found[3])
    sent_by = scheme if host.strip("[]") in LOOPBACK_HOSTS else "https"
    return f"{sent_by}://{authority}{found[4] or '/'}", authority


def _authority(text: str, scheme: str) -> str:
    """Return the host and port that a header names, as `_authority_of`; empty for what is none."""
    found = _HOST.fullmatch(text)
    return "" if found is None else _authority_of(scheme, found[1], found[2])


def _authority_of(scheme: str, host: str, port: str | None) -> str:
    return host.lower() if port in {None, _USUAL_PORTS[scheme]} else f"{host.lower()}:{port}"


def _tell(connection: socket.socket, status: int, document: Mapping[str, object], headers: Mapping[str, str]) -> None:
    with suppress(OSError):
        connection.settimeout(HEAD_WITHIN)
        send_json(connection, status, document, headers)


def _linger(connection: socket.socket) -> None:
    """Wait until the child has read the answer: closing a connection on which more has come would take it away (RFC 9112 §9.6)."""
    ends_at = time.monotonic() + _LINGER
    with suppress(OSError, ValueError):
        connection.settimeout(_LINGER)
        if isinstance(connection, ssl.SSLSocket):
            connection.unwrap()
    with suppress(OSError):
        # Below TLS, because nothing of it is read.
        socket.socket.shutdown(connection, socket.SHUT_WR)
        while (left := ends_at - time.monotonic()) > 0:
            connection.settimeout(left)
            if not socket.socket.recv(connection, 64 * 1024):
                return
