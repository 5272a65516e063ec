"""What names a thing of another tenant, wherever it stands in a request, is answered as what names nothing."""

from __future__ import annotations

from uuid import uuid4

import pytest
from fastapi import FastAPI

from cloud_integrations_fastapi import create_router

CLIENT = {"clientId": "client-of-globex", "clientSecret": "fake-secret-of-globex"}


def _answer(response):
    headers = sorted((name, value) for name, value in response.headers.items() if name not in {"x-request-id", "date"})
    return response.status_code, response.content, headers


@pytest.mark.requirement("ISO-05", "ISO-13")
async def test_an_application_of_another_tenant_is_one_that_is_not_there(api):
    async with api.client("bob") as bob, api.client("alice") as alice:
        saved = await bob.post("/tenants/globex/applications", json={"providerId": str(api.oauth.provider_id), **CLIENT})
        assert saved.status_code in {200, 201}, saved.text
        theirs = saved.json()["data"]["id"]
        answers = [_answer(await alice.delete(f"/tenants/acme/applications/{one}")) for one in (theirs, uuid4())]
        assert answers[0] == answers[1]
        assert answers[0][0] == 404
        assert (await alice.get("/tenants/acme/applications")).json() == {"data": []}
        assert [one["id"] for one in (await bob.get("/tenants/globex/applications")).json()["data"]] == [theirs]


@pytest.mark.requirement("ISO-05")
async def test_an_authorization_of_another_tenant_is_one_that_is_not_there(make_api):
    api = make_api(device_codes=True)
    async with api.client("bob") as bob, api.client("alice") as alice:
        body = {"providerId": str(api.oauth.provider_id), "name": "Of Globex", "device": True}
        begun = await bob.post("/tenants/globex/authorizations", json=body)
        assert begun.status_code == 201, begun.text
        theirs = begun.json()["data"]["authorizationId"]
        answers = [_answer(await alice.post(f"/tenants/acme/authorizations/{one}/poll")) for one in (theirs, str(uuid4()))]
        assert answers[0] == answers[1]
        assert answers[0][0] in {400, 404}
        assert (await bob.post(f"/tenants/globex/authorizations/{theirs}/poll")).status_code < 400


@pytest.mark.requirement("ISO-05")
async def test_no_filter_and_no_cursor_reaches_the_log_of_another_tenant(api):
    integration = await api.connect_key("globex", "bob")
    await api.connect_key("acme", "alice")
    async with api.client("bob") as bob, api.client("alice") as alice:
        assert integration["id"] in (await bob.get("/tenants/globex/audit")).text
        assert (await alice.get("/tenants/acme/audit")).json()["data"]
        asked = [{"actor": "bob"}, {"providerId": str(api.keys.provider_id)}, {"action": "integration.connected"}, {"limit": 200}]
        asked += [{"before": cursor} for cursor in (0, 1, 2, 10**6, 2**53)]
        for query in asked:
            answer = await alice.get("/tenants/acme/audit", params=query)
            assert integration["id"] not in answer.text
            assert "user:bob" not in answer.text
        of_theirs = await alice.get(f"/tenants/acme/integrations/{integration['id']}/audit")
        assert of_theirs.json() == {"data": []}


@pytest.mark.requirement("ISO-05")
async def test_no_slot_that_is_asked_for_shows_another_tenants_integration(api):
    await api.connect_key("globex", "bob")
    async with api.client("alice") as alice:
        answers = [await alice.get("/tenants/acme/integrations", params={"slot": slot}) for slot in ("", "*", "globex", "'; --")]
    assert [answer.json().get("data", []) for answer in answers] == [[]] * 4


@pytest.mark.requirement("ISO-05")
def test_no_body_takes_ids_of_several_things_and_no_query_a_sort_key(api):
    """Where one comes, it takes its place in this file."""
    app = FastAPI()
    app.include_router(create_router(api.manager, authorize=api.host.authorize, token_route=True))
    text = []
    for path, methods in app.openapi()["paths"].items():
        for told in methods.values():
            text += [(path, parameter["name"]) for parameter in told.get("parameters", []) if parameter["in"] == "query"]
            for content in told.get("requestBody", {}).get("content", {}).values():
                text += [(path, name) for name in content.get("schema", {}).get("properties", {})]
    wrong = [(path, name) for path, name in text if name.lower() in {"sort", "orderby", "order", "tenantid", "ids"} or name.endswith("Ids")]
    # The guide and the result show words for a tenant that the host's `authorize` confirmed.
    assert {path.rpartition("/")[2] for path, _ in wrong} <= {"guide", "result"}
