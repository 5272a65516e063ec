"""A store over SQLAlchemy: SQLite, PostgreSQL, MariaDB."""

from __future__ import annotations

from .engine import sqlite_engine
from .store import AsyncSqlAlchemyStore, SqlAlchemyStore

__all__ = ["AsyncSqlAlchemyStore", "SqlAlchemyStore", "sqlite_engine"]
