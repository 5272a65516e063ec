"""Webhooks whose receivers fail or are gone, and webhooks that are refused."""

from __future__ import annotations

import dataclasses

import pytest

from cloud_integrations.domain.audit import OPERATOR
from cloud_integrations.domain.parts import pack
from cloud_integrations.domain.secret import Secret
from cloud_integrations.domain.webhook import MOST_WEBHOOKS
from cloud_integrations.errors import (
    ConfigurationError,
    DamagedRowError,
    DecryptError,
    ProviderNotFoundError,
    TenantNotFoundError,
    ValidationFailedError,
    WebhookNotFoundError,
)
from cloud_integrations.ports.store import DamagedRow
from cloud_integrations.runtime.sync import run_inline

from .conftest import ACME, ALICE, GLOBEX, AsyncKnownTenants, KnownTenants
from .hooks import OTHER_URL, Receiver, added, is_verified, open_for_webhooks
from .receiving import all_of, waiting
from .renewals import put_around

# A receiver that fails


@pytest.mark.parametrize("status", [100, 301, 302, 400, 401, 404, 429, 500, 503])
async def test_only_a_status_of_success_is_taken_for_one(world, status):
    receiver = Receiver()
    door = open_for_webhooks(world, receiver)
    await added(door, receiver)
    await world.add_key(door=door)
    receiver.status = status
    await all_of(door)
    [entry] = waiting(world, "delivery")
    assert (entry.attempts, entry.last_error) == (1, f"status_{status}")
    [webhook] = await door.webhooks.list(ACME)
    assert (webhook.enabled, webhook.failing_since) == (True, world.clock.now())
    receiver.status = 200
    world.pass_(hours=1)
    await all_of(door)
    assert (await door.webhooks.list(ACME))[0].failing_since is None
    assert world.tables.outbox == {}


async def test_a_receiver_that_asks_to_wait_is_not_asked_before(world):
    receiver = Receiver()
    door = open_for_webhooks(world, receiver)
    await added(door, receiver)
    await world.add_key(door=door)
    receiver.status, receiver.headers = 429, {"retry-after": "600"}
    await all_of(door)
    world.pass_(minutes=9)
    await all_of(door)
    assert len(receiver.requests) == 1
    world.pass_(minutes=1)
    await all_of(door)
    assert len(receiver.requests) == 2


async def test_a_dead_receiver_holds_up_no_other_and_is_asked_once_in_a_while(world):
    dead, working = Receiver(), Receiver(OTHER_URL)
    dead.is_down = True
    door = open_for_webhooks(world, dead, working)
    await added(door, dead, None)
    await added(door, working, None)
    for number in range(30):
        await world.add_key(f"tenant-{number}", door=door)
    for _ in range(3):
        await door.worker.deliver_events()
    assert len(working.bodies) == 30
    assert len(dead.requests) == 1


async def test_one_that_is_gone_is_switched_off_and_what_waits_is_kept(world):
    receiver = Receiver()
    door = open_for_webhooks(world, receiver)
    webhook = await added(door, receiver)
    held = await world.add_key(door=door)
    await door.edit_integration(ACME, held.id, status="inactive", actor="ada")
    receiver.status = 410
    await all_of(door)
    [shown] = await door.webhooks.list(ACME)
    assert (shown.enabled, shown.off_reason) == (False, "gone")
    assert len(receiver.requests) == 1
    assert [fact.facts for fact in world.facts.told if fact.name == "webhook.switched_off"] == [
        {"tenant": ACME, "webhook": str(webhook.id), "reason": "gone"}
    ]
    await all_of(door)
    assert [entry.last_error for entry in sorted(waiting(world, "given_up"), key=lambda entry: entry.created_at)] == ["status_410", "off"]
    # Nothing else is written for it.
    await door.edit_integration(ACME, held.id, status="active", actor="ada")
    await all_of(door)
    assert len(waiting(world, "given_up")) == 2
    # Back again, it gets what was kept, if somebody asks.
    receiver.status = 200
    await door.webhooks.edit(ACME, webhook.id, enabled=True, actor=ALICE)
    assert await door.events.retry(tenant_id=ACME, actor=ALICE) == 2
    await all_of(door)
    assert receiver.types == ["integration.connected", "integration.disabled"]


