"""A code becomes tokens (RFC 6749 §4.1.3)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from authlib.oauth2.rfc6749.parameters import prepare_token_request

from cloud_integrations.domain.outcome import Granted, TokenOutcome
from cloud_integrations.domain.secret import Secret

from .client import Client
from .client_auth import build_request
from .http import MAX_TOKEN_BODY, HttpRequest, HttpResponse
from .token_answer import read_token_answer
from .token_request import extra_params


def build_exchange(client: Client, /, *, code: Secret, redirect_uri: str, verifier: Secret | None) -> HttpRequest:
    """Build the request that spends *code*.

    *redirect_uri* is the very string sent in the authorization request (RFC 6749 §4.1.3), and
    *verifier* the one whose challenge went with it (RFC 7636 §4.5).  There is none without PKCE, nor for a code that
    somebody else asked for; whether that will do is the provider's to say.
    """
    form = prepare_token_request(
        "authorization_code",
        extra_params(client, client.method.token_params),
        redirect_uri,
        code=code.reveal(),
        code_verifier=verifier.reveal() if verifier is not None and client.uses_pkce else None,
    )
    return build_request(
        client,
        url=client.token_url,
        form=form,
        auth=client.client_auth,
        body=client.method.body,
        headers={name: client.fill(value) for name, value in client.method.headers.get("token", {}).items()},
        max_body=MAX_TOKEN_BODY,
    )


def read_grant(client: Client, response: HttpResponse, /, *, requested_scopes: Sequence[str], now: datetime) -> TokenOutcome:
    """Read the answer to an exchange.

    Never raises for anything a server can send.  An answer that is silent about scopes grants
    those requested (RFC 6749 §5.1), and so does one whose scopes cannot be read.  Lifetimes count from
    `response.sent_at`, or from *now* without it.
    """
    outcome = read_token_answer(client, response, now=now, renewal=False)
    if isinstance(outcome, Granted) and outcome.grant.scopes is None:
        return replace(outcome, grant=replace(outcome.grant, scopes=tuple(requested_scopes)))
    return outcome
