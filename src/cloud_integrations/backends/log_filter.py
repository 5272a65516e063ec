"""Other libraries' logs, kept silent while a secret passes through them."""

from __future__ import annotations

import logging
from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar

_threshold: ContextVar[int] = ContextVar("_threshold", default=logging.NOTSET)
"""Records below this level are dropped in this thread or task."""


class _Filter(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        return record.levelno >= _threshold.get()


_FILTER = _Filter()


@contextmanager
def quiet_logs(*names: str, below: int = logging.WARNING) -> Generator[None]:
    """Drop what these loggers, and their children, log under level *below* in this thread or task: SDKs log whole bodies.

    A filter does not reach child loggers, so each one that exists is given it.
    """
    for name, logger in list(logging.Logger.manager.loggerDict.items()):
        if isinstance(logger, logging.Logger) and name.split(".")[0] in names and _FILTER not in logger.filters:
            logger.addFilter(_FILTER)
    before = _threshold.set(max(below, _threshold.get()))
    try:
        yield
    finally:
        _threshold.reset(before)
