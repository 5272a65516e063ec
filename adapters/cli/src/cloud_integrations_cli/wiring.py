"""The parts of the library, put together as the settings say."""

from __future__ import annotations

import getpass
from collections.abc import AsyncGenerator, Generator, Sequence
from contextlib import asynccontextmanager, contextmanager
from difflib import get_close_matches
from typing import TYPE_CHECKING
from uuid import UUID

from cloud_integrations import Actor, Catalogue
from cloud_integrations.errors import ProviderNotFoundError

from .settings import Configuration

if TYPE_CHECKING:
    from cloud_integrations import AsyncIntegrationManager, IntegrationManager, OAuthApplication, Provider
    from cloud_integrations.ports import Telemetry


def cli_actor() -> Actor:
    """Return the actor of this command line, as the audit log names it: the user of the operating system."""
    try:
        return Actor(type="cli", id=getpass.getuser())
    except (ImportError, KeyError, OSError):  # a container may run as a user without a name; Windows may have none in its environment
        return Actor(type="cli", id="unknown")


def catalogue(configuration: Configuration, /) -> Catalogue:
    """Return the built-in providers and the operator's own.  Raises `ConfigurationError`."""
    files = [configuration.folder / path for path in configuration.provider_files]
    return Catalogue.load(*files).disable(*configuration.inactive_providers)


def find_provider(configuration: Configuration, text: str | UUID, /) -> Provider:
    """Return the provider with this slug or UUID.  Raises `CloudIntegrationsError` with near slugs where there is none."""
    known = catalogue(configuration)
    try:
        return known.require(text)
    except ProviderNotFoundError as error:
        near = get_close_matches(str(text).lower(), [provider.id for provider in known.list_providers()], n=2)
        if near:
            error.message += f"; did you mean {' or '.join(near)}?"
        raise


@contextmanager
def open_manager(
    configuration: Configuration, /, *, callback_url: str | None = None, applications: Sequence[OAuthApplication] | None = None
) -> Generator[IntegrationManager]:
    """Give the blocking manager, started and acting as `cli_actor`, and close all its parts afterwards."""
    # Loaded here: a database and an HTTP client are more than half of what a short command costs.
    from cloud_integrations import AesGcmCipher, IntegrationManager, SqlAlchemyStore  # noqa: PLC0415

    from .engines import open_engine  # noqa: PLC0415
    from .issuers import open_checkpoint_keys, open_issuer  # noqa: PLC0415
    from .key_services import open_key_service  # noqa: PLC0415
    from .platform import platform_credentials  # noqa: PLC0415
    from .telemetries import open_telemetry  # noqa: PLC0415
    from .transports import open_transport  # noqa: PLC0415

    with (
        open_engine(configuration) as engine,
        open_transport(configuration) as transport,
        IntegrationManager(
            store=SqlAlchemyStore(engine, row_security=configuration.row_security),
            transport=transport,
            keys=open_key_service(configuration),
            cipher=AesGcmCipher(),
            providers=catalogue(configuration),
            applications=configuration.oauth_applications() if applications is None else applications,
            settings=configuration.library_settings(callback_url=callback_url),
            issuer=open_issuer(configuration),
            checkpoint_keys=open_checkpoint_keys(configuration),
            platform=platform_credentials(configuration),
            telemetry=open_telemetry(configuration),
        ) as manager,
    ):
        yield manager.acting_as(cli_actor())


@asynccontextmanager
async def open_async_manager(
    configuration: Configuration,
    /,
    *,
    providers: Catalogue | None = None,
    applications: Sequence[OAuthApplication] | None = None,
    telemetry: Sequence[Telemetry] = (),
) -> AsyncGenerator[AsyncIntegrationManager]:
    """Give the awaiting manager, started, and close all its parts afterwards."""
    async with unstarted_async_manager(configuration, providers=providers, applications=applications, telemetry=telemetry) as manager:
        await manager.start()
        yield manager


@asynccontextmanager
async def unstarted_async_manager(
    configuration: Configuration,
    /,
    *,
    providers: Catalogue | None = None,
    applications: Sequence[OAuthApplication] | None = None,
    telemetry: Sequence[Telemetry] = (),
) -> AsyncGenerator[AsyncIntegrationManager]:
    """Give the awaiting manager, which starts when it is first used, and close all its parts afterwards."""
    from cloud_integrations import AesGcmCipher, AsyncIntegrationManager, AsyncSqlAlchemyStore  # noqa: PLC0415  # as above

    from .engines import open_async_engine  # noqa: PLC0415
    from .issuers import open_checkpoint_keys, open_issuer  # noqa: PLC0415
    from .key_services import open_key_service  # noqa: PLC0415
    from .platform import platform_credentials  # noqa: PLC0415
    from .telemetries import open_telemetry  # noqa: PLC0415
    from .transports import open_async_transport  # noqa: PLC0415

    async with open_async_engine(configuration) as engine, open_async_transport(configuration) as transport:
        manager = AsyncIntegrationManager(
            store=AsyncSqlAlchemyStore(engine, row_security=configuration.row_security),
            transport=transport,
            keys=open_key_service(configuration),
            cipher=AesGcmCipher(),
            providers=catalogue(configuration) if providers is None else providers,
            applications=configuration.oauth_applications() if applications is None else applications,
            settings=configuration.library_settings(),
            issuer=open_issuer(configuration),
            checkpoint_keys=open_checkpoint_keys(configuration),
            platform=platform_credentials(configuration),
            telemetry=[*telemetry, *open_telemetry(configuration)],
        )
        try:
            yield manager
        finally:
            await manager.close()


def read_id(text: str, /) -> UUID | None:
    """Return *text* as a UUID, or None."""
    try:
        return UUID(text)
    except ValueError:
        return None
