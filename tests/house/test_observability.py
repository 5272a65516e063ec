"""The dashboard and the rules for alerts name metrics, labels and words that there are."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import get_args
from uuid import uuid4

import pytest

from cloud_integrations import DueCount, Fact, Health, HealthCount, OutboxCount, PrometheusMetrics, RevocationOutcome, WorkReport
from cloud_integrations.domain.event_names import FactName
from cloud_integrations.domain.identifiers import ProviderId, TenantId
from cloud_integrations.ports import Operation, OperationName

ROOT = Path(__file__).parents[2]
DASHBOARD = json.loads((ROOT / "examples/observability/grafana-dashboard.json").read_text())
RULES = (ROOT / "examples/observability/prometheus-alerts.yml").read_text()
PAGE = (ROOT / "docs/reference/metrics.md").read_text()
NOW = datetime(2026, 1, 1, tzinfo=UTC)
EXPRESSIONS = {panel["title"]: target["expr"] for panel in DASHBOARD["panels"] for target in panel["targets"]}
EXPRESSIONS |= {f"rule {number}": rule for number, rule in enumerate(re.split(r"- alert: ", RULES)[1:])}
WORDS = {
    "operation": {*get_args(OperationName)},
    "outcome": {"ok", "superseded", *RevocationOutcome},
    "health": {*Health},
    "fact": {*get_args(FactName)},
}


def shown():
    """Every metric with its labels, as the text has them."""
    metrics = PrometheusMetrics()
    metrics.begin(Operation(name="renew", provider="acme", tenant_id=TenantId("fake")))("ok", 1.0)
    metrics.tell(Fact(name="credential.refreshed", facts={"provider": "acme"}))
    counted = HealthCount(provider="acme", provider_id=ProviderId(uuid4()), health=Health.OK, count=1)
    waiting = OutboxCount(kind="revocation", count=1, since=NOW, due_since=NOW)
    metrics.take(WorkReport(due=DueCount(count=1, since=NOW), outbox=(waiting,), integrations=(counted,)))
    samples = [line for line in metrics.text().splitlines() if not line.startswith("#")]
    return {re.split(r"[{ ]", line)[0]: set(re.findall(r'(\w+)="', line)) for line in samples}


METRICS = shown()


@pytest.mark.parametrize("title", EXPRESSIONS)
def test_what_is_asked_of_prometheus_is_there(title):
    expression = EXPRESSIONS[title]
    named = re.findall(r"(cloud_integrations_\w+)(?:\{([^}]*)\})?", expression)
    assert named
    for metric, selector in named:
        assert metric in METRICS
        for label, is_pattern, words in re.findall(r'(\w+)[!=]=?(~?)"([^"]*)"', selector):
            assert label in METRICS[metric]
            assert {*(words.split("|") if is_pattern else [words])} <= WORDS[label]
    grouped = {label.strip() for labels in re.findall(r"by \(([^)]*)\)", expression) for label in labels.split(",")}
    assert grouped <= set().union(*(METRICS[metric] for metric, _ in named))


def test_every_gauge_is_on_the_dashboard_or_in_a_rule_and_every_metric_on_its_page():
    asked = {metric for expression in EXPRESSIONS.values() for metric in re.findall(r"cloud_integrations_\w+", expression)}
    families = {re.sub(r"_(bucket|sum|count)$", "", metric) if "duration" in metric else metric for metric in METRICS}
    assert {family for family in families if not any(metric.startswith(family) for metric in asked)} == {
        "cloud_integrations_outbox_since_timestamp_seconds"  # revocations may wait for days
    }
    assert {family for family in families if f"| `{family}` |" not in PAGE} == set()


def test_every_word_of_a_label_is_on_the_page():
    for words in (WORDS["operation"], WORDS["health"]):
        assert [word for word in words if f"`{word}`" not in PAGE] == []


def test_the_panels_of_the_dashboard_do_not_lie_over_each_other():
    places = [(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in DASHBOARD["panels"]]
    assert len({*places}) == len(places) == len({panel["id"] for panel in DASHBOARD["panels"]})
