"""Servers on loopback, by TLS, that answer as a test says, byte by byte; and the way of a child to them through the injecting proxy."""

from __future__ import annotations

import base64
import json
import socket
import ssl
import threading
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

import pytest
from tests.authorities import authority

from cloud_integrations.backends.transport.httpx_transport import HttpxTransport
from cloud_integrations.clients.injector import environment
from cloud_integrations.clients.injector.authority import RunAuthority
from cloud_integrations.clients.injector.server import ProxyServer
from cloud_integrations.domain.auth_type import AuthType
from cloud_integrations.domain.credential import Credential
from cloud_integrations.domain.provider import BEARER
from cloud_integrations.domain.secret import Secret
from cloud_integrations.errors import ForbiddenError
from cloud_integrations.protocol.http import HttpRequest

CANARY = 'canary/tok+en~7f3a&9c"1e==5d'
"""It is written differently in a URL, in JSON, in HTML and in base64."""


@dataclass
class Asked:
    """A request as it came to the server."""

    raw: bytes
    head: str = ""
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def line(self) -> str:
        return self.head.split("\r\n")[0]


class Upstream:
    """A server whose `answer` gets each request and its connection, and returns bytes or sends them itself."""

    def __init__(self, tmp_path, *, host="127.0.0.1", plain=False) -> None:
        self.seen: list[Asked] = []
        self.accepted = 0
        self.folder = tmp_path
        self.answer: Any = lambda asked, connection: ok(b"fine")
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port = self._listener.getsockname()[1]
        self.authority = f"{host}:{self.port}"
        self.url = f"{'http' if plain else 'https'}://{self.authority}"
        self._context = None
        if not plain:
            certificate, key = authority().issue(host)
            file = tmp_path / f"upstream-{self.port}.pem"
            file.write_text(certificate + key)
            self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self._context.load_cert_chain(file)
        self._threads: list[threading.Thread] = []
        self._open: set[socket.socket] = set()

    def __enter__(self):
        self._accepting = threading.Thread(target=self._accept)
        self._accepting.start()
        return self

    def __exit__(self, *_):
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._accepting.join()
        for connection in list(self._open):
            with suppress(OSError):
                socket.socket.shutdown(connection, socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()

    def _accept(self):
        while True:
            try:
                connection, _ = self._listener.accept()
                self.accepted += 1
            except OSError:
                return
            thread = threading.Thread(target=self._serve, args=(connection,))
            self._threads.append(thread)
            thread.start()

    def _serve(self, connection):
        with suppress(OSError, EOFError), ExitStack() as opened:
            opened.callback(connection.close)
            if self._context is not None:
                connection = opened.enter_context(self._context.wrap_socket(connection, server_side=True))
            self._open.add(connection)
            file = opened.enter_context(connection.makefile("rb"))
            while True:
                asked = read_request(file)
                self.seen.append(asked)
                answer = self.answer(asked, connection)
                if answer is None:
                    break
                connection.sendall(answer)
                if b"connection: close" in answer.split(b"\r\n\r\n")[0].lower():
                    break
        self._open.discard(connection)


def read_request(file) -> Asked:
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        line = file.readline()
        if not line:
            raise EOFError
        head += line
    lines = head.decode("latin-1").split("\r\n")
    headers = dict(line.lower().split(": ", 1) for line in lines[1:] if ": " in line)
    body = b""
    if headers.get("transfer-encoding") == "chunked":
        while size := int(file.readline() or gone(), 16):
            body += file.read(size)
            file.readline()
        file.readline()
    else:
        body = file.read(int(headers.get("content-length", 0)))
    named = {line.split(": ", 1)[0].lower(): line.split(": ", 1)[1] for line in lines[1:] if ": " in line}
    return Asked(raw=head + body, head=head.decode("latin-1"), body=body, headers=named)


def gone():
    raise EOFError


def ok(body: bytes, *headers: str, status: str = "200 OK") -> bytes:
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers, "", ""]
    return "\r\n".join(lines).encode("latin-1") + body


def echo(asked, _connection) -> bytes:
    """Answer with all that came, in every header and in the body, as servers for debugging do."""
    token = asked.headers.get("authorization", "").partition(" ")[2]
    return ok(asked.raw, f"X-Seen: {asked.headers.get('authorization')}", f"X-{base64.b16encode(token.encode()).decode()[:4]}: 1")


def bearer(token=CANARY, **more) -> Credential:
    return Credential(
        **{"parts": {"access_token": Secret(token)}, "present": BEARER, **more},
        integration_id=1,
        provider_id=2,
        auth_type=AuthType.OAUTH2,
    )


