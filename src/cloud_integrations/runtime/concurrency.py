"""Working through a list: concurrently in tasks, or one item after another."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Hashable, Iterable
from typing import Any, TypeVar

T = TypeVar("T")


class TaskConcurrency:
    """For the awaiting manager: one task per item, with a limit per key."""

    async def for_each(
        self, items: Iterable[T], work: Callable[[T], Coroutine[Any, Any, None]], /, *, key: Callable[[T], Hashable], at_once: int
    ) -> None:
        """Do *work* on every item, on at most *at_once* items with the same *key* at a time."""
        gates: dict[Hashable, asyncio.Semaphore] = {}

        async def one(item: T) -> None:
            async with gates.setdefault(key(item), asyncio.Semaphore(at_once)):
                await work(item)

        async with asyncio.TaskGroup() as group:
            for item in items:
                group.create_task(one(item))


class InlineConcurrency:
    """For the blocking manager: one item after another, in the caller's thread."""

    async def for_each(
        self, items: Iterable[T], work: Callable[[T], Coroutine[Any, Any, None]], /, *, key: Callable[[T], Hashable], at_once: int
    ) -> None:
        """Do *work* on every item."""
        del key, at_once  # one item at a time is within every limit
        for item in items:
            await work(item)
