"""How far a provider's clock differs from ours."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

LEAST: Final = timedelta(seconds=10)
"""A smaller difference is none: the answer was under way for some of it."""
MOST: Final = timedelta(days=1)
"""A larger difference is not believed."""
_STEP: Final = 5.0
"""Seconds by which the wall clock may drift from the monotonic one before it counts as having been set."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockOffset:
    """How far a provider's clock is ahead of this machine's, as measured once."""

    ahead: timedelta
    """Negative: the provider's clock is behind."""
    wall_base: float
    """The wall clock minus the monotonic clock at that time, in seconds; another value means that the wall clock was set since."""

    @classmethod
    def measure(cls, told: datetime, /, *, between: tuple[datetime, datetime], monotonic: float) -> ClockOffset:
        """Return the offset of a provider that *told* its time at some point *between* two times of the wall clock.

        All times are aware, and *monotonic* is read with the second of the two.
        """
        before, after = between
        ahead = told - (before + (after - before) / 2)
        believed = ahead if LEAST <= abs(ahead) <= MOST else timedelta()
        return cls(ahead=believed, wall_base=after.timestamp() - monotonic)

    def correct(self, now: datetime, /, *, monotonic: float) -> datetime:
        """Return the provider's time at *now*; *now* itself if the wall clock was set since the offset was measured."""
        was_set = abs(now.timestamp() - monotonic - self.wall_base) > _STEP
        return now if was_set else now + self.ahead
