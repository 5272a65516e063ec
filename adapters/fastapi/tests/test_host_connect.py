"""The reference server mounts the connect pages where their extra is installed, and works without."""

from __future__ import annotations

import sys

import httpx
import pytest

pytest.importorskip("jinja2")
pytest.importorskip("babel")

from cloud_integrations import Actor, Settings
from cloud_integrations_fastapi import Permission
from cloud_integrations_fastapi.host import Access, Sessions, Tokens, build_app, token_hash

from .page_browser import Browser

URL = "https://app.example.com"
pytestmark = pytest.mark.parametrize("door", ["awaiting"], indirect=True)


@pytest.fixture
def serve(make_api):
    """Build the server; return what it is made of, and a browser at it."""

    def build():
        api = make_api(settings=Settings(callback_url=f"{URL}/api/v1/oauth/callback", product="example-product"))
        access = Access(actor=Actor(id="ada"), tenants=frozenset({"acme"}), permissions=frozenset(Permission))
        app = build_app(api.manager, tokens=Tokens({token_hash("fake-token"): access}), sessions=Sessions(seconds=3600), base_url=URL)
        return api, Browser(httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=URL))

    return build


async def _sign_in(browser):
    await browser.open("/")
    await browser.send("/session", token="fake-token")
    return await browser.open("/?tenant=acme")


async def test_a_person_goes_from_the_servers_page_to_the_connect_page_and_connects(serve):
    api, browser = serve()
    assert (await browser.open("/connect/acme")).status_code == 403
    page = await _sign_in(browser)
    assert 'href="/connect/acme"' in page.text
    page = await browser.open("/connect/acme")
    assert (page.status_code, "example-product" in page.text) == (200, True)
    await browser.open(f"/connect/acme/new/{api.keys.id}")
    await browser.send(f"/new/{api.keys.id}", input__key=api.provider.valid_api_key.reveal(), name="Production")
    assert browser.title() == f"{api.keys.name} is connected"
    assert (await browser.open("/connect/globex")).status_code == 403


async def test_without_the_extra_the_server_has_its_own_page_alone(serve, monkeypatch):
    monkeypatch.setitem(sys.modules, "cloud_integrations_fastapi.pages", None)
    _, browser = serve()
    page = await _sign_in(browser)
    assert (page.status_code, "/connect/" in page.text) == (200, False)
    assert (await browser.open("/connect/acme")).status_code == 404
