"""The connect page as a browser without scripts uses it, over both doors."""

from __future__ import annotations

import re

import httpx
import pytest

pytest.importorskip("jinja2")
pytest.importorskip("babel")

from cloud_integrations import Settings
from cloud_integrations.testing import Misbehaviour
from cloud_integrations_fastapi.pages import Branding, create_connect_pages

from .page_browser import Browser, left_for


@pytest.fixture
def api(make_api):
    api = make_api(revokes_keys=True)
    branding = Branding(product="Example Cloud", support="mailto:help@example.com", variables={"accent": "#0a6"})
    api.app.include_router(create_connect_pages(api.manager, authorize=api.host.authorize, branding=branding))
    return api


@pytest.fixture
async def browser(api):
    async with api.client(base_url="https://app.example.com") as client:
        yield Browser(client)


async def _connect_key(api, browser, **fields):
    await browser.open(f"/connect/acme/new/{api.keys.id}")
    key = {"input__key": api.provider.valid_api_key.reveal(), "name": "Production"}
    return await browser.send(f"/new/{api.keys.id}", **(key | fields))


async def _connect_oauth(api, browser):
    await browser.open(f"/connect/acme/new/{api.oauth.id}")
    await browser.send("/authorize")
    return await browser.open(api.provider.sign_in(left_for(browser)))


async def test_a_key_is_connected_looked_after_and_removed_without_a_script(api, browser):
    assert (await browser.open("/connect/acme")).status_code == 200
    assert browser.title() == "Connect your accounts"
    assert "Not connected" not in browser.text()
    page = await _connect_key(api, browser)
    assert (page.status_code, browser.title()) == (200, f"{api.keys.name} is connected"), browser.text()
    await browser.open("/connect/acme")
    assert "Connected" in browser.text()
    (one,) = await api.call("list_integrations", "acme")
    await browser.open(f"/connect/acme/integrations/{one.id}")
    await browser.send("/rename", name="Staging")
    assert browser.title() == "Staging"
    await browser.send("/verify")
    assert "The provider accepts it." in browser.text()
    await browser.open(f"/connect/acme/integrations/{one.id}/remove")
    await browser.send("/remove", revoke_key="yes")
    assert browser.title() == "Staging is removed"
    assert "Key Ended at the provider." in browser.text()
    assert await api.call("list_integrations", "acme") == ()


async def test_a_sign_in_goes_to_the_provider_by_a_page_and_comes_back_to_the_result(api, browser):
    page = await _connect_oauth(api, browser)
    assert (page.status_code, browser.title()) == (200, f"{api.oauth.name} is connected")
    assert page.url.path == "/connect/acme/done"
    # Reload shows the same, and sends nothing to the provider again.
    await browser.open(str(page.url))
    assert api.provider.count("exchange") == 1


async def test_who_declines_is_told_so_and_a_connection_that_works_is_left_alone(api, browser):
    await _connect_oauth(api, browser)
    (one,) = await api.call("list_integrations", "acme")
    await browser.open(f"/connect/acme/integrations/{one.id}/reconnect")
    await browser.send("/reconnect")
    await browser.open(api.provider.sign_in(left_for(browser), approve=False))
    assert browser.title() == "You declined"
    assert "The connection that you had still works." in browser.text()


async def test_a_key_that_is_refused_is_told_with_its_step_and_is_never_shown_again(api, browser):
    page = await _connect_key(api, browser, input__key="fake-key-of-nobody")
    assert page.status_code == 422
    assert "The provider refused it" in browser.text()
    assert "It is your turn." in browser.text()
    assert "fake-key-of-nobody" not in page.text
    assert re.findall(r'<li class="(\w+)">', page.text) == ["done", "done", "failed", *["open"] * 4]
    # What is no secret is kept, so nobody types it again.
    assert browser.forms()[f"/connect/acme/new/{api.keys.id}"]["name"] == "Production"
    assert await api.call("list_integrations", "acme") == ()


async def test_an_outage_is_nobodys_turn_and_a_name_that_is_too_short_is_the_readers(api, browser):
    api.provider.misbehave(Misbehaviour.UNAVAILABLE, endpoint="me", times=None)
    await _connect_key(api, browser)
    assert "Nobody has to do anything. Try again in a few minutes." in browser.text()
    await _connect_key(api, browser, name="ab")
    assert "It was not sent anywhere." in browser.text()
    assert 'aria-invalid="true"' in browser.page.text


async def test_a_key_is_replaced_with_an_overlap(api, browser):
    await _connect_key(api, browser)
    (one,) = await api.call("list_integrations", "acme")
    await browser.open(f"/connect/acme/integrations/{one.id}/replace")
    await browser.send("/replace", input__key=api.provider.issue_api_key().reveal())
    assert "A key is being replaced" in browser.text()
    await browser.send("/replace/finish")
    assert "The new key is handed out" in browser.text()
    await browser.send("/replace/cancel")
    assert "A key is being replaced" not in browser.text()


