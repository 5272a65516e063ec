"""What a simulated provider does wrong when a test asks for it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from enum import Enum, StrEnum, auto
from typing import Literal

Endpoint = Literal["authorize", "device", "poll", "token", "exchange", "refresh", "revoke", "me", "keys", "resources"]
"""The endpoint of a request.

`token` stands for `exchange` (of a code) and `refresh` together.  `poll` asks for the tokens of a device code.
`keys` makes a new API key, and `resources` lists what a credential reaches.
"""


class Misbehaviour(StrEnum):
    """One thing that goes wrong.

    In the first group the request has no effect.  In the second it is processed (a refresh rotates the tokens), and its answer is
    lost or cannot be read.  In the third the answer is late, or complete with unusual content.  In the fourth the answer has an
    unusual form, and its tokens can still be read.
    """

    CONNECTION_REFUSED = auto()
    """Nobody listens.  A `ProviderServer` drops the connection without an answer instead."""
    TIMEOUT_BEFORE = auto()
    """The request is neither processed nor answered."""
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
    """`invalid_grant`, although the grant is alive."""
    ERROR_IN_200 = auto()
    """200 whose body is an OAuth error."""
    REDIRECT = auto()
    """302 to another host."""
    FORBIDDEN = auto()
    """403: the credential is good, but may not do this."""
    UNSUPPORTED = auto()
    """The error `unsupported_token_type` of RFC 7009 §2.2.1."""

    ANSWER_LOST = auto()
    """The request is processed, and the answer never arrives."""
    ERROR_AFTER = auto()
    """500 after the request was processed."""
    RESET_MID_BODY = auto()
    """The connection is reset after half of the body."""
    SLOW_DRIP = auto()
    """One byte at a time, for longer than anybody waits."""
    HTML_PAGE = auto()
    EMPTY_BODY = auto()
    GARBAGE_JSON = auto()
    DUPLICATE_KEYS = auto()
    HUGE_BODY = auto()
    """JSON that is longer than an answer may be."""

    SLOW = auto()
    """A good answer after `delay`."""
    EXPIRES_IN_MISSING = auto()
    EXPIRES_IN_TEXT = auto()
    """The number as text."""
    EXPIRES_IN_ABSURD = auto()
    """A hundred thousand years."""
    REFRESH_TOKEN_MISSING = auto()
    """In a refresh, here and for the next three, the refresh token that was sent stays valid."""
    REFRESH_TOKEN_EMPTY = auto()
    REFRESH_TOKEN_NULL = auto()
    REFRESH_TOKEN_SAME = auto()
    NARROWER_SCOPES = auto()
    """The last scope is left out of the grant."""
    SCOPES_IGNORED = auto()
    """A refresh gives all scopes, whatever it asks for."""
    SCOPES_UNSAID = auto()
    """The answer does not name the scopes."""
    ROTATES_UNASKED = auto()
    """A refresh rotates the refresh token, whatever `rotation` says."""
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
    """A form-encoded answer instead of JSON."""
    STATUS_CREATED = auto()
    """Status 201 instead of 200."""
    CONTENT_ENCODING_UNKNOWN = auto()
    """An unknown `Content-Encoding` for a body that is not encoded."""
    LONG_HEADERS = auto()
    """A header of 18 KB."""
    LONG_BODY = auto()
    """One more member, of 70 KB."""
    LONG_ACCESS_TOKEN = auto()
    """An access token of 17 KB."""
    FOREIGN_MEMBER_TWICE = auto()
    FOREIGN_NAN = auto()
    TOKEN_TYPE_MISSING = auto()
    EXPIRES_IN_NEGATIVE = auto()
    EXPIRES_IN_EMPTY = auto()
    SCOPES_UNREADABLE = auto()
    """`scope` is a list of objects."""


class Delivery(Enum):
    """How an answer reaches, or does not reach, the client."""

    WHOLE = auto()
    REFUSED = auto()
    LOST = auto()
    RESET = auto()
    DRIP = auto()


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """A misbehaviour with its parameters."""

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
"""The endpoint of a misbehaviour where the test names none; `token` for all others."""
