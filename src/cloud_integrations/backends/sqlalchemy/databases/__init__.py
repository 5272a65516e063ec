"""The supported databases, one file for each; no code outside this package asks for the name of a dialect.

To add a database from another package, subclass `Database` or a similar one of these, and pass an instance to `register` before an
engine is passed to a store or to `migrate`:

    class Fork(PostgreSQL):
        names = ("fork",)
        title = "Fork"


    register(Fork())
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from sqlalchemy import Dialect

from cloud_integrations.errors import ConfigurationError

from .base import Code, ConnectionGuard, Database, Driver, IdleLimit, Meaning, RowSecurity, attribute, is_in
from .mariadb import MariaDB
from .postgresql import PostgreSQL
from .sqlite import SQLite

__all__ = [
    "Code",
    "ConnectionGuard",
    "Database",
    "Driver",
    "IdleLimit",
    "MariaDB",
    "Meaning",
    "PostgreSQL",
    "RowSecurity",
    "SQLite",
    "attribute",
    "database_named",
    "database_of",
    "register",
    "registered",
]


class HasDialect(Protocol):
    """A `Connection`, an `Engine`, an `AsyncEngine`, or Alembic's `MigrationContext`."""

    @property
    def dialect(self) -> Dialect: ...


# A statement that is compiled without a database, for `str()` for example, has SQLAlchemy's dialect "default".
_BY_NAME: dict[str, Database] = {"default": Database()}


def register(database: Database, /) -> None:
    """Let stores and migrations use engines whose dialect has one of the names of *database*.

    A database that was registered under the same name before is replaced.
    """
    _BY_NAME.update(dict.fromkeys(database.names, database))


def registered() -> tuple[Database, ...]:
    """Return the supported databases: those that are registered and have a driver."""
    return tuple(dict.fromkeys(database for database in _BY_NAME.values() if database.drivers))


def database_of(source: Dialect | HasDialect, /) -> Database:
    """Return the database of *source*, by the name of its dialect.  Raises `ConfigurationError` for a name that is not registered."""
    return database_named(_dialect_of(source).name)


def database_named(name: str, /) -> Database:
    """Return the database whose dialect has this name.  Raises `ConfigurationError` for a name that is not registered."""
    found = _BY_NAME.get(name)
    if found is None:
        *others, last = (database.title for database in registered())
        problem = f"is one for {name}, which is not supported; supported are {', '.join(others)} and {last}"
        raise ConfigurationError(setting="engine", problem=problem)
    return found


def require_driver(source: Dialect | HasDialect, /) -> Driver:
    """Return the driver of *source*, without connecting.  Raises `ConfigurationError` for an unsupported database or driver."""
    drivers = database_of(source).drivers
    name, driver = names_of(source)
    found = drivers.get(driver)
    if found is None:
        problem = f"uses the driver {driver}, which is not supported for {name}; supported are {', '.join(drivers)}"
        raise ConfigurationError(setting="engine", problem=problem)
    return found


def names_of(source: Dialect | HasDialect, /) -> tuple[str, str]:
    """Return SQLAlchemy's names of the database and the driver of *source*, for messages and reports."""
    dialect = _dialect_of(source)
    return dialect.name, dialect.driver


def _dialect_of(source: Dialect | HasDialect) -> Dialect:
    return source if isinstance(source, Dialect) else source.dialect


def speakers_of(error: BaseException | None, /) -> Iterator[tuple[Database, Driver]]:
    """Yield each database and driver from whose packages the class of *error*, or one of its base classes, comes."""
    modules = {kind.__module__ for kind in type(error).__mro__}
    for database in registered():
        for driver in database.drivers.values():
            if any(is_in(module, driver.packages) for module in modules):
                yield database, driver


register(SQLite())
register(PostgreSQL())
register(MariaDB())
