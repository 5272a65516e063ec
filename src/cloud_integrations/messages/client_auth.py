"""Requests that carry our client authentication (RFC 6749 §2.3)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Literal
from urllib.parse import parse_qsl, quote_plus

from authlib.oauth2.auth import ClientAuth

from .client import Client
from .http import HttpRequest, merge_headers

HEADERS: Mapping[str, str] = {"Accept": "application/json", "Accept-Encoding": "identity", "User-Agent": "cloud-integrations"}
_FORM = "application/x-www-form-urlencoded"
_NAMES = {"basic": "client_secret_basic", "post": "client_secret_post", "none": "none"}


def build_request(
    client: Client,
    /,
    *,
    method: str = "POST",
    url: str,
    form: str,
    auth: Literal["basic", "post", "none"] | None,
    body: Literal["form", "json", "none"],
    headers: Mapping[str, str],
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
    )


def _authentication(client: Client, auth: Literal["basic", "post", "none"]) -> ClientAuth:
    client_id = client.application.client_id
    secret = client.application.client_secret
    text = "" if secret is None else secret.reveal()
    if auth == "basic":
        # Authlib joins the two as they are; RFC 6749 §2.3.1 wants each form-encoded first.
        client_id, text = quote_plus(client_id), quote_plus(text)
    return ClientAuth(client_id, text, _NAMES[auth])
