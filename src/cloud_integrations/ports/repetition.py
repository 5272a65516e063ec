"""Steps that are done again and again, until somebody asks to stop."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, Protocol

Step = Callable[[], Coroutine[Any, Any, float | None]]
"""Does something, and returns in how many seconds it is to be done again; None: never."""


class Repetition(Protocol):
    """Repeats steps.  Who asks it to stop, and how a wait is cut short, is its own matter."""

    async def repeat(self, *steps: Step) -> None:
        """Do each step in its own time, until none is to be done again or somebody asks to stop; raise what a step raises.

        Asked to stop, it begins no step any more, and ends at the latest with the step that is under way.
        """
        ...