async def test_one_that_takes_nothing_for_five_days_is_switched_off(world):
    receiver = Receiver()
    receiver.is_down = True
    door = open_for_webhooks(world, receiver)
    await added(door, receiver, None)
    for day in range(7):
        await world.add_key(f"tenant-{day}", door=door)
        for _ in range(4):
            await all_of(door)
            world.pass_(hours=6)
    [webhook] = await door.webhooks.list(None)
    assert webhook.off_reason == "failing"
    assert world.facts.names.count("webhook.switched_off") == 1
    assert [event.action for event in world.events(OPERATOR)] == ["webhook.added", "webhook.switched_off"]


async def test_what_waits_for_one_that_was_removed_is_not_delivered(world):
    receiver = Receiver()
    door = open_for_webhooks(world, receiver)
    webhook = await added(door, receiver)
    await world.add_key(door=door)
    receiver.status = 500
    await all_of(door)
    await door.webhooks.remove(ACME, webhook.id, actor=ALICE)
    world.pass_(hours=1)
    await all_of(door)
    assert len(receiver.requests) == 1
    assert world.tables.outbox == {}
    with pytest.raises(WebhookNotFoundError):
        await door.webhooks.remove(ACME, webhook.id, actor=ALICE)


async def test_what_waits_goes_to_the_new_address(world):
    receiver, moved = Receiver(), Receiver(OTHER_URL)
    door = open_for_webhooks(world, receiver, moved)
    webhook = await added(door, receiver)
    moved.secret = receiver.secret
    await world.add_key(door=door)
    receiver.status = 500
    await all_of(door)
    edited = await door.webhooks.edit(ACME, webhook.id, url=OTHER_URL, events=[], actor=ALICE)
    assert edited.url == OTHER_URL
    world.pass_(hours=1)
    await all_of(door)
    assert moved.types == ["integration.connected"]
    # Nothing to change is no change.
    again = await door.webhooks.edit(ACME, webhook.id, url=OTHER_URL, actor=ALICE)
    assert (again.updated_at, again.failing_since) == (edited.updated_at, None)
    assert [dict(event.details) for event in world.events() if event.action == "webhook.changed"] == [{"fields": "url"}]


# Waiting and given up


async def test_deliveries_are_listed_and_tried_again(world):
    receiver, other = Receiver(), Receiver(OTHER_URL)
    door = open_for_webhooks(world, receiver, other)
    webhook = await added(door, receiver)
    await added(door, other)
    held = await world.add_key(door=door)
    receiver.status = other.status = 500
    await all_of(door)
    listed = await door.events.list()
    assert {each.receiver for each in listed} >= {f"webhook:{webhook.id}"}
    [one] = await door.events.list(tenant_id=ACME, receiver=f"webhook:{webhook.id}")
    assert (one.event.name, one.event.integration_id, one.attempts, one.last_error) == ("integration.connected", held.id, 1, "status_500")
    assert one.due_at > world.clock.now()
    assert one.given_up_at is None
    assert await door.events.list(tenant_id=GLOBEX) == await door.events.list(state="given_up") == ()
    receiver.status = 200
    assert await door.events.retry(ids=[one.id], state="waiting", actor=ALICE) == 1
    await all_of(door)
    assert receiver.types == ["integration.connected"]
    assert len(await door.events.list()) == 1
    assert [dict(event.details) for event in world.events() if event.action == "event.retried"] == [{"count": "1"}]
    assert await door.events.retry(ids=[one.id], actor=ALICE) == 0


@pytest.mark.parametrize(
    "arguments", [{"state": "lost"}, {"limit": 0}, {"limit": 1001}, {"receiver": ""}, {"receiver": 7}, {"tenant_id": "a b"}]
)
async def test_a_list_of_deliveries_refuses_what_has_no_meaning(world, arguments):
    with pytest.raises(ValidationFailedError):
        await world.door.events.list(**arguments)


