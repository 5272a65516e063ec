"""An incident on the console: found, opened, revoked a part at a time, and reported."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import timedelta

import pytest

pytest.importorskip("jinja2")
pytest.importorskip("babel")

from cloud_integrations import Actor, Settings
from cloud_integrations.testing import Misbehaviour
from cloud_integrations_fastapi import Permission
from cloud_integrations_fastapi.pages.console import incidents

from . import console_world
from .conftest import CALLBACK
from .console_world import connect, connect_oauth, mount, use
from .page_browser import Browser

BILLING = Actor(type="service", id="billing")


api, browser = console_world.api, console_world.browser


async def _open(api, browser):
    """Open an incident about what billing used; return its path."""
    await browser.open("/console/incidents/new?used_by=service:billing")
    await browser.send("/console/incidents", reason="a public log")
    return browser.page.url.path


async def test_what_leaked_is_found_kept_ended_and_reported(api, browser):
    ones = [await connect_oauth(api), await connect(api, "globex")]
    for one in ones:
        await use(api, one, BILLING)
    spared = await connect(api)
    await use(api, spared, "ada")
    await browser.open("/console/incidents/new?used_by=service:billing&since=2026-01-01&until=2026-01-01")
    assert "2 integrations of 2 tenants, 2 uses" in browser.text()
    path = await _open(api, browser)
    assert browser.title() == "a public log"
    await browser.open(f"{path}/revoke")
    assert browser.title() == "End the access of 2 integrations?"
    page = await browser.send("/revoke", reason="ticket", count="3")
    assert page.status_code == 422
    assert api.provider.is_alive((await api.call("credential", "acme", ones[0].id)).value)
    await browser.open(f"{path}/revoke")
    await browser.send("/revoke", reason="ticket", count="2")
    assert "2 ended" in browser.text()
    assert "0 left" in browser.text()
    assert "Revoke …" not in browser.text()
    assert await api.call("credential", "acme", spared.id)
    report = (await browser.client.get(f"{path}/report.json")).json()
    assert (report["states"], report["stillWorks"], len(report["items"])) == ({"settled": 2}, 0, 2)
    actions = {each.event.action: each.event for each in await api.call("audit.list", "acme", by="olga")}
    assert actions["integration.revoked"].details["stated_reason"] == "ticket"


async def test_a_revocation_goes_on_where_a_closed_browser_left_it(api, browser, monkeypatch):
    monkeypatch.setattr(incidents, "AT_ONCE", 1)
    for tenant in ("acme", "globex"):
        await use(api, await connect_oauth(api, tenant), BILLING)
    path = await _open(api, browser)
    await browser.open(f"{path}/revoke")
    await browser.send("/revoke", reason="ticket", count="2")
    assert "1 ended" in browser.text()
    assert "1 left" in browser.text()
    assert "data-continue" in browser.page.text
    await browser.open(path)  # another browser comes
    assert "1 of 2" in browser.text()
    await browser.open(f"{path}/revoke")
    assert browser.title() == "End the access of 1 integration?"
    await browser.send("/revoke", reason="ticket", count="2")
    assert "0 left" in browser.text()
    assert "data-continue" not in browser.page.text


async def test_the_page_goes_on_with_the_same_reason_and_number(api, browser, monkeypatch):
    monkeypatch.setattr(incidents, "AT_ONCE", 1)
    for tenant in ("acme", "globex"):
        await use(api, await connect_oauth(api, tenant), BILLING)
    path = await _open(api, browser)
    await browser.open(f"{path}/revoke")
    await browser.send("/revoke", reason="ticket", count="2")
    await browser.send("/revoke")
    assert "0 left" in browser.text()
    for tenant in ("acme", "globex"):
        stated = {each.event.details.get("stated_reason") for each in await api.call("audit.list", tenant, by="olga")}
        assert "ticket" in stated


async def test_what_cannot_be_ended_does_not_keep_the_rest_from_its_turn(api, browser, monkeypatch):
    monkeypatch.setattr(incidents, "AT_ONCE", 1)
    for tenant in ("acme", "globex"):
        await use(api, await connect_oauth(api, tenant), BILLING)
    path = await _open(api, browser)
    keys = api.store._tables.keys
    keys |= {at: replace(key, wrapped=b"damaged") for at, key in keys.items() if key.tenant_id == "acme"}
    api.clock.advance(timedelta(days=1))  # no cache has it
    await browser.open(f"{path}/revoke")
    await browser.send("/revoke", reason="ticket", count="2")
    assert "0 ended" in browser.text()
    assert "1 not done. 2 left." in browser.text()
    await browser.send("/revoke")
    assert "1 ended" in browser.text()
    assert "1 not done. 1 left." in browser.text()


async def test_what_may_still_work_comes_first_and_is_not_called_done(api, browser):
    await use(api, await connect_oauth(api), BILLING)
    path = await _open(api, browser)
    api.provider.misbehave(Misbehaviour.UNAVAILABLE, times=None, endpoint="revoke")
    await browser.open(f"{path}/revoke")
    await browser.send("/revoke", reason="ticket", count="1")
    assert "Not ended at the provider" in browser.text()
    assert "1 may still work" in browser.text()
    assert "data-continue" not in browser.page.text


async def test_with_four_eyes_somebody_else_approves(make_api):
    api = make_api(limited=False, settings=Settings(callback_url=CALLBACK, four_eyes=True))
    api.operators = mount(api)
    async with api.client("olga", base_url="https://app.example.com") as client:
        browser = Browser(client)
        await use(api, await connect_oauth(api), BILLING)
        path = await _open(api, browser)
        await browser.send("/approve", reason="seen by me")
        await browser.open(f"{path}/revoke")
        page = await browser.send("/revoke", reason="ticket", count="1")
        assert page.status_code == 409
        incident = path.rpartition("/")[2]
        await api.call("incidents.approve", incident, reason="seen", actor="paul")
        await browser.open(f"{path}/revoke")
        await browser.send("/revoke", reason="ticket", count="1")
        assert "1 ended" in browser.text()


async def test_a_freeze_is_begun_and_lifted_with_a_reason(api, browser):
    one = await connect(api)
    await browser.open("/console/incidents")
    await browser.send("/freezes", reason="a break-in", tenant="acme", renewals=None, everything=None)
    assert "Renewals are stopped." in browser.text()
    await browser.open(f"/console/integrations/acme/{one.id}")
    assert "a break-in" in browser.text()
    await browser.open("/console/incidents")
    await browser.send("/lift", reason="a false alarm")
    assert "Nothing is frozen." in browser.text()
    await browser.open("/console/incidents?lifted=yes")
    assert "a false alarm" in browser.text()


@pytest.mark.parametrize(
    "fields",
    [
        {"reason": "x", "everything": None},
        {"reason": "", "tenant": "acme", "everything": None},
        {"reason": "x", "tenant": "acme"},
    ],
)
async def test_a_freeze_names_what_it_is_about_and_why(fields, api, browser):
    await browser.open("/console/incidents")
    assert (await browser.send("/freezes", **fields)).status_code == 422
    assert await api.call("incidents.freezes") == ()


@pytest.mark.requirement("ISO-10")
async def test_freezes_and_incidents_need_a_permission_of_their_own(api, browser):
    one = await connect_oauth(api)
    await use(api, one, BILLING)
    path = await _open(api, browser)
    await api.call("incidents.freeze", reason="x", used_by="ada")
    await browser.open("/console/incidents")
    forms = dict(browser.forms())
    await browser.open(f"{path}/revoke")
    forms |= browser.forms()
    assert len(forms) == 3
    api.operators.without = {(Permission.INCIDENTS, None)}
    for action, hidden in [*forms.items(), ("/console/incidents", forms[f"{path}/revoke"]), (f"{path}/approve", forms[f"{path}/revoke"])]:
        sent = hidden | {"reason": "x", "count": "1", "tenant": "acme"}
        assert (await browser.client.post(action, data=sent)).status_code == 403, action
    assert len(await api.call("incidents.freezes")) == 1
    assert api.provider.is_alive((await api.call("credential", "acme", one.id)).value)
    await browser.open(path)
    assert re.search("1 integration", browser.text()), "an operator still sees it"
