"""The machine's clocks and randomness."""

from __future__ import annotations

import asyncio
import random
import secrets
import time
from datetime import UTC, datetime


class SystemClock:
    """The wall clock and the monotonic clock of this machine."""

    def __init__(self) -> None:
        # Bound once, because every read of the token cache calls it.
        self.monotonic = time.monotonic

    def now(self) -> datetime:
        """Return the time as an aware datetime in UTC."""
        return datetime.now(UTC)


class SystemEntropy:
    """The operating system's randomness."""

    def bytes(self, count: int, /) -> bytes:
        """Return *count* random bytes."""
        return secrets.token_bytes(count)

    def fraction(self) -> float:
        """Return a random number from 0 up to, but not including, 1."""
        return random.SystemRandom().random()


class SystemPause:
    """Waits by sleeping."""

    def pause(self, seconds: float, /) -> None:
        """Sleep for *seconds*."""
        time.sleep(seconds)


class AsyncSystemPause:
    """Waits without blocking the event loop."""

    async def pause(self, seconds: float, /) -> None:
        """Sleep for *seconds*."""
        await asyncio.sleep(seconds)
