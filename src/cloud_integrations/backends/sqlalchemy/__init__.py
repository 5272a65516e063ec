"""A store over SQLAlchemy: SQLite, PostgreSQL, MariaDB."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .engine import sqlite_engine
from .refusals import reason_of
from .store import AsyncSqlAlchemyStore, SqlAlchemyStore

if TYPE_CHECKING:
    # Loaded, with Alembic, when somebody imports it.
    from . import migrate

__all__ = ["AsyncSqlAlchemyStore", "SqlAlchemyStore", "migrate", "reason_of", "sqlite_engine"]
