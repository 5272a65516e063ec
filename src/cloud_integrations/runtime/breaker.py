"""A circuit breaker in this process."""

from __future__ import annotations

import threading
from collections.abc import Hashable
from dataclasses import dataclass, field
from datetime import timedelta

from cloud_integrations.ports.clock import Clock, Entropy

WINDOW_SECONDS = 30.0
LEAST_FAILURES = 5
PROBE_SECONDS = 30.0


@dataclass(slots=True)
class _Circuit:
    """How one authorization server did lately; times are monotonic seconds."""

    lately: dict[Hashable, tuple[float, bool]] = field(default_factory=dict)
    """By tenant, the oldest first: when the last request left an outcome, and whether it was answered."""
    probe_at: float | None = None
    """None: closed.  Otherwise nobody asks before then, and one caller does after."""
    probed_by: Hashable | None = None
    """The tenant that was served by the last probe."""
    reason: str | None = None
    """Why the application is refused; while there is one, only tokens close the circuit."""
    refused_by: Hashable | None = None
    """Who was refused the application since it was accepted last."""


class WindowBreaker:
    """Opens at five tenants without an answer that are at least half of 30 s, then lets one probe through every 30 s ± 50 %.

    What it knows of an application (by whom it was refused) is of this process, and of this configuration.
    """

    def __init__(self, clock: Clock, entropy: Entropy, /) -> None:
        self._monotonic = clock.monotonic
        self._fraction = entropy.fraction
        self._lock = threading.Lock()
        self._circuits: dict[Hashable, _Circuit] = {}

    def __repr__(self) -> str:
        return f"WindowBreaker({len(self._circuits)} circuits)"

    def wait(self, key: Hashable, /, *, by: Hashable) -> timedelta | None:
        """Return None if a request may go out now, else how long to wait."""
        with self._lock:
            circuit = self._circuits.get(key)
            if circuit is None or circuit.probe_at is None:
                return None
            now = self._monotonic()
            # A probe without an answer may be its tenant's own trouble: others come first.
            comes_last = circuit.reason is None and circuit.probed_by == by
            probe_at = circuit.probe_at + (PROBE_SECONDS if comes_last else 0)
            if now < probe_at:
                return timedelta(seconds=probe_at - now)
            # This caller is the probe; the next one waits for its outcome.
            circuit.probe_at, circuit.probed_by = self._next_probe(now), by
            return None

    def note(self, key: Hashable, /, *, ok: bool, by: Hashable) -> None:
        """Remember that a request was answered, or was not."""
        with self._lock:
            circuit = self._circuits.setdefault(key, _Circuit())
            now = self._monotonic()
            if circuit.probe_at is not None:
                if ok and circuit.reason is None:
                    circuit.probe_at = circuit.probed_by = None
                return
            circuit.lately.pop(by, None)
            circuit.lately[by] = (now, ok)
            while circuit.lately[oldest := next(iter(circuit.lately))][0] < now - WINDOW_SECONDS:
                del circuit.lately[oldest]
            failures = sum(1 for _, went_well in circuit.lately.values() if not went_well)
            if failures >= LEAST_FAILURES and failures * 2 >= len(circuit.lately):
                circuit.lately.clear()
                circuit.probe_at = self._next_probe(now)

    def accept(self, key: Hashable, /) -> None:
        """Remember that tokens came."""
        with self._lock:
            circuit = self._circuits.setdefault(key, _Circuit())
            circuit.probe_at = circuit.probed_by = circuit.reason = circuit.refused_by = None

    def refuse(self, key: Hashable, reason: str, /, *, by: Hashable) -> None:
        """Remember that the application was refused when *by* was to be served."""
        with self._lock:
            circuit = self._circuits.setdefault(key, _Circuit())
            alone = circuit.refused_by in {None, by}
            circuit.refused_by = by
            if circuit.reason is None and alone:
                return
            circuit.reason = reason
            circuit.probe_at = self._next_probe(self._monotonic())

    def reason(self, key: Hashable, /) -> str | None:
        """Return why the application is refused, or None."""
        circuit = self._circuits.get(key)
        return None if circuit is None else circuit.reason

    def _next_probe(self, now: float) -> float:
        return now + PROBE_SECONDS * (0.5 + self._fraction())
