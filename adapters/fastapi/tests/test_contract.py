"""The routes whose form may not change."""

from __future__ import annotations

import re
from dataclasses import replace
from uuid import uuid4

import pytest

from cloud_integrations import AsyncIntegrationManager, Settings
from cloud_integrations.testing import Misbehaviour

INTEGRATIONS = "/tenants/acme/integrations"
FIELDS = {"id", "tenantId", "providerId", "name", "status", "authType", "createdAt", "updatedAt"}


async def test_a_key_is_connected_listed_and_deleted(api, alice):
    created = await alice.post(INTEGRATIONS, json=api.key_body())
    assert created.status_code == 201
    assert created.json().keys() == {"data"}
    integration = created.json()["data"]
    assert integration.keys() == FIELDS
    assert integration["tenantId"] == "acme"
    assert integration["providerId"] == str(api.keys.provider_id)
    assert (integration["name"], integration["status"], integration["authType"]) == ("Production", "active", "apikey")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", integration["createdAt"])
    listed = await alice.get(INTEGRATIONS)
    assert (listed.status_code, listed.json()) == (200, {"data": [integration]})
    deleted = await alice.delete(f"{INTEGRATIONS}/{integration['id']}")
    assert (deleted.status_code, deleted.json()) == (200, {"success": True})
    assert (await alice.get(INTEGRATIONS)).json() == {"data": []}


@pytest.mark.requirement("Q76")
@pytest.mark.parametrize("revokes", [True, False])
async def test_a_key_is_revoked_as_well_if_the_query_asks_for_it_and_the_answer_says_what_became_of_it(make_api, revokes):
    api = make_api(revokes_keys=revokes)
    async with api.client() as alice:
        made = (await alice.post(INTEGRATIONS, json=api.key_body())).json()["data"]
        one = f"{INTEGRATIONS}/{made['id']}"
        refused = await alice.delete(f"{one}?revokeKey=perhaps")
        assert (refused.status_code, refused.json()["error"]["code"]) == (422, "integration/validation-failed")
        deleted = await alice.delete(f"{one}?revokeKey=true")
    said = {"apiKey": "revoked" if revokes else "unsupported", "keyReason": None, "manualUrl": None}
    assert (deleted.status_code, deleted.json()) == (200, {"success": True} | said)


async def test_a_code_that_the_front_end_received_is_connected(api, alice):
    begun = await api.begin(alice)
    callback = api.provider.sign_in(begun["authorizationUrl"])
    code, state = (re.search(rf"[?&]{name}=([^&]+)", callback)[1] for name in ("code", "state"))
    body = {"providerId": str(api.oauth.provider_id), "name": "Posted", "code": code, "redirectUri": callback.partition("?")[0]}
    created = await alice.post(INTEGRATIONS, json=body | {"state": state})
    assert created.status_code == 201, created.text
    assert created.json()["data"].keys() == FIELDS
    assert created.json()["data"]["authType"] == "oauth2"


async def test_a_second_integration_with_one_provider_is_a_conflict(api, alice):
    await api.connect_key()
    again = await alice.post(INTEGRATIONS, json=api.key_body())
    assert again.status_code == 409
    assert again.json()["success"] is False
    assert again.json()["error"].keys() == {"code", "message", "details"}
    assert again.json()["error"]["code"] == "integration/already-exists"
    assert again.json()["error"]["details"] == {"tenantId": "acme", "providerId": str(api.keys.provider_id)}


async def test_a_key_that_the_provider_refuses_is_not_stored(api, alice):
    refused = await alice.post(INTEGRATIONS, json=api.key_body(credentials={"apiKey": api.provider.invalid_api_key.reveal()}))
    assert (refused.status_code, refused.json()["error"]["code"]) == (422, "integration/invalid-credentials")
    assert (await alice.get(INTEGRATIONS)).json() == {"data": []}


