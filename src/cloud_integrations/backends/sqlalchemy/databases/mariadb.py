"""MariaDB, whose dialect SQLAlchemy calls `mariadb` or `mysql`, depending on the URL of the host's engine."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from functools import cache
from typing import Any, ClassVar, Final

from sqlalchemy import Connection, Insert, Table, func, select
from sqlalchemy.dialects import mysql
from sqlalchemy.exc import InvalidRequestError
from sqlalchemy.types import TypeEngine

from cloud_integrations.errors import ConfigurationError, StorageUnavailableError

from .base import Code, Database, Driver, IdleLimit, Meaning

_OLDEST: Final = (10, 6)
"""The first version with SKIP LOCKED."""
_PATIENCE: Final = 60
"""Seconds to wait while another process migrates."""
# NOPAD: with the padding collation, spaces at the end of a text are ignored in comparisons.
_BYTE_BY_BYTE: Final[dict[str, Any]] = {"charset": "utf8mb4", "collation": "utf8mb4_nopad_bin"}
# Not UNIX_TIMESTAMP(NOW(6)): that converts from local time, in which one hour in autumn exists twice.
_START: Final = "TIMESTAMPDIFF(MICROSECOND, '1970-01-01 00:00:00', UTC_TIMESTAMP(6))"


def _first_argument(error: BaseException, /) -> int | None:
    # PyMySQL errors also have an SQLSTATE, which is less specific.
    first = error.args[0] if error.args else None
    return first if isinstance(first, int) and first > 0 else None


class MariaDB(Database):
    """MariaDB with InnoDB, version 10.6 or later."""

    __slots__ = ()

    names = ("mariadb", "mysql")
    title = "MariaDB"
    drivers: ClassVar[Mapping[str, Driver]] = {
        "pymysql": Driver(packages=("pymysql",), find_code=_first_argument),
        "mysqldb": Driver(packages=("MySQLdb",), find_code=_first_argument),  # mysqlclient
        "asyncmy": Driver(packages=("asyncmy",), find_code=_first_argument),
    }
    idle_limit = IdleLimit(
        setting="idle_transaction_timeout", question="SELECT GREATEST(@@idle_transaction_timeout, @@idle_write_transaction_timeout)"
    )

    encryption = "SELECT variable_value <> '' FROM information_schema.session_status WHERE variable_name = 'Ssl_cipher'"

    # The statement may have waited for a lock since it began.  SYSDATE goes on during a statement, but is in local time, so only its
    # difference to NOW is used.
    clock = f"({_START} + TIMESTAMPDIFF(MICROSECOND, NOW(6), SYSDATE(6)))"
    statement_clock = _START

    undoes_ddl = False
    table_options: ClassVar[Mapping[str, str]] = {"mysql_engine": "InnoDB", "mariadb_engine": "InnoDB"}

    codes: ClassVar[Mapping[Code, Meaning]] = {
        1213: Meaning.STOOD_IN_THE_WAY,  # deadlock
        1205: Meaning.STOOD_IN_THE_WAY,  # waited too long for a lock
        1020: Meaning.STOOD_IN_THE_WAY,  # the row has changed since this transaction's snapshot (innodb_snapshot_isolation)
        1062: Meaning.DUPLICATE,
        1146: Meaning.NO_SUCH_TABLE,
        1048: Meaning.UNSTORABLE,  # NULL where there must be a value
        1264: Meaning.UNSTORABLE,  # a number out of range
        1366: Meaning.UNSTORABLE,  # text that the character set does not have
        1406: Meaning.UNSTORABLE,  # too long
        4025: Meaning.UNSTORABLE,  # a CHECK is violated
    }
    said_when_away: ClassVar[Mapping[str, str]] = {
        "access denied": "it refuses the login",
        "unknown database": "there is no such database",
    }

    def require_server(self, connection: Connection, /) -> None:
        dialect: Any = connection.dialect
        if not dialect.is_mariadb:
            raise unsupported_mysql()
        if tuple(dialect.server_version_info) < _OLDEST:
            raise ConfigurationError(setting="engine", problem="leads to a MariaDB before 10.6, which is not supported")

    def refusal_of(self, error: Exception, /) -> ConfigurationError | None:
        if isinstance(error, InvalidRequestError) and "is not a MariaDB variant" in str(error):
            return unsupported_mysql()
        return None

    def for_writing(self, connection: Connection, /) -> None:
        if getattr(connection.dialect, "skip_autocommit_rollback", False):
            # With this option and the host's autocommit, SQLAlchemy sends no ROLLBACK, so ours would be missing too.
            connection.execution_options(isolation_level="READ COMMITTED")

    def begin_writing(self, connection: Connection, /) -> None:
        # For this transaction only.  Under REPEATABLE READ, its snapshot would show rows as they were before a wait for a lock.
        connection.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL READ COMMITTED")
        connection.exec_driver_sql("START TRANSACTION")

    @contextmanager
    def migrating(self, connection: Connection, /) -> Generator[None]:
        # Every CREATE commits, so a transaction cannot keep other processes out.  Named locks are shared by the whole server, so the name
        # contains the database's.
        lock = func.concat("ci_migrate/", func.md5(func.database()))
        if not connection.scalar(select(func.get_lock(lock, _PATIENCE))):
            raise StorageUnavailableError(reason="another process is migrating")
        connection.commit()
        try:
            yield
        finally:
            connection.execute(select(func.release_lock(lock)))

    def insert_unless_there(self, table: Table, /) -> Insert:
        return _leaving_what_is_there(table)

    def text(self, length: int | None = None, /) -> TypeEngine[str]:
        return mysql.TEXT(**_BYTE_BY_BYTE) if length is None else mysql.VARCHAR(length, **_BYTE_BY_BYTE)

    def key_bytes(self, length: int, /) -> TypeEngine[bytes]:
        return mysql.VARBINARY(length)  # a BLOB cannot be indexed

    def many_bytes(self) -> TypeEngine[bytes]:
        return mysql.MEDIUMBLOB()


@cache
def _leaving_what_is_there(table: Table) -> Insert:
    """Return an INSERT that leaves an existing row as it is.

    A savepoint cannot be used instead: a refused INSERT keeps a shared lock on the existing row, and two transactions that both then
    update that row deadlock.
    """
    first = next(iter(table.primary_key.columns))
    return mysql.insert(table).on_duplicate_key_update({first.name: first})


def unsupported_mysql() -> ConfigurationError:
    """Return the error for a server that is MySQL."""
    return ConfigurationError(setting="engine", problem="leads to MySQL, which is not supported; MariaDB from 10.6 on is")
