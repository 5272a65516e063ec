"""What is left of another library's error where it becomes one of ours.

A driver's or an SDK's error shows more than its words: the frames of its traceback hold passwords, tokens, keys and parameters in their
local variables, and tools that report errors print those.  So the chain that leads to it is cut: the error of ours is made inside the
`except` clause and raised after it, through `alone`.  `raise ... from None` does not do that: it hides the chain and keeps it.
"""

from __future__ import annotations

from typing import TypeVar

E = TypeVar("E", bound=BaseException)


def alone(error: E, /) -> E:
    """Return *error* without the errors that led to it; to be raised where no other error is being handled."""
    error.__cause__ = error.__context__ = None
    return error
