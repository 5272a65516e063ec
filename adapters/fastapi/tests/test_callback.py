"""A browser goes to the provider and comes back."""

from __future__ import annotations

import re
from base64 import b64encode
from hashlib import sha256
from html import unescape
from pathlib import Path
from urllib.parse import parse_qsl, urlencode, urlsplit
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
    assert re.match(r"__Host-ci_[0-9a-f]{16}=[A-Za-z0-9_-]{43}\.[.A-Za-z0-9_-]*; ", cookie)
    assert {part.strip().lower() for part in cookie.split(";")[1:]} == {"httponly", "max-age=1800", "path=/", "samesite=lax", "secure"}
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
    assert re.findall(r"<script|src=|href=[^>]*|http", arrived.text) == ['href="/"']
    (kept,) = alice.cookies.jar
    assert kept.value.startswith("."), "the browser's value is gone; what the flow was for stays a while"


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
    events = [record.event for record in await api.call("audit.list", "acme")]
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
    assert [cookie.value.startswith(".") for cookie in alice.cookies.jar] == [True, False]
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
    assert "You declined" in refused.text
    assert "You can start again at any time." in refused.text
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
    assert "<h1>Not allowed</h1>" in refused.text


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
def test_no_parser_of_multipart_bodies_comes_along():
    declared = Path(__file__).parents[3] / "requirements/demo.txt"
    assert "multipart" not in declared.read_text(encoding="utf-8")


# By a form that the provider's page posts (form_post)


FORM = {"Content-Type": "application/x-www-form-urlencoded"}


def _posted(api, begun):
    """Be the provider's page: return the address it posts to, and the fields."""
    callback = urlsplit(api.provider.sign_in(begun["authorizationUrl"]))
    return callback.path.removeprefix("/api/v1"), dict(parse_qsl(callback.query))


def _relayed(answer):
    """Be the browser: return the form that a page of ours holds."""
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/html; charset=utf-8")
    found = re.findall(r'<input type="hidden" name="([^"]*)" value="([^"]*)">', answer.text)
    return re.search(r'action="([^"]*)"', answer.text)[1], {unescape(name): unescape(value) for name, value in found}


@pytest.mark.requirement("OAU-012", "OAU-018", "OAU-027", "OAU-028")
async def test_a_form_of_the_providers_page_comes_back_through_a_page_of_ours(api, alice, caplog):
    path, fields = _posted(api, await api.begin(alice))
    async with api.client(None) as without_cookies:
        first = await without_cookies.post(path, data=fields, headers={**BROWSER, "Sec-Fetch-Site": "cross-site"})
    action, again = _relayed(first)
    assert (action, again) == ("?relayed=1", fields)
    policy = first.headers["content-security-policy"]
    script = re.search(r"<script>(.*)</script>", first.text)[1]
    # The form's own function, also where a field is named `submit`.
    assert script == "HTMLFormElement.prototype.submit.call(document.forms[0])"
    assert f"'sha256-{b64encode(sha256(script.encode()).digest()).decode()}'" in policy
    assert {"default-src 'none'", "form-action 'self'", "frame-ancestors 'none'"} <= {part.strip() for part in policy.split(";")}
    assert (first.headers["cache-control"], first.headers["referrer-policy"]) == ("no-store", "no-referrer")
    assert [record.event.action for record in await api.call("audit.list", "acme")] == ["authorization.begun"]
    arrived = await alice.post(path + action, data=again, headers={**BROWSER, "Sec-Fetch-Site": "same-origin"})
    assert arrived.status_code == 200
    assert "is connected" in arrived.text
    assert api.provider.count("exchange") == 1
    assert fields["code"] not in caplog.text
    assert fields["code"] not in arrived.text


@pytest.mark.requirement("OAU-014", "OAU-017", "OAU-018", "OAU-027")
async def test_a_posted_code_is_bound_to_browser_and_person_like_any_other(api, alice):
    path, fields = _posted(api, await api.begin(alice))
    async with api.client(None) as nobody, api.client() as another_browser, api.client("bob") as bob:
        for client, status in ((nobody, 403), (another_browser, 400), (bob, 400)):
            refused = await client.post(f"{path}?relayed=1", data=fields)
            assert refused.status_code == status
    forged = await alice.post(f"{path}?relayed=1", data=fields, headers={"Sec-Fetch-Site": "cross-site"})
    assert forged.status_code == 403
    assert api.provider.count("exchange") == 0
    assert (await alice.post(f"{path}?relayed=1", data=fields)).status_code == 200


@pytest.mark.requirement("OAU-027", "OAU-028")
async def test_what_a_page_posts_is_escaped(api, alice):
    fields = {'"><script>alert(1)</script>': "'\"<&>", "state": "x"}
    answer = await alice.post(f"/oauth/callback/{uuid4()}", data=fields)
    assert _relayed(answer)[1] == fields
    assert answer.text.count("<script>") == 1


@pytest.mark.requirement("OAU-027")
@pytest.mark.parametrize("query", ["", "?relayed=1"])
@pytest.mark.parametrize(
    ("content", "named", "field"),
    [
        ("code=fake-code&" + "a" * 16384, FORM, "body"),
        ("&".join(f"f{number}=fake-code" for number in range(21)), FORM, "body"),
        ("code=fake-code&code=fake-other", FORM, "body"),
        ("state=fake-code\xe9", FORM, "body"),
        ("code=%ff", FORM, "body"),
        ("fake-code", FORM, "body"),
        ("{}", {"Content-Type": "application/json"}, "Content-Type"),
        ("--x\r\n", {"Content-Type": "multipart/form-data; boundary=x"}, "Content-Type"),
        ("code=fake-code", {"Content-Type": "text/plain"}, "Content-Type"),
    ],
    ids=["long", "many", "twice", "latin-1", "not-utf-8", "no-form", "json", "multipart", "text"],
)
async def test_a_form_is_small_plain_and_says_everything_once(api, alice, content, named, field, query):
    refused = await alice.post(f"/oauth/callback/{uuid4()}{query}", content=content.encode("latin-1"), headers=named)
    assert refused.status_code == 422
    assert [told["field"] for told in refused.json()["error"]["details"]["fields"]] == [field]
    assert "fake" not in refused.text


async def test_a_form_may_have_twenty_fields_and_sixteen_kibibytes(api, alice):
    fields = {f"f{number}": "" for number in range(18)} | {"state": ""}
    rest = 16 * 1024 - len(urlencode(fields)) - len("&code=")
    answer = await alice.post(f"/oauth/callback/{uuid4()}", data=fields | {"code": "a" * rest})
    assert len(_relayed(answer)[1]) == 20


@pytest.mark.parametrize(
    ("path", "content", "status"),
    [(uuid4(), b"", 422), (uuid4(), b"code=x", 422), ("no-uuid", b"state=x&code=x", 400), (f"{uuid4()}?relayed=1", b"", 400)],
    ids=["empty", "no-state", "no-uuid", "relayed-empty"],
)
async def test_what_names_no_authorization_is_not_sent_back_to_the_browser(alice, path, content, status):
    assert (await alice.post(f"/oauth/callback/{path}", content=content, headers=FORM)).status_code == status


async def test_the_hosts_own_answer_to_a_callback_tells_nobody_its_address(api, alice):
    callback = api.provider.sign_in((await api.begin(alice))["authorizationUrl"])
    api.host.challenges = True
    async with api.client(None) as nobody:
        refused = await nobody.get(callback)
    assert (refused.status_code, refused.headers["www-authenticate"]) == (401, "Bearer")
    assert (refused.headers["referrer-policy"], refused.headers["cache-control"]) == ("no-referrer", "no-store")
