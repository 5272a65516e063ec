"""Token buckets in one process, and a limiter that is waited for no longer than a time."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from cloud_integrations.domain.limits import Quota, Rate, quota
from cloud_integrations.runtime.clock import SystemClock
from cloud_integrations.runtime.rate_limiter import TaskRateLimiter, TokenBuckets
from cloud_integrations.runtime.sync import awaitable_rate_limiter, run_inline
from cloud_integrations.testing import FixedClock
from cloud_integrations.testing.contracts.rate_limiter import RateLimiterContract

TEN = Rate(count=10)


class Blocking:
    """Token buckets as a blocking part."""

    def __init__(self, buckets):
        self._buckets = buckets

    def take(self, quotas, /):
        return run_inline(self._buckets.take(quotas))


class TestTokenBuckets(RateLimiterContract):
    @pytest.fixture
    def make_limiter(self):
        buckets = TokenBuckets(SystemClock())
        return lambda: buckets


class TestBlockingTokenBuckets(RateLimiterContract):
    @pytest.fixture
    def make_limiter(self):
        buckets = TokenBuckets(SystemClock())
        return lambda: Blocking(buckets)


class TestBoundedTokenBuckets(RateLimiterContract):
    @pytest.fixture
    def make_limiter(self):
        buckets = TokenBuckets(SystemClock())
        return lambda: TaskRateLimiter(buckets)


def _take(limiter, name, rate=TEN):
    return run_inline(limiter.take([quota("callback", rate, name)]))


@pytest.mark.requirement("ISO-17")
def test_a_bucket_fills_again_one_use_at_a_time():
    clock = FixedClock()
    buckets = TokenBuckets(clock)
    assert [_take(buckets, "ada") for _ in range(10)] == [None] * 10
    assert _take(buckets, "ada") == timedelta(seconds=6)
    clock.advance(timedelta(seconds=6))
    assert _take(buckets, "ada") is None
    assert _take(buckets, "ada") == timedelta(seconds=6)
    clock.advance(timedelta(hours=1))
    assert [_take(buckets, "ada") for _ in range(11)] == [*[None] * 10, timedelta(seconds=6)]


def test_a_clock_that_is_set_changes_nothing():
    clock = FixedClock()
    buckets = TokenBuckets(clock)
    assert [_take(buckets, "ada") for _ in range(10)] == [None] * 10
    clock.jump(timedelta(days=400))
    assert _take(buckets, "ada") == timedelta(seconds=6)


@pytest.mark.requirement("ISO-14", "ISO-17")
def test_any_number_of_addresses_takes_a_bounded_memory_and_push_out_nobody_who_has_used_up_a_quota():
    clock = FixedClock()
    buckets = TokenBuckets(clock, limit=1_000)
    assert [_take(buckets, "hostile") for _ in range(10)] == [None] * 10
    most = 0
    for number in range(100_000):
        # Straight past the hash of the name, which would be most of this test's time.
        assert run_inline(buckets.take([Quota(key=f"callback:{number}", rate=TEN)])) is None
        most = max(most, len(buckets._full_at))
    assert most == 1_000
    assert _take(buckets, "hostile") == timedelta(seconds=6)


def test_it_shows_no_name():
    buckets = TokenBuckets(FixedClock(), limit=5)
    _take(buckets, "ada")
    assert repr(buckets) == "TokenBuckets(1 of 5)"


async def test_a_limiter_that_does_not_answer_is_cancelled():
    cancelled = asyncio.Event()

    class Silent:
        async def take(self, _quotas, /):
            try:
                await asyncio.Event().wait()
            finally:
                cancelled.set()

    limiter = TaskRateLimiter(Silent(), wait=timedelta(milliseconds=1))
    with pytest.raises(TimeoutError):
        await limiter.take([])
    assert cancelled.is_set()
    assert "Silent" in repr(limiter)


def test_a_blocking_limiter_can_be_awaited():
    assert _take(awaitable_rate_limiter(Blocking(TokenBuckets(FixedClock()))), "ada") is None
