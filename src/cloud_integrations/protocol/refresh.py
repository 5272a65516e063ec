"""Refresh an access token (RFC 6749 §6)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from authlib.oauth2.rfc6749.parameters import prepare_token_request

from cloud_integrations.domain.outcome import TokenOutcome
from cloud_integrations.domain.secret import Secret

from .client import Client
from .client_auth import build_request
from .http import MAX_TOKEN_BODY, HttpRequest, HttpResponse
from .scopes import join_scopes
from .token_answer import read_token_answer
from .token_request import extra_params


def build_refresh(client: Client, /, *, refresh_token: Secret, scopes: Sequence[str] = (), redirect_uri: str | None = None) -> HttpRequest:
    """Return the refresh request for *refresh_token*.

    *scopes* are empty (the same access again) or a part of the granted ones (RFC 6749 §6).  *redirect_uri* is that of the
    authorization; it is sent only to providers whose file asks for it.
    """
    form = prepare_token_request(
        "refresh_token",
        extra_params(client, client.method.refresh_params, redirect_uri=redirect_uri),
        refresh_token=refresh_token.reveal(),
        scope=join_scopes(client, scopes),
    )
    return build_request(
        client,
        url=client.refresh_url,
        form=form,
        auth=client.client_auth,
        body=client.method.body,
        headers={name: client.fill(value) for name, value in client.method.headers.get("token", {}).items()},
        max_body=MAX_TOKEN_BODY,
    )


def read_renewal(client: Client, response: HttpResponse, /, *, now: datetime) -> TokenOutcome:
    """Read the answer to a refresh.

    Never raises, whatever a server sends.  The outcome is `Refused` only if the provider itself says that the refresh token is dead.
    A grant without a refresh token means that the stored one stays valid, and a grant without scopes that they have not changed
    (RFC 6749 §6).
    """
    return read_token_answer(client, response, now=now, renewal=True)
