"""What the console shows of renewals and of providers' applications, and the way to an account of the operator's own."""

from __future__ import annotations

import re

import pytest

pytest.importorskip("jinja2")
pytest.importorskip("babel")

from cloud_integrations.errors import ConfigurationError, ProviderUnavailableError
from cloud_integrations.testing import Misbehaviour
from cloud_integrations_fastapi import Permission
from cloud_integrations_fastapi.pages import create_connect_pages, create_console

from . import console_world
from .console_world import connect, connect_oauth, mount
from .page_browser import Browser

api, browser = console_world.api, console_world.browser


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
