"""Times as whole microseconds since 1970, in Python and in the database."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import BigInteger, Connection, bindparam, func, select
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement

from cloud_integrations.ports.clock import Clock

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def micros(at: datetime, /) -> int:
    """Return an aware time in microseconds.  A naive one is a `TypeError`."""
    return (at - _EPOCH) // _MICROSECOND


def micros_or_none(at: datetime | None, /) -> int | None:
    """Return a time that may be missing in microseconds."""
    return None if at is None else micros(at)


def length(of: timedelta, /) -> int:
    """Return a length of time in microseconds."""
    return of // _MICROSECOND


def moment(value: int, /) -> datetime:
    """Return the time, in UTC."""
    return _EPOCH + timedelta(0, 0, value)


def moment_or_none(value: int | None, /) -> datetime | None:
    """Return the time, or None."""
    return None if value is None else moment(value)


CLOCK_OPTION = "cloud_integrations_clock"
"""The execution option that holds the `Clock` which replaces the database's."""


def given_time(connection: Connection, /) -> int | None:
    """Return what the parameter `clock` of `NOW` is: a time that a test gives, or None for the database's own."""
    clock: Clock | None = connection.get_execution_options().get(CLOCK_OPTION)
    return None if clock is None else micros(clock.now())


class _DatabaseClock(FunctionElement[int]):
    """The database's own clock; all who share the database share it."""

    type = BigInteger()
    inherit_cache = True


@compiles(_DatabaseClock, "postgresql")
def _on_postgresql(_element: _DatabaseClock, _compiler: SQLCompiler, **_options: Any) -> str:
    # Not now(): that is the start of the transaction, which may have waited for a lock since.
    return "CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000000 AS BIGINT)"


@compiles(_DatabaseClock, "sqlite")
def _on_sqlite(_element: _DatabaseClock, _compiler: SQLCompiler, **_options: Any) -> str:
    # Milliseconds are the most that SQLite tells; 'now' is the same throughout one statement.
    return "(CAST(strftime('%s', 'now') AS INTEGER) * 1000000 + CAST(substr(strftime('%f', 'now'), 4) AS INTEGER) * 1000)"


class _StatementStart(_DatabaseClock):
    """The same, and on MariaDB the start of the statement: a constant, so that an index can be used with it."""

    inherit_cache = True


# Not UNIX_TIMESTAMP(NOW(6)): that reads local time back, and an hour in autumn is there twice.
_MARIADB_START = "TIMESTAMPDIFF(MICROSECOND, '1970-01-01 00:00:00', UTC_TIMESTAMP(6))"


@compiles(_DatabaseClock, "mysql", "mariadb")
def _on_mariadb(_element: _DatabaseClock, _compiler: SQLCompiler, **_options: Any) -> str:
    # The statement may have waited for a lock since it began; SYSDATE goes on, but tells local time only.
    return f"({_MARIADB_START} + TIMESTAMPDIFF(MICROSECOND, NOW(6), SYSDATE(6)))"


@compiles(_StatementStart, "mysql", "mariadb")
def _start_on_mariadb(_element: _StatementStart, _compiler: SQLCompiler, **_options: Any) -> str:
    return _MARIADB_START


_GIVEN = bindparam("clock", type_=BigInteger)

NOW = func.coalesce(_GIVEN, _DatabaseClock(), type_=BigInteger)
"""The parameter `clock` where a test gives a time, otherwise the database's clock, at the moment a row is looked at."""

NOW_ONCE = select(func.coalesce(_GIVEN, _StatementStart(), type_=BigInteger)).scalar_subquery()
"""The same, read once per statement, so that an index can be used with it."""
