"""Pages in a frame of another site, as browsers that keep a frame's cookies apart ask for them: the sign-in joins the visit in a window."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest

pytest.importorskip("jinja2")
pytest.importorskip("babel")

from cloud_integrations import Settings
from cloud_integrations_fastapi.pages import create_connect_pages

from .page_browser import Browser, left_for

HOST = "https://app.example.com"
EMBEDDER = "https://www.example.org"
FRAMED = {"Sec-Fetch-Dest": "iframe"}


@pytest.fixture
def make_framed(make_api):
    """An application with pages that may be framed, and browsers of nobody at it: each is a jar of cookies."""

    class Framed:
        def __init__(self, frames=(EMBEDDER,)):
            self.api = make_api(settings=Settings(callback_url=f"{HOST}/api/v1/oauth/callback", slots=True))
            pages = create_connect_pages(self.api.manager, authorize=self.api.host.authorize, frames=frames)
            self.api.app.include_router(pages)

        def browser(self, name=None, **headers):
            browser = Browser(self.api.client(name, base_url=HOST))
            browser.client.headers.update(headers)
            return browser

        async def opened(self, **changes):
            """Return the jar of a frame that has opened a new link."""
            changes = {"origin": EMBEDDER} | changes
            self.new = await self.api.call("connect_sessions.create", "acme", actor="ada", **changes)
            frame = self.browser(**FRAMED)
            await frame.open(f"/connect/start?link={self.new.link_token.reveal()}")
            await frame.send("/start")
            return frame

        async def offered(self, **changes):
            """Return the jar of a frame that shows the form for a window."""
            frame = await self.opened(**changes)
            await frame.open(f"{self.home}/new/{self.api.oauth.id}")
            await frame.send("/authorize", name="Files of Acme")
            return frame

        @property
        def home(self):
            return f"/connect/visit/{self.new.session.id}"

    return Framed


@pytest.fixture
def framed(make_framed):
    return make_framed()


async def _joined(framed, frame, ends="/authorize", **changes):
    """Send the frame's form in a window, whose jar is another."""
    window = framed.browser()
    window.page = frame.page
    await window.send(ends, **changes)
    return window


async def test_a_window_joins_signs_in_and_the_frame_sees_what_came_of_it(framed):
    frame = await framed.offered()
    assert frame.title() == f"On to {framed.api.oauth.name}"
    assert "http-equiv" not in frame.page.text
    assert framed.api.provider.count("authorize") == 0
    waiting = re.search(r'data-then="([^"]+)"', frame.page.text)[1].replace("&amp;", "&")
    window = await _joined(framed, frame)
    assert await framed.api.call("connect_sessions.find", framed.new.link_token) is None
    assert (await frame.open(waiting)).url.path == f"{framed.home}/waiting"
    callback = framed.api.provider.sign_in(left_for(window))
    # The frame's cookies are not those that began.
    assert "error=" in (await frame.client.get(callback)).headers["location"]
    page = await window.open(callback)
    assert (page.url.path, window.title()) == (f"{framed.home}/done", f"{framed.api.oauth.name} is connected")
    assert "You can close this window now." in window.text()
    assert 'data-host=""' in page.text
    page = await frame.open(waiting)
    assert (page.url.path, frame.title()) == (f"{framed.home}/done", f"{framed.api.oauth.name} is connected")
    assert f'data-host="{EMBEDDER}"' in page.text
    assert [one.name for one in await framed.api.call("list_integrations", "acme")] == ["Files of Acme"]
    assert framed.api.provider.count("exchange") == 1


