"""Each screen of the console, as Chromium shows it: with nothing stored, and with something in every state."""

from __future__ import annotations

from contextlib import suppress
from datetime import timedelta
from urllib.parse import parse_qsl, urlsplit

import pytest

from cloud_integrations import Actor
from cloud_integrations.errors import CloudIntegrationsError
from cloud_integrations.testing import Misbehaviour
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
