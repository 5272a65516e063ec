"""Many small pieces of work, side by side where that is possible."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Hashable, Iterable
from typing import Any, Protocol, TypeVar

T = TypeVar("T")


class Concurrency(Protocol):
    """Works through a list."""

    async def for_each(
        self, items: Iterable[T], work: Callable[[T], Coroutine[Any, Any, None]], /, *, key: Callable[[T], Hashable], at_once: int
    ) -> None:
        """Do *work* on every item, on at most *at_once* with the same *key* at the same time; *work* raises nothing."""
        ...
