"""The simulated provider as a real HTTP server on this machine, for browsers and for HTTP clients."""

from __future__ import annotations

import socket
import struct
import sys
import threading
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self, cast
from urllib.parse import urlsplit

from cloud_integrations.protocol.http import MAX_BODY, HttpResponse

from .misbehaviour import Delivery
from .provider import SimulatedProvider

_DRIP_EVERY = 0.02
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


class ProviderServer:
    """Serves *provider* on 127.0.0.1 inside a `with` block; port 0 takes a free one.

    The provider's `base_url` is the server's while it runs.  Delays take real time, lost answers are dropped connections, and so are
    refused connections, because the port is open.
    """

    def __init__(self, provider: SimulatedProvider, /, *, port: int = 0) -> None:
        self.provider = provider
        self._port = port
        self._running: tuple[_Server, threading.Thread, str] | None = None

    @property
    def url(self) -> str:
        """The base URL, without a slash at its end.  Raises `RuntimeError` while the server does not run."""
        if self._running is None:
            raise RuntimeError("the server does not run; use it in a with block")
        return f"http://127.0.0.1:{self._running[0].server_address[1]}"

    def __enter__(self) -> Self:
        server = _Server(self.provider, self._port)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, name="simulated-provider", daemon=True)
        self._running = (server, thread, self.provider.base_url)
        self.provider.base_url = self.url
        thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /) -> None:
        if self._running is not None:
            server, thread, self.provider.base_url = self._running
            self._running = None
            server.stop()
            thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = False  # they are joined; `stop` ends them
    request_queue_size = 128

    def __init__(self, provider: SimulatedProvider, port: int) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.provider = provider
        self.stopping = threading.Event()
        self.open_connections: set[socket.socket] = set()
        self.lock = threading.Lock()

    def stop(self) -> None:
        self.stopping.set()
        self.shutdown()
        with self.lock:
            for connection in self.open_connections:
                with suppress(OSError):  # the client has closed it already
                    connection.shutdown(socket.SHUT_RDWR)
        self.server_close()

    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exception(), OSError):  # a client may go away
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "SimulatedProvider"
    sys_version = ""
    timeout = 30
    disable_nagle_algorithm = True

    @property
    def _owner(self) -> _Server:
        return cast(_Server, self.server)

    def setup(self) -> None:
        super().setup()
        with self._owner.lock:
            self._owner.open_connections.add(self.connection)

    def finish(self) -> None:
        with self._owner.lock:
            self._owner.open_connections.discard(self.connection)
        super().finish()

    def do_GET(self) -> None:
        self._handle()

    def do_POST(self) -> None:
        self._handle()

    def do_DELETE(self) -> None:
        self._handle()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # the base class's signature
        """Log nothing: a request line may hold a code."""

    def _handle(self) -> None:
        length = self.headers.get("Content-Length", "0")
        if not length.isdigit() or int(length) > MAX_BODY:
            self.close_connection = True
            self.send_error(413)
            return
        body = self.rfile.read(int(length))
        url = urlsplit(self.path)
        with self._owner.provider.receive(self.command, url.path, query=url.query, headers=dict(self.headers), body=body) as answer:
            self._owner.stopping.wait(answer.delay.total_seconds())
            match answer.delivery:
                case Delivery.WHOLE:
                    self._begin(answer.response, length=len(answer.response.body))
                    self.wfile.write(answer.response.body)
                case Delivery.REFUSED | Delivery.LOST:
                    self.close_connection = True
                case Delivery.RESET:
                    self._begin(answer.response, length=len(answer.response.body))
                    self.wfile.write(answer.response.body[: len(answer.response.body) // 2])
                    self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
                    self.close_connection = True
                case Delivery.DRIP:
                    self._begin(answer.response, length=MAX_BODY)
                    self.close_connection = True
                    while not self._owner.stopping.wait(_DRIP_EVERY):
                        self.wfile.write(b" ")

    def _begin(self, response: HttpResponse, *, length: int) -> None:
        self.send_response(response.status)
        for name, value in response.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(length))
        self.end_headers()
