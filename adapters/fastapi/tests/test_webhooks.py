"""Webhooks of a tenant, over HTTP."""

from __future__ import annotations

from uuid import uuid4

import pytest

from cloud_integrations import Settings

from .conftest import CALLBACK

WEBHOOKS = "/tenants/acme/webhooks"
BODY = {"url": "https://hooks.example/cloud", "events": ["integration.removed"]}


async def test_a_webhook_is_added_shown_changed_and_removed(api, alice):
    body = BODY | {"providers": [str(api.oauth.provider_id)], "format": "cloudevents"}
    added = await alice.post(WEBHOOKS, json=body)
    assert added.status_code == 201, added.text
    new = added.json()["data"]
    secret = new.pop("secret")
    assert secret.startswith("whsec_")
    listed = await alice.get(WEBHOOKS)
    assert listed.json() == {"data": [new]}
    assert secret not in listed.text
    assert {name: new[name] for name in ("tenantId", "url", "events", "providers", "format", "enabled", "secrets")} == {
        "tenantId": "acme",
        **body,
        "enabled": True,
        "secrets": 1,
    }
    one = f"{WEBHOOKS}/{new['id']}"
    edited = (await alice.patch(one, json={"events": [], "enabled": False})).json()["data"]
    assert (edited["events"], edited["enabled"], edited["offReason"]) == ([], False, "asked")
    rotated = (await alice.post(f"{one}/secret")).json()["data"]
    assert rotated["secret"] != secret
    assert rotated["secrets"] == 2
    assert (await alice.post(f"{one}/secret", json={"overlap": 0})).json()["data"]["secrets"] == 2
    assert (await alice.delete(one)).json() == {"success": True}
    assert (await alice.get(WEBHOOKS)).json() == {"data": []}


async def test_a_test_says_that_nobody_is_there(alice):
    new = (await alice.post(WEBHOOKS, json=BODY)).json()["data"]
    tested = (await alice.post(f"{WEBHOOKS}/{new['id']}/test")).json()["data"]
    assert (tested["webhookId"], tested["taken"]) == (new["id"], False)
    assert tested["reason"]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "url"),
        (BODY | {"url": "http://hooks.example/"}, "url"),
        (BODY | {"url": "https://10.0.0.1/fake-path"}, "url"),
        (BODY | {"events": ["integration.exploded"]}, "events"),
        (BODY | {"providers": ["github"]}, "providers.0"),
        (BODY | {"format": "xml"}, "format"),
        (BODY | {"secret": "fake-secret"}, "secret"),
    ],
)
async def test_what_does_not_fit_is_refused_without_a_word_of_it(alice, body, field):
    refused = await alice.post(WEBHOOKS, json=body)
    assert refused.status_code == 422, refused.text
    assert field in refused.text
    assert "fake" not in refused.text


async def test_a_change_of_nothing_is_refused(alice):
    new = (await alice.post(WEBHOOKS, json=BODY)).json()["data"]
    assert (await alice.patch(f"{WEBHOOKS}/{new['id']}", json={})).status_code == 422


@pytest.mark.requirement("ISO-01")
async def test_a_webhook_of_another_tenant_does_not_exist(api, alice):
    new = (await alice.post(WEBHOOKS, json=BODY)).json()["data"]
    for unknown in (new["id"], str(uuid4()), "no-id"):
        async with api.client("bob") as bob:
            one = f"/tenants/globex/webhooks/{unknown}"
            answers = [
                await bob.delete(one),
                await bob.patch(one, json={"enabled": False}),
                await bob.post(f"{one}/secret"),
                await bob.post(f"{one}/test"),
            ]
        assert [(answer.status_code, answer.json()["error"]["code"]) for answer in answers] == [(404, "webhook/not-found")] * 4
    assert len((await alice.get(WEBHOOKS)).json()["data"]) == 1


async def test_without_deliveries_there_are_no_such_routes(make_api):
    api = make_api(settings=Settings(callback_url=CALLBACK))
    async with api.client("alice") as alice:
        assert (await alice.get(WEBHOOKS)).status_code == 404
