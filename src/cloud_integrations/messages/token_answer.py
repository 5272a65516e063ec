"""A token endpoint's answer, read strictly (RFC 6749 §5)."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl

from cloud_integrations.domain.credential import Grant
from cloud_integrations.domain.provider import ErrorClass
from cloud_integrations.domain.secret import Secret
from cloud_integrations.errors import ValidationFailedError

from .client import Client
from .http import MAX_BODY, HttpResponse, UnusableBodyError, find_path, read_json_object
from .limits import is_rate_limited, read_wait
from .outcome import Granted, Misconfigured, NotProcessed, Refused, Rejected, TokenOutcome, Unknown
from .scopes import is_scope

MAX_TOKEN = 16 * 1024
MAX_LIFETIME = timedelta(days=3653)
"""Ten years; what claims to live longer is not believed."""

_FORM = "application/x-www-form-urlencoded"
_VISIBLE = re.compile(r"[!-~]+\Z")
_NUMBER = re.compile(r"[0-9]{1,16}(?:\.[0-9]{1,9})?\Z")

_Failure = Refused | Rejected | NotProcessed | Misconfigured | Unknown
_ERRORS: Mapping[str, _Failure] = {
    "invalid_grant": Refused("invalid_grant"),
    # OpenID Connect Core 1.0 §3.1.2.6, said here by servers that want the user to come back.
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
    "server_error": Unknown("unknown_error"),
}
"""What RFC 6749 §5.2 and its kin mean; any other code says only that this request was refused."""

_NOT_ACTED_ON = {407, 408, 421, 425}
"""Statuses that a server or a proxy answers with before anything is done (RFC 9110 §15.5, RFC 8470 §5.2)."""
_GATEWAY = {502, 504}
"""Somebody between gave up waiting; the server behind may be at it still."""

_CLASSES: Mapping[ErrorClass, _Failure] = {
    "reauthorize": Refused("invalid_grant"),
    "dead": Refused("grant_dead"),
    "restart": Refused("code_refused"),
    "denied": Rejected("denied"),
    "clock_skew": Misconfigured("clock_skew"),
    "wrong_region": Rejected("wrong_region"),
    "platform_config": Misconfigured("platform_config"),
    "retry": NotProcessed("retry"),
    "wait": NotProcessed("retry"),
    "renew": Unknown("unknown_error"),
}
"""What a provider's own rules mean here."""


def read_token_answer(client: Client, response: HttpResponse, /, *, now: datetime, renewal: bool) -> TokenOutcome:
    """Read the answer to an exchange or, with *renewal*, to a refresh.

    Never raises for anything a server can send.
    """
    unusable, body = _read_body(client, response)
    limits = client.provider.rate_limit
    if is_rate_limited(limits, response, body):
        return NotProcessed("rate_limited", read_wait(limits, response, body, now=now))
    if body is not None and _succeeded(client, response, body):
        try:
            return Granted(_read_grant(client, body, sent_at=response.sent_at or now, renewal=renewal))
        except UnusableBodyError:
            return Unknown("unusable_body")
    outcome = _read_failure(client, response, unusable, body, renewal=renewal)
    if renewal and outcome == Refused("code_refused"):
        # Only a code is begun anew; a refresh token is given up on clearer words.
        outcome = Rejected("unknown_error")
    said = _read_prose(body)
    if isinstance(outcome, Refused | Misconfigured):
        return replace(outcome, said=said)
    return replace(outcome, said=said, retry_after=read_wait(limits, response, body, now=now))


def _read_body(client: Client, response: HttpResponse) -> tuple[Unknown | None, dict[str, Any] | None]:
    # The first is what stands against the body, the second the body as far as it can be read.
    formats = client.method.reply.formats
    try:
        if response.content_type == "application/json" and "json" in formats:
            return None, read_json_object(response.body)
        if response.content_type == _FORM and "form" in formats:
            return None, _read_form(response.body)
    except UnusableBodyError:
        return Unknown("unusable_body"), None
    return Unknown("wrong_content_type"), None


