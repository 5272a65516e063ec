"""The closed list of what a token endpoint's answer can mean.

Every answer ends in exactly one of these, and every reason comes from the vocabularies here:
a provider's own prose goes no further than the reader.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

from cloud_integrations.domain.credential import Grant

RefusedReason = Literal["invalid_grant", "grant_dead", "code_refused"]
NotProcessedReason = Literal["unreachable", "rate_limited", "temporarily_unavailable", "slow_down", "retry"]
MisconfiguredReason = Literal[
    "invalid_client",
    "unauthorized_client",
    "invalid_scope",
    "invalid_request",
    "unsupported_grant_type",
    "client_refused",
    "denied",
    "clock_skew",
    "wrong_region",
    "platform_config",
]
UnknownReason = Literal[
    "answer_lost", "server_error", "redirect", "unexpected_status", "wrong_content_type", "unusable_body", "unknown_error"
]


@dataclass(frozen=True, slots=True)
class Granted:
    """Tokens came, and every part of the answer was read and checked."""

    grant: Grant


@dataclass(frozen=True, slots=True)
class Refused:
    """The code or the refresh token is surely dead."""

    reason: RefusedReason


@dataclass(frozen=True, slots=True)
class NotProcessed:
    """The request was surely not acted on, so it may be sent again, not before `retry_after` (at most an hour)."""

    reason: NotProcessedReason
    retry_after: timedelta | None = None


@dataclass(frozen=True, slots=True)
class Misconfigured:
    """The operator's application, or what it asks for, is refused; no grant is at fault."""

    reason: MisconfiguredReason


@dataclass(frozen=True, slots=True)
class Unknown:
    """The request may have been acted on; a single-use code or token may be spent.

    A gateway may ask to wait `retry_after` (at most an hour) all the same.
    """

    reason: UnknownReason
    retry_after: timedelta | None = None


TokenOutcome = Granted | Refused | NotProcessed | Misconfigured | Unknown
