"""What the errors of databases mean, looked up in `databases` by the driver from which an error comes."""

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
"""Our words for a failed connection, by a part of the message of any driver; a message itself may contain a value or a login."""


class OutdatedSnapshotError(Exception):
    """This transaction cannot see a row that exists, because the row was committed after the transaction's snapshot."""


def code_of(error: BaseException | None, /) -> Code | None:
    """Return the database's error code of *error*, or None if it has none."""
    return next((code for _, code in _codes(error)), None)


def _codes(error: BaseException | None) -> Generator[tuple[Database, Code]]:
    for database, driver in speakers_of(error):
        if error is not None and (code := driver.find_code(error)) is not None:
            yield database, code


def _meaning_of(error: BaseException | None) -> Meaning | None:
    """Return what a driver's error means, by its code or else by its message; None if the database's tables do not say."""
    for database, code in _codes(error):
        by_class = (meaning for beginning, meaning in database.code_classes.items() if str(code).startswith(beginning))
        if (meaning := database.codes.get(code) or next(by_class, None)) is not None:
            return meaning
    words = str(error)
    return next((meaning for database, _ in speakers_of(error) for sign, meaning in database.words.items() if sign in words), None)


def is_duplicate(error: DBAPIError, /) -> bool:
    """Return whether a row with this key exists already."""
    return _meaning_of(error.orig) is Meaning.DUPLICATE


def is_missing_table(error: DBAPIError, /) -> bool:
    """Return whether the table does not exist."""
    return not error.connection_invalidated and _meaning_of(error.orig) is Meaning.NO_SUCH_TABLE


def is_unstorable(error: Exception, /) -> bool:
    """Return whether the database or its driver will never store these values; see `Meaning.UNSTORABLE`."""
    if not isinstance(error, DBAPIError):
        return isinstance(error, ValueError) and is_of_database(error)  # psycopg2 for a zero byte; any driver for a lone surrogate
    meaning = _meaning_of(error.orig)
    # A `DataError` that the driver itself raised has no code.
    return meaning is Meaning.UNSTORABLE or (meaning is None and isinstance(error, DataError))


def was_refused(error: Exception, /) -> bool:
    """Return whether the transaction conflicted with another one and was, or must be, rolled back."""
    if isinstance(error, OutdatedSnapshotError):
        return True
    return isinstance(error, DBAPIError) and _meaning_of(error.orig) is Meaning.STOOD_IN_THE_WAY


def was_rolled_back(error: Exception, /) -> bool:
    """Return whether nothing of the work was committed and it may succeed if it is tried again.

    That is so after a conflict (`was_refused`), if the connection was lost before the commit, and if a pooler has mixed up prepared
    statements.
    """
    if was_refused(error):
        return True
    return isinstance(error, DBAPIError) and (error.connection_invalidated or _meaning_of(error.orig) is Meaning.MIXED_UP)


def is_undecodable(error: Exception, /) -> bool:
    """Return whether the driver found bytes that are no text in a text column."""
    if not isinstance(error, OperationalError):
        return False
    signs = [database.undecodable for database, _ in speakers_of(error.orig) if database.undecodable is not None]
    return str(error.orig).startswith(tuple(signs))


def is_of_database(error: Exception, /) -> bool:
    """Return whether the error comes from SQLAlchemy, a driver or the network, and not from a fault in our own code."""
    if isinstance(error, SQLAlchemyError | OSError | OutdatedSnapshotError):
        return True
    drivers = [package for database in registered() for driver in database.drivers.values() for package in driver.packages]
    raised_in = [frame.f_globals.get("__name__", "") for frame, _ in walk_tb(error.__traceback__)]
    return any(is_in(module, ["sqlalchemy", *drivers]) for module in (type(error).__module__, *raised_in[-1:]))


def in_our_words(error: Exception, /, *, connected: bool) -> CloudIntegrationsError:
    """Return the error of ours to raise, by `alone`, in place of *error*; *connected* says whether a connection was open."""
    if connected and is_unstorable(error):
        return UnstorableValueError()
    for database in registered():
        if (refusal := database.refusal_of(error)) is not None:
            return refusal
    return StorageUnavailableError(reason=reason_of(error))


def reason_of(error: BaseException, /) -> str:
    """Return why the database cannot be used: our words for the error or the name of its class, and the database's own code.

    Never the driver's message, which may contain a value or a login.
    """
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
    """Raise *refusal* if the row exists already, without the driver's error, whose message may contain the row."""
    try:
        yield
    except DBAPIError as error:
        if not is_duplicate(error):
            raise
        raise refusal from None


def unless_stale(fresh: bool, /) -> None:  # noqa: FBT001 - reads as a sentence: "unless stale (this holds)"
    """Raise `StaleWriteError` if the condition of a change does not hold."""
    if not fresh:
        raise StaleWriteError


def insert_unless_there(connection: Connection, table: Table, row: Mapping[str, Any], /) -> None:
    """Insert one row, unless a row with its key exists; the transaction stays usable either way."""
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
