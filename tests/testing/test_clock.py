from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

from cloud_integrations.testing import AdvancingPause, AsyncAdvancingPause, FixedClock, SeededEntropy


def test_time_stands_still_until_it_is_advanced():
    clock = FixedClock()
    start, began = clock.now(), clock.monotonic()
    assert clock.now() == start
    clock.advance(timedelta(seconds=90))
    assert clock.now() - start == timedelta(seconds=90)
    assert clock.monotonic() - began == 90


def test_a_wall_clock_that_is_set_leaves_the_monotonic_one_alone():
    clock = FixedClock()
    start = clock.now()
    clock.jump(timedelta(minutes=-10))
    assert clock.now() - start == timedelta(minutes=-10)
    assert clock.monotonic() == 0


def test_the_start_may_be_chosen_and_is_told_in_utc():
    clock = FixedClock(datetime(2030, 6, 1, 12, tzinfo=timezone(timedelta(hours=2))))
    assert clock.now() == datetime(2030, 6, 1, 10, tzinfo=UTC)
    assert clock.now().tzinfo is UTC


def test_a_clock_refuses_a_naive_start_and_a_step_back():
    with pytest.raises(ValueError):
        FixedClock(datetime(2030, 6, 1))  # noqa: DTZ001 – the naive time is the point
    with pytest.raises(ValueError):
        FixedClock().advance(timedelta(seconds=-1))


def test_the_same_seed_gives_the_same_bytes_in_the_same_order():
    one, two, other = SeededEntropy(7), SeededEntropy("7"), SeededEntropy(8)
    drawn = [one.bytes(16) for _ in range(3)]
    assert drawn == [two.bytes(16) for _ in range(3)]
    assert len(set(drawn)) == 3
    assert other.bytes(16) not in drawn
    assert len(one.bytes(1000)) == 1000


def test_fractions_lie_between_zero_and_one():
    entropy = SeededEntropy(1)
    fractions = [entropy.fraction() for _ in range(1000)]
    assert all(0 <= fraction < 1 for fraction in fractions)
    assert 0.4 < sum(fractions) / 1000 < 0.6


async def test_a_pause_lets_the_time_pass_without_waiting():
    clock = FixedClock()
    AdvancingPause(clock).pause(60)
    await AsyncAdvancingPause(clock).pause(0.5)
    assert clock.monotonic() == 60.5
