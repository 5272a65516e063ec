"""One piece of work for any number of callers, in tasks and in threads."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable, Coroutine, Hashable
from contextvars import copy_context
from typing import Any, TypeVar

from cloud_integrations.errors import CloudIntegrationsError
from cloud_integrations.runtime.sync import run_inline

T = TypeVar("T")


class TaskSingleFlight:
    """For the awaiting door: the work runs in a task of its own, which no caller's cancellation reaches.

    Tasks belong to their event loop, so callers in another loop (another thread) begin work of their
    own; the lease in the store then lets only one of them go on.
    """

    def __init__(self) -> None:
        # The dictionary is the strong reference that keeps a task alive when every caller has left.
        self._tasks: dict[tuple[asyncio.AbstractEventLoop, Hashable], asyncio.Task[Any]] = {}

    async def run(self, key: Hashable, work: Callable[[], Coroutine[Any, Any, T]], /) -> T:
        """Return what the one running *work* for *key* returns, or raise what it raises."""
        place = (asyncio.get_running_loop(), key)
        task: asyncio.Task[T] | None = self._tasks.get(place)
        if task is None:
            task = asyncio.create_task(work())
            self._tasks[place] = task
            task.add_done_callback(lambda done: self._end(place, done))
        return await asyncio.shield(task)

    async def share(self, key: Hashable, work: Callable[[], Coroutine[Any, Any, T]], /) -> T:
        """Do as `run`: a task of its own costs nothing here."""
        return await self.run(key, work)

    async def share_afresh(self, key: Hashable, work: Callable[[], Coroutine[Any, Any, T]], /) -> T:
        """Let what is under way end, then share what begins."""
        before = self._tasks.get((asyncio.get_running_loop(), key))
        if before is not None:
            await asyncio.wait([before])
        return await self.run(key, work)

    async def shield(self, work: Callable[[], Coroutine[Any, Any, T]], /) -> T:
        """Return what *work* returns, or raise what it raises; a cancelled caller does not end it."""
        return await self.run(object(), work)

    async def drain(self) -> None:
        """Wait until the work of this loop has ended."""
        loop = asyncio.get_running_loop()
        # `list` copies in one step; loops in other threads add and remove entries meanwhile.
        while waiting := [task for (owner, _), task in list(self._tasks.items()) if owner is loop]:
            await asyncio.wait(waiting)

    def _end(self, place: tuple[asyncio.AbstractEventLoop, Hashable], task: asyncio.Task[Any]) -> None:
        self._tasks.pop(place, None)
        if not task.cancelled():
            # Looked at here, so that work whose callers have all left raises no "never retrieved" warning.
            task.exception()


class _Flight:
    """What one thread does and others wait for."""

    __slots__ = ("_claim", "_ended", "_running", "error", "value")

    def __init__(self) -> None:
        self._claim = threading.Lock()
        # No event: whoever is interrupted while it begins to wait for one may leave the event's own lock taken for good.
        self._running = threading.Lock()
        self._running.acquire()
        self._ended = False
        self.value: Any = None
        self.error: BaseException | None = None

    def claim(self) -> bool:
        """Answer True to the first who asks: that one sees the work to its end."""
        return self._claim.acquire(blocking=False)

    def wait(self) -> None:
        """Return when the work has ended."""
        with self._running:
            pass

    def end(self) -> None:
        """Let those who wait go on; once is enough."""
        if not self._ended:
            self._ended = True
            self._running.release()


class ThreadSingleFlight:
    """For the blocking door: the work runs in a short-lived thread of its own, which no caller's interruption reaches.

    Python runs signal handlers in the main thread only, so what one raises (Ctrl-C, a task queue's time limit) ends the waiting of a
    caller, and not the work.  The thread is no daemon: the interpreter does not end before it, so that a token the provider gave is
    also stored.  Work that is itself interrupted (SystemExit in a port, say) ends for the caller who began it; one of the others begins
    again.
    """

    def __init__(self) -> None:
        self._forget()

    async def run(self, key: Hashable, work: Callable[[], Coroutine[Any, Any, T]], /) -> T:
        """Return what the one running *work* for *key* returns, or raise what it raises."""
        return self._join(key, work, begin=self._begin, shared=Exception)

    async def share(self, key: Hashable, work: Callable[[], Coroutine[Any, Any, T]], /) -> T:
        """Do *work* in the first caller's own thread; the others wait for it."""
        # A signal handler may raise there what is meant for that caller alone, so only an error of ours is everybody's.
        return self._join(key, work, begin=self._do, shared=CloudIntegrationsError)

    async def share_afresh(self, key: Hashable, work: Callable[[], Coroutine[Any, Any, T]], /) -> T:
        """Let what is under way end, then share what begins."""
        before = self._flights.get(key) if self._process == os.getpid() else None
        if before is not None:
            before.wait()
        return await self.share(key, work)

    async def shield(self, work: Callable[[], Coroutine[Any, Any, T]], /) -> T:
        """Do *work* to its end in a thread of its own; return what it returns, or raise what it raises."""
        return await self.run(object(), work)

    def _join(self, key: Hashable, work: Callable[[], Coroutine[Any, Any, T]], *, begin: Callable[..., None], shared: type[Exception]) -> T:
        if self._process != os.getpid():
            # Forked: the threads that did the parent's work do not exist here.
            self._forget()
        while True:
            mine = _Flight()
            try:
                with self._lock:
                    flight = self._flights.setdefault(key, mine)
                if flight is mine:
                    begin(key, mine, work)
                flight.wait()
            except BaseException as error:
                # An interruption at any moment: work that nobody has begun must not keep others waiting for it.
                if mine.claim():
                    self._end(key, mine, error)
                raise
            if flight.error is None:
                value: T = flight.value
                return value
            if flight is mine or isinstance(flight.error, shared):
                raise flight.error

    async def drain(self) -> None:
        """Wait until the work that is under way has ended."""
        if self._process != os.getpid():
            self._forget()
        with self._lock:
            single_flight = list(self._flights.values())
        for flight in single_flight:
            flight.wait()

    def _forget(self) -> None:
        self._process = os.getpid()
        self._lock = threading.Lock()
        self._flights: dict[Hashable, _Flight] = {}

    def _begin(self, key: Hashable, flight: _Flight, work: Callable[[], Coroutine[Any, Any, T]]) -> None:
        # The caller's context goes along: request ids and trace spans live there.
        thread = threading.Thread(
            target=copy_context().run, args=(self._do_if_wanted, key, flight, work), name="cloud-integrations-work", daemon=False
        )
        try:
            thread.start()
        except RuntimeError:
            # No thread can be had, at the interpreter's end for instance: then the caller does it.
            self._do_if_wanted(key, flight, work)

    def _do_if_wanted(self, key: Hashable, flight: _Flight, work: Callable[[], Coroutine[Any, Any, T]]) -> None:
        # Whoever began this may have been interrupted before the thread came to it.
        if flight.claim():
            self._do(key, flight, work)

    def _do(self, key: Hashable, flight: _Flight, work: Callable[[], Coroutine[Any, Any, T]]) -> None:
        error: BaseException | None = None
        try:
            flight.value = run_inline(work())
        except BaseException as caught:  # noqa: BLE001  # handed to whoever waits, and raised there
            error = caught
        finally:
            self._end(key, flight, error)

    def _end(self, key: Hashable, flight: _Flight, error: BaseException | None) -> None:
        flight.error = error
        with self._lock:
            if self._flights.get(key) is flight:
                del self._flights[key]
        flight.end()
