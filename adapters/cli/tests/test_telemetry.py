"""The telemetry that the settings switch on."""

from __future__ import annotations

import sys

from opentelemetry import metrics, trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

import cloud_integrations

from .conftest import TENANT

ADD = ("integrations", "add", "simulated_keys", "-t", TENANT, "--api-key-file")
NAME = "CLOUD_INTEGRATIONS_TELEMETRY"


def test_with_otel_in_the_settings_the_sdk_of_the_process_gets_spans_and_metrics(run, home, key_file, monkeypatch):
    spans, reader, traces = InMemorySpanExporter(), InMemoryMetricReader(), TracerProvider()
    traces.add_span_processor(SimpleSpanProcessor(spans))
    meters = MeterProvider([reader])
    monkeypatch.setattr(trace, "get_tracer_provider", lambda: traces)
    monkeypatch.setattr(metrics._internal, "get_meter_provider", lambda: meters)
    assert run(*ADD, key_file).code == 0
    assert spans.get_finished_spans() == ()
    monkeypatch.setenv(NAME, "otel")
    assert run("integrations", "verify", "simulated_keys", "-t", TENANT).code == 0
    assert [span.name for span in spans.get_finished_spans()] == ["ci.verify"]
    assert "cloud_integrations.operations" in reader.get_metrics_data().to_json()
    assert run("worker", "--once").code == 0


def test_without_the_extra_it_is_named(run, home, monkeypatch):
    monkeypatch.setenv(NAME, "otel")
    monkeypatch.delitem(sys.modules, "cloud_integrations.backends.telemetry.open_telemetry", raising=False)
    monkeypatch.delattr(cloud_integrations, "OpenTelemetry", raising=False)
    monkeypatch.setitem(sys.modules, "opentelemetry", None)
    for words in (("worker", "--once"), ("integrations", "list", "-t", TENANT)):
        ran = run(*words)
        assert ran.code == 8
        assert "telemetry needs what is not installed: pip install 'cloud-integrations[otel]'" in ran.err


def test_another_telemetry_is_refused(run, home, monkeypatch):
    monkeypatch.setenv(NAME, "fake")
    assert run("worker", "--once").code == 8
