"""Run many small pieces of work, concurrently where the manager allows it."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Hashable, Iterable
from typing import Any, Protocol, TypeVar

T = TypeVar("T")


class Concurrency(Protocol):
    """Runs one piece of work for each item of a list."""

    async def for_each(
        self, items: Iterable[T], work: Callable[[T], Coroutine[Any, Any, None]], /, *, key: Callable[[T], Hashable], at_once: int
    ) -> None:
        """Run *work* for every item; of the items with the same *key*, at most *at_once* at the same time.  *work* must not raise."""
        ...