@pytest.mark.parametrize(
    "pasted", ["-----BEGIN PRIVATE KEY-----\nZmFrZQ==\n-----END PRIVATE KEY-----\n", '{"private_key": "fake"}', "sk_live_fakefakefake"]
)
async def test_what_is_no_key_of_the_provider_is_refused_by_its_field_before_any_request(api, alice, pasted):
    refused = await alice.post(INTEGRATIONS, json=api.key_body(credentials={"apiKey": pasted}))
    assert (refused.status_code, refused.json()["error"]["code"]) == (422, "integration/validation-failed")
    assert [each["field"] for each in refused.json()["error"]["details"]["fields"]] == ["credentials.apiKey"]
    assert pasted[:12] not in refused.text
    assert api.provider.requests == ()


async def test_a_provider_that_is_down_is_no_refusal(api, alice):
    api.provider.misbehave(Misbehaviour.UNAVAILABLE, endpoint="me", times=None)
    down = await alice.post(INTEGRATIONS, json=api.key_body())
    assert (down.status_code, down.json()["error"]["code"]) == (502, "integration/oauth-error")


async def test_a_code_that_the_provider_refuses_is_400(api, alice):
    begun = await api.begin(alice)
    callback = api.provider.sign_in(begun["authorizationUrl"])
    state = re.search(r"[?&]state=([^&]+)", callback)[1]
    body = {"providerId": str(api.oauth.provider_id), "name": "Posted", "redirectUri": callback.partition("?")[0]}
    refused = await alice.post(INTEGRATIONS, json=body | {"code": "fake-code", "state": state})
    assert (refused.status_code, refused.json()["error"]["code"]) == (400, "integration/oauth-error")


async def test_an_unknown_provider_is_404(api, alice):
    unknown = await alice.post(INTEGRATIONS, json=api.key_body(providerId=str(uuid4())))
    assert (unknown.status_code, unknown.json()["error"]["code"]) == (404, "provider/not-found")


async def test_a_way_that_the_provider_does_not_have_is_named(api, alice):
    refused = await alice.post(INTEGRATIONS, json=api.key_body(providerId=str(api.oauth.provider_id)))
    assert (refused.status_code, refused.json()["error"]["code"]) == (422, "integration/validation-failed")


async def test_an_unknown_tenant_is_404(api):
    api.host.writers["alice"].add("nobody")
    async with api.client() as client:
        unknown = await client.get("/tenants/nobody/integrations")
    assert (unknown.status_code, unknown.json()["error"]["code"]) == (404, "tenant/not-found")


async def test_details_say_how_it_is_doing_and_what_to_do(api, alice):
    integration = await api.connect_oauth()
    shown = (await alice.get(f"{INTEGRATIONS}/{integration['id']}")).json()["data"]
    assert shown.keys() == FIELDS | {
        *("scopes", "requestedScopes", "missingScopes", "expiresAt", "reconnectBefore", "lastUsedAt", "health", "account")
    }
    assert shown["scopes"] == ["read", "write"]
    assert shown["health"].keys() == {"state", "since", "reason", "advice"}
    assert shown["health"]["state"] == "ok"
    assert shown["account"].keys() == {"id", "label"}
    assert shown["account"]["id"] == "acct-1"
    assert shown["expiresAt"].endswith("Z")


async def test_an_integration_is_renamed_and_switched_off_and_on(api, alice):
    one = f"{INTEGRATIONS}/{(await api.connect_key())['id']}"
    renamed = await alice.patch(one, json={"name": "Staging"})
    assert (renamed.status_code, renamed.json()["data"]["name"]) == (200, "Staging")
    off = await alice.patch(one, json={"status": "inactive"})
    assert (off.status_code, off.json()["data"]["status"]) == (200, "inactive")
    assert (await alice.get(one)).json()["data"]["health"]["state"] == "disabled"
    checked = await alice.post(f"{one}/verify")
    assert (checked.status_code, checked.json()["error"]["code"]) == (409, "integration/inactive")
    on = await alice.patch(one, json={"status": "active"})
    assert on.json()["data"]["status"] == "active"
    assert (await alice.patch(one, json={})).status_code == 422


