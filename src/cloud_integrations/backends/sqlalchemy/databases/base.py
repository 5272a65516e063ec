"""What the store asks about a database.  Whatever differs between two databases has its name here, and its value in their files."""

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
"""A database's own code for what it refused: an SQLSTATE, a number, the name of a result."""


class Meaning(Enum):
    """What a database means by a refusal."""

    DUPLICATE = auto()
    """A row with this key is there already."""
    NO_SUCH_TABLE = auto()
    """There is no table of this name."""
    UNSTORABLE = auto()
    """It will never take these values: too long, NULL, a zero byte, or against a CHECK."""
    STOOD_IN_THE_WAY = auto()
    """The transaction stood in another's way and was, or is to be, rolled back."""
    MIXED_UP = auto()
    """A pooler has mixed up prepared statements: another server connection may have what this one had not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Driver:
    """A driver that the store's contract is run over."""

    packages: tuple[str, ...]
    """The packages whose errors, and errors out of whose code, are the database's."""
    find_code: Callable[[BaseException], Code | None]
    """Returns the database's code from where this driver's errors keep it; None for an error of the driver's own."""
    reads_in_autocommit: bool = False
    """Whether single statements are asked without BEGIN and ROLLBACK: where the driver switches without asking the server."""


def is_in(module: str, packages: Iterable[str], /) -> bool:
    """Whether *module* is one of *packages*, or inside one."""
    return any(module == package or module.startswith(f"{package}.") for package in packages)


def attribute(name: str, /) -> Callable[[BaseException], str | None]:
    """Return what finds a code in this attribute of an error."""

    def find_code(error: BaseException, /) -> str | None:
        found = getattr(error, name, None)
        return found if isinstance(found, str) and found else None

    return find_code


@dataclass(frozen=True, slots=True, kw_only=True)
class IdleLimit:
    """How a database ends a transaction whose client is silent."""

    setting: str
    """What the limit is called."""
    question: str
    """A statement that answers with the limit of this user; 0 is none."""


class ConnectionGuard:
    """What a store does around the statements on each of its connections; here, nothing."""

    found = False
    """Whether a connection led through a pooler."""

    def over(self, _connection: Connection, /) -> AbstractContextManager[None]:
        """Return what stands around the use of a connection.  Raises `ConfigurationError` where it cannot be used."""
        return nullcontext()


class Database:
    """What one database can do, and its words for it.

    A subclass is one database; it gives `names`, `title`, `drivers`, `clock` and `codes`, and replaces what is different there.  `register`
    makes it known.  Instances have no state.  What SQLAlchemy's dialect writes in a database's own words is not asked here: row locks and
    SKIP LOCKED, RETURNING, savepoints.
    """

    __slots__ = ()

    names: ClassVar[tuple[str, ...]] = ()
    """SQLAlchemy's names of its dialects."""
    title: ClassVar[str] = ""
    """What it is called in messages."""
    drivers: ClassVar[Mapping[str, Driver]] = {}
    """The drivers that are supported, by SQLAlchemy's names."""
    has_server: ClassVar[bool] = True
    """Whether a network lies in between: then a commit can be lost from sight, and the clock is another's."""
    idle_limit: ClassVar[IdleLimit | None] = None
    """How it ends a transaction whose client is silent; None where it cannot, or nobody would wait for one."""

    clock: ClassVar[str] = "clock()"
    """An expression for the time in microseconds since 1970, at the moment a row is looked at."""
    statement_clock: ClassVar[str | None] = None
    """An expression for the start of the statement, where an index can be used with that alone."""

    inserts_with_updates: ClassVar[bool] = False
    """Whether an INSERT may have an UPDATE in its WITH."""
    updates_return_joined_rows: ClassVar[bool] = False
    """Whether an UPDATE may take its rows from a locking WITH, and return columns of both."""
    undoes_ddl: ClassVar[bool] = True
    """Whether a transaction that is rolled back takes its tables with it."""

    table_options: ClassVar[Mapping[str, str]] = {}
    """SQLAlchemy's keywords for each table."""

    codes: ClassVar[Mapping[Code, Meaning]] = {}
    code_classes: ClassVar[Mapping[str, Meaning]] = {}
    """The meaning of codes that begin like this and are not in `codes`."""
    code_title: ClassVar[str] = "error"
    """What a code is called in messages; without it, codes are not shown."""
    words: ClassVar[Mapping[str, Meaning]] = {}
    """Words, for what has no code of its own."""
    undecodable: ClassVar[str | None] = None
    """How the driver's words begin where bytes were found in place of text."""
    reasons: ClassVar[Mapping[Code, str]] = {}
    """What codes say about why the database cannot be used, where the driver's words say less."""
    said_when_away: ClassVar[Mapping[str, str]] = {}
    """What the driver's words, in lower case, say about that; of several, the first that fits."""

    def require_server(self, connection: Connection, /) -> None:
        """Raise `ConfigurationError` for a server that is not supported; SQLAlchemy asked when it first connected."""

    def refusal_of(self, error: Exception, /) -> ConfigurationError | None:
        """Return what to raise where SQLAlchemy's *error* says that the server is not supported, otherwise None."""

    def guard(self) -> ConnectionGuard:
        """Return what stands around the use of one store's connections."""
        return ConnectionGuard()

    def for_writing(self, connection: Connection, /) -> None:
        """Let each statement see what others have committed, as conditional updates want it; nothing has begun yet."""

    def begin_writing(self, connection: Connection, /) -> None:
        """Begin in the database's own words, where its driver's way of beginning is not what a unit of work needs."""

    def migrating(self, _connection: Connection, /) -> AbstractContextManager[None]:
        """Return what keeps a second process out around the transaction of a migration.  Raises `StorageUnavailableError`."""
        return nullcontext()

    def lock_migrations(self, connection: Connection, /) -> None:
        """Keep a second process out until the end of the transaction."""

    def insert_unless_there(self, _table: Table, /) -> Insert | None:
        """Return a statement that inserts a row or leaves the one that has its key; None where a savepoint serves."""
        return None

    def reading_bytes(self, _connection: Connection, /) -> AbstractContextManager[None]:
        """Return what lets texts that are none be read as the bytes they are; asked where `undecodable` was met."""
        return nullcontext()

    def text(self, length: int | None = None, /) -> TypeEngine[str]:
        """Return the type of text that is compared byte by byte; without a length, of text that is in no key."""
        return Text() if length is None else String(length)

    def key_bytes(self, length: int, /) -> TypeEngine[bytes]:
        """Return the type of bytes that fit for a key."""
        return LargeBinary(length)

    def many_bytes(self) -> TypeEngine[bytes]:
        """Return the type of bytes of which there may be megabytes."""
        return LargeBinary()

    def index_options(self, _condition: str, /) -> Mapping[str, Any]:
        """Return SQLAlchemy's keywords for an index on the rows for which *condition* holds; none where an index has all rows."""
        return {}

    def tuning(self, _table: str, /) -> tuple[str, ...]:
        """Return the statements that prepare a new table for rows that change all the time."""
        return ()
