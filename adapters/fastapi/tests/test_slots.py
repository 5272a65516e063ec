"""Several integrations of a tenant with one provider, over HTTP."""

from __future__ import annotations

import json
import re
from datetime import timedelta
from urllib.parse import parse_qs, parse_qsl, urlsplit

import pytest
from fastapi import FastAPI

from cloud_integrations import Settings
from cloud_integrations_fastapi import create_router

CALLBACK = "https://app.example.com/api/v1/oauth/callback"
INTEGRATIONS = "/tenants/acme/integrations"
EIGHT = {"id", "tenantId", "providerId", "name", "status", "authType", "createdAt", "updatedAt"}
BROWSER = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8", "Sec-Fetch-Mode": "navigate"}


@pytest.fixture
def slotted(make_api):
    return make_api(settings=Settings(callback_url=CALLBACK, slots=True), token_route=True)


@pytest.fixture
async def alice(slotted):
    async with slotted.client() as client:
        yield client


async def _add(api, client, slot, **changes):
    key = api.provider.issue_api_key().reveal()
    body = api.key_body(name=f"In {slot or 'the default'}", credentials={"apiKey": key}, slot=slot) | changes
    api.clock.advance(timedelta(seconds=1))
    answer = await client.post(INTEGRATIONS, json=body)
    assert answer.status_code == 201, answer.text
    return answer.json()["data"]


async def _visit(client, callback):
    """Be a browser: go to the callback, and on to where it leads."""
    answer = await client.get(callback, headers=BROWSER)
    assert answer.status_code == 303, answer.text
    return await client.get(str(answer.url.join(answer.headers["location"])), headers=BROWSER)


def _shown(page):
    return re.search(r"<h1>(.*?)</h1><p>“(.*?)” is connected", page.text).groups()


async def test_a_tenant_connects_two_accounts_and_each_is_shown_with_its_slot(slotted, alice):
    first, second = await _add(slotted, alice, "production"), await _add(slotted, alice, "")
    assert first.keys() == EIGHT | {"slot"}
    assert (first["slot"], second["slot"]) == ("production", "")
    assert (await alice.get(INTEGRATIONS)).json() == {"data": [first, second]}
    assert (await alice.get(f"{INTEGRATIONS}?slot=production")).json() == {"data": [first]}
    assert (await alice.get(f"{INTEGRATIONS}?slot=")).json() == {"data": [second]}
    assert (await alice.get(f"{INTEGRATIONS}?slot=other")).json() == {"data": []}
    detail = (await alice.get(f"{INTEGRATIONS}/{first['id']}")).json()["data"]
    assert detail["slot"] == "production"
    assert detail["health"]["state"] == "ok"


async def test_the_slot_stays_with_whatever_is_done_to_an_integration(slotted, alice):
    one = await _add(slotted, alice, "production")
    path = f"{INTEGRATIONS}/{one['id']}"
    other = await _add(slotted, alice, "staging")
    renamed = (await alice.patch(path, json={"name": "Renamed"})).json()["data"]
    assert (renamed["name"], renamed["slot"]) == ("Renamed", "production")
    body = {"credentials": {"apiKey": slotted.provider.issue_api_key().reveal()}}
    replaced = (await alice.post(f"{path}/reconnect", json=body)).json()["data"]
    assert (replaced["id"], replaced["slot"]) == (one["id"], "production")
    tokens = [(await alice.post(f"{INTEGRATIONS}/{each['id']}/token")).json()["data"] for each in (one, other)]
    assert [token["integrationId"] for token in tokens] == [one["id"], other["id"]]
    assert tokens[0]["value"] != tokens[1]["value"]
    assert (await alice.delete(path)).json() == {"success": True}
    assert [each["id"] for each in (await alice.get(INTEGRATIONS)).json()["data"]] == [other["id"]]


