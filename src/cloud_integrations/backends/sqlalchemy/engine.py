"""Engines as this store likes them, and views of the host's engine that leave the host's own work alone."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from sqlalchemy import URL, Connection, Dialect, Engine, QueuePool, create_engine, event

from cloud_integrations.errors import ConfigurationError
from cloud_integrations.ports.clock import Clock

from .clock import CLOCK_OPTION

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine

MARIADB = {"mariadb", "mysql"}
"""What SQLAlchemy calls MariaDB, by the URL of the host's engine."""
_FOR_MARIADB = ("pymysql", "mysqldb", "asyncmy")
DRIVERS = {
    "sqlite": ("pysqlite", "aiosqlite"),
    "postgresql": ("psycopg", "psycopg2", "pg8000", "asyncpg"),
    "mariadb": _FOR_MARIADB,
    "mysql": _FOR_MARIADB,
}
"""The drivers that the store's contract is run over, by SQLAlchemy's names; `mysqldb` is mysqlclient."""
_OLDEST_MARIADB = (10, 6)
"""The first with SKIP LOCKED."""

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


def require_driver(dialect: Dialect, /) -> None:
    """Raise `ConfigurationError` for a database or a driver that is not supported; nothing is asked of a server."""
    drivers = DRIVERS.get(dialect.name)
    if drivers is None:
        problem = f"is one for {dialect.name}, which is not supported; supported are SQLite, PostgreSQL and MariaDB"
        raise ConfigurationError(setting="engine", problem=problem)
    if dialect.driver not in drivers:
        problem = f"uses the driver {dialect.driver}, which is not supported for {dialect.name}; supported are {', '.join(drivers)}"
        raise ConfigurationError(setting="engine", problem=problem)


def require_blocking(engine: Engine, /) -> None:
    """Raise `ConfigurationError` for an engine that cannot be called from a thread: `create_engine` takes a driver that is awaited, too."""
    require_driver(engine.dialect)
    if engine.dialect.is_async:
        problem = (
            f"uses the driver {engine.dialect.driver}, which is awaited: make it with create_async_engine, "
            "for AsyncSqlAlchemyStore, and migrate by `await connection.run_sync(migrate.upgrade)`"
        )
        raise ConfigurationError(setting="engine", problem=problem)


def require_server(connection: Connection, /) -> None:
    """Raise `ConfigurationError` where MySQL, or a MariaDB that is too old, answers; SQLAlchemy asked when it first connected."""
    if connection.dialect.name not in MARIADB:
        return
    dialect: Any = connection.dialect
    if not dialect.is_mariadb:
        raise unsupported_mysql()
    if tuple(dialect.server_version_info) < _OLDEST_MARIADB:
        raise ConfigurationError(setting="engine", problem="leads to a MariaDB before 10.6, which is not supported")


def unsupported_mysql() -> ConfigurationError:
    """Return what is raised where MySQL answers."""
    return ConfigurationError(setting="engine", problem="leads to MySQL, which is not supported; MariaDB from 10.6 on is")


def reading_view(engine: AnyEngine, clock: Clock | None, /) -> AnyEngine:
    """Return *engine* for single statements: on PostgreSQL, no BEGIN and no ROLLBACK around them.

    There the driver switches without asking the server; elsewhere switching costs more statements than it saves.  pg8000 sends a
    statement and its values in two steps, which behind a pooler meet the same server connection only in a transaction.
    """
    alone = engine.dialect.name == "postgresql" and engine.dialect.driver != "pg8000"
    level = {"isolation_level": "AUTOCOMMIT"} if alone else {}
    return engine.execution_options(**level, **{CLOCK_OPTION: clock})


def writing_view(engine: AnyEngine, clock: Clock | None, /) -> AnyEngine:
    """Return *engine* for units of work, whose connections go through `for_writing`."""
    return engine.execution_options(**{CLOCK_OPTION: clock})


def for_writing(connection: Connection, /) -> None:
    """Let each statement see what others have committed, as conditional updates want it; nothing has begun yet."""
    if connection.dialect.name == "postgresql":
        # Said to the connection: where the host's engine was given a level by `execution_options`, that one would win over a view's.
        connection.execution_options(isolation_level="READ COMMITTED")
    elif getattr(connection.dialect, "skip_autocommit_rollback", False):
        # A host that lets each statement commit by itself then has no rollback sent, and ours would be left out with it.
        connection.execution_options(isolation_level="SERIALIZABLE" if connection.dialect.name == "sqlite" else "READ COMMITTED")


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
