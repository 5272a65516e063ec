"""A clock that only tests move, pauses that take no time, and random bytes that repeat."""

from __future__ import annotations

import asyncio
import hashlib
import threading
from datetime import UTC, datetime, timedelta

START = datetime(2026, 1, 1, 12, tzinfo=UTC)
"""The time at which a `FixedClock` starts by default."""


class FixedClock:
    """A `Clock` that moves only when a test moves it; safe to share between threads.  Raises `ValueError` for a naive *start*."""

    def __init__(self, start: datetime = START, /) -> None:
        if start.tzinfo is None:
            raise ValueError("a clock starts at an aware datetime")
        self._now = start.astimezone(UTC)
        self._elapsed = 0.0
        self._lock = threading.Lock()

    def now(self) -> datetime:
        """Return the wall clock, in UTC."""
        with self._lock:
            return self._now

    def monotonic(self) -> float:
        """Return the seconds that `advance` has added since the start."""
        with self._lock:
            return self._elapsed

    def advance(self, by: timedelta, /) -> None:
        """Move both clocks forward by *by*.  Raises `ValueError` when it is negative; `jump` moves the wall clock back."""
        if by < timedelta():
            raise ValueError("time does not go back; use jump for a wall clock that is set")
        with self._lock:
            self._now += by
            self._elapsed += by.total_seconds()

    def jump(self, by: timedelta, /) -> None:
        """Set the wall clock forward or back by *by*, as an administrator might; `monotonic` does not change."""
        with self._lock:
            self._now += by


class SeededEntropy:
    """An `Entropy` that gives the same bytes for the same seed, in the same order.  For tests only: its bytes can be predicted."""

    def __init__(self, seed: str | int = 0, /) -> None:
        self._seed = str(seed).encode()
        self._drawn = 0
        self._lock = threading.Lock()

    def bytes(self, count: int, /) -> bytes:
        """Return the next *count* bytes."""
        with self._lock:
            self._drawn += 1
            drawn = self._drawn
        return hashlib.shake_256(b"%d:%s" % (drawn, self._seed)).digest(count)

    def fraction(self) -> float:
        """Return the next number from 0 up to 1."""
        return (int.from_bytes(self.bytes(7), "big") >> 3) / (1 << 53)


class AdvancingPause:
    """A `Pause` that advances a `FixedClock` instead of waiting."""

    def __init__(self, clock: FixedClock, /) -> None:
        self._clock = clock

    def pause(self, seconds: float, /) -> None:
        """Advance the clock by *seconds*."""
        self._clock.advance(timedelta(seconds=seconds))


class AsyncAdvancingPause:
    """The awaiting `AdvancingPause`; it lets other tasks run."""

    def __init__(self, clock: FixedClock, /) -> None:
        self._clock = clock

    async def pause(self, seconds: float, /) -> None:
        """Advance the clock by *seconds*."""
        self._clock.advance(timedelta(seconds=seconds))
        await asyncio.sleep(0)
