"""Spans and metrics by OpenTelemetry's API, which does nothing until the host sets its SDK up."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Final

from opentelemetry import context, metrics, trace
from opentelemetry.metrics import CallbackOptions, MeterProvider, Observation
from opentelemetry.trace import SpanKind, Status, StatusCode, TracerProvider

from cloud_integrations.domain.events import Fact
from cloud_integrations.domain.work_report import OutboxCount, WorkReport
from cloud_integrations.ports.telemetry import End, Operation

_NAME: Final = "cloud_integrations"
_GOOD: Final = frozenset({"ok", "superseded", "revoked", "shared", "skipped", "unsupported"})
"""The outcomes that are no error."""


class OpenTelemetry:
    """A `Telemetry` over OpenTelemetry's API: metrics, and the spans `ci.connect`, `ci.credential`, `ci.renew`, `ci.revoke`, `ci.verify`.

    It needs the extra `otel`, which is the API alone; the host sets up the SDK and its exporters.  Without providers, those of the
    process are used.  With *tenants* the spans have the tenant's id; metrics never have it.
    """

    def __init__(
        self, *, tenants: bool = False, tracer_provider: TracerProvider | None = None, meter_provider: MeterProvider | None = None
    ) -> None:
        self._tenants = tenants
        self._report: WorkReport | None = None
        self._tracer = trace.get_tracer(_NAME, tracer_provider=tracer_provider)
        meter = metrics.get_meter(_NAME, meter_provider=meter_provider)
        self._operations = meter.create_counter("cloud_integrations.operations", description="Operations by outcome.")
        self._facts = meter.create_counter("cloud_integrations.facts", description="Facts that observers were told.")
        self._renewals = meter.create_histogram(
            "cloud_integrations.renewal.duration", unit="s", description="How long renewals took, from the request to the stored answer."
        )
        for name, unit, observe in (
            ("due_renewals", "", self._due),
            ("due_since_timestamp", "s", self._due_since),
            ("integrations", "", self._integrations),
            ("outbox_entries", "", self._outbox),
            ("outbox_since_timestamp", "s", self._outbox_since),
            ("outbox_due_since_timestamp", "s", self._outbox_due_since),
        ):
            meter.create_observable_gauge(f"cloud_integrations.{name}", [observe], unit=unit)

    def begin(self, operation: Operation, /) -> End:
        """Begin a span, in which the spans of what the library calls lie."""
        attributes = {"ci.provider": operation.provider}
        if self._tenants:
            attributes["ci.tenant"] = operation.tenant_id
        # The error itself, with its text and its traceback, is not recorded.
        span = self._tracer.start_span(f"ci.{operation.name}", kind=SpanKind.INTERNAL, attributes=attributes)
        token = context.attach(trace.set_span_in_context(span))

        def end(outcome: str, seconds: float) -> None:
            context.detach(token)
            span.set_attribute("ci.outcome", outcome)
            if outcome not in _GOOD:
                span.set_status(Status(StatusCode.ERROR))
            span.end()
            labels = {"provider": operation.provider, "outcome": outcome}
            self._operations.add(1, {"operation": operation.name, **labels})
            if operation.name == "renew":
                self._renewals.record(seconds, labels)

        return end

    def tell(self, fact: Fact, /) -> None:
        """Count a fact."""
        self._facts.add(1, {"fact": fact.name, "provider": fact.facts.get("provider", "")})

    def take(self, report: WorkReport, /) -> None:
        """Let the gauges have these counts from now on."""
        self._report = report

    def _due(self, _options: CallbackOptions) -> Iterable[Observation]:
        return [] if self._report is None else [Observation(self._report.due.count)]

    def _due_since(self, _options: CallbackOptions) -> Iterable[Observation]:
        since = None if self._report is None else self._report.due.since
        return [] if since is None else [Observation(since.timestamp())]

    def _integrations(self, _options: CallbackOptions) -> Iterable[Observation]:
        counts = () if self._report is None else self._report.integrations
        return [Observation(one.count, {"provider": one.provider, "health": one.health.value}) for one in counts]

    def _outbox(self, _options: CallbackOptions) -> Iterable[Observation]:
        return [Observation(one.count, {"kind": one.kind}) for one in self._kinds()]

    def _outbox_since(self, _options: CallbackOptions) -> Iterable[Observation]:
        return [_at(one.since, one.kind) for one in self._kinds()]

    def _outbox_due_since(self, _options: CallbackOptions) -> Iterable[Observation]:
        return [_at(one.due_since, one.kind) for one in self._kinds()]

    def _kinds(self) -> Iterable[OutboxCount]:
        return () if self._report is None else self._report.outbox


def _at(time: datetime, kind: str) -> Observation:
    return Observation(time.timestamp(), {"kind": kind})
