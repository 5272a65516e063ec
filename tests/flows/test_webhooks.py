"""Webhooks get the events they want, signed so that `standardwebhooks` verifies them, and are switched off when they are gone."""

from __future__ import annotations

from datetime import timedelta

import pytest

from cloud_integrations.domain.secret import Secret
from cloud_integrations.domain.webhook import MOST_SECRETS
from cloud_integrations.errors import (
    WebhookNotFoundError,
)

from .conftest import ACME, ALICE, GLOBEX
from .hooks import OTHER_URL, Receiver, added, is_verified, open_for_webhooks
from .receiving import all_of


async def test_a_receiver_verifies_each_delivery_by_the_standard_alone(world):
    receiver = Receiver()
    door = open_for_webhooks(world, receiver)
    webhook = await added(door, receiver)
    held = await world.add_key(door=door)
    await door.edit_integration(ACME, held.id, status="inactive", actor="ada")
    await all_of(door)
    assert receiver.types == ["integration.connected", "integration.disabled"]
    assert receiver.bodies[0]["data"] == {
        "tenantId": ACME,
        "provider": "simulated_keys",
        "providerId": str(held.provider_id),
        "integrationId": str(held.id),
    }
    assert receiver.bodies[0]["timestamp"] == held.created_at.isoformat().replace("+00:00", "Z")
    assert receiver.requests[0].headers["Content-Type"] == "application/json"
    [connected] = [event for event in world.events() if event.action == "integration.connected"]
    assert receiver.ids[0] == str(connected.event_id)
    assert (webhook.url, webhook.enabled, webhook.secrets) == (receiver.url, True, 1)
    assert await door.webhooks.list(ACME) == (webhook,)


async def test_a_delivery_that_somebody_changed_is_not_verified(world):
    receiver = Receiver()
    door = open_for_webhooks(world, receiver)
    await added(door, receiver)
    await world.add_key(door=door)
    await all_of(door)
    [request] = receiver.requests
    secret, now = receiver.secret.reveal(), world.clock.now()
    assert is_verified(secret, request, now)
    for header in ("webhook-id", "webhook-timestamp"):
        changed = type(request)(
            method="POST", url=request.url, headers={**request.headers, header: "1"}, body=request.body, provider_id="webhook"
        )
        assert not is_verified(secret, changed, now)
    other = type(request)(
        method="POST", url=request.url, headers=request.headers, body=request.body.replace(b"acme", b"evil"), provider_id="webhook"
    )
    assert not is_verified(secret, other, now)
    assert not is_verified(secret, request, now + timedelta(minutes=6))


async def test_each_attempt_has_its_own_time_and_the_same_id(world):
    receiver = Receiver()
    door = open_for_webhooks(world, receiver)
    await added(door, receiver)
    await world.add_key(door=door)
    receiver.status = 500
    await all_of(door)
    world.pass_(hours=1)
    receiver.status = 200
    await all_of(door)
    first, second = receiver.requests
    assert first.headers["webhook-id"] == second.headers["webhook-id"]
    assert first.headers["webhook-timestamp"] != second.headers["webhook-timestamp"]
    assert receiver.types == ["integration.connected"]


async def test_a_cloud_event_is_signed_too(world):
    receiver = Receiver()
    door = open_for_webhooks(world, receiver)
    await added(door, receiver, format="cloudevents")
    held = await world.add_key(door=door)
    await all_of(door)
    [request] = receiver.requests
    assert request.headers["Content-Type"] == "application/cloudevents+json"
    [event] = receiver.bodies
    assert event == {
        "specversion": "1.0",
        "id": request.headers["webhook-id"],
        "source": "/cloud-integrations/tenants/acme",
        "type": "integration.connected",
        "subject": f"integrations/{held.id}",
        "time": held.created_at.isoformat().replace("+00:00", "Z"),
        "datacontenttype": "application/json",
        "data": event["data"],
    }
    assert event["data"]["integrationId"] == str(held.id)


# Who gets what


@pytest.mark.requirement("ISO-01")
async def test_a_tenants_webhook_gets_its_own_events_and_the_installations_all(world):
    ours, everyones = Receiver(), Receiver(OTHER_URL)
    door = open_for_webhooks(world, ours, everyones)
    await added(door, ours)
    webhook = await added(door, everyones, None)
    assert webhook.tenant_id is None
    await world.add_key(door=door)
    await world.add_key(GLOBEX, door=door)
    await all_of(door)
    assert [body["data"]["tenantId"] for body in ours.bodies] == [ACME]
    assert {body["data"]["tenantId"] for body in everyones.bodies} == {ACME, GLOBEX}
    assert await door.webhooks.list(GLOBEX) == ()
    assert await door.webhooks.list(None) == (webhook,)
    for call in ("edit", "rotate_secret", "remove"):
        with pytest.raises(WebhookNotFoundError):
            await getattr(door.webhooks, call)(GLOBEX, webhook.id, actor=ALICE, **({"enabled": True} if call == "edit" else {}))
    with pytest.raises(WebhookNotFoundError):
        await door.events.test(ACME, webhook.id)


