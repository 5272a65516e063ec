"""A circuit breaker in this process."""

from __future__ import annotations

import threading
from collections.abc import Hashable
from dataclasses import dataclass, field
from datetime import timedelta

from cloud_integrations.errors import ApplicationReason
from cloud_integrations.ports.clock import Clock, Entropy

WINDOW_SECONDS = 30.0
LEAST_FAILURES = 5
PROBE_SECONDS = 30.0


@dataclass(slots=True)
class _Circuit:
    """The recent outcomes at one authorization server; times are monotonic seconds."""

    lately: dict[Hashable, tuple[float, bool]] = field(default_factory=dict)
    """By tenant, the oldest first: when its last request ended, and whether it was answered."""
    failures: int = 0
    """How many of them were not; counted along, because there may be as many as there are tenants."""
    probe_at: float | None = None
    """None if the circuit is closed.  Otherwise no request may go out before this time, and one may after it."""
    probed_by: Hashable | None = None
    """The tenant for which the last probe was sent."""
    reason: ApplicationReason | None = None
    """Why the application is refused.  While it is set, only an answer with tokens closes the circuit."""
    refused_by: Hashable | None = None
    """The tenant for which the application was refused since it was last accepted."""

    def forget(self, tenant: Hashable) -> None:
        """Forget what was noted for a tenant."""
        _, went_well = self.lately.pop(tenant, (0.0, True))
        self.failures -= not went_well


class WindowBreaker:
    """Stops requests to an authorization server that does not answer, or that refuses the application.

    A circuit opens if at least five tenants had no answer within 30 s and they are at least half of the tenants that asked.  It also
    opens if the application is refused for two tenants and not accepted in between.  Then one probe goes out every 30 s ± 50 %.
    The state is that of this process.
    """

    def __init__(self, clock: Clock, entropy: Entropy, /) -> None:
        self._monotonic = clock.monotonic
        self._fraction = entropy.fraction
        self._lock = threading.Lock()
        self._circuits: dict[Hashable, _Circuit] = {}

    def __repr__(self) -> str:
        return f"WindowBreaker({len(self._circuits)} circuits)"

    def wait(self, key: Hashable, /, *, by: Hashable) -> timedelta | None:
        """Return None if a request for the tenant *by* may go out now, otherwise how long to wait.

        If it returns None while the circuit is open, the caller's request is the probe.
        """
        with self._lock:
            circuit = self._circuits.get(key)
            if circuit is None or circuit.probe_at is None:
                return None
            now = self._monotonic()
            # A probe may have failed because of its tenant's own data, so another tenant probes first.
            comes_last = circuit.reason is None and circuit.probed_by == by
            probe_at = circuit.probe_at + (PROBE_SECONDS if comes_last else 0)
            if now < probe_at:
                return timedelta(seconds=probe_at - now)
            # This caller is the probe; the next one waits for its outcome.
            circuit.probe_at, circuit.probed_by = self._next_probe(now), by
            return None

    def look(self, key: Hashable, /) -> timedelta | None:
        """Return how long no request may go out, without becoming the probe; None if the circuit is closed."""
        with self._lock:
            circuit = self._circuits.get(key)
            if circuit is None or circuit.probe_at is None:
                return None
            return timedelta(seconds=max(0.0, circuit.probe_at - self._monotonic()))

    def note(self, key: Hashable, /, *, ok: bool, by: Hashable) -> None:
        """Note whether a request for the tenant *by* was answered."""
        with self._lock:
            circuit = self._circuits.setdefault(key, _Circuit())
            now = self._monotonic()
            if circuit.probe_at is not None:
                if ok and circuit.reason is None:
                    circuit.probe_at = circuit.probed_by = None
                return
            circuit.forget(by)
            circuit.lately[by] = (now, ok)
            circuit.failures += not ok
            while circuit.lately[oldest := next(iter(circuit.lately))][0] < now - WINDOW_SECONDS:
                circuit.forget(oldest)
            if circuit.failures >= LEAST_FAILURES and circuit.failures * 2 >= len(circuit.lately):
                circuit.lately.clear()
                circuit.failures = 0
                circuit.probe_at = self._next_probe(now)

    def accept(self, key: Hashable, /) -> None:
        """Note that the server gave tokens, and close the circuit."""
        with self._lock:
            circuit = self._circuits.setdefault(key, _Circuit())
            circuit.probe_at = circuit.probed_by = circuit.reason = circuit.refused_by = None

    def refuse(self, key: Hashable, reason: ApplicationReason, /, *, by: Hashable) -> None:
        """Note that the application was refused, for *reason*, in a request for the tenant *by*."""
        with self._lock:
            circuit = self._circuits.setdefault(key, _Circuit())
            alone = circuit.refused_by in {None, by}
            circuit.refused_by = by
            if circuit.reason is None and alone:
                return
            circuit.reason = reason
            circuit.probe_at = self._next_probe(self._monotonic())

    def reason(self, key: Hashable, /) -> ApplicationReason | None:
        """Return why the application is refused, or None."""
        circuit = self._circuits.get(key)
        return None if circuit is None else circuit.reason

    def _next_probe(self, now: float) -> float:
        return now + PROBE_SECONDS * (0.5 + self._fraction())
