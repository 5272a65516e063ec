"""Views of the host's engine that leave the host's own work alone."""

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
    """Raise `ConfigurationError` for an engine that cannot be called from a thread: `create_engine` takes a driver that is awaited, too."""
    require_driver(engine)
    if engine.dialect.is_async:
        _, driver = names_of(engine)
        problem = (
            f"uses the driver {driver}, which is awaited: make it with create_async_engine, "
            "for AsyncSqlAlchemyStore, and migrate by `await connection.run_sync(migrate.upgrade)`"
        )
        raise ConfigurationError(setting="engine", problem=problem)


def reading_view(engine: AnyEngine, clock: Clock | None, /) -> AnyEngine:
    """Return *engine* for single statements: where its driver does that for nothing, without BEGIN and ROLLBACK around them."""
    level = {"isolation_level": "AUTOCOMMIT"} if require_driver(engine).reads_in_autocommit else {}
    return engine.execution_options(**level, **{CLOCK_OPTION: clock})


def writing_view(engine: AnyEngine, clock: Clock | None, /) -> AnyEngine:
    """Return *engine* for units of work, whose connections go through `Database.for_writing`."""
    return engine.execution_options(**{CLOCK_OPTION: clock})
