"""Observers: one that logs, and one that shields callers from a failing observer."""

from __future__ import annotations

import logging

from cloud_integrations.domain.events import Fact
from cloud_integrations.ports.observer import Observer

_log = logging.getLogger("cloud_integrations")


class LoggingObserver:
    """Writes events to the logger `cloud_integrations`: the name and the facts, which hold no secrets."""

    def tell(self, fact: Fact, /) -> None:
        """Log *fact* at INFO."""
        _log.info("%s %s", fact.name, " ".join(f"{name}={value}" for name, value in fact.facts.items()))


class GuardedObserver:
    """Passes facts to another observer, and logs its errors instead of raising them."""

    def __init__(self, observer: Observer, /) -> None:
        self._observer = observer

    def tell(self, fact: Fact, /) -> None:
        """Pass *fact* to the observer; never raises an `Exception`."""
        try:
            self._observer.tell(fact)
        except Exception as error:  # noqa: BLE001  # whatever a host's hook raises must not change an outcome
            _log.warning("observer failed on %s: %s", fact.name, type(error).__name__)
