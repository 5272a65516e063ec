"""Bring a database to the schema of this version, beside whatever else lives in it.

The history has a version table of its own, so that it never meets the host's.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Generator
from contextlib import contextmanager
from importlib.resources import files
from typing import Any, TypeVar

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from sqlalchemy import Connection, Engine, func, select, text

from cloud_integrations.backends.foreign_errors import alone
from cloud_integrations.errors import CloudIntegrationsError, StorageUnavailableError

from .db_errors import in_our_words
from .engine import MARIADB, begin_writing, for_writing, require_blocking, require_driver, require_server, writing_view
from .poolers import PoolerGuard
from .schema import TABLE_NAMES, VERSION_TABLE

T = TypeVar("T")

_LOCK = 0x63695F6D69677261
"""Held on PostgreSQL while migrating ("ci_migra")."""
_PATIENCE = 60
"""Seconds to wait on MariaDB for another process that migrates."""


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
        require_driver(engine.dialect)
        require_server(engine)
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
        with engine.connect() as connection, PoolerGuard().over(connection):
            return work(connection)
    except CloudIntegrationsError as error:
        problem = error
    except Exception as error:  # noqa: BLE001  # whatever a driver lets out may show a password: none of it leaves this file
        problem = in_our_words(error, connected=False)
    raise alone(problem)


def _upgrade_alone(connection: Connection) -> None:
    require_server(connection)
    with _alone(connection):
        for_writing(connection)
        with connection.begin():
            begin_writing(connection)
            _upgrade(connection)


def _upgrade(connection: Connection) -> None:
    require_driver(connection.dialect)
    require_server(connection)
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
    command.upgrade(_config({"connection": connection, "transactional_ddl": True}), "head")


@contextmanager
def _alone(connection: Connection) -> Generator[None]:
    """Keep a second process out on MariaDB, where every CREATE commits; elsewhere the transaction does."""
    if connection.dialect.name not in MARIADB:
        yield
        return
    # Locks are the whole server's, so this one carries the database's name.
    lock = func.concat("ci_migrate/", func.md5(func.database()))
    if not connection.scalar(select(func.get_lock(lock, _PATIENCE))):
        raise StorageUnavailableError(reason="another process is migrating")
    connection.commit()
    try:
        yield
    finally:
        connection.execute(select(func.release_lock(lock)))


def _config(options: dict[str, Any], output: io.StringIO | None = None) -> Config:
    config = Config(output_buffer=output or io.StringIO())
    # A percent sign is Alembic's own; a path may hold one.
    config.set_main_option("script_location", script_location().replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["cloud_integrations"] = options
    return config
