"""Pushed authorization requests (RFC 9126): the request, the answer to it, and the URL that refers to it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from cloud_integrations.domain.outcome import TokenFailure, Unknown
from cloud_integrations.domain.provider import RESERVED_PARAMETERS
from cloud_integrations.domain.secret import Secret

from .client import Client
from .client_auth import build_request
from .error_text import shows_secret
from .http import HttpRequest, HttpResponse
from .token_answer import read_members, read_number
from .token_failure import read_failure

MAX_REQUEST_URI: Final = 2048
"""The longest reference that is accepted, in characters, because it goes into a URL."""
LONGEST_LIFE: Final = timedelta(days=1)
UNKNOWN_LIFE: Final = timedelta(minutes=1)
"""How long a reference is taken to live if the answer does not say it in a form that can be read."""

_VISIBLE = re.compile(r"[!-~]+\Z")


@dataclass(frozen=True, slots=True, kw_only=True)
class PushedRequest:
    """The answer to a pushed authorization request (RFC 9126 §2.2), checked."""

    request_uri: Secret
    """It stands for the whole request, for a short time."""
    expires_at: datetime


def build_pushed_request(client: Client, url: str, /) -> HttpRequest:
    """Return the request that pushes the parameters of the authorization request *url*, with client authentication (RFC 9126 §2.1).

    The client must have a `par_url`.
    """
    # The client id is sent once: these ways of authentication add it to the form themselves.
    added = {"client_id"} if client.client_auth in {"post", "tls", "none"} else set[str]()
    pairs = parse_qsl(urlsplit(url).query, keep_blank_values=True)
    return build_request(
        client,
        url=client.par_url or "",
        form=urlencode([(name, value) for name, value in pairs if name not in {"request_uri", *added}]),
        auth=client.client_auth,
        body="form",
        headers={name: client.fill(value) for name, value in client.method.headers.get("token", {}).items()},
    )


def read_pushed(client: Client, response: HttpResponse, /, *, now: datetime) -> PushedRequest | TokenFailure:
    """Read the answer to a pushed request; never raises, whatever a server sends.

    Only 201 is a success.  The lifetime counts from `response.sent_at`, or from *now* if that is None.
    """
    body = read_members(client, response)
    if body is not None and response.status == 201 and not body.get("error"):
        return _read(client, body, since=response.sent_at or now) or Unknown("unusable_body")
    return read_failure(client.provider, response, body, at="token", method_id=client.method.id, tokens=(), now=now, renewal=False)


def build_reference_url(client: Client, url: str, /, *, request_uri: Secret) -> str:
    """Return *url*, an authorization request that was pushed, with the client id and the reference alone (RFC 9126 §4).

    The authorization endpoint's own query is kept (RFC 6749 §3.1).
    """
    endpoint = parse_qsl(urlsplit(client.authorize_url or "").query, keep_blank_values=True)
    own = {name: value for name, value in endpoint if name not in RESERVED_PARAMETERS}
    query = urlencode({**own, "client_id": client.application.client_id, "request_uri": request_uri.reveal()})
    return urlunsplit(urlsplit(url)._replace(query=query))


def _read(client: Client, body: Mapping[str, Any], *, since: datetime) -> PushedRequest | None:
    reference = body.get("request_uri")
    if not isinstance(reference, str) or len(reference) > MAX_REQUEST_URI or not _VISIBLE.match(reference):
        return None
    if shows_secret(reference, client.application.client_secrets):
        return None
    try:
        seconds = read_number(body.get("expires_in"))
    except (TypeError, OverflowError):
        seconds = UNKNOWN_LIFE.total_seconds()
    if seconds <= 0:
        return None
    return PushedRequest(request_uri=Secret(reference), expires_at=since + timedelta(seconds=min(seconds, LONGEST_LIFE.total_seconds())))
