"""Metrics in the text format of Prometheus, version 0.0.4: https://prometheus.io/docs/instrumenting/exposition_formats/."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from cloud_integrations.domain.events import Fact
from cloud_integrations.domain.work_report import WorkReport
from cloud_integrations.ports.telemetry import End, Operation

RENEWAL_BUCKETS: Final = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
"""The upper bounds of the histogram of renewals, in seconds."""

_Labels = tuple[tuple[str, str], ...]
_ESCAPED: Final = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n"})


@dataclass(slots=True)
class _Histogram:
    """Durations of one series."""

    counts: list[int] = field(default_factory=lambda: [0] * len(RENEWAL_BUCKETS))
    """By bucket: how many were at most as long."""
    count: int = 0
    sum: float = 0.0

    def add(self, seconds: float) -> None:
        self.count += 1
        self.sum += seconds
        for number, bound in enumerate(RENEWAL_BUCKETS):
            self.counts[number] += seconds <= bound


class PrometheusMetrics:
    """A `Telemetry` that counts in this process, and shows the counts in the text format of Prometheus.

    Labels are providers, operations, outcomes, names of facts and kinds of entries: they name no tenant, and no caller can make new ones.
    Gauges of the whole installation are shown once `worker.report` was called; each process that shows them shows the same ones.
    """

    content_type: Final = "text/plain; version=0.0.4; charset=utf-8"

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._operations: Counter[_Labels] = Counter()
        self._facts: Counter[_Labels] = Counter()
        self._renewals: dict[_Labels, _Histogram] = {}
        self._report: WorkReport | None = None

    def begin(self, operation: Operation, /) -> End:
        """Begin to measure an operation."""

        def end(outcome: str, seconds: float) -> None:
            labels = (("provider", operation.provider), ("outcome", outcome))
            with self._lock:
                self._operations[("operation", operation.name), *labels] += 1
                if operation.name == "renew":
                    self._renewals.setdefault(labels, _Histogram()).add(seconds)

        return end

    def tell(self, fact: Fact, /) -> None:
        """Count a fact."""
        with self._lock:
            self._facts[("fact", fact.name), ("provider", fact.facts.get("provider", ""))] += 1

    def take(self, report: WorkReport, /) -> None:
        """Show these counts from now on."""
        self._report = report

    def text(self, *, gauges: bool = True) -> str:
        """Return all metrics as text, for an answer with the type `content_type`; without *gauges* only what this process counts."""
        with self._lock:
            lines = [
                *_family("operations_total", "counter", "Operations by outcome.", sorted(self._operations.items())),
                *_family("facts_total", "counter", "Facts that observers were told.", sorted(self._facts.items())),
                *_histogram(sorted(self._renewals.items(), key=lambda series: series[0])),
            ]
        if gauges and self._report is not None:
            lines += _gauges(self._report)
        return "\n".join([*lines, ""])


def _gauges(report: WorkReport) -> Iterator[str]:
    due, outbox = report.due, report.outbox
    yield from _gauge("due_renewals", "Renewals that are due and not claimed; 10000 means that or more.", [((), due.count)])
    since = [] if due.since is None else [((), _seconds(due.since))]
    yield from _gauge("due_since_timestamp_seconds", "Since when the oldest renewal is due; absent if none is.", since)
    integrations = [((("provider", one.provider), ("health", one.health.value)), one.count) for one in report.integrations]
    yield from _gauge("integrations", "Integrations by provider and health.", integrations)
    kinds = [((("kind", one.kind),), one) for one in outbox]
    yield from _gauge("outbox_entries", "Entries that wait in the outbox.", [(labels, one.count) for labels, one in kinds])
    oldest = [(labels, _seconds(one.since)) for labels, one in kinds]
    yield from _gauge("outbox_since_timestamp_seconds", "When the oldest waiting entry was written.", oldest)
    due_since = [(labels, _seconds(one.due_since)) for labels, one in kinds]
    yield from _gauge("outbox_due_since_timestamp_seconds", "The earliest next attempt of a waiting entry.", due_since)


def _gauge(name: str, about: str, series: Iterable[tuple[_Labels, float]]) -> Iterator[str]:
    yield from _family(name, "gauge", about, series)


def _family(name: str, kind: str, about: str, series: Iterable[tuple[_Labels, float]]) -> Iterator[str]:
    yield f"# HELP cloud_integrations_{name} {about}"
    yield f"# TYPE cloud_integrations_{name} {kind}"
    for labels, value in series:
        yield _sample(name, labels, value)


def _histogram(series: Iterable[tuple[_Labels, _Histogram]]) -> Iterator[str]:
    name = "renewal_duration_seconds"
    yield from _family(name, "histogram", "How long renewals took, from the request to the stored answer.", ())
    for labels, histogram in series:
        for bound, count in zip(RENEWAL_BUCKETS, histogram.counts, strict=True):
            yield _sample(f"{name}_bucket", (*labels, ("le", str(bound))), count)
        yield _sample(f"{name}_bucket", (*labels, ("le", "+Inf")), histogram.count)
        yield _sample(f"{name}_sum", labels, histogram.sum)
        yield _sample(f"{name}_count", labels, histogram.count)


def _sample(name: str, labels: _Labels, value: float) -> str:
    shown = ",".join(f'{label}="{text.translate(_ESCAPED)}"' for label, text in labels)
    return f"cloud_integrations_{name}{'{' + shown + '}' if shown else ''} {value}"


def _seconds(at: datetime) -> float:
    return at.timestamp()
