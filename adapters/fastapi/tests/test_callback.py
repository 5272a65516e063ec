"""A browser goes to the provider and comes back."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import urlsplit
from uuid import uuid4

import pytest

from cloud_integrations import Settings
from cloud_integrations.testing import Misbehaviour

BROWSER = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
REFUSED = {
    "success": False,
    "error": {"code": "integration/oauth-error", "message": "the authorization was refused", "details": {"reason": "state_not_valid"}},
}


@pytest.mark.requirement("OAU-012", "OAU-018")
async def test_beginning_ties_the_flow_to_this_browser(api, alice):
    begun = await alice.post("/tenants/acme/authorizations", json={"providerId": str(api.oauth.provider_id), "name": "Production"})
    assert begun.status_code == 201
    assert begun.json()["data"].keys() == {"authorizationUrl", "state", "expiresAt"}
    cookie = begun.headers["set-cookie"]
    assert re.match(r"__Host-ci_[0-9a-f]{16}=[A-Za-z0-9_-]{43}; ", cookie)
    assert {part.strip().lower() for part in cookie.split(";")[1:]} == {"httponly", "max-age=600", "path=/", "samesite=lax", "secure"}
    assert (begun.headers["cache-control"], begun.headers["referrer-policy"]) == ("no-store", "no-referrer")
    state = begun.json()["data"]["state"]
    assert state not in cookie


@pytest.mark.requirement("OAU-012", "OAU-028")
async def test_a_browser_that_comes_back_sees_a_page_of_ours_alone(api, alice):
    begun = await api.begin(alice, name="<b>Production & more</b>")
    arrived = await alice.get(api.provider.sign_in(begun["authorizationUrl"]), headers=BROWSER)
    assert arrived.status_code == 200
    assert arrived.headers["content-type"] == "text/html; charset=utf-8"
    policy = arrived.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert (arrived.headers["cache-control"], arrived.headers["referrer-policy"]) == ("no-store", "no-referrer")
    assert arrived.headers["x-content-type-options"] == "nosniff"
    assert "&lt;b&gt;Production &amp; more&lt;/b&gt;" in arrived.text
    assert not re.search(r"<script|src=|href=|http", arrived.text)
    assert "Max-Age=0" in arrived.headers["set-cookie"]
    assert list(alice.cookies.jar) == []


@pytest.mark.requirement("OAU-025", "OAU-026")
async def test_a_browser_goes_on_to_where_it_was_asked_to_with_303(api, alice):
    begun = await api.begin(alice, returnTo="/settings/café?tab=2")
    arrived = await alice.get(api.provider.sign_in(begun["authorizationUrl"]), headers=BROWSER)
    assert (arrived.status_code, arrived.headers["location"]) == (303, "/settings/caf%C3%A9?tab=2")
    assert (arrived.headers["cache-control"], arrived.headers["referrer-policy"]) == ("no-store", "no-referrer")


@pytest.mark.requirement("OAU-025")
@pytest.mark.parametrize(
    "target",
    [
        "//evil.example",
        "/\\evil.example",
        "https://evil.example",
        "/%2Fevil.example",
        "/%252Fevil.example",
        "settings",
        "/a\r\nb",
        "javascript:x",
    ],
)
async def test_no_browser_is_sent_to_another_site(api, alice, target):
    body = {"providerId": str(api.oauth.provider_id), "name": "Production", "returnTo": target}
    refused = await alice.post("/tenants/acme/authorizations", json=body)
    assert refused.status_code == 422
    assert refused.json()["error"]["details"]["fields"][0]["field"] == "returnTo"


@pytest.mark.requirement("OAU-014", "OAU-018")
async def test_without_the_cookie_nothing_is_connected(api, alice):
    callback = api.provider.sign_in((await api.begin(alice))["authorizationUrl"])
    async with api.client() as another_browser:
        refused = await another_browser.get(callback)
    assert (refused.status_code, refused.json()) == (400, REFUSED)
    assert api.provider.count("exchange") == 0
    assert (await alice.get(callback)).status_code == 200, "the owner's flow stays open"


@pytest.mark.requirement("OAU-014", "OAU-017")
async def test_somebody_else_cannot_finish_it_in_the_same_browser(api, alice):
    callback = api.provider.sign_in((await api.begin(alice))["authorizationUrl"])
    refused = await alice.get(callback, headers={"Authorization": "Bearer admin"})
    assert (refused.status_code, refused.json()) == (400, REFUSED)
    assert api.provider.count("exchange") == 0
    events = [record.event for record in await api.call("list_audit", "acme")]
    assert [(event.actor.id, event.reason) for event in events if event.outcome == "denied"] == [("admin", "session_mismatch")]


@pytest.mark.requirement("OAU-017", "ISO-10")
async def test_who_lost_the_tenant_meanwhile_cannot_finish_it(api, alice):
    callback = api.provider.sign_in((await api.begin(alice))["authorizationUrl"])
    api.host.writers["alice"].clear()
    api.host.writers["alice"].add("globex")
    refused = await alice.get(callback)
    assert (refused.status_code, refused.json()["error"]["code"]) == (403, "auth/forbidden")
    assert api.host.asked[-2:] == [("connect", None), ("connect", "acme")]
    assert api.provider.count("exchange") == 0


@pytest.mark.requirement("OAU-019")
async def test_the_path_must_be_the_one_of_this_connection(api, alice):
    begun = await api.begin(alice)
    callback = urlsplit(api.provider.sign_in(begun["authorizationUrl"]))
    for other in (uuid4(), "not-a-uuid"):
        refused = await alice.get(f"/oauth/callback/{other}?{callback.query}")
        assert (refused.status_code, refused.json()) == (400, REFUSED)
    assert api.provider.count("exchange") == 0
    assert (await alice.get(callback.geturl())).status_code == 200


@pytest.mark.requirement("OAU-014")
@pytest.mark.parametrize("query", ["", "state=unknown&code=fake", "code=fake", "state=&state=", "state=%ff&code=%00"])
async def test_a_callback_without_an_open_flow_is_refused(api, alice, query):
    refused = await alice.get(f"/oauth/callback/{uuid4()}?{query}")
    assert (refused.status_code, refused.json()) == (400, REFUSED)


@pytest.mark.requirement("OAU-021")
async def test_a_doubled_parameter_is_refused(api, alice):
    callback = api.provider.sign_in((await api.begin(alice))["authorizationUrl"])
    refused = await alice.get(f"{callback}&code=fake-second")
    assert refused.status_code == 400
    assert api.provider.count("exchange") == 0


async def test_a_flow_ends_after_ten_minutes(api, alice):
    callback = api.provider.sign_in((await api.begin(alice))["authorizationUrl"])
    api.clock.advance(Settings().pending_lifetime)
    assert (await alice.get(callback)).json() == REFUSED


@pytest.mark.requirement("OAU-016")
async def test_a_state_works_once(api, alice):
    callback = api.provider.sign_in((await api.begin(alice))["authorizationUrl"])
    cookies = dict(alice.cookies)
    assert (await alice.get(callback)).status_code == 200
    again = await alice.get(callback, headers={"Cookie": "; ".join(f"{name}={value}" for name, value in cookies.items())})
    assert (again.status_code, again.json()) == (400, REFUSED)


@pytest.mark.requirement("OAU-018")
async def test_two_flows_in_one_browser_do_not_disturb_each_other(api, alice):
    first = await api.begin(alice)
    second = await api.begin(alice)
    assert len(list(alice.cookies.jar)) == 2
    assert (await alice.get(api.provider.sign_in(first["authorizationUrl"]))).status_code == 200
    assert len(list(alice.cookies.jar)) == 1
    # The provider is connected now, so the other flow was closed with it.
    assert (await alice.get(api.provider.sign_in(second["authorizationUrl"]))).json() == REFUSED


@pytest.mark.requirement("OAU-012", "OAU-028", "OAU-023")
async def test_a_refusal_is_a_page_with_code_and_advice(api, alice):
    callback = api.provider.sign_in((await api.begin(alice))["authorizationUrl"], approve=False)
    refused = await alice.get(f"{callback}&error_description=<script>alert(1)</script>", headers=BROWSER)
    assert refused.status_code == 400
    assert refused.headers["content-type"].startswith("text/html")
    assert "default-src 'none'" in refused.headers["content-security-policy"]
    assert (refused.headers["cache-control"], refused.headers["referrer-policy"]) == ("no-store", "no-referrer")
    assert "integration/oauth-error" in refused.text
    assert "Start the connection again." in refused.text
    assert refused.headers["x-request-id"] in refused.text
    assert "alert" not in refused.text


async def test_a_provider_that_fails_is_502_and_says_when_to_come_back(api, alice):
    callback = api.provider.sign_in((await api.begin(alice))["authorizationUrl"])
    api.provider.misbehave(Misbehaviour.UNAVAILABLE, endpoint="exchange", times=None)
    failed = await alice.get(callback)
    assert (failed.status_code, failed.json()["error"]["code"]) == (502, "integration/oauth-error")


async def test_nobody_is_told_so_on_a_page_too(api):
    async with api.client(None) as client:
        refused = await client.get(f"/oauth/callback/{uuid4()}?state=x", headers=BROWSER)
    assert refused.status_code == 403
    assert "auth/forbidden" in refused.text


@pytest.mark.parametrize(
    ("accept", "html"),
    [
        ("text/html", True),
        ("text/html;q=0.5, application/json", False),
        ("application/json;q=0.1,text/html;q=0.2", True),
        ("*/*", False),
        ("", False),
        ("text/html;q=none", False),
        ("text/html;level=1;q=0.4", True),
    ],
)
async def test_a_page_is_for_who_prefers_one(api, alice, accept, html):
    refused = await alice.get(f"/oauth/callback/{uuid4()}", headers={"Accept": accept})
    assert refused.headers["content-type"].startswith("text/html" if html else "application/json")


@pytest.mark.requirement("OAU-018")
@pytest.mark.parametrize(
    ("loopback", "url", "plain"),
    [
        (True, "http://127.0.0.1:8000", True),
        (True, "http://localhost:8000", True),
        (True, "http://[::1]:8000", True),
        (True, "https://127.0.0.1:8000", False),
        (True, "http://app.example.com", False),
        (False, "http://127.0.0.1:8000", False),
    ],
)
async def test_the_cookie_is_plain_only_on_this_machine_in_development(make_api, loopback, url, plain):
    api = make_api(loopback=loopback)
    async with api.client(base_url=f"{url}/api/v1") as client:
        body = {"providerId": str(api.oauth.provider_id), "name": "Production"}
        cookie = (await client.post("/tenants/acme/authorizations", json=body)).headers["set-cookie"]
    assert cookie.startswith("ci_" if plain else "__Host-ci_")
    assert ("Secure" in cookie) is not plain


async def test_a_flow_works_over_http_on_this_machine(make_api):
    callback = "http://127.0.0.1:8000/api/v1/oauth/callback"
    api = make_api(loopback=True, settings=Settings(callback_url=callback, loopback=True))
    async with api.client(base_url="http://127.0.0.1:8000/api/v1") as client:
        begun = await api.begin(client)
        arrived = await client.get(api.provider.sign_in(begun["authorizationUrl"]))
    assert arrived.status_code == 200, arrived.text


async def test_another_account_is_pointed_out(api, alice):
    integration = await api.connect_oauth()
    begun = await alice.post(f"/tenants/acme/integrations/{integration['id']}/reconnect", json={})
    api.provider.account = "acct-2"
    arrived = await alice.get(api.provider.sign_in(begun.json()["data"]["authorizationUrl"]), headers=BROWSER)
    assert "This is another account than before." in arrived.text


@pytest.mark.requirement("OAU-027")
async def test_a_callback_comes_by_get_alone(api, alice):
    """The response mode `form_post` is not offered, so nothing reads a form, and no parser of multipart bodies comes along."""
    for body in ({"code": "fake-code", "state": "fake-state"}, {}):
        answer = await alice.post(f"/oauth/callback/{uuid4()}", data=body)
        assert answer.status_code == 405
    declared = Path(__file__).parents[3] / "requirements/demo.txt"
    assert "multipart" not in declared.read_text(encoding="utf-8")
