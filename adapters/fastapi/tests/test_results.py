"""What a browser is shown when it comes back from a provider, and at which address."""

from __future__ import annotations

import re
from datetime import timedelta
from urllib.parse import parse_qsl, urlsplit

import pytest

from cloud_integrations import AccountGrants, Settings
from cloud_integrations.errors import AppMisconfiguredError, GrantRefusedError, IntegrationExistsError, StorageUnavailableError
from cloud_integrations.testing import Misbehaviour

CALLBACK = "https://app.example.com/api/v1/oauth/callback"
PROVIDER = "0f0c7f2e-8a53-5f4e-9f43-3d1f0f6d2b11"
BROWSER = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8", "Sec-Fetch-Mode": "navigate"}


def _title(page):
    return re.search(r"<h1>(.*?)</h1>", page.text)[1]


async def visit(client, callback):
    """Be a browser: go to the callback, and on to where it leads."""
    answer = await client.get(callback, headers=BROWSER)
    assert answer.status_code == 303, answer.text
    return await client.get(str(answer.url.join(answer.headers["location"])), headers=BROWSER)


async def begun_callback(api, client, *, approve=True, **begin):
    return api.provider.sign_in((await api.begin(client, **begin))["authorizationUrl"], approve=approve)


async def reconnected(api, client, integration, **body):
    begun = await client.post(f"/tenants/acme/integrations/{integration['id']}/reconnect", json=body)
    return api.provider.sign_in(begun.json()["data"]["authorizationUrl"])


# Where the browser is


@pytest.mark.requirement("OAU-012", "OAU-026", "OAU-028")
async def test_the_page_of_a_connection_can_be_reloaded_and_its_address_holds_neither_code_nor_state(api, alice):
    callback = await begun_callback(api, alice, name="<b>Production</b>")
    secrets = [value for name, value in parse_qsl(urlsplit(callback).query) if name in {"code", "state"}]
    page = await visit(alice, callback)
    assert page.url.path == "/api/v1/oauth/result"
    assert not [secret for secret in secrets if secret in str(page.url) or secret in page.text]
    for shown in (page, await alice.get(str(page.url), headers=BROWSER), await alice.get(str(page.url))):
        assert (shown.status_code, _title(shown)) == (200, "Connected")
        assert "&lt;b&gt;Production&lt;/b&gt;” is connected as" in shown.text
        assert "default-src 'none'" in shown.headers["content-security-policy"]
        assert (shown.headers["cache-control"], shown.headers["referrer-policy"]) == ("no-store", "no-referrer")
    assert api.provider.count("exchange") == 1


@pytest.mark.parametrize("header", [{"Sec-Fetch-Mode": "navigate"}, {"Upgrade-Insecure-Requests": "1"}])
async def test_a_browsers_window_is_sent_on_and_a_program_is_answered_at_once(api, alice, header):
    answers = [
        await alice.get(await begun_callback(api, alice, approve=False), headers={"Accept": accept} | more)
        for accept, more in (("text/html", header), ("text/html", {}), ("*/*", header))
    ]
    assert [answer.status_code for answer in answers] == [303, 400, 400]
    assert [answer.headers.get("content-type") for answer in answers] == [None, "text/html; charset=utf-8", "application/json"]


@pytest.mark.requirement("OAU-027")
async def test_a_posted_callback_is_sent_on_too(api, alice):
    callback = urlsplit(await begun_callback(api, alice))
    path = callback.path.removeprefix("/api/v1")
    arrived = await alice.post(f"{path}?relayed=1", data=dict(parse_qsl(callback.query)), headers=BROWSER)
    assert arrived.status_code == 303
    assert _title(await alice.get(str(arrived.url.join(arrived.headers["location"])), headers=BROWSER)) == "Connected"


# Twice, late, and in another tab


@pytest.mark.requirement("OAU-014", "OAU-016")
async def test_a_callback_that_comes_twice_reads_already_connected(api, alice):
    callback = await begun_callback(api, alice)
    assert _title(await visit(alice, callback)) == "Connected"
    again = await visit(alice, callback)
    assert (again.status_code, _title(again)) == (200, "Already connected")
    direct = await alice.get(callback, headers={"Accept": "text/html"})
    assert (direct.status_code, _title(direct)) == (200, "Already connected")
    assert "Production” is connected as" in direct.text
    assert (await alice.get(callback)).json()["error"]["details"] == {"reason": "state_not_valid"}, "a program is told what is so"
    assert api.provider.count("exchange") == 1


