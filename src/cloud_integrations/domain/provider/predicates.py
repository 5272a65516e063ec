"""Tests on a JSON answer."""

from __future__ import annotations

import re
from typing import Any, Self

from pydantic import ValidationInfo, model_validator

from cloud_integrations.domain.json_paths import find_all

from .base import FileTable, JsonScalar, check_pattern
from .patterns import LONGEST_MATCHED


def tells_nothing(status: int, /) -> bool:
    """Return whether a status says nothing of a credential: a rate limit (RFC 6585 §4), an error of the server, or none at all."""
    return status == 429 or not 100 <= status < 500


class Predicate(FileTable):
    """A test on one value of a JSON answer, by exactly one comparison."""

    path: str
    """The path to the value: names step into objects, numbers into lists, and `*` into every member of a list (`errors.*.code`).

    With `*`, one value that passes is enough.
    """
    equals: JsonScalar | None = None
    """The value must be this one, and of this type: text, number or truth value.  `true` is not 1, and "190" is not 190."""
    matches: str | None = None
    """A regular expression that must be found somewhere in the first 4,096 characters of the value, which must be text."""
    exists: bool | None = None
    """`true`: there must be a value, which may be null; `false`: there must be none."""
    absent: bool | None = None
    """`true`: there must be no value; `false`: there must be one, which may be null."""
    not_null: bool | None = None
    """`true`: there must be a value that is not null; `false`: there must be none."""

    @model_validator(mode="after")
    def _one_comparison(self, info: ValidationInfo) -> Self:
        given = self.model_fields_set & {"equals", "matches", "exists", "absent", "not_null"}
        if len(given) != 1:
            raise ValueError("give exactly one of equals, matches, exists, absent, not_null")
        if self.matches is not None:
            check_pattern(self.matches, info)
        return self

    def holds(self, body: Any, /) -> bool:
        """Return whether *body*, as read from JSON, passes the test."""
        found = find_all(body, self.path)
        if self.exists is not None:
            return bool(found) is self.exists
        if self.absent is not None:
            return bool(found) is not self.absent
        if self.not_null is not None:
            return any(value is not None for value in found) is self.not_null
        return any(passes(value, equals=self.equals, matches=self.matches) for value in found)


def passes(value: Any, *, equals: JsonScalar | None, matches: str | None) -> bool:
    """Return whether *value* equals *equals* or, if *matches* is given, is text in which that regular expression is found."""
    if matches is None:
        return _is_same(value, equals)
    return isinstance(value, str) and re.search(matches, value[:LONGEST_MATCHED]) is not None


def _is_same(value: Any, expected: Any) -> bool:
    # In Python `True == 1`; in JSON they are different values, while 1 and 1.0 are one number.
    if isinstance(value, bool) or isinstance(expected, bool):
        return value is expected
    return type(value) in {str, int, float} and value == expected