async def test_a_slot_that_is_taken_is_named_in_the_conflict(slotted, alice):
    await _add(slotted, alice, "production")
    again = await alice.post(INTEGRATIONS, json=slotted.key_body(slot="production"))
    assert (again.status_code, again.json()["error"]["code"]) == (409, "integration/already-exists")
    assert again.json()["error"]["details"] == {
        "tenantId": "acme",
        "providerId": str(slotted.keys.provider_id),
        "slot": "production",
    }


@pytest.mark.parametrize("slot", ["Production", "a" * 65, "a b", "a/b", "ü", "a\n", None, 7, ["a"]])
async def test_a_slot_of_another_form_is_refused_by_its_field(slotted, alice, slot):
    begin = {"providerId": str(slotted.oauth.provider_id), "name": "Production", "slot": slot}
    for answer in (
        await alice.post(INTEGRATIONS, json=slotted.key_body(slot=slot)),
        await alice.post("/tenants/acme/authorizations", json=begin),
        *([await alice.get(INTEGRATIONS, params={"slot": slot})] if isinstance(slot, str) else []),
    ):
        assert (answer.status_code, answer.json()["error"]["code"]) == (422, "integration/validation-failed")
        assert [each["field"] for each in answer.json()["error"]["details"]["fields"]] == ["slot"]
    assert (await alice.get(INTEGRATIONS)).json() == {"data": []}
    assert slotted.provider.requests == ()


async def test_without_the_switch_a_slot_is_refused_and_answers_have_eight_fields(make_api):
    api = make_api()
    begin = {"providerId": str(api.oauth.provider_id), "name": "Production", "slot": "production"}
    async with api.client() as client:
        for answer in (
            await client.post(INTEGRATIONS, json=api.key_body(slot="production")),
            await client.post("/tenants/acme/authorizations", json=begin),
            await client.get(f"{INTEGRATIONS}?slot=production"),
        ):
            assert answer.status_code == 422
            (problem,) = answer.json()["error"]["details"]["fields"]
            assert problem["field"] == "slot"
            assert "one integration with each provider" in problem["problem"]
        created = await client.post(INTEGRATIONS, json=api.key_body(slot=""))
        assert created.json()["data"].keys() == EIGHT
        assert (await client.get(f"{INTEGRATIONS}?slot=")).json()["data"] == [created.json()["data"]]
        again = await client.post(INTEGRATIONS, json=api.key_body())
        assert again.json()["error"]["details"] == {"tenantId": "acme", "providerId": str(api.keys.provider_id)}


# By OAuth2


@pytest.mark.requirement("OAU-012")
async def test_two_authorizations_for_two_slots_in_one_browser_end_each_in_its_own(slotted, alice):
    callbacks = {}
    for slot in ("production", "staging", ""):
        begun = await slotted.begin(alice, slot=slot, name=f"Slot {slot or 'none'}")
        callbacks[slot] = slotted.provider.sign_in(begun["authorizationUrl"])
    for slot in ("staging", "production"):
        assert _shown(await _visit(alice, callbacks[slot])) == ("Connected", f"Slot {slot}")
    # The same callback again, and its page once more: each shows the integration of its own slot.
    for slot in ("production", "staging"):
        page = await _visit(alice, callbacks[slot])
        assert _shown(page) == ("Already connected", f"Slot {slot}")
        assert parse_qs(urlsplit(str(page.url)).query)["slot"] == [slot]
        assert _shown(await alice.get(callbacks[slot], headers={"Accept": "text/html"})) == ("Already connected", f"Slot {slot}")
    # The third one is not connected, so it is not shown as connected because of the others.
    third = callbacks[""]
    state = dict(parse_qsl(urlsplit(third).query))["state"]
    denied = f"{third.partition('?')[0]}?error=access_denied&state={state}"
    assert "You declined" in (await _visit(alice, denied)).text
    assert "Already connected" not in (await _visit(alice, third)).text
    listed = (await alice.get(INTEGRATIONS)).json()["data"]
    assert {each["slot"]: each["name"] for each in listed} == {"staging": "Slot staging", "production": "Slot production"}


