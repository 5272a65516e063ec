"""Roles over HTTP: beginning an authorization answers with what the tenant sets up at the provider."""

from __future__ import annotations

import pytest

from cloud_integrations import Catalogue, PlatformCredential, Secret

PRINCIPAL = "arn:aws:iam::999999999999:role/product"
AUTHORIZATIONS = "/tenants/acme/authorizations"
PARTS = {"access_key_id": Secret("AKIAFAKEFAKEFAKEFAKE"), "secret_access_key": Secret("fake-platform-secret")}
AWS = Catalogue.builtin().require("aws")


@pytest.fixture
def api(make_api):
    return make_api(more=lambda _: AWS, platform={"aws": PlatformCredential(parts=PARTS, principal=PRINCIPAL)})


@pytest.fixture
def body():
    return {"providerId": str(AWS.provider_id), "name": "Production", "method": "role"}


@pytest.mark.requirement("Q57")
async def test_a_setup_begins_and_stays_the_same(alice, body):
    begun = await alice.post(AUTHORIZATIONS, json=body)
    assert begun.status_code == 201, begun.text
    setup = begun.json()["data"]
    assert setup.keys() == {"integrationId", "providerId", "method", "made", "principal", "inputs", "guide", "expiresAt"}
    assert (setup["method"], setup["principal"], setup["inputs"]) == ("role", PRINCIPAL, ["role_arn"])
    assert len(setup["made"]["external_id"]) >= 22
    again = (await alice.post(AUTHORIZATIONS, json=body)).json()["data"]
    assert (again["made"], again["integrationId"]) == (setup["made"], setup["integrationId"])
    assert "fake-platform-secret" not in begun.text
    assert "set-cookie" not in begun.headers
    (role,) = [method for known in (await alice.get("/providers")).json()["data"] for method in known["methods"] if method["id"] == "role"]
    assert role["needsSetup"] is True


@pytest.mark.requirement("Q57")
async def test_the_external_id_is_never_an_input(alice, body):
    await alice.post(AUTHORIZATIONS, json=body)
    inputs = {"role_arn": "arn:aws:iam::123456789012:role/ours", "external_id": "fake-of-the-tenant"}
    refused = await alice.post("/tenants/acme/integrations", json=body | {"credentials": {"inputs": inputs}})
    assert refused.status_code == 422
    assert refused.json()["error"]["details"]["fields"][0]["field"] == "credentials.inputs"


@pytest.mark.parametrize(("field", "value"), [("scopes", ["read"]), ("returnTo", "/settings")])
async def test_what_belongs_to_oauth_is_refused(alice, body, field, value):
    refused = await alice.post(AUTHORIZATIONS, json=body | {field: value})
    assert (refused.status_code, refused.json()["error"]["details"]["fields"][0]["field"]) == (422, field)


async def test_without_a_credential_of_the_operators_the_operator_is_told(make_api, body):
    api = make_api(more=lambda _: AWS)
    async with api.client() as client:
        refused = await client.post(AUTHORIZATIONS, json=body)
    assert (refused.status_code, refused.json()["error"]["code"]) == (502, "integration/oauth-error")
