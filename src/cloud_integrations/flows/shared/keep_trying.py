"""Storing what only this process has, and what no provider would give a second time."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from cloud_integrations.domain.events import Subject

from .events import tell_of
from .wiring import Wiring

T = TypeVar("T")
_FIRST_WAIT: Final = 0.05
_LONGEST_WAIT: Final = 5.0


async def keep_trying(
    wiring: Wiring, store: Callable[[], Awaitable[T]], /, *, since: float, subject: Subject, ends: tuple[type[Exception], ...]
) -> T:
    """Call *store* until it succeeds, and return its result.  Between two tries the pause grows from 50 milliseconds to five seconds.

    *ends* are the errors that say what has become of it, and are raised at once.  Whatever else keeps *store* from succeeding is
    raised only when the setting `persist_limit` is over, counted from *since* (`Clock.monotonic`).
    """
    give_up = since + wiring.settings.persist_limit.total_seconds()
    wait = _FIRST_WAIT
    while True:
        try:
            return await store()
        except ends:
            raise
        except Exception:
            if wiring.clock.monotonic() >= give_up:
                raise
            tell_of(wiring, "credential.unpersisted", subject)
            await wiring.pause.pause(wait)
            wait = min(wait * 2, _LONGEST_WAIT)
