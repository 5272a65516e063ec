"""Device codes over HTTP (RFC 8628): beginning answers with a code, and polling with the integration."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from uuid import uuid4

import pytest

from cloud_integrations.testing import Misbehaviour

AUTHORIZATIONS = "/tenants/acme/authorizations"


@pytest.fixture
def api(make_api):
    return make_api(device_codes=True)


async def poll(client, begun, tenant="acme"):
    return await client.post(f"/tenants/{tenant}/authorizations/{begun['authorizationId']}/poll")


def wait(api, seconds):
    api.clock.advance(timedelta(seconds=seconds))


async def test_the_person_enters_the_code_in_any_browser(api, alice):
    begun = await api.begin(alice, device=True, scopes=["read"])
    assert begun.keys() == {
        "authorizationId",
        "integrationId",
        "userCode",
        "verificationUri",
        "verificationUriComplete",
        "scopes",
        "interval",
        "expiresAt",
    }
    assert begun["verificationUriComplete"].endswith(begun["userCode"])
    waits = (await poll(alice, begun)).json()["data"]
    assert waits == {"pending": True, "interval": begun["interval"], "expiresAt": begun["expiresAt"]}
    api.provider.enter_code(begun["userCode"])
    # Whoever polls too early only learns how long to wait: the provider is not asked.
    asked = len(api.provider.requests)
    assert (await poll(alice, begun)).json()["data"]["pending"] is True
    assert len(api.provider.requests) == asked
    wait(api, begun["interval"])
    connected = await poll(alice, begun)
    assert (connected.status_code, connected.json()["data"]["id"]) == (200, begun["integrationId"])
    assert connected.headers["cache-control"] == "no-store"
    assert len(connected.json()["data"]) == 8
    # The answer may be lost: the next poll says the same.
    assert (await poll(alice, begun)).json() == connected.json()
    assert (await api.call("credential", "acme", begun["integrationId"])).headers()


async def test_two_polls_at_once_connect_once(api, alice):
    begun = await api.begin(alice, device=True)
    api.provider.enter_code(begun["userCode"])
    wait(api, begun["interval"])
    answers = await asyncio.gather(*(poll(alice, begun) for _ in range(4)))
    assert {answer.status_code for answer in answers} == {200}
    assert (await poll(alice, begun)).json()["data"]["id"] == begun["integrationId"]
    assert len((await alice.get("/tenants/acme/integrations")).json()["data"]) == 1


@pytest.mark.parametrize(("what", "reason"), [("deny", "access_denied"), ("end", "expired_token")])
async def test_a_refusal_and_the_end_of_the_code_are_told(api, alice, what, reason):
    begun = await api.begin(alice, device=True)
    if what == "deny":
        api.provider.enter_code(begun["userCode"], approve=False)
    wait(api, begun["interval"] if what == "deny" else 3600)
    refused = await poll(alice, begun)
    assert (refused.status_code, refused.json()["error"]["details"]["reason"]) == (400, reason)
    assert (await poll(alice, begun)).status_code == 400


async def test_only_who_began_can_poll(api, alice):
    begun = await api.begin(alice, device=True)
    api.provider.enter_code(begun["userCode"])
    wait(api, begun["interval"])
    async with api.client("bob") as bob:
        other = await poll(bob, begun, tenant="globex")
        assert other.status_code in {400, 403}
    unknown = await poll(alice, begun | {"authorizationId": str(uuid4())})
    malformed = await poll(alice, begun | {"authorizationId": "nothing"})
    assert unknown.status_code == malformed.status_code == 400
    assert unknown.json()["error"] == malformed.json()["error"]
    assert (await poll(alice, begun)).status_code == 200


async def test_an_outage_between_two_polls_loses_nothing(api, alice):
    begun = await api.begin(alice, device=True)
    api.provider.enter_code(begun["userCode"])
    wait(api, begun["interval"])
    api.provider.misbehave(Misbehaviour.UNAVAILABLE, endpoint="poll")
    waits = (await poll(alice, begun)).json()["data"]
    assert waits["interval"] > begun["interval"]
    wait(api, waits["interval"])
    assert (await poll(alice, begun)).json()["data"]["id"] == begun["integrationId"]


async def test_an_integration_is_reconnected_by_a_code(api, alice):
    held = await api.connect_oauth()
    where = f"/tenants/acme/integrations/{held['id']}/reconnect"
    begun = (await alice.post(where, json={"device": True})).json()["data"]
    api.provider.enter_code(begun["userCode"])
    wait(api, begun["interval"])
    assert (await poll(alice, begun)).json()["data"]["id"] == held["id"] == begun["integrationId"]


@pytest.mark.parametrize("path", ["authorizations", "reconnect"])
async def test_no_browser_comes_back_so_there_is_nowhere_to_return_to(api, alice, path):
    body = {"device": True, "returnTo": "/settings"}
    if path == "authorizations":
        refused = await alice.post(AUTHORIZATIONS, json=body | {"providerId": str(api.oauth.provider_id), "name": "Production"})
    else:
        refused = await alice.post(f"/tenants/acme/integrations/{(await api.connect_oauth())['id']}/reconnect", json=body)
    assert (refused.status_code, refused.json()["error"]["details"]["fields"][0]["field"]) == (422, "returnTo")


async def test_a_key_and_a_code_are_not_given_together(api, alice):
    held = await api.connect_key()
    body = {"device": True, "credentials": {"apiKey": "fake-key"}}
    refused = await alice.post(f"/tenants/acme/integrations/{held['id']}/reconnect", json=body)
    assert (refused.status_code, refused.json()["error"]["details"]["fields"][0]["field"]) == (422, "credentials")


async def test_a_provider_without_device_codes_is_told(make_api):
    api = make_api()
    async with api.client() as client:
        body = {"providerId": str(api.oauth.provider_id), "name": "Production", "device": True}
        refused = await client.post(AUTHORIZATIONS, json=body)
    assert refused.status_code == 422
