"""A narrowed credential over HTTP: less than the whole one, or nothing."""

from __future__ import annotations

import pytest

from cloud_integrations import ImportedGrant
from cloud_integrations.testing import Misbehaviour

READ = {"narrow": {"scopes": ["read"]}}


@pytest.fixture
async def narrowing(make_api):
    """The router with the token route, and the path of the token of a grant that can be narrowed."""
    api = make_api(token_route=True, rotation="never")
    held = api.provider.issue_grant()
    scopes = ("read", "write")
    grant = ImportedGrant(provider="simulated", name="Files", access_token=held.access, refresh_token=held.refresh, scopes=scopes)
    integration = await api.call("import_credential", "acme", grant)
    return api, f"/tenants/acme/integrations/{integration.id}/token"


async def test_a_body_narrows_the_credential_and_none_gives_the_whole_one(narrowing):
    api, path = narrowing
    async with api.client() as client:
        less = await client.post(path, json=READ)
        assert (less.status_code, less.json()["data"]["scopes"], less.json()["data"]["narrowed"]) == (200, ["read"], ["scopes"])
        for whole in (await client.post(path), await client.post(path, json={})):
            assert (whole.json()["data"]["scopes"], whole.json()["data"]["narrowed"]) == (["read", "write"], [])
        assert whole.json()["data"]["value"] != less.json()["data"]["value"]


BODIES = {
    "an empty narrowing": {"json": {"narrow": {}}},
    "null": {"json": {"narrow": None}},
    "a list": {"json": {"narrow": ["scopes"]}},
    "another name": {"json": {"narrow": {"fake-secret": ["read"]}}},
    "another field": {"json": {"narrowed": {"scopes": ["read"]}}},
    "no scopes": {"json": {"narrow": {"scopes": []}}},
    "scopes that were not granted": {"json": {"narrow": {"scopes": ["fake-secret"]}}},
    "nothing under a type": {"content": b"", "headers": {"Content-Type": "application/json"}},
    "another type": {"content": b'{"narrow": {"scopes": ["read"]}}', "headers": {"Content-Type": "text/plain"}},
    "no type": {"content": b'{"narrow": {"scopes": ["read"]}}'},
    "no JSON": {"content": b'{"narrow": ', "headers": {"Content-Type": "application/json"}},
    "deep": {"content": b'{"narrow": ' + b"[" * 40 + b"]" * 40 + b"}", "headers": {"Content-Type": "application/json"}},
    "long": {"json": {"narrow": {"scopes": ["x" * 70_000]}}},
}


@pytest.mark.parametrize("why", BODIES)
async def test_what_cannot_be_read_or_narrowed_never_gives_the_whole_credential(narrowing, why):
    api, path = narrowing
    async with api.client() as client:
        refused = await client.post(path, **BODIES[why])
    assert refused.status_code in {413, 422}
    assert refused.json()["error"]["code"] == "integration/validation-failed"
    assert "fake-secret" not in refused.text


async def test_a_provider_that_gives_more_is_a_bad_gateway(narrowing):
    api, path = narrowing
    api.provider.misbehave(Misbehaviour.SCOPES_IGNORED, endpoint="refresh")
    async with api.client() as client:
        refused = await client.post(path, json=READ)
    assert (refused.status_code, refused.json()["error"]["details"]["reason"]) == (502, "not_narrowed")