@pytest.mark.requirement("Q41")
async def test_a_page_says_that_the_account_is_connected_more_than_once(api, alice, monkeypatch):
    assert "more than once" not in (await visit(alice, await begun_callback(api, alice))).text
    await api.call("delete", "acme", api.oauth.id)

    async def several(*_):
        return AccountGrants(held=2, most=2)

    monkeypatch.setattr("cloud_integrations.flows.connect.grants.count_grants", several)
    page = await visit(alice, await begun_callback(api, alice))
    assert "This account is connected more than once" in page.text
    assert "This account is connected more than once" in (await alice.get(str(page.url), headers=BROWSER)).text


async def test_another_tab_that_comes_later_reads_already_connected(api, alice):
    first, second = await begun_callback(api, alice), await begun_callback(api, alice)
    assert _title(await visit(alice, first)) == "Connected"
    assert _title(await visit(alice, second)) == "Already connected"
    assert api.provider.count("exchange") == 1


async def test_a_provider_that_was_connected_in_another_way_meanwhile_reads_so_too(api, alice, monkeypatch):
    callback = await begun_callback(api, alice, returnTo="/settings")
    await visit(alice, await begun_callback(api, alice))

    def exists(*args, **kwargs):
        raise IntegrationExistsError(tenant_id="acme", provider_id=str(api.oauth.provider_id))

    monkeypatch.setattr(api.manager, "complete_oauth", exists)
    assert _title(await visit(alice, callback)) == "Already connected"
    assert (await alice.get(callback)).status_code == 409


@pytest.mark.requirement("OAU-016")
async def test_a_reconnect_that_comes_too_late_is_not_taken_for_the_consent_of_before(api, alice):
    integration = await api.connect_oauth()
    late, timely = await reconnected(api, alice, integration), await reconnected(api, alice, integration)
    api.clock.advance(Settings().pending_lifetime)
    expired = await visit(alice, late)
    assert (expired.status_code, _title(expired)) == (200, "This link has expired")
    assert _title(await visit(alice, await reconnected(api, alice, integration))) == "Connected"
    assert _title(await visit(alice, timely)) == "Already connected", "now there is a newer consent"


async def test_a_page_that_came_before_the_connection_was_stored_shows_it_once_it_is(api, alice, monkeypatch):
    callback = await begun_callback(api, alice)
    with monkeypatch.context() as meanwhile:

        def taken(*args, **kwargs):
            raise GrantRefusedError(reason="state_not_valid")  # the first callback is still asking the provider

        meanwhile.setattr(api.manager, "complete_oauth", taken)
        page = await visit(alice, callback)
    assert (page.status_code, _title(page)) == (200, "This link has expired")
    await visit(alice, callback)
    page = await alice.get(str(page.url), headers=BROWSER)
    assert (page.status_code, _title(page)) == (200, "Already connected")
    await api.call("delete", "acme", (await api.call("list_integrations", "acme"))[0].id)
    assert _title(await alice.get(str(page.url), headers=BROWSER)) == "This link has expired"


@pytest.mark.requirement("OAU-014")
async def test_a_link_of_somebody_else_reads_like_one_that_never_was(api, alice):
    callback = await begun_callback(api, alice)
    unknown = re.sub("state=[^&]*", "state=" + "A" * 43, callback)
    async with api.client() as another_browser, api.client("admin", cookies=dict(alice.cookies)) as another_person:
        for client in (another_browser, another_person):
            pages = [await visit(client, url) for url in (callback, unknown)]
            assert [(page.status_code, _title(page)) for page in pages] == [(200, "Not your link")] * 2
            texts = [page.text.replace(dict(parse_qsl(page.url.query.decode()))["requestId"], "") for page in pages]
            assert texts[0] == texts[1]
            assert [sorted(dict(parse_qsl(page.url.query.decode()))) for page in pages] == [["requestId", "result"]] * 2
    assert _title(await visit(alice, callback)) == "Connected", "the owner's flow stays open"