async def test_a_window_joins_for_a_new_consent_too(framed):
    frame = await framed.offered()
    window = await _joined(framed, frame)
    await window.open(framed.api.provider.sign_in(left_for(window)))
    (one,) = await framed.api.call("list_integrations", "acme")
    framed.api.clock.advance(timedelta(seconds=1))
    await frame.open(f"{framed.home}/integrations/{one.id}/reconnect")
    await frame.send("/reconnect")
    waiting = re.search(r'data-then="([^"]+)"', frame.page.text)[1].replace("&amp;", "&")
    assert f"/integrations/{one.id}/reconnect" in (await frame.open(waiting)).text
    await frame.open(f"{framed.home}/integrations/{one.id}/reconnect")
    await frame.send("/reconnect")
    again = await _joined(framed, frame, "/reconnect")
    await again.open(framed.api.provider.sign_in(left_for(again)))
    assert (await frame.open(waiting)).url.path == f"{framed.home}/done"


async def test_a_key_is_replaced_in_the_frame_itself(framed):
    frame = await framed.opened()
    await frame.open(f"{framed.home}/new/{framed.api.keys.id}")
    await frame.send(f"/new/{framed.api.keys.id}", input__key=framed.api.provider.valid_api_key.reveal())
    (one,) = await framed.api.call("list_integrations", "acme")
    await frame.open(f"{framed.home}/integrations/{one.id}/reconnect")
    page = await frame.send("/reconnect", input__key=framed.api.provider.issue_api_key().reveal())
    assert page.url.path == f"{framed.home}/integrations/{one.id}"


@pytest.mark.requirement("ISO-19")
@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Origin": "null"},
        {"Origin": "https://["},
    ],
)
async def test_nobody_puts_a_visit_into_the_browser_of_somebody_else(framed, headers):
    window = await _joined(framed, await framed.offered(), headers=headers)
    assert window.page.status_code == 403
    assert not [each for each in window.client.cookies.jar if "ci_page_form" not in each.name]


async def test_a_request_that_does_not_say_where_it_is_from_joins_nothing(framed):
    frame = await framed.offered()
    [(action, fields)] = frame.forms().items()
    answer = await framed.browser().client.post(action, data=fields)
    assert answer.status_code == 403


@pytest.mark.requirement("ISO-10")
async def test_a_token_lets_a_window_into_its_own_session_and_no_other_and_only_in_time(framed):
    first = await framed.offered()
    old = framed.new.session.id
    second = await framed.offered()
    [(_, fields)] = first.forms().items()
    for join in (fields["join"], "", "fake", framed.new.link_token.reveal()):
        window = await _joined(framed, second, join=join)
        assert window.page.status_code == 404
        assert not [each for each in window.client.cookies.jar if "ci_window" in each.name]
    framed.api.clock.advance(timedelta(minutes=10))
    assert (await _joined(framed, first)).page.status_code == 404
    assert str(old) in next(iter(first.forms()))


async def test_a_window_reaches_no_more_than_its_visit(framed):
    await framed.api.connect_key()
    (held,) = await framed.api.call("list_integrations", "acme")
    frame = await framed.offered(providers=[framed.api.oauth.id])
    [(action, fields)] = frame.forms().items()
    own = {"Origin": HOST, "Sec-Fetch-Site": "same-origin"}
    for path in (f"new/{framed.api.keys.id}/authorize", f"integrations/{held.id}/reconnect"):
        other = action[: action.index("/new/")] + f"/{path}"
        assert (await framed.browser().client.post(other, data=fields, headers=own)).status_code == 404
    window = await _joined(framed, frame)
    for path in ("/connect/acme", "/api/v1/tenants/acme/integrations"):
        assert (await window.client.get(path)).status_code == 403
    assert (await window.open(f"{framed.home}/waiting?provider={framed.api.keys.id}&since=never")).status_code == 404
    await framed.api.call("connect_sessions.revoke", "acme", framed.new.session.id)
    assert (await window.open(framed.home)).status_code == 404


async def test_a_window_that_cannot_begin_shows_its_form_and_goes_on(framed):
    frame = await framed.offered()
    window = await _joined(framed, frame, name="ab")
    assert (window.page.status_code, "A name has 3 to 50 characters" in window.text()) == (422, True)
    page = await window.send("/authorize", name="Files of Acme")
    assert (page.status_code, page.url.path) == (200, f"{framed.home}/new/{framed.api.oauth.id}/authorize")
    assert left_for(window)