def _read_form(body: bytes) -> dict[str, Any]:
    if len(body) > MAX_BODY:
        raise UnusableBodyError("the answer is too long")
    try:
        pairs = parse_qsl(body.decode("ascii"), keep_blank_values=True, strict_parsing=True, errors="strict", max_num_fields=50)
    except ValueError:
        raise UnusableBodyError("the answer is not form-encoded") from None
    if len(dict(pairs)) != len(pairs):
        raise UnusableBodyError("the answer names a field twice")
    return dict(pairs)


def _succeeded(client: Client, response: HttpResponse, body: Mapping[str, Any]) -> bool:
    reply = client.method.reply
    return response.status in reply.statuses and not body.get("error") and all(test.holds(body) for test in reply.success)


def _read_failure(
    client: Client, response: HttpResponse, unusable: Unknown | None, body: dict[str, Any] | None, *, renewal: bool
) -> _Failure:
    status = response.status
    for rule in client.provider.error_rules:
        # After a 5xx nothing is sure, unless the provider's rule speaks of that very status.
        if (
            rule.at == "token"
            and (status < 500 or rule.status is not None)
            and rule.fits(method_id=client.method.id, status=status, body=body)
        ):
            return _CLASSES[rule.class_]
    if status >= 500:
        return Unknown("server_error", over=status not in _GATEWAY)
    if 300 <= status < 400:
        return Unknown("redirect")
    if body is not None and (error := body.get("error")):
        failure = _ERRORS.get(error) if isinstance(error, str) else None
        failure = failure or Rejected("unknown_error")
        # Beside something that may be a token, such a word does not say that nothing was done.
        return Unknown("unknown_error") if isinstance(failure, Rejected) and _has_token(client, body) else failure
    return _read_wordless(client, response, unusable, body, renewal=renewal)


def _read_wordless(
    client: Client, response: HttpResponse, unusable: Unknown | None, body: dict[str, Any] | None, *, renewal: bool
) -> _Failure:
    status = response.status
    if status in _NOT_ACTED_ON:
        return NotProcessed("retry")
    if status >= 400 and renewal:
        # Somebody answered and refused, in words of their own or in none: a server, or a firewall before it.
        return Rejected("refused" if status in {401, 403} else "unexpected_status")
    if status in {401, 403} and (body is not None or not response.body.strip()):
        return Misconfigured("client_refused")
    return unusable or Unknown("unknown_error" if status in client.method.reply.statuses else "unexpected_status")


def _has_token(client: Client, body: dict[str, Any]) -> bool:
    names = client.method.reply.map
    return any(find_path(body, names.get(name, name)) for name in ("access_token", "refresh_token"))


def _read_prose(body: dict[str, Any] | None) -> Secret | None:
    """Return what the provider says to developers (RFC 6749 §5.2 `error_description`), or else the word that it uses."""
    error = (body or {}).get("error")
    found = (find_path(body, path) for path in ("error_description", "error.message", "error_message", "message"))
    prose = next((text for text in found if isinstance(text, str) and text), None)
    if prose is None and isinstance(error, str) and error and error not in _ERRORS:
        prose = error
    return None if prose is None else Secret(prose)


def _read_grant(client: Client, body: dict[str, Any], *, sent_at: datetime, renewal: bool) -> Grant:
    method = client.method

    def member(name: str) -> Any:
        return find_path(body, method.reply.map.get(name, name))

    _check_token_type(client, member("token_type"))
    access_token = _read_token(member("access_token"))
    if access_token is None:
        raise UnusableBodyError("the answer holds no access token")
    return Grant(
        access_token=access_token,
        refresh_token=_read_token(member("refresh_token")),
        expires_at=_read_expiry(client, body, sent_at=sent_at),
        scopes=_read_scopes(client, body),
        refresh_expires_at=_read_refresh_expiry(client, body, sent_at=sent_at),
        variables=_read_variables(client, body, renewal=renewal),
    )


