"""What a database means by its refusals: each says it in numbers of its own."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from contextlib import contextmanager, suppress
from functools import cache
from typing import Any

from sqlalchemy import Connection, Insert, Table, insert
from sqlalchemy.dialects import mysql
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, SQLAlchemyError

from cloud_integrations.errors import CloudIntegrationsError, StaleWriteError, StorageUnavailableError, UnstorableValueError

from .engine import MARIADB
from .poolers import FOR_ASYNCPG, FOR_PSYCOPG

_SERIALIZATION_FAILURE = {"40001", "40P01"}
"""PostgreSQL: two transactions stood in each other's way, and this one was rolled back."""
_DEADLOCK, _LOCK_TIMEOUT = 1213, 1205
_UNIQUE = {"SQLITE_CONSTRAINT_UNIQUE", "SQLITE_CONSTRAINT_PRIMARYKEY"}
_UNSTORABLE_ON_MARIADB = {
    1048,  # NULL where there must be a value
    1264,  # a number out of range
    1366,  # text that the character set has not
    1406,  # too long
    4025,  # a CHECK says no
}
_MIXED_UP = {"26000", "42P05"}
"""PostgreSQL: there is no prepared statement of this name, or there is one already; on our own connections only a pooler brings that."""
_DRIVERS = {"asyncmy", "asyncpg", "mariadb", "MySQLdb", "pg8000", "psycopg", "psycopg2", "pymysql", "sqlite3"}
"""Packages whose own errors can come through SQLAlchemy as they are."""

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
    "too many": "it takes no more connections",
    "unable to open database file": "the file cannot be opened; is its folder there?",
    "database is locked": "the file is locked by another writer",
}
"""What drivers say when they cannot connect, in ours; of several, the first that fits.  Their own words may hold a value or a login."""


def is_duplicate(error: DBAPIError, /) -> bool:
    """Whether a row with this key is there already."""
    return _sqlstate(error) == "23505" or _number(error) == 1062 or _sqlite_name(error) in _UNIQUE


def is_unstorable(error: DBAPIError, /) -> bool:
    """Whether the database will never take these values: too long, NULL, or against a CHECK."""
    if is_duplicate(error):
        return False
    return (
        isinstance(error, DataError)  # the driver's own refusal has no code
        or _sqlstate(error)[:2] in {"22", "23"}  # data exception, constraint violation
        or _number(error) in _UNSTORABLE_ON_MARIADB
        or _sqlite_name(error).startswith("SQLITE_CONSTRAINT")
        or _sqlite_name(error) == "SQLITE_TOOBIG"
    )


def was_refused(error: DBAPIError, /) -> bool:
    """Whether the server itself says that the transaction stood in another's way and was, or is to be, rolled back."""
    return _sqlstate(error) in _SERIALIZATION_FAILURE or _number(error) in {_DEADLOCK, _LOCK_TIMEOUT}


def was_rolled_back(error: DBAPIError, /) -> bool:
    """Whether nothing is left of the work and it may succeed now: refused as above, or the connection was lost before the commit.

    Also where a pooler has mixed up prepared statements: another server connection may have what this one had not.
    """
    return error.connection_invalidated or was_refused(error) or _sqlstate(error) in _MIXED_UP


def is_of_database(error: Exception, /) -> bool:
    """Whether this is SQLAlchemy's, a driver's or the network's error, and no mistake in the work itself."""
    return isinstance(error, SQLAlchemyError | OSError) or type(error).__module__.partition(".")[0] in _DRIVERS


def in_our_words(error: Exception, /) -> CloudIntegrationsError:
    """Return what *error* is to our callers; to be raised `alone`."""
    if isinstance(error, DBAPIError) and is_unstorable(error):
        return UnstorableValueError()
    return StorageUnavailableError(reason=reason_of(error))


def reason_of(error: BaseException, /) -> str:
    """Say why the database cannot be used: what the error means or its class, and the database's own code; never its words."""
    orig = getattr(error, "orig", None) or error
    state, number = str(getattr(orig, "sqlstate", None) or ""), orig.args[0] if orig.args else None
    if state in _MIXED_UP:
        return (
            f"a connection pooler mixes up prepared statements (SQLSTATE {state}): set {FOR_PSYCOPG} for psycopg, {FOR_ASYNCPG} for asyncpg"
        )
    words = str(orig).lower()
    meaning = next((meaning for sign, meaning in _MEANINGS.items() if sign in words), None)
    if meaning is None and isinstance(orig, UnicodeError):
        meaning = "the host has a name that cannot be encoded"
    if state:
        return f"{meaning or type(orig).__name__} (SQLSTATE {state})"
    if isinstance(number, int) and number > 0 and not isinstance(orig, OSError):
        return f"{meaning or type(orig).__name__} (error {number})"
    return meaning or type(orig).__name__


@contextmanager
def refused_as(refusal: CloudIntegrationsError, /) -> Generator[None]:
    """Say *refusal* when the row is there already; the driver's own words may hold the row."""
    try:
        yield
    except IntegrityError as error:
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
    with suppress(IntegrityError), connection.begin_nested():
        connection.execute(insert(table), row)


@cache
def _leaving_what_is_there(table: Table) -> Insert:
    """MariaDB's way.  An insert that it refuses keeps a shared lock on the other row, and two who want more then wait in a circle."""
    first = next(iter(table.primary_key.columns))
    return mysql.insert(table).on_duplicate_key_update({first.name: first})


def _sqlstate(error: DBAPIError) -> str:
    """Return the standard's code, or nothing."""
    return getattr(error.orig, "sqlstate", None) or ""


def _number(error: DBAPIError) -> object:
    """Return MariaDB's number, or None."""
    return error.orig.args[0] if error.orig is not None and error.orig.args else None


def _sqlite_name(error: DBAPIError) -> str:
    return getattr(error.orig, "sqlite_errorname", None) or ""