async def test_a_key_is_replaced_under_the_same_id(api, alice):
    integration = await api.connect_key()
    replaced = await alice.post(
        f"{INTEGRATIONS}/{integration['id']}/reconnect", json={"credentials": {"apiKey": api.provider.issue_api_key().reveal()}}
    )
    assert replaced.status_code == 200, replaced.text
    assert replaced.json()["data"]["id"] == integration["id"]


@pytest.mark.requirement("Q54")
async def test_a_key_is_entered_with_its_end_and_each_key_with_its_own(api, alice):
    key = api.provider.valid_api_key.reveal()
    created = await alice.post(INTEGRATIONS, json=api.key_body(credentials={"apiKey": key, "endsAt": "2027-01-31T12:00:00+02:00"}))
    assert created.status_code == 201, created.text
    one = f"{INTEGRATIONS}/{created.json()['data']['id']}"
    assert (await alice.get(one)).json()["data"]["reconnectBefore"] == "2027-01-31T10:00:00Z"
    for credentials in ({"inputs": {"key": key}, "endsAt": "2028-01-31T10:00:00Z"}, {"apiKey": key}):
        replaced = await alice.post(f"{one}/reconnect", json={"credentials": credentials})
        assert replaced.status_code == 200, replaced.text
        assert (await alice.get(one)).json()["data"]["reconnectBefore"] == credentials.get("endsAt")


@pytest.mark.requirement("Q54")
@pytest.mark.parametrize("ends_at", ["2020-01-01T00:00:00Z", "2027-01-31T12:00:00", "2027-01-31", 1_900_000_000, "", "soon", None, {}])
async def test_an_end_that_is_no_time_to_come_with_a_zone_is_refused_by_its_field(api, alice, ends_at):
    credentials = {"apiKey": api.provider.valid_api_key.reveal(), "endsAt": ends_at}
    refused = await alice.post(INTEGRATIONS, json=api.key_body(credentials=credentials))
    assert refused.status_code == 422
    [field] = refused.json()["error"]["details"]["fields"]
    assert field["field"] == "credentials.endsAt"
    assert field["problem"] != "is not valid"


async def test_a_consent_is_renewed_under_the_same_id(api, alice):
    integration = await api.connect_oauth()
    begun = await alice.post(f"{INTEGRATIONS}/{integration['id']}/reconnect", json={})
    assert begun.status_code == 200
    assert begun.json()["data"].keys() == {"authorizationUrl", "state", "expiresAt"}
    arrived = await alice.get(api.provider.sign_in(begun.json()["data"]["authorizationUrl"]))
    assert (arrived.status_code, arrived.json()["data"]["id"]) == (200, integration["id"])


async def test_a_credential_is_checked_with_the_provider(api, alice):
    integration = await api.connect_key()
    checked = await alice.post(f"{INTEGRATIONS}/{integration['id']}/verify")
    assert checked.status_code == 200, checked.text
    report = checked.json()["data"]
    assert report.keys() == {"works", "outcome", "verified", "account", "accountChanged", "checkedAt", "trust"}
    assert (report["works"], report["outcome"]) == (True, "alive")
    api.provider.revoke_api_key(api.provider.valid_api_key)
    assert (await alice.post(f"{INTEGRATIONS}/{integration['id']}/verify")).json()["data"]["works"] is False
    again = await alice.post(f"{INTEGRATIONS}/{integration['id']}/verify")
    assert (again.status_code, again.json()["error"]["code"]) == (409, "integration/reconnect-required")


