"""A way to obtain access that this library does not know: recovery words buy a session of an hour, whose secret signs requests.

The signature is `acme_hmac`, which is not the library's either.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import tomllib
from collections.abc import Iterator
from datetime import datetime, timedelta
from urllib.parse import parse_qs, urlsplit

from cloud_integrations import AuthType, Provider, Secret
from cloud_integrations.errors import ValidationFailedError
from cloud_integrations.kinds import Method, Parts, Present, register
from cloud_integrations.oauth import HttpRequest, HttpResponse
from cloud_integrations.testing import FixedClock

_WORDS = 4


class RecoveryWords:
    """Words with hyphens between them, in any letter case."""

    name = "recovery_words"
    auth_type = AuthType.API_KEY

    def problems(self, method: Method, /) -> Iterator[str]:
        """See `Kind.problems`."""
        if not method.mint or "words" not in {each.name for each in method.inputs}:
            yield " needs an input words, and a mint"

    def part_names(self, method: Method, /) -> tuple[str, ...]:
        """See `Kind.part_names`."""
        return ("words", *(each.name for each in method.inputs if each.name != "words"))

    def present(self, method: Method, /) -> Present:
        """See `Kind.present`."""
        return method.present

    def read_inputs(self, method: Method, inputs: Parts, /) -> Parts:
        """See `Kind.read_inputs`."""
        del method
        words = inputs["words"].reveal().lower().split("-")
        if len(words) != _WORDS:
            raise ValidationFailedError(field="credentials.words", problem=f"must be {_WORDS} words, with hyphens between them")
        return {**inputs, "words": Secret("-".join(words))}


register(RecoveryWords())
PROVIDER = Provider.model_validate(
    tomllib.loads("""
    id = "acme"
    name = "Acme"

    [[methods]]
    id = "words"
    kind = "recovery_words"
    inputs = [{ name = "words", label = "Recovery words" }, { name = "account", secret = false }]
    present = { sign = "acme_hmac", headers = { X-Acme-Session = "{session}" } }

    [[methods.mint]]
    url = "https://api.acme.example/sessions"
    fields = { account = "{account}", words = "{words}" }
    reply = { gives = { secret = "session.secret", session = "session.id" } }

    [[verifications]]
    url = "https://api.acme.example/me"
    identity = ["json:id"]
    status_rules = { 401 = "dead" }

    [[error_rules]]
    at = "mint"
    path = "failure"
    equals = "UNKNOWN_WORDS"
    class = "dead"
    """)
)


class AcmeServer:
    """Acme itself: it opens sessions, and wants each request signed with the secret of one."""

    def __init__(self) -> None:
        self.clock = FixedClock()
        self.known = {"able-baker-charlie-delta-fake"}
        self.sessions: dict[str, datetime] = {}
        self.seen: list[HttpRequest] = []

    def answer(self, request: HttpRequest) -> HttpResponse:
        """Answer a request."""
        self.seen.append(request)
        if request.url.endswith("/sessions"):
            return self._open(parse_qs(request.body.decode()))
        return _answer(200, {"id": "account-1"}) if self._is_signed(request) else _answer(401, {"failure": "NO_SESSION"})

    @staticmethod
    def secret_of(session: str) -> str:
        """Return the secret of a session."""
        return f"fake-secret-of-{session}"

    def _open(self, asked: dict[str, list[str]]) -> HttpResponse:
        if f"{asked['words'][0]}-{asked['account'][0]}" not in self.known:
            return _answer(400, {"failure": "UNKNOWN_WORDS"})
        session = f"session-{len(self.sessions)}"
        self.sessions[session] = self.clock.now() + timedelta(hours=1)
        return _answer(200, {"session": {"id": session, "secret": self.secret_of(session)}, "expires_in": 3600})

    def _is_signed(self, request: HttpRequest) -> bool:
        session = request.headers.get("X-Acme-Session", "")
        if self.sessions.get(session, self.clock.now()) <= self.clock.now():
            return False
        text = f"{request.method} {urlsplit(request.url).path} {int(self.clock.now().timestamp())}"
        expected = hmac.new(self.secret_of(session).encode(), text.encode(), hashlib.sha256).hexdigest()
        return request.headers.get("X-Acme-Signature") == expected


def _answer(status: int, document: object) -> HttpResponse:
    return HttpResponse(status=status, headers={"content-type": "application/json"}, body=json.dumps(document).encode())


class AcmeTransport:
    """Reaches the server without a network."""

    def __init__(self, server: AcmeServer) -> None:
        self.server = server

    def send(self, request: HttpRequest, /, *, deadline: timedelta) -> HttpResponse:
        """Send *request*."""
        del deadline
        return self.server.answer(request)

    def close(self) -> None:
        """Do nothing."""


class AsyncAcmeTransport(AcmeTransport):
    """The same, awaited."""

    async def send(self, request: HttpRequest, /, *, deadline: timedelta) -> HttpResponse:  # type: ignore[override]  # another colour
        """Send *request*."""
        return super().send(request, deadline=deadline)

    async def close(self) -> None:  # type: ignore[override]  # as above
        """Do nothing."""
