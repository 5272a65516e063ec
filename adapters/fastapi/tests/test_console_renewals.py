"""What the console shows of renewals and of providers' applications, and the way to an account of the operator's own."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

pytest.importorskip("jinja2")
pytest.importorskip("babel")

from cloud_integrations import RenewalHour
from cloud_integrations.domain.audit import REFRESH, Outcome
from cloud_integrations.errors import ConfigurationError, ProviderUnavailableError, ReconnectRequiredError
from cloud_integrations.ports import Record
from cloud_integrations.testing import Misbehaviour
from cloud_integrations.testing.contracts.store import an_event
from cloud_integrations_fastapi import Permission
from cloud_integrations_fastapi.pages import create_connect_pages, create_console
from cloud_integrations_fastapi.pages.console.charts import renewals_chart, renewals_strip

from . import console_world
from .console_world import connect, connect_oauth, mount
from .page_browser import Browser

api, browser = console_world.api, console_world.browser


def _rows(page):
    """The rows of the overview's table of providers."""
    return re.findall(r"<tr><td data-label=\"Provider\">.*?</tr>", page.text, re.DOTALL)


async def test_each_provider_has_a_strip_of_its_last_day(api, browser, monkeypatch):
    one = await connect_oauth(api)
    await connect(api)
    await connect(api, "globex")
    await api.call("refresh", "acme", one.id)
    api.provider.misbehave(Misbehaviour.INVALID_GRANT, endpoint="refresh")
    with pytest.raises(ReconnectRequiredError):
        await api.call("refresh", "acme", one.id)
    reads, count = [], type(api.store).count_renewals
    monkeypatch.setattr(type(api.store), "count_renewals", lambda store, **named: reads.append(named) or count(store, **named))
    page = await browser.open("/console")
    assert len(reads) == 1, "the chart above is the sum of the same read"
    assert 'aria-label="Renewals by the hour: 1 renewed, 1 failed; from ' in page.text
    keys, oauth = _rows(page)
    assert 'role="img" aria-label="1 renewed, 1 failed in the last 24 hours"' in oauth
    assert re.findall(r'<path d="(\S+) \S+" class="(\w+)"/>', oauth) == [("M958.3", "good"), ("M958.3", "bad")]
    assert "<svg" not in keys
    assert '<td data-label="Last 24 hours" class="zero"></td>' in keys
    api.clock.advance(timedelta(hours=23))
    assert "in the last 24 hours" in (await browser.open("/console")).text
    api.clock.advance(timedelta(hours=1))
    assert "in the last 24 hours" not in (await browser.open("/console")).text


async def test_a_provider_that_the_catalogue_no_longer_has_keeps_its_strip(api, browser):
    one, gone = await connect_oauth(api), uuid4()
    (key, stored), *_ = api.store._tables.integrations.items()
    api.store._tables.integrations[key] = replace(stored, facts=replace(stored.facts, provider_id=gone))
    for provider_id in (gone, gone, uuid4()):
        event = an_event(one.tenant_id, action=REFRESH, provider_id=provider_id, outcome=Outcome.UNKNOWN, occurred_at=api.clock.now())
        api.store.apply(Record(event=event))
    page = await browser.open("/console")
    (row,) = _rows(page)
    assert f"<code>{gone}</code>" in row
    assert 'aria-label="0 renewed, 2 failed in the last 24 hours"' in row
    assert 'aria-label="Renewals by the hour: 0 renewed, 3 failed; from ' in page.text


def test_one_failure_among_thousands_is_seen_in_a_strip_and_nothing_sticks_out():
    start = datetime(2026, 1, 1, tzinfo=UTC)
    hours = [
        RenewalHour(start=start + timedelta(hours=hour), renewed=renewed, failed=failed, at_least=renewed == 10_000)
        for hour, renewed, failed in ((0, 10_000, 1), (1, 1, 0), (2, 0, 0), (3, 0, 10_001))
    ]
    strip = renewals_strip(hours)
    assert [bar.tone for bar in strip.bars] == ["good", "bad", "good", "bad"]
    assert all(bar.height >= strip.height / 8 and bar.y >= 0 and bar.y + bar.height <= strip.height for bar in strip.bars)
    assert strip.outlines == {"good": "M0 25.01h200v175h-200zM250 175h200v25.01h-200z", "bad": "M0 0h200v25.01h-200zM750 25h200v175h-200z"}
    assert strip.counts == "at least 10001 renewed, 10002 failed"
    assert renewals_chart(hours).summary.startswith("Renewals by the hour: at least 10001 renewed, 10002 failed; from ")


