"""Other libraries' debug logs, kept silent while a data key passes through them."""

from __future__ import annotations

import logging
import threading
from collections.abc import Generator
from contextlib import contextmanager


class _Silence(logging.Filter):
    """Drops what is logged below WARNING in a thread that asked for it."""

    def __init__(self) -> None:
        super().__init__()
        self._asked = threading.local()

    @contextmanager
    def asked(self) -> Generator[None]:
        self._asked.depth = self._depth + 1
        try:
            yield
        finally:
            self._asked.depth -= 1

    @property
    def _depth(self) -> int:
        return getattr(self._asked, "depth", 0)

    def filter(self, record: logging.LogRecord) -> bool:
        return record.levelno >= logging.WARNING or not self._depth


_SILENCE = _Silence()


@contextmanager
def quiet_logs(*names: str) -> Generator[None]:
    """Drop what these loggers, and those below them, say below WARNING in this thread: SDKs write whole bodies there.

    A filter does not reach the loggers below, so each that exists is given it.
    """
    for name, logger in list(logging.Logger.manager.loggerDict.items()):
        if isinstance(logger, logging.Logger) and name.split(".")[0] in names and _SILENCE not in logger.filters:
            logger.addFilter(_SILENCE)
    with _SILENCE.asked():
        yield