class FakeInjector:
    """A session that allows `methods` to `hosts`, and remembers what it was asked."""

    def __init__(self, *hosts, methods=("GET", "POST", "PUT", "HEAD", "OPTIONS", "DELETE")):
        self.hosts = hosts
        self.methods = methods
        self.credentials = [bearer()]
        self.asked: list[tuple[str, str]] = []
        self.refused: list[Credential] = []
        self.recorded: list[tuple[str, str | None, str | None]] = []
        self.error: Exception | None = None

    def authorize(self, http_method, url, headers, /):
        self.asked.append((http_method, url))
        if self.error is not None:
            raise self.error
        self.require_host(urlsplit(url).netloc)
        if http_method not in self.methods:
            raise ForbiddenError
        return self.credentials[0]

    def replace_refused(self, http_method, url, headers, refused, /):
        self.refused.append(refused)
        return self.credentials[-1]

    def require_host(self, authority, /):
        if authority not in self.hosts:
            raise ForbiddenError

    def record(self, reason, host, http_method, /):
        self.recorded.append((reason, host, http_method))

    def draft(self, http_method, url, credential, /):
        return HttpRequest(method=http_method, url=url, provider_id="fake", loopback=True)


@dataclass
class Way:
    """A proxy that is open, and what is behind it."""

    proxy: ProxyServer
    injector: FakeInjector
    upstream: Upstream
    pem: str
    url: str

    @property
    def password(self) -> str:
        return "Proxy-Authorization: Basic " + base64.b64encode(urlsplit(self.url).netloc.rpartition("@")[0].encode()).decode()

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.proxy.server_address[1]), timeout=60)

    def raw(self, *lines: str, body: bytes = b"", password: bool = True) -> bytes:
        """Send lines as they are, after the first one the password, and return all that comes back."""
        head = [lines[0], *([self.password] if password else []), *lines[1:], "", ""]
        with self.connect() as connection:
            connection.sendall("\r\n".join(head).encode("latin-1") + body)
            return receive(connection)

    def ask(self, line: str, *headers: str, body: bytes = b"") -> bytes:
        """Send a request with a whole URL; *line* is its method and its path."""
        method, _, path = line.partition(" ")
        return self.raw(f"{method} {self.upstream.url}{path} HTTP/1.1", f"Host: {self.upstream.authority}", *headers, body=body)

    def secured(self, *, authority: str | None = None) -> ssl.SSLSocket:
        """Return a connection by TLS to the proxy in the place of the server."""
        connection = self.connect()
        target = authority or self.upstream.authority
        connection.sendall(f"CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n{self.password}\r\n\r\n".encode())
        answer = connection.recv(65536)
        assert answer == b"HTTP/1.1 200 Connection established\r\n\r\n", answer
        try:
            return client_context(self.pem).wrap_socket(connection, server_hostname=target.rpartition(":")[0])
        finally:
            connection.close()

    def within(self, *lines: str, body: bytes = b"") -> bytes:
        """Send lines as they are inside of TLS."""
        with self.secured() as connection:
            connection.sendall("\r\n".join([*lines, "", ""]).encode("latin-1") + body)
            return receive(connection)


def client_context(pem: str) -> ssl.SSLContext:
    context = ssl.create_default_context(cadata=pem)
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    return context


def receive(connection) -> bytes:
    came = b""
    with suppress(ConnectionResetError, ssl.SSLEOFError):
        while part := connection.recv(65536):
            came += part
    return came


def status_of(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1])


def trusting_transport() -> HttpxTransport:
    return HttpxTransport(ssl_context=ssl.create_default_context(cadata=authority().pem))


def document_of(answer):
    return json.loads(answer.partition(b"\r\n\r\n")[2])


def body_of(answer):
    return answer.partition(b"\r\n\r\n")[2]


def head_of(answer):
    return answer.partition(b"\r\n\r\n")[0].lower()


@contextmanager
def opened_way(upstream, injector=None):
    injector = injector or FakeInjector(upstream.authority)
    transport = trusting_transport()
    run = RunAuthority([host.rpartition(":")[0].strip("[]") for host in injector.hosts], life=timedelta(hours=1))
    server = ProxyServer(injector, transport, run, life=timedelta(hours=1))
    try:
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(environment, "POLL", 0.005)
            with environment._serving(server) as url:
                yield Way(proxy=server, injector=injector, upstream=upstream, pem=run.pem, url=url)
    finally:
        transport.close()
