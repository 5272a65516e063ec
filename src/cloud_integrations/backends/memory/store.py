"""The store in memory: all subjects, and the unit of work that spans them."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from inspect import getmembers, isfunction
from typing import Any, cast

from cloud_integrations.ports.clock import Clock
from cloud_integrations.ports.store import AsyncStore, Change, Record, StoreReport

from .announcements import Announcements
from .applications import Applications
from .audit import Audit
from .connect_sessions import ConnectSessions
from .freezes import Freezes
from .incidents import Incidents
from .integrations import Integrations
from .keys import Keys
from .outbox import Outbox
from .overview import Overview
from .pending import Pending
from .refresh import Refresh
from .sessions import Sessions
from .tables import HANDLERS
from .webhooks import Webhooks


class MemoryStore(
    Integrations,
    Refresh,
    Pending,
    Applications,
    Sessions,
    ConnectSessions,
    Freezes,
    Incidents,
    Keys,
    Outbox,
    Announcements,
    Webhooks,
    Audit,
    Overview,
):
    """A `Store` in memory.

    Safe to share between threads.  *clock* replaces the wall clock, for tests.
    """

    def prepare(self) -> None:
        """Do nothing: this store has no schema."""

    def report(self) -> StoreReport:
        """Return the kind of this store and how many integrations it has."""
        return StoreReport(kind="memory", schema=None, facts={"integrations": str(len(self._tables.integrations))})

    def apply(self, *changes: Change) -> None:
        """Make all *changes*; if one is refused, make none and raise the error that this change documents."""
        with self._lock:
            tables = self._tables.copy(now=self._now())
            # Events come last: appending cannot be refused, so a refused change leaves the chains as they were.
            for change in sorted(changes, key=lambda change: isinstance(change, Record)):
                HANDLERS[type(change)](tables, change)
            self._tables = tables


class _AsyncMemoryStore(AsyncStore):
    def __init__(self, clock: Clock | None = None) -> None:
        self._store = MemoryStore(clock)


def _awaitable(method: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(method)
    async def call(self: Any, *args: Any, **kwargs: Any) -> Any:
        return getattr(self._store, method.__name__)(*args, **kwargs)

    return call


_AWAITABLE = {name: _awaitable(method) for name, method in getmembers(MemoryStore, isfunction) if not name.startswith("_")}

# A type checker sees the methods of `AsyncStore`; a test compares them with those of `MemoryStore`.
AsyncMemoryStore = cast(
    "type[_AsyncMemoryStore]",
    type(
        "AsyncMemoryStore",
        (_AsyncMemoryStore,),
        {"__doc__": "An `AsyncStore` in memory: `MemoryStore` with methods that can be awaited; none of them pauses.", **_AWAITABLE},
    ),
)
