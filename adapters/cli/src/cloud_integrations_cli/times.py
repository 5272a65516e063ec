"""Times as options give them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import overload


@overload
def in_utc(time: datetime, /) -> datetime: ...
@overload
def in_utc(time: None, /) -> None: ...
def in_utc(time: datetime | None, /) -> datetime | None:
    """Return a time with an offset; without one it is UTC."""
    return time if time is None or time.tzinfo is not None else time.replace(tzinfo=UTC)
