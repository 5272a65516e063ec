"""The version of the schema in the database."""

from __future__ import annotations

from sqlalchemy import Connection, select
from sqlalchemy.exc import DBAPIError

from cloud_integrations.backends.sqlalchemy import schema
from cloud_integrations.backends.sqlalchemy.databases import database_of
from cloud_integrations.backends.sqlalchemy.db_errors import is_missing_table
from cloud_integrations.backends.sqlalchemy.visibility import without_tenant

_FIND_VERSION = select(schema.version.c.version_num)


@without_tenant
def find_version(connection: Connection) -> str | None:
    """Return the newest migration that was applied to this database, or None if our tables do not exist."""
    database_of(connection).require_server(connection)
    try:
        return connection.execute(_FIND_VERSION).scalar()
    except DBAPIError as error:
        if not is_missing_table(error):
            raise
        return None
