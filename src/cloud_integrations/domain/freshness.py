"""What to do when somebody wants a token: decided here, done elsewhere."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from cloud_integrations.domain.integration import Phase, RefreshMarks, State, StoredCredential, StoredIntegration

if TYPE_CHECKING:
    from cloud_integrations.domain.provider import RefreshTokenFacts

SHORTEST_DEADLINE = timedelta(seconds=5)
"""No grace period shrinks the time for an answer below this: some servers need seconds to hash a client's secret."""
HARD_MARGIN = timedelta(seconds=30)
"""A token with less life left than this is not handed out while it can be renewed."""
_LONGEST_TAKEOVER = timedelta(minutes=15)
_GRACE_TAKEOVER = timedelta(seconds=2)


@dataclass(frozen=True, slots=True)
class Use:
    """Hand out what is held."""


@dataclass(frozen=True, slots=True)
class Refresh:
    """Renew first; `fallback` says that the held token still works if that fails."""

    fallback: bool


@dataclass(frozen=True, slots=True)
class Reconnect:
    """Only the tenant can help."""

    reason: str


@dataclass(frozen=True, slots=True)
class Inactive:
    """Somebody switched it off."""


NextStep = Use | Refresh | Reconnect | Inactive


def next_step(stored: StoredCredential, /, *, now: datetime, min_ttl: timedelta, ends_old_access: bool = False) -> NextStep:
    """Say what someone who wants a credential with *min_ttl* of life left should do with *held*.

    *ends_old_access* says that the provider ends the access token when it renews it: while a request is out, or its answer
    was lost, nobody knows whether the held one still works, so it is not handed out.
    """
    if stored.state is State.DISABLED:
        return Inactive()
    if stored.state is State.NEEDS_REAUTH:
        return Reconnect(stored.reason or "revoked")
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
    # A provider that gives less life than was asked for would be asked again on every call; so a
    # token that still has two thirds of its life (a third, by the usual margin) is as good as a new one.
    life = stored.expires_at - stored.obtained_at
    needed = min(min_ttl, life * 2 / 3 if min_ttl > HARD_MARGIN else life / 3)
    return now + needed < stored.expires_at


def is_unresolved(stored: StoredIntegration, /) -> bool:
    """Whether a request with the held refresh token went out and nobody knows how it ended."""
    if stored.facts.state is State.UNKNOWN:
        return True
    marks = stored.marks
    # Sent, and the lease runs: whoever sent it waits for the answer.  When it is over without a word, they died or are held up.
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
    """How long a refresh must still wait; zero: it may be tried now (protocol §4.4, retry rule after an unknown outcome).

    *now* is the wall clock, which decides about the end of the access token; the back-off is kept in the store's clock.
    *forced* passes over the back-off.  A replay that the provider would punish waits in any case until the held access
    token has ended, or has been refused (*access_is_dead*): earlier it could only destroy a token that works.  Where a renewal
    ends the access token before it, there is none to protect.
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
        # The grace is counted from the first of the requests, whichever of them was acted on.
        return stored.marks.sent_at is None or stored.read_at - stored.marks.sent_at >= facts.grace
    return facts.reuse_rule == "strict"


def takeover_delay(
    stored: StoredIntegration, facts: RefreshTokenFacts, /, *, now: datetime, lease: timedelta, access_is_dead: bool = False
) -> timedelta:
    """How long after a lease ended with a request in flight somebody else may begin (Q of the protocol).

    Strict: until the access token ends, 15 minutes at the most; grace: 2 s, so that the retry falls
    inside it; otherwise none.  A grace that is too short for *lease* and these 2 s is no help to a successor: strict.
    The store applies it where a request is in flight, whatever was read here before.
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
    """Return how long a lease and its request may last: with a grace period both shrink, so that a successor is inside it.

    Whoever takes over from a worker that died must still be inside the grace (lease + takeover delay < grace).  The request's
    deadline never shrinks below `SHORTEST_DEADLINE`; where the grace is too short for that, nothing shrinks, and the takeover
    is as with a strict provider.
    """
    if facts.reuse_rule != "grace" or lease <= facts.grace / 2:
        return lease, deadline
    share = max(facts.grace / 2 / lease, min(SHORTEST_DEADLINE / deadline, 1.0))
    if lease * share + _GRACE_TAKEOVER >= facts.grace:
        return lease, deadline
    return lease * share, deadline * share


def refused_since(marks: RefreshMarks, /, *, now: datetime, refused: bool) -> datetime | None:
    """Say since when the provider answers nothing but refusals, after an attempt that ended *now*, *refused* or otherwise.

    An outage in between does not count, however long it is: the time up to an attempt that was not answered by a refusal
    moves the beginning.  None: nothing was refused since the last success.  All times are the store's.
    """
    since = marks.refused_since
    if since is None:
        return now if refused else None
    return since if refused or marks.failed_at is None else min(since + (now - marks.failed_at), now)


def due_at(*, expires_at: datetime | None, now: datetime, chance: float, idle: timedelta | None = None) -> datetime | None:
    """When to renew ahead of time, with jitter; None: never.

    20 % of the life before its end (60 to 600 s; a third of a life under 120 s).  Refresh tokens that die when
    they are not used for *idle* are used after 70 to 80 % of it (keep-alive), also where the access token never ends.
    """
    ahead = _ahead_of_end(expires_at, now=now, chance=chance)
    if idle is None:
        return ahead
    keep_alive = now + idle * (0.8 - 0.1 * chance)
    return keep_alive if ahead is None else min(ahead, keep_alive)


def reconnect_before(
    facts: RefreshTokenFacts, /, *, granted_at: datetime, now: datetime, told: datetime | None, before: datetime | None = None
) -> datetime | None:
    """When a refresh token that was given or used *now* ends for good; None: nobody says.

    The earliest of what the answer *told*, of idleness, and of a fixed end counted from the consent.  Where the provider
    says nothing at a renewal, what was known *before* stands.
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
    # The jitter may double the lead, but never so far that the token would be renewed at once.
    return max(expires_at - early - early * chance, now + life / 2)
