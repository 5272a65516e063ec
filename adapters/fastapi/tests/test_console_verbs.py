"""What an operator does on the console: asked first, for a reason, with a permission in each tenant."""

from __future__ import annotations

from uuid import uuid4

import pytest

pytest.importorskip("jinja2")
pytest.importorskip("babel")

from cloud_integrations import Status
from cloud_integrations.testing import Misbehaviour
from cloud_integrations_fastapi import Permission

from . import console_world
from .console_world import connect, connect_oauth

DO, CONFIRM = "/integrations/do", "/integrations/confirm"


api, browser = console_world.api, console_world.browser


async def _begin(browser, one, verb):
    await browser.open(f"/console/integrations/{one.tenant_id}/{one.id}")
    return await browser.send(CONFIRM, verb=verb)


async def _stated(api, tenant="acme"):
    records = await api.call("audit.list", tenant)
    return {(each.event.action, each.event.actor.id, each.event.details.get("stated_reason")) for each in records}


@pytest.mark.parametrize(
    ("verb", "action", "said"),
    [
        ("verify", "integration.verified", "The provider accepts it."),
        ("refresh", "credential.refresh", "Renewed; it ends 2026-01-01"),
        ("disable", "integration.disabled", "Disabled."),
        ("delete", "integration.removed", "Deleted. Refresh token: Ended at the provider."),
    ],
)
async def test_a_verb_asks_first_and_its_reason_is_in_the_tenants_log(verb, action, said, api, browser):
    one = await connect_oauth(api)
    await _begin(browser, one, verb)
    assert browser.title() == f"{verb.capitalize()} 1 integration?"
    assert not [each for each in await _stated(api) if each[2] is not None]
    await browser.send(DO, reason="ticket 4711")
    assert said in browser.text()
    assert (action, "olga", "ticket 4711") in await _stated(api)


async def test_a_disabled_integration_is_enabled_again(api, browser):
    one = await connect(api)
    await api.call("edit_integration", "acme", one.id, status="inactive")
    await _begin(browser, one, "enable")
    await browser.send(DO, reason="ticket")
    assert (await api.call("get_integration", "acme", one.id)).status is Status.ACTIVE


async def test_a_verb_is_done_to_a_selection_over_several_tenants(api, browser):
    ones = [await connect(api), await connect_oauth(api), await connect_oauth(api, "globex")]
    await _begin(browser, ones[0], "refresh")
    rows = {f"row.{one.id}": one.tenant_id for one in ones} | {f"row.{uuid4()}": "acme"}
    await browser.send(DO, reason="ticket", **rows)
    assert browser.title() == "Refresh: 2 of 4"
    assert "There is no such integration any more." in browser.text()
    assert api.provider.refresh_count == 2
    assert ("credential.refresh", "olga", "ticket") in await _stated(api, "globex")


async def test_what_a_verb_does_nothing_for_is_said_before(api, browser):
    one = await connect(api)
    await api.call("edit_integration", "acme", one.id, status="inactive")
    for verb, text in (("refresh", "Has nothing to renew from"), ("disable", "Is disabled already")):
        await _begin(browser, one, verb)
        assert text in browser.text()
        assert "Something comes of it for 0 of 1." in browser.text()


async def test_a_failure_is_shown_with_its_integration(api, browser):
    one = await connect_oauth(api)
    await _begin(browser, one, "refresh")
    api.provider.misbehave(Misbehaviour.INVALID_GRANT, endpoint="refresh")
    await browser.send(DO, reason="ticket")
    assert browser.title() == "Refresh: 0 of 1"
    assert "econnect" in browser.text()


async def test_a_removal_says_what_may_still_work(api, browser):
    one = await connect_oauth(api)
    api.provider.misbehave(Misbehaviour.UNAVAILABLE, times=None, endpoint="revoke")
    await _begin(browser, one, "delete")
    await browser.send(DO, reason="ticket")
    assert browser.title() == "Delete: 0 of 1"
    assert "Not ended at the provider yet. It is tried again by itself." in browser.text()


