"""Count uses of a door, so that nobody uses it too often."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Protocol

from cloud_integrations.domain.limits import Quota


class AsyncRateLimiter(Protocol):
    """Counts uses for all processes together, for example in Redis.  `RateLimiter` is the same, blocking."""

    async def take(self, quotas: Sequence[Quota], /) -> timedelta | None:
        """Count one use under each of *quotas*, at one moment, and return None; or count it under none and return how long to wait.

        A use is counted under none if one of the quotas is used up; the time is that after which all of them allow it.  Several may
        ask at once.  It answers within a second or raises: what it raises is told to the observer, and the process then counts by
        itself for a while.  Names that nobody uses any more are to be forgotten, because strangers can cause any number of them.
        """
        ...


class RateLimiter(Protocol):
    """The blocking form of `AsyncRateLimiter`."""

    def take(self, quotas: Sequence[Quota], /) -> timedelta | None: ...
