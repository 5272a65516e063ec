"""What a database means by its refusals: each says it in numbers of its own."""

from __future__ import annotations

from sqlalchemy.exc import DataError, DBAPIError

_SERIALIZATION_FAILURE = {"40001", "40P01"}
"""PostgreSQL: two transactions stood in each other's way, and this one was rolled back."""
_DEADLOCK, _LOCK_TIMEOUT = 1213, 1205
_UNIQUE = {"SQLITE_CONSTRAINT_UNIQUE", "SQLITE_CONSTRAINT_PRIMARYKEY"}
_UNSTORABLE_ON_MARIADB = {
    1048,  # NULL where there must be a value
    1264,  # a number out of range
    1366,  # text that the character set has not
    1406,  # too long
    4025,  # a CHECK says no
}


def is_duplicate(error: DBAPIError, /) -> bool:
    """Whether a row with this key is there already."""
    return _sqlstate(error) == "23505" or _number(error) == 1062 or _sqlite_name(error) in _UNIQUE


def is_unstorable(error: DBAPIError, /) -> bool:
    """Whether the database will never take these values: too long, NULL, or against a CHECK."""
    if is_duplicate(error):
        return False
    return (
        isinstance(error, DataError)  # the driver's own refusal has no code
        or _sqlstate(error)[:2] in {"22", "23"}  # data exception, constraint violation
        or _number(error) in _UNSTORABLE_ON_MARIADB
        or _sqlite_name(error).startswith("SQLITE_CONSTRAINT")
        or _sqlite_name(error) == "SQLITE_TOOBIG"
    )


def was_refused(error: DBAPIError, /) -> bool:
    """Whether the server itself says that the transaction stood in another's way and was, or is to be, rolled back."""
    return _sqlstate(error) in _SERIALIZATION_FAILURE or _number(error) in {_DEADLOCK, _LOCK_TIMEOUT}


def was_rolled_back(error: DBAPIError, /) -> bool:
    """Whether nothing is left of the work and it may succeed now: refused as above, or the connection was lost before the commit."""
    return error.connection_invalidated or was_refused(error)


def _sqlstate(error: DBAPIError) -> str:
    """Return the standard's code, or nothing."""
    return getattr(error.orig, "sqlstate", None) or ""


def _number(error: DBAPIError) -> object:
    """Return MariaDB's number, or None."""
    return error.orig.args[0] if error.orig is not None and error.orig.args else None


def _sqlite_name(error: DBAPIError) -> str:
    return getattr(error.orig, "sqlite_errorname", None) or ""
