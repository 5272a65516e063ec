"""What opens a row: the credential that stands in it, and its tenant's key."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from cloud_integrations.errors import DecryptError, KeyringError, StaleWriteError

from .conftest import ACME


async def test_a_row_without_its_credential_is_refused(world, door):
    held = await world.connect()
    row = world.row(held)
    world.tables.integrations[ACME, held.id] = replace(row, credential=replace(row.credential, presented=b""))
    with pytest.raises(DecryptError):
        await door.credential(ACME, "simulated")


@pytest.mark.requirement("ISO-08", "ENC-02")
@pytest.mark.parametrize("field", ["presented", "renewal"])
async def test_a_ciphertext_of_another_tenant_does_not_open(world, field):
    door = world.open(settings=world.settings(token_cache=timedelta()))
    acme, globex = await world.connect(door=door), await world.connect("globex", door=door)
    stolen = getattr(world.row(globex).credential, field)
    row = world.row(acme)
    world.tables.integrations[ACME, acme.id] = replace(row, credential=replace(row.credential, **{field: stolen}))
    if field == "renewal":
        world.pass_(hours=2)
    with pytest.raises(DecryptError):
        await door.credential(ACME, "simulated")
    assert not [event for event in world.events() if event.action == "credential.used"]


async def test_a_shredded_key_opens_nothing(world):
    await world.add_key()
    world.tables.keys.clear()
    with pytest.raises(DecryptError):
        await world.open().credential(ACME, "simulated_keys")


async def test_a_data_key_is_remembered_for_a_minute(world):
    door = world.open(settings=world.settings(token_cache=timedelta()))
    await world.add_key(door=door)
    await door.credential(ACME, "simulated_keys")
    before = world.store.count("find_key")
    await door.credential(ACME, "simulated_keys")
    assert world.store.count("find_key") == before
    world.pass_(minutes=1)
    await door.credential(ACME, "simulated_keys")
    assert world.store.count("find_key") == before + 1


async def test_of_two_workers_that_make_a_tenants_first_key_one_is_right(world):
    doors = [world.open() for _ in range(8)]
    for door in doors:
        await door.start()
    keys = [world.provider.issue_api_key() for _ in doors]
    calls = [
        lambda door=door, key=key, number=number: door.acting_as().add_api_key(
            ACME if number else "globex", "simulated_keys", name="Key", api_key=key
        )
        for number, (door, key) in enumerate(zip(doors, keys, strict=True))
    ]
    await doors[0].all_at_once(*calls)
    assert len([key for key in world.tables.keys.values() if key.tenant_id == ACME]) == 1
    assert (await world.open().credential(ACME, "simulated_keys")).value in keys


async def test_a_first_key_that_somebody_else_made_is_taken(world):
    first = world.open()
    second = world.open()
    await second.start()
    world.store.calls.clear()
    done = []

    def somebody_is_faster(name, args):
        if name == "apply" and not done and type(args[0]).__name__ == "AddKey" and args[0].key.tenant_id == ACME:
            done.append(args[0])
            rows = world.rows
            rows.apply(args[0])

    world.store.before = somebody_is_faster
    await second.add_api_key(ACME, "simulated_keys", name="Key", api_key=world.provider.valid_api_key)
    assert [owner for owner, _ in world.tables.keys].count(ACME) == 1
    assert (await first.credential(ACME, "simulated_keys")).value == world.provider.valid_api_key


async def test_a_first_key_that_is_refused_and_not_there_is_said(world, door):
    await door.start()
    world.store.fail(1, error=StaleWriteError)
    with pytest.raises(KeyringError):
        await world.add_key()
