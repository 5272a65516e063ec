"""Bring a database to the schema of this version, beside whatever else lives in it.

The history has a version table of its own, so that it never meets the host's.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from importlib.resources import files
from typing import Any, TypeVar

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from sqlalchemy import Connection, Engine

from cloud_integrations.backends.foreign_errors import alone
from cloud_integrations.errors import CloudIntegrationsError

from .databases import database_of, require_driver
from .db_errors import in_our_words
from .engine import require_blocking, writing_view
from .schema import TABLE_NAMES, VERSION_TABLE

T = TypeVar("T")


def upgrade(engine: Engine | Connection, /) -> None:
    """Apply the migrations that are missing.

    Given an engine, in one transaction of our own; raises `StorageUnavailableError`, whose `reason` says why.  Given a connection, in the
    caller's transaction, which the caller commits; on MariaDB every table commits it, and the caller keeps other processes out.
    Raises `ConfigurationError`, before it changes anything, for a database, a driver or a server that is not supported (MySQL, say).
    """
    if isinstance(engine, Connection):
        _upgrade(engine)
    else:
        _connected(writing_view(engine, None), _upgrade_alone)


def current(engine: Engine | Connection, /) -> str | None:
    """Return the newest migration that was applied, or None where there is none; given an engine, raises as `upgrade`."""
    if isinstance(engine, Connection):
        _require_supported(engine)
        return MigrationContext.configure(engine, opts={"version_table": VERSION_TABLE}).get_current_revision()
    return _connected(engine, current)


def upgrade_sql(dialect: str, /) -> str:
    """Return the statements of all migrations for *dialect* (`postgresql`, `sqlite`, `mariadb`), for those who run SQL by hand."""
    output = io.StringIO()
    config = _config({"dialect_name": dialect, "literal_binds": True}, output)
    command.upgrade(config, "head", sql=True)
    return output.getvalue()


def include_object(_object: Any, name: str | None, type_: str, _reflected: bool, _compare_to: Any, /) -> bool:  # noqa: FBT001 - Alembic's signature
    """Tell a host's autogenerate to leave our tables alone: `context.configure(include_object=include_object)`."""
    return type_ != "table" or name not in TABLE_NAMES


def script_location() -> str:
    """Return where the scripts are, for a host that runs them with its own Alembic."""
    return str(files("cloud_integrations.backends.sqlalchemy") / "migrations")


def _connected(engine: Engine, work: Callable[[Connection], T]) -> T:
    """Do *work* on a connection of its own, and speak our errors."""
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
    # A percent sign is Alembic's own; a path may hold one.
    config.set_main_option("script_location", script_location().replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["cloud_integrations"] = options
    return config
