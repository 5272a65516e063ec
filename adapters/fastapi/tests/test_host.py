"""The host signs people in by a bearer token, and a session of a browser ends where it should."""

from __future__ import annotations

import asyncio
import re

import httpx
import pytest

from cloud_integrations import Actor
from cloud_integrations.errors import ConfigurationError, StorageUnavailableError
from cloud_integrations_fastapi import Permission
from cloud_integrations_fastapi.host import Access, Sessions, Tokens, build_app, new_token, token_hash
from cloud_integrations_fastapi.host import app as host_app

TOKEN = "cit_fake-token"
HOUR = 3600.0
pytestmark = pytest.mark.parametrize("door", ["awaiting"], indirect=True)


class Hands:
    """A clock that a test turns."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def hands():
    return Hands()


@pytest.fixture
def open_browser(api, hands):
    access = Access(actor=Actor(type="user", id="grace"), tenants=frozenset({"acme"}), permissions=frozenset(Permission))
    tokens, sessions = Tokens({token_hash(TOKEN): access}), Sessions(seconds=HOUR, clock=hands)
    apps = {
        scheme: build_app(api.manager, tokens=tokens, sessions=sessions, base_url=f"{scheme}://ci.example.com")
        for scheme in ("https", "http")
    }

    def open_(scheme="https", **options):
        return httpx.AsyncClient(transport=httpx.ASGITransport(apps[scheme]), base_url=f"{scheme}://ci.example.com", **options)

    return open_


async def sign_in(browser):
    form_token = re.findall(r'name="form_token" value="([^"]+)"', (await browser.get("/")).text)[0]
    return await browser.post("/session", data={"token": TOKEN, "form_token": form_token})


async def is_in(browser):
    return (await browser.get("/api/v1/tenants/acme/integrations")).status_code == 200


async def test_a_session_that_was_ended_is_over_for_whoever_copied_its_cookie(open_browser):
    async with open_browser() as browser:
        assert (await sign_in(browser)).status_code == 303
        copied = dict(browser.cookies)
        async with open_browser(cookies=copied) as thief:
            assert await is_in(browser)
            assert await is_in(thief)
            assert (await browser.delete("/session")).json() == {"success": True}
            assert not await is_in(thief)


async def test_a_session_ends_at_its_time_however_much_it_is_used(open_browser, hands):
    async with open_browser() as browser:
        await sign_in(browser)
        for hands.now in (HOUR / 2, HOUR - 1):
            assert await is_in(browser)
        hands.now = HOUR
        assert not await is_in(browser)


@pytest.mark.parametrize(("scheme", "prefix", "ends"), [("https", "__Host-", {"secure"}), ("http", "", set())])
async def test_cookies_are_for_this_host_alone_and_no_script_reads_them(open_browser, scheme, prefix, ends):
    async with open_browser(scheme) as browser:
        for answer, name, seconds in ((await browser.get("/"), "ci_form", 3600), (await sign_in(browser), "ci_session", 3600)):
            first, *rest = answer.headers["set-cookie"].split("; ")
            assert first.startswith(f"{prefix}{name}=")
            assert {each.lower() for each in rest} == {"httponly", f"max-age={seconds}", "path=/", "samesite=lax"} | ends


async def test_a_cookie_says_nothing_of_who_is_signed_in(open_browser):
    async with open_browser() as browser, open_browser() as other:
        await sign_in(browser)
        await sign_in(other)
        one, two = browser.cookies["__Host-ci_session"], other.cookies["__Host-ci_session"]
        assert one != two
        assert all(re.fullmatch(r"[\w-]{43}", each) for each in (one, two))


async def test_a_form_that_is_too_long_is_not_read(open_browser):
    async with open_browser() as browser:
        await browser.get("/")
        assert (await browser.post("/session", content=b"token=" + b"x" * 5000)).status_code == 403


def test_a_token_is_found_by_its_hash_alone(door):
    one, two = new_token(), new_token()
    access = Access(actor=Actor(type="service", id="x"), tenants=None, permissions=frozenset())
    assert one != two
    assert one.startswith("cit_")
    tokens = Tokens({token_hash(one): access, token_hash("other"): access})
    assert tokens.find(one) is access
    assert tokens.find(two) is None
    assert tokens.find("") is None


@pytest.mark.parametrize(
    ("tenants", "permission", "tenant", "allowed"),
    [
        ({"acme"}, Permission.LIST, "acme", True),
        ({"acme"}, Permission.LIST, "globex", False),
        ({"acme"}, Permission.READ, "acme", False),
        ({"acme"}, Permission.LIST, None, True),
        (None, Permission.LIST, "globex", True),
        (None, Permission.READ, None, False),
    ],
)
def test_access_is_a_permission_and_a_tenant(door, tenants, permission, tenant, allowed):
    access = Access(
        actor=Actor(id="grace"), tenants=None if tenants is None else frozenset(tenants), permissions=frozenset({Permission.LIST})
    )
    assert access.may(permission, tenant) is allowed


@pytest.mark.parametrize(("tenants", "allowed"), [(None, True), (frozenset({"acme"}), False), (frozenset(), False)])
def test_the_bearer_of_a_token_for_some_tenants_is_no_operator(door, tenants, allowed):
    access = Access(actor=Actor(id="grace"), tenants=tenants, permissions=frozenset(Permission))
    assert access.may(Permission.OPERATE, None) is allowed
    assert access.may(Permission.INCIDENTS, None) is allowed


def test_there_are_never_too_many_sessions(door, monkeypatch):
    monkeypatch.setattr("cloud_integrations_fastapi.host.sessions._MAX_SESSIONS", 2)
    sessions = Sessions(seconds=HOUR)
    access = Access(actor=Actor(id="grace"), tenants=None, permissions=frozenset())
    opened = [sessions.open(access) for _ in range(3)]
    assert [sessions.find(each) is not None for each in opened] == [False, True, True]


@pytest.mark.parametrize(
    ("error", "status", "text"),
    [
        (StorageUnavailableError(reason="unreachable"), 503, ""),
        (ConfigurationError(setting="fake-setting", problem="is wrong"), 500, "Something went wrong on our side"),
    ],
)
async def test_the_page_of_a_tenant_shows_no_more_of_an_error_than_the_api(open_browser, api, monkeypatch, error, status, text):
    async def fail(*_, **__):
        raise error

    async with open_browser() as browser:
        await sign_in(browser)
        monkeypatch.setattr(type(api.manager), "list_integrations", fail)
        shown = await browser.get("/?tenant=acme")
    assert shown.status_code == status
    assert text in shown.text
    assert "fake-setting" not in shown.text


async def test_a_proxy_may_replace_the_host(open_browser):
    async with open_browser(headers={"Host": "backend:8000", "Origin": "https://ci.example.com"}) as browser:
        assert (await sign_in(browser)).status_code == 303
        assert (await browser.delete("/session", headers={"Origin": "https://other.example.com"})).status_code == 403
        assert (await browser.delete("/session", headers={"Origin": "http://ci.example.com"})).status_code == 403
        assert (await browser.delete("/session")).status_code == 200


async def test_an_unexpected_error_does_not_end_the_retries_of_revocations(api, monkeypatch, caplog):
    rounds, again = [], asyncio.Event()

    async def run(*_, **__):
        rounds.append(None)
        if len(rounds) == 1:
            raise RuntimeError("fake-secret")
        again.set()

    monkeypatch.setattr(host_app, "RETRY_EVERY", 0.01)
    monkeypatch.setattr(type(api.manager.worker), "run", run)
    app = build_app(api.manager, tokens=Tokens({}), sessions=Sessions(seconds=HOUR), base_url="https://ci.example.com")
    async with app.router.lifespan_context(app):
        await asyncio.wait_for(again.wait(), 5)
    assert "RuntimeError" in caplog.text
    assert "fake-secret" not in caplog.text
