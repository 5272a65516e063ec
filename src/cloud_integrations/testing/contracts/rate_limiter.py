"""What every `RateLimiter` and `AsyncRateLimiter` promises, as tests.

Inherit the class, and provide a function that makes limiters which count together, as those of several processes do:

    class TestMyLimiter(RateLimiterContract):
        @pytest.fixture
        def make_limiter(self):
            return lambda: MyLimiter(...)

The same class tests an awaiting limiter.  Its tests use names that nobody else uses, and wait for no longer than a second.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest

from cloud_integrations.domain.limits import Quota, Rate, quota
from cloud_integrations.ports.rate_limiter import AsyncRateLimiter, RateLimiter

AnyLimiter = RateLimiter | AsyncRateLimiter
_HOUR = timedelta(hours=1)


class RateLimiterContract:
    """Inherit, and provide the fixture `make_limiter`."""

    @pytest.fixture
    def limiter(self, make_limiter: Callable[[], AnyLimiter]) -> AnyLimiter:
        """A limiter."""
        return make_limiter()

    def test_as_many_uses_as_the_rate_says_are_counted_and_no_more(self, limiter: AnyLimiter) -> None:
        name = _new(count=3)
        *counted, refused = _asked(limiter, *[[name]] * 4)
        assert counted == [None] * 3
        assert refused is not None
        assert timedelta() < refused <= _HOUR / 3

    def test_names_are_counted_apart(self, limiter: AnyLimiter) -> None:
        first, second = _new(count=1), _new(count=1)
        assert _asked(limiter, [first], [second]) == [None, None]

    def test_a_use_that_one_name_refuses_is_counted_under_none(self, limiter: AnyLimiter) -> None:
        own, shared = _new(count=1), _new(count=2)
        first, refused, other = _asked(limiter, [own, shared], [own, shared], [_new(count=1), shared])
        assert (first, other) == (None, None)
        assert refused is not None

    def test_the_longest_wait_is_returned(self, limiter: AnyLimiter) -> None:
        soon, late = _new(count=1, per=timedelta(minutes=1)), _new(count=1)
        _, refused = _asked(limiter, [soon, late], [soon, late])
        assert refused is not None
        assert refused > timedelta(minutes=30)

    def test_a_time_later_it_is_allowed_again(self, limiter: AnyLimiter) -> None:
        # One use in a microsecond: it was over before the next call began.
        name = _new(count=1, per=timedelta(microseconds=1))
        assert _asked(limiter, *[[name]] * 5) == [None] * 5

    def test_limiters_of_several_processes_count_together(self, make_limiter: Callable[[], AnyLimiter]) -> None:
        name = _new(count=1)
        (first,), (second,) = _asked(make_limiter(), [name]), _asked(make_limiter(), [name])
        assert first is None
        assert second is not None

    def test_of_many_at_once_as_many_are_counted_as_the_rate_says(self, limiter: AnyLimiter) -> None:
        name = _new(count=5)
        assert _asked_at_once(limiter, [name], times=40).count(None) == 5


def _new(*, count: int, per: timedelta = _HOUR) -> Quota:
    return quota("begin", Rate(count=count, per=per), uuid4().hex)


def _asked(limiter: AnyLimiter, *asked: Sequence[Quota]) -> list[timedelta | None]:
    """Ask one after another."""
    take: Any = limiter.take
    if inspect.iscoroutinefunction(take):

        async def awaited() -> list[timedelta | None]:
            return [await take(quotas) for quotas in asked]

        return asyncio.run(awaited())
    return [take(quotas) for quotas in asked]


def _asked_at_once(limiter: AnyLimiter, quotas: Sequence[Quota], /, *, times: int) -> list[timedelta | None]:
    take: Any = limiter.take
    if inspect.iscoroutinefunction(take):

        async def gathered() -> list[timedelta | None]:
            return list(await asyncio.gather(*[take(quotas) for _ in range(times)]))

        return asyncio.run(gathered())
    with ThreadPoolExecutor(times) as threads:
        return list(threads.map(take, [quotas] * times))
