"""Rate limiters: one in this process, and one that is waited for no longer than a time."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from operator import itemgetter
from threading import Lock

from cloud_integrations.domain.limits import Quota
from cloud_integrations.ports.clock import Clock
from cloud_integrations.ports.rate_limiter import AsyncRateLimiter


class TokenBuckets:
    """Token buckets in the memory of this process, at most *limit* of them; `take` never pauses, so both managers use it.

    When there are too many, half of them are forgotten: those that would be full again soonest.  So whoever comes under many names
    pushes out those, and not what is counted against anybody who has used up a quota.
    """

    def __init__(self, clock: Clock, /, *, limit: int = 50_000) -> None:
        self._monotonic = clock.monotonic
        self._limit = limit
        self._full_at: dict[str, int] = {}
        self._lock = Lock()

    def __repr__(self) -> str:
        return f"TokenBuckets({len(self._full_at)} of {self._limit})"

    async def take(self, quotas: Sequence[Quota], /) -> timedelta | None:
        """See `AsyncRateLimiter.take`."""
        now = int(self._monotonic() * 1_000_000)
        with self._lock:
            taken = {each.key: each.rate.take(self._full_at.get(each.key, 0), now) for each in quotas}
            wait = max((wait for _, wait in taken.values()), default=0)
            if wait:
                return timedelta(microseconds=wait)
            self._full_at |= {key: full_at for key, (full_at, _) in taken.items()}
            if len(self._full_at) > self._limit:
                self._full_at = dict(sorted(self._full_at.items(), key=itemgetter(1))[-(self._limit // 2) :])
        return None


class TaskRateLimiter:
    """An awaiting limiter; after *wait* it is cancelled, and `TimeoutError` is raised."""

    def __init__(self, limiter: AsyncRateLimiter, /, *, wait: timedelta = timedelta(seconds=1)) -> None:
        self._limiter = limiter
        self._wait = wait

    def __repr__(self) -> str:
        return f"bounded {self._limiter!r}"

    async def take(self, quotas: Sequence[Quota], /) -> timedelta | None:
        """See `AsyncRateLimiter.take`."""
        return await asyncio.wait_for(self._limiter.take(quotas), self._wait.total_seconds())
