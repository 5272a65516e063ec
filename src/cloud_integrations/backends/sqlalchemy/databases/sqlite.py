"""SQLite."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

from sqlalchemy import URL, Connection, Engine, QueuePool, create_engine, event, text

from .base import Code, Database, Driver, Meaning, attribute

_FIND_CODE = attribute("sqlite_errorname")


class SQLite(Database):
    """SQLite: a file, or memory; one writer at a time."""

    __slots__ = ()

    names = ("sqlite",)
    title = "SQLite"
    drivers: ClassVar[Mapping[str, Driver]] = {
        "pysqlite": Driver(packages=("sqlite3",), find_code=_FIND_CODE),
        "aiosqlite": Driver(packages=("aiosqlite", "sqlite3"), find_code=_FIND_CODE),
    }
    has_server = False

    # SQLite's clock has milliseconds; 'now' is the same throughout one statement.
    clock = "(CAST(strftime('%s', 'now') AS INTEGER) * 1000000 + CAST(substr(strftime('%f', 'now'), 4) AS INTEGER) * 1000)"

    codes: ClassVar[Mapping[Code, Meaning]] = {
        "SQLITE_CONSTRAINT_UNIQUE": Meaning.DUPLICATE,
        "SQLITE_CONSTRAINT_PRIMARYKEY": Meaning.DUPLICATE,
        "SQLITE_TOOBIG": Meaning.UNSTORABLE,
    }
    code_classes: ClassVar[Mapping[str, Meaning]] = {"SQLITE_CONSTRAINT": Meaning.UNSTORABLE}
    code_title = ""
    words: ClassVar[Mapping[str, Meaning]] = {"no such table": Meaning.NO_SUCH_TABLE}  # SQLITE_ERROR is the code of many errors
    undecodable = "Could not decode to UTF-8"
    said_when_away: ClassVar[Mapping[str, str]] = {
        "unable to open database file": "the file cannot be opened; is its folder there?",
        "database is locked": "the file is locked by another writer",
    }

    def for_writing(self, connection: Connection, /) -> None:
        if getattr(connection.dialect, "skip_autocommit_rollback", False):
            # With this option and the host's autocommit, SQLAlchemy sends no ROLLBACK, so ours would be missing too.
            connection.execution_options(isolation_level="SERIALIZABLE")

    def begin_writing(self, connection: Connection, /) -> None:
        # IMMEDIATE: a transaction that begins as a reader can fail at its first write.
        if getattr(connection.connection.driver_connection, "in_transaction", False):
            # The host's own "begin" event or the driver has begun a transaction, in which nothing was done yet.
            connection.exec_driver_sql("ROLLBACK")
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    @contextmanager
    def reading_bytes(self, connection: Connection, /) -> Generator[None]:
        driver: Any = connection.connection.driver_connection
        before = driver.text_factory
        driver.text_factory = _text_or_bytes
        try:
            yield
        finally:
            driver.text_factory = before

    def index_options(self, condition: str, /) -> Mapping[str, Any]:
        return {"sqlite_where": text(condition)}


def _text_or_bytes(raw: bytes, /) -> str | bytes:
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return raw


def sqlite_engine(path: str | Path, /, *, timeout: float = 10.0) -> Engine:
    """Return an engine for the SQLite file at *path*, with a write-ahead log, full durability and foreign keys.

    A write waits up to *timeout* seconds for other writers.  `":memory:"` gives a database that lives as long as the engine, with one
    connection that threads use in turn.
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
    # WAL: readers do not wait for the writer.  FULL: a commit is on the disk before it is reported.
    cursor.execute("PRAGMA journal_mode = WAL")
    cursor.execute("PRAGMA synchronous = FULL")
    cursor.execute("PRAGMA foreign_keys = ON")
    cursor.close()
