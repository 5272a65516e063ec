"""The console as a browser without scripts uses it, over both doors."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from html import unescape
from uuid import uuid4

import httpx
import pytest

pytest.importorskip("jinja2")
pytest.importorskip("babel")

from cloud_integrations import Actor, RenewalHour, Settings
from cloud_integrations.errors import AppMisconfiguredError, ReconnectRequiredError
from cloud_integrations.testing import Misbehaviour
from cloud_integrations_fastapi import Permission
from cloud_integrations_fastapi.pages import create_console
from cloud_integrations_fastapi.pages.console.charts import renewals_chart
from cloud_integrations_fastapi.pages.shell import Shell

from . import console_world
from .conftest import CALLBACK
from .console_world import HOSTILE, connect, connect_oauth, mount, use
from .page_browser import Browser

BILLING = Actor(type="service", id="billing")


api, browser = console_world.api, console_world.browser


def _paths(api, one=None):
    """The page of every kind; with *one*, those of an integration, too."""
    own = [] if one is None else [f"/integrations/{one.tenant_id}/{one.id}", f"/keys/tenants/{one.tenant_id}"]
    return [
        *("", "/integrations", "/providers", "/providers?all=yes", f"/providers/{api.keys.id}", "/incidents", "/incidents/new"),
        *("/audit/operator", "/audit/tenants/acme", "/keys", *own),
    ]


async def test_with_nothing_stored_each_page_says_so(api, browser):
    said = {
        "": "No integration yet",
        "/integrations": "No integration yet",
        "/providers": "Simulated",
        "/incidents": "No incident",
        "/audit/operator": "Nothing has been recorded here.",
        "/audit/tenants/acme": "Nothing has been recorded here.",
        "/audit/tenants/acme?action=fake": "No event fits",
        "/integrations?tenant=acme": "No integration fits",
        "/keys": "No data key yet",
        "/keys/tenants/acme": "No data key",
        "/incidents/new?tenant=acme": "0 integrations of 0 tenants, 0 uses",
    }
    for path, text in said.items():
        page = await browser.open(f"/console{path}")
        assert page.status_code == 200, (path, browser.text())
        assert text in browser.text(), path


@pytest.mark.requirement("ISO-10")
async def test_every_page_is_for_operators_alone(api, browser):
    one = await connect(api)
    for path in _paths(api, one):
        assert (await browser.open(f"/console{path}")).status_code == 200, path
        api.operators.without = {(Permission.OPERATE, None)}
        assert (await browser.open(f"/console{path}")).status_code == 403, path
        api.operators.without = set()
        async with api.client(None, base_url="https://app.example.com") as nobody:
            assert (await nobody.get(f"/console{path}")).status_code == 403, path
    assert api.operators.asked[-1] == (Permission.OPERATE, None)


@pytest.mark.parametrize(
    ("path", "permission", "tenant"),
    [
        ("/integrations/acme/{one}", Permission.READ, "acme"),
        ("/audit/tenants/acme", Permission.AUDIT, "acme"),
        ("/audit/tenants/acme/export", Permission.AUDIT, "acme"),
        ("/audit/operator", Permission.AUDIT, None),
        ("/audit/operator/export", Permission.AUDIT, None),
        ("/incidents/new?used_by=billing", Permission.INCIDENTS, None),
    ],
)
async def test_a_page_needs_its_own_permission_too(path, permission, tenant, api, browser):
    one = await connect(api)
    path = f"/console{path.format(one=one.id)}"
    assert (await browser.client.get(path)).status_code == 200
    api.operators.without = {(permission, tenant)}
    assert (await browser.client.get(path)).status_code == 403
    if tenant is not None:
        api.operators.without = set()
        assert any(record.event.action == f"integration.{permission}" for record in await api.call("audit.list", tenant))


async def test_a_count_leads_to_all_that_it_counts(api, browser, monkeypatch):
    monkeypatch.setattr(Shell, "now", lambda _: api.clock.now())
    await connect(api, name="Ends on the last day", ends_at=api.clock.now() + timedelta(days=13, hours=23))
    page = await browser.open("/console")
    assert "1 ending within 14 days" in browser.text()
    await browser.open(re.search(r'href="([^"]*ends_before[^"]*)"', page.text)[1])
    assert "Ends on the last day" in browser.text()


async def test_who_may_not_read_a_tenants_log_sees_no_timeline_and_no_receipt(api, browser):
    one = await connect(api)
    api.operators.without = {(Permission.AUDIT, "acme")}
    await browser.open(f"/console/integrations/acme/{one.id}")
    assert "You may not read the audit log of this tenant." in browser.text()
    assert "integration.connected" not in browser.text()
    await browser.open("/console/keys/tenants/acme")
    assert "You may not read the audit log of this tenant, which has the receipts." in browser.text()
    # Nobody tried to read it, so nobody is accused.
    assert not [each for each in await api.call("audit.list", "acme") if each.event.outcome == "denied"]


async def test_what_is_not_there_is_not_found(api, browser):
    one = await connect(api)
    for path in (
        f"/integrations/acme/{uuid4()}",
        f"/integrations/globex/{one.id}",
        "/integrations/acme/not-an-id",
        "/integrations/nobody/" + str(one.id),
        "/providers/nothing",
        f"/incidents/{uuid4()}",
        "/incidents/not-an-id",
        f"/incidents/{uuid4()}/report.json",
        "/audit/tenants/nobody",
    ):
        page = await browser.open(f"/console{path}")
        assert (page.status_code, browser.title()) == (404, "Not found"), path


async def test_what_cannot_be_asked_is_said_in_words_and_not_repeated(api, browser):
    for query in ("health=fake", "ends_before=yesterday", "key_version=one", "provider=fake-provider", "after=fake"):
        page = await browser.open(f"/console/integrations?{query}")
        assert page.status_code in {404, 422}, query
        assert "yesterday" not in page.text
    for path in (
        "/audit/operator?since=now",
        "/audit/operator?before=x",
        "/audit/operator/export?form=csv",
        "/audit/operator?until=9999-12-31",
    ):
        assert (await browser.open(f"/console{path}")).status_code == 422, path
        assert re.search(r"must be [^.]*\.", browser.text())


async def test_a_page_loads_nothing_from_elsewhere_and_allows_nothing_inline(api, browser):
    one = await connect(api, name=HOSTILE)
    await use(api, one, BILLING)
    for path in (*_paths(api, one), "/providers/nothing"):
        page = await browser.open(f"/console{path}")
        policy = page.headers["content-security-policy"]
        assert policy.startswith("default-src 'none'; style-src 'self'; img-src 'self'; script-src 'nonce-")
        assert "frame-ancestors 'none'" in policy
        assert not re.search(r"unsafe|\son\w+=|\sstyle=|<style|javascript:", policy + page.text), path
        loaded = re.findall(r'<(?:script|link|img)[^>]*(?:src|href)="([^"]*)"', page.text)
        assert loaded
        assert all(each.startswith("/console/static/") for each in loaded)
        assert page.headers["cache-control"] == "no-store"
        assert '<html lang="en" dir="ltr">' in page.text


async def test_files_are_there_for_everybody(api, browser):
    page = await browser.open("/console")
    async with httpx.AsyncClient(transport=httpx.ASGITransport(api.app), base_url="https://app.example.com") as nobody:
        for path in re.findall(r'(?:src|href)="(/console/static/[^"]*)"', page.text):
            assert (await nobody.get(path)).status_code == 200


async def test_hostile_names_are_escaped_everywhere(api, browser):
    one = await connect(api, name=HOSTILE)
    await use(api, one, Actor(type="service", id="<i>billing</i>"))
    await api.call("incidents.freeze", reason="<script>alert(1)</script>", tenant_id="acme")
    await api.call("incidents.open", reason="<script>alert(2)</script>", tenant_id="acme")
    seen = ""
    for path in (*_paths(api, one), "/incidents/new?tenant=acme", "/integrations?tenant=%3Cscript%3E"):
        page = await browser.open(f"/console{path}")
        seen += page.text
        assert not re.search(r"<b>|<i>|<script>", page.text), path
    for text in ("&lt;b&gt;", "&lt;i&gt;billing", "&lt;script&gt;alert(1)", "&lt;script&gt;alert(2)"):
        assert text in seen


async def test_no_page_has_a_secret(api, browser):
    key = api.provider.issue_api_key()
    one = await api.call("add_api_key", "acme", api.keys.id, name="Production", api_key=key)
    two = await connect_oauth(api)
    token = (await api.call("credential", "acme", two.id)).value
    secrets = (key.reveal(), token.reveal())
    pages = [*_paths(api, one), *_paths(api, two), "/audit/tenants/acme/export", "/audit/tenants/acme/export?form=ocsf"]
    for path in pages:
        page = await browser.client.get(f"/console{path}")
        assert page.status_code == 200
        assert not [secret for secret in secrets if secret in page.text + str(page.headers)], path


async def test_an_integration_shows_its_state_and_its_timeline_page_by_page(api, browser):
    one = await connect_oauth(api)
    api.provider.misbehave(Misbehaviour.INVALID_GRANT, endpoint="refresh")
    with pytest.raises(ReconnectRequiredError):
        await api.call("refresh", "acme", one.id)
    for number in range(26):
        await api.call("edit_integration", "acme", one.id, name=f"Name {number}")
    await browser.open(f"/console/integrations/acme/{one.id}")
    assert browser.title() == "Name 25"
    assert "Reconnect required" in browser.text()
    assert "integration.connected" not in browser.text()
    (older,) = re.findall(r'href="([^"]*before=[^"]*)"', browser.page.text)
    await browser.open(older)
    assert "integration.connected" in browser.text()


async def test_the_audit_log_is_filtered_verified_and_exported(api, browser):
    one = await connect(api)
    await browser.open("/console/audit?tenant=acme")
    assert browser.title() == "Audit log of acme"
    await browser.open(
        "/console/audit/tenants/acme?action=integration.connected&by=system:cloud-integrations&since=2026-01-01&until=2026-01-01"
    )
    assert browser.page.text.count("<code>integration.connected</code>") == 1
    assert "audit.read" not in browser.text()
    await browser.open("/console/audit/tenants/acme?until=2025-12-31")
    assert "No event fits" in browser.text()
    await browser.send("/audit/tenants/acme/verify")
    assert "Whole." in browser.text()
    found = await browser.client.get("/console/audit/tenants/acme/export?form=json&after=0")
    events = [json.loads(line) for line in found.text.splitlines()]
    assert events[0]["resource"] == f"integration:{one.id}"
    assert found.headers["content-disposition"] == f'attachment; filename="audit-json-1-{events[-1]["seq"]}.jsonl"'
    assert (await browser.client.get(f"/console/audit/tenants/acme/export?after={events[-1]['seq']}")).text.count("\n") == 1


async def test_the_operators_log_has_what_concerns_no_tenant(api, browser):
    await api.call("incidents.freeze", reason="a drill", everything=True)
    await browser.open("/console/audit/operator")
    assert "freeze.begun" in browser.text()
    await browser.send("/audit/operator/verify")
    assert "Whole." in browser.text()


async def test_keys_show_what_a_rotation_has_left_and_a_tenant_its_erasures(api, browser):
    await connect(api)
    api.clock.advance(timedelta(minutes=1))
    await api.call("keys.rotate", tenant_id="acme")
    await browser.open("/console/keys")
    assert "0 of 1" in browser.text()
    assert "1 row is still sealed under a replaced data key" in browser.text()
    await api.call("keys.reseal")
    await browser.open("/console/keys")
    assert "Nothing is sealed under a replaced data key." in browser.text()
    await browser.open("/console/keys/tenant?tenant=acme")
    assert "It was never erased." in browser.text()
    await api.call("erase_tenant", "acme")
    await browser.open("/console/keys/tenants/acme")
    assert "Data keys destroyed" in browser.text()


async def test_a_provider_shows_its_methods_its_health_and_its_freeze(api, browser):
    await connect(api)
    await browser.open("/console/providers")
    assert "1 Works" in browser.text()
    await browser.open(f"/console/providers/{api.keys.id}")
    assert browser.title() == "Simulated (keys)"
    await browser.send("/freezes", reason="a break-in")
    assert "a break-in" in browser.text()
    await browser.open(f"/console/providers/{api.keys.id}")
    assert "Frozen" in browser.text()
    assert "Freeze this provider" not in browser.text()


async def test_integrations_are_filtered_and_shown_page_by_page(make_api):
    api = make_api(limited=False, settings=Settings(callback_url=CALLBACK, slots=True))
    mount(api)
    for number in range(27):
        await connect(api, name=f"Number {number}", slot=f"s{number}")
    ends = await connect(api, "globex", name="It ends", ends_at=api.clock.now() + timedelta(days=3))
    async with api.client("olga", base_url="https://app.example.com") as client:
        browser, seen = Browser(client), []
        path = "/console/integrations"
        while path:
            await browser.open(path)
            assert "28 fit" in browser.text()
            seen += re.findall(r'aria-label="Select ([^"]*) of [^"]*"', browser.page.text)
            path = next((unescape(each) for each in re.findall(r'href="([^"]*after=[^"]*)">Next page', browser.page.text)), None)
        assert sorted(seen) == sorted([f"Number {number}" for number in range(27)] + ["It ends"])
        for query, count in (
            ("tenant=globex", 1),
            (f"provider={api.keys.id}&method=key&health=ok&key_version=1", 28),
            ("health=disabled", 0),
            (f"provider={api.oauth.id}", 0),
            ("ends_before=2026-01-31", 1),
            ("unused_since=2025-12-31", 0),
        ):
            await browser.open(f"/console/integrations?{query}")
            assert f"{count} fit" in browser.text(), query
        await browser.open("/console")
        assert "1 ending within 14 days" in browser.text()
        await browser.open(f"/console/integrations/globex/{ends.id}")
        assert "Reconnect before" in browser.text()


async def test_renewals_failures_and_errors_are_counted_beside_a_chart(api, browser):
    one = await connect_oauth(api)
    await api.call("refresh", "acme", one.id)
    api.provider.misbehave(Misbehaviour.INVALID_GRANT, endpoint="refresh")
    with pytest.raises(ReconnectRequiredError):
        await api.call("refresh", "acme", one.id)
    for path in ("", f"/providers/{api.oauth.id}"):
        await browser.open(f"/console{path}")
        assert 'aria-label="Renewals by the hour: 1 renewed, 1 failed; from ' in browser.page.text
        assert "Jan 1, 12:00 1 1" in browser.text(), "the table beside it"
    assert "invalid_grant Reconnect required 1" in browser.text()
    await browser.open(f"/console/providers/{api.keys.id}")
    assert "No renewal in these hours." in browser.text()
    assert "No integration fails." in browser.text()


async def test_what_needs_somebody_stands_above_the_overview(api, browser):
    one = await connect_oauth(api)
    api.provider.misbehave(Misbehaviour.INVALID_CLIENT, endpoint="refresh")
    with pytest.raises(AppMisconfiguredError):
        await api.call("refresh", "acme", one.id)
    await api.call("incidents.freeze", reason="a drill", everything=True)
    await browser.open("/console")
    assert "1 freeze is in force: credentials are not handed out." in browser.text()
    assert "1 integration cannot be renewed: the provider refuses your application." in browser.text()


def test_bars_are_stacked_and_as_high_as_their_numbers():
    day = datetime(2026, 1, 1, tzinfo=UTC)
    hours = [
        RenewalHour(start=day + timedelta(hours=hour), renewed=good, failed=bad, at_least=False)
        for hour, good, bad in ((0, 3, 1), (1, 0, 0), (2, 0, 2))
    ]
    chart = renewals_chart(hours)
    assert (chart.total, chart.highest, [row.label for row in chart.rows]) == (6, 4, ["Jan 1, 00:00", "Jan 1, 02:00"])
    assert [(bar.y, bar.height, bar.tone) for bar in chart.bars] == [(50, 150, "good"), (0, 50, "bad"), (100, 100, "bad")]
    assert all(bar.x >= 0 and bar.x + bar.width <= chart.width for bar in chart.bars)


def test_a_console_needs_a_manager_and_somebody_to_ask(api):
    with pytest.raises(TypeError):
        create_console(object(), authorize=api.operators.authorize)
    with pytest.raises(TypeError):
        create_console(api.manager, authorize=None)
