"""The differences between databases that the store must know: declared here, with the values in one file per database."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any, ClassVar

from sqlalchemy import Connection, Insert, LargeBinary, String, Table, Text
from sqlalchemy.types import TypeEngine

from cloud_integrations.errors import ConfigurationError

Code = str | int
"""A database's own error code: an SQLSTATE (PostgreSQL), an error number (MariaDB) or the name of a result code (SQLite)."""


class Meaning(Enum):
    """What an error of a database means for the store."""

    DUPLICATE = auto()
    """A row with this key exists already."""
    NO_SUCH_TABLE = auto()
    """No table has this name."""
    UNSTORABLE = auto()
    """The database will never store these values: one is too long, NULL, has a zero byte, or violates a CHECK."""
    STOOD_IN_THE_WAY = auto()
    """The transaction conflicted with another one (deadlock, lock timeout, serialization failure) and was, or must be, rolled back."""
    MIXED_UP = auto()
    """A connection pooler has mixed up prepared statements; on another server connection the statement may succeed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Driver:
    """A driver that the store supports, because the store's contract tests run with it."""

    packages: tuple[str, ...]
    """The driver's packages: errors of their classes, and errors raised in their code, count as the database's."""
    find_code: Callable[[BaseException], Code | None]
    """Returns the database's error code from an error of this driver; None if the driver itself raised the error."""
    reads_in_autocommit: bool = False
    """Whether single reads run in autocommit, without BEGIN and ROLLBACK: True if the driver switches to it without asking the server."""


def is_in(module: str, packages: Iterable[str], /) -> bool:
    """Return whether *module* is one of *packages*, or inside one of them."""
    return any(module == package or module.startswith(f"{package}.") for package in packages)


def attribute(name: str, /) -> Callable[[BaseException], str | None]:
    """Return a function that reads an error's code from its attribute *name*."""

    def find_code(error: BaseException, /) -> str | None:
        found = getattr(error, name, None)
        return found if isinstance(found, str) and found else None

    return find_code


@dataclass(frozen=True, slots=True, kw_only=True)
class IdleLimit:
    """The limit after which a database ends a transaction whose client sends nothing."""

    setting: str
    """The name of the database's setting."""
    question: str
    """A statement that returns the limit for the current user; 0 means no limit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RowSecurity:
    """The SQL with which a database hides rows of other tenants from the statements of a transaction."""

    add: tuple[str, ...]
    """Give a `{table}` its policy, also where it has an older one."""
    remove: tuple[str, ...]
    """Take the policy of a `{table}` away, where it has one."""
    choose: str
    """Until the transaction ends, show the rows of one tenant (`:tenant`), of all (`:across` is "on") or none (both are empty or "off")."""
    inspect: str
    """For each of the `:tables` (names, with commas): its name, and whether it has our policy, hides rows from this user, hides them from
    its owner, and belongs to this user."""


class ConnectionGuard:
    """Prepares each connection of a store for the store's statements; this base class does nothing."""

    found = False
    """Whether a connection pooler was found."""

    def over(self, _connection: Connection, /) -> AbstractContextManager[None]:
        """Return a context manager for the use of a connection.  Raises `ConfigurationError` if the connection cannot be used."""
        return nullcontext()


