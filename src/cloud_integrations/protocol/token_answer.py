"""Read a token endpoint's answer (RFC 6749 §5), in two steps.

The first step reads the tokens, the second what the answer says of them.  The second step never loses a token: a member that cannot
be read is left unknown and named in the outcome, because the provider does not issue the token again.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Literal
from urllib.parse import unquote, unquote_plus

from cloud_integrations.domain.credential import Grant
from cloud_integrations.domain.dpop import DPOP
from cloud_integrations.domain.outcome import (
    Granted,
    Misconfigured,
    Rejected,
    TokenFailure,
    TokenOutcome,
    Unknown,
    UnreadMember,
    Unusable,
)
from cloud_integrations.domain.provider import Variable
from cloud_integrations.domain.secret import Secret
from cloud_integrations.errors import ValidationFailedError

from .client import Client
from .http import MAX_TOKEN_BODY, HttpResponse, UnusableBodyError, find_path, join_members, read_json_object, read_text
from .scopes import is_scope
from .token_failure import read_failure

MAX_TOKEN: Final = 32 * 1024
"""The longest token that is accepted, in characters; at most 48 KiB can be sealed."""
MAX_LIFETIME: Final = timedelta(days=3653)
"""The longest lifetime that is accepted, ten years; a longer one cannot be right."""
_TELLING: Final = 16
"""Shorter tokens are not looked for in other text, because they occur there by chance."""
UNKNOWN_LIFETIME: Final = timedelta(minutes=5)
"""How long a token is used if its lifetime cannot be read and the provider file assumes none."""

_FORM = "application/x-www-form-urlencoded"
_PAIRS = re.compile(r"[^\s<>\"'{}\[\]\\=&]+=[^\s<>\"{}\[\]\\]*\Z")
"""A form that is not declared as one; no sentence, web page or JSON value matches."""
_VISIBLE = re.compile(r"[!-~]+\Z")
_NUMBER = re.compile(r"\s*([0-9]{1,16}(?:\.[0-9]{1,9})?)\s*(?:s|secs?|seconds?)?\s*\Z", re.ASCII | re.IGNORECASE)


def read_token_answer(client: Client, response: HttpResponse, /, *, now: datetime, renewal: bool) -> TokenOutcome:
    """Read the answer to an exchange or, with *renewal*, to a refresh.

    Never raises, whatever a server sends.  Lifetimes count from `response.sent_at`, or from *now* if that is None.
    """
    body = read_members(client, response)
    answer = _Answer(client=client, body=body or {}, sent_at=response.sent_at or now, renewal=renewal)
    tokens = answer.tokens()
    failure: TokenFailure = Unknown("unusable_body")
    if body is not None and _succeeded(client, response, body):
        grant = answer.grant(tokens)
        if grant is not None:
            return Granted(grant, tuple(answer.unread))
    else:
        names = client.method.reply.map
        failure = read_failure(
            client.provider,
            response,
            body,
            at="token",
            method_id=client.method.id,
            tokens=[names.get(name, name) for name in ("access_token", "refresh_token")],
            now=now,
            renewal=renewal,
        )
    return _unusable(answer, tokens, failure)


def _unusable(answer: _Answer, tokens: ReadTokens, failure: TokenFailure, /) -> TokenOutcome:
    """Return *failure*, with the tokens of the answer that must be stored or revoked."""
    if not answer.renewal:
        found = tokens.all()
        return Unusable(failure, tokens=found) if found else failure
    # A new refresh token is stored even if the access token may not be used, because the one that was sent may be spent.  If the
    # provider says that the grant is dead, or that nothing was done, the stored refresh token is as good or as bad as before.
    if tokens.refresh is not None and isinstance(failure, Misconfigured | Rejected | Unknown):
        return Unusable(failure, refresh_token=tokens.refresh, refresh_expires_at=answer.refresh_expiry(), tokens=tokens.all())
    return failure


def read_members(client: Client, response: HttpResponse, /) -> dict[str, Any] | None:
    """Return the members of the body, by its looks; the content type is only a hint.  None: neither a JSON object nor a form."""
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
        # A token has no space, so a plus in one is a plus that the server did not escape.
        pairs.append((name, (unquote if name in tokens else unquote_plus)(value, errors="surrogateescape")))
    return join_members(pairs)


def _succeeded(client: Client, response: HttpResponse, body: Mapping[str, Any]) -> bool:
    return response.status // 100 == 2 and not body.get("error") and all(test.holds(body) for test in client.method.reply.success)


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
        """Whether *text*, which would be stored in the open, contains one of these tokens; it is then treated as unreadable."""
        revealed = [token.reveal() for _, token in self.all()]
        return any(token == text or (len(token) >= _TELLING and token in text) for token in revealed)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Answer:
    """The members of an answer, and the names of those that could not be read."""

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
        """The second step: what the answer says of the tokens.  None: it has no access token that may be used."""
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
            # The type of the exchange stays, which was a known one; at the exchange, bearer is assumed.
            self.unread.append("token_type")
            return True
        if self.client.method.uses_dpop:
            # RFC 9449 §5: a server that gives a bearer token has bound nothing.
            return token_type.strip().lower() == DPOP
        # RFC 6749 §7.1: a token of a type that is not understood must not be used.
        return token_type.strip().lower() in {"bearer", *(known.lower() for known in self.client.method.reply.token_types)}

    def expiry(self) -> datetime | None:
        facts, reply = self.client.method.access_token, self.client.method.reply
        value = find_path(self.body, facts.expiry_field or reply.map.get("expires_in", "expires_in"))
        never = facts.expires_in == "never"
        if value is None:
            return None if never or facts.assumed_lifetime is None else self.sent_at + facts.assumed_lifetime
        at = read_time(value, reply.encodings.get("expires_in", facts.expiry_encoding), sent_at=self.sent_at)
        if at is not None and not (never and at == self.sent_at):
            return at
        if at is None:
            self.unread.append("expires_in")
        # If the provider's tokens never end, a lifetime of 0 means that, too.
        return None if never else self.sent_at + (facts.assumed_lifetime or UNKNOWN_LIFETIME)

    def refresh_expiry(self) -> datetime | None:
        name = self.client.method.refresh_token.lifetime_field
        value = find_path(self.body, name) if name else None
        if value is None:
            return None
        encoding = self.client.method.reply.encodings.get("refresh_token_expires_in", "seconds")
        expiry = read_time(value, encoding, sent_at=self.sent_at)
        if expiry is None:
            self.unread.append("refresh_token_expires_in")
            return None
        # A new refresh token cannot have ended already, so 0 means that it has no end.
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
        """The variables that the answer gives; None: a required one is missing, without which the tokens cannot be used."""
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
    """Return *value* as a token if it is visible ASCII text, as a header needs it, of at most `MAX_TOKEN` characters; else None."""
    if not isinstance(value, str) or len(value) > MAX_TOKEN or not _VISIBLE.match(value):
        return None
    return Secret(value)


def read_variable(variable: Variable, value: Any, /) -> str | None:
    """Return what an answer has as *value* as the text of *variable*; None if it is not valid."""
    if isinstance(value, bool) or not isinstance(value, str | int):
        return None
    try:
        return variable.read(str(value))
    except ValidationFailedError:
        return None


def read_time(value: Any, encoding: str, /, *, sent_at: datetime) -> datetime | None:
    """Return the time at which a lifetime ends; None: it cannot be read, or lies before *sent_at* or after `MAX_LIFETIME`."""
    try:
        if encoding == "iso8601":
            at = _read_date(value)
        else:
            number = read_number(value)
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
    # The longest date alone has ten characters.  It is a day of no time zone: what ends on it may end when it begins.
    if len(value) <= 10:
        at = at.replace(tzinfo=UTC)
    if at.tzinfo is None:
        raise ValueError("not in any time zone")
    return at.astimezone(UTC)


def read_number(value: Any, /) -> float:
    """Return *value* as a number, if it is one or a text of one.  Raises `TypeError` for anything else."""
    # Some servers send numbers as text ("3600", "3599.5 s").  In Python `True` is a number, in JSON it is not.
    if isinstance(value, str) and (found := _NUMBER.match(value)):
        return float(found[1])
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise TypeError("not a number")
    return float(value)
