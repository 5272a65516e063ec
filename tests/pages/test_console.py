"""Each screen of the console, as Chromium shows it: with nothing stored, and with something in every state."""

from __future__ import annotations

from contextlib import suppress
from datetime import timedelta
from urllib.parse import parse_qsl, urlsplit

import pytest

from cloud_integrations import Actor
from cloud_integrations.domain.audit import REFRESH, Outcome
from cloud_integrations.errors import CloudIntegrationsError
from cloud_integrations.ports import Record
from cloud_integrations.testing import Misbehaviour
from cloud_integrations.testing.contracts.store import an_event
from cloud_integrations_fastapi.pages.shell import Shell

from .judge import Judge
from .pictures import take
from .screens import LONG, RIGHT_TO_LEFT

BILLING = Actor(type="service", id="billing")
SCREENS = {
    "overview": ("", "Overview", "wide small"),
    "integrations": ("/integrations", "Integrations", "wide small"),
    "integrations_none_fits": ("/integrations?tenant=nobody", "Integrations", ""),
    "integration": ("/integrations/acme/{one}", RIGHT_TO_LEFT, "wide"),
    "providers": ("/providers", "Providers", "wide"),
    "provider": ("/providers/drive", "Northwind Drive", "wide"),
    "incidents": ("/incidents", "Incidents", "wide"),
    "find": ("/incidents/new?used_by=service:billing", "Find what leaked", "wide"),
    "incident": ("/incidents/{incident}", "A log was public", "wide"),
    "revoke": ("/incidents/{incident}/revoke", "End the access of 2 integrations?", "wide"),
    "audit": ("/audit/tenants/acme", "Audit log of acme", "wide"),
    "audit_of_the_operator": ("/audit/operator", "Audit log of the operator", "wide"),
    "keys": ("/keys", "Keys", "wide"),
    "keys_of_a_tenant": ("/keys/tenants/acme", "Keys of acme", "wide"),
    "not_found": ("/providers/nothing", "Not found", ""),
}
EMPTY = ("overview", "integrations", "incidents", "audit_of_the_operator")


def _connect(site, tenant, name):
    begun = site.acting.begin_oauth(tenant, "drive", name=name)
    params = parse_qsl(urlsplit(site.drive.sign_in(begun.url)).query)
    return site.acting.complete_oauth(begun.context_id, params, browser_token=begun.browser_token).integration


def _badly(site, what, integration):
    site.drive.misbehave(what, endpoint="refresh")
    with suppress(CloudIntegrationsError):
        site.acting.refresh(integration.tenant_id, integration.id)
    site.drive.behave()


def _renewed(site, provider_id, *hours):
    """Record renewals of the hours before this one: how many succeeded, and how many failed."""
    for past, counts in enumerate(reversed(hours), 1):
        at = site.clock.now() - timedelta(hours=past)
        for outcome, number in zip((Outcome.SUCCESS, Outcome.FAILURE), counts, strict=True):
            events = [an_event("umbrella", action=REFRESH, provider_id=provider_id, outcome=outcome, occurred_at=at) for _ in range(number)]
            site.store.apply(*[Record(event=event) for event in events])


@pytest.fixture
def filled(site, monkeypatch):
    """Integrations of several tenants in every state; an incident and a freeze."""
    monkeypatch.setattr(Shell, "now", lambda shell: site.clock.now())
    one, two = _connect(site, "acme", RIGHT_TO_LEFT), _connect(site, "globex", LONG)
    site.clock.advance(timedelta(seconds=1))
    for integration in (one, two):
        site.acting.credential(integration.tenant_id, integration.id, actor=BILLING)
    for number, what in enumerate((Misbehaviour.INVALID_GRANT, Misbehaviour.RATE_LIMITED, Misbehaviour.ANSWER_LOST)):
        _badly(site, what, _connect(site, f"tenant-{number}", "Production"))
    renewed = [(number, 0) for number in (4, 6, 5, 7, 9, 8, 11, 12, 9, 14, 13, 0, 0, 3, 18, 12, 9, 7, 8, 6, 5)]
    renewed[11:14] = (2, 7), (0, 9), (11, 3)
    _renewed(site, one.provider_id, *renewed)
    off = _connect(site, "initech", "Reports")
    site.acting.edit_integration("initech", off.id, status="inactive")
    ends_at = site.clock.now() + timedelta(days=5)
    site.acting.add_api_key("acme", "drive_keys", name="Build servers", api_key=site.drive.issue_api_key(), ends_at=ends_at)
    site.clock.advance(timedelta(minutes=5))
    site.acting.keys.rotate(tenant_id="acme")
    site.acting.incidents.freeze(reason="The tenant reported a break-in", tenant_id="acme")
    incident = site.acting.incidents.open(reason="A log was public", used_by=BILLING)
    return {"one": one.id, "incident": incident.id}


def _judge(visitor, site, path, heading):
    page = visitor()
    judge = Judge(page, site)
    page.goto(f"{site.url}/console{path}")
    assert page.get_by_role("heading", level=1).inner_text() == heading
    judge.check(page)
    return page


@pytest.mark.parametrize("name", SCREENS)
def test_a_screen_can_be_used_by_everybody(name, site, filled, visitor, pytestconfig):
    path, heading, picture = SCREENS[name]
    page = _judge(visitor, site, path.format(**filled), heading)
    if pytestconfig.getoption("--screenshots"):
        take(page, name, picture.split(), of="console")


@pytest.mark.parametrize("name", EMPTY)
def test_a_screen_with_nothing_to_show_can_be_used_by_everybody(name, site, visitor):
    path, heading, _ = SCREENS[name]
    _judge(visitor, site, path, heading)


def test_the_table_of_providers_is_as_wide_as_its_frame(site, filled, visitor):
    page = visitor()
    page.goto(f"{site.url}/console")
    for width in (360, 832, 833, 900, 1024, 1025, 1440):
        page.set_viewport_size({"width": width, "height": 900})
        beyond = page.locator(".table:has(.strip)").evaluate("each => each.scrollWidth - each.clientWidth")
        assert beyond == 0, (width, beyond)


def test_bars_are_told_apart_where_a_person_has_chosen_the_colours(site, filled, visitor):
    page = visitor()
    page.emulate_media(forced_colors="active")
    page.goto(f"{site.url}/console")
    colours = page.evaluate("() => { const of = getComputedStyle(document.body); return {good: of.color, bad: of.backgroundColor} }")
    for drawn in (".chart rect", ".strip path"):
        for tone, colour in colours.items():
            bar = page.locator(f"{drawn}.{tone}").first
            assert bar.evaluate("each => getComputedStyle(each).fill") == colour, (drawn, tone)


def test_a_verb_is_done_by_the_keyboard_alone(site, filled, visitor):
    page = visitor()
    judge = Judge(page, site)
    page.goto(f"{site.url}/console/integrations/acme/{filled['one']}")
    page.get_by_role("button", name="Disable").focus()
    page.keyboard.press("Enter")
    page.get_by_role("heading", name="Disable 1 integration?").wait_for()
    judge.check(page)
    page.get_by_label("Reason").focus()
    page.keyboard.type("ticket 4711")
    page.keyboard.press("Enter")
    page.get_by_role("heading", name="Disable: 1 of 1").wait_for()
    judge.check(page)
    assert site.acting.get_integration("acme", filled["one"]).health == "disabled"
