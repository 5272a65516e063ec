"""The progress bar of a command that takes long."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager

from .render import Screen


@contextmanager
def bar(screen: Screen, what: str, total: int) -> Generator[Callable[[int], None]]:
    """Show the progress on stderr, if it is a terminal; the function that is given is told how many more are done."""
    # Loaded here, because most commands show no progress.
    from rich.console import Console  # noqa: PLC0415
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn  # noqa: PLC0415

    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=screen.as_json or not console.is_terminal) as shown:
        task = shown.add_task(what, total=total)
        yield lambda more: shown.advance(task, more)
