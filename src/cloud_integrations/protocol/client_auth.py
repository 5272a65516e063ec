"""Requests that carry our client authentication (RFC 6749 §2.3)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Literal
from urllib.parse import parse_qsl, quote

from authlib.oauth2.auth import ClientAuth as Authentication

from cloud_integrations.domain.application import ClientAuth

from .client import Client
from .http import MAX_BODY, HttpRequest, merge_headers

HEADERS: Mapping[str, str] = {"Accept": "application/json", "Accept-Encoding": "identity", "User-Agent": "cloud-integrations"}
_FORM = "application/x-www-form-urlencoded"
_NAMES = {"basic": "client_secret_basic", "basic_raw": "client_secret_basic", "post": "client_secret_post", "none": "none"}


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
    """Put a request for one of *client*'s endpoints together.

    *form* holds the parameters, form-encoded; they are sent in the body, never in the URL.  Exactly
    one client authentication is added, or none at all for `auth=None`.
    """
    auth_headers: dict[str, str] = {}
    if auth is not None:
        _, auth_headers, form = _authentication(client, auth).prepare(method, url, {}, form)
    content: dict[str, str] = {}
    sent = b""
    if body == "form":
        content, sent = {"Content-Type": _FORM}, form.encode("ascii")
    elif body == "json":
        content, sent = {"Content-Type": "application/json"}, json.dumps(dict(parse_qsl(form, keep_blank_values=True))).encode("ascii")
    return HttpRequest(
        method=method,
        url=url,
        # Authentication comes last, so that no header of the provider's data can replace it.
        headers=merge_headers(HEADERS, headers, content, auth_headers),
        body=sent,
        provider_id=str(client.provider.provider_id),
        loopback=client.provider.loopback,
        private_host=client.private_host,
        max_body=max_body,
    )


def _authentication(client: Client, auth: ClientAuth) -> Authentication:
    client_id = client.application.client_id
    secret = client.application.client_secret
    text = "" if secret is None else secret.reveal()
    if auth == "basic":
        # Authlib joins the two as they are; RFC 6749 §2.3.1 wants each encoded first.  A space is `%20`: servers that decode at all
        # read that, and many do not read the `+` of a form.
        client_id, text = quote(client_id, safe=""), quote(text, safe="")
    elif auth == "basic_raw":
        # Authlib writes the header in Latin-1; RFC 7617 §2.1 leaves UTF-8 as the only sensible choice.
        client_id, text = client_id.encode().decode("latin-1"), text.encode().decode("latin-1")
    return Authentication(client_id, text, _NAMES[auth])
