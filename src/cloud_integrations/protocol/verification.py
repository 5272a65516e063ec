"""Asking a provider whether a credential works, by its cheapest read-only request."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from cloud_integrations.domain.check import CheckOutcome
from cloud_integrations.domain.credential import Presented
from cloud_integrations.domain.integration import AccountFacts
from cloud_integrations.domain.provider import ErrorClass, Input, Method, Provider, Verification, fill, places
from cloud_integrations.domain.secret import Secret
from cloud_integrations.errors import ValidationFailedError
from cloud_integrations.protocol.http import HttpRequest, HttpResponse, find_json_object, find_path, merge_headers
from cloud_integrations.protocol.pasted_keys import clean, require_own
from cloud_integrations.protocol.rate_limit import is_rate_limited, read_wait

MAX_INPUT = 16 * 1024
"""The longest value that a tenant can enter, in characters."""
MAX_IDENTITY = 255
"""The longest account id or label that is kept, in characters."""

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
    "platform_config": "unknown",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckResult:
    """What the provider's answer says of a credential."""

    outcome: CheckOutcome
    """`unknown` is no verdict: an outage, a limit or an unheard-of answer never ends an integration."""
    account: AccountFacts = field(default_factory=AccountFacts)
    retry_after: timedelta | None = None
    """How long the provider asks us to wait, where there is no verdict."""

    @property
    def accepted(self) -> bool:
        """Whether the provider knows the credential, be it allowed little."""
        return self.outcome in {"alive", "alive_but_denied"}


def find_input_method(provider: Provider, methods: Sequence[Method], key: Secret, /, *, variables: Mapping[str, str]) -> Method:
    """Return the one of *methods* that *key* looks made for, else the first.

    Providers with several kinds of key (Cloudflare) mark them by their form; a way whose check lacks a variable is passed over.
    """
    for method in methods:
        main = _secret_inputs(method)[0]
        if main.looks_right(clean(key.reveal(), method, main)) and find_check(provider, method, variables=variables):
            return method
    return methods[0]


def name_inputs(method: Method, /, *, key: Secret, secret: Secret | None = None) -> dict[str, Secret]:
    """Give the key, and the secret that goes with it, the names that *method* has for them.

    Raises `ValidationFailedError` for a secret where the provider asks for a key alone.
    """
    asked = _secret_inputs(method)
    if secret is not None and len(asked) < 2:
        raise ValidationFailedError(field="credentials.secretKey", problem="is not used by this provider")
    return dict(zip((given.name for given in asked), (key,) if secret is None else (key, secret), strict=False))


def normalise(method: Method, inputs: Mapping[str, Secret | str], /) -> dict[str, Secret]:
    """Clean what a tenant pasted, by the rules of *method*, and refuse what no request could carry.

    White space, quotes and words around a value go.  A private key or a JSON file where none is asked for is refused.
    Raises `ValidationFailedError` that names the input and never repeats a value.
    """
    known = {given.name for given in method.inputs}
    if not inputs.keys() <= known:
        raise ValidationFailedError(field="credentials", problem="name an input that this provider does not ask for")
    cleaned: dict[str, Secret] = {}
    for expected in method.inputs:
        value = Secret(clean(_text(inputs.get(expected.name, "")), method, expected))
        if value:
            require_own(value, expected, field=f"credentials.{expected.name}")
            _require_sendable(value, expected)
            cleaned[expected.name] = value
        elif expected.required:
            raise ValidationFailedError(field=f"credentials.{expected.name}", problem="is required by this provider")
    return cleaned


def hints(method: Method, inputs: Mapping[str, Secret | str], /) -> tuple[str, ...]:
    """Say which inputs do not look as this provider's usually do.

    Formats change, so a hint warns and never refuses; it names the input and never repeats a value.
    """
    return tuple(
        f"{expected.label or expected.name} does not look like one of this provider"
        for expected in method.inputs
        if expected.name in inputs and not expected.looks_right(clean(_text(inputs[expected.name]), method, expected))
    )


def find_check(provider: Provider, method: Method, /, *, variables: Mapping[str, str]) -> Verification | None:
    """Return the first check of *provider* that fits *method* and whose variables are all known, or None."""
    for check in provider.verifications:
        if check.for_methods and method.id not in check.for_methods:
            continue
        if all(variables.get(name) for name in (*check.needs, *places(check.url))):
            return check
    return None


