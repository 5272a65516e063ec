"""Silencing the logs of other libraries while they handle a secret."""

from __future__ import annotations

import logging
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from contextvars import ContextVar

_threshold: ContextVar[int] = ContextVar("_threshold", default=logging.NOTSET)
"""Records below this level are dropped in this thread or task."""


class _Filter(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        return record.levelno >= _threshold.get()


_FILTER = _Filter()


def filter_loggers(names: Iterable[str], /) -> None:
    """Add the filter that `quiet` switches on to each of these loggers; it does not apply to their child loggers."""
    for name in names:
        logging.getLogger(name).addFilter(_FILTER)


@contextmanager
def quiet(*, below: int) -> Generator[None]:
    """Drop records of filtered loggers with a level below *below*, in this thread or task."""
    before = _threshold.set(max(below, _threshold.get()))
    try:
        yield
    finally:
        _threshold.reset(before)


@contextmanager
def quiet_logs(*libraries: str) -> Generator[None]:
    """Drop records below WARNING of all loggers of these libraries, in this thread or task, because SDKs log whole bodies."""
    found = list(logging.Logger.manager.loggerDict.items())
    filter_loggers(name for name, logger in found if isinstance(logger, logging.Logger) and name.split(".")[0] in libraries)
    with quiet(below=logging.WARNING):
        yield
