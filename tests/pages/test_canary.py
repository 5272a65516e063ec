"""No secret is where a browser, a server or a log keeps it: in pages, storage, addresses, referrers, messages."""

from __future__ import annotations

import json
from functools import partial
from urllib.parse import urlsplit

import pytest
from tests.house.canaries import Canaries, Found, Watched, listening_to_everything

from cloud_integrations.testing import Misbehaviour

from .screens import home
from .site import SIGNED_IN, Site

STORED = """async () => ({
  cookies: document.cookie, local: {...localStorage}, session: {...sessionStorage}, name: window.name, state: history.state,
  databases: await indexedDB.databases(), caches: await caches.keys(), fields: [...document.querySelectorAll("input, textarea")]
    .filter(each => each.type !== "hidden").map(each => each.value), url: location.href, referrer: document.referrer,
})"""


@pytest.fixture
def canaries():
    return Canaries()


@pytest.fixture
def site(canaries):
    with Site(simulate=partial(Watched, canaries)) as site:
        yield site


class Watch:
    """Keeps everything that a page shows, asks for and stores."""

    def __init__(self, page, site, found):
        self.page, self._site, self._found = page, site, found
        page.on("request", self._ask)
        page.on("response", self._answer)
        page.on("console", lambda message: found.put("console of the browser", message.text))

    def _ours(self, url):
        return urlsplit(url).netloc in {urlsplit(self._site.url).netloc, urlsplit(self._site.host).netloc}

    def _ask(self, request):
        if self._ours(request.url):
            parts = urlsplit(request.url)
            self._found.put(f"address: {parts.path.rpartition('/')[2] if '/oauth/' not in parts.path else 'callback'}", request.url)
            self._found.put("referrer", request.all_headers().get("referer", ""))

    def _answer(self, response):
        if self._ours(response.url):
            self._found.put("headers", json.dumps({**response.headers, "set-cookie": ""}))

    def look(self, place="page"):
        """Keep the page as it is: its DOM, and what scripts can read of it and store."""
        self.page.wait_for_load_state()
        self._found.put(place, self.page.content())
        self._found.put(place, json.dumps(self.page.evaluate(STORED)))


def walk_by_key(watch, site):
    """Connect, mistake a key, check, replace the key, and remove."""
    page = watch.page
    page.goto(f"{home(site)}/new/drive_keys")
    for key in (site.drive.invalid_api_key, site.drive.password, site.drive.document):
        page.get_by_label("API key").fill(key.reveal())
        page.get_by_role("button", name="Show").click()
        page.get_by_role("button", name="Check and connect").click()
        page.get_by_role("alert").wait_for()
        watch.look()
    site.drive.misbehave(Misbehaviour.UNAVAILABLE, endpoint="me", times=1)
    for _ in range(2):
        page.get_by_label("API key").fill(site.drive.valid_api_key.reveal())
        page.get_by_role("button", name="Check and connect").click()
        page.wait_for_load_state()
        watch.look()
    page.get_by_role("link", name="Look after it").click()
    page.get_by_role("button", name="Check now").click()
    page.get_by_text("The provider accepts it.").wait_for()
    watch.look()
    page.get_by_role("link", name="Replace the key").click()
    page.get_by_label("API key").fill(site.drive.valid_api_key.reveal())
    page.get_by_role("button", name="Check and store").click()
    page.wait_for_load_state()
    watch.look()
    page.go_back()
    watch.look()
    (one,) = site.acting.list_integrations("acme")
    page.goto(f"{home(site)}/integrations/{one.id}/remove")
    page.get_by_role("button", name="Remove").click()
    page.get_by_role("heading", name="is removed").wait_for()
    watch.look()


def walk_by_sign_in(watch, site):
    """Sign in by a link, decline first, and look at what came of it."""
    page = watch.page
    page.goto(site.link(providers=["drive"], return_to="/"))
    watch.look("page of a link")
    page.get_by_role("button", name="Continue").click()
    for button in ("Deny", "Approve"):
        page.get_by_role("heading", name="Connect Northwind Drive").wait_for()
        watch.look()
        page.get_by_role("button", name="Continue to Northwind Drive").click()
        page.get_by_role("button", name=button).click()
        page.wait_for_url("**/done?*")
        watch.look()
        if button == "Deny":
            page.get_by_role("link", name="Try again").click()
    page.get_by_role("link", name="Look after it").click()
    page.get_by_role("heading", name="Northwind Drive").wait_for()
    watch.look()
    page.go_back()
    page.wait_for_load_state()
    watch.look()


def walk_through_the_console(watch, site):
    page = watch.page
    (one,) = site.acting.list_integrations("acme")
    site.acting.credential("acme", one.id)
    for path in ("", "/integrations", f"/integrations/acme/{one.id}", "/providers/drive", "/incidents", "/audit/tenants/acme", "/keys"):
        page.goto(f"{site.url}/console{path}")
        watch.look()


def test_no_secret_stays_in_a_browser_an_address_or_a_log(site, canaries, visitor):
    found = Found()
    with listening_to_everything(found):
        watch = Watch(visitor(), site, found)
        walk_by_key(watch, site)
        visit = Watch(visitor(signed_in=False), site, found)
        walk_by_sign_in(visit, site)
        canaries.add("link", site.new.link_token)
        walk_through_the_console(watch, site)
    for page in (watch.page, visit.page):
        for cookie in page.context.cookies(site.url):
            assert cookie["httpOnly"] or cookie["name"] == SIGNED_IN
            if cookie["name"] != SIGNED_IN and "form" not in cookie["name"]:
                canaries.add("cookie", cookie["value"])
    assert {
        "API key",
        "client secret",
        "code",
        "state",
        "access token",
        "refresh token",
        "link",
        "cookie",
        "password",
    } <= canaries.counts.keys()
    found.check(canaries, **{"address: start": {"link"}, "page of a link": {"link"}, "address: callback": {"code", "state"}})
