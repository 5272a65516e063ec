"""Reading rows as values; a row that was edited outside this library raises an error that names it, or is returned as `DamagedRow`.

A database accepts values that this library never writes: words outside a list, text that is not JSON, times beyond the calendar, and in
SQLite a value of any type in any column.  Reading a row always gives a value or a `DamagedRowError`, whatever the row contains.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Generic, TypeVar
from uuid import UUID

from sqlalchemy import ColumnElement, Dialect, LargeBinary, Row, Select, String, Table, TypeDecorator, Uuid
from sqlalchemy.types import TypeEngine

from cloud_integrations.domain.identifiers import TenantId
from cloud_integrations.errors import DamagedRowError
from cloud_integrations.ports.store import DamagedRow

from .clock import micros, moment
from .databases import database_of

T = TypeVar("T")
AnyRow = Row[*tuple[Any, ...]]
AnySelect = Select[*tuple[Any, ...]]
Values = AnyRow | tuple[Any, ...]
"""A row, or a tuple of its first values."""

_UNREADABLE = (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError)
"""What reading can raise for a value that is not of the form that we write."""
_EARLIEST = micros(datetime(1970, 1, 1, tzinfo=UTC))
LATEST = micros(datetime(9000, 1, 1, tzinfo=UTC))
"""We write no later times, and computing with them could exceed the range of `datetime`."""
_MOST = 2**62
"""Our counters are far below this, so that a counter can be increased within its column."""


class Unreadable:
    """A value that is not of its column's type."""


class _Checked(TypeDecorator[T]):
    """A column type that reads a value of another type as `Unreadable`, because SQLAlchemy's own type would raise or guess.

    For example, SQLite may have a number in a column for bytes, and `bytes(5)` is five zero bytes.
    """

    expected: type[Any]
    raw: tuple[type[Any], ...]
    """The other types in which a driver may return such a value."""

    def result_processor(self, dialect: Dialect, coltype: object) -> Any:
        """Return a function that reads a value and never raises; None if the driver returns the expected type itself."""
        process = super().result_processor(dialect, coltype)
        if process is None:
            return None
        expected, raw = self.expected, self.raw

        def read(value: Any) -> Any:
            if value is None or isinstance(value, expected):
                return value
            try:
                return process(value) if isinstance(value, raw) else Unreadable()
            except _UNREADABLE:
                return Unreadable()

        return read


class Id(_Checked[UUID]):
    """A column of ids."""

    impl = Uuid
    cache_ok = True
    expected = UUID
    raw = (str,)


class Bytes(_Checked[bytes]):
    """A column of bytes."""

    impl = LargeBinary
    cache_ok = True
    expected = bytes
    raw = (bytearray, memoryview)


class FewBytes(Bytes):
    """A column of at most *length* bytes, which may be in a key."""

    cache_ok = True

    def __init__(self, length: int) -> None:
        super().__init__(length)
        self.length = length

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[bytes]:
        """Return the type for this database."""
        return database_of(dialect).key_bytes(self.length)


class ManyBytes(Bytes):
    """A column of bytes, with values that may have megabytes."""

    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[bytes]:
        """Return the type for this database."""
        return database_of(dialect).many_bytes()


class ByteText(TypeDecorator[str]):
    """A column of text that is compared byte by byte, even if the database's default ignores case and accents."""

    impl = String
    cache_ok = True

    def __init__(self, length: int | None = None) -> None:
        super().__init__(length)
        self.length = length

    @property
    def python_type(self) -> type[str]:
        """The Python type of values."""
        return str

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[str]:
        """Return the type for this database."""
        return database_of(dialect).text(self.length)


