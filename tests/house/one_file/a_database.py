"""A database that this library does not know: SQLite's engine under a name of its own."""

from __future__ import annotations

from alembic.ddl.sqlite import SQLiteImpl
from sqlalchemy.dialects import registry
from sqlalchemy.dialects.sqlite.pysqlite import SQLiteDialect_pysqlite

from cloud_integrations.backends.sqlalchemy.databases import SQLite, register


class RenamedDialect(SQLiteDialect_pysqlite):
    """SQLAlchemy's part."""

    name = "renamed"
    supports_statement_cache = True


class RenamedImpl(SQLiteImpl):
    """Alembic's part."""

    __dialect__ = "renamed"


class Renamed(SQLite):
    """This library's part."""

    names = ("renamed",)
    title = "Renamed"


registry.register("renamed", __name__, "RenamedDialect")
register(Renamed())