@pytest.mark.requirement("ISO-10")
@pytest.mark.parametrize(
    ("verb", "permission"),
    [("verify", "verify"), ("refresh", "update"), ("disable", "update"), ("enable", "update"), ("delete", "delete")],
)
async def test_a_verb_needs_its_permission_in_every_tenant_and_else_nothing_is_done(verb, permission, api, browser):
    ones = [await connect(api), await connect(api, "globex")]
    await _begin(browser, ones[0], verb if verb != "enable" else "disable")
    api.operators.without = {(Permission(permission), "globex")}
    before = len(api.provider.requests)
    rows = {f"row.{one.id}": one.tenant_id for one in ones}
    page = await browser.send(DO, reason="ticket", verb=verb, **rows)
    assert page.status_code == 403
    assert len(api.provider.requests) == before
    assert {each.status for tenant in ("acme", "globex") for each in await api.call("list_integrations", tenant)} == {Status.ACTIVE}
    denied = [each.event for each in await api.call("audit.list", "globex") if each.event.action == f"integration.{permission}"]
    assert [event.actor.id for event in denied] == ["olga"]


async def test_a_verb_is_not_offered_to_who_may_not_use_it(api, browser):
    ones = [await connect(api), await connect(api, "globex")]
    await browser.open(f"/console/integrations/acme/{ones[0].id}")
    api.operators.without = {(Permission.DELETE, "globex")}
    rows = {f"row.{one.id}": one.tenant_id for one in ones}
    assert (await browser.send(CONFIRM, verb="delete", **rows)).status_code == 403
    await browser.open(f"/console/integrations/acme/{ones[0].id}")
    assert (await browser.send(CONFIRM, verb="verify", **rows)).status_code == 200


async def test_who_may_not_read_an_integration_is_not_shown_it_by_a_verb(api, browser):
    ones = [await connect(api), await connect(api, "globex", name="Secret plans")]
    await browser.open(f"/console/integrations/acme/{ones[0].id}")
    api.operators.without = {(Permission.READ, "globex")}
    page = await browser.send(CONFIRM, verb="verify", **{f"row.{ones[1].id}": "globex"})
    assert page.status_code == 403
    assert "Secret plans" not in page.text


@pytest.mark.parametrize("reason", ["", "   ", "x" * 256])
async def test_without_a_reason_nothing_is_done(reason, api, browser):
    one = await connect(api)
    await _begin(browser, one, "disable")
    assert (await browser.send(DO, reason=reason)).status_code == 422
    assert (await api.call("get_integration", "acme", one.id)).status is Status.ACTIVE


@pytest.mark.requirement("ISO-19")
@pytest.mark.parametrize(
    ("headers", "token"),
    [
        ({}, "another"),
        ({}, None),
        ({"Sec-Fetch-Site": "same-site"}, ...),
        ({"Sec-Fetch-Site": "cross-site"}, ...),
        ({"Origin": "https://evil.example"}, ...),
        ({"Origin": "https://["}, ...),
    ],
)
async def test_a_form_that_another_site_posts_is_refused(api, browser, headers, token):
    one = await connect(api)
    fields = {} if token is ... else {"form_token": token}
    await _begin(browser, one, "disable")
    assert (await browser.send(DO, headers=headers, reason="ticket", **fields)).status_code == 403
    assert (await api.call("get_integration", "acme", one.id)).status is Status.ACTIVE
    await browser.open("/console/incidents")
    assert (await browser.send("/freezes", headers=headers, reason="ticket", everything="yes", **fields)).status_code == 403
    assert await api.call("incidents.freezes") == ()
    await browser.open("/console/audit/operator")
    assert (await browser.send("/verify", headers=headers, reason="", **fields)).status_code == 403


async def test_a_selection_is_bounded_and_a_verb_is_one_of_the_list(api, browser):
    one = await connect(api)
    for changes in (
        {f"row.{uuid4()}": "acme" for _ in range(26)},
        {"verb": "reveal"},
        {f"row.{one.id}": None},
        {f"fake{number}": "x" for number in range(40)},
    ):
        await _begin(browser, one, "disable")
        assert (await browser.send(DO, reason="ticket", **changes)).status_code == 422
    assert (await api.call("get_integration", "acme", one.id)).status is Status.ACTIVE


@pytest.mark.parametrize("back", ["https://evil.example/", "//evil.example", "/console/integrationsX", "javascript:alert(1)"])
async def test_the_way_back_is_a_page_of_the_console(back, api, browser):
    one = await connect(api)
    await browser.open(f"/console/integrations/acme/{one.id}")
    await browser.send(CONFIRM, verb="verify", back=back)
    assert back not in browser.page.text
    await browser.send(DO, reason="ticket", back=back)
    assert 'href="/console/integrations"' in browser.page.text
