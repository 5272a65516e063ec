"""Observers: one that logs, and those that shield callers from failing observers and telemetries."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from cloud_integrations.domain.events import Fact
from cloud_integrations.domain.interruption import is_interruption
from cloud_integrations.domain.work_report import WorkReport
from cloud_integrations.ports.observer import Observer
from cloud_integrations.ports.telemetry import End, Operation, Telemetry

P = ParamSpec("P")
T = TypeVar("T")

_log = logging.getLogger("cloud_integrations")


class LoggingObserver:
    """Writes events to the logger `cloud_integrations`: the name and the facts, which hold no secrets."""

    def tell(self, fact: Fact, /) -> None:
        """Log *fact* at INFO; the record has it as `event` and `facts`, too, for formatters that write fields."""
        text = " ".join(f"{name}={_quoted(value)}" for name, value in fact.facts.items())
        _log.info("%s %s", fact.name, text, extra={"event": fact.name, "facts": dict(fact.facts)})


def _quoted(value: str, /) -> str:
    """Return a value as it stands, or in quotes where it could be read as two facts or lines: some are what a person wrote."""
    plain = value.isprintable() and not value.startswith('"') and " " not in value and "=" not in value
    return value if plain else json.dumps(value, ensure_ascii=not value.isprintable())


class GuardedObserver:
    """Passes facts to other observers, and logs their errors instead of raising them."""

    def __init__(self, *observers: Observer) -> None:
        self._observers = observers

    def tell(self, fact: Fact, /) -> None:
        """Pass *fact* to the observers; raises no `Exception` of theirs."""
        for observer in self._observers:
            _guarded(f"observer failed on {fact.name}", observer.tell, fact)


class GuardedTelemetry(GuardedObserver):
    """Passes measurements to other telemetries, and logs their errors instead of raising them."""

    def __init__(self, *parts: Telemetry) -> None:
        super().__init__(*parts)
        self._parts = parts

    def begin(self, operation: Operation, /) -> End:
        """Begin to measure with each; what ends it raises no `Exception` of theirs."""
        said = f"telemetry failed on {operation.name}"
        begun = [_guarded(said, part.begin, operation) for part in self._parts]

        def end(outcome: str, seconds: float) -> None:
            # The last that began ends first, because spans lie within each other.
            for each in reversed(begun):
                if each is not None:
                    _guarded(said, each, outcome, seconds)

        return end

    def take(self, report: WorkReport, /) -> None:
        """Hand *report* to each; raises no `Exception` of theirs."""
        for part in self._parts:
            _guarded("telemetry failed on a report", part.take, report)


def _guarded(said: str, call: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T | None:
    try:
        return call(*args, **kwargs)
    except Exception as error:  # whatever a host's hook raises must not change an outcome
        if is_interruption(error):
            raise
        _log.warning("%s: %s", said, type(error).__name__)
        return None
