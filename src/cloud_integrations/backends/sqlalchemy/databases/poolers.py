"""PostgreSQL behind a connection pooler, such as PgBouncer in transaction mode.

There, one connection of ours is lent another connection to the server for each transaction.  What psycopg and asyncpg prepare on one of
them does not exist on the next; or another client's statement stands there under the same name, since both drivers count their names, and
that one is executed: the answer to another question, which can read as "there is no such integration".  So nothing is prepared there.
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
"""What a host gives its engine, as SQLAlchemy's pages on the two dialects describe it."""

_KNOWN: Final = "cloud_integrations_pooler"
"""Where a connection's record says whether a pooler stands between; it lives as long as the driver's connection."""
_QUESTION: Final = "SELECT pg_backend_pid(), (SELECT max(name) FROM pg_prepared_statements WHERE statement = current_query()) -- {}"
"""Ends in what nobody has asked with before: a server connection behind a pooler may still have what others prepared."""
_COUNTED: Final = "__asyncpg_stmt_"
"""How asyncpg names statements; PgBouncer from 1.21 gives names of its own where `max_prepared_statements` is set, and mixes up nothing."""

_log = logging.getLogger("cloud_integrations")


class PoolerGuard(ConnectionGuard):
    """Lets a store's statements be executed unprepared where a pooler stands before PostgreSQL."""

    @contextmanager
    def over(self, connection: Connection) -> Generator[None]:
        """Prepare nothing in this block on a pooled connection; elsewhere, leave the driver's ways alone.

        The question costs one statement for each new connection of a driver that prepares, until a pooler is found.  The host's setting
        is as it was afterwards.
        Raises `ConfigurationError` for asyncpg with its counted names: it prepares every statement, and cannot be told not to.
        """
        pooled = False
        driver: Any = connection.connection.driver_connection
        if connection.dialect.driver == "asyncpg":
            if self._is_pooled(connection, driver.get_server_pid()):
                # A statement is prepared and executed in two steps; in a transaction both meet the same server connection.
                connection.execution_options(isolation_level="READ COMMITTED")
        elif connection.dialect.driver == "psycopg" and driver.prepare_threshold is not None:
            with _unprepared(driver):
                pooled = self._is_pooled(connection, driver.info.backend_pid)
        with _unprepared(driver) if pooled else nullcontext():
            yield

    def _is_pooled(self, connection: Connection, told: int) -> bool:
        """Whether the process that answers is another than the one that the driver was told of when it connected.

        A pooler answers a login itself, with numbers of its own.  Who found one asks no more: a host without a pool of its own has a new
        connection for each piece of work.
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