@pytest.mark.parametrize("value", ["x", "....", "a.b.c.d.e", "." * 9, "{token}.{rest}"])
async def test_a_cookie_that_is_not_ours_is_no_cookie(api, alice, value):
    callback = await begun_callback(api, alice)
    (cookie,) = alice.cookies.jar
    async with api.client(cookies={cookie.name: value}) as client:
        assert _title(await visit(client, callback)) == "Not your link"


@pytest.mark.requirement("OAU-018")
async def test_cookies_do_not_grow_without_end_and_open_flows_stay_longest(api, alice):
    callback = await begun_callback(api, alice)
    await visit(alice, callback)
    ended = {cookie.name for cookie in alice.cookies.jar}
    integration = (await alice.get("/tenants/acme/integrations")).json()["data"][0]
    for _ in range(20):
        api.clock.advance(timedelta(seconds=6))  # as often as it may be begun
        await reconnected(api, alice, integration)
    names = {cookie.name for cookie in alice.cookies.jar}
    assert len(names) == 20
    assert not ended & names


# Refusals, told apart


@pytest.mark.parametrize(
    ("query", "status", "title"),
    [
        ({"error": "access_denied"}, 200, "You declined"),
        ({"error": "invalid_scope"}, 200, "A mistake in our configuration"),
        ({"error": "unauthorized_client"}, 200, "A mistake in our configuration"),
        ({"error": "server_error"}, 200, "The provider is not available"),
        ({"error": "temporarily_unavailable"}, 200, "The provider is not available"),
        ({"error": "login_required"}, 200, "The provider refused"),
        ({"error": "a_word_of_its_own"}, 200, "The provider refused"),
        ({"code": ""}, 200, "The provider refused"),
        ({"code": "fake-code-that-nobody-issued"}, 200, "This link has expired"),
    ],
)
async def test_a_refusal_says_whose_matter_it_is(api, alice, query, status, title):
    state = (await api.begin(alice))["state"]
    path = f"/oauth/callback/{await _context(api)}"
    answer = await alice.get(path, params={"state": state} | query, headers=BROWSER)
    page = await alice.get(str(answer.url.join(answer.headers["location"])), headers=BROWSER)
    assert (page.status_code, _title(page)) == (status, title)
    assert 'href="/"' in page.text, "there is a way back"
    assert answer.headers["x-request-id"] in page.text


async def _context(api):
    known = await api.call("list_providers")
    return urlsplit(next(one.redirect_uri for one in known if one.redirect_uri)).path.rpartition("/")[2]


async def test_another_account_is_told_so(make_api):
    api = make_api(settings=Settings(callback_url=CALLBACK, pin_accounts=True))
    integration = await api.connect_oauth()
    async with api.client() as alice:
        api.provider.account = "acct-2"
        page = await visit(alice, await reconnected(api, alice, integration))
    assert (page.status_code, _title(page)) == (200, "Another account")


async def test_a_changed_account_is_pointed_out_on_the_page(api, alice):
    integration = await api.connect_oauth()
    api.provider.account = "acct-2"
    page = await visit(alice, await reconnected(api, alice, integration))
    assert _title(page) == "Connected"
    assert "This is another account than before." in page.text


async def test_a_provider_that_is_down_is_told_so(api, alice):
    callback = await begun_callback(api, alice)
    api.provider.misbehave(Misbehaviour.UNAVAILABLE, endpoint="exchange", times=None)
    page = await visit(alice, callback)
    assert (page.status_code, _title(page)) == (200, "The provider is not available")


@pytest.mark.parametrize(
    ("error", "status", "title"),
    [
        (StorageUnavailableError(), 503, "Not available right now"),
        (AppMisconfiguredError(provider_id="1", reason="invalid_client"), 502, "A mistake in our configuration"),
        (RuntimeError("fake-secret"), 500, "Something went wrong on our side"),
    ],
    ids=["storage", "application", "internal"],
)
async def test_trouble_of_ours_is_told_so(api, alice, monkeypatch, error, status, title):
    callback = await begun_callback(api, alice)

    def fail(*args, **kwargs):
        raise error

    monkeypatch.setattr(api.manager, "complete_oauth", fail)
    page = await visit(alice, callback)
    assert (page.status_code, _title(page)) == (200, title)
    assert "fake-secret" not in page.text
    direct = await alice.get(callback, headers={"Accept": "text/html"})
    assert _title(direct) == title
    assert (direct.status_code, direct.headers.get("retry-after")) == (status, "5" if status == 503 else None)