@pytest.mark.requirement("OAU-016")
async def test_a_late_reconnect_of_one_slot_is_not_taken_for_the_consent_of_another(slotted, alice):
    found = {}
    for slot in ("one", "two"):
        begun = await slotted.begin(alice, slot=slot)
        found[slot] = (await alice.get(slotted.provider.sign_in(begun["authorizationUrl"]))).json()["data"]
        assert found[slot]["slot"] == slot
    slotted.clock.advance(timedelta(seconds=1))
    begun = await alice.post(f"{INTEGRATIONS}/{found['one']['id']}/reconnect", json={})
    late = slotted.provider.sign_in(begun.json()["data"]["authorizationUrl"])
    again = await alice.post(f"{INTEGRATIONS}/{found['two']['id']}/reconnect", json={})
    await alice.get(slotted.provider.sign_in(again.json()["data"]["authorizationUrl"]))
    slotted.clock.advance(timedelta(minutes=11))
    assert "This link has expired" in (await _visit(alice, late)).text


@pytest.mark.requirement("OAU-018")
async def test_a_posted_code_goes_into_the_slot_that_its_authorization_began_for(slotted, alice):
    begun = await slotted.begin(alice, slot="production")
    callback = urlsplit(slotted.provider.sign_in(begun["authorizationUrl"]))
    params = dict(parse_qsl(callback.query))
    body = {
        "providerId": str(slotted.oauth.provider_id),
        "name": "Posted",
        "code": params["code"],
        "state": params["state"],
        "redirectUri": callback._replace(query="").geturl(),
    }
    refused = await alice.post(INTEGRATIONS, json=body | {"slot": "staging"})
    assert (refused.status_code, refused.json()["error"]["code"]) == (422, "integration/validation-failed")
    created = await alice.post(INTEGRATIONS, json=body | {"slot": "production"})
    assert (created.status_code, created.json()["data"]["slot"]) == (201, "production")


async def test_a_result_page_is_asked_only_for_slots_and_shows_nothing_to_others(slotted, alice):
    begun = await slotted.begin(alice, slot="production")
    answer = await alice.get(slotted.provider.sign_in(begun["authorizationUrl"]), headers=BROWSER)
    where = str(answer.url.join(answer.headers["location"]))
    assert "Connected" in (await alice.get(where)).text
    async with slotted.client("bob") as bob:
        assert (await bob.get(where)).status_code == 403
    assert (await alice.get(where.replace("slot=production", "slot=Production"))).status_code == 422
    assert "No longer connected" in (await alice.get(where.replace("slot=production", "slot=staging"))).text


# The OpenAPI document


def _document(api):
    app = FastAPI()
    app.include_router(create_router(api.manager, authorize=api.host.authorize))
    return app.openapi()


def _body(document, path):
    return document["paths"][f"/api/v1/tenants/{{tenantId}}/{path}"]["post"]["requestBody"]["content"]["application/json"]["schema"]


def test_the_document_says_what_this_installation_takes_and_answers(slotted, make_api):
    on, off = _document(slotted), _document(make_api())
    for path in ("integrations", "authorizations"):
        assert _body(on, path)["properties"]["slot"]["pattern"] == "^[a-z0-9._-]{0,64}$"
        assert _body(off, path)["properties"]["slot"]["enum"] == [""]
    for document, schema in ((on, "SlottedIntegrationOut"), (off, "IntegrationOut")):
        assert f"#/components/schemas/One_{schema}_" in json.dumps(document["paths"])
        assert ("slot" in document["components"]["schemas"][schema]["required"]) is (document is on)
        listed = document["paths"]["/api/v1/tenants/{tenantId}/integrations"]["get"]
        assert [each["name"] for each in listed["parameters"]] == ["tenantId", "slot"]
        example = listed["responses"]["200"]["content"]["application/json"]["example"]["data"][0]
        assert example.keys() == EIGHT | ({"slot"} if document is on else set())
    assert "Slotted" not in json.dumps(off)
    assert "#/components/schemas/One_IntegrationOut_" not in json.dumps(on)
    assert "#/components/schemas/IntegrationDetailOut" not in json.dumps(on["paths"])
