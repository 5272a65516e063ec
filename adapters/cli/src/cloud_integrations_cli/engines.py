"""The database that the settings name, as SQLAlchemy engines; one that cannot be used is named in the error."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import TYPE_CHECKING

from sqlalchemy import Engine, create_engine
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, NoSuchModuleError

from cloud_integrations.backends.sqlalchemy import sqlite_engine
from cloud_integrations.errors import ConfigurationError, KeyServiceUnavailableError, StorageUnavailableError

from .settings import Configuration

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine

_BLOCKING = {
    "postgresql+asyncpg": "postgresql+psycopg",
    "postgresql+psycopg_async": "postgresql+psycopg",
    "mariadb+asyncmy": "mariadb+pymysql",
    "mysql+asyncmy": "mysql+pymysql",
}
"""Drivers that only wait asynchronously, each with the one by which commands that block reach the same database.

The others are faster behind a thread.
"""
_OF_ASYNCPG = {"statement_cache_size", "prepared_statement_cache_size", "command_timeout"}
"""What only asyncpg takes, of what a URL can hold; psycopg's name for `ssl` is `sslmode`, with the same words."""

_EXTRAS = {
    "postgresql+psycopg": "postgresql",
    "postgresql+asyncpg": "asyncpg",
    "mariadb+pymysql": "mariadb",
    "mysql+pymysql": "mariadb",
    "mariadb+asyncmy": "asyncmy",
    "mysql+asyncmy": "asyncmy",
}
"""The extra of the library that installs a driver."""


@contextmanager
def open_engine(configuration: Configuration, /) -> Generator[Engine]:
    """Give a blocking engine, which connects when it is used, and dispose of it afterwards.

    Raises `ConfigurationError`; a `StorageUnavailableError` from inside says which database it was.
    """
    engine = _open(configuration)
    try:
        with naming_database(engine.url):
            yield engine
    finally:
        engine.dispose()


@asynccontextmanager
async def open_async_engine(configuration: Configuration, /) -> AsyncGenerator[Engine | AsyncEngine]:
    """Give an engine for the awaiting store; see `open_engine`."""
    engine = _open_async(configuration)
    try:
        with naming_database(engine.url):
            yield engine
    finally:
        if isinstance(engine, Engine):
            engine.dispose()
        else:
            await engine.dispose()


@contextmanager
def naming_database(url: URL, /) -> Generator[None]:
    """Let a `StorageUnavailableError` say which database it was; no login is shown."""
    try:
        yield
    except StorageUnavailableError as error:
        # This error is about a key service, not about the database.
        if not isinstance(error, KeyServiceUnavailableError):
            error.message = error.message.replace("the storage", _name(url))
        raise


def database_name(configuration: Configuration, /) -> str:
    """Return what the database is called in messages, without login.  Raises `ConfigurationError`."""
    return _name(database_url(configuration))


def _name(url: URL) -> str:
    host = url.host or url.query.get("host")
    return "the database " + (f"{host}:{url.port or 'default port'}/{url.database}" if host else str(url.database))


def _open(configuration: Configuration, /) -> Engine:
    """Return a blocking engine; it does not connect yet.  Raises `ConfigurationError`."""
    url = blocking_url(database_url(configuration))
    if url.get_backend_name() == "sqlite":
        return sqlite_engine(url.database or ":memory:")
    try:
        return create_engine(url, hide_parameters=True, pool_pre_ping=True)
    except (NoSuchModuleError, ImportError):
        raise _without_driver(url) from None


def _open_async(configuration: Configuration) -> Engine | AsyncEngine:
    url = database_url(configuration)
    if url.drivername not in _BLOCKING:
        return _open(configuration)
    try:
        # Needs greenlet, which comes with these drivers' extras only.
        from sqlalchemy.ext.asyncio import create_async_engine  # noqa: PLC0415

        return create_async_engine(url, hide_parameters=True, pool_pre_ping=True)
    except ImportError:
        raise _without_driver(url) from None


def blocking_url(url: URL, /) -> URL:
    """Return where a driver that blocks finds the same database, asked in the same way."""
    # SQLite is always used in threads, also where the URL names aiosqlite.
    known = {**_BLOCKING, "sqlite+aiosqlite": "sqlite"}
    blocking = url.set(drivername=known.get(url.drivername, url.drivername))
    if url.drivername != "postgresql+asyncpg":
        return blocking
    query = {"sslmode" if name == "ssl" else name: value for name, value in url.query.items() if name not in _OF_ASYNCPG}
    return blocking.set(query=query)


def database_url(configuration: Configuration, /) -> URL:
    """Return the URL with the driver that is used.  Raises `ConfigurationError`."""
    url = None
    with suppress(ArgumentError, ValueError):
        url = make_url(configuration.find_database_url())
    if url is None:
        # Raised here, without the error that holds the URL.
        raise ConfigurationError(setting="database_url", problem="is not an SQLAlchemy URL")
    # The driver that this program installs.
    return url.set(drivername="postgresql+psycopg") if url.drivername in {"postgresql", "postgres"} else url


def _without_driver(url: URL) -> ConfigurationError:
    extra = _EXTRAS.get(url.drivername)
    problem = f"needs a driver for {url.drivername} that is not installed"
    return ConfigurationError(
        setting="database_url", problem=problem if extra is None else f"{problem}: pip install 'cloud-integrations[{extra}]'"
    )
