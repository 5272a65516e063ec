"""Check a credential by a read-only request to its provider."""

from __future__ import annotations

import base64
import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from cloud_integrations.domain.check import CheckOutcome
from cloud_integrations.domain.credential import Presented
from cloud_integrations.domain.integration import AccountFacts
from cloud_integrations.domain.provider import ErrorClass, Method, Provider, Verification, fill_all
from cloud_integrations.domain.secret import Secret
from cloud_integrations.domain.signing import Unsigned
from cloud_integrations.protocol.http import (
    HttpRequest,
    HttpResponse,
    find_json_members,
    find_json_object,
    find_path,
    merge_headers,
    read_text,
)
from cloud_integrations.protocol.rate_limit import is_rate_limited, read_wait
from cloud_integrations.protocol.shown_request import build_shown, public_inputs
from cloud_integrations.protocol.token_answer import read_time
from cloud_integrations.protocol.xml_body import find_xml_object, is_xml_page

MAX_IDENTITY = 255
"""The longest account id or label that is kept, in characters."""

_ACCEPTS = {"json": "application/json", "xml": "application/xml, text/xml"}
_MEANS: Mapping[ErrorClass, CheckOutcome] = {
    "renew": "dead",
    "reauthorize": "dead",
    "dead": "dead",
    "denied": "alive_but_denied",
    "clock_skew": "clock_skew",
    "wrong_region": "wrong_region",
    "retry": "unknown",
    "wait": "unknown",
    "restart": "unknown",
    "client_refused": "unknown",
    "platform_config": "unknown",
    "narrowing": "unknown",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckResult:
    """What the answer to a check says about a credential."""

    outcome: CheckOutcome
    """`unknown` is no verdict: an outage, a rate limit or an unknown answer never ends an integration."""
    account: AccountFacts = field(default_factory=AccountFacts)
    retry_after: timedelta | None = None
    """How long the provider asks to wait, if there is no verdict; None: it does not say."""
    expires_at: datetime | None = None
    """When the key that was checked ends; None: the answer does not say."""

    @property
    def accepted(self) -> bool:
        """Whether the provider accepts the credential, even if it may not do what the check asks for."""
        return self.outcome in {"alive", "alive_but_denied"}


def find_check(provider: Provider, method: Method, /, *, variables: Mapping[str, str]) -> Verification | None:
    """Return the first check of *provider* that is for *method* and whose variables all have values; None if there is none."""
    for check in provider.verifications:
        if check.for_methods and method.id not in check.for_methods:
            continue
        entered = {name for each in method.inputs for name in each.public_names}
        if all(variables.get(name) for name in (*check.needs, *check.places) if name not in entered):
            return check
    return None


def build_check(
    provider: Provider,
    method: Method,
    check: Verification,
    /,
    *,
    presented: Presented,
    variables: Mapping[str, str],
    private_servers: Collection[str] = (),
) -> HttpRequest:
    """Return the request of *check*, with the credential *presented*.

    *private_servers* are the origins of tenants' servers that may have a private address; the operator has listed them.
    Raises `ValidationFailedError` if a part that a template names is missing.
    """
    headers = {"Accept": _ACCEPTS[check.format]}
    body = (check.body or "").encode()
    if check.fields:
        known = {**variables, **public_inputs(method, presented)}
        headers["Content-Type"] = "application/json"
        body = json.dumps(fill_all(check.fields, known)).encode()
    return build_shown(
        provider,
        method,
        check.method,
        check.url,
        headers=merge_headers(headers, check.headers),
        body=body,
        presented=presented,
        variables=variables,
        private_servers=private_servers,
        options=check.options,
    )


def answer_challenge(request: HttpRequest, response: HttpResponse, /, *, presented: Presented, again: bool) -> HttpRequest | None:
    """Return *request* with the answer to what *response* asks for (RFC 7616, RFC 9449 §9); None: it asks for nothing.

    *again*: the request holds an answer already, which *response* refuses.
    """
    if response.status != 401:
        return None
    sent = Unsigned(method=request.method, url=request.url, body=request.body)
    headers = presented.repeat(sent, response.headers, again=again)
    return None if headers is None else replace(request, headers=merge_headers(request.headers, headers))


def read_check(
    provider: Provider,
    method: Method,
    check: Verification,
    response: HttpResponse,
    /,
    *,
    presented: Presented,
    variables: Mapping[str, str],
    now: datetime,
    shown: bool = True,
) -> CheckResult:
    """Read the answer to *check*: whether the provider accepts the credential, and whose account it is.

    A rate limit is no verdict.  Otherwise the provider's error rules decide, then the status, then the tests of success.
    *presented* is the credential that the check was built with; it is used only if an identity is a claim of the token.
    *shown* is false if the request did not show the credential, because no challenge asked for it: then there is no verdict.
    """
    body = read_body(check, response)
    if not shown or is_rate_limited(provider.rate_limit, response, body):
        outcome: CheckOutcome = "unknown"
    else:
        outcome = _verdict(provider, method, check, response, body)
    wait = read_wait(provider.rate_limit, response, body, now=now) if outcome == "unknown" else None
    if outcome != "alive" or response.status not in check.statuses:
        return CheckResult(outcome=outcome, retry_after=wait)
    found = find_account(method, check, response, body, presented=presented, variables=variables)
    parts = [found[path] for path in check.identity]
    label = next((found[path] for path in check.label if found[path]), None)
    account = AccountFacts(account_id="/".join(parts) if parts and parts[0] else None, label=label)
    ends = None if check.expires is None else read_time(find_path(body, check.expires.path), check.expires.encoding, sent_at=now)
    return CheckResult(outcome=outcome, account=account, expires_at=ends)


def find_account(
    method: Method,
    check: Verification,
    response: HttpResponse,
    body: dict[str, Any] | None,
    /,
    *,
    presented: Presented,
    variables: Mapping[str, str],
) -> dict[str, str]:
    """Return the text at each path of the account's id and label in an answer to *check*; empty where there is none.

    *body* is what `read_body` reads in the answer.
    """
    known = {**variables, **public_inputs(method, presented)}
    token = next(iter(presented.parts.values())).reveal()
    sources = _Sources(body=body, headers=response.headers, variables=known, token=token)
    return {path: sources.find(path) for path in (*check.identity, *check.label)}


def read_body(check: Verification, response: HttpResponse, /) -> dict[str, Any] | None:
    """Return the body of an answer to *check*, in the form that the check names; None if it is not in that form."""
    if check.format == "json":
        return find_json_members(response.body) if _reads_list(check) else find_json_object(response.body)
    return find_xml_object(response)


def _reads_list(check: Verification) -> bool:
    """Return whether a path of *check* begins with a position: then the answer is a list."""
    paths = [path.removeprefix("json:") for path in (*check.identity, *check.label)] + [test.path for test in check.success]
    return any(path.partition(".")[0].isdigit() for path in paths)


def _verdict(provider: Provider, method: Method, check: Verification, response: HttpResponse, body: dict[str, Any] | None) -> CheckOutcome:
    for rule in provider.error_rules:
        # As at the token endpoint: after a 5xx, only a rule for that status is believed.
        if rule.status is None and response.status >= 500:
            continue
        if rule.at == "verify" and rule.fits(method_id=method.id, status=response.status, body=body):
            return _MEANS[rule.class_]
    if response.status not in check.statuses:
        return check.status_rules.get(response.status, "unknown")
    if _is_page(check, response, body):
        return "unknown"
    wants_body = bool(check.success) or any(path.startswith("json:") for path in (*check.identity, *check.label))
    if wants_body and (body is None or not all(test.holds(body) for test in check.success)):
        return "unknown"
    return "alive"


def _is_page(check: Verification, response: HttpResponse, body: dict[str, Any] | None) -> bool:
    """Whether the answer is a web page, which a proxy or a sign-in sends with a status of success."""
    if check.format == "xml" and body is not None:
        return is_xml_page(body)
    return read_text(response.body).lstrip().lower().startswith(("<!doctype html", "<html"))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sources:
    """The sources of an account's id and label: the answer, the variables and the token."""

    body: dict[str, Any] | None
    headers: Mapping[str, str]
    variables: Mapping[str, str]
    token: str = field(repr=False)

    def find(self, path: str, /) -> str:
        """Return the text at `json:…`, `header:…`, `ctx:…` or `claim:…`; empty if there is none."""
        place, _, name = path.partition(":")
        value: Any
        match place:
            case "json":
                value = find_path(self.body, name)
            case "header":
                value = self.headers.get(name.lower())
            case "claim":
                value = find_path(_claims(self.token), name)
            case _:
                value = self.variables.get(name)
        return read_identity(value)


def read_identity(value: Any, /) -> str:
    """Return *value* as the text of an id or a label; empty if it is none.

    A number can be an id; a truth value, an object or a list cannot.
    """
    if isinstance(value, bool) or not isinstance(value, str | int):
        return ""
    text = str(value).strip()
    return text if text.isprintable() and len(text) <= MAX_IDENTITY else ""


def find_claim(token: Secret, path: str, /) -> str:
    """Return the text at a dotted *path* in the claims of a JWT that the provider has just issued; empty if there is none."""
    return read_identity(find_path(_claims(token.reveal()), path))


def _claims(token: str) -> dict[str, Any] | None:
    """Return the claims of a JWT (RFC 7519 §3); None if *token* is none.

    The signature is not checked, because the provider has just accepted this token.
    """
    parts = token.split(".")
    if len(parts) != 3:
        return None
    try:
        claims = base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4))
    except ValueError:
        return None
    return find_json_object(claims)
