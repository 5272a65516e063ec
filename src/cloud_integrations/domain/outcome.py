"""The closed list of what a token endpoint's answer can mean.

Every answer is read as exactly one of these, with a reason from the lists here.  The provider's own error text (`said`) is a
`Secret`, because it may repeat one; `clean_prose` makes it fit for a log.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal

from cloud_integrations.domain.credential import Grant
from cloud_integrations.domain.secret import Secret

RefusedReason = Literal[
    "invalid_grant",
    "grant_dead",
    "code_refused",
    "consent_required",
    "login_required",
    "interaction_required",
    "account_selection_required",
    "application_refused",
]
RejectedReason = Literal[
    "invalid_request",
    "invalid_scope",
    "unsupported_grant_type",
    "denied",
    "wrong_region",
    "narrowing",
    "refused",
    "unexpected_status",
    "unknown_error",
]
NotProcessedReason = Literal["unreachable", "rate_limited", "temporarily_unavailable", "slow_down", "retry", "signing_unavailable"]
"""`signing_unavailable`: the service that keeps our issuer's key did not answer, so nothing was sent."""
MisconfiguredReason = Literal["invalid_client", "unauthorized_client", "client_refused", "clock_skew", "platform_config", "signing_key"]
UnknownReason = Literal["answer_lost", "server_error", "redirect", "unexpected_status", "unusable_body", "unknown_error", "backend_failed"]

UnreadMember = Literal["access_token", "refresh_token", "token_type", "expires_in", "refresh_token_expires_in", "scope", "variables"]
"""A member of an answer that could not be read, by its name in RFC 6749 §5.1; `variables` are those of the provider's file."""


@dataclass(frozen=True, slots=True)
class Granted:
    """The answer has an access token that may be used.  The members in `unread` could not be read and are left unknown."""

    grant: Grant
    unread: tuple[UnreadMember, ...] = ()


@dataclass(frozen=True, slots=True)
class Refused:
    """The code, the refresh token or the tenant's own application is dead, or of no use until the user acts."""

    reason: RefusedReason
    said: Secret | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Rejected:
    """The provider refused this request and did not process it; neither the grant nor the application is said to be at fault."""

    reason: RejectedReason
    retry_after: timedelta | None = None
    said: Secret | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class NotProcessed:
    """The request was certainly not processed; it may be sent again after `retry_after` (at most an hour; None: not said)."""

    reason: NotProcessedReason
    retry_after: timedelta | None = None
    said: Secret | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Misconfigured:
    """The provider refuses the operator's application; no grant is at fault."""

    reason: MisconfiguredReason
    said: Secret | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Unknown:
    """The request may have been processed, so a single-use code or token may be spent.

    `retry_after` (at most an hour) is the wait that the answer asks for, if any.
    """

    reason: UnknownReason
    retry_after: timedelta | None = None
    said: Secret | None = field(default=None, compare=False)
    over: bool = field(default=True, compare=False)
    """Whether the provider has certainly finished the request; false after a time-out, or when a gateway gave up waiting."""


TokenFailure = Refused | Rejected | NotProcessed | Misconfigured | Unknown


@dataclass(frozen=True, slots=True)
class Unusable:
    """The answer has tokens, but no access token that may be used; `failure` says what the answer means otherwise.

    After a renewal, store `refresh_token` in place of the one that was sent.  `tokens` are all tokens that could be read; those that
    are not stored are to be revoked.
    """

    failure: TokenFailure
    refresh_token: Secret | None = None
    refresh_expires_at: datetime | None = None
    tokens: tuple[tuple[Literal["refresh", "access"], Secret], ...] = ()


TokenOutcome = Granted | Unusable | TokenFailure
