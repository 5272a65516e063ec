"""Dotted paths into a JSON value."""

from __future__ import annotations

import re
from typing import Any


def find_all(value: Any, path: str, /) -> list[Any]:
    """Return the values at a dotted *path* of a JSON value, as Python reads it.

    Names step into objects, numbers into lists, and `*` into every member of a list.  A path without `*` gives a list of one value
    (null is `None`) or an empty one.
    """
    found = [value]
    for name in path.split("."):
        found = [inner for outer in found for inner in _step(outer, name)]
    return found


def _step(value: Any, name: str) -> list[Any]:
    if isinstance(value, dict):
        return [value[name]] if name in value else []
    if isinstance(value, list):
        if name == "*":
            return value
        # At most six ASCII digits become a number; `isdecimal` would also accept other digits and endless numbers.
        if re.fullmatch("[0-9]{1,6}", name) and int(name) < len(value):
            return [value[int(name)]]
    return []
