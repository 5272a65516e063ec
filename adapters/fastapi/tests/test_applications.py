"""OAuth applications that tenants registered themselves, over HTTP."""

from __future__ import annotations

from urllib.parse import parse_qs, urlsplit
from uuid import uuid4

import pytest

APPLICATIONS = "/tenants/acme/applications"
SECRET = "fake-client-secret-of-acme"


@pytest.fixture
def body(api):
    return {"providerId": str(api.oauth.provider_id), "clientId": "fake-client-of-acme", "clientSecret": SECRET}


async def test_an_application_is_saved_used_and_removed(api, alice, body):
    saved = await alice.post(APPLICATIONS, json=body)
    assert saved.status_code == 200, saved.text
    application = saved.json()["data"]
    assert application["redirectUri"].endswith(f"/oauth/callback/{application['id']}")
    assert (await alice.get(APPLICATIONS)).json() == {"data": [application]}
    begun = await alice.post("/tenants/acme/authorizations", json={"providerId": body["providerId"], "name": "Files"})
    assert parse_qs(urlsplit(begun.json()["data"]["authorizationUrl"]).query)["client_id"] == ["fake-client-of-acme"]
    removed = await alice.delete(f"{APPLICATIONS}/{application['id']}")
    assert removed.json() == {"success": True}
    assert (await alice.get(APPLICATIONS)).json() == {"data": []}
    assert SECRET not in saved.text


async def test_several_secrets_are_given_as_a_list(alice, body):
    secrets = {"clientSecrets": [SECRET, f"{SECRET}-old"]}
    without = {name: value for name, value in body.items() if name != "clientSecret"}
    saved = await alice.post(APPLICATIONS, json=without | secrets)
    assert saved.json()["data"]["secrets"] == 2
    both = await alice.post(APPLICATIONS, json=body | secrets)
    assert both.status_code == 422
    assert both.json()["error"]["details"]["fields"][0]["field"] == "clientSecrets"
    assert SECRET not in both.text


async def test_one_that_an_integration_uses_stays(api, alice, body):
    application = api.provider.application()
    own = body | {"clientId": application.client_id, "clientSecret": application.client_secret.reveal()}
    saved = (await alice.post(APPLICATIONS, json=own)).json()["data"]
    begun = await alice.post("/tenants/acme/authorizations", json={"providerId": body["providerId"], "name": "Files"})
    await alice.get(api.provider.sign_in(begun.json()["data"]["authorizationUrl"]))
    refused = await alice.delete(f"{APPLICATIONS}/{saved['id']}")
    assert (refused.status_code, refused.json()["error"]["code"]) == (409, "application/in-use")


@pytest.mark.requirement("ISO-01")
async def test_an_application_of_another_tenant_does_not_exist(api, alice, body):
    saved = (await alice.post(APPLICATIONS, json=body)).json()["data"]
    for unknown in (saved["id"], str(uuid4()), "no-id"):
        async with api.client("bob") as bob:
            answer = await bob.delete(f"/tenants/globex/applications/{unknown}")
        assert (answer.status_code, answer.json()["error"]["code"]) == (404, "application/not-found")
    assert len((await alice.get(APPLICATIONS)).json()["data"]) == 1
