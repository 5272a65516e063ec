"""Time and chance, so that tests can hold them still."""

from __future__ import annotations

from datetime import datetime
from typing import Protocol

from cloud_integrations.domain.conformance import require_part
from cloud_integrations.errors import ConfigurationError


class Clock(Protocol):
    """Tells the time."""

    def now(self) -> datetime:
        """Return the wall clock: an aware datetime in UTC."""
        ...

    def monotonic(self) -> float:
        """Return seconds that never go back, for lengths of time."""
        ...


class Entropy(Protocol):
    """Gives randomness fit for secrets."""

    def bytes(self, count: int, /) -> bytes:
        """Return *count* random bytes."""
        ...

    def fraction(self) -> float:
        """Return a number from 0 up to 1, for jitter."""
        ...


class AsyncPause(Protocol):
    """Waits.  `Pause` is the same, blocking."""

    async def pause(self, seconds: float, /) -> None:
        """Come back after *seconds*."""
        ...


class Pause(Protocol):
    """The blocking face of `AsyncPause`."""

    def pause(self, seconds: float, /) -> None: ...


def require_clock(clock: Clock | None, /) -> None:
    """Raise `ConfigurationError` for what is no clock, and for one that tells naive times; None: there is none."""
    if clock is None:
        return
    require_part("clock", clock, Clock)
    if clock.now().utcoffset() is None:
        raise ConfigurationError(setting="clock", problem="must tell aware times, as datetime.now(UTC) does")