class Database:
    """What one database supports, and its own SQL, error codes and types.

    A subclass describes one database: it sets `names`, `title`, `drivers`, `clock` and `codes`, and overrides what differs.  `register`
    adds it.  Instances have no state.  What SQLAlchemy's dialects translate is not described here: row locks and SKIP LOCKED,
    RETURNING, savepoints.
    """

    __slots__ = ()

    names: ClassVar[tuple[str, ...]] = ()
    """The names of SQLAlchemy's dialects for this database."""
    title: ClassVar[str] = ""
    """The name of the database in messages."""
    drivers: ClassVar[Mapping[str, Driver]] = {}
    """The supported drivers, by SQLAlchemy's names."""
    has_server: ClassVar[bool] = True
    """Whether a server runs elsewhere: then the outcome of a commit can be unknown, and its clock differs from this machine's."""
    idle_limit: ClassVar[IdleLimit | None] = None
    """The limit for transactions whose client sends nothing; None if the database has none, or no other client would wait."""

    encryption: ClassVar[str | None] = None
    """A statement that returns whether this connection is encrypted; None if there is no connection to another machine."""

    row_security: ClassVar[RowSecurity | None] = None
    """How rows of other tenants are hidden; None if the database cannot."""

    clock: ClassVar[str] = "clock()"
    """An SQL expression for the time in microseconds since 1970, evaluated at the moment a row is looked at."""
    statement_clock: ClassVar[str | None] = None
    """An SQL expression for the time at the start of the statement; None if the database can use an index with `clock` too."""

    inserts_with_updates: ClassVar[bool] = False
    """Whether an INSERT may have an UPDATE in its WITH clause."""
    updates_return_joined_rows: ClassVar[bool] = False
    """Whether an UPDATE may take its rows from a locking WITH clause, and return columns of both."""
    undoes_ddl: ClassVar[bool] = True
    """Whether the rollback of a transaction removes the tables that it created."""

    table_options: ClassVar[Mapping[str, str]] = {}
    """Keyword arguments for every SQLAlchemy `Table`."""

    codes: ClassVar[Mapping[Code, Meaning]] = {}
    """The meaning of error codes."""
    code_classes: ClassVar[Mapping[str, Meaning]] = {}
    """The meaning of error codes that are not in `codes`, by how they begin."""
    code_title: ClassVar[str] = "error"
    """The name of an error code in messages; if it is empty, codes are not shown."""
    words: ClassVar[Mapping[str, Meaning]] = {}
    """The meaning of errors without a code of their own, by a part of the driver's message."""
    undecodable: ClassVar[str | None] = None
    """How the driver's message begins if a text column holds bytes that are no text; None if the driver has no such message."""
    reasons: ClassVar[Mapping[Code, str]] = {}
    """Why the database cannot be used, by error code, for codes that say more than the driver's message."""
    said_when_away: ClassVar[Mapping[str, str]] = {}
    """Why the database cannot be used, by a part of the driver's message in lower case; the first that fits counts."""

    def require_server(self, connection: Connection, /) -> None:
        """Raise `ConfigurationError` for a server that is not supported, from what SQLAlchemy learnt when it first connected."""

    def refusal_of(self, error: Exception, /) -> ConfigurationError | None:
        """Return the error to raise if SQLAlchemy's *error* says that the server is not supported, otherwise None."""

    def guard(self) -> ConnectionGuard:
        """Return a new guard for the connections of one store."""
        return ConnectionGuard()

    def for_writing(self, connection: Connection, /) -> None:
        """Set the connection's options, before a transaction begins, so that each statement sees what others have committed.

        Conditional updates need that.
        """

    def begin_writing(self, connection: Connection, /) -> None:
        """Begin the transaction with the database's own statement, if the driver does not begin it as a unit of work needs."""

    def migrating(self, _connection: Connection, /) -> AbstractContextManager[None]:
        """Return a context manager that keeps other processes from migrating, entered before the transaction of a migration.

        Raises `StorageUnavailableError` if another process is migrating.
        """
        return nullcontext()

    def lock_migrations(self, connection: Connection, /) -> None:
        """Keep other processes from migrating until the end of the transaction."""

    def insert_unless_there(self, _table: Table, /) -> Insert | None:
        """Return a statement that inserts a row or leaves the row that has its key; None if a savepoint can be used instead."""
        return None

    def reading_bytes(self, _connection: Connection, /) -> AbstractContextManager[None]:
        """Return a context manager in which values that are no text are read as bytes; used after an `undecodable` error."""
        return nullcontext()

    def text(self, length: int | None = None, /) -> TypeEngine[str]:
        """Return the type of text that is compared byte by byte; without a length, text that is in no key."""
        return Text() if length is None else String(length)

    def key_bytes(self, length: int, /) -> TypeEngine[bytes]:
        """Return the type of up to *length* bytes that may be in a key."""
        return LargeBinary(length)

    def many_bytes(self) -> TypeEngine[bytes]:
        """Return the type of values that may have megabytes."""
        return LargeBinary()

    def index_options(self, _condition: str, /) -> Mapping[str, Any]:
        """Return SQLAlchemy's keyword arguments for a partial index; empty if the database has none, so that the index has all rows."""
        return {}

    def tuning(self, _table: str, /) -> tuple[str, ...]:
        """Return statements that tune a new table whose rows change all the time."""
        return ()
