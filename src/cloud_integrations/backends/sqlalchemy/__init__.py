"""A store over SQLAlchemy: SQLite, PostgreSQL, MariaDB."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from .db_errors import reason_of
from .engine import sqlite_engine
from .store import AsyncSqlAlchemyStore, SqlAlchemyStore

if TYPE_CHECKING:
    from . import migrate

__all__ = ["AsyncSqlAlchemyStore", "SqlAlchemyStore", "migrate", "reason_of", "sqlite_engine"]


def __getattr__(name: str) -> Any:
    if name == "migrate":
        # Loaded, with Alembic, when somebody asks for it.
        return import_module(f"{__name__}.migrate")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
