"""Single flight: concurrent callers share one piece of work, in tasks or in threads."""

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
    """For the awaiting manager: the work runs in a task of its own, which goes on if a caller is cancelled.

    A task belongs to its event loop, so callers in another loop (in another thread) start work of their own; then the lease in the
    store lets only one of them continue.
    """

    def __init__(self) -> None:
        # asyncio holds tasks by weak references: this dictionary keeps a task alive when all its callers are cancelled.
        self._tasks: dict[tuple[asyncio.AbstractEventLoop, Hashable], asyncio.Task[Any]] = {}

    async def run(self, key: Hashable, work: Callable[[], Coroutine[Any, Any, T]], /) -> T:
        """Return what the running work for *key* returns, or raise what it raises; start *work* if there is none."""
        place = (asyncio.get_running_loop(), key)
        task: asyncio.Task[T] | None = self._tasks.get(place)
        if task is None:
            task = asyncio.create_task(work())
            self._tasks[place] = task
            task.add_done_callback(lambda done: self._end(place, done))
        return await asyncio.shield(task)

    async def share(self, key: Hashable, work: Callable[[], Coroutine[Any, Any, T]], /) -> T:
        """Do the same as `run`, because a task of its own is cheap."""
        return await self.run(key, work)

    async def share_afresh(self, key: Hashable, work: Callable[[], Coroutine[Any, Any, T]], /) -> T:
        """Wait for work in progress to end, then share work that begins after this call."""
        before = self._tasks.get((asyncio.get_running_loop(), key))
        if before is not None:
            await asyncio.wait([before])
        return await self.run(key, work)

    async def shield(self, work: Callable[[], Coroutine[Any, Any, T]], /) -> T:
        """Return what *work* returns, or raise what it raises; *work* goes on if the caller is cancelled."""
        return await self.run(object(), work)

    async def drain(self) -> None:
        """Wait until all work in the running loop has ended."""
        loop = asyncio.get_running_loop()
        # `list` copies in one step, because loops in other threads add and remove entries.
        while waiting := [task for (owner, _), task in list(self._tasks.items()) if owner is loop]:
            await asyncio.wait(waiting)

    def _end(self, place: tuple[asyncio.AbstractEventLoop, Hashable], task: asyncio.Task[Any]) -> None:
        self._tasks.pop(place, None)
        if not task.cancelled():
            # Read here, so that asyncio does not warn about an exception that no caller is left to retrieve.
            task.exception()


class _Flight:
    """Work that one thread does and others wait for."""

    __slots__ = ("_claim", "_ended", "_running", "error", "value")

    def __init__(self) -> None:
        self._claim = threading.Lock()
        # Not an Event: a thread that is interrupted just as it starts to wait may leave the Event's own lock locked for ever.
        self._running = threading.Lock()
        self._running.acquire()
        self._ended = False
        self.value: Any = None
        self.error: BaseException | None = None

    def claim(self) -> bool:
        """Return True to the first caller only, which then must do the work or end the flight."""
        return self._claim.acquire(blocking=False)

    def wait(self) -> None:
        """Return when the work has ended."""
        with self._running:
            pass

    def end(self) -> None:
        """Let the waiting threads continue; further calls do nothing."""
        if not self._ended:
            self._ended = True
            self._running.release()


class ThreadSingleFlight:
    """For the blocking manager: the work runs in a short-lived thread of its own, which goes on if a caller is interrupted.

    Python runs signal handlers in the main thread only, so an exception from one (Ctrl-C, a task queue's time limit) interrupts a
    waiting caller and not the work.  The thread is not a daemon, so the interpreter does not exit before a token that the provider
    gave is stored.  If the work itself is interrupted (by SystemExit in a port, for example), that is raised for the caller that
    started it, and another caller starts it again.
    """

    def __init__(self) -> None:
        self._forget()

    async def run(self, key: Hashable, work: Callable[[], Coroutine[Any, Any, T]], /) -> T:
        """Return what the running work for *key* returns, or raise what it raises; start *work* if there is none."""
        return self._join(key, work, begin=self._begin, shared=Exception)

    async def share(self, key: Hashable, work: Callable[[], Coroutine[Any, Any, T]], /) -> T:
        """Do *work* in the first caller's own thread; the other callers wait for its result."""
        # A signal handler may raise in that thread an error for that caller alone, so only errors of ours are shared.
        return self._join(key, work, begin=self._do, shared=CloudIntegrationsError)

    async def share_afresh(self, key: Hashable, work: Callable[[], Coroutine[Any, Any, T]], /) -> T:
        """Wait for work in progress to end, then share work that begins after this call."""
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
                # An interruption can come at any moment: if no thread has claimed the work, the others must not wait for it.
                if mine.claim():
                    self._end(key, mine, error)
                raise
            if flight.error is None:
                value: T = flight.value
                return value
            if flight is mine or isinstance(flight.error, shared):
                raise flight.error

    async def drain(self) -> None:
        """Wait until all work in progress has ended."""
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
        # The work runs in a copy of the caller's context, which holds request ids and trace spans.
        thread = threading.Thread(
            target=copy_context().run, args=(self._do_if_wanted, key, flight, work), name="cloud-integrations-work", daemon=False
        )
        try:
            thread.start()
        except RuntimeError:
            # No thread can be started, for example while the interpreter exits: the caller does the work itself.
            self._do_if_wanted(key, flight, work)

    def _do_if_wanted(self, key: Hashable, flight: _Flight, work: Callable[[], Coroutine[Any, Any, T]]) -> None:
        # The caller may have been interrupted, and have ended the flight, before this thread started.
        if flight.claim():
            self._do(key, flight, work)

    def _do(self, key: Hashable, flight: _Flight, work: Callable[[], Coroutine[Any, Any, T]]) -> None:
        error: BaseException | None = None
        try:
            flight.value = run_inline(work())
        except BaseException as caught:  # noqa: BLE001  # raised again in the waiting callers
            error = caught
        finally:
            self._end(key, flight, error)

    def _end(self, key: Hashable, flight: _Flight, error: BaseException | None) -> None:
        flight.error = error
        with self._lock:
            if self._flights.get(key) is flight:
                del self._flights[key]
        flight.end()
