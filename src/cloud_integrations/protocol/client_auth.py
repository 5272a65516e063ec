"""Requests with client authentication (RFC 6749 §2.3)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Literal
from urllib.parse import parse_qsl, quote

from authlib.oauth2.auth import ClientAuth as Authentication

from cloud_integrations.domain.application import ClientAuth
from cloud_integrations.domain.secret import Secret

from .client import Client
from .http import MAX_BODY, HttpRequest, merge_headers

HEADERS: Mapping[str, str] = {"Accept": "application/json", "Accept-Encoding": "identity", "User-Agent": "cloud-integrations"}
_FORM = "application/x-www-form-urlencoded"
_NAMES = {"basic": "client_secret_basic", "basic_raw": "client_secret_basic", "post": "client_secret_post", "tls": "none", "none": "none"}


def build_request(
    client: Client,
    /,
    *,
    method: str = "POST",
    url: str,
    form: str,
    auth: ClientAuth | None,
    body: Literal["form", "json", "none"],
    headers: Mapping[str, str],
    max_body: int = MAX_BODY,
) -> HttpRequest:
    """Return a request for one of *client*'s endpoints.

    *form* are the parameters, form-encoded; they are sent in the body, encoded as *body* says, never in the URL.  *auth* is the client
    authentication to add; None adds none.  *max_body* is the longest answer to read, in bytes.
    """
    auth_headers: dict[str, str] = {}
    if auth is not None:
        _, auth_headers, form = authentication(auth, client.application.client_id, client.application.client_secret).prepare(
            method, url, {}, form
        )
    content: dict[str, str] = {}
    sent = b""
    if body == "form":
        content, sent = {"Content-Type": _FORM}, form.encode("ascii")
    elif body == "json":
        content, sent = {"Content-Type": "application/json"}, json.dumps(dict(parse_qsl(form, keep_blank_values=True))).encode("ascii")
    return HttpRequest(
        method=method,
        url=url,
        # Authentication is last, so that no header of the provider file can replace it.
        headers=merge_headers(HEADERS, headers, content, auth_headers),
        body=sent,
        provider_id=str(client.provider.provider_id),
        loopback=client.provider.loopback,
        private_host=client.private_host,
        certificate=client.application.client_secret if auth == "tls" else None,
        max_body=max_body,
    )


def authentication(auth: ClientAuth, client_id: str, client_secret: Secret | None, /) -> Authentication:
    """Return what adds a client authentication to a request; `none` and `tls` send the client id alone (RFC 8705 §2)."""
    text = "" if client_secret is None else client_secret.reveal()
    if auth == "basic":
        # Authlib joins id and secret without encoding; RFC 6749 §2.3.1 requires it.  A space becomes `%20`, which every server that
        # decodes can read, unlike the `+` of a form.
        client_id, text = quote(client_id, safe=""), quote(text, safe="")
    elif auth == "basic_raw":
        # Authlib encodes the header in Latin-1, but UTF-8 is meant (RFC 7617 §2.1).
        client_id, text = client_id.encode().decode("latin-1"), text.encode().decode("latin-1")
    return Authentication(client_id, text, _NAMES[auth])
