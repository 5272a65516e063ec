"""The crews: everything is done, and never too much of one kind at once."""

from __future__ import annotations

import asyncio
from collections import Counter

from cloud_integrations.runtime.concurrency import InlineConcurrency, TaskConcurrency
from cloud_integrations.runtime.sync import run_inline


async def test_tasks_run_side_by_side_but_not_too_many_of_one_key() -> None:
    running: Counter[str] = Counter()
    most: Counter[str] = Counter()
    done: list[int] = []

    async def work(item: int) -> None:
        kind = "even" if item % 2 == 0 else "odd"
        running[kind] += 1
        most[kind] = max(most[kind], running[kind])
        await asyncio.sleep(0)
        running[kind] -= 1
        done.append(item)

    await TaskConcurrency().for_each(range(20), work, key=lambda item: item % 2, at_once=3)
    assert sorted(done) == list(range(20))
    assert most == {"even": 3, "odd": 3}


def test_the_blocking_crew_works_in_order() -> None:
    done: list[int] = []

    async def work(item: int) -> None:
        done.append(item)

    run_inline(InlineConcurrency().for_each(range(5), work, key=lambda item: item, at_once=1))
    assert done == [0, 1, 2, 3, 4]
