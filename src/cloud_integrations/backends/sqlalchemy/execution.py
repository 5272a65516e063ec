"""Running store operations on the host's engine: connection, transaction, and retries if nothing was committed."""

from __future__ import annotations

import asyncio
import os
import random
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Concatenate, Generic, ParamSpec, TypeVar

from sqlalchemy import Connection, Engine, Pool, QueuePool
from sqlalchemy.exc import DBAPIError

from cloud_integrations.backends.foreign_errors import alone
from cloud_integrations.domain.interruption import is_interruption
from cloud_integrations.errors import CloudIntegrationsError, CommitUnknownError
from cloud_integrations.ports.clock import Clock

from .databases import database_of
from .db_errors import in_our_words, is_of_database, is_undecodable, reason_of, was_refused, was_rolled_back
from .engine import AnyEngine, reading_view, writing_view
from .visibility import seeing

if TYPE_CHECKING:
    # A blocking host need not import it, and does not need greenlet.
    from sqlalchemy.ext.asyncio import AsyncEngine


P = ParamSpec("P")
T = TypeVar("T")
Operation = Callable[Concatenate[Connection, P], T]

_THREADS = 16
"""Threads for a blocking engine in the awaiting store: about as many as SQLAlchemy's default pool has connections."""
_GRACE = 5.0
"""Seconds that a cancelled caller waits for its thread; not longer, because the database may hang."""


class _Views(Generic[AnyEngine]):
    """The views of one engine for reads and for units of work, and what runs on their connections.

    With row security, a read runs in a transaction, too: what it may see is said for a transaction.
    """

    def __init__(self, engine: AnyEngine, clock: Clock | None, *, row_security: bool) -> None:
        self.writes: AnyEngine = writing_view(engine, clock)
        self._reads: AnyEngine = self.writes if row_security else reading_view(engine, clock)
        self._row_security = row_security

    def reading(self, operation: Operation[P, T], /, *args: P.args, **kwargs: P.kwargs) -> tuple[AnyEngine, Callable[[Connection], T]]:
        if self._row_security:
            return self._reads, lambda connection: _in_reading_transaction(connection, seeing(operation), *args, **kwargs)
        return self._reads, lambda connection: operation(connection, *args, **kwargs)

    def writing(self, operation: Operation[P, T], /, *args: P.args, **kwargs: P.kwargs) -> tuple[AnyEngine, Callable[[Connection], T]]:
        work = seeing(operation) if self._row_security else operation
        return self.writes, lambda connection: _in_transaction(connection, work, *args, **kwargs)


class BlockingEngine:
    """Runs operations over an `Engine`; in a forked child, over connections of its own."""

    def __init__(self, engine: Engine, clock: Clock | None, *, row_security: bool = False) -> None:
        self._process = os.getpid()
        self._parents: Pool | None = None
        self._views = _Views(engine, clock, row_security=row_security)
        self.guard = database_of(engine).guard()

    def read(self, operation: Operation[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        return self._with_retries(*self._views.reading(operation, *args, **kwargs))

    def write(self, operation: Operation[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        return self._with_retries(*self._views.writing(operation, *args, **kwargs))

    def _with_retries(self, engine: Engine, work: Callable[[Connection], T]) -> T:
        if self._process != os.getpid():
            self._leave_parent()
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

    def _leave_parent(self) -> None:
        """Use none of the connections that a fork has copied: two processes on one connection read each other's answers."""
        self._process = os.getpid()
        pool = self._views.writes.pool
        # Other pools keep no connection, or the only one of a database in memory, which the fork has copied too.
        if isinstance(pool, QueuePool):
            # It is kept, because a connection that ends tells its server, which would end the parent's.
            self._parents = pool
            self._views.writes.dispose(close=False)


class AwaitedEngine:
    """Runs operations over an `AsyncEngine`."""

    def __init__(self, engine: AsyncEngine, clock: Clock | None, *, row_security: bool = False) -> None:
        self._views = _Views(engine, clock, row_security=row_security)
        self.guard = database_of(engine).guard()

    async def read(self, operation: Operation[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        return await self._with_retries(*self._views.reading(operation, *args, **kwargs))

    async def write(self, operation: Operation[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        return await self._with_retries(*self._views.writing(operation, *args, **kwargs))

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
    """Runs operations over an `Engine`, each in a thread."""

    def __init__(self, engine: Engine, clock: Clock | None, *, row_security: bool = False) -> None:
        self._engine = BlockingEngine(engine, clock, row_security=row_security)
        self.guard = self._engine.guard
        # Not the loop's default executor: other work queued there would delay tokens.
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
            # Let the thread return its connection to the pool: `Engine.dispose`, which a host may call next, closes only those.
            await asyncio.wait((work,), timeout=_GRACE)
            raise


class _Retries:
    """Decides how often and how long work is tried again of which nothing was committed.

    Not a library: its configuration would be longer than this class, and tests would have to control another clock.
    """

    _TRIES = 20
    """Many, because of all transactions that write to one audit chain at once, serializable isolation commits one at a time."""
    _SECONDS = 5.0
    """After this time, which may have been spent waiting for a lock, work is not tried again."""
    _FIRST_PAUSE, _LONGEST_PAUSE = 0.02, 0.25

    def __init__(self) -> None:
        self._tried = 0
        self._until = time.monotonic() + self._SECONDS
        self._met_bytes = False

    def over(self, connection: Connection, /) -> AbstractContextManager[None]:
        """Return a context manager that reads values that are no text as bytes, once one was met; `Rows` reports them as damaged."""
        return database_of(connection).reading_bytes(connection) if self._met_bytes else nullcontext()

    def judge(self, error: Exception, /, *, connected: bool) -> tuple[float, Exception | None]:
        """Return the seconds to wait before the next attempt and None, or 0 and the error to raise by `alone`."""
        self._tried += 1
        if is_interruption(error):
            return 0, error.with_traceback(None)
        if isinstance(error, CloudIntegrationsError) or (connected and not is_of_database(error)):
            # An error of ours, or a fault in the work itself, whose traceback holds no part of the login.
            return 0, error
        if is_undecodable(error) and not self._met_bytes:
            self._met_bytes = True
            return 0, None
        if not was_rolled_back(error) or self._tried == self._TRIES or time.monotonic() > self._until:
            return 0, in_our_words(error, connected=connected)
        # Random, so that transactions that conflicted do not conflict again.
        longest = min(self._FIRST_PAUSE * 2 ** (self._tried - 1), self._LONGEST_PAUSE)
        return random.uniform(0, longest), None  # noqa: S311 - no secret


def _in_reading_transaction(connection: Connection, operation: Operation[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
    """Run *operation* in a transaction of its own, which changes nothing and is rolled back."""
    database_of(connection).for_writing(connection)
    with connection.begin() as transaction:
        result = operation(connection, *args, **kwargs)
        transaction.rollback()
    return result


def _in_transaction(connection: Connection, operation: Operation[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
    """Run *operation* in a transaction.  Raises `CommitUnknownError` if the outcome of the commit is unknown."""
    database = database_of(connection)
    database.for_writing(connection)
    with connection.begin() as transaction:
        database.begin_writing(connection)
        result = operation(connection, *args, **kwargs)
        try:
            transaction.commit()
        except (DBAPIError, OSError) as error:
            if not database.has_server or was_refused(error):
                # Without a server, a failed commit has committed nothing; a server that refuses a commit has rolled it back.
                raise
            raise CommitUnknownError(reason=reason_of(error)) from None
    return result
