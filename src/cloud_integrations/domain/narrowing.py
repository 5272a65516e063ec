"""What a caller wants a credential narrowed to: names with JSON values.

Which names a method takes is in its provider's file; here only what holds for every method is read.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from pydantic import JsonValue

from cloud_integrations.errors import ValidationFailedError

LONGEST_NARROW: Final = 32 * 1024
"""The longest narrowing that is read, in characters of JSON."""
_DEEPEST: Final = 20
_MOST_MEMBERS: Final = 5_000
_HIGHEST: Final = 2**53
"""Whole numbers above this are not the same number in every reader of JSON (RFC 8259 §6)."""
_NAME: Final = re.compile(r"[a-z0-9_]{1,64}")
_HALF: Final = re.compile(r"[\ud800-\udfff]")
_EMPTY: Final = "names nothing: leave it out to get the whole credential, or name what it may do"


@dataclass(frozen=True, slots=True)
class Narrow:
    """What a credential is narrowed to, read and copied; two are equal if they ask for the same."""

    text: str = field(repr=False)
    """The JSON text of `values`, with sorted names."""
    values: Mapping[str, JsonValue] = field(repr=False, compare=False)

    @property
    def names(self) -> tuple[str, ...]:
        """The names, sorted; they are no secrets, and go to the audit log."""
        return tuple(sorted(self.values))

    def __repr__(self) -> str:
        return f"Narrow({', '.join(self.names)})"


def read_narrow(value: object, /) -> Narrow | None:
    """Return what a credential is narrowed to; None for None, which asks for the whole credential.

    *value* is a mapping of names to JSON values, and names at least one.  Raises `ValidationFailedError`, which never repeats a value.
    """
    if value is None:
        return None
    if not isinstance(value, Mapping):
        raise ValidationFailedError(field="narrow", problem="must be a mapping of names to values")
    if not value:
        raise ValidationFailedError(field="narrow", problem=_EMPTY)
    values: dict[str, JsonValue] = {}
    members = [_MOST_MEMBERS]
    for name, inner in value.items():
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise ValidationFailedError(field="narrow", problem="has a name that no provider's file has")
        # The name is not repeated, because the caller may have put a secret there.
        values[name] = _read("narrow", inner, depth=1, members=members)
    text = json.dumps(values, sort_keys=True, separators=(",", ":"))
    if len(text) > LONGEST_NARROW:
        raise ValidationFailedError(field="narrow", problem=f"must be at most {LONGEST_NARROW} characters of JSON")
    return Narrow(text, values)


def read_json_text(field: str, text: str, /) -> JsonValue:
    """Return the value of a JSON text.

    Raises `ValidationFailedError` where readers of JSON could differ about what it says (RFC 8259 §4): a name that is there twice.
    """
    try:
        value: object = json.loads(text, object_pairs_hook=_pairs, parse_constant=_no_number)
    except (ValueError, RecursionError):
        raise ValidationFailedError(field=field, problem="must be JSON, with each name once in an object") from None
    return _read(field, value, depth=1, members=[_MOST_MEMBERS])


def _read(field: str, value: object, *, depth: int, members: list[int]) -> JsonValue:
    """Return a copy of *value*; *members* holds how many more values there may be."""
    members[0] -= 1
    if depth > _DEEPEST or members[0] < 0:
        raise ValidationFailedError(field=field, problem=f"must be at most {_DEEPEST} levels deep and have at most {_MOST_MEMBERS} members")
    if isinstance(value, Mapping):
        return {_text(field, name): _read(field, inner, depth=depth + 1, members=members) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_read(field, inner, depth=depth + 1, members=members) for inner in value]
    return _scalar(field, value)


def _scalar(field: str, value: object) -> JsonValue:
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return _text(field, value)
    if isinstance(value, int | float) and -_HIGHEST <= value <= _HIGHEST:
        return value
    raise ValidationFailedError(field=field, problem="must hold JSON values only: text, numbers, true, false, null, lists and objects")


def _text(field: str, value: object) -> str:
    if not isinstance(value, str):
        raise ValidationFailedError(field=field, problem="has a name that is no text")
    if len(value) > LONGEST_NARROW:
        raise ValidationFailedError(field=field, problem=f"must be at most {LONGEST_NARROW} characters of JSON")
    if _HALF.search(value):
        raise ValidationFailedError(field=field, problem="contains half of a surrogate pair, which cannot be encoded")
    return str(value)


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name is there twice")
    return found


def _no_number(_: str) -> None:
    raise ValueError("is no JSON number")
