"""Views of the host's engine with options for the store; the host's own use of the engine stays as it is."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from sqlalchemy import Engine

from cloud_integrations.errors import ConfigurationError
from cloud_integrations.ports.clock import Clock

from .clock import CLOCK_OPTION
from .databases import names_of, require_driver

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine

AnyEngine = TypeVar("AnyEngine", Engine, "AsyncEngine")


def require_blocking(engine: Engine, /) -> None:
    """Raise `ConfigurationError` for an engine with an unsupported or an asynchronous driver, which `create_engine` also accepts."""
    require_driver(engine)
    if engine.dialect.is_async:
        _, driver = names_of(engine)
        problem = (
            f"uses the driver {driver}, which is awaited: make it with create_async_engine, "
            "for AsyncSqlAlchemyStore, and migrate by `await connection.run_sync(migrate.upgrade)`"
        )
        raise ConfigurationError(setting="engine", problem=problem)


def reading_view(engine: AnyEngine, clock: Clock | None, /) -> AnyEngine:
    """Return a view of *engine* for single reads, in autocommit if the driver switches to it without asking the server.

    Raises `ConfigurationError` for an unsupported database or driver.
    """
    level = {"isolation_level": "AUTOCOMMIT"} if require_driver(engine).reads_in_autocommit else {}
    return engine.execution_options(**level, **{CLOCK_OPTION: clock})


def writing_view(engine: AnyEngine, clock: Clock | None, /) -> AnyEngine:
    """Return a view of *engine* for units of work, for whose connections `Database.for_writing` sets further options."""
    return engine.execution_options(**{CLOCK_OPTION: clock})
