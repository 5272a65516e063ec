"""How soon a credential is replaced that was itself made in place of a refused one: the table."""

from __future__ import annotations

from datetime import timedelta
from itertools import pairwise

import pytest

from cloud_integrations.domain.replacement import (
    FORGOTTEN_AFTER,
    LONGEST_WAIT,
    SHORTEST_WAIT,
    Replacement,
    replaced,
    replacement_wait,
)
from cloud_integrations.testing.clock import START

SECOND = timedelta(seconds=1)
MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
NO_TIME = timedelta()


def last(*, ago, going_on=NO_TIME):
    """A replacement made *ago*, *going_on* after the first in its row."""
    return Replacement(since=START - ago - going_on, at=START - ago)


@pytest.mark.parametrize(
    ("before", "wait"),
    [
        pytest.param(None, NO_TIME, id="it was not made in place of a refused one"),
        pytest.param(last(ago=NO_TIME), SHORTEST_WAIT, id="made now, the first"),
        pytest.param(last(ago=SECOND), SHORTEST_WAIT - SECOND, id="made a second ago"),
        pytest.param(last(ago=SHORTEST_WAIT), NO_TIME, id="as old as the shortest wait"),
        pytest.param(last(ago=NO_TIME, going_on=SECOND), SHORTEST_WAIT, id="the second, at once after the first"),
        pytest.param(last(ago=NO_TIME, going_on=2 * MINUTE), 2 * MINUTE, id="as long as it has gone on"),
        pytest.param(last(ago=MINUTE, going_on=2 * MINUTE), MINUTE, id="half of that is over"),
        pytest.param(last(ago=2 * MINUTE, going_on=2 * MINUTE), NO_TIME, id="all of it is over"),
        pytest.param(last(ago=NO_TIME, going_on=HOUR), LONGEST_WAIT, id="never longer than the longest"),
        pytest.param(last(ago=LONGEST_WAIT, going_on=1000 * HOUR), NO_TIME, id="however long it has gone on"),
        pytest.param(last(ago=-SECOND), SHORTEST_WAIT + SECOND, id="the store's clock was set back a little"),
        pytest.param(last(ago=-LONGEST_WAIT - SECOND), NO_TIME, id="the store's clock was set back far"),
        pytest.param(last(ago=NO_TIME, going_on=-HOUR), SHORTEST_WAIT, id="the row began after it ended"),
    ],
)
def test_how_long_a_refused_credential_waits(before, wait):
    assert replacement_wait(before, now=START) == wait


@pytest.mark.parametrize(
    ("before", "since"),
    [
        pytest.param(None, START, id="the first"),
        pytest.param(last(ago=MINUTE, going_on=MINUTE), START - 2 * MINUTE, id="the row goes on"),
        pytest.param(last(ago=FORGOTTEN_AFTER - SECOND), START - FORGOTTEN_AFTER + SECOND, id="it has nearly worked"),
        pytest.param(last(ago=FORGOTTEN_AFTER), START, id="it has worked, so a row begins"),
        pytest.param(last(ago=-FORGOTTEN_AFTER), START, id="the store's clock was set back far"),
    ],
)
def test_a_replacement_goes_on_with_the_row_of_the_last(before, since):
    assert replaced(before, now=START) == Replacement(since=since, at=START)


@pytest.mark.parametrize("each", [timedelta(milliseconds=100), SECOND, timedelta(seconds=17), MINUTE, 5 * MINUTE], ids=str)
def test_what_is_always_refused_is_replaced_eleven_times_in_an_hour_and_then_four_times(each):
    now, at, made = START, None, []
    while now < START + 3 * HOUR:
        if replacement_wait(at, now=now) == NO_TIME:
            at = replaced(at, now=now)
            made.append(now - START)
        now += each
    in_hours = [sum(hour * HOUR <= when < (hour + 1) * HOUR for when in made) for hour in range(3)]
    assert in_hours[0] <= 11
    assert max(in_hours[1:]) <= 4
    assert made[0] == NO_TIME
    assert all(later - earlier <= LONGEST_WAIT + each for earlier, later in pairwise(made)), "it is never given up"


@pytest.mark.parametrize("times", [2, 3, 10])
def test_a_credential_that_is_revoked_every_quarter_of_an_hour_never_waits(times):
    at = None
    for number in range(times):
        now = START + number * LONGEST_WAIT
        assert replacement_wait(at, now=now) == NO_TIME
        at = replaced(at, now=now)
