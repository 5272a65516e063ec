"""The closed list of what a token endpoint's answer can mean.

Every answer ends in exactly one of these, and every reason comes from the vocabularies here:
a provider's own prose (`said`) is wrapped as a secret, because it may repeat one, and only `own_words` opens it.
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
]
RejectedReason = Literal[
    "invalid_request",
    "invalid_scope",
    "unsupported_grant_type",
    "denied",
    "wrong_region",
    "refused",
    "unexpected_status",
    "unknown_error",
]
NotProcessedReason = Literal["unreachable", "rate_limited", "temporarily_unavailable", "slow_down", "retry"]
MisconfiguredReason = Literal["invalid_client", "unauthorized_client", "client_refused", "clock_skew", "platform_config"]
UnknownReason = Literal["answer_lost", "server_error", "redirect", "unexpected_status", "unusable_body", "unknown_error", "backend_failed"]

UnreadMember = Literal["access_token", "refresh_token", "token_type", "expires_in", "refresh_token_expires_in", "scope", "variables"]
"""A member of an answer, by its name in RFC 6749 §5.1 whatever the provider calls it; `variables`: those of the provider's data."""


@dataclass(frozen=True, slots=True)
class Granted:
    """Tokens came; what else came was read and checked, but for the members in `unread`, which are left unknown."""

    grant: Grant
    unread: tuple[UnreadMember, ...] = ()


@dataclass(frozen=True, slots=True)
class Refused:
    """The code or the refresh token is surely dead, or of no use until somebody signs in again."""

    reason: RefusedReason
    said: Secret | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Rejected:
    """This one request was refused, by an answer that says neither that the grant is dead nor that the application is refused.

    It was not acted on.  It says nothing about other grants.
    """

    reason: RejectedReason
    retry_after: timedelta | None = None
    said: Secret | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class NotProcessed:
    """The request was surely not acted on, so it may be sent again, not before `retry_after` (at most an hour)."""

    reason: NotProcessedReason
    retry_after: timedelta | None = None
    said: Secret | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Misconfigured:
    """The operator's application is refused; no grant is at fault."""

    reason: MisconfiguredReason
    said: Secret | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Unknown:
    """The request may have been acted on; a single-use code or token may be spent.

    A gateway may ask to wait `retry_after` (at most an hour) all the same.
    """

    reason: UnknownReason
    retry_after: timedelta | None = None
    said: Secret | None = field(default=None, compare=False)
    over: bool = field(default=True, compare=False)
    """Whether the provider is surely done with the request: not after a time-out, nor when a gateway gave up waiting."""


TokenFailure = Refused | Rejected | NotProcessed | Misconfigured | Unknown


@dataclass(frozen=True, slots=True)
class Unusable:
    """Tokens came, but no access token that may be used; `failure` says what the answer means beside that.

    After a renewal, `refresh_token` is to be kept in the place of the one that was sent; `tokens` are all that could be read,
    to be given back where they are not kept.
    """

    failure: TokenFailure
    refresh_token: Secret | None = None
    refresh_expires_at: datetime | None = None
    tokens: tuple[tuple[Literal["refresh", "access"], Secret], ...] = ()


TokenOutcome = Granted | Unusable | TokenFailure
