"""Rows read as values; a row that somebody has edited is an error that names it, or one bad row among good ones.

A database takes much that this library never writes: words outside a list, texts that are no JSON, times beyond the calendar, and
SQLite values of any type in any column.  Whatever stands in a row, reading it ends in a value, or in `DamagedRowError`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Generic, TypeVar
from uuid import UUID

from sqlalchemy import ColumnElement, Dialect, LargeBinary, Row, String, Table, TypeDecorator, Uuid
from sqlalchemy.types import TypeEngine

from cloud_integrations.domain.identifiers import TenantId
from cloud_integrations.errors import DamagedRowError
from cloud_integrations.ports.store import DamagedRow

from .clock import micros, moment
from .databases import database_of

T = TypeVar("T")
AnyRow = Row[*tuple[Any, ...]]
Values = AnyRow | tuple[Any, ...]
"""A row, or the first of its values."""

_UNREADABLE = (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError)
"""What reading a value can raise that is not of the form we write."""
_EARLIEST = micros(datetime(1970, 1, 1, tzinfo=UTC))
_LATEST = micros(datetime(9000, 1, 1, tzinfo=UTC))
"""Later times are no times of ours, and computing with them could leave the calendar."""
_MOST = 2**62
"""Numbers that count are far below this, so adding to one stays in its column."""


class Unreadable:
    """Stands for a value that is not of its column's type."""


class _Checked(TypeDecorator[T]):
    """Reads what is not of the type as `Unreadable`: the driver's own reading would raise, or guess.

    SQLite may hold a number in a column for bytes, of which Python would make as many zeros.
    """

    expected: type[Any]
    raw: tuple[type[Any], ...]
    """What the driver may give."""

    def result_processor(self, dialect: Dialect, coltype: object) -> Any:
        """Return a reader that never raises; None where the driver gives the very type."""
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
    """Bytes that fit for a key."""

    cache_ok = True

    def __init__(self, length: int) -> None:
        super().__init__(length)
        self.length = length

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[bytes]:
        """Return the type for this database."""
        return database_of(dialect).key_bytes(self.length)


class ManyBytes(Bytes):
    """Bytes of which there may be megabytes."""

    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[bytes]:
        """Return the type for this database."""
        return database_of(dialect).many_bytes()


class ByteText(TypeDecorator[str]):
    """Text that is compared byte by byte, also where the database's default ignores case and accents."""

    impl = String
    cache_ok = True

    def __init__(self, length: int | None = None) -> None:
        super().__init__(length)
        self.length = length

    @property
    def python_type(self) -> type[str]:
        """The type of what is read."""
        return str

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[str]:
        """Return the type for this database."""
        return database_of(dialect).text(self.length)


class Rows(Generic[T]):
    """How rows of one selection of *columns* become values.

    *table* and the columns in *names*, which are among the selected, say which row it is.
    """

    def __init__(self, table: Table, columns: Iterable[ColumnElement[Any]], make: Callable[[Any], T], /, *, names: Iterable[str]) -> None:
        self._table = table.name
        self._make = make
        columns = tuple(columns)
        self._expected = tuple((_python_type(column), bool(getattr(column, "nullable", True))) for column in columns)
        named = [column.key for column in columns]
        self._names = tuple(named.index(name) for name in names)
        self._tenant = named.index("tenant_id") if "tenant_id" in named else None
        self._known: set[tuple[type, ...]] = set()

    def one(self, row: Values | None, /) -> T | None:
        """Return the value of *row*, None for None, or raise `DamagedRowError`."""
        if row is None:
            return None
        try:
            return self._read(row)
        except _UNREADABLE:
            pass
        damaged = self.damaged(row)
        raise DamagedRowError(table=damaged.table, row=damaged.row)

    def all(self, rows: Iterable[Values], /) -> tuple[T, ...]:
        """Return the value of each row, or raise `DamagedRowError` for the first that has none."""
        return tuple([value for row in rows if (value := self.one(row)) is not None])

    def each(self, rows: Iterable[Values], /) -> tuple[T | DamagedRow, ...]:
        """Return the value of each row, and in the place of one that has none its name."""
        return tuple([self.value_or_name(row) for row in rows])

    def value_or_name(self, row: Values, /) -> T | DamagedRow:
        """Return the value of *row*, or its name."""
        try:
            return self._read(row)
        except _UNREADABLE:
            return self.damaged(row)

    def damaged(self, row: Values, /) -> DamagedRow:
        """Name *row*, as far as its name can be read."""
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
        # Few shapes are ever seen: values of the right types, some of them None.
        for found, (expected, nullable) in zip(shape, self._expected, strict=True):
            if not issubclass(found, expected) and not (nullable and found is type(None)):
                raise TypeError
        self._known.add(shape)


def _python_type(column: ColumnElement[Any]) -> type:
    return column.type.expected if isinstance(column.type, _Checked) else column.type.python_type


def _shown(value: Any) -> str:
    if isinstance(value, bytes):
        return value.hex()[:80]
    return str(value)[:80] if isinstance(value, UUID | str | int) and str(value).isprintable() else "?"


def time(value: int, /) -> datetime:
    """Return a time of ours.  `ValueError` for one that cannot be."""
    if not _EARLIEST <= value <= _LATEST:
        raise ValueError
    return moment(value)


def time_or_none(value: int | None, /) -> datetime | None:
    """Return a time of ours, or None."""
    return None if value is None else time(value)


def count(value: int, /, *, least: int = 0) -> int:
    """Return a number that counts, from *least* on.  `ValueError` for another."""
    if not least <= value < _MOST:
        raise ValueError
    return value


@lru_cache(maxsize=1024)
def words(text: str, /) -> tuple[str, ...]:
    """Read a list of texts, scopes say; many integrations share few."""
    found = json.loads(text)
    if type(found) is not list or not all(type(word) is str for word in found):
        raise ValueError
    # JSON can name half a character, which no answer can hold.
    "".join(found).encode()
    return tuple(found)


def pairs(text: str, /) -> dict[str, str]:
    """Read an object whose values are texts."""
    if text == "{}":
        return {}
    found: dict[str, str] = json.loads(text)
    if type(found) is not dict or not all(type(value) is str for value in found.values()):
        raise ValueError
    "".join([*found, *found.values()]).encode()
    return found
