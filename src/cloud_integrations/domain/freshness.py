"""What to do when somebody wants a token: decided here, done elsewhere."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from cloud_integrations.domain.integration import Phase, State, StoredIntegration
from cloud_integrations.domain.provider import AuthType, RefreshTokenFacts

HARD_MARGIN = timedelta(seconds=30)
"""A token with less life left than this is not handed out while it can be renewed."""


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


def next_step(held: StoredIntegration, /, *, now: datetime, min_ttl: timedelta) -> NextStep:
    """Say what someone who wants a credential with *min_ttl* of life left should do with *held*."""
    facts = held.facts
    if facts.state is State.DISABLED:
        return Inactive()
    if facts.state is State.NEEDS_REAUTH:
        return Reconnect(facts.reason or "revoked")
    if facts.auth_type is AuthType.API_KEY or facts.expires_at is None:
        return Use()
    # A provider that gives less life than was asked for would be asked again on every call; so a
    # token that still has two thirds of its life (a third, by the usual margin) is as good as a new one.
    life = facts.expires_at - (held.marks.refreshed_at or facts.created_at)
    needed = min(min_ttl, life * 2 / 3 if min_ttl > HARD_MARGIN else life / 3)
    if now + needed < facts.expires_at:
        return Use()
    alive = now < facts.expires_at
    if held.credential.can_refresh:
        return Refresh(fallback=alive)
    return Use() if alive else Reconnect("expired")


def may_attempt(held: StoredIntegration, facts: RefreshTokenFacts, /, *, now: datetime) -> bool:
    """Whether a refresh may be tried now (protocol §4.4, retry rule after an unknown outcome).

    Strict providers punish a replay by ending the whole grant, so after an unknown outcome the held
    access token is used to its end before one probe is made.
    """
    marks = held.marks
    if marks.next_attempt_at is not None and now < marks.next_attempt_at:
        return False
    if held.facts.state is State.UNKNOWN and facts.reuse_rule == "strict":
        return held.facts.expires_at is None or now >= held.facts.expires_at
    return True


def takeover_delay(held: StoredIntegration, facts: RefreshTokenFacts, /, *, now: datetime) -> timedelta:
    """How long after a lease ended with a request in flight somebody else may begin (Q of the protocol).

    Strict: until the access token ends, 15 minutes at the most; grace: 2 s, so that the retry falls
    inside it; otherwise none.
    """
    if held.marks.phase not in {Phase.SENT, Phase.UNKNOWN}:
        return timedelta()
    rule: Literal["none", "tolerant", "grace", "strict"] = facts.reuse_rule
    if rule == "strict":
        left = (held.facts.expires_at - now) if held.facts.expires_at is not None else timedelta()
        return min(max(left, timedelta()), timedelta(minutes=15))
    return timedelta(seconds=2) if rule == "grace" else timedelta()


def due_at(*, expires_at: datetime | None, now: datetime, chance: float) -> datetime | None:
    """When to renew ahead of time: 20 % of the life before its end (60 to 600 s; a third of a life under 120 s), with jitter."""
    if expires_at is None:
        return None
    life = max(expires_at - now, timedelta())
    if life < timedelta(seconds=120):
        return expires_at - life / 3
    early = min(max(life / 5, timedelta(seconds=60)), timedelta(seconds=600))
    # The jitter may double the lead, but never so far that the token would be renewed at once.
    return max(expires_at - early - early * chance, now + life / 2)
