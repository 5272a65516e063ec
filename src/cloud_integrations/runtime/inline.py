"""The way into the blocking door: a flow run to its end in one step."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


def run_inline(flow: Coroutine[Any, Any, T], /) -> T:
    """Run *flow* to its end in this thread, without an event loop.

    A coroutine pauses only where something inside it pauses, and blocking ports never do.
    Raises `RuntimeError` if one does after all.
    """
    try:
        flow.send(None)
    except StopIteration as done:
        value: T = done.value
        return value
    flow.close()
    raise RuntimeError(f"{flow!r} paused; a blocking flow may only await blocking ports")