async def test_what_happened_is_read_page_by_page(api, alice):
    one = f"{INTEGRATIONS}/{(await api.connect_key())['id']}"
    await alice.patch(one, json={"name": "Staging"}, headers={"X-Request-ID": "req-7"})
    newest = (await alice.get(f"{one}/audit", params={"limit": 1})).json()["data"]
    assert [(event["action"], event["requestId"], event["actor"]) for event in newest] == [
        ("integration.renamed", "req-7", {"type": "user", "id": "alice"})
    ]
    older = (await alice.get(f"{one}/audit", params={"before": newest[0]["seq"]})).json()["data"]
    assert [event["action"] for event in older] == ["integration.connected"]


async def test_the_events_of_a_tenant_are_found_by_actor_action_provider_and_time(api, alice):
    integration = await api.connect_key()
    await alice.patch(f"{INTEGRATIONS}/{integration['id']}", json={"name": "Staging"})

    async def found(**asked):
        answer = await alice.get("/tenants/acme/audit", params=asked)
        assert answer.status_code == 200
        return [(event["action"], event["providerId"]) for event in answer.json()["data"]]

    connected, renamed = (("integration.connected", integration["providerId"]), ("integration.renamed", integration["providerId"]))
    assert await found() == [renamed, connected]
    assert await found(action="integration.renamed") == [renamed]
    assert await found(actor="alice", actorType="user", providerId=integration["providerId"]) == [renamed, connected]
    assert await found(actor="alice", actorType="service") == []
    assert await found(providerId=str(uuid4())) == []
    assert await found(since="2999-01-01T00:00:00Z") == []
    assert await found(until="2999-01-01T00:00:00+02:00", action="integration.renamed") == [renamed]
    one = await alice.get(f"{INTEGRATIONS}/{integration['id']}/audit", params={"actor": "bob"})
    assert one.json() == {"data": []}


@pytest.mark.parametrize(
    "query",
    [
        {"since": "yesterday"},
        {"since": "2026-01-01T00:00:00"},
        {"until": "0.5"},
        {"until": "2026-01-01"},
        {"providerId": "1"},
        {"actor": ""},
        {"action": "\n"},
    ],
)
async def test_a_filter_of_events_that_means_nothing_is_refused(alice, query):
    refused = await alice.get("/tenants/acme/audit", params=query)
    assert refused.status_code == 422
    assert [named["field"] for named in refused.json()["error"]["details"]["fields"]] == list(query)


@pytest.mark.parametrize("query", [{"limit": 0}, {"limit": 201}, {"limit": "many"}, {"before": 0}, {"before": 2**63}])
async def test_a_page_has_at_most_200_events(api, alice, query):
    refused = await alice.get(f"{INTEGRATIONS}/{(await api.connect_key())['id']}/audit", params=query)
    assert refused.status_code == 422
    assert [named["field"] for named in refused.json()["error"]["details"]["fields"]] == list(query)


async def test_providers_are_listed_with_what_works_here(api, alice):
    listed = await alice.get("/providers")
    assert listed.status_code == 200
    by_slug = {provider["slug"]: provider for provider in listed.json()["data"]}
    assert by_slug["simulated"].keys() == {
        "id", "slug", "name", "category", "description", "aliases", "icon", "active", "authTypes", "documentation", "redirectUri",
        "methods", "variables", "deprecated",
    }  # fmt: skip
    form = {"form": "text", "oneOf": None, "patterns": ["fake-key-.+"]}
    given = {"name": "key", "label": "API key", "hint": "", "required": True, "secret": True, **form, "field": "apiKey"}
    assert by_slug["simulated_keys"]["methods"] == [
        {
            "id": "key",
            "authType": "apikey",
            "inputs": [given],
            "manualUrl": None,
            "needsSetup": False,
            "revokesKey": False,
            "makesKey": None,
            "deprecated": None,
        }
    ]
    assert by_slug["simulated"]["authTypes"] == ["oauth2"]
    assert by_slug["simulated"]["redirectUri"].startswith("https://app.example.com/api/v1/oauth/callback/")
    assert by_slug["simulated_keys"]["authTypes"] == ["apikey"]


