"""OpenTelemetry's own SDK gets spans, counters and gauges, and nothing secret."""

from __future__ import annotations

from datetime import timedelta
from urllib.parse import parse_qsl, urlsplit
from uuid import uuid4

import pytest
from opentelemetry import trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from cloud_integrations import (
    AesGcmCipher,
    AsyncIntegrationManager,
    Catalogue,
    DueCount,
    Health,
    HealthCount,
    IntegrationManager,
    LocalKeyring,
    OpenTelemetry,
    OutboxCount,
    PrometheusMetrics,
    Settings,
    WorkReport,
)
from cloud_integrations.backends.memory.store import AsyncMemoryStore, MemoryStore
from cloud_integrations.domain.identifiers import ProviderId
from cloud_integrations.errors import ProviderUnavailableError
from cloud_integrations.testing import AsyncSimulatedTransport, FixedClock, Misbehaviour, SimulatedProvider, SimulatedTransport
from cloud_integrations.testing.clock import START

TENANT = "fake-tenant-canary"
EVERYTHING = WorkReport(
    due=DueCount(count=2, since=START),
    outbox=(OutboxCount(kind="revocation", count=1, since=START, due_since=START),),
    integrations=(HealthCount(provider="simulated", provider_id=ProviderId(uuid4()), health=Health.RETRYING, count=3),),
)


class Watch:
    """The SDK with its exporters in memory, and a manager that it watches."""

    def __init__(self, *, tenants=False):
        self.exporter, self.reader = InMemorySpanExporter(), InMemoryMetricReader()
        self.tracers, self.meters = TracerProvider(), MeterProvider(metric_readers=[self.reader])
        self.tracers.add_span_processor(SimpleSpanProcessor(self.exporter))
        self.telemetry = OpenTelemetry(tenants=tenants, tracer_provider=self.tracers, meter_provider=self.meters)
        self.metrics = PrometheusMetrics()
        self.clock = FixedClock()
        self.provider = SimulatedProvider(clock=self.clock)
        self.during = []
        self.secrets = []

    def parts(self, store, transport):
        return {
            "store": store(self.clock),
            "transport": transport(self.provider, before_send=self._note),
            "keys": LocalKeyring([LocalKeyring.generate_key("test")]),
            "cipher": AesGcmCipher(),
            "providers": Catalogue.of(*self.provider.catalogue_entries()),
            "applications": [self.provider.application()],
            "settings": Settings(callback_url="https://app.example/cb"),
            "telemetry": [self.telemetry, self.metrics],
            "clock": self.clock,
        }

    def _note(self, request):
        self.during.append(trace.get_current_span().name if trace.get_current_span().is_recording() else None)
        self.secrets += [value for name, value in parse_qsl(request.body.decode()) if name not in {"grant_type", "redirect_uri", "scope"}]

    def consent(self, begun):
        self.secrets += [begun.state.reveal(), begun.browser_token.reveal()]
        return parse_qsl(urlsplit(self.provider.sign_in(begun.url)).query)

    @property
    def spans(self):
        return [(span.name, dict(span.attributes), span.status.status_code.name) for span in self.exporter.get_finished_spans()]

    def points(self):
        """By metric: the points with their labels."""
        found = {}
        for resource in self.reader.get_metrics_data().resource_metrics:
            for metric in (metric for scope in resource.scope_metrics for metric in scope.metrics):
                found[metric.name] = [(dict(point.attributes), point) for point in metric.data.data_points]
        return found


def live(watch):
    """Connect, renew, fail, verify and delete, with the blocking manager."""
    manager = IntegrationManager(**watch.parts(MemoryStore, SimulatedTransport)).acting_as("ada")
    begun = manager.begin_oauth(TENANT, "simulated", name="Simulated")
    integration = manager.complete_oauth(begun.context_id, watch.consent(begun), browser_token=begun.browser_token).integration
    watch.clock.advance(watch.provider.access_lifetime)
    watch.secrets.append(manager.credential(TENANT, "simulated").value.reveal())
    watch.clock.advance(watch.provider.access_lifetime)
    watch.provider.misbehave(Misbehaviour.UNAVAILABLE)
    with pytest.raises(ProviderUnavailableError):
        manager.credential(TENANT, "simulated")
    manager.worker.report()
    watch.clock.advance(timedelta(minutes=5))
    manager.verify(TENANT, integration.id)
    manager.delete(TENANT, integration.id)


