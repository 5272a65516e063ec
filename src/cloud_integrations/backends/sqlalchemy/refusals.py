"""What a database means by its refusals: each says it in numbers of its own."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from contextlib import contextmanager, suppress
from functools import cache
from typing import Any

from sqlalchemy import Connection, Insert, Table, insert
from sqlalchemy.dialects import mysql
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError

from cloud_integrations.errors import CloudIntegrationsError, StaleWriteError

from .engine import MARIADB

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
    """Whether nothing is left of the work and it may succeed now: refused as above, or the connection was lost before the commit."""
    return error.connection_invalidated or was_refused(error)


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