async def test_a_request_id_is_taken_over_or_made(api, alice):
    assert (await alice.get(INTEGRATIONS, headers={"X-Request-ID": "abc.DEF_1-2"})).headers["x-request-id"] == "abc.DEF_1-2"
    for odd in ("", "a" * 65, "no spaces", "<script>"):
        made = (await alice.get(INTEGRATIONS, headers={"X-Request-ID": odd})).headers["x-request-id"]
        assert re.fullmatch("[0-9a-f]{32}", made)


@pytest.mark.requirement("OAU-084", "B11")
async def test_secrets_are_handed_out_only_where_the_host_mounts_the_route(api, make_api):
    integration = await api.connect_key()
    async with api.client() as client:
        assert (await client.post(f"{INTEGRATIONS}/{integration['id']}/token")).status_code == 404
    revealing = make_api(token_route=True)
    integration = await revealing.connect_key()
    secret = revealing.provider.valid_api_key.reveal()
    async with revealing.client() as client:
        shown = await client.post(f"{INTEGRATIONS}/{integration['id']}/token")
        assert (shown.status_code, shown.json()["data"]["value"]) == (200, secret)
        assert shown.headers["cache-control"] == "no-store"
        for path in (INTEGRATIONS, f"{INTEGRATIONS}/{integration['id']}", f"{INTEGRATIONS}/{integration['id']}/audit"):
            assert secret not in (await client.get(path)).text
    assert revealing.host.asked[1][0] == "reveal"


async def test_a_credential_of_a_later_integration_is_not_handed_out(make_api, monkeypatch):
    """Deleted and connected anew between two looks: the id in the path is the one that counts."""
    api = make_api(token_route=True)
    integration = await api.connect_key()
    token = await api.call("credential", "acme", "simulated_keys")
    later = replace(token, integration_id=uuid4())

    async def awaiting(*args, **kwargs):
        return later

    monkeypatch.setattr(api.manager, "credential", awaiting if isinstance(api.manager, AsyncIntegrationManager) else lambda *_, **__: later)
    async with api.client() as client:
        refused = await client.post(f"{INTEGRATIONS}/{integration['id']}/token")
    assert (refused.status_code, refused.json()["error"]["code"]) == (404, "integration/not-found")


async def test_each_slots_credential_is_handed_out_by_its_own_id(make_api):
    api = make_api(
        token_route=True, settings=Settings(callback_url="https://app.example.com/api/v1/oauth/callback", slots=True, events=True)
    )
    named = {"provider": "simulated_keys", "name": "Production", "actor": "alice"}
    keys = {slot: api.provider.issue_api_key() for slot in ("", "production")}
    held = {slot: await api.call("add_api_key", "acme", slot=slot, api_key=key, **named) for slot, key in keys.items()}
    async with api.client() as client:
        for slot, integration in held.items():
            shown = await client.post(f"{INTEGRATIONS}/{integration.id}/token")
            assert (shown.status_code, shown.json()["data"]["value"]) == (200, keys[slot].reveal())


async def test_a_providers_id_in_a_path_names_no_integration(api, alice):
    made = await api.connect_key()
    one = f"{INTEGRATIONS}/{api.keys.provider_id}"
    answers = [
        await alice.get(one),
        await alice.patch(one, json={"name": "Another name"}),
        await alice.post(f"{one}/verify"),
        await alice.post(f"{one}/reconnect", json={"credentials": {"apiKey": api.provider.valid_api_key.reveal()}}),
        await alice.delete(one),
    ]
    assert {(answer.status_code, answer.json()["error"]["code"]) for answer in answers} == {(404, "integration/not-found")}
    assert (await alice.get(f"{one}/audit")).json() == {"data": []}
    assert [found["id"] for found in (await alice.get(INTEGRATIONS)).json()["data"]] == [made["id"]]
