"""Keys are wrapped anew, destroyed and refused while everything goes on."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from datetime import timedelta

import pytest

from cloud_integrations.backends.aes_gcm import AesGcmCipher
from cloud_integrations.backends.keys.local import LocalKeyring
from cloud_integrations.domain.envelope import KeyState
from cloud_integrations.domain.rekeying import RekeyFailure, RekeyRun
from cloud_integrations.errors import CommitUnknownError, DecryptError, KeyringError, KeyServiceUnavailableError, ValidationFailedError
from cloud_integrations.manager import IntegrationManager
from cloud_integrations.providers.catalogue import Catalogue
from cloud_integrations.testing import SimulatedTransport

from .conftest import ACME, ALICE, GLOBEX
from .rekeying import OtherKeys, fill_three_tables, keys_of, rotate_behind, token, versions

pytestmark = pytest.mark.usefixtures("keys_older_than_now")


# Wrap anew


@pytest.mark.requirement("ENC-10", "ENC-13")
async def test_after_rewrapping_the_old_wrapping_key_is_not_needed(world, door):
    await world.connect()
    await world.add_key(GLOBEX)
    await door.keys.rotate()
    new = LocalKeyring.generate_key("new")
    moving = world.open(keyring=OtherKeys(LocalKeyring([new]), world.keyring))
    report = await moving.keys.report()
    # Two of each tenant, and the key of fingerprints, which is never replaced.
    assert (report.primary, report.misplaced) == ("local:new", 5)
    with pytest.raises(KeyringError):
        await world.open(keyring=LocalKeyring([new])).start()
    told = []
    assert await moving.keys.rewrap(actor=ALICE, progress=told.append) == RekeyRun(changed=5)
    assert sum(told) == 5
    assert (await moving.keys.report()).misplaced == 0
    alone = world.open(keyring=LocalKeyring([new]))
    await alone.start()
    assert world.provider.is_alive(await token(world, door=alone))
    assert await token(world, GLOBEX, "simulated_keys", door=alone) == world.provider.valid_api_key.reveal()
    event = [event for event in world.events() if event.action == "key.rewrapped"][-1]
    assert event.actor == ALICE
    assert event.details == {"version": "2", "old_kek": "local:test", "kek": "local:new"}
    assert await moving.keys.rewrap() == RekeyRun()


async def test_rewrapping_touches_no_sealed_value(world):
    await fill_three_tables(world)
    before = (world.tables.integrations, world.tables.pending, world.tables.outbox)
    await world.open(keyring=OtherKeys(LocalKeyring([LocalKeyring.generate_key("new")]), world.keyring)).keys.rewrap()
    assert (world.tables.integrations, world.tables.pending, world.tables.outbox) == before


@pytest.mark.requirement("ENC-11")
@pytest.mark.parametrize("afterwards", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("nth", [1, 2, 3])
async def test_rewrapping_broken_off_anywhere_and_repeated_ends_the_same(world, nth, afterwards):
    tenants = (ACME, GLOBEX, "hooli")
    for tenant in tenants:
        await world.add_key(tenant)
    new = LocalKeyring([LocalKeyring.generate_key("new")])
    moving = world.open(keyring=OtherKeys(new, world.keyring))
    await moving.start()
    world.store.fail(nth, error=CommitUnknownError, afterwards=afterwards)
    with pytest.raises(CommitUnknownError):
        await moving.keys.rewrap()
    world.store.heal()
    assert [await token(world, tenant, "simulated_keys", door=moving) for tenant in tenants]
    await moving.keys.rewrap()
    alone = world.open(keyring=new)
    assert {await token(world, tenant, "simulated_keys", door=alone) for tenant in tenants} == {world.provider.valid_api_key.reveal()}


@pytest.mark.requirement("ENC-13")
async def test_a_process_with_the_previous_keys_reads_what_is_written_while_the_new_one_is_only_known(world):
    new = LocalKeyring([LocalKeyring.generate_key("new")])
    known = world.open(keyring=OtherKeys(new, world.keyring, primary=1))
    await world.connect(door=known)
    await known.keys.rotate()
    await world.add_key(door=known)
    assert world.provider.is_alive(await token(world))
    assert await token(world, slug="simulated_keys") == world.provider.valid_api_key.reveal()


async def test_one_tenants_trouble_does_not_end_the_run(world, door):
    for tenant in (ACME, GLOBEX, "hooli", "initech"):
        await world.add_key(tenant)
    moving = OtherKeys(LocalKeyring([LocalKeyring.generate_key("new")]), world.keyring)
    moving.trouble = {
        ACME: KeyringError(key_id="of acme", problem="may not be used"),
        GLOBEX: KeyServiceUnavailableError(),
        "hooli": DecryptError(),
    }
    run = await world.open(keyring=moving).keys.rewrap()
    assert run == RekeyRun(
        changed=2,  # and the key for fingerprints
        failures=(
            RekeyFailure(tenant_id=ACME, reason="KeyringError"),
            RekeyFailure(tenant_id=GLOBEX, reason="KeyServiceUnavailableError"),
            RekeyFailure(tenant_id="hooli", reason="does_not_open"),
        ),
    )
    assert world.rows.find_active_key("initech").kek_uri == "local:new"


@pytest.mark.requirement("ENC-09")
async def test_a_wrapped_key_put_in_anothers_place_is_not_wrapped_anew(world):
    await world.add_key()
    await world.add_key(GLOBEX)
    (mine,), (theirs,) = keys_of(world), keys_of(world, GLOBEX)
    world.tables.keys[ACME, mine.key_id] = replace(mine, wrapped=theirs.wrapped)
    run = await world.open(keyring=OtherKeys(LocalKeyring([LocalKeyring.generate_key("new")]), world.keyring)).keys.rewrap()
    assert run == RekeyRun(changed=2, failures=(RekeyFailure(tenant_id=ACME, reason="does_not_open"),)), (
        "theirs, and the key for fingerprints"
    )


async def test_a_report_counts_what_each_key_protects(world, door):
    await fill_three_tables(world)
    report = await door.keys.report()
    assert [(usage.kek_uri, usage.state, usage.keys, usage.rows) for usage in report.usage] == [("local:test", KeyState.ACTIVE, 3, 5)]
    assert (report.primary, report.misplaced, report.outdated) == ("local:test", 0, 0)
    await door.keys.rotate()
    assert (await door.keys.report()).outdated == 5
    mine = await door.keys.report(tenant_id=ACME)
    assert [(usage.version, usage.state.value, usage.rows) for usage in mine.usage] == [(1, "decrypt_only", 2), (2, "active", 0)]
    assert mine.outdated == 2


def sweep(world):
    """Another process seals everything anew and destroys the old keys, all at once."""
    process = IntegrationManager(
        store=world.rows,
        transport=SimulatedTransport(world.provider),
        keys=world.keyring,
        cipher=AesGcmCipher(),
        providers=Catalogue.of(*world.entries),
        applications=[world.provider.application()],
        settings=world.settings(),
        clock=world.clock,
        entropy=world.entropy,
    ).acting_as(ALICE)
    assert process.keys.reseal().changed
    assert process.keys.destroy(retired_before=world.clock.now() - timedelta(minutes=5)).changed


# Destroy


async def test_a_key_is_destroyed_when_nothing_needs_it_and_its_readers_are_done(world, door):
    held = await world.add_key()
    sealed = world.row(held).credential
    await door.keys.rotate()
    with pytest.raises(ValidationFailedError):
        await door.keys.destroy(retired_before=world.clock.now())
    with pytest.raises(ValidationFailedError):
        await door.keys.destroy(retired_before=world.clock.now() - timedelta(minutes=5) + timedelta(microseconds=1))
    world.pass_(minutes=6)
    cutoff = world.clock.now() - timedelta(minutes=5)
    assert await door.keys.destroy(retired_before=cutoff) == RekeyRun(), "it is still in use"
    assert await door.keys.destroy(retired_before=cutoff - timedelta(hours=1)) == RekeyRun()
    await door.keys.reseal()
    told = []
    assert await door.keys.destroy(retired_before=cutoff, actor=ALICE, progress=told.append) == RekeyRun(changed=1)
    assert told == [3]
    assert versions(world) == [(1, "destroyed"), (2, "active")]
    assert (world.last_event().action, world.last_event().actor, world.last_event().details) == ("key.destroyed", ALICE, {"version": "1"})
    assert {key.wrapped for key in keys_of(world) if key.state is KeyState.DESTROYED} == {b""}
    assert await token(world, slug="simulated_keys") == world.provider.valid_api_key.reveal()
    # The old row, from a backup say, does not open any more; not here, where the key was in memory, nor elsewhere.
    world.tables.integrations[ACME, held.id] = replace(world.row(held), credential=sealed)
    for process in (door, world.open()):
        with pytest.raises(DecryptError):
            await process.verify(ACME, held.id)
    assert await door.keys.destroy(retired_before=cutoff) == RekeyRun()


@pytest.mark.requirement("ENC-10")
@pytest.mark.parametrize(("use", "reads"), [("token", 1), ("refresh", 2), ("remove", 1)])
async def test_who_read_a_row_before_its_key_was_replaced_and_destroyed_reads_it_again(world, door, use, reads):
    held = await world.connect()
    await door.keys.rotate()
    world.pass_(minutes=10)
    alive, reader, seen = await token(world), world.open(), []

    def replace_and_destroy(name, _):
        if name in {"find_credential", "find_integration"}:
            seen.append(name)
        if len(seen) == reads:
            world.store.heal()
            sweep(world)

    world.store.after = replace_and_destroy
    match use:
        case "token":
            assert await token(world, door=reader) == alive
        case "refresh":
            await reader.refresh(ACME, held.id)
            assert await token(world) != alive
        case _:
            await reader.delete(ACME, held.id)
            assert not world.provider.is_alive(alive)
    assert versions(world) == [(1, "destroyed"), (2, "active")]


async def test_a_key_that_another_process_destroys_first_is_no_error(world, door):
    await world.add_key()
    await door.keys.rotate()
    await door.keys.reseal()
    world.pass_(minutes=10)
    cutoff = world.clock.now() - timedelta(minutes=5)
    doors = [world.open() for _ in range(3)]
    runs = await door.all_at_once(*[lambda each=each: each.acting_as().keys.destroy(retired_before=cutoff) for each in doors])
    assert sorted(run.changed for run in runs) == [0, 0, 1]
    assert [event.action for event in world.events()].count("key.destroyed") == 1


# Refuse


async def test_refused_keys_open_nothing_until_it_is_taken_back(world, door):
    held = await world.add_key()
    await door.keys.rotate()
    await token(world, slug="simulated_keys", door=door)
    await door.keys.refuse(ACME, below=2, actor=ALICE)
    assert (world.last_event().action, world.last_event().resource, world.last_event().details) == (
        "key.refused",
        f"tenant:{ACME}",
        {"below": "2"},
    )
    for process in (door, world.open()):
        with pytest.raises(DecryptError):
            await process.credential(ACME, "simulated_keys")
    assert (await door.keys.reseal()).failures == (RekeyFailure(tenant_id=ACME, reason="does_not_open"),)
    # What is connected anew works.
    await door.replace_api_key(ACME, held.id, api_key=world.provider.valid_api_key, actor=ALICE)
    assert await token(world, slug="simulated_keys", door=door) == world.provider.valid_api_key.reveal()
    await door.keys.refuse(ACME, below=1)
    assert await token(world, slug="simulated_keys") == world.provider.valid_api_key.reveal()


async def test_what_was_refused_opens_again_when_it_is_taken_back(world, door):
    await world.add_key()
    await door.keys.rotate()
    await door.keys.refuse(ACME, below=2)
    await door.keys.refuse(ACME, below=1)
    assert await token(world, slug="simulated_keys", door=door) == world.provider.valid_api_key.reveal()


@pytest.mark.parametrize("below", [-1, 0, 3])
async def test_the_active_key_is_never_refused(world, door, below):
    await world.add_key()
    await door.keys.rotate()
    with pytest.raises(ValidationFailedError):
        await door.keys.refuse(ACME, below=below)
    with pytest.raises(ValidationFailedError):
        await door.keys.refuse("nobody", below=2)
    await door.keys.refuse("nobody", below=1)
    assert world.rows.find_active_key("nobody") is None


async def test_refusing_needs_no_key_service_and_no_fresh_memory(world):
    keys = OtherKeys(world.keyring)
    other = world.open(keyring=keys)
    held = await world.add_key(GLOBEX)
    await rotate_behind(world, other)
    keys.trouble = {GLOBEX: KeyServiceUnavailableError()}
    await other.keys.refuse(GLOBEX, below=2)
    with pytest.raises(DecryptError):
        await other.verify(GLOBEX, held.id)


async def test_refusing_one_tenants_keys_leaves_the_others_in_memory(world, door):
    await world.add_key()
    await world.add_key(GLOBEX)
    await token(world, GLOBEX, "simulated_keys", door=door)
    await door.keys.rotate(tenant_id=ACME)
    await door.keys.refuse(ACME, below=2)
    world.store.calls.clear()
    key = world.rows.find_active_key(GLOBEX)
    assert (GLOBEX, key.key_id) in door.wiring.key_memory._entries


def _shown(value):
    return json.dumps(value, default=str).encode()


# Secrets


@pytest.mark.requirement("ENC-18")
async def test_no_step_shows_a_key_or_a_secret(world, door):
    await fill_three_tables(world)
    new = LocalKeyring.generate_key("new")
    moving = world.open(keyring=OtherKeys(LocalKeyring([new]), world.keyring))
    runs = [await moving.keys.rotate(actor=ALICE), await moving.keys.rewrap(actor=ALICE), await moving.keys.reseal()]
    keys = [kept.key.key for _, kept in moving.wiring.key_memory._entries.values() if getattr(kept, "key", None) is not None]
    assert len(keys) >= 2
    world.pass_(minutes=10)
    runs.append(await moving.keys.destroy(retired_before=world.clock.now() - timedelta(minutes=5), actor=ALICE))
    await moving.keys.refuse(ACME, below=2, actor=ALICE)
    report = await moving.keys.report()
    told = [(fact.name, dict(fact.facts)) for fact in world.facts.told]
    shown = b"".join(map(_shown, [world.events(), world.events(GLOBEX), runs, report, told, repr(moving.manager)])) + world.raw_dump()
    keys.append(base64.b64decode(new.reveal().partition(":")[2]))
    for key in keys:
        for form in (key, key.hex().encode(), base64.b64encode(key).rstrip(b"="), repr(key).encode()):
            assert form not in shown
    assert world.leaks_in(shown) == []
