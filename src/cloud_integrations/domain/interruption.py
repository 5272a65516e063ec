"""Tell an interruption from a fault: what a signal handler raises is for whoever was called, wherever it strikes."""

from __future__ import annotations

import signal
from traceback import walk_tb
from typing import Any


def is_interruption(error: BaseException, /) -> bool:
    """Return whether a signal handler raised *error*, as the soft time limit of a task queue does.

    It says nothing of the provider, database or observer that was being asked, so it must not be taken for their failure.
    """
    # A signal that Python leaves to the system has a handler that cannot be called.
    handlers = [_code_of(handler) for number in signal.valid_signals() if callable(handler := signal.getsignal(number))]
    return any(frame.f_code in handlers for frame, _ in walk_tb(error.__traceback__))


def _code_of(handler: Any, /) -> Any:
    """Return the code of a function, of a method, or of an object that can be called; None for what is not written in Python."""
    function = getattr(handler, "__func__", handler)
    return getattr(function, "__code__", None) or getattr(type(function).__call__, "__code__", None)
