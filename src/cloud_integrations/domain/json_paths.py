"""Places in a JSON value."""

from __future__ import annotations

import re
from typing import Any


def find_all(value: Any, path: str, /) -> list[Any]:
    """Return the values at a dotted *path* of a JSON value.

    Names step into objects, numbers into lists, and `*` into every member of a list.  Without `*` there is one value
    (null is `None`) or none.
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
        # Only what is surely short and plain becomes a number: `isdecimal` knows more digits than `int` should read.
        if re.fullmatch("[0-9]{1,6}", name) and int(name) < len(value):
            return [value[int(name)]]
    return []
