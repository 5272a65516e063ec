"""Raising an error of ours in place of another library's error.

The traceback of a driver's or an SDK's error has passwords, tokens, keys and parameters in the local variables of its frames, and tools
that report errors print those.  So our error must not refer to it: our error is made inside the `except` clause and raised after it,
through `alone`.  `raise ... from None` is not enough: it only hides the other error and still refers to it as `__context__`.
"""

from __future__ import annotations

from typing import TypeVar

E = TypeVar("E", bound=BaseException)


def alone(error: E, /) -> E:
    """Return *error* without its cause and context; raise it where no other error is being handled."""
    error.__cause__ = error.__context__ = None
    return error
