"""Decide what a failed renewal means for the integration and for the caller; the flows write it and report it."""

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
"""How long until the worker tries a grant again whose application was refused."""
_BACKOFF_CAP = timedelta(minutes=5)
_BACKGROUND_CAP = timedelta(hours=1)
_SHORTEST_BACKOFF = timedelta(milliseconds=500)
_SOON = 3
"""How many attempts follow each other quickly inside a grace period."""
_ASKS_FOR_THE_USER = {"consent_required", "login_required", "interaction_required", "account_selection_required"}

Verdict = Literal["reconnect", "unavailable", "misconfigured"]
"""The error for the caller: `ReconnectRequiredError`, `ProviderUnavailableError` or `AppMisconfiguredError`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempted:
    """What is known about a renewal attempt when it ends."""

    before: Integration
    marks: RefreshMarks
    behaviour: RefreshTokenFacts
    unresolved_before: bool
    """Whether an earlier request was sent and its outcome is not known."""
    access_is_dead: bool = False
    """Whether the provider refused the stored access token."""
    now: datetime
    """The wall clock, by which the access token ends."""
    store_now: datetime
    """The store's clock, which the lease and the back-off use."""
    chance: float
    """A random number from 0 to 1, for the jitter."""
    refusal_limit: timedelta
    """How long a provider may refuse without a known reason before the tenant must reconnect."""
    others_renewed: bool | None = None
    """Whether another integration of the application was renewed since the first refusal; None: none was tried."""

    @property
    def refused_for_days(self) -> datetime | None:
        """Since when the provider has answered with refusals only; None: for less than `refusal_limit`."""
        since = refused_since(self.marks, now=self.store_now, refused=True)
        return since if since is not None and self.store_now - since >= self.refusal_limit else None

    @property
    def backoff(self) -> timedelta:
        """How long to wait: full jitter over 1 s, doubled per attempt up to five minutes; never less than half a second."""
        return max(_doubling(self.marks.attempts, _BACKOFF_CAP) * self.chance, _SHORTEST_BACKOFF)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settlement:
    """How a failed attempt ends: what is written to the row, and what the caller gets."""

    state: State
    reason: str | None
    """Why the integration is in this state."""
    error: str
    """What went wrong with this attempt."""
    verdict: Verdict
    phase: Phase = Phase.IDLE
    """`idle`: the lease ends now.  `unknown`: the request may still be under way, so the lease runs to its end."""
    is_unknown: bool = False
    """Whether the request may have been processed."""
    refused: bool | None
    """Whether the provider answered with a refusal; None: it was not asked."""
    wait: timedelta | None = None
    """How long until another attempt is allowed; None: it is allowed at once."""
    due_in: timedelta | None = None
    """How long until the worker tries again; None: it does not."""
    retry_after: timedelta | None = None
    """How long the caller should wait; None: not said."""


def settlement(failure: TokenFailure, attempted: Attempted, /) -> Settlement:
    """Return what *failure* means for the row and for the caller.

    An outage never asks for a reconnect.  A refused application asks for one only after `refusal_limit` in which other integrations of
    the same application were renewed.  A refusal without a known reason asks for one after `refusal_limit` of refusals only, unless
    other integrations of the application were tried and none was renewed.
    """
    return _or_closed(_settled(failure, attempted), attempted.before)


def mint_settlement(failure: TokenFailure, attempted: Attempted, /) -> Settlement:
    """Return what the *failure* of a mint means; it differs from a refresh because a mint spends nothing and takes no lease.

    So a lost answer has lost nothing, no worker repeats the mint, and what the provider refuses is what the tenant entered.
    """
    match failure:
        case Refused(reason):
            settled = _reconnect("refused", error=reason)
        case Unknown(reason):
            settled = _later(attempted, reason, wait=timedelta(), due_in=timedelta(), refused=False)
        case _:
            settled = _settled(failure, attempted)
    return _or_closed(replace(settled, wait=None, due_in=None), attempted.before)


def _or_closed(settled: Settlement, before: Integration) -> Settlement:
    if before.state is not State.NEEDS_REAUTH:
        return settled
    # An operator had the provider asked again, and it did not help: the integration still needs a reconnect.
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
    """Whether the refusals are this grant's fault, after `refusal_limit`; a refused application needs others that were renewed."""
    if attempted.refused_for_days is None:
        return False
    # If no other integration was tried, nothing suggests that the operator is at fault.
    return attempted.others_renewed is True or (attempted.others_renewed is None and isinstance(failure, Rejected))


def _reconnect(why: str, *, error: str) -> Settlement:
    return Settlement(state=State.NEEDS_REAUTH, reason=why, error=error, verdict="reconnect", refused=True)


def _later(attempted: Attempted, reason: str, *, wait: timedelta, due_in: timedelta, refused: bool) -> Settlement:
    state = State.UNKNOWN if attempted.unresolved_before else State.RETRY
    return Settlement(
        state=state, reason=reason, error=reason, verdict="unavailable", refused=refused, wait=wait, due_in=due_in, retry_after=wait
    )


def _lost(failure: Unknown, attempted: Attempted) -> Settlement:
    """Settle an unknown outcome: the provider may have replaced the refresh token, and the new one was lost."""
    behaviour, marks, expires_at = attempted.behaviour, attempted.marks, attempted.before.expires_at
    wait, phase = max(attempted.backoff, failure.retry_after or timedelta()), Phase.IDLE
    if behaviour.reuse_rule == "grace" and (not attempted.unresolved_before or marks.attempts < _SOON):
        # Only a replay inside the grace period can recover the tokens, so it is sent soon, even if a gateway asks for a longer wait.
        wait = timedelta(seconds=1 + 2 * attempted.chance)
    if behaviour.reuse_rule == "strict" and not failure.over:
        # The provider may still be processing the request and would punish a replay of the token, so the lease runs to its end.
        # If the provider has finished, no answer can follow, and the lease ends now.
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
        # A caller whose access token was refused protects nothing by waiting for its end; the worker does not know of the refusal.
        retry_after=wait if attempted.access_is_dead else again,
    )


def _doubling(attempts: int, cap: timedelta) -> timedelta:
    """1 s, doubled for each attempt, at most *cap*."""
    return min(timedelta(seconds=1 << min(attempts, 12)), cap)