class Rows(Generic[T]):
    """Turns rows of one selection of *columns* into values by calling *make*.

    *table* and the columns in *names*, which must be selected, name a row that cannot be read.
    """

    def __init__(self, table: Table, columns: Iterable[ColumnElement[Any]], make: Callable[[Any], T], /, *, names: Iterable[str]) -> None:
        self._table = table.name
        self._make = make
        columns = tuple(columns)
        self._expected = tuple((python_type(column), bool(getattr(column, "nullable", True))) for column in columns)
        named = [column.key for column in columns]
        self._names = tuple(named.index(name) for name in names)
        self._tenant = named.index("tenant_id") if "tenant_id" in named else None
        self._known: set[tuple[type, ...]] = set()

    def one(self, row: Values | None, /) -> T | None:
        """Return the value of *row*, or None for None.  Raises `DamagedRowError`."""
        if row is None:
            return None
        try:
            return self._read(row)
        except _UNREADABLE:
            pass
        damaged = self.damaged(row)
        raise DamagedRowError(table=damaged.table, row=damaged.row)

    def all(self, rows: Iterable[Values], /) -> tuple[T, ...]:
        """Return the value of each row.  Raises `DamagedRowError` for the first row that cannot be read."""
        return tuple([value for row in rows if (value := self.one(row)) is not None])

    def each(self, rows: Iterable[Values], /) -> tuple[T | DamagedRow, ...]:
        """Return the value of each row, or a `DamagedRow` for a row that cannot be read."""
        return tuple([self.value_or_name(row) for row in rows])

    def value_or_name(self, row: Values, /) -> T | DamagedRow:
        """Return the value of *row*, or a `DamagedRow` if it cannot be read."""
        try:
            return self._read(row)
        except _UNREADABLE:
            return self.damaged(row)

    def damaged(self, row: Values, /) -> DamagedRow:
        """Return the `DamagedRow` that names *row*, as far as its key can be read."""
        tenant = None if self._tenant is None else row[self._tenant]
        return DamagedRow(
            table=self._table,
            row="/".join(_shown(row[index]) for index in self._names),
            tenant_id=TenantId(tenant) if isinstance(tenant, str) else None,
        )

    def _read(self, row: Values) -> T:
        shape = tuple(map(type, row))
        if shape not in self._known:
            self._check(shape)
        return self._make(row)

    def _check(self, shape: tuple[type, ...]) -> None:
        # There are few shapes, because only nullable columns vary; each is checked once.
        for found, (expected, nullable) in zip(shape, self._expected, strict=True):
            if not issubclass(found, expected) and not (nullable and found is type(None)):
                raise TypeError
        self._known.add(shape)


def python_type(column: ColumnElement[Any]) -> type:
    """Return the Python type of a column's values; SQLAlchemy 2.0 cannot say it of the types of this file."""
    return column.type.expected if isinstance(column.type, _Checked) else column.type.python_type


def _shown(value: Any) -> str:
    if isinstance(value, bytes):
        return value.hex()[:80]
    return str(value)[:80] if isinstance(value, UUID | str | int) and str(value).isprintable() else "?"


def nearest_time(value: Any, /) -> datetime:
    """Return the time that *value* means, or the nearest that we write; a value that is no number gives the earliest.

    For the least of many values, of which somebody may have edited one: that looks then as if it waits for very long.
    """
    return moment(min(max(value, _EARLIEST), LATEST) if isinstance(value, int) else _EARLIEST)


def time(value: int, /) -> datetime:
    """Return the time from microseconds since 1970.  Raises `ValueError` for a time that we never write."""
    if not _EARLIEST <= value <= LATEST:
        raise ValueError
    return moment(value)


def time_or_none(value: int | None, /) -> datetime | None:
    """Return the time from microseconds since 1970, or None for None.  Raises `ValueError` as `time` does."""
    return None if value is None else time(value)


def count(value: int, /, *, least: int = 0) -> int:
    """Return *value* if it is a possible counter of at least *least*; raise `ValueError` otherwise."""
    if not least <= value < _MOST:
        raise ValueError
    return value


@lru_cache(maxsize=1024)
def words(text: str, /) -> tuple[str, ...]:
    """Read a JSON list of texts, for example scopes; cached, because many integrations have the same scopes."""
    return texts(json.loads(text))


def texts(found: object, /) -> tuple[str, ...]:
    """Read a list of texts.  Raises `ValueError` if it is another value."""
    if type(found) is not list or not all(type(word) is str for word in found):
        raise ValueError
    # JSON can escape a lone surrogate, which cannot be encoded in an answer.
    "".join(found).encode()
    return tuple(found)


def pairs(text: str, /) -> dict[str, str]:
    """Read a JSON object whose values are texts."""
    if text == "{}":
        return {}
    found: dict[str, str] = json.loads(text)
    if type(found) is not dict or not all(type(value) is str for value in found.values()):
        raise ValueError
    "".join([*found, *found.values()]).encode()
    return found
