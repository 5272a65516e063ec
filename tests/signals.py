"""An interruption as a task queue makes it: an `Exception` that a signal handler raises."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


class SoftTimeLimitError(Exception):
    """What a task queue raises, as Celery does."""


def _handle(_number: int, _frame: FrameType | None) -> None:
    raise SoftTimeLimitError


@contextmanager
def time_is_up() -> Iterator[Callable[..., None]]:
    """Give a function that raises as the handler of a signal does, whatever it is called with, at the very line of the call."""
    before = signal.signal(signal.SIGUSR1, _handle)
    try:
        yield lambda *_args, **_named: _handle(signal.SIGUSR1, None)
    finally:
        signal.signal(signal.SIGUSR1, before)