async def test_a_frame_that_only_has_the_cookie_of_a_window_hands_over_too(framed):
    window = await _joined(framed, await framed.offered())
    window.client.headers.update(FRAMED)
    await window.open(f"{framed.home}/new/{framed.api.oauth.id}")
    page = await window.send("/authorize", name="Files of Acme")
    assert (page.status_code, window.title()) == (200, f"On to {framed.api.oauth.name}")
    assert left_for(await _joined(framed, window))


async def test_the_cookie_of_a_window_is_its_own_and_lax(framed):
    window = await _joined(framed, await framed.offered())
    [cookie] = [each for each in window.page.headers.get_list("set-cookie") if "ci_window" in each]
    assert cookie.startswith("__Host-ci_window_")
    assert {"Secure", "HttpOnly", "SameSite=lax", "Path=/"} <= set(cookie.split("; "))
    assert "Partitioned" not in cookie


async def test_in_a_frame_of_their_own_site_people_who_are_signed_in_need_no_token(framed):
    frame = framed.browser("alice", **FRAMED)
    await frame.open(f"/connect/acme/new/{framed.api.oauth.id}")
    page = await frame.send("/authorize")
    [(action, fields)] = frame.forms().items()
    assert (action, "join" in fields) == (f"/connect/acme/new/{framed.api.oauth.id}/authorize", False)
    assert "data-host" not in page.text
    window = framed.browser("alice")
    window.client.cookies.update(frame.client.cookies)
    window.page = page
    await window.send("/authorize")
    await window.open(framed.api.provider.sign_in(left_for(window)))
    waiting = f"/connect/acme/waiting?provider={framed.api.oauth.id}&slot=&since=never"
    assert (await frame.open(waiting)).url.path == "/connect/acme/done"
    assert (await frame.open("/connect/acme/waiting?provider=fake")).status_code == 404


async def test_only_pages_that_tell_somebody_let_go_of_nobody(framed):
    for changes, policy in (({}, "unsafe-none"), ({"origin": None}, "same-origin-allow-popups")):
        frame = await framed.opened(**changes)
        assert frame.page.headers["cross-origin-opener-policy"] == policy
        assert ("data-host" in frame.page.text) == (policy == "unsafe-none")


async def test_the_element_is_for_every_site_and_the_other_files_for_this_one(framed):
    browser = framed.browser()
    page = await browser.open("/connect/embed.js")
    assert (page.headers["cross-origin-resource-policy"], page.headers["access-control-allow-origin"]) == ("cross-origin", "*")
    assert page.headers["content-type"] == "text/javascript; charset=utf-8"
    assert len(page.content) <= 3 * 1024
    again = await browser.client.get("/connect/embed.js", headers={"If-None-Match": page.headers["etag"]})
    assert again.status_code == 304
    frame = await framed.opened()
    script = re.search(r'src="([^"]+connect\.js)"', frame.page.text)[1]
    assert (await browser.open(script)).headers["cross-origin-resource-policy"] == "same-origin"


async def test_where_no_site_may_show_a_frame_no_window_joins_anything(make_framed):
    closed = make_framed(frames=())
    frame = await closed.offered()
    assert left_for(frame).startswith("https://")
    assert "join" not in frame.page.text
    join = await closed.api.call("connect_sessions.hand_over", frame.client.cookies[f"__Host-ci_visit_{closed.new.session.id.hex[16:]}"])
    own = {"Origin": HOST, "Sec-Fetch-Site": "same-origin"}
    path = f"/connect/window/{closed.new.session.id}/new/{closed.api.oauth.id}/authorize"
    answer = await closed.browser().client.post(path, data={"join": join.reveal(), "name": "Files of Acme"}, headers=own)
    assert answer.status_code == 404
