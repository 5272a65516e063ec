"""Time, randomness and waiting, as ports so that tests can control them."""

from __future__ import annotations

from datetime import datetime
from typing import Protocol

from cloud_integrations.domain.conformance import require_part
from cloud_integrations.errors import ConfigurationError


class Clock(Protocol):
    """Tells the time."""

    def now(self) -> datetime:
        """Return the time of the wall clock: an aware datetime in UTC."""
        ...

    def monotonic(self) -> float:
        """Return the time of a clock that never goes back, in seconds, to measure lengths of time."""
        ...


class Entropy(Protocol):
    """Gives random values that are good enough for secrets."""

    def bytes(self, count: int, /) -> bytes:
        """Return *count* random bytes."""
        ...

    def fraction(self) -> float:
        """Return a random number from 0 to 1, for jitter."""
        ...


class AsyncPause(Protocol):
    """Waits.  `Pause` is the same, blocking."""

    async def pause(self, seconds: float, /) -> None:
        """Wait for *seconds*."""
        ...


class Pause(Protocol):
    """The blocking form of `AsyncPause`."""

    def pause(self, seconds: float, /) -> None: ...


def require_clock(clock: Clock | None, /) -> None:
    """Check that *clock* is a clock with aware times, or None.  Raises `ConfigurationError` if it is not."""
    if clock is None:
        return
    require_part("clock", clock, Clock)
    if clock.now().utcoffset() is None:
        raise ConfigurationError(setting="clock", problem="must tell aware times, as datetime.now(UTC) does")
