"""What an attempt to renew a credential means that brought no tokens: decided here, written and told elsewhere."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Literal

from cloud_integrations.domain.freshness import refused_since
from cloud_integrations.domain.integration import Integration, Phase, RefreshMarks, State
from cloud_integrations.domain.outcome import Misconfigured, NotProcessed, Refused, Rejected, TokenFailure, Unknown

if TYPE_CHECKING:
    from cloud_integrations.domain.provider import RefreshTokenFacts

MISCONFIGURED_REST = timedelta(minutes=5)
"""When the worker looks again at a grant whose application was refused."""
_BACKOFF_CAP = timedelta(minutes=5)
_BACKGROUND_CAP = timedelta(hours=1)
_SHORTEST_BACKOFF = timedelta(milliseconds=500)
_SOON = 3
"""How many replays follow each other quickly inside a grace period."""
_ASKS_FOR_THE_USER = {"consent_required", "login_required", "interaction_required", "account_selection_required"}

Verdict = Literal["reconnect", "unavailable", "misconfigured"]
"""What the caller is told: `ReconnectRequiredError`, `ProviderUnavailableError` or `AppMisconfiguredError`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempted:
    """What is known of an attempt when it ends."""

    before: Integration
    marks: RefreshMarks
    behaviour: RefreshTokenFacts
    unresolved_before: bool
    """An earlier request went out and nobody knows how it ended."""
    now: datetime
    """By the wall clock, which decides about the end of the access token."""
    store_now: datetime
    """By the store's clock, in which lease and back-off are kept."""
    chance: float
    """A random number from 0 to 1, for the jitter."""
    refusal_limit: timedelta
    """For how long a provider may refuse in words that name no reason, before the tenant has to reconnect."""
    others_renewed: bool | None = None
    """How the other integrations of the application did since the first refusal; None: none was renewed and none failed."""

    @property
    def refused_for_days(self) -> datetime | None:
        """Since when the provider answers nothing but refusals, if that is longer than the limit."""
        since = refused_since(self.marks, now=self.store_now, refused=True)
        return since if since is not None and self.store_now - since >= self.refusal_limit else None

    @property
    def backoff(self) -> timedelta:
        """Full jitter over 1 s doubling up to five minutes, never less than half a second."""
        return max(_doubling(self.marks.attempts, _BACKOFF_CAP) * self.chance, _SHORTEST_BACKOFF)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settlement:
    """How an attempt without tokens ends: what is written to the row, and what the caller is told."""

    state: State
    reason: str | None
    """Why the integration is in this state."""
    error: str
    """What went wrong with this attempt."""
    verdict: Verdict
    phase: Phase = Phase.IDLE
    """`unknown`: the request may still be under way, and the lease runs to its end."""
    is_unknown: bool = False
    """Whether nobody knows if the request was acted on."""
    refused: bool | None
    """Whether the provider's answer was a refusal; None: it was not asked."""
    wait: timedelta | None = None
    """Until anybody may try again; None: whenever somebody asks."""
    due_in: timedelta | None = None
    """Until the worker tries again; None: it does not."""
    retry_after: timedelta | None = None
    """What the caller is told to wait."""


def settlement(failure: TokenFailure, attempted: Attempted, /) -> Settlement:
    """Say what *failure* means for the row and for the caller.

    An outage is never a reconnect.  A refused application is nobody's grant's fault, unless others of the same application
    are renewed for days; a refusal without a reason is passed over until days of nothing else have given the verdict.
    """
    settled = _settled(failure, attempted)
    before = attempted.before
    if before.state is not State.NEEDS_REAUTH:
        return settled
    # An operator had it asked again in vain: the verdict stands.
    reason = before.reason or (settled.reason if settled.verdict == "reconnect" else None)
    return replace(settled, state=before.state, reason=reason, wait=None, due_in=None)


def _settled(failure: TokenFailure, attempted: Attempted) -> Settlement:
    match failure:
        case Refused(reason):
            why = "rotation_lost" if attempted.unresolved_before else "revoked"
            return _reconnect("interaction_required" if reason in _ASKS_FOR_THE_USER else why, error=reason)
        case Rejected(reason) | Misconfigured(reason) if _is_given_up(failure, attempted):
            return _reconnect("refused_for_days", error=reason)
        case Rejected(reason):
            wait = max(attempted.backoff, failure.retry_after or timedelta())
            return _later(
                attempted, reason, wait=wait, due_in=max(wait, _doubling(attempted.marks.attempts, _BACKGROUND_CAP)), refused=True
            )
        case NotProcessed(reason):
            wait = max(attempted.backoff, failure.retry_after or timedelta())
            return _later(attempted, reason, wait=wait, due_in=wait, refused=False)
        case Misconfigured(reason):
            return Settlement(
                state=State.UNKNOWN if attempted.unresolved_before else attempted.before.state,
                reason=reason,
                error=reason,
                verdict="misconfigured",
                refused=True,
                wait=attempted.backoff,
                due_in=MISCONFIGURED_REST,
            )
        case _:
            return _lost(failure, attempted)


def _is_given_up(failure: TokenFailure, attempted: Attempted) -> bool:
    """Whether days of refusals are this grant's fault, and not the operator's: a refused application needs others that were renewed."""
    if attempted.refused_for_days is None:
        return False
    # Where nobody else was even tried, nothing speaks for the operator's fault.
    return attempted.others_renewed is True or (attempted.others_renewed is None and isinstance(failure, Rejected))


def _reconnect(why: str, *, error: str) -> Settlement:
    return Settlement(state=State.NEEDS_REAUTH, reason=why, error=error, verdict="reconnect", refused=True)


def _later(attempted: Attempted, reason: str, *, wait: timedelta, due_in: timedelta, refused: bool) -> Settlement:
    state = State.UNKNOWN if attempted.unresolved_before else State.RETRY
    return Settlement(
        state=state, reason=reason, error=reason, verdict="unavailable", refused=refused, wait=wait, due_in=due_in, retry_after=wait
    )


def _lost(failure: Unknown, attempted: Attempted) -> Settlement:
    """The request may have rotated the token, and nobody received the new one: a state of its own."""
    behaviour, marks, expires_at = attempted.behaviour, attempted.marks, attempted.before.expires_at
    wait, phase = max(attempted.backoff, failure.retry_after or timedelta()), Phase.IDLE
    if behaviour.reuse_rule == "grace" and (not attempted.unresolved_before or marks.attempts < _SOON):
        # Inside a grace period the replay is the only way back, so it comes soon, whatever a gateway asks for.
        wait = timedelta(seconds=1 + 2 * attempted.chance)
    if behaviour.reuse_rule == "strict" and not failure.over:
        # The provider may be at it still, and would punish the replay of a token that it is about to spend: the lease is kept
        # to its end.  Where it is surely done nothing more can come, and nobody need wait.
        phase = Phase.UNKNOWN
        if marks.lease_until is not None:
            wait = max(wait, marks.lease_until - attempted.store_now)
    again = wait
    if behaviour.reuse_rule == "strict" and expires_at is not None and not behaviour.ends_old_access:
        again = max(wait, expires_at - attempted.now)
    return Settlement(
        state=State.UNKNOWN,
        reason=failure.reason,
        error=failure.reason,
        verdict="unavailable",
        phase=phase,
        is_unknown=True,
        refused=False,
        wait=wait,
        due_in=again,
        retry_after=again,
    )


def _doubling(attempts: int, cap: timedelta) -> timedelta:
    """1 s, doubled for each attempt, at most *cap*."""
    return min(timedelta(seconds=1 << min(attempts, 12)), cap)
