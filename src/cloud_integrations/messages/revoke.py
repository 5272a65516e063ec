"""A token is given back (RFC 7009, or the provider's own request)."""

from __future__ import annotations

from typing import Literal
from urllib.parse import urlencode

from authlib.oauth2.rfc7009 import prepare_revoke_token_request

from cloud_integrations.domain.provider import Revoke
from cloud_integrations.domain.secret import Secret

from .client import Client, ClientAuth
from .client_auth import build_request
from .http import HttpRequest, HttpResponse, UnusableBodyError, read_json_object

_GONE = frozenset({"dead", "reauthorize"})


def build_revoke(client: Client, /, *, token: Secret, kind: Literal["refresh", "access"]) -> HttpRequest | None:
    """Build the request that ends *token*; None where the provider has none for tokens of this *kind*."""
    facts = client.method.revoke
    if facts is None or client.revoke_url is None or facts.which not in {kind, "both"}:
        return None
    if facts.param == "token":
        hint = f"{kind}_token" if facts.hint and facts.body == "form" else None
        form, _ = prepare_revoke_token_request(token.reveal(), hint)
    else:
        form = urlencode({facts.param: token.reveal()})
    bearer = {"Authorization": f"Bearer {token.reveal()}"} if facts.auth == "bearer" else {}
    return build_request(
        client,
        method=facts.method,
        url=client.revoke_url,
        form=form,
        auth=_client_auth(client, facts),
        body=facts.body,
        headers={**{name: client.fill(value) for name, value in facts.headers.items()}, **bearer},
    )


def read_revocation(client: Client, response: HttpResponse, /) -> Literal["revoked", "failed"]:
    """Say whether the token is surely dead now.

    A token that was not alive before is a success too (RFC 7009 §2.2).  After `failed` it must be
    taken for alive.  Never raises for anything a server can send.
    """
    facts = client.method.revoke
    if facts is None:
        return "failed"
    try:
        body = read_json_object(response.body)
    except UnusableBodyError:
        body = None
    if response.status in facts.statuses and all(test.holds(body) for test in facts.success):
        return "revoked"
    if body is not None and body.get("error") == "invalid_token":
        # The server says what RFC 7009 §2.2 has it answer with 200: the token is dead already.
        return "revoked"
    # With a token as the proof of who asks, a dead token is refused like at any other call.
    places = {"token", "api"} if facts.auth == "bearer" else {"token"}
    for rule in client.provider.error_rules:
        if rule.at in places and rule.fits(method_id=client.method.id, status=response.status, body=body):
            # A status alone may speak of the application's credentials.
            return "revoked" if rule.class_ in _GONE and (rule.path is not None or facts.auth == "bearer") else "failed"
    return "failed"


def _client_auth(client: Client, facts: Revoke) -> ClientAuth | None:
    if facts.param == "token" and "auth" not in facts.model_fields_set:
        # RFC 7009 §2.1: as at the token endpoint.  A request of the provider's own keeps its own way.
        return client.client_auth
    if facts.auth in {"bearer", "none"}:
        return None
    if client.client_auth == "none":
        return "none"
    return "basic" if facts.auth == "client_basic" else "post"
