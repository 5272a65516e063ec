"""The reference server shows its metrics to who may see all tenants, and to nobody else."""

from __future__ import annotations

import httpx
import pytest

from cloud_integrations import Actor, AsyncIntegrationManager, PrometheusMetrics
from cloud_integrations.errors import StorageUnavailableError
from cloud_integrations_fastapi import Permission
from cloud_integrations_fastapi.host import Access, Sessions, Tokens, build_app, token_hash
from cloud_integrations_fastapi.host import metrics as host_metrics

pytestmark = pytest.mark.parametrize("door", ["awaiting"], indirect=True)


def access(*, tenants=None, permissions=(Permission.OPERATE,)):
    return Access(actor=Actor(type="service", id="prometheus"), tenants=tenants, permissions=frozenset(permissions))


TOKENS = {
    "cit_fake-scraper": access(),
    "cit_fake-of-one-tenant": access(tenants=frozenset({"acme"})),
    "cit_fake-of-another-kind": access(permissions=set(Permission) - {Permission.OPERATE}),
}


@pytest.fixture(name="counted")
def _counted(api, monkeypatch):
    """The counts of the database, as often as they were read."""
    counted = []
    report = api.manager.worker.report

    async def counting():
        counted.append(await report())
        if len(counted) == 3:
            raise StorageUnavailableError
        return counted[-1]

    monkeypatch.setattr(api.manager.worker, "report", counting)
    return counted


@pytest.fixture(name="scrape")
def _scrape(api, counted):
    assert isinstance(api.manager, AsyncIntegrationManager)
    metrics = PrometheusMetrics()
    tokens = Tokens({token_hash(token): given for token, given in TOKENS.items()})
    app = build_app(api.manager, tokens=tokens, sessions=Sessions(seconds=60), base_url="https://ci.example.com", metrics=metrics)

    async def scrape(token=None, *, keep=counted):
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="https://ci.example.com") as client:
            answer = await client.get("/metrics", headers=headers)
        if keep:
            metrics.take(keep[-1])
        return answer

    return scrape


@pytest.mark.parametrize(
    ("token", "status"), [(None, 401), ("cit_fake-unknown", 401), ("cit_fake-of-one-tenant", 403), ("cit_fake-of-another-kind", 403)]
)
async def test_who_may_not_see_all_tenants_sees_no_metrics(scrape, counted, token, status):
    answer = await scrape(token)
    assert answer.status_code == status
    assert "cloud_integrations_" not in answer.text
    assert counted == []


async def test_metrics_are_shown_in_the_text_format(scrape):
    answer = await scrape("cit_fake-scraper")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/plain; version=0.0.4; charset=utf-8")
    assert "# TYPE cloud_integrations_operations_total counter" in answer.text.splitlines()


async def test_the_database_is_counted_at_most_once_in_some_seconds_however_often_somebody_asks(scrape, counted, monkeypatch):
    clock = iter([*[100.0] * 2, 100.1, 114.9, *[115.1] * 2, *[200.0] * 2])
    monkeypatch.setattr(host_metrics, "monotonic", lambda: next(clock))
    for expected in (1, 1, 1, 2):
        assert (await scrape("cit_fake-scraper")).status_code == 200
        assert len(counted) == expected
    shown = await scrape("cit_fake-scraper")
    assert (len(counted), shown.status_code) == (3, 200)
    assert "cloud_integrations_due_renewals" not in shown.text, "while the database does not answer, old counts are not shown"


async def test_without_metrics_there_is_no_such_route(api):
    app = build_app(api.manager, tokens=Tokens({}), sessions=Sessions(seconds=60), base_url="https://ci.example.com")
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="https://ci.example.com") as client:
        assert (await client.get("/metrics")).status_code == 404