@pytest.mark.requirement("ISO-19")
@pytest.mark.parametrize(
    ("headers", "token"),
    [
        ({}, "another"),
        ({}, None),
        ({"Sec-Fetch-Site": "same-site"}, ...),
        ({"Sec-Fetch-Site": "cross-site"}, ...),
        ({"Origin": "https://evil.example"}, ...),
    ],
)
async def test_a_form_that_another_site_posts_is_refused(api, browser, headers, token):
    await browser.open(f"/connect/acme/new/{api.keys.id}")
    fields = {} if token is ... else {"form_token": token}
    page = await browser.send(f"/new/{api.keys.id}", headers=headers, input__key=api.provider.valid_api_key.reveal(), **fields)
    assert page.status_code == 403
    assert await api.call("list_integrations", "acme") == ()


@pytest.mark.requirement("ISO-10")
async def test_every_page_needs_the_hosts_permission_and_another_tenants_page_is_not_shown(api):
    for name in (None, "bob", "rita"):
        async with api.client(name, base_url="https://app.example.com") as client:
            statuses = {path: (await client.get(f"/connect/acme{path}")).status_code for path in ("", f"/new/{api.keys.id}")}
        assert statuses == {"": 200 if name == "rita" else 403, f"/new/{api.keys.id}": 403}


async def test_a_page_loads_nothing_from_elsewhere_and_allows_nothing_inline(api, browser):
    for path in ("", f"/new/{api.keys.id}", f"/new/{api.oauth.id}", "/new/nobody", f"/done?provider={api.keys.id}&error=declined"):
        page = await browser.open(f"/connect/acme{path}")
        policy = page.headers["content-security-policy"]
        assert policy.startswith("default-src 'none'; style-src 'self'; img-src 'self'; script-src 'nonce-")
        assert "frame-ancestors 'none'" in policy
        assert not re.search(r"unsafe|\son\w+=|\sstyle=|<style|javascript:", policy + page.text)
        loaded = re.findall(r'<(?:script|link|img)[^>]*(?:src|href)="([^"]*)"', page.text)
        assert loaded
        assert all(each.startswith("/connect/static/") for each in loaded)
        assert page.headers["cache-control"] == "no-store"


async def test_files_are_kept_for_good_by_their_content(api, browser):
    page = await browser.open("/connect/acme")
    async with httpx.AsyncClient(transport=httpx.ASGITransport(api.app), base_url="https://app.example.com") as nobody:
        for path in re.findall(r'(?:src|href)="(/connect/static/[^"]*)"', page.text):
            found = await nobody.get(path)
            assert (found.status_code, "immutable" in found.headers["cache-control"]) == (200, True)
            assert (await nobody.get(path, headers={"If-None-Match": found.headers["etag"]})).status_code == 304
            version = path.split("/")[3]
            assert (await nobody.get(path.replace(version, "0" * 16))).status_code == 404


async def test_names_are_escaped_and_the_search_says_what_it_found(api, browser):
    await _connect_key(api, browser, name='<b>"Prod"</b>')
    page = await browser.open("/connect/acme?q=nothing-like-this")
    assert "Nothing found" in browser.text()
    page = await browser.open("/connect/acme")
    assert "<b>" not in page.text
    assert "&lt;b&gt;" in page.text


async def test_without_slots_a_second_connection_says_that_there_is_one(api, browser):
    await _connect_key(api, browser)
    page = await _connect_key(api, browser)
    assert page.status_code == 409
    assert "already connected here. Nothing was changed." in browser.text()


async def test_two_accounts_are_connected_in_slots(make_api):
    api = make_api(settings=Settings(callback_url="https://app.example.com/api/v1/oauth/callback", slots=True))
    api.app.include_router(create_connect_pages(api.manager, authorize=api.host.authorize))
    async with api.client(base_url="https://app.example.com") as client:
        browser = Browser(client)
        for slot in ("", "second"):
            await _connect_key(api, browser, slot=slot)
            assert browser.title() == f"{api.keys.name} is connected"
    assert sorted(one.slot for one in await api.call("list_integrations", "acme")) == ["", "second"]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"product": " "}, "product"),
        ({"support": "javascript:alert(1)"}, "support"),
        ({"variables": {"accent": "red;} body{display:none"}}, "accent"),
        ({"variables": {"accent": "url(https://evil.example)"}}, "accent"),
        ({"variables": {"colour": "red"}}, "colour"),
        ({"logo": b"GIF89a"}, "logo"),
        ({"logo": b"<svg>" + b" " * 65_536}, "logo"),
    ],
)
def test_a_branding_that_could_change_more_than_the_look_is_refused(changes, said):
    with pytest.raises(ValueError, match=said):
        Branding(**changes)


def test_frames_are_allowed_for_origins_only(api):
    for origin in ("http://app.example.com", "https://app.example.com/", "*", "https://"):
        with pytest.raises(ValueError, match="origin"):
            create_connect_pages(api.manager, authorize=api.host.authorize, frames=[origin])


def test_pages_need_a_manager(api):
    with pytest.raises(TypeError):
        create_connect_pages(object(), authorize=api.host.authorize)
