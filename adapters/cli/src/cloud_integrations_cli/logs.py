"""Log lines on stderr: text for people, or one JSON object a line."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from traceback import walk_tb
from typing import Any

from cloud_integrations.errors import CloudIntegrationsError

OURS = "cloud_integrations.cli"
"""The logger by whose name the command line itself speaks."""
_DEEPEST = 20
"""How many errors of a chain are told, and how many places of each: the last ones."""


class JsonLines(logging.Formatter):
    """Writes a record as one line of JSON: `time`, `level`, `logger`, `message`, and `requestId`, `event`, `facts`, `exception`."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        known = record.__dict__
        return json_line(
            at=datetime.fromtimestamp(record.created, UTC),
            level=record.levelname.lower(),
            logger=record.name,
            message=_message_of(record),
            requestId=known.get("request_id"),
            event=known.get("event"),
            facts=known.get("facts"),
            exception=_shown(record.exc_info[1]) if record.exc_info and record.exc_info[1] else None,
        )


def json_line(*, level: str, message: str, at: datetime | None = None, logger: str = OURS, **more: Any) -> str:
    """Return a line of JSON; what is None is left out, and every character that is not ASCII is escaped."""
    time = (at or datetime.now(UTC)).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    known = {"time": time, "level": level, "logger": logger, "message": message, **more}
    return json.dumps({name: value for name, value in known.items() if value is not None}, default=str)


def write_json_lines() -> None:
    """Let the handlers of this process write JSON from now on, Python's warnings too."""
    for handler in logging.getLogger().handlers:
        if type(handler) is logging.StreamHandler:
            handler.setFormatter(JsonLines())
    logging.captureWarnings(capture=True)


def are_json() -> bool:
    """Whether a handler of this process writes JSON."""
    return any(isinstance(handler.formatter, JsonLines) for handler in logging.getLogger().handlers)


def tell_json(level: str, message: str, **more: Any) -> None:
    """Write a line of the command line's own to stderr."""
    print(json_line(level=level, message=message, **more), file=sys.stderr, flush=True)  # noqa: T201  # as log lines do


def facts_of(facts: Mapping[str, Any], /) -> dict[str, Any]:
    """Return the fields of a line that says *facts*: `event` apart from the others."""
    others = {name: value for name, value in facts.items() if name != "event"}
    return {"event": facts.get("event"), "facts": others or None}


def _message_of(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except Exception:  # noqa: BLE001  # logging itself would print a traceback over many lines, with the arguments
        return str(record.msg)


def _shown(error: BaseException) -> str:
    """Name the classes and the places of an error and of what led to it.  The text of a foreign error may hold a secret."""
    return " <- ".join(_one(each) for each in _chain(error))


def _one(error: BaseException) -> str:
    text = f": {error.message}" if isinstance(error, CloudIntegrationsError) else ""
    frames = [f"{Path(frame.f_code.co_filename).name}:{line} {frame.f_code.co_name}" for frame, line in walk_tb(error.__traceback__)]
    return f"{type(error).__name__}{text} ({', '.join(reversed(frames[-_DEEPEST:]))})"


def _chain(error: BaseException) -> Iterator[BaseException]:
    current: BaseException | None = error
    for _ in range(_DEEPEST):
        if current is None:
            return
        yield current
        current = current.__cause__ or (None if current.__suppress_context__ else current.__context__)
