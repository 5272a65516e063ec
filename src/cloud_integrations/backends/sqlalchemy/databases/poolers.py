"""PostgreSQL behind a connection pooler, such as PgBouncer in transaction mode.

Such a pooler gives each transaction of one client connection another server connection.  A statement that psycopg or asyncpg prepared on
one server connection does not exist on the next.  Worse, both drivers number their statements, so the next may have another client's
statement under the same name; then that one is executed, and its result can read as "there is no such integration".  So the store
prepares no statements there.
https://www.pgbouncer.org/features.html, https://www.psycopg.org/psycopg3/docs/advanced/prepare.html
"""

from __future__ import annotations

import logging
from collections.abc import Generator
from contextlib import contextmanager, nullcontext
from typing import Any, Final
from uuid import uuid4

from sqlalchemy import Connection

from cloud_integrations.errors import ConfigurationError

from .base import ConnectionGuard

FOR_PSYCOPG: Final = "connect_args={'prepare_threshold': None}"
FOR_ASYNCPG: Final = (
    "connect_args={'statement_cache_size': 0, 'prepared_statement_cache_size': 0, "
    "'prepared_statement_name_func': lambda: f'__asyncpg_{uuid4()}__'}"
)
"""The arguments of `create_engine` with which the drivers work behind a pooler, from SQLAlchemy's pages on the two dialects."""

_KNOWN: Final = "cloud_integrations_pooler"
"""The key in `Connection.info` that says whether the connection leads through a pooler; it lasts as long as the driver's connection."""
_QUESTION: Final = "SELECT pg_backend_pid(), (SELECT max(name) FROM pg_prepared_statements WHERE statement = current_query()) -- {}"
"""Ends in a random comment, so that no server connection behind a pooler can have this statement prepared by another client."""
_COUNTED: Final = "__asyncpg_stmt_"
"""The prefix of asyncpg's statement names.

PgBouncer from 1.21 with `max_prepared_statements` gives statements names of its own, and then mixes up nothing.
"""

_log = logging.getLogger("cloud_integrations")


class PoolerGuard(ConnectionGuard):
    """Keeps a store's statements from being prepared on connections that lead through a pooler."""

    @contextmanager
    def over(self, connection: Connection) -> Generator[None]:
        """Prepare no statements in this block if the connection leads through a pooler; restore the host's setting afterwards.

        Detecting a pooler costs one statement on each new connection of a driver that prepares, until a pooler is found.
        Raises `ConfigurationError` for asyncpg with numbered statement names behind a pooler, because asyncpg always prepares.
        """
        pooled = False
        driver: Any = connection.connection.driver_connection
        if connection.dialect.driver == "asyncpg":
            if self._is_pooled(connection, driver.get_server_pid()):
                # asyncpg prepares and executes in two steps; only in a transaction do both reach the same server connection.
                connection.execution_options(isolation_level="READ COMMITTED")
        elif connection.dialect.driver == "psycopg" and driver.prepare_threshold is not None:
            with _unprepared(driver):
                pooled = self._is_pooled(connection, driver.info.backend_pid)
        with _unprepared(driver) if pooled else nullcontext():
            yield

    def _is_pooled(self, connection: Connection, told: int) -> bool:
        """Return whether a pooler was found: the answering server process is not *told*, the one the driver was told of at login.

        A pooler answers a login itself, with a process id of its own.  Once a pooler was found, no connection is asked again, because a
        host without a pool of its own opens a new connection for each piece of work.
        """
        if self.found:
            return True
        if _KNOWN not in connection.info:
            pid, name = connection.exec_driver_sql(_QUESTION.format(uuid4().hex)).one()
            connection.rollback()
            if pid != told and str(name).startswith(_COUNTED):
                problem = f"leads through a connection pooler, which mixes up the statements that asyncpg prepares: {FOR_ASYNCPG}"
                raise ConfigurationError(setting="engine", problem=problem)
            connection.info[_KNOWN] = pid != told
        pooled: bool = connection.info[_KNOWN]
        if pooled:
            self.found = True
            _log.warning(
                "a connection pooler stands before the database; this library prepares no statements there. "
                "For an application's own statements over psycopg, set %s",
                FOR_PSYCOPG,
            )
        return pooled


@contextmanager
def _unprepared(driver: Any) -> Generator[None]:
    threshold, driver.prepare_threshold = driver.prepare_threshold, None
    try:
        yield
    finally:
        driver.prepare_threshold = threshold
