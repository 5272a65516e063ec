"""An API on loopback that takes living tokens alone, for the clients of hosts to call."""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

from cloud_integrations.testing import SimulatedProvider, token_id


@dataclass(frozen=True, kw_only=True)
class Seen:
    """A request that came, with the token in it as its id."""

    method: str
    path: str
    token: str
    status: int
    body: bytes = field(repr=False)


class Api:
    """Answers each path with 200 and what `bodies` says, if the token lives at *provider*; otherwise with `refusal`.

    A token comes as `Authorization: Bearer` or in `X-Api-Key`.  `refuses` is a number of requests that are refused whatever they show.
    A refusal is seen as 401, whichever status it is sent with.
    """

    def __init__(self, provider: SimulatedProvider, /) -> None:
        self.provider = provider
        self.bodies: dict[str, Any] = {}
        self.body: Any = {}
        """What is answered where `bodies` says nothing."""
        self.content_type = "application/json"
        self.refusal: tuple[int, Any] = (401, {"error": "invalid_token"})
        self.seen: list[Seen] = []
        self.refuses = 0
        self.challenge = 'Bearer error="invalid_token"'
        self.redirect = ""
        """Where an answer of 302 sends the client."""
        self._server = _Server(("127.0.0.1", 0), type("Handler", (_Handler,), {"api": self}))
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        self._lock = threading.Lock()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    @property
    def tokens(self) -> list[str]:
        """The ids of the tokens that came, in their order."""
        return [seen.token for seen in self.seen]

    @property
    def statuses(self) -> list[int]:
        return [seen.status for seen in self.seen]

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def answer(self, method: str, path: str, headers: Any, body: bytes) -> tuple[int, bytes]:
        scheme, _, token = headers.get("Authorization", "").partition(" ")
        token = token if scheme.lower() == "bearer" else headers.get("X-Api-Key", "")
        with self._lock:
            lives = bool(token) and self._lives(token) and not self.refuses
            self.refuses -= bool(self.refuses)
            status = 200 if lives else 401
            self.seen.append(Seen(method=method, path=path, token=token_id(token) if token else "", status=status, body=body))
        sent, answer = (200, self.bodies.get(path.partition("?")[0], self.body)) if lives else self.refusal
        return sent, answer if isinstance(answer, bytes) else json.dumps(answer).encode()

    def _lives(self, token: str) -> bool:
        # The provider says so itself, so that every kind of token counts.
        return self.provider.handle("GET", "/me", headers={"authorization": f"Bearer {token}", "x-api-key": token}).status == 200


class _Server(ThreadingHTTPServer):
    request_queue_size = 256

    def handle_error(self, *_: object) -> None:
        """Print nothing: a client may go away at any time."""


class _Handler(BaseHTTPRequestHandler):
    api: Api
    protocol_version = "HTTP/1.1"

    def _answer(self) -> None:
        if self.headers.get("Transfer-Encoding", "") == "chunked":
            body = b""
            while size := int(self.rfile.readline(), 16):
                body += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
        else:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        status, answer = self.api.answer(self.command, self.path, self.headers, body)
        self.send_response(status)
        self.send_header("Content-Type", self.api.content_type)
        self.send_header("Content-Length", str(len(answer)))
        if status == 302:
            self.send_header("Location", self.api.redirect)
        if status == 401:
            self.send_header("WWW-Authenticate", self.api.challenge)
        self.end_headers()
        self.wfile.write(answer)

    do_GET = do_POST = do_PUT = _answer  # noqa: N815  # as the standard library calls them

    def log_message(self, *_: object) -> None:
        pass
