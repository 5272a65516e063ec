"""Repeat steps until a stop is requested."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, Protocol

Step = Callable[[], Coroutine[Any, Any, float | None]]
"""A coroutine function that does something and returns after how many seconds to call it again; None: never."""


class Repetition(Protocol):
    """Repeats steps.  How a stop is requested, and how it ends a wait, depends on the implementation."""

    async def repeat(self, *steps: Step) -> None:
        """Call each step at its own times, until no step is to be called again or a stop is requested.  Raises what a step raises.

        After a stop request, no further step begins; a step that is running may still finish.
        """
        ...
