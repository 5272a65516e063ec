"""Decide whether a stored credential is used or renewed, and when; the flows act on it.  See `docs/explanation/refresh.md`."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from cloud_integrations.domain.integration import Phase, RefreshMarks, State, StoredCredential, StoredIntegration, reconnect_reason
from cloud_integrations.errors import ReconnectReason

if TYPE_CHECKING:
    from cloud_integrations.domain.provider import RefreshTokenFacts

SHORTEST_DEADLINE = timedelta(seconds=5)
"""The shortest time to wait for an answer, however short a grace period is: some servers need seconds to hash a client secret."""
HARD_MARGIN = timedelta(seconds=30)
"""A token with less life left than this is not handed out while it can be renewed."""
_LONGEST_TAKEOVER = timedelta(minutes=15)
_GRACE_TAKEOVER = timedelta(seconds=2)


@dataclass(frozen=True, slots=True)
class Use:
    """Hand out the stored credential."""


@dataclass(frozen=True, slots=True)
class Refresh:
    """Renew the credential first; `fallback` says that the stored one can be handed out if that fails."""

    fallback: bool


@dataclass(frozen=True, slots=True)
class Reconnect:
    """The tenant must reconnect; `reason` says why."""

    reason: ReconnectReason


@dataclass(frozen=True, slots=True)
class Inactive:
    """The integration is disabled."""


NextStep = Use | Refresh | Reconnect | Inactive


def next_step(stored: StoredCredential, /, *, now: datetime, min_ttl: timedelta, ends_old_access: bool = False) -> NextStep:
    """Return what to do with *stored* for a caller who wants a credential with at least *min_ttl* of life left.

    *ends_old_access* says that a renewal ends the old access token.  Then the stored one is not handed out while a renewal is under
    way, or after its answer was lost, because it may have ended.
    """
    if stored.state is State.DISABLED:
        return Inactive()
    if stored.state is State.NEEDS_REAUTH:
        return Reconnect(reconnect_reason(stored.reason))
    in_doubt = ends_old_access and stored.renewable and (stored.in_doubt or stored.state is State.UNKNOWN)
    if not in_doubt and _has_life(stored, now=now, min_ttl=min_ttl):
        return Use()
    alive = not in_doubt and stored.expires_at is not None and now < stored.expires_at
    if stored.renewable:
        return Refresh(fallback=alive)
    return Use() if alive else Reconnect("expired")


def _has_life(stored: StoredCredential, *, now: datetime, min_ttl: timedelta) -> bool:
    if stored.renewal_rule == "keep" or stored.expires_at is None:
        return True
    # Where tokens live shorter than `min_ttl`, each call would renew; so a token with two thirds of its life left (with one third,
    # for the default `min_ttl`) counts as new.
    life = stored.expires_at - stored.obtained_at
    needed = min(min_ttl, life * 2 / 3 if min_ttl > HARD_MARGIN else life / 3)
    return now + needed < stored.expires_at


def outlives(expires_at: datetime | None, other: datetime | None, /, *, now: datetime) -> bool:
    """Whether a credential that ends at *expires_at* lives longer than one that ends at *other*; None: it is not known when.

    One whose end is not known is taken to live shorter than one that is known to live *now*, and longer than one that has ended.
    """
    if expires_at is None:
        return other is not None and other <= now
    return expires_at > (now if other is None else other)


def is_unresolved(stored: StoredIntegration, /) -> bool:
    """Whether a request with the stored refresh token was sent and its outcome is not known."""
    if stored.facts.state is State.UNKNOWN:
        return True
    marks = stored.marks
    # While the lease runs, its owner waits for the answer.  After its end without an outcome, the owner has died or hangs.
    waiting = marks.phase is Phase.SENT and marks.lease_until is not None and marks.lease_until >= stored.read_at
    return marks.sent_at is not None and not waiting


def attempt_wait(
    stored: StoredIntegration,
    facts: RefreshTokenFacts,
    /,
    *,
    now: datetime,
    forced: bool = False,
    access_is_dead: bool = False,
) -> timedelta:
    """Return how long a refresh must still wait; zero: it may be sent now.

    *now* is the wall clock, by which the access token ends; the back-off is in the store's clock.  *forced* ignores the back-off.

    If the outcome of an earlier request is not known and the provider may end the grant when it sees the refresh token again, the
    refresh waits until the stored access token has ended or was refused (*access_is_dead*): before that, it could only destroy a
    token that works.  If a renewal ends the old access token anyway, there is nothing to protect.
    """
    wait = timedelta()
    if stored.marks.next_attempt_at is not None and not forced:
        wait = max(wait, stored.marks.next_attempt_at - stored.read_at)
    if stored.facts.expires_at is not None and not (access_is_dead or facts.ends_old_access) and _replay_is_punished(stored, facts):
        wait = max(wait, stored.facts.expires_at - now)
    return wait


def _replay_is_punished(stored: StoredIntegration, facts: RefreshTokenFacts, /) -> bool:
    if not is_unresolved(stored):
        return False
    if facts.reuse_rule == "grace":
        # The grace counts from the first request, because that one may be the one that the provider has processed.
        return stored.marks.sent_at is None or stored.read_at - stored.marks.sent_at >= facts.grace
    return facts.reuse_rule == "strict"


def takeover_delay(
    stored: StoredIntegration, facts: RefreshTokenFacts, /, *, now: datetime, lease: timedelta, access_is_dead: bool = False
) -> timedelta:
    """Return how long after the end of a lease another worker must wait, if the lease ended with a request in flight.

    `strict`: until the access token ends, at most 15 minutes.  `grace`: 2 s, so that the retry falls into the grace period; a grace
    period too short for *lease* and 2 s counts as `strict`.  `none` and `tolerant`: zero.

    The store applies the delay only if a request is in flight when the next lease is taken.
    """
    if facts.reuse_rule not in {"strict", "grace"}:
        return timedelta()
    if facts.reuse_rule == "grace" and lease + _GRACE_TAKEOVER < facts.grace:
        return _GRACE_TAKEOVER
    if access_is_dead or facts.ends_old_access:
        return timedelta()
    left = _LONGEST_TAKEOVER if stored.facts.expires_at is None else stored.facts.expires_at - now
    return min(max(left, timedelta()), _LONGEST_TAKEOVER)


def lease_and_deadline(facts: RefreshTokenFacts, /, *, lease: timedelta, deadline: timedelta) -> tuple[timedelta, timedelta]:
    """Return how long a lease and its request may last; a grace period shortens both.

    A worker that takes over from one that died must still be inside the grace period (lease + takeover delay < grace).  The deadline
    of the request never falls below `SHORTEST_DEADLINE`.  If the grace period is too short for that, both stay as they are, and the
    takeover is as with a strict provider.
    """
    if facts.reuse_rule != "grace" or lease <= facts.grace / 2:
        return lease, deadline
    share = max(facts.grace / 2 / lease, min(SHORTEST_DEADLINE / deadline, 1.0))
    if lease * share + _GRACE_TAKEOVER >= facts.grace:
        return lease, deadline
    return lease * share, deadline * share


def refused_since(marks: RefreshMarks, /, *, now: datetime, refused: bool) -> datetime | None:
    """Return since when the provider has answered with refusals only, after an attempt that ended *now*.

    *refused* says whether this attempt was refused.  If it was not (an outage), the start moves forward by the time since the attempt
    before, so outages do not count.  None: nothing was refused since the last success.  All times are in the store's clock.
    """
    since = marks.refused_since
    if since is None:
        return now if refused else None
    return since if refused or marks.failed_at is None else min(since + (now - marks.failed_at), now)


def due_at(*, expires_at: datetime | None, now: datetime, chance: float, idle: timedelta | None = None) -> datetime | None:
    """Return when to renew a credential ahead of its end, with jitter; None: never.

    That is 20 % of the life before its end (60 to 600 s; a third of a life under 120 s).  A refresh token that ends when it is not
    used for *idle* is used before that (`keep_alive_at`), even if the access token never ends.  *chance* is a random number from 0 to 1.
    """
    ahead = _ahead_of_end(expires_at, now=now, chance=chance)
    if idle is None:
        return ahead
    keep_alive = keep_alive_at(idle, now=now, chance=chance)
    return keep_alive if ahead is None else min(ahead, keep_alive)


def keep_alive_at(idle: timedelta, /, *, now: datetime, chance: float) -> datetime:
    """Return when to use what was used *now* and ends when it is not used for *idle*: after 70 to 80 % of that time."""
    return now + idle * (0.8 - 0.1 * chance)


def reconnect_before(
    facts: RefreshTokenFacts, /, *, granted_at: datetime, now: datetime, told: datetime | None, before: datetime | None = None
) -> datetime | None:
    """Return when a refresh token that was issued or used *now* ends; None: not known.

    That is the earliest of the end that the answer gives (*told*), the end by disuse, and the end counted from the consent
    (*granted_at*).  If none of these is known, the end that was known *before* stays.
    """
    ends = [told]
    if facts.idle is not None:
        ends.append(now + facts.idle)
    if facts.absolute is not None:
        ends.append(granted_at + facts.absolute)
    known = [end for end in ends if end is not None]
    return min(known) if known else before


def _ahead_of_end(expires_at: datetime | None, *, now: datetime, chance: float) -> datetime | None:
    if expires_at is None:
        return None
    life = max(expires_at - now, timedelta())
    if life < timedelta(seconds=120):
        return expires_at - life / 3
    early = min(max(life / 5, timedelta(seconds=60)), timedelta(seconds=600))
    # Jitter can double the lead time, but half of the life is always used first.
    return max(expires_at - early - early * chance, now + life / 2)
