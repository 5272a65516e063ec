"""What a database means by its refusals: each says it in codes of its own, and each driver keeps them somewhere else."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from functools import cache
from traceback import walk_tb
from typing import Any

from sqlalchemy import Connection, Insert, Table, insert
from sqlalchemy.dialects import mysql
from sqlalchemy.exc import DataError, DBAPIError, InvalidRequestError, OperationalError, SQLAlchemyError

from cloud_integrations.errors import CloudIntegrationsError, StaleWriteError, StorageUnavailableError, UnstorableValueError

from .engine import MARIADB, unsupported_mysql
from .poolers import FOR_ASYNCPG, FOR_PSYCOPG

_STOOD_IN_THE_WAY = {
    "40001",  # PostgreSQL: could not serialize
    "40P01",  # PostgreSQL: deadlock
    1213,  # MariaDB: deadlock
    1205,  # MariaDB: waited too long for a lock
    1020,  # MariaDB: the row has changed since this transaction's snapshot (innodb_snapshot_isolation)
}
_DUPLICATE = {"23505", 1062, "SQLITE_CONSTRAINT_UNIQUE", "SQLITE_CONSTRAINT_PRIMARYKEY"}
_NO_SUCH_TABLE = {"42P01", 1146}
_UNSTORABLE = {
    1048,  # MariaDB: NULL where there must be a value
    1264,  # MariaDB: a number out of range
    1366,  # MariaDB: text that the character set has not
    1406,  # MariaDB: too long
    4025,  # MariaDB: a CHECK says no
    "SQLITE_TOOBIG",
}
_UNSTORABLE_CLASSES = (
    "22",  # SQLSTATE: data exception
    "23",  # SQLSTATE: constraint violation
    "SQLITE_CONSTRAINT",
)
_MIXED_UP = {"26000", "42P05"}
"""PostgreSQL: there is no prepared statement of this name, or there is one already; on our own connections only a pooler brings that."""
_PACKAGES = {
    "aiosqlite",
    "asyncmy",
    "asyncpg",
    "MySQLdb",
    "pg8000",
    "psycopg",
    "psycopg2",
    "psycopg_binary",
    "psycopg_c",
    "pymysql",
    "sqlalchemy",
    "sqlite3",
}
"""SQLAlchemy and the drivers: whose errors, and errors out of whose code, are the database's."""

_MEANINGS = {
    "startup parameter": "a connection pooler refuses a parameter of the login (PgBouncer: ignore_startup_parameters)",
    "bind message": "a connection pooler mixes up prepared statements",
    "query_wait_timeout": "the connection pooler has no free connection",
    "authentication failed": "it refuses the login",
    "access denied": "it refuses the login",
    "no password supplied": "it refuses the login",
    "unknown database": "there is no such database",
    "no such database": "there is no such database",
    "does not exist": "there is no such database or user",
    "connection refused": "nothing listens there",
    "connect call failed": "nothing listens there",
    "resolve host": "the host is not known",
    "translate host": "the host is not known",
    "name or service not known": "the host is not known",
    "name resolution": "the host is not known",
    "can't connect": "nothing listens there",
    "can't create a connection": "nothing listens there",
    "too many": "it takes no more connections",
    "unable to open database file": "the file cannot be opened; is its folder there?",
    "database is locked": "the file is locked by another writer",
}
"""What drivers say when they cannot connect, in ours; of several, the first that fits.  Their own words may hold a value or a login."""


class OutdatedSnapshotError(Exception):
    """A row is there and this transaction cannot see it: it began before the row was committed, and shows no later state."""


def code_of(error: BaseException | None, /) -> str | int | None:
    """Return the code by which a database says what it refused, from where each driver keeps it, or None.

    PostgreSQL's is an SQLSTATE (psycopg, asyncpg `sqlstate`; psycopg2 `pgcode`; pg8000 field `C` of the server's message), MariaDB's a
    number (PyMySQL, mysqlclient, asyncmy: the first argument), SQLite's the name of its result (sqlite3, aiosqlite `sqlite_errorname`).
    """
    first = error.args[0] if error is not None and error.args else None
    if isinstance(first, int) and first > 0 and not isinstance(error, OSError):
        return first  # before anything else: PyMySQL also has an SQLSTATE, which tells less
    if isinstance(first, Mapping):
        return str(first["C"]) if "C" in first else None
    for attribute in ("sqlstate", "pgcode", "sqlite_errorname"):
        named = getattr(error, attribute, None)
        if isinstance(named, str) and named:
            return named
    return None


def is_duplicate(error: DBAPIError, /) -> bool:
    """Whether a row with this key is there already."""
    return code_of(error.orig) in _DUPLICATE


