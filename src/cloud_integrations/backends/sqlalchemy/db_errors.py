"""What a database means by its refusals, by the tables in `databases`; the driver's class of an error says whose tables these are."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from traceback import walk_tb
from typing import Any

from sqlalchemy import Connection, Table, insert
from sqlalchemy.exc import DataError, DBAPIError, OperationalError, SQLAlchemyError

from cloud_integrations.errors import CloudIntegrationsError, StaleWriteError, StorageUnavailableError, UnstorableValueError

from .databases import Code, Database, Meaning, database_of, registered, speakers_of
from .databases.base import is_in

_SAID_WHEN_AWAY = {
    "connection refused": "nothing listens there",
    "connect call failed": "nothing listens there",
    "resolve host": "the host is not known",
    "translate host": "the host is not known",
    "name or service not known": "the host is not known",
    "name resolution": "the host is not known",
    "can't connect": "nothing listens there",
    "can't create a connection": "nothing listens there",
    "too many": "it takes no more connections",
}
"""What drivers say, for any database, when they cannot connect, in ours.  Their own words may hold a value or a login."""


class OutdatedSnapshotError(Exception):
    """A row is there and this transaction cannot see it: it began before the row was committed, and shows no later state."""


def code_of(error: BaseException | None, /) -> Code | None:
    """Return the code by which a database says what it refused, or None."""
    return next((code for _, code in _codes(error)), None)


def _codes(error: BaseException | None) -> Generator[tuple[Database, Code]]:
    for database, driver in speakers_of(error):
        if error is not None and (code := driver.find_code(error)) is not None:
            yield database, code


def _meaning_of(error: BaseException | None) -> Meaning | None:
    """Return what a driver's error means, by its code or else by its words; None for what is in no table."""
    for database, code in _codes(error):
        by_class = (meaning for beginning, meaning in database.code_classes.items() if str(code).startswith(beginning))
        if (meaning := database.codes.get(code) or next(by_class, None)) is not None:
            return meaning
    words = str(error)
    return next((meaning for database, _ in speakers_of(error) for sign, meaning in database.words.items() if sign in words), None)


def is_duplicate(error: DBAPIError, /) -> bool:
    """Whether a row with this key is there already."""
    return _meaning_of(error.orig) is Meaning.DUPLICATE


def is_missing_table(error: DBAPIError, /) -> bool:
    """Whether there is no table of this name."""
    return not error.connection_invalidated and _meaning_of(error.orig) is Meaning.NO_SUCH_TABLE


def is_unstorable(error: Exception, /) -> bool:
    """Whether the database, or its driver, will never take these values: too long, NULL, a zero byte, or against a CHECK."""
    if not isinstance(error, DBAPIError):
        return isinstance(error, ValueError) and is_of_database(error)  # psycopg2 about a zero byte; any driver about half a character
    meaning = _meaning_of(error.orig)
    # A driver's own refusal has no code.
    return meaning is Meaning.UNSTORABLE or (meaning is None and isinstance(error, DataError))


def was_refused(error: Exception, /) -> bool:
    """Whether the transaction stood in another's way and was, or is to be, rolled back."""
    if isinstance(error, OutdatedSnapshotError):
        return True
    return isinstance(error, DBAPIError) and _meaning_of(error.orig) is Meaning.STOOD_IN_THE_WAY


def was_rolled_back(error: Exception, /) -> bool:
    """Whether nothing is left of the work and it may succeed now: refused as above, or the connection was lost before the commit.

    Also where a pooler has mixed up prepared statements: another server connection may have what this one had not.
    """
    if was_refused(error):
        return True
    return isinstance(error, DBAPIError) and (error.connection_invalidated or _meaning_of(error.orig) is Meaning.MIXED_UP)


def is_undecodable(error: Exception, /) -> bool:
    """Whether the driver found bytes in place of text."""
    if not isinstance(error, OperationalError):
        return False
    signs = [database.undecodable for database, _ in speakers_of(error.orig) if database.undecodable is not None]
    return str(error.orig).startswith(tuple(signs))


def is_of_database(error: Exception, /) -> bool:
    """Whether this is SQLAlchemy's, a driver's or the network's error, and no mistake in the work itself."""
    if isinstance(error, SQLAlchemyError | OSError | OutdatedSnapshotError):
        return True
    drivers = [package for database in registered() for driver in database.drivers.values() for package in driver.packages]
    raised_in = [frame.f_globals.get("__name__", "") for frame, _ in walk_tb(error.__traceback__)]
    return any(is_in(module, ["sqlalchemy", *drivers]) for module in (type(error).__module__, *raised_in[-1:]))


def in_our_words(error: Exception, /, *, connected: bool) -> CloudIntegrationsError:
    """Return what *error* is to our callers; to be raised `alone`."""
    if connected and is_unstorable(error):
        return UnstorableValueError()
    for database in registered():
        if (refusal := database.refusal_of(error)) is not None:
            return refusal
    return StorageUnavailableError(reason=reason_of(error))


def reason_of(error: BaseException, /) -> str:
    """Say why the database cannot be used: what the error means or its class, and the database's own code; never its words."""
    orig = getattr(error, "orig", None) or error
    found = next(_codes(orig), None)
    if found is not None and (reason := found[0].reasons.get(found[1])) is not None:
        return reason
    words = str(orig).lower()
    signs = [pair for database in registered() for pair in database.said_when_away.items()]
    said = next((reason for sign, reason in (*signs, *_SAID_WHEN_AWAY.items()) if sign in words), None)
    if said is None:
        said = "the host has a name that cannot be encoded" if isinstance(orig, UnicodeError) else type(orig).__name__
    return said if found is None or not found[0].code_title else f"{said} ({found[0].code_title} {found[1]})"


@contextmanager
def refused_as(refusal: CloudIntegrationsError, /) -> Generator[None]:
    """Say *refusal* when the row is there already; the driver's own words may hold the row."""
    try:
        yield
    except DBAPIError as error:
        if not is_duplicate(error):
            raise
        raise refusal from None


def unless_stale(fresh: bool, /) -> None:  # noqa: FBT001 - reads as a sentence: "unless stale (this holds)"
    """Raise `StaleWriteError` unless *fresh*."""
    if not fresh:
        raise StaleWriteError


def insert_unless_there(connection: Connection, table: Table, row: Mapping[str, Any], /) -> None:
    """Insert one row, or leave the one that has its key; the transaction stays usable either way."""
    leaving = database_of(connection).insert_unless_there(table)
    if leaving is not None:
        connection.execute(leaving, row)
        return
    try:
        with connection.begin_nested():
            connection.execute(insert(table), row)
    except DBAPIError as error:
        if not is_duplicate(error):
            raise
