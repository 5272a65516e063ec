"""How often the routes may be used, by whom, and what is answered then."""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import timedelta
from uuid import uuid4

import pytest

from cloud_integrations import Settings

from .conftest import CALLBACK

BROWSER = {"Accept": "text/html", "Sec-Fetch-Mode": "navigate"}
LIMITED = {
    "begin_authorization",
    "choose_resource",
    "complete_authorization",
    "complete_posted_authorization",
    "list_resources",
    "reconnect",
    "reveal_token",
    "verify",
}


class Counting:
    """A store that counts its calls."""

    def __init__(self, store):
        self._store = store
        self.calls = Counter()

    def __getattr__(self, name):
        self.calls["store"] += 1
        return getattr(self._store, name)


def _begin(api, **changes):
    return {"providerId": str(api.oauth.provider_id), "name": "Production"} | changes


async def _until_refused(send, most=200):
    """How many requests are not refused for their number, and the answer to the one after."""
    for number in range(most):
        answer = await send()
        if answer.status_code == 429:
            return number, answer
    raise AssertionError(f"more than {most}")


@pytest.mark.requirement("ISO-17", "OAU-013")
async def test_an_actor_may_begin_ten_authorizations_in_a_minute(api, alice):
    path = "/tenants/acme/authorizations"
    number, refused = await _until_refused(lambda: alice.post(path, json=_begin(api)))
    assert number == 10
    assert refused.headers["Retry-After"] == "6"
    assert refused.headers["Cache-Control"] == "no-store"
    assert refused.json() == {
        "success": False,
        "error": {"code": "request/too-many", "message": "too many requests", "details": {"use": "begin"}},
    }
    api.clock.advance(timedelta(seconds=6))
    assert (await alice.post(path, json=_begin(api))).status_code == 201
    assert (await alice.post(path, json=_begin(api))).status_code == 429


@pytest.mark.requirement("ISO-17")
async def test_a_body_that_is_not_valid_counts_too(api, alice):
    path = "/tenants/acme/authorizations"
    assert (await _until_refused(lambda: alice.post(path, json={})))[0] == 10


@pytest.mark.requirement("ISO-17", "OAU-013")
async def test_a_reconnect_by_consent_is_a_beginning_and_one_by_key_is_not(api, alice):
    by_key = await api.connect_key()
    for _ in range(15):
        again = await alice.post(f"/tenants/acme/integrations/{by_key['id']}/reconnect", json={"credentials": {"apiKey": "fake-key"}})
        assert again.status_code == 422
    connected = await api.connect_oauth()
    number, refused = await _until_refused(lambda: alice.post(f"/tenants/acme/integrations/{connected['id']}/reconnect", json={}))
    assert (number, refused.json()["error"]["details"]) == (9, {"use": "begin"})


@pytest.mark.requirement("ISO-17")
async def test_an_actor_may_have_ten_credentials_checked_in_a_minute(api, alice):
    held = await api.connect_key()
    number, refused = await _until_refused(lambda: alice.post(f"/tenants/acme/integrations/{held['id']}/verify"))
    assert (number, refused.json()["error"]["details"]) == (10, {"use": "verify"})
    # Nothing tells an integration that is missing from one that is there.
    missing = await alice.post(f"/tenants/acme/integrations/{uuid4()}/verify")
    assert missing.content == refused.content


@pytest.mark.requirement("ISO-17")
async def test_an_actor_may_be_shown_sixty_credentials_in_a_minute(make_api):
    api = make_api(token_route=True)
    held = await api.connect_key()
    async with api.client() as alice:
        number, refused = await _until_refused(lambda: alice.post(f"/tenants/acme/integrations/{held['id']}/token"))
    assert (number, refused.headers["Retry-After"]) == (60, "1")


@pytest.mark.requirement("ISO-14", "ISO-15")
async def test_what_one_tenant_uses_up_another_does_not_lack(api, alice):
    await _until_refused(lambda: alice.post("/tenants/acme/authorizations", json=_begin(api)))
    async with api.client("bob") as bob, api.client("admin") as admin:
        assert (await bob.post("/tenants/globex/authorizations", json=_begin(api))).status_code == 201
        # The same person in another tenant.
        await _until_refused(lambda: admin.post("/tenants/acme/authorizations", json=_begin(api)))
        assert (await admin.post("/tenants/globex/authorizations", json=_begin(api))).status_code == 201


async def test_a_caller_without_the_permission_uses_up_nothing(api, alice):
    async with api.client("rita") as rita, api.client("bob") as bob:
        for _ in range(150):
            assert (await rita.post("/tenants/acme/authorizations", json=_begin(api))).status_code == 403
            assert (await bob.post("/tenants/acme/authorizations", json=_begin(api))).status_code == 403
    assert (await alice.post("/tenants/acme/authorizations", json=_begin(api))).status_code == 201