def _check_token_type(client: Client, token_type: Any) -> None:
    reply = client.method.reply
    if token_type is None and not reply.token_type_required:
        return
    # RFC 6749 §7.1: a token of a type that is not understood must not be used.
    if not isinstance(token_type, str) or token_type.lower() not in {known.lower() for known in reply.token_types}:
        raise UnusableBodyError("the token is of an unknown type")


def _read_token(value: Any) -> Secret | None:
    if value is None or value == "":
        return None
    if not isinstance(value, str) or len(value) > MAX_TOKEN or not _VISIBLE.match(value):
        raise UnusableBodyError("the token is not text that a header can carry")
    return Secret(value)


def _read_expiry(client: Client, body: dict[str, Any], *, sent_at: datetime) -> datetime | None:
    facts, reply = client.method.access_token, client.method.reply
    value = find_path(body, facts.expiry_field or reply.map.get("expires_in", "expires_in"))
    if value is not None and not (facts.expires_in == "never" and value in (0, "0")):
        return _read_time(value, reply.encodings.get("expires_in", facts.expiry_encoding), sent_at=sent_at)
    if facts.expires_in == "never" or facts.assumed_lifetime is None:
        return None
    return sent_at + facts.assumed_lifetime


def _read_refresh_expiry(client: Client, body: dict[str, Any], *, sent_at: datetime) -> datetime | None:
    name = client.method.refresh_token.lifetime_field
    value = find_path(body, name) if name else None
    if value is None:
        return None
    expiry = _read_time(value, client.method.reply.encodings.get("refresh_token_expires_in", "seconds"), sent_at=sent_at)
    # Nobody issues a refresh token that is dead already: 0 stands for one without an end.
    return expiry if expiry > sent_at else None


def _read_time(value: Any, encoding: str, *, sent_at: datetime) -> datetime:
    try:
        if encoding == "iso8601":
            at = _read_date(value)
        else:
            number = _read_number(value)
            at = (
                sent_at + timedelta(seconds=number) if encoding == "seconds" else _EPOCH + timedelta(seconds=number / _PER_SECOND[encoding])
            )
    except (TypeError, ValueError, OverflowError):
        raise UnusableBodyError("a time in the answer cannot be read") from None
    if not sent_at <= at <= sent_at + MAX_LIFETIME:
        raise UnusableBodyError("a lifetime in the answer is absurd")
    return at


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_PER_SECOND = {"epoch_s": 1, "epoch_ms": 1000}


def _read_date(value: Any) -> datetime:
    at = datetime.fromisoformat(value)
    if at.tzinfo is None:
        raise ValueError("not in any time zone")
    return at.astimezone(UTC)


def _read_number(value: Any) -> float:
    # Numbers also come as text ("3600", "3599.5"); `True` is a number to Python alone.
    if isinstance(value, str) and _NUMBER.match(value):
        return float(value)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise TypeError("not a number")
    return float(value)


def _read_scopes(client: Client, body: dict[str, Any]) -> tuple[str, ...] | None:
    facts = client.method.scopes
    value = find_path(body, facts.reply_field)
    if value is None:
        return None
    if isinstance(value, str):
        value = [part.strip() for part in value.split(facts.reply_separator or facts.separator)]
    if not isinstance(value, list) or not all(isinstance(scope, str) and (not scope or is_scope(scope)) for scope in value):
        raise UnusableBodyError("the scopes cannot be read")
    return tuple(dict.fromkeys(filter(None, value)))


def _read_variables(client: Client, body: dict[str, Any], *, renewal: bool) -> dict[str, str]:
    found: dict[str, str] = {}
    for variable in client.provider.variables:
        if variable.source != "token_reply":
            continue
        value = find_path(body, client.method.reply.map.get(variable.name, variable.name))
        if value is None:
            if variable.required and variable.default is None and not renewal:
                raise UnusableBodyError("the answer lacks a variable")
            continue
        if isinstance(value, bool) or not isinstance(value, str | int):
            raise UnusableBodyError("a variable in the answer is not text")
        try:
            found[variable.name] = variable.check(str(value))
        except ValidationFailedError:
            raise UnusableBodyError("a variable in the answer is malformed") from None
    return found
