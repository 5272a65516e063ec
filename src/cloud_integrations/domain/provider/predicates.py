"""Tests on a JSON answer."""

from __future__ import annotations

import re
from typing import Any, Self

from pydantic import model_validator

from cloud_integrations.domain.json_paths import find_all

from .base import FileTable, JsonScalar, check_pattern


class Predicate(FileTable):
    """A test on one place of a JSON answer; exactly one comparison is given."""

    path: str
    """The place: names step into objects, numbers into lists, and `*` into every member of a list (`errors.*.code`).

    With `*` the test passes when any of the places passes.
    """
    equals: JsonScalar | None = None
    """The value must be this one, of this type: text, number or truth value.  `true` is not 1, and "190" is not 190."""
    matches: str | None = None
    """A regular expression that is found somewhere in the value, which is text."""
    exists: bool | None = None
    """Whether something must be there; null counts."""
    absent: bool | None = None
    """Whether the place must be missing."""
    not_null: bool | None = None
    """Whether there must be a value that is not null."""

    @model_validator(mode="after")
    def _one_comparison(self) -> Self:
        given = self.model_fields_set & {"equals", "matches", "exists", "absent", "not_null"}
        if len(given) != 1:
            raise ValueError("give exactly one of equals, matches, exists, absent, not_null")
        if self.matches is not None:
            check_pattern(self.matches)
        return self

    def holds(self, body: Any, /) -> bool:
        """Say whether *body*, as read from JSON, passes."""
        found = find_all(body, self.path)
        if self.exists is not None:
            return bool(found) is self.exists
        if self.absent is not None:
            return bool(found) is not self.absent
        if self.not_null is not None:
            return any(value is not None for value in found) is self.not_null
        return any(passes(value, equals=self.equals, matches=self.matches) for value in found)


def passes(value: Any, *, equals: JsonScalar | None, matches: str | None) -> bool:
    """Say whether *value* equals a value, or is text in which a regular expression is found."""
    if matches is None:
        return _is_same(value, equals)
    return isinstance(value, str) and re.search(matches, value) is not None


def _is_same(value: Any, expected: Any) -> bool:
    # In Python `True == 1`; in JSON they are different values, while 1 and 1.0 are one number.
    if isinstance(value, bool) or isinstance(expected, bool):
        return value is expected
    return type(value) in {str, int, float} and value == expected