async def test_a_test_says_whether_it_was_taken(world):
    receiver = Receiver()
    door = open_for_webhooks(world, receiver)
    webhook = await added(door, receiver, events=["tenant.erased"])
    tested = await door.events.test(ACME, webhook.id)
    assert (tested.taken, tested.reason) == (True, None)
    assert receiver.types == ["webhook.test"]
    assert receiver.ids == [str(tested.message_id)]
    receiver.is_down = True
    assert (await door.events.test(ACME, webhook.id)).reason == "unreachable"
    receiver.is_down, receiver.status = False, 403
    assert (await door.events.test(ACME, webhook.id)).as_json()["reason"] == "status_403"


# What is refused


@pytest.mark.parametrize(
    "url",
    [
        "",
        "http://hooks.example/",
        "https://ada:fake@hooks.example/",
        "https://127.0.0.1/",
        "https://10.0.0.1/hook",
        "https://[::1]/",
        "https://169.254.169.254/latest/meta-data",
        "https://localhost/",
        "https://intranet/hook",
        "https://0x7f.1/",
        "https://hooks.example/#part",
        "ftp://hooks.example/",
        "hooks.example",
        7,
        "https://hooks.example/" + "x" * 2_048,
    ],
)
@pytest.mark.requirement("OAU-070")
async def test_a_tenants_address_must_be_public_and_https(world, url):
    door = open_for_webhooks(world)
    with pytest.raises(ValidationFailedError) as refused:
        await door.webhooks.add(ACME, url, actor=ALICE)
    assert refused.value.field == "url"
    assert str(url) not in str(refused.value) or url in {"", 7}


async def test_an_operators_address_may_be_private_and_a_tenants_where_the_operator_says_so(world):
    door = open_for_webhooks(world, settings={"private_servers": ("https://hooks.corp.example:8443", "https://10.1.2.3")})
    for tenant, url in (
        (None, "https://intranet/hook"),
        (None, "https://10.0.0.1/hook"),
        (ACME, "https://hooks.corp.example:8443/hook"),
        (ACME, "https://10.1.2.3/hook"),
    ):
        await door.webhooks.add(tenant, url, actor=ALICE)
    with pytest.raises(ValidationFailedError):
        await door.webhooks.add(ACME, "https://10.1.2.4/hook", actor=ALICE)


async def test_an_address_that_leads_to_a_private_one_is_refused_when_it_is_used(world):
    """The transport looks at the address that the name has then; what it says is a reason like any other."""
    receiver = Receiver()
    door = open_for_webhooks(world, receiver)
    await added(door, receiver)
    await world.add_key(door=door)
    seen = []

    async def around(name, args, go):
        if name == "send" and args[0].url == receiver.url:
            seen.append((args[0].tenant_server, args[0].private_host, args[0].loopback))
        return await go()

    put_around(door, around, "transport")
    await all_of(door)
    assert seen == [(True, False, False)]


async def test_without_deliveries_a_webhook_is_refused_with_what_to_do(world):
    with pytest.raises(ConfigurationError, match="events must be on, and a worker must run"):
        await world.door.webhooks.add(ACME, "https://hooks.example/", actor=ALICE)


async def test_what_has_no_meaning_is_refused(world):
    door = open_for_webhooks(world, tenants=KnownTenants() if world.blocking else AsyncKnownTenants())
    url = "https://hooks.example/"
    for named, error in (
        ({"events": ["integration.exploded"]}, ValidationFailedError),
        ({"events": "integration.removed"}, ValidationFailedError),
        ({"events": [7]}, ValidationFailedError),
        ({"providers": ["nobody"]}, ProviderNotFoundError),
        ({"providers": "simulated"}, ValidationFailedError),
        ({"providers": 7}, ValidationFailedError),
        ({"providers": [7]}, ValidationFailedError),
        ({"format": "xml"}, ValidationFailedError),
        ({"format": 7}, ValidationFailedError),
    ):
        with pytest.raises(error):
            await door.webhooks.add(ACME, url, actor=ALICE, **named)
    with pytest.raises(TenantNotFoundError):
        await door.webhooks.add(GLOBEX, url, actor=ALICE)
    webhook = (await door.webhooks.add(ACME, url, actor=ALICE)).webhook
    for named in ({"enabled": "yes"}, {"url": "http://hooks.example"}, {"events": ["x"]}):
        with pytest.raises(ValidationFailedError):
            await door.webhooks.edit(ACME, webhook.id, actor=ALICE, **named)
    with pytest.raises(ValidationFailedError):
        await door.webhooks.rotate_secret(ACME, webhook.id, overlap=-1, actor=ALICE)
    for _ in range(MOST_WEBHOOKS - 1):
        await door.webhooks.add(ACME, url, actor=ALICE)
    with pytest.raises(ValidationFailedError, match="one too many"):
        await door.webhooks.add(ACME, url, actor=ALICE)