def test_an_operation_is_a_span_and_those_of_its_requests_lie_within_it():
    watch = Watch()
    live(watch)
    good, bad = "UNSET", "ERROR"
    about = {"ci.provider": "simulated"}
    unavailable = {**about, "ci.outcome": ProviderUnavailableError.code}
    assert watch.spans[:5] == [
        ("ci.connect", {**about, "ci.outcome": "ok"}, good),
        ("ci.renew", {**about, "ci.outcome": "ok"}, good),
        ("ci.credential", {**about, "ci.outcome": "ok"}, good),
        ("ci.renew", unavailable, bad),
        ("ci.credential", unavailable, bad),
    ]
    renew, credential = watch.exporter.get_finished_spans()[1:3]
    assert renew.parent.span_id == credential.context.span_id
    assert {"ci.connect", "ci.renew", "ci.verify", "ci.revoke"} <= {*watch.during}
    assert trace.get_current_span() is trace.INVALID_SPAN


async def test_it_is_the_same_for_the_awaiting_manager():
    watch = Watch(tenants=True)
    manager = AsyncIntegrationManager(**watch.parts(AsyncMemoryStore, AsyncSimulatedTransport)).acting_as("ada")
    begun = await manager.begin_oauth(TENANT, "simulated", name="Simulated")
    await manager.complete_oauth(begun.context_id, watch.consent(begun), browser_token=begun.browser_token)
    watch.clock.advance(watch.provider.access_lifetime)
    await manager.credential(TENANT, "simulated")
    about = {"ci.provider": "simulated", "ci.tenant": TENANT, "ci.outcome": "ok"}
    assert watch.spans == [(name, about, "UNSET") for name in ("ci.connect", "ci.renew", "ci.credential")]
    renew, credential = watch.exporter.get_finished_spans()[1:]
    assert renew.parent.span_id == credential.context.span_id
    assert trace.get_current_span() is trace.INVALID_SPAN


def test_metrics_have_the_names_that_they_have_for_prometheus():
    watch = Watch()
    live(watch)
    for telemetry in (watch.telemetry, watch.metrics):
        telemetry.take(EVERYTHING)
    points = watch.points()
    units = {"cloud_integrations.renewal.duration", *(name for name in points if name.endswith("_timestamp"))}
    totals = {"cloud_integrations.operations", "cloud_integrations.facts"}
    # https://opentelemetry.io/docs/specs/otel/compatibility/prometheus_and_openmetrics/
    exported = {name.replace(".", "_") + ("_seconds" if name in units else "") + ("_total" if name in totals else "") for name in points}
    shown = {line.split()[2] for line in watch.metrics.text().splitlines() if line.startswith("# TYPE")}
    assert exported == shown
    durations = points["cloud_integrations.renewal.duration"]
    ((labels, histogram),) = [(labels, point) for labels, point in durations if labels["outcome"] == "ok"]
    assert (labels["provider"], histogram.count >= 1) == ("simulated", True)
    assert ({"provider": "simulated", "health": "retrying"}, 3) in [
        (labels, point.value) for labels, point in points["cloud_integrations.integrations"]
    ]


@pytest.mark.parametrize("tenants", [False, True])
def test_no_secret_is_in_spans_or_metrics_and_a_tenant_only_in_spans_where_it_was_asked_for(tenants):
    watch = Watch(tenants=tenants)
    live(watch)
    spans = "".join(span.to_json() for span in watch.exporter.get_finished_spans())
    metrics = watch.reader.get_metrics_data()
    told = watch.metrics.text() + "".join(str(point) for points in watch.points().values() for point in points) + str(metrics)
    assert len(watch.secrets) > 8
    client_id = watch.provider.application().client_id
    assert [secret for secret in watch.secrets if secret != client_id and secret in spans + told] == []
    assert (TENANT in spans, TENANT in told) == (tenants, False)
    assert "exception" not in spans
