"""A token is given back (RFC 7009, or the provider's own request)."""

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

    A token that the provider does not know is dead too (RFC 7009 §2.2).  After `failed` it must be taken for alive: a limit,
    a 5xx, a page, and an error under a status of success are no revocation.  Never raises for anything a server can send.
    """
    facts = client.method.revoke
    if facts is None:
        return "failed"
    body = find_json_object(response.body)
    if response.status >= 500 or is_rate_limited(client.provider.rate_limit, response, body):
        return "failed"
    if _is_unknown(facts, response.status, body):
        return "revoked"
    if response.status in facts.statuses and not _says_error(response, body) and all(test.holds(body) for test in facts.success):
        return "revoked"
    # With a token as the proof of who asks, a dead token is refused like at any other call.
    places = {"token", "api"} if facts.auth == "bearer" else {"token"}
    for rule in client.provider.error_rules:
        if rule.at in places and rule.fits(method_id=client.method.id, status=response.status, body=body):
            # A status alone may speak of the application's credentials.
            return "revoked" if rule.class_ in _GONE and (rule.path is not None or facts.auth == "bearer") else "failed"
    return "failed"


def _is_unknown(facts: Revoke, status: int, body: dict[str, Any] | None) -> bool:
    # `invalid_token`: the server says what RFC 7009 §2.2 has it answer with 200.
    if status in facts.gone_statuses:
        return True
    return body is not None and (body.get("error") == "invalid_token" or any(test.holds(body) for test in facts.gone))


def _says_error(response: HttpResponse, body: dict[str, Any] | None) -> bool:
    """Whether an answer with a status of success is an error, or a page that stands in the place of the answer."""
    if body is not None:
        # Of an answer that says two things at once nobody knows which holds, and a receipt must be true.
        no = any(body.get(name) is False for name in ("success", "ok")) or UNREADABLE in body.values()
        return no or bool(body.get("error") or body.get("errors"))
    text = read_text(response.body).lower()
    # What begins like a page, an object or a list and cannot be read is not understood.  Form-encoded errors came from early drafts.
    begins_badly = text.startswith(("<", "{", "[", "error", '"error', "false")) and text != "[]"
    return begins_badly or "&error=" in text


def _client_auth(client: Client, facts: Revoke) -> ClientAuth | None:
    if facts.param == "token" and "auth" not in facts.model_fields_set:
        # RFC 7009 §2.1: as at the token endpoint.  A request of the provider's own keeps its own way.
        return client.client_auth
    if facts.auth in {"bearer", "none"}:
        return None
    if client.client_auth == "none":
        return "none"
    if facts.auth == "client_post":
        return "post"
    return "basic_raw" if client.client_auth == "basic_raw" else "basic"
