"""A blocking manager, awaited."""

from __future__ import annotations

from functools import partial
from typing import Any

from starlette.concurrency import run_in_threadpool

from cloud_integrations import Actor, Settings


class Threaded:
    """A blocking manager whose calls run in threads of the pool, so that the event loop stays free."""

    def __init__(self, manager: Any, /) -> None:
        self._manager = manager

    def acting_as(self, actor: Actor, *, request_id: str, reason: str | None = None) -> Threaded:
        """Return the manager as an actor uses it."""
        return Threaded(self._manager.acting_as(actor, request_id=request_id, reason=reason))

    @property
    def settings(self) -> Settings:
        """The manager's settings."""
        settings: Settings = self._manager.settings
        return settings

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._manager, name)
        if not callable(value):
            return Threaded(value)  # a group of methods
        # These are no coroutines in either manager.
        return value if name in {"get_provider", "guide", "list_providers"} else partial(run_in_threadpool, value)