async def test_a_page_is_shown_where_the_store_cannot_say_what_is_connected(api, alice, monkeypatch):
    callback = await begun_callback(api, alice)
    await visit(alice, callback)

    def fail(*args, **kwargs):
        raise StorageUnavailableError

    monkeypatch.setattr(api.manager, "list_integrations", fail)
    assert _title(await alice.get(callback, headers={"Accept": "text/html"})) == "This link has expired"
    page = await visit(alice, callback)
    assert (page.status_code, _title(page)) == (503, "Not available right now")


# Back to the host


@pytest.mark.requirement("OAU-025")
@pytest.mark.parametrize(
    ("return_to", "location"),
    [
        ("/settings", "/settings?error=declined"),
        ("/settings?tab=2&error=old#cloud", "/settings?tab=2&error=declined#cloud"),
        ("/settings/café?a=%2F", "/settings/caf%C3%A9?a=%2F&error=declined"),
    ],
)
@pytest.mark.parametrize("headers", [BROWSER, {"Accept": "application/json"}], ids=["browser", "program"])
async def test_a_refusal_too_goes_back_to_where_it_was_asked_to(api, alice, return_to, location, headers):
    refused = await alice.get(await begun_callback(api, alice, approve=False, returnTo=return_to), headers=headers)
    assert (refused.status_code, refused.headers["location"]) == (303, location)


async def test_a_second_try_that_succeeds_takes_the_refusal_of_the_first_away(api, alice):
    refused = await alice.get(await begun_callback(api, alice, approve=False, returnTo="/settings?tab=2"), headers=BROWSER)
    again = refused.headers["location"]
    assert again == "/settings?tab=2&error=declined"
    assert (await alice.get(await begun_callback(api, alice, returnTo=again), headers=BROWSER)).headers["location"] == "/settings?tab=2"


async def test_who_lost_the_tenant_or_the_browser_goes_back_too(api, alice):
    callback = await begun_callback(api, alice, returnTo="/settings")
    async with api.client() as another_browser:
        refused = await another_browser.get(callback, headers=BROWSER)
    assert refused.headers["location"] == "/settings?error=not_yours"
    api.host.writers["alice"] = {"globex"}
    assert (await alice.get(callback, headers=BROWSER)).headers["location"] == "/settings?error=forbidden"


async def test_from_a_path_that_is_nobodys_callback_nobody_is_sent_back(api, alice):
    query = urlsplit(await begun_callback(api, alice, returnTo="/settings")).query
    assert (await alice.get(f"/oauth/callback/no-uuid?{query}")).status_code == 400


@pytest.mark.requirement("OAU-014")
async def test_nobody_else_is_sent_to_where_the_owner_wanted_to_go(api, alice):
    callback = await begun_callback(api, alice, returnTo="/settings")
    async with api.client("admin") as other:
        assert (await other.get(callback, headers=BROWSER)).headers["location"].startswith("../result?result=not_yours&")


# The page alone


@pytest.mark.requirement("ISO-11")
async def test_what_is_connected_is_shown_only_to_who_may_connect_there(api, alice):
    page = await visit(alice, await begun_callback(api, alice))
    async with api.client("bob") as bob, api.client(None) as nobody:
        for client in (bob, nobody):
            refused = await client.get(str(page.url), headers=BROWSER)
            assert (refused.status_code, _title(refused)) == (403, "Not allowed")
            assert "Production" not in refused.text


@pytest.mark.parametrize(
    ("query", "status", "title"),
    [
        ("result=connected", 200, "No longer connected"),
        (f"result=connected&tenantId=acme&providerId={PROVIDER}", 200, "No longer connected"),
        ("result=expired", 200, "This link has expired"),
        ("result=<script>", 422, "Not a valid link"),
        ("result=declined&requestId=<script>", 422, "Not a valid link"),
        ("result=expired&tenantId=has%20space&providerId=" + PROVIDER, 422, "Not a valid link"),
        ("", 422, "Not a valid link"),
    ],
)
async def test_an_address_that_was_made_up_says_nothing_untrue(alice, query, status, title):
    page = await alice.get(f"/oauth/result?{query}", headers=BROWSER)
    assert (page.status_code, _title(page)) == (status, title)
    assert "<script" not in page.text
