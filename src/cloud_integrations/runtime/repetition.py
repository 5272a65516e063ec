"""Repeating steps until a stop: concurrently in tasks, or one after another in the caller's thread."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from typing import Any

from cloud_integrations.ports.clock import AsyncPause, Clock
from cloud_integrations.ports.repetition import Step

GRACE = 5.0
"""Seconds that a step may go on after the stop, so that its result is counted; then it is cancelled, except for requests that were
already sent to a provider."""
_GLANCE = 1.0
"""Seconds between two checks of the stop, because a blocking pause cannot be cut short."""


class TaskRepetition:
    """For the awaiting manager: each step has a task, so that a slow step delays no other."""

    def __init__(self, stop: asyncio.Event, pause: AsyncPause, /) -> None:
        self._stop = stop
        self._pause = pause

    async def repeat(self, *steps: Step) -> None:
        """Repeat each step, with its own pauses, until the stop or until it returns None; raise the first error of a step."""
        tasks = [asyncio.create_task(self._repeat(step)) for step in steps]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
        finally:
            # Ends the other tasks after an error, or if the caller is cancelled; otherwise all have ended.
            await _end(*tasks)
        for task in tasks:
            if not task.cancelled():
                task.result()

    async def _repeat(self, step: Step) -> None:
        while not self._stop.is_set():
            seconds = await self._until_stop(step(), grace=GRACE)
            if seconds is None:
                return
            if seconds > 0:
                await self._until_stop(self._pause.pause(seconds), grace=0)

    async def _until_stop(self, work: Coroutine[Any, Any, float | None], *, grace: float) -> float | None:
        """Return what *work* returns, or None if the stop came and *work* did not end within *grace* seconds."""
        task, stop = asyncio.ensure_future(work), asyncio.ensure_future(self._stop.wait())
        try:
            await asyncio.wait((task, stop), return_when=asyncio.FIRST_COMPLETED)
            if not task.done():
                await asyncio.wait((task,), timeout=grace)
            return task.result() if task.done() else None
        finally:
            # A request that was already sent goes on in a task of its own; closing the manager waits for it.
            await _end(task, stop)


class ThreadRepetition:
    """For the blocking manager: runs the step that is due first, in the caller's thread."""

    def __init__(self, stop: threading.Event, pause: AsyncPause, clock: Clock, /) -> None:
        self._stop = stop
        self._pause = pause
        self._clock = clock

    async def repeat(self, *steps: Step) -> None:
        """Repeat each step until the stop or until it returns None; a step starts late if another one takes long."""
        due = dict.fromkeys(steps, self._clock.monotonic())
        while due:
            step = min(due, key=due.__getitem__)
            await self._wait(due.pop(step) - self._clock.monotonic())
            if self._stop.is_set():
                return
            seconds = await step()
            if seconds is not None:
                due[step] = self._clock.monotonic() + seconds

    async def _wait(self, seconds: float) -> None:
        while seconds > 0 and not self._stop.is_set():
            await self._pause.pause(min(seconds, _GLANCE))
            seconds -= _GLANCE


async def _end(*futures: asyncio.Future[Any]) -> None:
    for future in futures:
        future.cancel()
    await asyncio.gather(*futures, return_exceptions=True)
