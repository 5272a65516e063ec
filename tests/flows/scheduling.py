"""Coroutines stepped one at a time in one thread, as a seed says."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from random import Random
from types import coroutine
from typing import TYPE_CHECKING, Any

from cloud_integrations.errors import CloudIntegrationsError, CommitUnknownError, IntegrationNotFoundError, StorageUnavailableError
from cloud_integrations.testing import FixedClock

if TYPE_CHECKING:
    from .simulation import World

FREEZE = "freeze"
"""What a task asks for to stand still for longer than a lease."""


@dataclass(slots=True)
class Job:
    """Something that tasks wait for."""

    done: bool = False
    value: Any = None
    error: BaseException | None = None


@dataclass(slots=True)
class Task:
    flow: Coroutine[Any, Any, Any]
    replica: int
    job: Job = field(default_factory=Job)
    wakes_at: datetime | None = None
    waits_for: Job | None = None
    held_up: bool = False
    """It stands still for longer than a lease."""


@coroutine
def _pass(what: Any = None) -> Any:
    yield what


class Scheduler:
    """Steps one coroutine at a time; who is next, and who is held up, is drawn from the seed."""

    def __init__(self, rng: Random, clock: FixedClock) -> None:
        self._rng = rng
        self._clock = clock
        self.stalls = self.freezes = 0.0
        """How often a task is held up for seconds, and for longer than a lease."""
        self.frozen = 0
        self.on_error: Callable[[CloudIntegrationsError], None] = lambda _: None
        self.tasks: list[Task] = []

    def begin(self, flow: Coroutine[Any, Any, Any], replica: int) -> Job:
        task = Task(flow, replica)
        self.tasks.append(task)
        return task.job

    def kill(self, replica: int) -> None:
        """The process dies: nothing of it goes on."""
        for task in [task for task in self.tasks if task.replica == replica]:
            task.flow.close()
            task.job.done, task.job.error = True, IntegrationNotFoundError()
            self.tasks.remove(task)

    @property
    def is_quiet(self) -> bool:
        """Whether all there is stands still, or waits for somebody who does."""
        return all(task.held_up or (task.waits_for is not None and not task.waits_for.done) for task in self.tasks)

    def step(self) -> bool:
        """Let one task go one step, or time pass until one can; False when there is none."""
        now = self._clock.now()
        ready = [
            task
            for task in self.tasks
            if (task.waits_for is None or task.waits_for.done) and (task.wakes_at is None or task.wakes_at <= now)
        ]
        if not ready:
            waking = [task.wakes_at for task in self.tasks if task.wakes_at is not None and (task.waits_for is None or task.waits_for.done)]
            if not waking:
                assert not self.tasks, "everybody waits for somebody"
                return False
            self._clock.advance(min(waking) - now)
            return True
        self._resume(self._rng.choice(ready))
        return True

    def _resume(self, task: Task) -> None:
        task.wakes_at = task.waits_for = None
        task.held_up = False
        try:
            asked = task.flow.send(None)
        except StopIteration as done:
            task.job.value = done.value
        except CloudIntegrationsError as error:
            task.job.error = error
            self.on_error(error)
        else:
            if isinstance(asked, Job):
                task.waits_for = asked
            elif isinstance(asked, datetime):
                task.wakes_at = asked
            elif asked is FREEZE or self._rng.random() < self.freezes:
                self.frozen += 1
                task.held_up = True
                task.wakes_at = self._clock.now() + timedelta(seconds=self._rng.uniform(31, 300))
            elif self._rng.random() < self.stalls:
                task.wakes_at = self._clock.now() + timedelta(seconds=self._rng.uniform(0, 3))
            return
        task.job.done = True
        self.tasks.remove(task)


class Flights:
    """Single-flight on the scheduler: the work is a task of its own."""

    def __init__(self, world: World, replica: int) -> None:
        self._world, self._replica = world, replica
        self._jobs: dict[Any, Job] = {}

    async def run(self, key: Any, work: Callable[[], Coroutine[Any, Any, Any]], /) -> Any:
        job = self._jobs.get(key)
        if job is None or job.done:
            job = self._jobs[key] = self._world.scheduler.begin(work(), self._replica)
        while not job.done:
            await _pass(job)
        if job.error is not None:
            raise job.error
        return job.value

    async def share(self, key: Any, work: Callable[[], Coroutine[Any, Any, Any]], /) -> Any:
        return await self.run(key, work)

    async def share_afresh(self, _: Any, work: Callable[[], Coroutine[Any, Any, Any]], /) -> Any:
        return await work()

    async def shield(self, work: Callable[[], Coroutine[Any, Any, Any]], /) -> Any:
        return await self.run(object(), work)


class Pause:
    def __init__(self, clock: FixedClock) -> None:
        self._clock = clock

    async def pause(self, seconds: float, /) -> None:
        await _pass(self._clock.now() + timedelta(seconds=seconds))


class Store:
    """The shared store, as one replica reaches it: others get a turn around each call, and calls may fail."""

    def __init__(self, world: World) -> None:
        self._world = world

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._world.rows, name)
        world = self._world

        async def call(*args: Any, **named: Any) -> Any:
            await _pass()
            world.maybe(world.store_fails, StorageUnavailableError)
            if name == "apply":
                world.maybe(world.store_fails / 2, CommitUnknownError)
            dead = name == "apply" and world.is_given_up()
            result = method(*args, **named)
            if dead and not (world.touched or world.is_given_up()):
                # Looked at in the end: an error here would be the store's, and be tried again.
                world.healed.append(world.provider.is_alive(world.stored("refresh")))
            if name == "apply":
                world.maybe(world.store_fails / 2, CommitUnknownError)
            await _pass()
            return result

        return call
