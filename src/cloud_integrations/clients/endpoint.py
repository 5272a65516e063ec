"""An endpoint on loopback, at which the programs of one cloud ask for a credential as they ask the cloud's own."""

from __future__ import annotations

import hmac
import json
import logging
import secrets
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final, Protocol, cast
from urllib.parse import parse_qsl

from cloud_integrations.domain.credential import Credential
from cloud_integrations.errors import CloudIntegrationsError

from .source import CredentialSource

_log = logging.getLogger("cloud_integrations")

ASK_AGAIN: Final = timedelta(minutes=20)
"""When a credential without an end is asked for again: SDKs begin up to 15 minutes before, so another one is seen 5 minutes later."""
LOOPBACK: Final = "127.0.0.1"
_LONGEST_BODY: Final = 65_536

Document = Mapping[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A request that came to an endpoint."""

    headers: Mapping[str, str]
    """By lower-case names."""
    query: Mapping[str, str]
    form: Mapping[str, str] = field(repr=False)


class Dialect(Protocol):
    """How the programs of one cloud ask for a credential, and how they are answered."""

    http_method: str
    path: str

    def variables(self, url: str, secret: str, folder: Callable[[], Path], /) -> dict[str, str]:
        """Return the variables that lead programs to the endpoint, and to nothing of the user's; *folder* makes a private folder."""
        ...

    def removes(self, name: str, /) -> bool:
        """Return whether programs could find another credential by the variable *name*."""
        ...

    def secret_in(self, asked: Asked, /) -> str:
        """Return what shows that the request may be answered; empty: nothing does."""
        ...

    def answer(self, source: CredentialSource, asked: Asked, /) -> Document:
        """Return the document with the credential.  Raises as `IntegrationManager.credential`."""
        ...

    def refusal(self, code: str, message: str, /, *, status: int) -> Document:
        """Return the document of an answer with an error."""
        ...


@contextmanager
def open_endpoint(source: CredentialSource, dialect: Dialect, /) -> Iterator[tuple[str, str]]:
    """Answer programs on 127.0.0.1 as long as the context is open; give the URL, and the random secret that they must show.

    Threads answer.  Where the manager raises, the answer has the code of the error: with status 503 if it is `retryable`, else with 403.
    """
    secret = secrets.token_urlsafe(32)
    with _Server(source, dialect, secret) as server:
        thread = threading.Thread(
            target=server.serve_forever, kwargs={"poll_interval": 0.1}, name="cloud-integrations-endpoint", daemon=True
        )
        thread.start()
        try:
            yield server.url, secret
        finally:
            server.is_open = False
            server.shutdown()
            thread.join()


def end_of(credential: Credential, /) -> datetime:
    """Return when a program asks for another credential, in UTC."""
    return (credential.expires_at or datetime.now(UTC) + ASK_AGAIN).astimezone(UTC)


def seconds_left(credential: Credential, /) -> int:
    """Return for how many seconds a program may use the credential."""
    return max(0, int((end_of(credential) - datetime.now(UTC)).total_seconds()))


class _Server(ThreadingHTTPServer):
    request_queue_size = 64

    def __init__(self, source: CredentialSource, dialect: Dialect, secret: str) -> None:
        super().__init__((LOOPBACK, 0), _Handler)
        self.source = source
        self.dialect = dialect
        self.secret = secret.encode()
        self.host = f"{LOOPBACK}:{self.server_address[1]}"
        self.url = f"http://{self.host}{dialect.path}"
        self.is_open = True

    def answer(self, path: str, asked: Asked) -> tuple[int, Document]:
        """Return the status and the document of the answer to a request."""
        # Pages in a browser reach loopback by a name of their own (DNS rebinding).
        if asked.headers.get("host") != self.host:
            return self._refuse(403, "endpoint/host")
        if not hmac.compare_digest(self.dialect.secret_in(asked).encode(), self.secret):
            return self._refuse(401, "endpoint/token")
        if path != self.dialect.path:
            return self._refuse(404, "endpoint/path")
        try:
            return 200, self.dialect.answer(self.source, asked)
        except CloudIntegrationsError as error:
            return self._refuse(503 if error.retryable else 403, error.code, error.message)

    def _refuse(self, status: int, code: str, message: str = "this request is not answered") -> tuple[int, Document]:
        return status, self.dialect.refusal(code, message, status=status)

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002  # as the standard library calls it
        """Log what went wrong; a client that went away is no error."""
        if not isinstance(sys.exception(), OSError):
            _log.warning("a request for a credential was not answered", exc_info=True)


class _Handler(BaseHTTPRequestHandler):
    timeout = 5

    def do_GET(self) -> None:
        self._answer("GET")

    def do_POST(self) -> None:
        self._answer("POST")

    def _answer(self, http_method: str) -> None:
        server = cast(_Server, self.server)
        if http_method != server.dialect.http_method:
            self.send_error(405)
            return
        path, _, query = self.path.partition("?")
        asked = Asked(
            headers={name.lower(): value for name, value in self.headers.items()},
            query=dict(parse_qsl(query)),
            form=dict(parse_qsl(self._body().decode("utf-8", "replace"))),
        )
        status, document = server.answer(path, asked)
        if not server.is_open:
            return
        body = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        self.wfile.write(body)

    def _body(self) -> bytes:
        length = self.headers.get("Content-Length", "0")
        return self.rfile.read(min(int(length), _LONGEST_BODY)) if length.isdecimal() else b""

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # as the standard library calls it
        """Write nothing to stderr, which is the application's."""
