"""A connect session's link as browsers use it, and as others try to: the second browser, the mail scanner, another tenant, too late."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

pytest.importorskip("jinja2")
pytest.importorskip("babel")

from cloud_integrations import Settings
from cloud_integrations_fastapi.pages import create_connect_pages

from .page_browser import Browser, left_for

HOST = "https://app.example.com"


@pytest.fixture
def visit(make_api):
    """An application with the pages, and browsers of nobody at it."""

    class Visit:
        def __init__(self):
            self.api = make_api(settings=Settings(callback_url=f"{HOST}/api/v1/oauth/callback", slots=True))
            self.api.app.include_router(create_connect_pages(self.api.manager, authorize=self.api.host.authorize))

        def browser(self, name=None):
            return Browser(self.api.client(name, base_url=HOST))

        async def link(self, **changes):
            self.new = await self.api.call("connect_sessions.create", "acme", actor="ada", **changes)
            return f"/connect/start?link={self.new.link_token.reveal()}"

        async def opened(self, **changes):
            browser = self.browser()
            await browser.open(await self.link(**changes))
            await browser.send("/start")
            return browser

        @property
        def home(self):
            return f"/connect/visit/{self.new.session.id}"

    return Visit()


async def test_a_person_without_a_sign_in_connects_by_a_link(visit):
    browser = await visit.opened(return_to="/settings")
    assert (browser.page.status_code, browser.title()) == (200, "Connect your accounts")
    assert browser.page.url.path == visit.home
    assert 'href="/settings"' in browser.page.text
    await browser.open(f"{visit.home}/new/{visit.api.keys.id}")
    await browser.send(f"/new/{visit.api.keys.id}", input__key=visit.api.provider.valid_api_key.reveal(), name="Production")
    assert browser.title() == f"{visit.api.keys.name} is connected"
    (event,) = [one.event for one in await visit.api.call("audit.list", "acme") if one.event.action == "integration.connected"]
    assert str(event.actor) == "user:ada"


@pytest.mark.requirement("OAU-012")
async def test_a_visitor_signs_in_at_a_provider_and_comes_back_through_the_callback(visit):
    browser = await visit.opened(providers=[visit.api.oauth.id])
    assert browser.page.url.path == f"{visit.home}/new/{visit.api.oauth.id}"
    await browser.send("/authorize")
    callback = visit.api.provider.sign_in(left_for(browser))
    other = visit.browser()
    assert (await other.client.get(callback)).status_code == 403
    assert (await visit.browser("alice").client.get(callback)).status_code == 400
    page = await browser.open(callback)
    assert (page.status_code, browser.title(), page.url.path) == (200, f"{visit.api.oauth.name} is connected", f"{visit.home}/done")
    assert visit.api.provider.count("exchange") == 1


async def test_looking_at_a_link_opens_nothing(visit):
    link = await visit.link()
    for _ in range(3):
        scanner = visit.browser()
        page = await scanner.open(link)
        assert (page.status_code, len(scanner.forms())) == (200, 1)
        assert "ci_visit" not in page.headers.get("set-cookie", "")
        assert (await scanner.client.head(link)).status_code in {200, 405}
    assert (await visit.api.call("connect_sessions.find", visit.new.link_token)) == visit.new.session


async def test_a_link_is_for_the_first_browser_and_for_no_other(visit):
    link = await visit.link()
    first, second = visit.browser(), visit.browser()
    for browser in (first, second):
        await browser.open(link)
    await first.send("/start")
    page = await second.send("/start")
    assert (page.status_code, second.title()) == (404, "This link does not work")
    for again in (link, visit.home, f"{visit.home}/new/{visit.api.keys.id}"):
        assert (await second.open(again)).status_code == 404
    assert (await first.open(visit.home)).status_code == 200


async def test_the_page_of_a_link_repeats_its_address_to_nobody(visit):
    browser = visit.browser()
    for link in (await visit.link(), f"/connect/start?link={'x' * 43}"):
        await browser.open(link)
        assert browser.page.headers["referrer-policy"] == "strict-origin"


async def test_the_token_is_in_no_address_and_no_page_once_the_link_is_open(visit):
    browser = await visit.opened()
    token = visit.new.link_token.reveal()
    assert token not in str(browser.page.url) + browser.page.text
    assert browser.page.headers["referrer-policy"] == "same-origin"
    cookie = next(each for each in browser.client.cookies.jar if "ci_visit" in each.name)
    assert cookie.name.startswith("__Host-ci_visit_")
    assert (cookie.secure, cookie.has_nonstandard_attr("HttpOnly")) == (True, True)
    assert cookie.value not in browser.page.text


async def test_another_site_cannot_open_a_link_in_somebodys_browser(visit):
    browser = visit.browser()
    await browser.open(await visit.link())
    for headers, fields in (({"Sec-Fetch-Site": "cross-site"}, {}), ({"Origin": "https://evil.example"}, {}), ({}, {"form_token": "fake"})):
        await browser.open(f"/connect/start?link={visit.new.link_token.reveal()}")
        assert (await browser.send("/start", headers=headers, **fields)).status_code == 403
    assert await visit.api.call("connect_sessions.find", visit.new.link_token) is not None


@pytest.mark.parametrize("link", ["", "fake", "x" * 5_000, "%00", "%F0%9F"])
async def test_what_is_no_link_is_told_so(visit, link):
    browser = visit.browser()
    page = await browser.open(f"/connect/start?link={link}")
    assert (page.status_code, browser.title()) == (404, "This link does not work")


async def test_a_visit_ends_in_time_and_when_it_is_revoked(visit):
    browser = await visit.opened()
    visit.api.clock.advance(timedelta(minutes=30))
    page = await browser.open(visit.home)
    assert (page.status_code, "Ask for a new one" in browser.text()) == (404, True)
    browser = await visit.opened()
    await browser.open(f"{visit.home}/new/{visit.api.keys.id}")
    await visit.api.call("connect_sessions.revoke", "acme", visit.new.session.id)
    page = await browser.send(f"/new/{visit.api.keys.id}", input__key=visit.api.provider.valid_api_key.reveal())
    assert page.status_code == 404
    assert await visit.api.call("list_integrations", "acme") == ()


@pytest.mark.requirement("ISO-10")
async def test_a_visitor_reaches_nothing_but_what_the_session_is_for(visit):
    await visit.api.connect_key()
    (held,) = await visit.api.call("list_integrations", "acme")
    browser = await visit.opened(providers=[visit.api.oauth.id])
    assert visit.api.keys.name not in (await browser.open(visit.home)).text
    for path in (
        f"/new/{visit.api.keys.id}",
        f"/integrations/{held.id}",
        f"/integrations/{held.id}/reconnect",
        f"/done?provider={visit.api.keys.id}",
        f"/providers/{visit.api.keys.id}",
    ):
        assert (await browser.open(f"{visit.home}{path}")).status_code == 404, path
    for path in ("/connect/acme", "/connect/globex", f"/connect/acme/integrations/{held.id}"):
        assert (await browser.open(path)).status_code == 403, path
    api = "/api/v1/tenants/acme/integrations"
    for path in (api, f"{api}/{held.id}", f"{api}/{held.id}/audit", "/api/v1/providers"):
        assert (await browser.client.get(path)).status_code == 403, path
    own = {"Origin": HOST, "Sec-Fetch-Site": "same-origin"}
    fields = {"form_token": browser.client.cookies["__Host-ci_page_form"], "name": "Taken over"}
    for path in ("rename", "verify", "replace/finish", "remove"):
        page = await browser.client.post(f"{visit.home}/integrations/{held.id}/{path}", data=fields, headers=own)
        assert page.status_code in {403, 404}, path
    assert await visit.api.call("list_integrations", "acme") == (held,)


async def test_a_visitor_does_not_remove(visit):
    browser = await visit.opened()
    await visit.api.connect_key()
    (held,) = await visit.api.call("list_integrations", "acme")
    page = await browser.open(f"{visit.home}/integrations/{held.id}")
    assert (page.status_code, "/remove" in page.text) == (200, False)
    assert (await browser.open(f"{visit.home}/integrations/{held.id}/remove")).status_code == 403


async def test_a_session_connects_in_its_own_slot_whatever_the_form_says(visit):
    browser = await visit.opened(slot="second", providers=[visit.api.keys.id])
    assert 'name="slot"' not in browser.page.text
    await browser.send(f"/new/{visit.api.keys.id}", input__key=visit.api.provider.valid_api_key.reveal(), slot="third")
    assert browser.title() == f"{visit.api.keys.name} is connected"
    assert [one.slot for one in await visit.api.call("list_integrations", "acme")] == ["second"]


async def test_two_visits_of_one_browser_are_apart(visit):
    browser = await visit.opened(providers=[visit.api.keys.id])
    first = visit.home
    await browser.open(await visit.link(providers=[visit.api.oauth.id]))
    await browser.send("/start")
    for home, fits, other in ((first, "keys", "oauth"), (visit.home, "oauth", "keys")):
        assert (await browser.open(f"{home}/new/{getattr(visit.api, fits).id}")).status_code == 200
        assert (await browser.open(f"{home}/new/{getattr(visit.api, other).id}")).status_code == 404


async def test_a_browser_has_five_visits_at_most(visit):
    browser = visit.browser()
    for _ in range(6):
        await browser.open(await visit.link())
        await browser.send("/start")
        assert browser.page.status_code == 200
    assert len([each for each in browser.client.cookies.jar if "ci_visit" in each.name]) == 5


async def test_the_sessions_language_comes_first(visit):
    browser = visit.browser()
    page = await browser.client.get(await visit.link(locale="de-AT"), headers={"Accept-Language": "es"})
    assert '<html lang="de"' in page.text


async def test_openings_are_counted_by_address(visit):
    browser = visit.browser()
    statuses = [(await browser.client.get("/connect/start?link=fake")).status_code for _ in range(32)]
    assert statuses.count(429) >= 1


async def test_an_edited_row_lets_nobody_in(visit):
    browser = await visit.opened()
    tables = visit.api.store._tables
    key, row = next(iter(tables.connect_sessions.items()))
    tables.connect_sessions[key] = replace(row, facts=replace(row.facts, slot="other"))
    assert (await browser.open(visit.home)).status_code == 404
