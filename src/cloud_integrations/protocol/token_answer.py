"""A token endpoint's answer (RFC 6749 §5), read in two steps.

First, which tokens can be read; then, what is known of them.  The second never undoes the first: what cannot be read beside
a token is left unknown, and named in the outcome, because the request has been spent and nobody gives the token again.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Literal
from urllib.parse import unquote, unquote_plus

from cloud_integrations.domain.credential import Grant
from cloud_integrations.domain.outcome import (
    Granted,
    Misconfigured,
    NotProcessed,
    Refused,
    Rejected,
    TokenFailure,
    TokenOutcome,
    Unknown,
    UnknownReason,
    UnreadMember,
    Unusable,
)
from cloud_integrations.domain.provider import ErrorClass, Variable
from cloud_integrations.domain.secret import Secret
from cloud_integrations.errors import ValidationFailedError

from .client import Client
from .http import MAX_TOKEN_BODY, HttpResponse, UnusableBodyError, find_path, join_members, read_json_object, read_text
from .rate_limit import is_rate_limited, read_wait
from .scopes import is_scope

MAX_TOKEN: Final = 32 * 1024
"""The longest token that is kept, in characters; sealing takes 48 KiB."""
MAX_LIFETIME: Final = timedelta(days=3653)
"""Ten years; what claims to live longer is not believed."""
_TELLING: Final = 16
"""Shorter texts stand in others by chance."""
UNKNOWN_LIFETIME: Final = timedelta(minutes=5)
"""How long a token is used whose lifetime cannot be read, where the provider's data assumes none."""

_FORM = "application/x-www-form-urlencoded"
_PAIRS = re.compile(r"[^\s<>\"'{}\[\]\\=&]+=[^\s<>\"{}\[\]\\]*\Z")
"""What looks like a form without being declared as one; no sentence, page or JSON value does."""
_VISIBLE = re.compile(r"[!-~]+\Z")
_NUMBER = re.compile(r"\s*([0-9]{1,16}(?:\.[0-9]{1,9})?)\s*(?:s|secs?|seconds?)?\s*\Z", re.ASCII | re.IGNORECASE)

