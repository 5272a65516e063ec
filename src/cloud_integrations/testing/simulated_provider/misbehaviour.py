"""What a simulated provider does wrong when a test asks for it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from enum import Enum, StrEnum, auto
from typing import Literal

Endpoint = Literal["authorize", "token", "exchange", "refresh", "revoke", "me"]
"""Where a request went.  `token` stands for `exchange` (a code) and `refresh` together."""


class Misbehaviour(StrEnum):
    """One thing that goes wrong.

    The first group refuses: the request has no effect.  The second processes the request (a refresh
    rotates the tokens) and spoils the answer.  The third gives a whole answer that strays, the fourth one whose
    tokens can be read all the same.
    """

    CONNECTION_REFUSED = auto()
    """Nobody listens.  Over real HTTP the connection is dropped unread instead."""
    TIMEOUT_BEFORE = auto()
    """The request is swallowed: nothing is processed, nothing is answered."""
    ERROR_BEFORE = auto()
    """500, and nothing was processed."""
    UNAVAILABLE = auto()
    """503 with Retry-After."""
    TEMPORARILY_UNAVAILABLE = auto()
    """503 with the OAuth error `temporarily_unavailable`."""
    RATE_LIMITED = auto()
    """429 with Retry-After."""
    INVALID_CLIENT = auto()
    INVALID_GRANT = auto()
    """`invalid_grant`, although the grant lives."""
    ERROR_IN_200 = auto()
    """200 whose body is an OAuth error."""
    REDIRECT = auto()
    """302 to another host."""
    FORBIDDEN = auto()
    """403: the credential is good, but may not do this."""
    UNSUPPORTED = auto()
    """The error `unsupported_token_type` of RFC 7009 §2.2.1."""

    ANSWER_LOST = auto()
    ERROR_AFTER = auto()
    """500 after the request was processed."""
    RESET_MID_BODY = auto()
    SLOW_DRIP = auto()
    """One byte at a time, for longer than anybody waits."""
    HTML_PAGE = auto()
    EMPTY_BODY = auto()
    GARBAGE_JSON = auto()
    DUPLICATE_KEYS = auto()
    HUGE_BODY = auto()
    """JSON, longer than an answer may be."""

    SLOW = auto()
    """A good answer after `delay`."""
    EXPIRES_IN_MISSING = auto()
    EXPIRES_IN_TEXT = auto()
    """The number as text."""
    EXPIRES_IN_ABSURD = auto()
    """A hundred thousand years."""
    REFRESH_TOKEN_MISSING = auto()
    """On refresh, here and in the next three, the token that was sent stays good."""
    REFRESH_TOKEN_EMPTY = auto()
    REFRESH_TOKEN_NULL = auto()
    REFRESH_TOKEN_SAME = auto()
    NARROWER_SCOPES = auto()
    """The last scope is left out of the grant."""
    TOKEN_TYPE_MAC = auto()
    ISSUER_WRONG = auto()
    """The callback carries another server's `iss` (RFC 9207)."""
    ISSUER_MISSING = auto()
    OTHER_ACCOUNT = auto()
    """Somebody else signed in, or owns the token."""
    ACCESS_TOKEN_MISSING = auto()
    """A refresh token comes alone."""

    CONTENT_TYPE_MISSING = auto()
    CONTENT_TYPE_HTML = auto()
    BYTE_ORDER_MARK = auto()
    FORM_BODY = auto()
    """Form-encoded where JSON was asked for."""
    STATUS_CREATED = auto()
    """201."""
    CONTENT_ENCODING_UNKNOWN = auto()
    """A name that nobody knows, over a body as it is."""
    LONG_HEADERS = auto()
    """18 KB of them."""
    LONG_BODY = auto()
    """A member of 70 KB beside the others."""
    LONG_ACCESS_TOKEN = auto()
    """17 KB."""
    FOREIGN_MEMBER_TWICE = auto()
    FOREIGN_NAN = auto()
    TOKEN_TYPE_MISSING = auto()
    EXPIRES_IN_NEGATIVE = auto()
    EXPIRES_IN_EMPTY = auto()
    SCOPES_UNREADABLE = auto()
    """A list of objects."""


class Delivery(Enum):
    """How an answer reaches, or does not reach, the one who asked."""

    WHOLE = auto()
    REFUSED = auto()
    LOST = auto()
    RESET = auto()
    DRIP = auto()


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """A misbehaviour as it will happen."""

    what: Misbehaviour
    delay: timedelta = timedelta()
    retry_after: timedelta = timedelta(seconds=30)


KEEPS_REFRESH_TOKEN = {
    Misbehaviour.REFRESH_TOKEN_MISSING,
    Misbehaviour.REFRESH_TOKEN_EMPTY,
    Misbehaviour.REFRESH_TOKEN_NULL,
    Misbehaviour.REFRESH_TOKEN_SAME,
}

DELIVERIES = {
    Misbehaviour.CONNECTION_REFUSED: Delivery.REFUSED,
    Misbehaviour.TIMEOUT_BEFORE: Delivery.LOST,
    Misbehaviour.ANSWER_LOST: Delivery.LOST,
    Misbehaviour.RESET_MID_BODY: Delivery.RESET,
    Misbehaviour.SLOW_DRIP: Delivery.DRIP,
}

USUAL_PLACE: dict[Misbehaviour, Endpoint] = {
    Misbehaviour.ISSUER_WRONG: "authorize",
    Misbehaviour.ISSUER_MISSING: "authorize",
    Misbehaviour.OTHER_ACCOUNT: "exchange",
    Misbehaviour.UNSUPPORTED: "revoke",
    Misbehaviour.FORBIDDEN: "me",
}
"""Where a misbehaviour happens if the test does not say; `token` otherwise."""
