"""The parts of the library, put together as the settings say."""

from __future__ import annotations

import getpass
from collections.abc import AsyncGenerator, Generator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import TYPE_CHECKING
from uuid import UUID

from sqlalchemy import Engine, create_engine
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, NoSuchModuleError

from cloud_integrations import (
    Actor,
    AesGcmCipher,
    AsyncHttpxTransport,
    AsyncIntegrationManager,
    AsyncSqlAlchemyStore,
    Catalogue,
    HttpxTransport,
    IntegrationManager,
    OAuthApplication,
    SqlAlchemyStore,
)
from cloud_integrations.backends.sqlalchemy import sqlite_engine
from cloud_integrations.errors import ConfigurationError, IntegrationNotFoundError, ValidationFailedError

from .key_services import open_key_service
from .settings import Configuration

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine

_AWAITED = {"postgresql+asyncpg", "mariadb+asyncmy", "mysql+asyncmy"}
"""Drivers that only wait asynchronously; the others are faster behind a thread."""

_EXTRAS = {
    "postgresql+psycopg": "postgresql",
    "postgresql+asyncpg": "asyncpg",
    "mariadb+pymysql": "mariadb",
    "mysql+pymysql": "mariadb",
    "mariadb+asyncmy": "asyncmy",
    "mysql+asyncmy": "asyncmy",
}
"""What brings a driver."""


def cli_actor() -> Actor:
    """Return who types: the user of the operating system, as the audit names them."""
    try:
        return Actor(type="cli", id=getpass.getuser())
    except (ImportError, KeyError, OSError):  # a container may run as a user without a name; Windows may have none in its environment
        return Actor(type="cli", id="unknown")


def catalogue(configuration: Configuration, /) -> Catalogue:
    """Return the built-in providers and the operator's own.  Raises `ConfigurationError`."""
    files = [configuration.folder / path for path in configuration.provider_files]
    return Catalogue.load(*files).disable(*configuration.inactive_providers)


def open_engine(configuration: Configuration, /) -> Engine:
    """Return a blocking engine; it does not connect yet.  Raises `ConfigurationError`."""
    url = _url(configuration)
    if url.get_backend_name() == "sqlite":
        return sqlite_engine(url.database or ":memory:")
    try:
        return create_engine(url, hide_parameters=True, pool_pre_ping=True)
    except (NoSuchModuleError, ImportError):
        raise _without_driver(url) from None


def _open_async_engine(configuration: Configuration) -> Engine | AsyncEngine:
    url = _url(configuration)
    if url.drivername not in _AWAITED:
        return open_engine(configuration)
    try:
        # Needs greenlet, which comes with these drivers' extras only.
        from sqlalchemy.ext.asyncio import create_async_engine  # noqa: PLC0415

        return create_async_engine(url, hide_parameters=True, pool_pre_ping=True)
    except ImportError:
        raise _without_driver(url) from None


def _url(configuration: Configuration) -> URL:
    url = None
    with suppress(ArgumentError, ValueError):
        url = make_url(configuration.find_database_url())
    if url is None:
        # Raised here, without the error that holds the URL.
        raise ConfigurationError(setting="database_url", problem="is not an SQLAlchemy URL")
    # The driver that this program brings.
    return url.set(drivername="postgresql+psycopg") if url.drivername in {"postgresql", "postgres"} else url


def _without_driver(url: URL) -> ConfigurationError:
    extra = _EXTRAS.get(url.drivername)
    problem = f"needs a driver for {url.drivername} that is not installed"
    return ConfigurationError(
        setting="database_url", problem=problem if extra is None else f"{problem}: pip install 'cloud-integrations[{extra}]'"
    )


@contextmanager
def open_manager(
    configuration: Configuration, /, *, callback_url: str | None = None, applications: Sequence[OAuthApplication] | None = None
) -> Generator[IntegrationManager]:
    """Give the blocking manager, started, and put everything away afterwards."""
    engine = open_engine(configuration)
    try:
        with IntegrationManager(
            store=SqlAlchemyStore(engine),
            transport=HttpxTransport(),
            keys=open_key_service(configuration),
            cipher=AesGcmCipher(),
            providers=catalogue(configuration),
            applications=configuration.oauth_applications() if applications is None else applications,
            settings=configuration.library_settings(callback_url=callback_url),
        ) as manager:
            yield manager
    finally:
        engine.dispose()


@asynccontextmanager
async def open_async_manager(
    configuration: Configuration,
    /,
    *,
    providers: Catalogue | None = None,
    applications: Sequence[OAuthApplication] | None = None,
) -> AsyncGenerator[AsyncIntegrationManager]:
    """Give the awaiting manager, started, and put everything away afterwards."""
    async with unstarted_async_manager(configuration, providers=providers, applications=applications) as manager:
        await manager.start()
        yield manager


@asynccontextmanager
async def unstarted_async_manager(
    configuration: Configuration,
    /,
    *,
    providers: Catalogue | None = None,
    applications: Sequence[OAuthApplication] | None = None,
) -> AsyncGenerator[AsyncIntegrationManager]:
    """Give the awaiting manager, which starts when it is first used, and put everything away afterwards."""
    engine = _open_async_engine(configuration)
    try:
        manager = AsyncIntegrationManager(
            store=AsyncSqlAlchemyStore(engine),
            transport=AsyncHttpxTransport(),
            keys=open_key_service(configuration),
            cipher=AesGcmCipher(),
            providers=catalogue(configuration) if providers is None else providers,
            applications=configuration.oauth_applications() if applications is None else applications,
            settings=configuration.library_settings(),
        )
        try:
            yield manager
        finally:
            await manager.close()
    finally:
        if isinstance(engine, Engine):
            engine.dispose()
        else:
            await engine.dispose()


def read_id(text: str, /) -> UUID | None:
    """Read an integration id, or answer None."""
    try:
        return UUID(text)
    except ValueError:
        return None


def find_integration_id(manager: IntegrationManager, tenant: str, text: str, /) -> UUID:
    """Return the id that *text* is, or the tenant's integration with the provider that *text* names.

    Raises `ValidationFailedError` when it can be neither, `ProviderNotFoundError` or `IntegrationNotFoundError`.
    """
    found = read_id(text)
    if found is not None:
        return found
    provider = next((summary for summary in manager.list_providers() if summary.slug == text), None)
    if provider is None:
        raise ValidationFailedError(field="integration", problem="must be an integration's id, or the slug of its provider")
    for integration in manager.list_integrations(tenant):
        if integration.provider_id == provider.id:
            return integration.id
    raise IntegrationNotFoundError
