"""Requests as the provider receives them, and what it records of each."""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from urllib.parse import parse_qsl

from cloud_integrations.domain.secret import Secret
from cloud_integrations.protocol.device import GRANT_TYPE
from cloud_integrations.protocol.http import HttpResponse

from .consent_page import complaint_page, page_headers
from .misbehaviour import Delivery, Misbehaviour
from .wrong_answers import json_answer

FORM = {"content-type": "application/x-www-form-urlencoded"}
_PATHS = {f"/{name}": name for name in ("device", "authorize", "consent", "revoke", "me", "keys", "resources")}

_GRANTS = {"refresh_token": "refresh", GRANT_TYPE: "poll"}


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceivedRequest:
    """One request as the provider received it; tokens appear as their ids (see `token_id`)."""

    number: int
    at: datetime
    endpoint: str
    grant_type: str | None = None
    presented: str | None = None
    """The id of the token, code or key that came with the request."""
    issued: tuple[str, ...] = ()
    """The ids of the new tokens."""
    reused: bool = False
    """Whether a spent refresh token or code was presented again."""
    outcome: str = "ok"
    """`ok`, an OAuth error code, `not_found`, or for a misbehaviour `swallowed`, `error`, `rate_limited`, `redirect` or `forbidden`."""
    status: int = 0
    misbehaviour: Misbehaviour | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """An answer, and how it is delivered to the client."""

    response: HttpResponse
    delivery: Delivery = Delivery.WHOLE
    delay: timedelta = timedelta()


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A request as it arrived."""

    method: str
    path: str
    query: str = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)

    @property
    def is_form(self) -> bool:
        """Whether the body is a form."""
        return self.headers.get("content-type", "").partition(";")[0].strip() == FORM["content-type"]


@dataclass(slots=True, kw_only=True)
class Work:
    """One request while it is processed."""

    request: Request
    what: Misbehaviour | None
    response: HttpResponse = field(default_factory=lambda: HttpResponse(status=503))
    outcome: str = "ok"
    presented: str | None = None
    issued: list[str] = field(default_factory=list)
    reused: bool = False
    key: str = ""
    """The thumbprint of the key whose proof came with the request; empty: none came."""

    def refuse(self, error: str, status: int = 400) -> None:
        """Answer with an OAuth error."""
        self.outcome = error
        self.response = json_answer(status, {"error": error})

    def complain(self, problem: str) -> None:
        """Answer with an error page for the person."""
        self.outcome = "invalid_request"
        self.response = HttpResponse(status=400, headers=page_headers(), body=complaint_page(problem=problem))


def token_id(token: str | Secret, /) -> str:
    """Name a token without showing it: 16 hex digits of its SHA-256."""
    return digest_of(token)[:16]


def digest_of(token: str | Secret, /) -> str:
    """Return the SHA-256 by which a token is stored here, in hex."""
    text = token.reveal() if isinstance(token, Secret) else token
    return hashlib.sha256(text.encode()).hexdigest()


def read_single(encoded: str, /) -> dict[str, str] | None:
    """Return the parameters; None where one occurs twice (RFC 6749 §3.1)."""
    pairs = parse_qsl(encoded, keep_blank_values=True)
    found = dict(pairs)
    return found if len(found) == len(pairs) else None


def endpoint_of(request: Request, /) -> str:
    """Return the endpoint of a request; `unknown` where there is none."""
    if request.path == "/token":
        kinds = [value for name, value in parse_qsl(request.body.decode("utf-8", "replace")) if name == "grant_type"]
        return next((_GRANTS[kind] for kind in kinds if kind in _GRANTS), "exchange")
    return _PATHS.get(request.path, "unknown")


def is_at(wanted: str, endpoint: str, /) -> bool:
    """Say whether *endpoint* is the wanted one; `token` is both `exchange` and `refresh`."""
    return wanted == endpoint or (wanted == "token" and endpoint in {"exchange", "refresh"})


def presented_by(endpoint: str, request: Request, /) -> str | None:
    """Return the digest of the token, code or key in the request."""
    if endpoint in {"me", "keys", "resources"}:
        token = _credential(request)
    else:
        form = read_single(request.body.decode("utf-8", "replace")) or {}
        token = form.get({"exchange": "code", "poll": "device_code", "refresh": "refresh_token", "revoke": "token"}.get(endpoint, ""), "")
    return digest_of(token) if token else None


def _credential(request: Request, /) -> str:
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    return token if scheme.lower() in {"bearer", "dpop"} else request.headers.get("x-api-key", "")


def decode_basic(encoded: str, /) -> str:
    """Return `name:password` (RFC 7617); empty where it cannot be read."""
    try:
        return base64.b64decode(encoded, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        return ""
