"""One piece of work for any number of callers."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Hashable
from typing import Any, Protocol, TypeVar

T = TypeVar("T")


class SingleFlight(Protocol):
    """Runs at most one piece of work per key in this process; everyone who asks meanwhile gets its outcome."""

    async def run(self, key: Hashable, work: Callable[[], Coroutine[Any, Any, T]], /) -> T:
        """Return what *work* returns, or raise what it raises.

        The work is not ended by a caller that gives up.
        """
        ...

    async def share(self, key: Hashable, work: Callable[[], Coroutine[Any, Any, T]], /) -> T:
        """Do as `run` for work that may end with the caller who does it: what is lost then can be done again."""
        ...

    async def share_afresh(self, key: Hashable, work: Callable[[], Coroutine[Any, Any, T]], /) -> T:
        """Do as `share`, but with work that begins after the call: what was under way before is waited for and not used.

        So many reads at once become two, and nobody is given what was read before they asked.
        """
        ...

    async def shield(self, work: Callable[[], Coroutine[Any, Any, T]], /) -> T:
        """Return what *work* returns, or raise what it raises; neither a cancelled nor an interrupted caller ends it."""
        ...

    async def drain(self) -> None:
        """Wait until the work that is under way has ended."""
        ...
