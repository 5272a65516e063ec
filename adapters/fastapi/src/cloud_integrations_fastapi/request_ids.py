"""The id of the request that is being answered, for log lines that are written meanwhile."""

from __future__ import annotations

import logging
from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final

_current: ContextVar[str | None] = ContextVar("_current", default=None)


@contextmanager
def answering(request_id: str, /) -> Generator[None]:
    """Let records of this task and of its threads have the attribute `request_id`, where a handler has `NAMES_REQUESTS`."""
    before = _current.set(request_id)
    try:
        yield
    finally:
        _current.reset(before)


class _NamesRequests(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        if (request_id := _current.get()) is not None:
            record.__dict__.setdefault("request_id", request_id)
        return True


NAMES_REQUESTS: Final = _NamesRequests()
"""A filter for handlers, which drops nothing."""
