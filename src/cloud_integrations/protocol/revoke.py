"""Revoke a token, by RFC 7009 or the provider's own request."""

from __future__ import annotations

from typing import Any, Literal
from urllib.parse import urlencode

from authlib.oauth2.rfc7009 import prepare_revoke_token_request

from cloud_integrations.domain.application import ClientAuth
from cloud_integrations.domain.provider import Revoke
from cloud_integrations.domain.secret import Secret

from .client import Client
from .client_auth import build_request
from .http import UNREADABLE, HttpRequest, HttpResponse, find_json_object, read_text
from .rate_limit import is_rate_limited

_GONE = frozenset({"dead", "reauthorize"})


def build_revoke(client: Client, /, *, token: Secret, kind: Literal["refresh", "access"]) -> HttpRequest | None:
    """Return the request that revokes *token*; None if the provider has none for tokens of this *kind*."""
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
    """Return `revoked` if the token is certainly dead, else `failed`; then treat it as alive.

    A token that the provider does not know is dead, too (RFC 7009 §2.2).  A rate limit, a 5xx, a web page and an error with a status of
    success are no revocation.  Never raises, whatever a server sends.
    """
    facts = client.method.revoke
    if facts is None:
        return "failed"
    body = find_json_object(response.body)
    if response.status >= 500 or is_rate_limited(client.provider.rate_limit, response, body):
        return "failed"
    if _is_unknown(facts, response.status, body):
        return "revoked"
    if response.status in facts.statuses and not says_error(response, body) and all(test.holds(body) for test in facts.success):
        return "revoked"
    # If the token authenticates the request, a dead token is refused as in any other API call.
    places = {"token", "api"} if facts.auth == "bearer" else {"token"}
    for rule in client.provider.error_rules:
        if rule.at in places and rule.fits(method_id=client.method.id, status=response.status, body=body):
            # A rule with only a status may concern the client authentication instead of the token.
            return "revoked" if rule.class_ in _GONE and (rule.path is not None or facts.auth == "bearer") else "failed"
    return "failed"


def _is_unknown(facts: Revoke, status: int, body: dict[str, Any] | None) -> bool:
    # By RFC 7009 §2.2 the answer for an unknown token is 200, but some servers send the error `invalid_token`.
    if status in facts.gone_statuses:
        return True
    return body is not None and (body.get("error") == "invalid_token" or any(test.holds(body) for test in facts.gone))


def says_error(response: HttpResponse, body: dict[str, Any] | None, /) -> bool:
    """Whether an answer with a status of success reports an error, or is a web page instead of an answer."""
    if body is not None:
        # A member with two different values cannot be trusted, and a receipt must be true.
        no = any(body.get(name) is False for name in ("success", "ok")) or UNREADABLE in body.values()
        return no or bool(body.get("error") or body.get("errors"))
    text = read_text(response.body).lower()
    # A page, or an object or list that cannot be read, is no success.  Servers of early OAuth drafts send form-encoded errors.
    begins_badly = text.startswith(("<", "{", "[", "error", '"error', "false")) and text != "[]"
    return begins_badly or "&error=" in text


def _client_auth(client: Client, facts: Revoke) -> ClientAuth | None:
    if facts.param == "token" and "auth" not in facts.model_fields_set:
        # RFC 7009 §2.1: authenticate as at the token endpoint, unless the provider file says otherwise.
        return client.client_auth
    if facts.auth in {"bearer", "none"}:
        return None
    if client.client_auth in {"none", "tls"}:
        return client.client_auth
    if facts.auth == "client_post":
        return "post"
    return "basic_raw" if client.client_auth == "basic_raw" else "basic"