def is_missing_table(error: DBAPIError, /) -> bool:
    """Whether there is no table of this name; SQLite has one code for every mistake, so its words must do."""
    return not error.connection_invalidated and (code_of(error.orig) in _NO_SUCH_TABLE or "no such table" in str(error.orig))


def is_unstorable(error: Exception, /) -> bool:
    """Whether the database, or its driver, will never take these values: too long, NULL, a zero byte, or against a CHECK."""
    if not isinstance(error, DBAPIError):
        return isinstance(error, ValueError) and is_of_database(error)  # psycopg2 about a zero byte; any driver about half a character
    code = code_of(error.orig)
    if code in _DUPLICATE:
        return False
    # A driver's own refusal has no code.
    return isinstance(error, DataError) or code in _UNSTORABLE or (isinstance(code, str) and code.startswith(_UNSTORABLE_CLASSES))


def was_refused(error: Exception, /) -> bool:
    """Whether the transaction stood in another's way and was, or is to be, rolled back."""
    return isinstance(error, OutdatedSnapshotError) or (isinstance(error, DBAPIError) and code_of(error.orig) in _STOOD_IN_THE_WAY)


def was_rolled_back(error: Exception, /) -> bool:
    """Whether nothing is left of the work and it may succeed now: refused as above, or the connection was lost before the commit.

    Also where a pooler has mixed up prepared statements: another server connection may have what this one had not.
    """
    if was_refused(error):
        return True
    return isinstance(error, DBAPIError) and (error.connection_invalidated or code_of(error.orig) in _MIXED_UP)


def is_undecodable(error: Exception, /) -> bool:
    """Whether SQLite found bytes in place of text; its driver has no code for it."""
    return isinstance(error, OperationalError) and str(error.orig).startswith("Could not decode to UTF-8")


def is_of_database(error: Exception, /) -> bool:
    """Whether this is SQLAlchemy's, a driver's or the network's error, and no mistake in the work itself."""
    if isinstance(error, SQLAlchemyError | OSError | OutdatedSnapshotError) or _package(type(error).__module__) in _PACKAGES:
        return True
    raised_in = [frame.f_globals.get("__name__", "") for frame, _ in walk_tb(error.__traceback__)]
    return bool(raised_in) and _package(raised_in[-1]) in _PACKAGES


def _package(module: str) -> str:
    return module.partition(".")[0]


def in_our_words(error: Exception, /, *, connected: bool) -> CloudIntegrationsError:
    """Return what *error* is to our callers; to be raised `alone`."""
    if connected and is_unstorable(error):
        return UnstorableValueError()
    if isinstance(error, InvalidRequestError) and "is not a MariaDB variant" in str(error):
        return unsupported_mysql()
    return StorageUnavailableError(reason=reason_of(error))


def reason_of(error: BaseException, /) -> str:
    """Say why the database cannot be used: what the error means or its class, and the database's own code; never its words."""
    orig = getattr(error, "orig", None) or error
    code = code_of(orig)
    if code in _MIXED_UP:
        return (
            f"a connection pooler mixes up prepared statements (SQLSTATE {code}): set {FOR_PSYCOPG} for psycopg, {FOR_ASYNCPG} for asyncpg"
        )
    words = str(orig).lower()
    meaning = next((meaning for sign, meaning in _MEANINGS.items() if sign in words), None)
    if meaning is None and isinstance(orig, UnicodeError):
        meaning = "the host has a name that cannot be encoded"
    said = meaning or type(orig).__name__
    match code:
        case int():
            return f"{said} (error {code})"
        case str() if not code.startswith("SQLITE"):
            return f"{said} (SQLSTATE {code})"
        case _:
            return said


@contextmanager
def refused_as(refusal: CloudIntegrationsError, /) -> Generator[None]:
    """Say *refusal* when the row is there already; the driver's own words may hold the row."""
    try:
        yield
    except DBAPIError as error:
        if not is_duplicate(error):
            raise
        raise refusal from None


def unless_stale(fresh: bool, /) -> None:  # noqa: FBT001 - reads as a sentence: "unless stale (this holds)"
    """Raise `StaleWriteError` unless *fresh*."""
    if not fresh:
        raise StaleWriteError


def insert_unless_there(connection: Connection, table: Table, row: Mapping[str, Any], /) -> None:
    """Insert one row, or leave the one that has its key; the transaction stays usable either way."""
    if connection.dialect.name in MARIADB:
        connection.execute(_leaving_what_is_there(table), row)
        return
    try:
        with connection.begin_nested():
            connection.execute(insert(table), row)
    except DBAPIError as error:
        if not is_duplicate(error):
            raise


@cache
def _leaving_what_is_there(table: Table) -> Insert:
    """MariaDB's way.  An insert that it refuses keeps a shared lock on the other row, and two who want more then wait in a circle."""
    first = next(iter(table.primary_key.columns))
    return mysql.insert(table).on_duplicate_key_update({first.name: first})
