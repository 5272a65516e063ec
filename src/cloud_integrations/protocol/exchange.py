"""Exchange a code for tokens (RFC 6749 §4.1.3)."""

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
    """Return the request that exchanges *code* for tokens.

    *redirect_uri* is exactly that of the authorization request (RFC 6749 §4.1.3), and *verifier* the code verifier whose challenge was
    in it (RFC 7636 §4.5).  *verifier* is None without PKCE, and for a posted code whose authorization began elsewhere; a provider
    that requires PKCE refuses such a code.
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

    Never raises, whatever a server sends.  If the answer does not name scopes, or they cannot be read, the requested ones are granted
    (RFC 6749 §5.1).  Lifetimes count from `response.sent_at`, or from *now* if that is None.
    """
    outcome = read_token_answer(client, response, now=now, renewal=False)
    if isinstance(outcome, Granted) and outcome.grant.scopes is None:
        return replace(outcome, grant=replace(outcome.grant, scopes=tuple(requested_scopes)))
    return outcome
