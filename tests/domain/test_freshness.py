"""What to do when somebody wants a token: tables of cases."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from cloud_integrations.domain.auth_type import AuthType
from cloud_integrations.domain.freshness import (
    HARD_MARGIN,
    Inactive,
    Reconnect,
    Refresh,
    Use,
    attempt_wait,
    due_at,
    is_unresolved,
    lease_and_deadline,
    next_step,
    outlives,
    reconnect_before,
    refused_since,
    takeover_delay,
)
from cloud_integrations.domain.integration import Phase, RefreshMarks, SealedCredential, State, StoredIntegration
from cloud_integrations.domain.provider import RefreshTokenFacts
from cloud_integrations.testing.contracts.store import an_integration

from .renewal_values import DAY, ENDS_OLD_ACCESS, GRACE, HOUR, MINUTE, NONE, NOW, SECOND, STRICT, TOLERANT

ZERO = timedelta()


def held(*, left=HOUR, life=HOUR, renewable=True, **changes):
    """A row as it may stand; *left* is the life that its token still has."""
    marks = {name: changes.pop(name) for name in list(changes) if name in RefreshMarks.__dataclass_fields__}
    expires_at = None if left is None else NOW + left
    facts = replace(
        an_integration(), auth_type=AuthType.OAUTH2, expires_at=expires_at, renewal_rule="refresh" if renewable else "reconnect"
    )
    began = None if expires_at is None else expires_at - life
    return StoredIntegration(
        facts=replace(facts, **changes),
        credential=SealedCredential(generation=1, key_id=UUID(int=1), presented=b"fake", renewal=b"fake" if renewable else None),
        marks=RefreshMarks(**{"refreshed_at": began, **marks}),
        read_at=NOW,
    )


@pytest.mark.parametrize(
    ("row", "min_ttl", "step"),
    [
        (held(), HARD_MARGIN, Use()),
        (held(left=31 * SECOND), HARD_MARGIN, Use()),
        (held(left=30 * SECOND), HARD_MARGIN, Refresh(fallback=True)),
        (held(left=SECOND), HARD_MARGIN, Refresh(fallback=True)),
        (held(left=ZERO), HARD_MARGIN, Refresh(fallback=False)),
        (held(left=-HOUR), HARD_MARGIN, Refresh(fallback=False)),
        (held(left=30 * MINUTE), 31 * MINUTE, Refresh(fallback=True)),
        # A new token has no more life than this, however much is asked for.
        (held(left=HOUR), 2 * HOUR, Use()),
        (held(left=39 * MINUTE), 2 * HOUR, Refresh(fallback=True)),
        # Short lives: a third of them is margin enough.
        (held(left=11 * SECOND, life=30 * SECOND), HARD_MARGIN, Use()),
        (held(left=10 * SECOND, life=30 * SECOND), HARD_MARGIN, Refresh(fallback=True)),
        (held(left=3 * SECOND, life=5 * SECOND), HARD_MARGIN, Use()),
        # Nothing to renew with.
        (held(left=SECOND, renewable=False), HARD_MARGIN, Use()),
        (held(left=ZERO, renewable=False), HARD_MARGIN, Reconnect("expired")),
        # No end that is known, or none.
        (held(left=None), HARD_MARGIN, Use()),
        (held(left=-HOUR, renewal_rule="keep"), HARD_MARGIN, Use()),
        # States.
        (held(state=State.RETRY), HARD_MARGIN, Use()),
        (held(state=State.UNKNOWN), HARD_MARGIN, Use()),
        (held(state=State.DISABLED), HARD_MARGIN, Inactive()),
        (held(state=State.NEEDS_REAUTH, reason="rotation_lost"), HARD_MARGIN, Reconnect("rotation_lost")),
        (held(state=State.NEEDS_REAUTH), HARD_MARGIN, Reconnect("revoked")),
    ],
)
def test_what_somebody_who_wants_a_token_should_do(row, min_ttl, step):
    assert next_step(row.to_use, now=NOW, min_ttl=min_ttl) == step


def test_where_no_renewal_is_known_the_life_began_with_the_row():
    row = held(left=10 * SECOND)
    row = replace(row, marks=RefreshMarks(), facts=replace(row.facts, created_at=NOW - 20 * SECOND))
    assert next_step(row.to_use, now=NOW, min_ttl=HARD_MARGIN) == Refresh(fallback=True)
    assert next_step(row.to_use, now=NOW - SECOND, min_ttl=HARD_MARGIN) == Use()


PAST, SOON, LATER = NOW - HOUR, NOW + SECOND, NOW + HOUR


@pytest.mark.parametrize(
    ("ends", "other", "lives_longer"),
    [
        (LATER, SOON, True),
        (SOON, LATER, False),
        (LATER, LATER, False),
        (LATER, PAST, True),
        (PAST, LATER, False),
        (NOW, PAST, True),
        (PAST, NOW, False),
        # Nobody knows when it ends: worse than one that lives, better than one that has ended.
        (None, None, False),
        (None, LATER, False),
        (None, SOON, False),
        (None, NOW, True),
        (None, PAST, True),
        (LATER, None, True),
        (SOON, None, True),
        (NOW, None, False),
        (PAST, None, False),
    ],
)
def test_which_of_two_lives_longer(ends, other, lives_longer):
    assert outlives(ends, other, now=NOW) is lives_longer


@pytest.mark.parametrize(
    ("row", "unresolved"),
    [
        (held(), False),
        (held(state=State.RETRY), False),
        (held(phase=Phase.LEASED, lease_until=NOW - SECOND), False),
        (held(phase=Phase.SENT, lease_until=NOW + SECOND, sent_at=NOW), False),
        (held(phase=Phase.SENT, lease_until=NOW, sent_at=NOW), False),
        (held(phase=Phase.SENT, lease_until=NOW - SECOND, sent_at=NOW), True),
        (held(phase=Phase.UNKNOWN, lease_until=NOW + SECOND, sent_at=NOW), True),
        (held(state=State.UNKNOWN), True),
        # Somebody else has begun, and sent nothing yet; or died before that.
        (held(phase=Phase.LEASED, lease_until=NOW + SECOND, sent_at=NOW), True),
        # A replay is out, and the loss before it stands.
        (held(phase=Phase.SENT, lease_until=NOW + SECOND, sent_at=NOW, state=State.UNKNOWN), True),
    ],
)
def test_when_nobody_knows_how_a_request_ended(row, unresolved):
    assert is_unresolved(row) is unresolved


LOST = {"state": State.UNKNOWN, "sent_at": NOW - 15 * SECOND}
DIED = {"phase": Phase.SENT, "lease_until": NOW - SECOND, "sent_at": NOW - 20 * SECOND}


@pytest.mark.parametrize(
    ("row", "facts", "named", "wait"),
    [
        (held(), STRICT, {}, ZERO),
        (held(next_attempt_at=NOW - SECOND), STRICT, {}, ZERO),
        (held(next_attempt_at=NOW + SECOND), STRICT, {}, SECOND),
        (held(next_attempt_at=NOW + SECOND), STRICT, {"forced": True}, ZERO),
        # An unknown outcome: where a replay is punished, the held token is used to its end.
        (held(**LOST), STRICT, {}, HOUR),
        (held(**LOST), STRICT, {"forced": True}, HOUR),
        (held(**LOST), STRICT, {"access_is_dead": True}, ZERO),
        (held(**LOST), ENDS_OLD_ACCESS, {}, ZERO),
        (held(**LOST, next_attempt_at=NOW + SECOND), ENDS_OLD_ACCESS, {}, SECOND),
        (held(**LOST, next_attempt_at=NOW + SECOND), STRICT, {"access_is_dead": True}, SECOND),
        (held(**LOST, left=ZERO), STRICT, {}, ZERO),
        (held(**LOST, left=-HOUR), STRICT, {}, ZERO),
        (held(**LOST, left=None), STRICT, {}, ZERO),
        (held(**DIED), STRICT, {}, HOUR),
        (held(**{**DIED, "lease_until": NOW + SECOND}), STRICT, {}, ZERO),
        (held(**LOST), NONE, {}, ZERO),
        (held(**LOST), TOLERANT, {}, ZERO),
        (held(**DIED), TOLERANT, {}, ZERO),
        # Inside a grace period the replay is safe; outside it is not.
        (held(**LOST), GRACE, {}, ZERO),
        (held(**{**LOST, "sent_at": NOW - 29 * SECOND}), GRACE, {}, ZERO),
        (held(**{**LOST, "sent_at": NOW - 30 * SECOND}), GRACE, {}, HOUR),
        (held(**{**LOST, "sent_at": None}), GRACE, {}, HOUR),
        (held(**DIED), GRACE, {}, ZERO),
        (held(**{**DIED, "sent_at": NOW - 30 * SECOND}), GRACE, {}, HOUR),
    ],
)
def test_how_long_a_refresh_waits(row, facts, named, wait):
    assert attempt_wait(row, facts, now=NOW, **named) == wait


@pytest.mark.parametrize(
    ("left", "facts", "named", "delay"),
    [
        (HOUR, STRICT, {}, 15 * MINUTE),
        (5 * MINUTE, STRICT, {}, 5 * MINUTE),
        (-HOUR, STRICT, {}, ZERO),
        (None, STRICT, {}, 15 * MINUTE),
        (HOUR, STRICT, {"access_is_dead": True}, ZERO),
        (HOUR, ENDS_OLD_ACCESS, {}, ZERO),
        (HOUR, GRACE, {}, 2 * SECOND),
        # Too short for a lease of 15 s and 2 s more.
        (HOUR, RefreshTokenFacts(grace=17 * SECOND), {}, 15 * MINUTE),
        (HOUR, RefreshTokenFacts(grace=18 * SECOND), {}, 2 * SECOND),
        (HOUR, RefreshTokenFacts(grace=17 * SECOND), {"access_is_dead": True}, ZERO),
        (HOUR, TOLERANT, {}, ZERO),
        (HOUR, NONE, {}, ZERO),
    ],
)
def test_how_long_after_a_lease_another_takes_over(left, facts, named, delay):
    assert takeover_delay(held(left=left), facts, now=NOW, lease=15 * SECOND, **named) == delay


@pytest.mark.parametrize(
    ("facts", "lease", "deadline"),
    [
        (STRICT, 30, 15),
        (TOLERANT, 30, 15),
        (GRACE, 15, 7.5),
        (RefreshTokenFacts(grace=20 * SECOND), 10, 5),
        (RefreshTokenFacts(grace=13 * SECOND), 10, 5),
        # Never below 5 s: where lease and takeover do not fit, nothing shrinks.
        (RefreshTokenFacts(grace=12 * SECOND), 30, 15),
        (RefreshTokenFacts(grace=10 * SECOND), 30, 15),
        (RefreshTokenFacts(grace=SECOND), 30, 15),
        (RefreshTokenFacts(grace=60 * SECOND), 30, 15),
        (RefreshTokenFacts(grace=80 * SECOND), 30, 15),
        (RefreshTokenFacts(grace=10 * MINUTE), 30, 15),
    ],
)
def test_a_lease_and_its_takeover_fit_into_the_grace_period_or_are_as_with_a_strict_provider(facts, lease, deadline):
    times = lease_and_deadline(facts, lease=30 * SECOND, deadline=15 * SECOND)
    assert times == (lease * SECOND, deadline * SECOND)
    if facts.reuse_rule == "grace":
        delay = takeover_delay(held(), facts, now=NOW, lease=times[0])
        assert times[0] + delay < facts.grace or delay == 15 * MINUTE


@pytest.mark.parametrize(("grace", "lease"), [(10, 8), (16, 9)])
def test_a_deadline_that_an_operator_set_below_five_seconds_is_not_made_longer(grace, lease):
    times = lease_and_deadline(RefreshTokenFacts(grace=grace * SECOND), lease=lease * SECOND, deadline=4 * SECOND)
    assert times == (lease * SECOND, 4 * SECOND)


@pytest.mark.parametrize(
    ("row", "step"),
    [
        (held(), Use()),
        (held(left=SECOND), Refresh(fallback=True)),
        # Once a request is out, or its answer was lost, the token in hand may be dead.
        (held(sent_at=NOW), Refresh(fallback=False)),
        (held(sent_at=NOW, left=None), Refresh(fallback=False)),
        (held(state=State.UNKNOWN), Refresh(fallback=False)),
        (held(state=State.UNKNOWN, renewable=False), Use()),
        (held(state=State.DISABLED, sent_at=NOW), Inactive()),
        (held(state=State.NEEDS_REAUTH, sent_at=NOW), Reconnect("revoked")),
    ],
)
def test_a_token_that_a_renewal_ends_is_not_handed_out_once_one_is_out(row, step):
    assert next_step(row.to_use, now=NOW, min_ttl=HARD_MARGIN, ends_old_access=True) == step


AGO = NOW - HOUR


@pytest.mark.parametrize(
    ("marks", "refused", "since"),
    [
        (RefreshMarks(), True, NOW),
        (RefreshMarks(), False, None),
        (RefreshMarks(refused_since=AGO, failed_at=NOW - MINUTE), True, AGO),
        # Time without an answer is left out.
        (RefreshMarks(refused_since=AGO, failed_at=NOW - MINUTE), False, AGO + MINUTE),
        (RefreshMarks(refused_since=AGO, failed_at=AGO), False, NOW),
        (RefreshMarks(refused_since=AGO), False, AGO),
        (RefreshMarks(failed_at=AGO), True, NOW),
        # A store's clock that was set back does not make it later than now.
        (RefreshMarks(refused_since=NOW + MINUTE, failed_at=AGO), False, NOW),
    ],
)
def test_since_when_there_are_nothing_but_refusals(marks, refused, since):
    assert refused_since(marks, now=NOW, refused=refused) == since


@pytest.mark.parametrize(
    ("life", "chance", "before_the_end"),
    [
        (HOUR, 0.0, 10 * MINUTE),
        (HOUR, 0.5, 15 * MINUTE),
        (8 * HOUR, 0.0, 10 * MINUTE),
        (10 * MINUTE, 0.0, 2 * MINUTE),
        (4 * MINUTE, 0.0, MINUTE),
        (4 * MINUTE, 1.0, 2 * MINUTE),
        (2 * MINUTE, 1.0, MINUTE),
        (119 * SECOND, 1.0, 119 * SECOND / 3),
        (30 * SECOND, 0.0, 10 * SECOND),
        (ZERO, 0.0, ZERO),
    ],
)
def test_when_a_token_is_renewed_ahead_of_time(life, chance, before_the_end):
    assert due_at(expires_at=NOW + life, now=NOW, chance=chance) == NOW + life - before_the_end


def test_what_never_ends_is_never_due_and_what_has_ended_is_due_at_once():
    assert due_at(expires_at=None, now=NOW, chance=0.5) is None
    assert due_at(expires_at=NOW - HOUR, now=NOW, chance=0.5) == NOW - HOUR


# Forecast and keep-alive

CONSENT = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.requirement("Q40")
@pytest.mark.parametrize(
    ("idle", "absolute", "told", "before", "expected"),
    [
        pytest.param(None, None, None, None, None, id="nobody-says"),
        pytest.param(None, None, None, 50 * DAY, 50 * DAY, id="what-was-known-stands"),
        pytest.param(90 * DAY, None, None, None, 130 * DAY, id="idleness-counts-from-the-use"),
        pytest.param(None, 365 * DAY, None, None, 365 * DAY, id="a-fixed-end-counts-from-the-consent"),
        pytest.param(90 * DAY, 100 * DAY, None, None, 100 * DAY, id="the-earlier-one-wins"),
        pytest.param(90 * DAY, 365 * DAY, 60 * DAY, None, 60 * DAY, id="what-the-answer-says-wins-when-it-is-earlier"),
        pytest.param(None, None, 60 * DAY, 50 * DAY, 60 * DAY, id="a-new-answer-replaces-what-was-known"),
    ],
)
def test_when_a_refresh_token_ends_for_good(idle, absolute, told, before, expected):
    facts = RefreshTokenFacts(idle=idle, absolute=absolute)
    ends = reconnect_before(
        facts,
        granted_at=CONSENT,
        now=CONSENT + 40 * DAY,
        told=None if told is None else CONSENT + told,
        before=None if before is None else CONSENT + before,
    )
    assert ends == (None if expected is None else CONSENT + expected)


@pytest.mark.requirement("Q39")
@pytest.mark.parametrize("chance", [0.0, 0.5, 1.0])
def test_a_refresh_token_that_dies_of_idleness_is_used_in_time(chance):
    never_ends = due_at(expires_at=None, now=CONSENT, chance=chance, idle=90 * DAY)
    assert 63 * DAY <= never_ends - CONSENT <= 72 * DAY
    long_life = due_at(expires_at=CONSENT + 300 * DAY, now=CONSENT, chance=chance, idle=90 * DAY)
    assert long_life == never_ends
    short_life = due_at(expires_at=CONSENT + timedelta(hours=1), now=CONSENT, chance=chance, idle=90 * DAY)
    assert short_life < CONSENT + timedelta(hours=1)
