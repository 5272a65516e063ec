"""Data keys are rotated, while processes still remember the old ones."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from uuid import UUID

import pytest

from cloud_integrations.domain.importing import ImportedKey
from cloud_integrations.domain.rekeying import RekeyRun
from cloud_integrations.errors import CommitUnknownError, StorageUnavailableError
from cloud_integrations.ports.store import AddEntry, AddIntegration, AddKey, AddPending, ReplaceCredential, RotateKey, SaveRenewal
from cloud_integrations.testing import Misbehaviour

from .conftest import ACME, ALICE, GLOBEX
from .rekeying import NEWCOMERS, keys_of, replaced_once_more, rotate_behind, rotate_meanwhile, token, versions

pytestmark = pytest.mark.usefixtures("keys_older_than_now")


def tried(world, kind):
    """How many times a change of this kind was handed to the store."""
    return sum(any(isinstance(change, kind) for change in changes) for changes in world.changes())


# Rotate


async def test_a_rotated_key_seals_no_more_and_still_opens(world, door):
    await world.add_key()
    before = await token(world, slug="simulated_keys")
    assert await door.keys.rotate(actor=ALICE, request_id="req-1") == RekeyRun(changed=1)
    assert versions(world) == [(1, "decrypt_only"), (2, "active")]
    assert await token(world, slug="simulated_keys") == before
    held = await world.connect()
    assert world.row(held).credential.key_id == world.rows.find_active_key(ACME).key_id


async def test_a_rotation_is_recorded_with_the_key_it_made(world, door):
    await world.add_key()
    await door.keys.rotate(actor=ALICE, request_id="req-1")
    event, key = world.last_event(), world.rows.find_active_key(ACME)
    assert (event.action, event.actor, event.request_id, event.resource) == ("key.rotated", ALICE, "req-1", f"key:{key.key_id}")
    assert event.details == {"version": "2", "kek": "local:test"}
    assert (await door.audit.verify(ACME)).whole


async def test_one_tenant_may_be_rotated_alone(world, door):
    await world.add_key()
    await world.add_key(GLOBEX)
    assert (await door.keys.rotate(tenant_id=GLOBEX)).changed == 1
    assert (versions(world), versions(world, GLOBEX)) == ([(1, "active")], [(1, "decrypt_only"), (2, "active")])


@pytest.mark.requirement("ENC-12")
async def test_a_rotation_repeated_with_its_cutoff_makes_no_further_key(world, door):
    await world.add_key()
    await world.add_key(GLOBEX)
    cutoff = world.clock.now()
    assert [(await world.open().keys.rotate(created_before=cutoff)).changed for _ in range(3)] == [2, 0, 0]
    assert versions(world) == versions(world, GLOBEX) == [(1, "decrypt_only"), (2, "active")]
    await world.add_key("hooli")
    assert (await door.keys.rotate(created_before=cutoff)).changed == 0


@pytest.mark.requirement("ENC-12")
async def test_two_that_rotate_at_once_make_one_new_key(world):
    tenants = [ACME, GLOBEX, *NEWCOMERS]
    for tenant in tenants:
        await world.add_key(tenant)
    cutoff = world.clock.now()
    doors = [world.open() for _ in range(4)]
    runs = await world.door.all_at_once(*[lambda door=door: door.acting_as().keys.rotate(created_before=cutoff) for door in doors])
    assert sum(run.changed for run in runs) == len(tenants)
    assert all(run.failures == () for run in runs)
    for tenant in tenants:
        assert versions(world, tenant) == [(1, "decrypt_only"), (2, "active")]


@pytest.mark.requirement("ENC-12")
async def test_who_rotates_a_moment_later_leaves_the_new_key_alone(world, door):
    await world.add_key()
    other, cutoff, rotated = world.open(), world.clock.now(), []

    def faster(name, args):
        if name == "apply" and isinstance(args[0], RotateKey) and not rotated:
            rotated.append(args)
            world.rows.apply(*args)

    world.store.before = faster
    assert await other.keys.rotate(created_before=cutoff) == RekeyRun()
    assert versions(world) == [(1, "decrypt_only"), (2, "active")]


@pytest.mark.requirement("ENC-12")
async def test_a_cutoff_in_the_future_makes_one_new_key_too(world, door):
    await world.add_key()
    assert (await door.keys.rotate(created_before=world.clock.now() + timedelta(days=1))).changed == 1


async def test_rotation_pages_through_many_tenants_and_tells_how_far_it_is(world, door, monkeypatch):
    monkeypatch.setattr("cloud_integrations.flows.operate.rekey._KEYS_PER_PAGE", 2)
    for tenant in (ACME, *NEWCOMERS):
        await world.add_key(tenant)
    told = []
    assert (await door.keys.rotate(progress=told.append)).changed == 4
    assert sum(told) >= 4
    assert max(told) <= 2
    assert all(versions(world, tenant) == [(1, "decrypt_only"), (2, "active")] for tenant in (ACME, *NEWCOMERS))


@pytest.mark.requirement("ENC-11")
@pytest.mark.parametrize("afterwards", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("nth", [1, 2, 3])
async def test_a_rotation_broken_off_anywhere_and_repeated_ends_the_same(world, door, nth, afterwards):
    for tenant in (ACME, GLOBEX, "hooli"):
        await world.add_key(tenant)
    cutoff = world.clock.now()
    world.store.fail(nth, error=CommitUnknownError, afterwards=afterwards)
    with pytest.raises(CommitUnknownError):
        await door.keys.rotate(created_before=cutoff)
    world.store.heal()
    await world.open().keys.rotate(created_before=cutoff)
    for tenant in (ACME, GLOBEX, "hooli"):
        assert versions(world, tenant) == [(1, "decrypt_only"), (2, "active")]
        assert [event.action for event in world.events(tenant)].count("key.rotated") == 1


async def _add_key(world, other):
    rotate_meanwhile(world)
    return await world.add_key(GLOBEX, door=other), tried(world, AddIntegration) - 1


async def _replace_key(world, other):
    held = await world.add_key(GLOBEX)
    rotate_meanwhile(world)
    another = world.provider.issue_api_key()
    world.secrets.append(another.reveal())
    return await other.replace_api_key(GLOBEX, held.id, api_key=another, actor=ALICE), tried(world, ReplaceCredential) - 1


async def _connect(world, other):
    begun = await world.begin(GLOBEX, door=other)
    rotate_meanwhile(world)
    return (await world.come_back(begun, door=other)).integration, tried(world, AddIntegration) - 1


async def _reconnect(world, other):
    held = await world.connect(GLOBEX)
    begun = await other.begin_reconnect(GLOBEX, held.id, actor=ALICE)
    rotate_meanwhile(world)
    return (await world.come_back(begun, door=other)).integration, tried(world, ReplaceCredential) - 1


async def _refresh(world, other):
    held = await world.connect(GLOBEX)
    await rotate_behind(world, other)
    await other.refresh(GLOBEX, held.id)
    assert world.provider.refresh_count == 1
    return held, tried(world, SaveRenewal) - 1


async def _import(world, other):
    rotate_meanwhile(world)
    world.secrets.append(world.provider.valid_api_key.reveal())
    given = ImportedKey(provider="simulated_keys", name="Key of Globex", api_key=world.provider.valid_api_key)
    return await other.import_credential(GLOBEX, given, actor=ALICE), tried(world, AddIntegration) - 1


SEALING = {
    "an API key": _add_key,
    "another API key": _replace_key,
    "a grant": _connect,
    "a reconnect": _reconnect,
    "a renewal": _refresh,
    "an import": _import,
}


# A process that still remembers the old key


@pytest.mark.requirement("ENC-10")
@pytest.mark.parametrize("what", SEALING)
async def test_what_is_sealed_under_a_key_from_memory_is_refused_sealed_anew_and_stored(world, what):
    held, refused = await SEALING[what](world, world.open())
    row = world.row(held)
    assert row.credential.key_id == world.rows.find_active_key(GLOBEX).key_id
    assert refused == 1
    if row.facts.renewable:
        assert world.provider.is_alive(await token(world, GLOBEX))
    else:
        assert await token(world, GLOBEX, "simulated_keys") == world.secrets[-1]


@pytest.mark.requirement("ENC-10")
async def test_an_authorization_that_begins_under_a_key_from_memory_is_stored_under_the_new_one(world):
    other = world.open()
    await rotate_behind(world, other)
    before = tried(world, AddPending)
    begun = await world.begin(GLOBEX, door=other)
    assert tried(world, AddPending) == before + 2
    assert (await world.come_back(begun)).integration.tenant_id == GLOBEX


@pytest.mark.requirement("ENC-10")
async def test_a_token_for_the_outbox_is_put_there_under_the_new_key(world):
    other = world.open()
    held = await world.connect(GLOBEX)
    await rotate_behind(world, other)
    world.provider.misbehave(Misbehaviour.UNAVAILABLE, endpoint="revoke", times=2)
    await other.delete(GLOBEX, held.id)
    assert tried(world, AddEntry) == 2
    assert {entry.key_id for entry in world.tables.outbox.values()} == {world.rows.find_active_key(GLOBEX).key_id}
    world.pass_(hours=1)
    assert (await world.open().worker.retry_revocations()).revoked == 2


async def test_a_key_that_is_replaced_before_every_write_is_given_up_on(world, door):
    await world.add_key()
    turned = []

    def turn(name, args):
        if name == "apply" and isinstance(args[0], AddIntegration):
            turned.append(name)
            replaced_once_more(world, ACME)

    world.store.before = turn
    with pytest.raises(StorageUnavailableError):
        await world.connect(door=door)
    assert len(turned) == 5 * 5, "five tries to store a grant, and five keys for each"
    assert world.provider.count("revoke") >= 1, "the grant was not given back"


async def test_two_that_make_a_tenants_first_key_at_once_use_the_one_that_was_first(world):
    other, made = world.open(), []

    def faster(name, args):
        if name == "apply" and isinstance(args[0], AddKey) and not made:
            kek, wrapped = world.keyring.wrap(bytes(32), tenant_id=ACME, key_id=UUID(int=7), version=1)
            made.append(replace(args[0].key, key_id=UUID(int=7), wrapped=wrapped, kek_uri=kek.kek_uri))
            world.rows.apply(AddKey(key=made[0]))

    world.store.before = faster
    held = await world.add_key(door=other)
    assert world.row(held).credential.key_id == UUID(int=7)
    assert keys_of(world) == made
