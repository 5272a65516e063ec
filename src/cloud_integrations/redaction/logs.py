"""Take the secrets out of log records: for `logging`, and for structlog."""

from __future__ import annotations

import logging
from collections.abc import Mapping, MutableMapping
from typing import Any, Final

from .named import secret_name
from .text import FAILED, redact

_DEEPEST: Final = 6
"""How many mappings and lists inside each other are looked into."""
_OWN: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
"""The attributes that `logging` gives to each record; all others are `extra`."""
_FORMATTER: Final = logging.Formatter()


class RedactingFilter(logging.Filter):
    """A filter that takes keys and tokens out of each record: message, arguments, exception, stack and `extra`.

    Add it to handlers: the filter of a logger does not see the records of its child loggers.  A record without a secret stays as it is.
    It lets every record pass and never raises.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Take the secrets out of *record*, and let it pass."""
        try:
            _clean_message(record)
            _clean_exception(record)
            for name, value in list(vars(record).items()):
                if name not in _OWN and (cleaned := _clean(value, name)) is not value:
                    setattr(record, name, cleaned)
        except Exception:  # noqa: BLE001  # logging must go on, and without a secret
            record.msg, record.args, record.exc_info, record.exc_text, record.stack_info = FAILED, None, None, None, None
        return True


def redact_event(logger: Any, method_name: str, event: MutableMapping[str, Any], /) -> Mapping[str, Any]:  # noqa: ARG001  # structlog's signature
    """Return *event* without its keys and tokens: a processor for structlog.  It never raises."""
    return {name: _clean(value, str(name)) for name, value in event.items()}


def _clean_message(record: logging.LogRecord) -> None:
    args = record.args
    if args:
        record.args = _clean(args)
    try:
        message = record.getMessage()
    except Exception:  # noqa: BLE001  # `logging` reports it when the record is written, with the template and the arguments
        record.msg, record.args = redact(f"{record.msg} {args}"), None
        return
    cleaned = redact(message)
    if cleaned != message:
        record.msg, record.args = cleaned, None


def _clean_exception(record: logging.LogRecord) -> None:
    if record.exc_info and not record.exc_text:
        text = _FORMATTER.formatException(record.exc_info)
        cleaned = redact(text)
        if cleaned != text:
            # Without the exception, a handler cannot write its text anew.
            record.exc_text, record.exc_info = cleaned, None
    elif record.exc_text:
        cleaned = redact(record.exc_text)
        if cleaned != record.exc_text:
            record.exc_text, record.exc_info = cleaned, None
    if record.stack_info:
        record.stack_info = redact(record.stack_info)


def _clean(value: Any, name: str = "", depth: int = _DEEPEST) -> Any:
    """Return *value* without secrets; the same object, if there are none."""
    try:
        return _cleaned(value, name, depth)
    except Exception:  # noqa: BLE001  # an object of the application, which may do anything
        return FAILED


def _cleaned(value: Any, name: str, depth: int) -> Any:
    if isinstance(value, str | bytes):
        word = secret_name(name) if value and name else None
        text = value if isinstance(value, str) else value.decode("latin-1")
        cleaned = text if text.startswith("[removed: ") else f"[removed: {word}]" if word else redact(text)
        if cleaned == text:
            return value
        return cleaned if isinstance(value, str) else cleaned.encode("latin-1")
    if depth == 0 or not isinstance(value, Mapping | list | tuple):
        return value
    if isinstance(value, Mapping):
        pairs = {key: _clean(inner, str(key), depth - 1) for key, inner in value.items()}
        return value if all(pairs[key] is inner for key, inner in value.items()) else pairs
    items = [_clean(inner, "", depth - 1) for inner in value]
    if all(new is old for new, old in zip(items, value, strict=True)):
        return value
    return items if isinstance(value, list) else tuple(items)
