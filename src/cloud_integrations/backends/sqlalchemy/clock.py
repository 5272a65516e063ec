"""Times as whole microseconds since 1970, in Python and in the database."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import BigInteger, Connection, bindparam, func, select
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement

from cloud_integrations.ports.clock import Clock

from .databases import database_of

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def micros(at: datetime, /) -> int:
    """Return an aware time in microseconds since 1970.  Raises `TypeError` for a naive time."""
    return (at - _EPOCH) // _MICROSECOND


def micros_or_none(at: datetime | None, /) -> int | None:
    """Return a time in microseconds since 1970, or None for None."""
    return None if at is None else micros(at)


def length(of: timedelta, /) -> int:
    """Return a duration in microseconds."""
    return of // _MICROSECOND


def moment(value: int, /) -> datetime:
    """Return the time in UTC from microseconds since 1970."""
    return _EPOCH + timedelta(0, 0, value)


def moment_or_none(value: int | None, /) -> datetime | None:
    """Return the time in UTC from microseconds since 1970, or None for None."""
    return None if value is None else moment(value)


CLOCK_OPTION = "cloud_integrations_clock"
"""The execution option that holds the `Clock` which replaces the database's."""


def given_time(connection: Connection, /) -> int | None:
    """Return the value of the parameter `clock` of `NOW`: a test's time in microseconds, or None for the database's own clock."""
    clock: Clock | None = connection.get_execution_options().get(CLOCK_OPTION)
    return None if clock is None else micros(clock.now())


class _DatabaseClock(FunctionElement[int]):
    """The database's own clock, which all processes that use the database share."""

    type = BigInteger()
    inherit_cache = True


class _StatementStart(_DatabaseClock):
    """The same, or the time at the start of the statement if the database can use an index only with that."""

    inherit_cache = True


@compiles(_DatabaseClock)
def _clock(_element: _DatabaseClock, compiler: SQLCompiler, **_options: Any) -> str:
    return database_of(compiler.dialect).clock


@compiles(_StatementStart)
def _statement_clock(_element: _StatementStart, compiler: SQLCompiler, **_options: Any) -> str:
    database = database_of(compiler.dialect)
    return database.statement_clock or database.clock


_GIVEN = bindparam("clock", type_=BigInteger)

NOW = func.coalesce(_GIVEN, _DatabaseClock(), type_=BigInteger)
"""The parameter `clock` if a test gives a time, otherwise the database's clock at the moment a row is looked at."""

NOW_ONCE = select(func.coalesce(_GIVEN, _StatementStart(), type_=BigInteger)).scalar_subquery()
"""The same, evaluated once per statement, so that an index can be used with it."""
