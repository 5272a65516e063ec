"""A store over SQLAlchemy, for SQLite, PostgreSQL, MariaDB, and databases that are registered with `databases`."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from . import databases
from .databases.sqlite import sqlite_engine
from .db_errors import reason_of
from .store import AsyncSqlAlchemyStore, SqlAlchemyStore

if TYPE_CHECKING:
    from . import migrate

__all__ = ["AsyncSqlAlchemyStore", "SqlAlchemyStore", "databases", "migrate", "reason_of", "sqlite_engine"]


def __getattr__(name: str) -> Any:
    if name == "migrate":
        # Imported on first use, because it imports Alembic.
        return import_module(f"{__name__}.migrate")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
