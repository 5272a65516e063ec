"""The text by which a caller asks for the next page: how far the page before came, in a list that is made of several."""

from __future__ import annotations

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence
from typing import Any, Final
from uuid import UUID

from cloud_integrations.errors import ValidationFailedError

_WIDTH: Final = 2**63
CursorValue = str | int | UUID


def write_cursor(number: int, position: Sequence[CursorValue], /) -> str:
    """Return the number of a list, and the values of a position in it (none: its beginning), as text that fits into a URL."""
    values = [str(value) if isinstance(value, UUID) else value for value in position]
    # Not in ASCII, in which a letter of a tenant's id could take twelve bytes.
    text = json.dumps([number, *values], separators=(",", ":"), ensure_ascii=False)
    return urlsafe_b64encode(text.encode()).decode().rstrip("=")


def read_cursor(text: str, lists: Sequence[Sequence[type]], /) -> tuple[int, tuple[CursorValue, ...]]:
    """Return what `write_cursor` was given; *lists* are the types of a position in each list.

    Raises `ValidationFailedError` for any other text.
    """
    try:
        found: Any = json.loads(urlsafe_b64decode(text.encode("ascii") + b"=" * (-len(text) % 4)))
        first, *position = found
        number = range(len(lists)).index(first if type(first) is int else -1)
        pairs = zip(position, lists[number], strict=True) if position else ()
        return number, tuple([_read(value, kind) for value, kind in pairs])
    except (TypeError, ValueError, RecursionError):
        problem = "must be what an earlier page of the same question returned"
        raise ValidationFailedError(field="after", problem=problem) from None


def _read(value: object, kind: type) -> CursorValue:
    if kind is UUID and isinstance(value, str):
        return UUID(value)
    if kind is str and isinstance(value, str) and "\0" not in value:
        value.encode()  # half of a surrogate pair cannot be
        return value
    if kind is int and isinstance(value, int) and not isinstance(value, bool) and -_WIDTH <= value < _WIDTH:
        return value
    raise ValueError