async def test_an_integration_shows_how_far_its_renewal_is(api, browser):
    one, key = await connect_oauth(api), await connect(api)
    path = f"/console/integrations/acme/{one.id}"
    await browser.open(path)
    assert "Generation 1, obtained" in browser.text()
    assert "Last lease none yet" in browser.text()
    assert "Circuit breaker closed: requests are sent (this process)" in browser.text()
    api.provider.misbehave(Misbehaviour.UNAVAILABLE, endpoint="refresh")
    with pytest.raises(ProviderUnavailableError):
        await api.call("refresh", "acme", one.id)
    await browser.open(path)
    assert "Last lease number 1, not held" in browser.text()
    assert "Failed attempts 1, the last" in browser.text()
    assert "Next attempt not before" in browser.text()
    await browser.open(f"/console/integrations/acme/{key.id}")
    assert "Circuit breaker" not in browser.text()


async def test_a_provider_shows_its_application_and_its_circuit(api, browser):
    held = await connect_oauth(api)
    page = f"/console/providers/{api.oauth.id}"
    await browser.open(page)
    assert "Client secrets 1, age not said" in browser.text()
    assert "Circuit breaker closed" in browser.text()
    breaker = api.manager._wiring.breaker
    for tenant in ("one", "two"):
        breaker.refuse(held.context_id, "client_refused", by=tenant)
    await browser.open(page)
    assert re.search(
        r"Circuit breaker Open the provider refuses the application \( ?client_refused ?\); it is tried again in \d+ s", browser.text()
    )
    await browser.open(f"/console/providers/{api.keys.id}")
    assert "Circuit breaker" not in browser.text()
    assert "Connect an account of your own" not in browser.text()


async def test_an_operator_connects_an_account_of_its_own_by_the_connect_page(make_api):
    api = make_api(limited=False)
    operators = mount(api, connect="/connect")
    api.app.include_router(create_connect_pages(api.manager, authorize=api.host.authorize))
    async with api.client("olga", base_url="https://app.example.com") as client:
        browser = Browser(client)
        await browser.open(f"/console/providers/{api.keys.id}")
        operators.without = {(Permission.CONNECT, "acme")}
        await browser.send("/connect", tenant="acme")
        assert browser.page.status_code == 403
        operators.without = set()
        await browser.open(f"/console/providers/{api.keys.id}")
        await browser.send("/connect", tenant="nobody")
        assert browser.page.status_code == 404
        for tenant in ("", " ", "x" * 256):
            await browser.open(f"/console/providers/{api.keys.id}")
            await browser.send("/connect", tenant=tenant)
            assert browser.page.status_code == 422
        await browser.open(f"/console/providers/{api.keys.id}")
        await browser.send("/connect", tenant=" acme ")
        assert browser.page.status_code == 200, browser.text()
        assert browser.page.url.path == "/connect/start"
        await browser.send("/start")
        assert browser.page.status_code == 200
        assert api.keys.name in browser.text()
        assert "link=" not in str(browser.page.url)
        created, *_ = [each.event for each in await api.call("audit.list", "acme") if each.event.action == "connect_session.created"]
        assert (created.actor.id, created.outcome) == ("olga", "success")


@pytest.mark.parametrize("connect", ["https://elsewhere.example/connect", "//elsewhere.example", "connect", ""])
def test_the_connect_page_is_on_the_same_site(api, connect):
    with pytest.raises(ConfigurationError, match="connect"):
        create_console(api.manager, authorize=api.operators.authorize, connect=connect)