_ERRORS: Mapping[str, TokenFailure] = {
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

_CLASSES: Mapping[ErrorClass, TokenFailure] = {
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
    body = _read_body(client, response)
    answer = _Answer(client=client, body=body or {}, sent_at=response.sent_at or now, renewal=renewal)
    tokens = answer.tokens()
    failure: TokenFailure = Unknown("unusable_body")
    if body is not None and _succeeded(client, response, body):
        grant = answer.grant(tokens)
        if grant is not None:
            return Granted(grant, tuple(answer.unread))
    else:
        failure = _failed(client, response, body, now=now, renewal=renewal)
    return _unusable(answer, tokens, failure)


def _failed(client: Client, response: HttpResponse, body: dict[str, Any] | None, *, now: datetime, renewal: bool) -> TokenFailure:
    limits = client.provider.rate_limit
    if is_rate_limited(limits, response, body):
        return NotProcessed("rate_limited", read_wait(limits, response, body, now=now))
    outcome = _read_failure(client, response, body, renewal=renewal)
    if renewal and outcome == Refused("code_refused"):
        # Only a code is begun anew; a refresh token is given up on clearer words.
        outcome = Rejected("unknown_error")
    said = _read_prose(body)
    if isinstance(outcome, Refused | Misconfigured):
        return replace(outcome, said=said)
    return replace(outcome, said=said, retry_after=read_wait(limits, response, body, now=now))


def _unusable(answer: _Answer, tokens: ReadTokens, failure: TokenFailure, /) -> TokenOutcome:
    """Say what becomes of tokens that came and may not be used."""
    if not answer.renewal:
        found = tokens.all()
        return Unusable(failure, tokens=found) if found else failure
    # Not to use a token is not to lose one: the refresh token that was sent may be spent.  Where the provider says that
    # the grant is dead, or that nothing was done, the one that is held is as good or as bad as before.
    if tokens.refresh is not None and isinstance(failure, Misconfigured | Rejected | Unknown):
        return Unusable(failure, refresh_token=tokens.refresh, refresh_expires_at=answer.refresh_expiry(), tokens=tokens.all())
    return failure


def _read_body(client: Client, response: HttpResponse) -> dict[str, Any] | None:
    """Read what the body looks like; the content type is a hint (OAU-035).  None: neither a JSON object nor a form."""
    declared = response.headers.get("content-type", "")
    try:
        return read_json_object(response.body, content_type=declared, limit=MAX_TOKEN_BODY)
    except UnusableBodyError:
        pass
    if len(response.body) > MAX_TOKEN_BODY:
        return None
    text = read_text(response.body, content_type=declared)
    is_form = _PAIRS.match(text) or (response.content_type == _FORM and "=" in text and text[0] not in '<{["')
    return _read_form(client, text) if is_form else None


def _read_form(client: Client, text: str) -> dict[str, Any]:
    named = client.method.reply.map
    tokens = {named.get(name, name) for name in ("access_token", "refresh_token")}
    pairs: list[tuple[str, str]] = []
    for pair in text.split("&"):
        name, _, value = pair.partition("=")
        name = unquote_plus(name, errors="surrogateescape")
        # No token holds a space, so a bare plus in one is a plus that the server forgot to escape.
        pairs.append((name, (unquote if name in tokens else unquote_plus)(value, errors="surrogateescape")))
    return join_members(pairs)


def _succeeded(client: Client, response: HttpResponse, body: Mapping[str, Any]) -> bool:
    return response.status // 100 == 2 and not body.get("error") and all(test.holds(body) for test in client.method.reply.success)


def _read_failure(client: Client, response: HttpResponse, body: dict[str, Any] | None, *, renewal: bool) -> TokenFailure:
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
    return _read_wordless(response, body, renewal=renewal)


def _read_wordless(response: HttpResponse, body: dict[str, Any] | None, *, renewal: bool) -> TokenFailure:
    status = response.status
    if status in _NOT_ACTED_ON:
        return NotProcessed("retry")
    if status >= 400 and renewal:
        # Somebody answered and refused, in words of their own or in none: a server, or a firewall before it.
        return Rejected("refused" if status in {401, 403} else "unexpected_status")
    if status in {401, 403} and (body is not None or not response.body.strip()):
        return Misconfigured("client_refused")
    reason: UnknownReason = "unknown_error" if status // 100 == 2 else "unexpected_status"
    return Unknown("unusable_body" if body is None else reason)


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


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadTokens:
    """The first step: the tokens that can be read."""

    access: Secret | None
    refresh: Secret | None

    def all(self) -> tuple[tuple[Literal["refresh", "access"], Secret], ...]:
        """Return them with their kinds, the refresh token first."""
        named: tuple[tuple[Literal["refresh", "access"], Secret | None], ...] = (("refresh", self.refresh), ("access", self.access))
        return tuple((kind, token) for kind, token in named if token is not None)

    def show_in(self, text: str) -> bool:
        """Whether *text*, which would be kept in the open, holds a token: it stands for itself then, and is not read."""
        revealed = [token.reveal() for _, token in self.all()]
        return any(token == text or (len(token) >= _TELLING and token in text) for token in revealed)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Answer:
    """An answer's members, and the names of those that cannot be read."""

    client: Client
    body: Mapping[str, Any] = field(repr=False)
    sent_at: datetime
    renewal: bool
    unread: list[UnreadMember] = field(default_factory=list)

    def member(self, name: str) -> Any:
        return find_path(self.body, self.client.method.reply.map.get(name, name))

    def tokens(self) -> ReadTokens:
        return ReadTokens(access=read_token(self.member("access_token")), refresh=read_token(self.member("refresh_token")))

    def grant(self, tokens: ReadTokens) -> Grant | None:
        """The second step: what is known of the tokens.  None: no access token that may be used."""
        variables = self.variables(tokens)
        if tokens.access is None or variables is None or not self.is_of_known_type():
            return None
        if tokens.refresh is None and self.member("refresh_token") not in (None, ""):
            self.unread.append("refresh_token")
        return Grant(
            access_token=tokens.access,
            refresh_token=tokens.refresh,
            expires_at=self.expiry(),
            scopes=self.scopes(tokens),
            refresh_expires_at=self.refresh_expiry(),
            variables=variables,
        )

    def is_of_known_type(self) -> bool:
        token_type = self.member("token_type")
        if not isinstance(token_type, str) or not token_type.strip():
            # The exchange's type stays, which was one of these; at an exchange it is bearer.
            self.unread.append("token_type")
            return True
        # RFC 6749 §7.1: a token of a type that is not understood must not be used.
        return token_type.strip().lower() in {"bearer", *(known.lower() for known in self.client.method.reply.token_types)}

    def expiry(self) -> datetime | None:
        facts, reply = self.client.method.access_token, self.client.method.reply
        value = find_path(self.body, facts.expiry_field or reply.map.get("expires_in", "expires_in"))
        never = facts.expires_in == "never"
        if value is None:
            return None if never or facts.assumed_lifetime is None else self.sent_at + facts.assumed_lifetime
        at = _read_time(value, reply.encodings.get("expires_in", facts.expiry_encoding), sent_at=self.sent_at)
        if at is not None and not (never and at == self.sent_at):
            return at
        if at is None:
            self.unread.append("expires_in")
        # Where tokens never end, a lifetime of 0 says just that.
        return None if never else self.sent_at + (facts.assumed_lifetime or UNKNOWN_LIFETIME)

    def refresh_expiry(self) -> datetime | None:
        name = self.client.method.refresh_token.lifetime_field
        value = find_path(self.body, name) if name else None
        if value is None:
            return None
        encoding = self.client.method.reply.encodings.get("refresh_token_expires_in", "seconds")
        expiry = _read_time(value, encoding, sent_at=self.sent_at)
        if expiry is None:
            self.unread.append("refresh_token_expires_in")
            return None
        # Nobody issues a refresh token that is dead already: 0 stands for one without an end.
        return expiry if expiry > self.sent_at else None

    def scopes(self, tokens: ReadTokens) -> tuple[str, ...] | None:
        facts = self.client.method.scopes
        value = find_path(self.body, facts.reply_field)
        if value is None:
            return None
        if isinstance(value, str):
            value = [part.strip() for part in value.split(facts.reply_separator or facts.separator)]
        if not isinstance(value, list) or not all(
            isinstance(scope, str) and (not scope or is_scope(scope)) and not tokens.show_in(scope) for scope in value
        ):
            self.unread.append("scope")
            return None
        # RFC 6749 §3.3: a list of scopes has at least one, so an empty one says nothing.
        return tuple(dict.fromkeys(filter(None, value))) or None

    def variables(self, tokens: ReadTokens) -> dict[str, str] | None:
        """None: without one of them nobody knows where the tokens are to be used."""
        found: dict[str, str] = {}
        for variable in self.client.provider.variables:
            if variable.source != "token_reply":
                continue
            value = self.member(variable.name)
            text = read_variable(variable, value)
            if text is not None and not tokens.show_in(text):
                found[variable.name] = text
            elif variable.required and variable.default is None and not self.renewal:
                return None
            elif value is not None and "variables" not in self.unread:
                self.unread.append("variables")
        return found


def read_token(value: Any, /) -> Secret | None:
    """OAU-038: text that a header can carry, taken as it is."""
    if not isinstance(value, str) or len(value) > MAX_TOKEN or not _VISIBLE.match(value):
        return None
    return Secret(value)


def read_variable(variable: Variable, value: Any, /) -> str | None:
    """Return the text of a variable that the answer fills, or None."""
    if isinstance(value, bool) or not isinstance(value, str | int):
        return None
    try:
        return variable.check(str(value))
    except ValidationFailedError:
        return None


def _read_time(value: Any, encoding: str, *, sent_at: datetime) -> datetime | None:
    """Return the moment that a lifetime means; None: it cannot be read, or nobody can mean it."""
    try:
        if encoding == "iso8601":
            at = _read_date(value)
        else:
            number = _read_number(value)
            at = (
                sent_at + timedelta(seconds=number) if encoding == "seconds" else _EPOCH + timedelta(seconds=number / _PER_SECOND[encoding])
            )
    except (TypeError, ValueError, OverflowError):
        return None
    return at if sent_at <= at <= sent_at + MAX_LIFETIME else None


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_PER_SECOND = {"epoch_s": 1, "epoch_ms": 1000}


def _read_date(value: Any) -> datetime:
    at = datetime.fromisoformat(value)
    if at.tzinfo is None:
        raise ValueError("not in any time zone")
    return at.astimezone(UTC)


def _read_number(value: Any) -> float:
    # Numbers also come as text ("3600", "3599.5 s"); `True` is a number to Python alone.
    if isinstance(value, str) and (found := _NUMBER.match(value)):
        return float(found[1])
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise TypeError("not a number")
    return float(value)
