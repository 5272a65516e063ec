"""Share one piece of work among concurrent callers."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Hashable
from typing import Any, Protocol, TypeVar

T = TypeVar("T")


class SingleFlight(Protocol):
    """Runs at most one piece of work per key in this process; callers that come meanwhile get its outcome."""

    async def run(self, key: Hashable, work: Callable[[], Coroutine[Any, Any, T]], /) -> T:
        """Return what *work* returns, or raise what it raises.

        The work goes on if a caller is cancelled.
        """
        ...

    async def share(self, key: Hashable, work: Callable[[], Coroutine[Any, Any, T]], /) -> T:
        """Do as `run`, for work that can be repeated: it may end when the caller that runs it is cancelled."""
        ...

    async def share_afresh(self, key: Hashable, work: Callable[[], Coroutine[Any, Any, T]], /) -> T:
        """Do as `share`, but only with work that begins after this call; work that was under way before is awaited and not used.

        So many concurrent reads become two, and no caller gets a value that was read before its call.
        """
        ...

    async def shield(self, work: Callable[[], Coroutine[Any, Any, T]], /) -> T:
        """Return what *work* returns, or raise what it raises; the work goes on if the caller is cancelled or interrupted."""
        ...

    async def drain(self) -> None:
        """Wait until the work that is under way has ended."""
        ...
