"""Store operations run over the host's engine: connected, in a transaction, tried again where nothing was left behind."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Concatenate, ParamSpec, TypeVar

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError

from cloud_integrations.backends.foreign_errors import alone
from cloud_integrations.errors import CloudIntegrationsError, CommitUnknownError
from cloud_integrations.ports.clock import Clock

from .databases import database_of
from .db_errors import in_our_words, is_of_database, is_undecodable, reason_of, was_refused, was_rolled_back
from .engine import reading_view, writing_view

if TYPE_CHECKING:
    # A blocking host shall not pay for importing it, nor need greenlet.
    from sqlalchemy.ext.asyncio import AsyncEngine


P = ParamSpec("P")
T = TypeVar("T")
Operation = Callable[Concatenate[Connection, P], T]

_THREADS = 16
"""Threads for a blocking engine behind the awaited store; about as many as its pool has connections."""
_GRACE = 5.0
"""Seconds that a cancelled caller waits for its thread: no longer, because the database may hang."""


class BlockingEngine:
    """Runs operations over an `Engine`."""

    def __init__(self, engine: Engine, clock: Clock | None) -> None:
        self._reads = reading_view(engine, clock)
        self._writes = writing_view(engine, clock)
        self.guard = database_of(engine).guard()

    def read(self, operation: Operation[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        return self._with_retries(self._reads, lambda connection: operation(connection, *args, **kwargs))

    def write(self, operation: Operation[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        return self._with_retries(self._writes, lambda connection: _in_transaction(connection, operation, *args, **kwargs))

    def _with_retries(self, engine: Engine, work: Callable[[Connection], T]) -> T:
        retries = _Retries()
        while True:
            connected = False
            try:
                with engine.connect() as connection:
                    connected = True
                    with self.guard.over(connection), retries.over(connection):
                        return work(connection)
            except Exception as error:  # noqa: BLE001  # whatever a driver lets out may show a password or a value: none of it leaves this file
                pause, problem = retries.judge(error, connected=connected)
            if problem is not None:
                raise alone(problem)
            time.sleep(pause)


class AwaitedEngine:
    """Runs operations over an `AsyncEngine`."""

    def __init__(self, engine: AsyncEngine, clock: Clock | None) -> None:
        self._reads = reading_view(engine, clock)
        self._writes = writing_view(engine, clock)
        self.guard = database_of(engine).guard()

    async def read(self, operation: Operation[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        return await self._with_retries(self._reads, lambda connection: operation(connection, *args, **kwargs))

    async def write(self, operation: Operation[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        return await self._with_retries(self._writes, lambda connection: _in_transaction(connection, operation, *args, **kwargs))

    async def _with_retries(self, engine: AsyncEngine, work: Callable[[Connection], T]) -> T:
        def guarded(connection: Connection) -> T:
            with self.guard.over(connection), retries.over(connection):
                return work(connection)

        retries = _Retries()
        while True:
            connected = False
            try:
                async with engine.connect() as connection:
                    connected = True
                    return await connection.run_sync(guarded)
            except Exception as error:  # noqa: BLE001  # as in the blocking store
                pause, problem = retries.judge(error, connected=connected)
            if problem is not None:
                raise alone(problem)
            await asyncio.sleep(pause)


class ThreadedEngine:
    """Runs operations over an `Engine`, each in one hop to a thread."""

    def __init__(self, engine: Engine, clock: Clock | None) -> None:
        self._engine = BlockingEngine(engine, clock)
        self.guard = self._engine.guard
        # Not the loop's own executor: whatever else is queued there would keep tokens waiting.
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="cloud-integrations-store")

    async def read(self, operation: Operation[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        return await self._in_thread(lambda: self._engine.read(operation, *args, **kwargs))

    async def write(self, operation: Operation[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        return await self._in_thread(lambda: self._engine.write(operation, *args, **kwargs))

    async def _in_thread(self, call: Callable[[], T]) -> T:
        work = asyncio.get_running_loop().run_in_executor(self._threads, call)
        try:
            return await asyncio.shield(work)
        except asyncio.CancelledError:
            # Its connection returns to the pool first: a host that disposes of its engine next closes only what is in there.
            await asyncio.wait((work,), timeout=_GRACE)
            raise


class _Retries:
    """How often, and how long, work is tried again that left nothing behind.

    A library for this would hold more settings than these lines, and another clock for tests to stop.
    """

    _TRIES = 20
    """Of as many as write to one audit chain at once, a serializable transaction lets one through at a time."""
    _SECONDS = 5.0
    """Who has waited so long for a lock is not sent to wait again."""
    _FIRST_PAUSE, _LONGEST_PAUSE = 0.02, 0.25

    def __init__(self) -> None:
        self._tried = 0
        self._until = time.monotonic() + self._SECONDS
        self._met_bytes = False

    def over(self, connection: Connection, /) -> AbstractContextManager[None]:
        """Once a text was met that is none, read such texts as the bytes they are, by which `Rows` knows an edited row."""
        return database_of(connection).reading_bytes(connection) if self._met_bytes else nullcontext()

    def judge(self, error: Exception, /, *, connected: bool) -> tuple[float, Exception | None]:
        """Return the seconds to wait before the next try, or what to raise, `alone`, where there shall be none."""
        self._tried += 1
        if isinstance(error, CloudIntegrationsError) or (connected and not is_of_database(error)):
            # A refusal of ours; or a mistake in the work, which has nothing of the login in its frames.
            return 0, error
        if is_undecodable(error) and not self._met_bytes:
            self._met_bytes = True
            return 0, None
        if not was_rolled_back(error) or self._tried == self._TRIES or time.monotonic() > self._until:
            return 0, in_our_words(error, connected=connected)
        # Chance keeps those who stood in each other's way from meeting again.
        longest = min(self._FIRST_PAUSE * 2 ** (self._tried - 1), self._LONGEST_PAUSE)
        return random.uniform(0, longest), None  # noqa: S311 - no secret


def _in_transaction(connection: Connection, operation: Operation[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
    """Do *operation* in a transaction: all of it, or nothing."""
    database = database_of(connection)
    database.for_writing(connection)
    with connection.begin() as transaction:
        database.begin_writing(connection)
        result = operation(connection, *args, **kwargs)
        try:
            transaction.commit()
        except (DBAPIError, OSError) as error:
            if not database.has_server or was_refused(error):
                # With no network in between, the commit is known to have failed; and a server that refuses it has rolled back.
                raise
            raise CommitUnknownError(reason=reason_of(error)) from None
    return result
