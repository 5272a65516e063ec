"""What a person asks for on the console: the values of query parameters and of fields, read one by one."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from cloud_integrations import Actor
from cloud_integrations.errors import ValidationFailedError

YES = "yes"
"""The value of a tick."""


def text_of(asked: Mapping[str, str], name: str, /) -> str | None:
    """Return a value without space around it; None where it is left out or empty."""
    return asked.get(name, "").strip() or None


def day_of(asked: Mapping[str, str], name: str, /) -> datetime | None:
    """Return the start of a day such as 2026-01-31, in UTC; None where it is left out.  Raises `ValidationFailedError`."""
    text = text_of(asked, name)
    if text is None:
        return None
    try:
        return datetime.combine(date.fromisoformat(text), time(), UTC)
    except ValueError:
        raise ValidationFailedError(field=name, problem="must be a day, as 2026-01-31") from None


def end_of_day(asked: Mapping[str, str], name: str, /) -> datetime | None:
    """Return the end of a day, in UTC; None where it is left out.  Raises `ValidationFailedError`."""
    start = day_of(asked, name)
    try:
        return None if start is None else start + timedelta(days=1)
    except OverflowError:
        raise ValidationFailedError(field=name, problem="must be a day before the year 9999") from None


def number_of(asked: Mapping[str, str], name: str, /) -> int | None:
    """Return a whole number; None where it is left out.  Raises `ValidationFailedError`."""
    text = text_of(asked, name)
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and len(text) <= 15):  # far above every number that is counted here
        raise ValidationFailedError(field=name, problem="must be a whole number")
    return int(text)


def actor_of(asked: Mapping[str, str], name: str, /) -> Actor | None:
    """Return the actor that is written as `type:id`, or as a user's id alone; None where it is left out."""
    text = text_of(asked, name)
    if text is None:
        return None
    kind, separator, named = text.partition(":")
    return Actor(type=kind, id=named) if separator else Actor(id=text)


def selection_of(asked: Mapping[str, str], /) -> dict[str, Any]:
    """Return what a freeze or an incident is about, in the words of `manager.incidents`."""
    found: dict[str, Any] = {
        "tenant_id": text_of(asked, "tenant"),
        "provider": text_of(asked, "provider"),
        "application": text_of(asked, "application"),
        "integration": text_of(asked, "integration"),
        "used_by": actor_of(asked, "used_by"),
        "everything": asked.get("everything") == YES,
    }
    return {name: value for name, value in found.items() if value is not None}