async def test_two_rotations_at_once_both_have_their_secret(world):
    receiver = Receiver()
    door = open_for_webhooks(world, receiver)
    webhook = await added(door, receiver)
    made = await door.together(2, "webhooks.rotate_secret", ACME, webhook.id, actor=ALICE)
    await world.add_key(door=door)
    await all_of(door)
    [request] = receiver.requests
    assert all(is_verified(new.secret.reveal(), request, world.clock.now()) for new in made)


async def test_an_address_that_does_not_open_is_no_address_and_what_waits_for_it_stays(world):
    receiver = Receiver()
    door = open_for_webhooks(world, receiver)
    await added(door, receiver)
    await world.add_key(door=door)
    [(key, stored)] = world.tables.webhooks.items()
    world.tables.webhooks[key] = dataclasses.replace(stored, sealed_parts=stored.sealed_parts[:-1] + b"x")
    await all_of(door)
    assert [entry.last_error for entry in waiting(world, "delivery")] == [DecryptError.code]
    with pytest.raises(DecryptError):
        await door.webhooks.list(ACME)
    world.tables.webhooks[key] = stored
    world.pass_(hours=1)
    await all_of(door)
    assert receiver.types == ["integration.connected"]


async def test_a_webhook_whose_row_was_edited_gets_nothing_and_is_told(world):
    receiver, other = Receiver(), Receiver(OTHER_URL)
    door = open_for_webhooks(world, receiver, other)
    webhook = await added(door, receiver)
    await added(door, other, None)
    damaged = DamagedRow(table="ci_webhook", row=str(webhook.id), tenant_id=ACME)

    async def around(name, args, go):
        if name == "list_webhooks" and args[0] == ACME:
            return (damaged,)
        if name == "find_webhook" and args[1] == webhook.id:
            raise DamagedRowError(table="ci_webhook", row=str(webhook.id))
        return await go()

    await world.add_key(door=door)
    await door.worker.deliver_events(limit=1)
    await all_of(door)
    assert receiver.types == other.types == ["integration.connected"]
    held = await world.add_key(GLOBEX, door=door)
    receiver.status = 500
    key = (await door.list_integrations(ACME))[0]
    await door.edit_integration(ACME, key.id, status="inactive", actor="ada")
    await all_of(door)
    put_around(door, around, "store")
    world.pass_(hours=1)
    await door.edit_integration(ACME, key.id, status="active", actor="ada")
    await all_of(door)
    assert [entry.last_error for entry in waiting(world, "delivery")] == [DamagedRowError.code]
    assert await door.webhooks.list(ACME) == ()
    assert "storage.damaged_row" in world.facts.names
    assert sorted(other.types) == ["integration.connected", "integration.connected", "integration.disabled", "integration.enabled"]
    assert held.tenant_id == GLOBEX


async def test_parts_that_are_no_address_are_a_damaged_row(world):
    receiver = Receiver()
    door = open_for_webhooks(world, receiver)
    webhook = await added(door, receiver)
    [(key, stored)] = world.tables.webhooks.items()
    sealer, keys = door.wiring.sealer, door.wiring.data_keys
    active = await keys.active(ACME) if not world.blocking else run_inline(keys.active(ACME))
    context = {"table": "ci_webhook", "row": str(webhook.id), "field": "parts", "generation": 1}
    world.tables.webhooks[key] = dataclasses.replace(stored, sealed_parts=sealer.seal(active, pack({"x": Secret("fake")}), **context))
    with pytest.raises(DamagedRowError):
        await door.webhooks.list(ACME)
