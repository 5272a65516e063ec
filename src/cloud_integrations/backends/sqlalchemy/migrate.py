"""Bring a database to the schema of this version; other tables in it stay as they are.

The migrations have a version table of their own, so that they do not conflict with the host's.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from importlib.resources import files
from typing import Any, TypeVar

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from sqlalchemy import Connection, Engine, text

from cloud_integrations.backends.foreign_errors import alone
from cloud_integrations.errors import CloudIntegrationsError

from .databases import database_named, database_of, require_driver
from .db_errors import in_our_words
from .engine import require_blocking, writing_view
from .row_security import statements
from .schema import TABLE_NAMES, VERSION_TABLE

T = TypeVar("T")


def upgrade(engine: Engine | Connection, /) -> None:
    """Apply the missing migrations.

    With an engine, they run in one transaction of our own; raises `StorageUnavailableError`, whose `reason` says why.  With a
    connection, they run in the caller's transaction, which the caller commits; on MariaDB every CREATE TABLE commits it, and the caller
    must keep other processes from migrating.  Raises `ConfigurationError`, before anything is changed, for a database, a driver or a
    server that is not supported (MySQL, for example).
    """
    if isinstance(engine, Connection):
        _upgrade(engine)
    else:
        _connected(writing_view(engine, None), _upgrade_alone)


def current(engine: Engine | Connection, /) -> str | None:
    """Return the newest migration that was applied, or None if there is none.  Raises as `upgrade` does."""
    if isinstance(engine, Connection):
        _require_supported(engine)
        return MigrationContext.configure(engine, opts={"version_table": VERSION_TABLE}).get_current_revision()
    return _connected(engine, current)


def upgrade_sql(dialect: str, /) -> str:
    """Return the SQL of all migrations for *dialect* (`postgresql`, `sqlite`, `mariadb`), to be run by hand."""
    output = io.StringIO()
    config = _config({"dialect_name": dialect, "literal_binds": True}, output)
    command.upgrade(config, "head", sql=True)
    return output.getvalue()


def add_row_security(engine: Engine | Connection, /) -> None:
    """Give each table of tenants a policy that shows only the rows of the tenant that a transaction names; safe to repeat.

    Stores need `row_security=True` from then on.  To be run by the owner of the tables, after each upgrade.  With an engine, it runs in
    one transaction of our own, and raises `StorageUnavailableError`; with a connection, in the caller's transaction.  Raises
    `ConfigurationError` for a database that has no row security.
    """
    _change_row_security(engine, remove=False)


def remove_row_security(engine: Engine | Connection, /) -> None:
    """Take away what `add_row_security` made; safe to repeat.  Runs and raises as that does."""
    _change_row_security(engine, remove=True)


def row_security_sql(dialect: str, /, *, remove: bool = False) -> str:
    """Return what `add_row_security` or `remove_row_security` runs on *dialect*, as SQL to be run by hand.

    Raises `ConfigurationError` for a database that has no row security.
    """
    lines = statements(database_named(dialect), remove=remove)
    return "\n".join(["BEGIN;", *[f"{line};" for line in lines], "COMMIT;", ""])


def include_object(_object: Any, name: str | None, type_: str, _reflected: bool, _compare_to: Any, /) -> bool:  # noqa: FBT001 - Alembic's signature
    """Exclude our tables from a host's autogenerate: `context.configure(include_object=include_object)`."""
    return type_ != "table" or name not in TABLE_NAMES


def script_location() -> str:
    """Return the folder of the migration scripts, for a host that runs them with its own Alembic."""
    return str(files("cloud_integrations.backends.sqlalchemy") / "migrations")


def _change_row_security(engine: Engine | Connection, *, remove: bool) -> None:
    lines = statements(database_of(engine), remove=remove)

    def change(connection: Connection) -> None:
        for line in lines:
            connection.execute(text(line))

    def change_alone(connection: Connection) -> None:
        database_of(connection).for_writing(connection)
        with connection.begin():
            change(connection)

    if isinstance(engine, Connection):
        change(engine)
    else:
        _connected(writing_view(engine, None), change_alone)


def _connected(engine: Engine, work: Callable[[Connection], T]) -> T:
    """Run *work* on a new connection; raise errors of ours in place of others."""
    require_blocking(engine)
    problem: CloudIntegrationsError
    try:
        with engine.connect() as connection, database_of(engine).guard().over(connection):
            return work(connection)
    except CloudIntegrationsError as error:
        problem = error
    except Exception as error:  # noqa: BLE001  # whatever a driver lets out may show a password: none of it leaves this file
        problem = in_our_words(error, connected=False)
    raise alone(problem)


def _upgrade_alone(connection: Connection) -> None:
    database = database_of(connection)
    database.require_server(connection)
    with database.migrating(connection):
        database.for_writing(connection)
        with connection.begin():
            database.begin_writing(connection)
            _upgrade(connection)


def _upgrade(connection: Connection) -> None:
    _require_supported(connection)
    database_of(connection).lock_migrations(connection)
    command.upgrade(_config({"connection": connection, "transactional_ddl": True}), "head")


def _require_supported(connection: Connection) -> None:
    require_driver(connection)
    database_of(connection).require_server(connection)


def _config(options: dict[str, Any], output: io.StringIO | None = None) -> Config:
    config = Config(output_buffer=output or io.StringIO())
    # Alembic's configuration interpolates percent signs, and a path may contain one.
    config.set_main_option("script_location", script_location().replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["cloud_integrations"] = options
    return config
