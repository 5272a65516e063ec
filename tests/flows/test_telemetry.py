"""What is measured: operations with their outcomes, and no secret and no tenant among the labels."""

from __future__ import annotations

import pytest

from cloud_integrations import PrometheusMetrics
from cloud_integrations.errors import (
    IntegrationNotFoundError,
    InvalidCredentialsError,
    ProviderNotFoundError,
    ProviderUnavailableError,
    ReconnectRequiredError,
)
from cloud_integrations.testing import Misbehaviour

from .conftest import ACME, ALICE


@pytest.fixture(name="metrics")
def _metrics():
    return PrometheusMetrics()


@pytest.fixture(name="measured")
def _measured(world, metrics):
    return world.open(telemetry=[metrics])


def counted(metrics):
    """The operations that were counted: name and outcome with their number."""
    lines = [line for line in metrics.text().splitlines() if line.startswith("cloud_integrations_operations_total{")]
    found = {}
    for line in lines:
        labels, _, number = line.partition("} ")
        words = dict(pair.split("=") for pair in labels.partition("{")[2].replace('"', "").split(","))
        assert words["provider"].startswith("simulated")
        found[words["operation"], words["outcome"]] = int(number)
    return found


async def test_a_life_is_counted_by_operation_and_outcome(world, metrics, measured):
    integration = await world.connect(door=measured)
    await measured.credential(ACME, world.provider.slug)
    await measured.credential(ACME, world.provider.slug)
    world.pass_(minutes=61)
    await measured.credential(ACME, world.provider.slug)
    await measured.verify(ACME, integration.id, actor=ALICE)
    await measured.delete(ACME, integration.id, actor=ALICE)
    assert counted(metrics) == {
        ("connect", "ok"): 1,
        ("credential", "ok"): 2,
        ("renew", "ok"): 1,
        ("verify", "ok"): 1,
        ("revoke", "revoked"): 2,
    }, "what comes from memory is not counted"


async def test_an_error_is_an_outcome_by_its_code(world, metrics, measured):
    await world.connect(door=measured)
    world.pass_(minutes=61)
    world.provider.misbehave(Misbehaviour.UNAVAILABLE)
    with pytest.raises(ProviderUnavailableError):
        await measured.credential(ACME, world.provider.slug)
    world.pass_(minutes=61)
    world.provider.revoke_grant()
    with pytest.raises(ReconnectRequiredError):
        await measured.credential(ACME, world.provider.slug)
    with pytest.raises(InvalidCredentialsError):
        await world.add_key("globex", api_key=world.provider.invalid_api_key, door=measured)
    unavailable, reconnect = ProviderUnavailableError.code, ReconnectRequiredError.code
    assert counted(metrics) == {
        ("connect", "ok"): 1,
        ("connect", InvalidCredentialsError.code): 1,
        ("credential", unavailable): 1,
        ("credential", reconnect): 1,
        ("renew", unavailable): 1,
        ("renew", reconnect): 1,
    }


async def test_a_caller_makes_no_new_labels(world, metrics, measured):
    for name in ("nothing", "x" * 200, "evil\n# TYPE"):
        with pytest.raises((ProviderNotFoundError, IntegrationNotFoundError)):
            await measured.credential(ACME, name)
    with pytest.raises(IntegrationNotFoundError):
        await measured.credential("stranger", world.provider.slug)
    assert counted(metrics) == {}


async def test_renewals_are_in_a_histogram_and_facts_are_counted(world, metrics, measured):
    await world.connect(door=measured)
    world.pass_(minutes=61)
    world.on_send = lambda request: world.pass_(seconds=2)
    await measured.credential(ACME, world.provider.slug)
    text = metrics.text()
    name = 'cloud_integrations_renewal_duration_seconds_bucket{provider="simulated",outcome="ok",le='
    assert f'{name}"1.0"}} 0' in text
    assert f'{name}"2.5"}} 1' in text
    assert 'cloud_integrations_renewal_duration_seconds_count{provider="simulated",outcome="ok"} 1' in text
    assert 'cloud_integrations_facts_total{fact="credential.refreshed",provider="simulated"} 1' in text


async def test_the_gauges_are_those_of_the_last_report(world, metrics, measured):
    await world.connect(door=measured)
    assert "cloud_integrations_integrations" not in metrics.text()
    world.pass_(minutes=61)
    report = await measured.worker.report()
    text = metrics.text()
    assert 'cloud_integrations_integrations{provider="simulated",health="ok"} 1' in text
    assert "cloud_integrations_due_renewals 1" in text
    assert f"cloud_integrations_due_since_timestamp_seconds {report.due.since.timestamp()}" in text


async def test_what_is_measured_holds_no_secret_and_no_tenant(world, metrics, measured):
    tenant = "fake-tenant-canary"
    integration = await world.connect(tenant, door=measured)
    world.pass_(minutes=61)
    await measured.worker.refresh_due()
    await measured.verify(tenant, integration.id, actor=ALICE)
    world.provider.misbehave(Misbehaviour.UNAVAILABLE, times=None, endpoint="revoke")
    await measured.delete(tenant, integration.id, actor=ALICE)
    await measured.worker.report()
    text = metrics.text()
    assert 'outbox_entries{kind="revocation"} 2' in text
    assert tenant not in text
    assert str(integration.id) not in text
    assert world.leaks_in(text.encode()) == []


async def test_telemetry_that_fails_changes_nothing(world, caplog):
    class Broken:
        def begin(self, operation, /):
            raise RuntimeError("fake")

        def tell(self, fact, /):
            raise RuntimeError("fake")

        def take(self, report, /):
            raise RuntimeError("fake")

    class FailsAtTheEnd(Broken):
        def begin(self, operation, /):
            def end(outcome, seconds):
                raise RuntimeError("fake")

            return end

    metrics = PrometheusMetrics()
    door = world.open(telemetry=[Broken(), metrics, FailsAtTheEnd()])
    await world.connect(door=door)
    await door.credential(ACME, world.provider.slug)
    await door.worker.report()
    assert counted(metrics) == {("connect", "ok"): 1, ("credential", "ok"): 1}
    assert "telemetry failed on connect: RuntimeError" in caplog.text
