"""Whether it makes sense to ask a provider now."""

from __future__ import annotations

from collections.abc import Hashable
from datetime import timedelta
from typing import Protocol


class Breaker(Protocol):
    """Remembers, per authorization server and client id, how requests went lately.

    While it is open, nobody asks; tokens that still work are handed out all the same.
    """

    def wait(self, key: Hashable, /) -> timedelta | None:
        """Return None if a request may go out now, else how long to wait.

        When the time is over, one caller is let through as a probe.
        """
        ...

    def note(self, key: Hashable, /, *, ok: bool) -> None:
        """Remember that a request was answered, or was not."""
        ...

    def trip(self, key: Hashable, reason: str, /) -> None:
        """Open at once: the application itself is refused, so every request would be."""
        ...

    def reason(self, key: Hashable, /) -> str | None:
        """Return why it was tripped, or None."""
        ...