async def test_filters_by_event_and_provider(world):
    receiver, other = Receiver(), Receiver(OTHER_URL)
    door = open_for_webhooks(world, receiver, other)
    await added(door, receiver, events=["integration.removed", "integration.removed"], providers=["simulated_keys"])
    await added(door, other, providers=["simulated"])
    key = await world.add_key(door=door)
    grant = await world.connect(door=door)
    for held in (key, grant):
        await door.delete(ACME, held.id, actor="ada")
    await door.erase_tenant(ACME, actor="ada")
    # What belongs to the tenant goes with it: these are too late, and the installation's own come.
    await all_of(door)
    assert receiver.types == other.types == []
    assert world.tables.outbox == {}


async def test_filters_hold_for_each_delivery(world):
    receiver, other, everyone = Receiver(), Receiver(OTHER_URL), Receiver("https://all.example/")
    door = open_for_webhooks(world, receiver, other, everyone)
    await added(door, receiver, None, events=["integration.removed"], providers=["simulated_keys"])
    await added(door, other, None, providers=["simulated"])
    await added(door, everyone, None)
    key = await world.add_key(door=door)
    grant = await world.connect(door=door)
    for held in (key, grant):
        await door.delete(ACME, held.id, actor="ada")
    await door.erase_tenant(ACME, actor="ada")
    await all_of(door)
    assert receiver.types == ["integration.removed"]
    assert sorted(other.types) == ["integration.connected", "integration.removed", "tenant.erased"]
    assert sorted(everyone.types) == [
        "integration.connected",
        "integration.connected",
        "integration.removed",
        "integration.removed",
        "tenant.erased",
    ]


# Secrets


async def test_while_a_secret_is_rotated_both_sign(world):
    receiver = Receiver()
    door = open_for_webhooks(world, receiver)
    webhook = await added(door, receiver)
    before = receiver.secret.reveal()
    new = await door.webhooks.rotate_secret(ACME, webhook.id, overlap=timedelta(hours=2), actor=ALICE)
    assert new.webhook.secrets == 2
    receiver.secret = new.secret
    await world.add_key(door=door)
    await all_of(door)
    assert is_verified(before, receiver.requests[0], world.clock.now())
    assert is_verified(new.secret.reveal(), receiver.requests[0], world.clock.now())
    world.pass_(hours=2)
    await world.add_key(GLOBEX, door=door)
    await door.delete(ACME, (await door.list_integrations(ACME))[0].id, actor="ada")
    await all_of(door)
    assert not is_verified(before, receiver.requests[1], world.clock.now())
    assert receiver.types == ["integration.connected", "integration.removed"]


async def test_after_a_leak_the_old_secret_ends_at_once(world):
    receiver = Receiver()
    door = open_for_webhooks(world, receiver)
    webhook = await added(door, receiver)
    before = receiver.secret.reveal()
    receiver.secret = (await door.webhooks.rotate_secret(ACME, webhook.id, overlap=0, actor=ALICE)).secret
    await world.add_key(door=door)
    await all_of(door)
    assert not is_verified(before, receiver.requests[0], world.clock.now())
    assert receiver.types == ["integration.connected"]


async def test_no_more_than_five_secrets_sign(world):
    receiver = Receiver()
    door = open_for_webhooks(world, receiver)
    webhook = await added(door, receiver)
    secrets = [receiver.secret]
    secrets += [(await door.webhooks.rotate_secret(ACME, webhook.id, actor=ALICE)).secret for _ in range(MOST_SECRETS + 2)]
    receiver.secret = secrets[-1]
    await world.add_key(door=door)
    await all_of(door)
    now = world.clock.now()
    assert [is_verified(secret.reveal(), receiver.requests[0], now) for secret in secrets] == [False] * 3 + [True] * MOST_SECRETS
    assert len(receiver.requests[0].headers["webhook-signature"].split()) == MOST_SECRETS


async def test_what_a_thief_of_the_database_has_signs_nothing_and_names_no_address(world):
    receiver = Receiver()
    door = open_for_webhooks(world, receiver)
    webhook = await added(door, receiver)
    rotated = await door.webhooks.rotate_secret(ACME, webhook.id, actor=ALICE)
    await world.add_key(door=door)
    dump = world.raw_dump()
    for secret in (receiver.secret, rotated.secret):
        assert isinstance(secret, Secret)
        assert secret.reveal().removeprefix("whsec_").encode() not in dump
    assert b"hooks.example" not in dump
    assert b"fake-token-in-url" not in dump
    # Neither does the audit log.
    assert [event.action for event in world.events() if event.action.startswith("webhook.")] == ["webhook.added", "webhook.secret_rotated"]


async def test_secrets_are_sealed_anew_when_keys_rotate(world):
    receiver = Receiver()
    door = open_for_webhooks(world, receiver)
    await added(door, receiver)
    await door.keys.rotate(actor="ada")
    await door.keys.reseal(actor="ada")
    assert {webhook.key_id for webhook in world.tables.webhooks.values()} == {world.rows.find_active_key(ACME).key_id}
    await world.add_key(door=door)
    await all_of(door)
    assert receiver.types == ["integration.connected"]