@pytest.mark.requirement("ISO-15")
async def test_a_tenant_at_a_hundred_times_the_load_makes_no_more_work_than_its_limit(api):
    """By the work that is done, and not by time: what a neighbour cannot have done, it cannot slow down."""
    async with api.client("alice") as alice, api.client("bob") as bob:
        held = await api.connect_key()
        other = await api.connect_key("globex", "bob")

        async def work(client, tenant, integration):
            began = store.calls.total() + len(api.provider.requests)
            answer = await client.post(f"/tenants/{tenant}/integrations/{integration['id']}/verify")
            return answer.status_code, store.calls.total() + len(api.provider.requests) - began

        wiring = api.manager._wiring
        store = Counting(wiring.store)
        object.__setattr__(wiring, "store", store)
        await work(bob, "globex", other)  # what is frozen is read now, and not again in this minute
        alone = await work(bob, "globex", other)
        quiet, noise = [], 0
        for _ in range(9):
            api.clock.advance(timedelta(seconds=6))
            for _ in range(100):
                status, done = await work(alice, "acme", held)
                assert (status, done > 0) in {(200, True), (429, False)}
                noise += done
            quiet.append(await work(bob, "globex", other))
    assert alone[0] == 200
    assert quiet == [alone] * 9, "each of the neighbour's requests is served, by the same work"
    # 900 requests in 54 seconds: ten at once, and one each six seconds.
    assert noise <= 19 * alone[1]


# Callbacks


@pytest.mark.requirement("ISO-17", "OAU-013")
async def test_thirty_callbacks_come_from_one_address_in_a_minute(api):
    path = f"/oauth/callback/{uuid4()}?state=unknown&code=fake-code"
    async with api.client(None, address="192.0.2.7") as stranger, api.client(None, address="192.0.2.8") as other:
        number, refused = await _until_refused(lambda: stranger.get(path))
        assert (number, refused.headers["Retry-After"]) == (30, "2")
        assert refused.json()["error"]["code"] == "request/too-many"
        assert (await other.get(path)).status_code == 403


@pytest.mark.requirement("ISO-17")
async def test_a_stranger_at_the_limit_does_not_reach_the_hosts_sign_in(api):
    async with api.client(None) as stranger:
        await _until_refused(lambda: stranger.get(f"/oauth/callback/{uuid4()}?state=x"))
        asked = len(api.host.asked)
        await stranger.get(f"/oauth/callback/{uuid4()}?state=x")
    assert len(api.host.asked) == asked


@pytest.mark.requirement("ISO-17")
async def test_posted_callbacks_are_counted_with_the_others(api):
    path = f"/oauth/callback/{uuid4()}"
    async with api.client(None) as stranger:
        for _ in range(15):
            assert (await stranger.post(path, data={"state": "x"})).status_code == 200
            assert (await stranger.post(f"{path}?relayed=1", data={"state": "x"})).status_code == 403
        assert (await stranger.post(path, data={"state": "x"})).status_code == 429
        assert (await stranger.get(path)).status_code == 429


@pytest.mark.requirement("ISO-17")
async def test_a_browser_at_the_limit_loses_nothing_and_connects_when_it_reloads(api, alice):
    begun = await api.begin(alice)
    back = api.provider.sign_in(begun["authorizationUrl"])
    await _until_refused(lambda: alice.get(f"/oauth/callback/{uuid4()}?state=unknown"))
    refused = await alice.get(back, headers=BROWSER)
    assert (refused.status_code, refused.headers["Retry-After"]) == (429, "2")
    assert refused.headers["Content-Type"].startswith("text/html")
    assert "reload this page" in refused.text
    api.clock.advance(timedelta(seconds=2))
    connected = await alice.get(back, headers=BROWSER)
    assert connected.status_code == 303
    assert "result=connected" in connected.headers["Location"]


async def test_pages_of_results_are_not_counted(api, alice):
    for _ in range(40):
        assert (await alice.get("/oauth/result?result=declined")).status_code == 200


# What is not limited


async def test_the_routes_of_the_contract_are_not_limited(api, alice):
    wrong = api.key_body(credentials={"apiKey": "fake-key"})
    answers = await asyncio.gather(*[alice.post("/tenants/acme/integrations", json=wrong) for _ in range(40)])
    assert {answer.status_code for answer in answers} == {422}
    answers = [await alice.get("/tenants/acme/integrations") for _ in range(40)]
    assert {answer.status_code for answer in answers} == {200}
    answers = [await alice.delete(f"/tenants/acme/integrations/{uuid4()}") for _ in range(40)]
    assert {answer.status_code for answer in answers} == {404}


async def test_the_hosts_other_routes_are_not_limited(api, alice):
    await _until_refused(lambda: alice.post("/tenants/acme/authorizations", json=_begin(api)))
    async with api.client(base_url="https://app.example.com") as client:
        assert (await client.post("/items", json={"name": "pen", "price": 1.5})).status_code == 200


async def test_the_settings_of_the_manager_name_the_numbers(make_api):
    api = make_api(settings=Settings(callback_url=CALLBACK, begin_per_minute=2, callback_per_minute=0))
    async with api.client() as alice:
        assert (await _until_refused(lambda: alice.post("/tenants/acme/authorizations", json=_begin(api))))[0] == 2
        for _ in range(50):
            assert (await alice.get(f"/oauth/callback/{uuid4()}?state=x")).status_code == 400


def test_the_document_says_which_operations_are_limited(make_sync_api):
    document = make_sync_api(token_route=True).app.openapi()
    operations = [operation for path in document["paths"].values() for operation in path.values() if "x-permission" in operation]
    limited = {operation["operationId"]: operation["responses"]["429"] for operation in operations if "429" in operation["responses"]}
    assert limited.keys() == LIMITED
    assert all("Retry-After" in answer["headers"] for answer in limited.values())
