"""The meaning of a failed request for a token, as a value of `domain.outcome`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any, Literal

from cloud_integrations.domain.outcome import Misconfigured, NotProcessed, Refused, Rejected, TokenFailure, Unknown, UnknownReason
from cloud_integrations.domain.provider import ErrorClass, Provider
from cloud_integrations.domain.secret import Secret

from .http import HttpResponse, find_path
from .rate_limit import is_rate_limited, read_wait

_ERRORS: Mapping[str, TokenFailure] = {
    "invalid_grant": Refused("invalid_grant"),
    # From OpenID Connect Core 1.0 §3.1.2.6; some token endpoints send them if the user must sign in again.
    "consent_required": Refused("consent_required"),
    "login_required": Refused("login_required"),
    "interaction_required": Refused("interaction_required"),
    "account_selection_required": Refused("account_selection_required"),
    "invalid_client": Misconfigured("invalid_client"),
    "unauthorized_client": Misconfigured("unauthorized_client"),
    "invalid_scope": Rejected("invalid_scope"),
    "invalid_request": Rejected("invalid_request"),
    "unsupported_grant_type": Rejected("unsupported_grant_type"),
    "temporarily_unavailable": NotProcessed("temporarily_unavailable"),
    "slow_down": NotProcessed("slow_down"),
    # RFC 9449 §8, where the nonce could not be taken up.
    "use_dpop_nonce": NotProcessed("retry"),
    "server_error": Unknown("unknown_error"),
}
"""The meaning of the error codes of RFC 6749 §5.2 and related standards; any other code only refuses this request."""

_PROSE = ("error_description", "error.message", "error_message", "message", "errorMessage", "ErrorResponse.Error.Message", "Error.Message")
"""The paths of a provider's error text; the last two are those of XML errors of AWS and compatible services."""
_NOT_ACTED_ON = {407, 408, 421, 425}
"""Statuses that a server or a proxy answers with before anything is done (RFC 9110 §15.5, RFC 8470 §5.2)."""
_GATEWAY = {502, 504}
"""Statuses of a gateway that gave up waiting; the server behind it may still be processing the request."""

_CLASSES: Mapping[ErrorClass, TokenFailure] = {
    "reauthorize": Refused("invalid_grant"),
    "dead": Refused("grant_dead"),
    "restart": Refused("code_refused"),
    "denied": Rejected("denied"),
    "clock_skew": Misconfigured("clock_skew"),
    "wrong_region": Rejected("wrong_region"),
    "narrowing": Rejected("narrowing"),
    "client_refused": Misconfigured("client_refused"),
    "platform_config": Misconfigured("platform_config"),
    "retry": NotProcessed("retry"),
    "wait": NotProcessed("retry"),
    "renew": Unknown("unknown_error"),
}
"""The meaning of the classes of a provider's `error_rules`, for a token answer."""


def read_failure(
    provider: Provider,
    response: HttpResponse,
    body: dict[str, Any] | None,
    /,
    *,
    at: Literal["token", "mint"],
    method_id: str,
    tokens: Iterable[str],
    now: datetime,
    renewal: bool,
) -> TokenFailure:
    """Return the meaning of an answer that is no success.

    *body* are its members, None if they could not be read; *at* selects the provider's `error_rules`; *tokens* are the paths of
    possible tokens.  *renewal*: the request did not spend a code.  Never raises.
    """
    limits = provider.rate_limit
    if is_rate_limited(limits, response, body):
        return NotProcessed("rate_limited", read_wait(limits, response, body, now=now))
    outcome = _classify(provider, response, body, at=at, method_id=method_id, tokens=tokens, renewal=renewal)
    if renewal and outcome == Refused("code_refused"):
        # `restart` is about codes; a refresh token is given up only if the provider says clearly that it is dead.
        outcome = Rejected("unknown_error")
    said = _read_prose(body)
    if isinstance(outcome, Refused | Misconfigured):
        return replace(outcome, said=said)
    return replace(outcome, said=said, retry_after=read_wait(limits, response, body, now=now))


def _classify(
    provider: Provider,
    response: HttpResponse,
    body: dict[str, Any] | None,
    /,
    *,
    at: Literal["token", "mint"],
    method_id: str,
    tokens: Iterable[str],
    renewal: bool,
) -> TokenFailure:
    status = response.status
    for rule in provider.error_rules:
        # After a 5xx the outcome is unknown, unless a rule names exactly that status.
        if rule.at == at and (status < 500 or rule.status is not None) and rule.fits(method_id=method_id, status=status, body=body):
            return _CLASSES[rule.class_]
    if status >= 500:
        return Unknown("server_error", over=status not in _GATEWAY)
    if 300 <= status < 400:
        return Unknown("redirect")
    if body is not None and (error := body.get("error")):
        failure = _ERRORS.get(error) if isinstance(error, str) else None
        failure = failure or Rejected("unknown_error")
        # If the answer also has something like a token, the request may have been processed.
        return Unknown("unknown_error") if isinstance(failure, Rejected) and any(find_path(body, path) for path in tokens) else failure
    return _read_wordless(response, body, renewal=renewal)


def _read_wordless(response: HttpResponse, body: dict[str, Any] | None, *, renewal: bool) -> TokenFailure:
    status = response.status
    if status in _NOT_ACTED_ON:
        return NotProcessed("retry")
    if status >= 400 and renewal:
        # The server, or a firewall before it, refused the request without a known error code.
        return Rejected("refused" if status in {401, 403} else "unexpected_status")
    if status in {401, 403} and (body is not None or not response.body.strip()):
        return Misconfigured("client_refused")
    reason: UnknownReason = "unknown_error" if status // 100 == 2 else "unexpected_status"
    return Unknown("unusable_body" if body is None else reason)


def _read_prose(body: dict[str, Any] | None) -> Secret | None:
    """Return the provider's error text (`error_description` of RFC 6749 §5.2), else its unknown error code; None: neither."""
    error = (body or {}).get("error")
    found = (find_path(body, path) for path in _PROSE)
    prose = next((text for text in found if isinstance(text, str) and text), None)
    if prose is None and isinstance(error, str) and error and error not in _ERRORS:
        prose = error
    return None if prose is None else Secret(prose)
