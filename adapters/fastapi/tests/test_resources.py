"""What a credential reaches, over HTTP: the tenant chooses of it."""

from __future__ import annotations

import pytest

from cloud_integrations.testing import Misbehaviour
from cloud_integrations_fastapi import Permission

SITES = [{"id": "north", "name": "Acme North", "url": "https://north.acme.example"}, {"id": "south"}]
pytestmark = pytest.mark.requirement("Q05")


@pytest.fixture
def api(make_api):
    return make_api(resources=SITES)


@pytest.fixture
async def held(api):
    return f"/tenants/acme/integrations/{(await api.connect_key())['id']}"


async def test_the_tenant_sees_what_there_is_and_chooses(api, alice, held):
    assert (await alice.get(held)).json()["data"]["health"]["state"] == "choose_resource"
    found = await alice.get(f"{held}/resources")
    assert (found.status_code, found.json()["data"]) == (
        200,
        {
            "variable": "resource",
            "chosen": None,
            "complete": True,
            "resources": [
                {"id": "north", "label": "Acme North", "url": "https://north.acme.example"},
                {"id": "south", "label": "south", "url": None},
            ],
        },
    )
    chosen = await alice.post(f"{held}/resource", json={"resource": "south"})
    assert (chosen.status_code, chosen.json()["data"]["health"]["state"]) == (200, "ok")
    assert (await alice.get(f"{held}/resources")).json()["data"]["chosen"] == "south"
    assert {Permission.VERIFY, Permission.UPDATE} <= {permission for permission, _ in api.host.asked}


@pytest.mark.parametrize("resource", ["", None, 7, "west", ["north"], "north\n"])
async def test_any_other_choice_is_a_validation_error_that_repeats_nothing(alice, held, resource):
    refused = await alice.post(f"{held}/resource", json={"resource": resource})
    assert (refused.status_code, refused.json()["error"]["code"]) == (422, "integration/validation-failed")
    assert "west" not in refused.text


async def test_an_outage_is_told_as_one(api, alice, held):
    api.provider.misbehave(Misbehaviour.UNAVAILABLE, endpoint="resources", times=2)
    for answer in (await alice.get(f"{held}/resources"), await alice.post(f"{held}/resource", json={"resource": "north"})):
        assert (answer.status_code, answer.json()["error"]["code"]) == (502, "integration/oauth-error")
        assert "retry-after" in answer.headers


async def test_a_reader_and_a_foreigner_see_and_choose_nothing(api, held):
    for name in ("rita", "bob"):
        async with api.client(name) as client:
            assert (await client.get(f"{held}/resources")).status_code == 403
            assert (await client.post(f"{held}/resource", json={"resource": "north"})).status_code == 403


async def test_an_account_that_reaches_nothing_is_not_connected(api, alice):
    api.provider.resources = []
    refused = await alice.post("/tenants/acme/integrations", json=api.key_body())
    assert (refused.status_code, refused.json()["error"]["code"]) == (422, "integration/invalid-credentials")
    assert refused.json()["error"]["details"]["reason"] == "no_resource"
