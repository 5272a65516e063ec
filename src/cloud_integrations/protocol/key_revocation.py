"""End a key that the tenant pasted, by its provider's own request."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Literal
from urllib.parse import urlencode

from cloud_integrations.domain.credential import Presented
from cloud_integrations.domain.provider import IDENTITY, KeyRevocation, Method, Present, Provider, fill, places

from .http import HttpRequest, HttpResponse, find_json_object, merge_headers
from .rate_limit import is_rate_limited
from .revoke import says_error
from .shown_request import build_shown, public_inputs
from .xml_body import find_xml_object, is_xml_page


def build_key_revocation(
    provider: Provider,
    method: Method,
    facts: KeyRevocation,
    /,
    *,
    presented: Presented,
    variables: Mapping[str, str],
    identity: str | None,
    private_servers: Collection[str] = (),
) -> HttpRequest | None:
    """Return the request that ends the key; None if its URL needs an *identity*, the account id, that is not known.

    Raises `ValidationFailedError` if a part that a template names is missing.
    """
    if identity is None and IDENTITY in places(facts.url):
        return None
    body, headers = b"", {"Accept": "application/json"}
    if facts.fields:
        known = {**variables, **public_inputs(method, presented)}
        body = urlencode({name: fill(template, known) for name, template in facts.fields.items()}).encode()
        headers["Content-Type"] = "application/x-www-form-urlencoded"
    if facts.listed_in is not None:
        body = json.dumps({facts.listed_in: [next(iter(presented.parts.values())).reveal()]}).encode()
        headers["Content-Type"] = "application/json"
        connection = Present(certificate=presented.present.certificate, trust=presented.present.trust)
        presented = replace(presented, present=connection, signer=None)
    return build_shown(
        provider,
        method,
        facts.method,
        facts.url,
        headers=merge_headers(headers, facts.headers),
        body=body,
        presented=presented,
        variables=dict(variables) if identity is None else {**variables, IDENTITY: identity},
        private_servers=private_servers,
        options=facts.options,
    )


def read_key_revocation(provider: Provider, facts: KeyRevocation, response: HttpResponse, /) -> Literal["revoked", "unsupported", "failed"]:
    """Return `revoked` if the key is certainly dead, `unsupported` if this request does not end it, else `failed`.

    A rate limit, a 5xx, a web page and an error with a status of success are no revocation.  Never raises, whatever a server sends.
    """
    body = find_json_object(response.body) if facts.format == "json" else find_xml_object(response)
    if response.status >= 500 or is_rate_limited(provider.rate_limit, response, body):
        return "failed"
    if response.status in facts.gone_statuses:
        return "revoked"
    if response.status in facts.unsupported_statuses:
        return "unsupported"
    is_page = body is not None and facts.format == "xml" and is_xml_page(body)
    return "revoked" if response.status in facts.statuses and not is_page and not says_error(response, body) else "failed"
