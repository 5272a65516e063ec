"""Engines as this store likes them, and views of the host's engine that leave the host's own work alone."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from sqlalchemy import URL, Connection, Engine, QueuePool, create_engine, event

from cloud_integrations.ports.clock import Clock

from .clock import CLOCK_OPTION

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine

MARIADB = {"mariadb", "mysql"}
"""What SQLAlchemy calls MariaDB, by the URL of the host's engine."""

AnyEngine = TypeVar("AnyEngine", Engine, "AsyncEngine")


def sqlite_engine(path: str | Path, /, *, timeout: float = 10.0) -> Engine:
    """Make an engine on a SQLite file: write-ahead log, full durability, foreign keys, and *timeout* seconds of patience for other writers.

    `":memory:"` gives a database that lives as long as the engine, over one connection that threads take in turn.
    """
    in_memory = str(path) == ":memory:"
    pool: dict[str, Any] = {"poolclass": QueuePool, "pool_size": 1, "max_overflow": 0} if in_memory else {}
    engine = create_engine(
        URL.create("sqlite", database=str(path)),
        connect_args={"timeout": timeout, "check_same_thread": False},
        hide_parameters=True,
        **pool,
    )
    event.listen(engine, "connect", _set_pragmas)
    return engine


def _set_pragmas(dbapi_connection: Any, _record: object) -> None:
    cursor = dbapi_connection.cursor()
    # Readers do not wait for the writer, and a commit is on the disk before it is reported.
    cursor.execute("PRAGMA journal_mode = WAL")
    cursor.execute("PRAGMA synchronous = FULL")
    cursor.execute("PRAGMA foreign_keys = ON")
    cursor.close()


def reading_view(engine: AnyEngine, clock: Clock | None, /) -> AnyEngine:
    """Return *engine* for single statements: on PostgreSQL, no BEGIN and no ROLLBACK around them.

    There the driver switches without asking the server; elsewhere switching costs more statements than it saves.
    """
    level = {"isolation_level": "AUTOCOMMIT"} if engine.dialect.name == "postgresql" else {}
    return engine.execution_options(**level, **{CLOCK_OPTION: clock})


def writing_view(engine: AnyEngine, clock: Clock | None, /) -> AnyEngine:
    """Return *engine* for units of work, whose connections go through `for_writing`."""
    return engine.execution_options(**{CLOCK_OPTION: clock})


def for_writing(connection: Connection, /) -> None:
    """Let each statement see what others have committed, as conditional updates want it; nothing has begun yet."""
    if connection.dialect.name == "postgresql":
        # Said to the connection: where the host's engine was given a level by `execution_options`, that one would win over a view's.
        connection.execution_options(isolation_level="READ COMMITTED")


def begin_writing(connection: Connection, /) -> None:
    """Begin in the database's own words, where its driver's way of beginning is not what a unit of work needs."""
    if connection.dialect.name in MARIADB:
        # For this transaction only; a snapshot would show rows as they were before a lock was waited for.
        connection.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL READ COMMITTED")
        connection.exec_driver_sql("START TRANSACTION")
    if connection.dialect.name != "sqlite":
        return
    # As a writer: a transaction that began as a reader can be refused when it comes to write.
    if getattr(connection.connection.driver_connection, "in_transaction", False):
        # The host's own "begin" event or the driver opened one, and nothing has been done in it.
        connection.exec_driver_sql("ROLLBACK")
    connection.exec_driver_sql("BEGIN IMMEDIATE")