def build_check(
    provider: Provider, method: Method, check: Verification, /, *, presented: Presented, variables: Mapping[str, str]
) -> HttpRequest:
    """Build the request of *check* with the credential where *presented* shows it.

    Raises `ValidationFailedError` where a value that a placement needs is missing.
    """
    return HttpRequest(
        method=check.method,
        url=presented.show_in(fill(check.url, variables)),
        headers=merge_headers(
            {"Accept": "application/json"},
            check.headers,
            method.headers.get("api", {}),
            presented.headers() if "headers" in presented.forms else {},
        ),
        body=(check.body or "").encode(),
        provider_id=str(provider.provider_id),
        loopback=provider.loopback,
        private_host=provider.on_private_host(variables),
    )


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
) -> CheckResult:
    """Read the answer to *check*: whether the credential lives, and whose it is.

    A limit is no verdict.  The provider's own table of errors is asked next, then the tests of success, then the status.
    *presented* is what the check was built with; it is looked at only where an identity is a claim of the token.
    """
    body = find_json_object(response.body)
    if is_rate_limited(provider.rate_limit, response, body):
        outcome: CheckOutcome = "unknown"
    else:
        outcome = _verdict(provider, method, check, response, body)
    wait = read_wait(provider.rate_limit, response, body, now=now) if outcome == "unknown" else None
    if outcome != "alive" or response.status not in check.statuses:
        return CheckResult(outcome=outcome, retry_after=wait)
    sources = _Sources(body=body, headers=response.headers, variables=variables, token=next(iter(presented.parts.values())).reveal())
    parts = [sources.find(path) for path in check.identity]
    label = next((found for path in check.label if (found := sources.find(path))), None)
    return CheckResult(outcome=outcome, account=AccountFacts(account_id="/".join(parts) if parts and parts[0] else None, label=label))


def _verdict(provider: Provider, method: Method, check: Verification, response: HttpResponse, body: dict[str, Any] | None) -> CheckOutcome:
    for rule in provider.error_rules:
        if rule.at == "verify" and rule.fits(method_id=method.id, status=response.status, body=body):
            return _MEANS[rule.class_]
    if response.status not in check.statuses:
        return check.status_rules.get(response.status, "unknown")
    wants_body = bool(check.success) or any(path.startswith("json:") for path in (*check.identity, *check.label))
    if wants_body and (body is None or not all(test.holds(body) for test in check.success)):
        return "unknown"
    return "alive"


def _secret_inputs(method: Method) -> list[Input]:
    return [given for given in method.inputs if given.secret]


def _text(value: Secret | str) -> str:
    return value.reveal() if isinstance(value, Secret) else value


def _require_sendable(value: Secret, expected: Input) -> None:
    problem = _find_problem(value.reveal(), expected)
    if problem is not None:
        raise ValidationFailedError(field=f"credentials.{expected.name}", problem=problem)


def _find_problem(text: str, expected: Input) -> str | None:
    if len(text) > MAX_INPUT:
        return "is too long"
    # A line break inside a header's value would begin another header.
    if not expected.multiline and not (text.isascii() and text.isprintable()):
        return "must be one line of visible ASCII characters"
    if " " in text and not (expected.multiline or expected.spaces):
        return "must not hold spaces; enter the value alone"
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sources:
    """Where an account's identity and label can stand."""

    body: dict[str, Any] | None
    headers: Mapping[str, str]
    variables: Mapping[str, str]
    token: str = field(repr=False)

    def find(self, path: str, /) -> str:
        """Return the text at `json:…`, `header:…`, `ctx:…` or `claim:…`; empty where there is none."""
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
        # Numbers are ids too; a truth value, an object or a list is none.
        if isinstance(value, bool) or not isinstance(value, str | int):
            return ""
        text = str(value).strip()
        return text if text.isprintable() and len(text) <= MAX_IDENTITY else ""


def _claims(token: str) -> dict[str, Any] | None:
    """Return the claims of a JWT (RFC 7519 §3), or None.

    No signature is checked: the provider itself has just accepted this very token.
    """
    parts = token.split(".")
    if len(parts) != 3:
        return None
    try:
        claims = base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4))
    except ValueError:
        return None
    return find_json_object(claims)
