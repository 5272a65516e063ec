"""What replaced keys sealed is sealed anew, while everything goes on."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from cloud_integrations.backends.keys.combined import CombinedKeys
from cloud_integrations.backends.keys.local import LocalKeyring
from cloud_integrations.domain.envelope import KeyState
from cloud_integrations.domain.rekeying import RekeyFailure, RekeyRun
from cloud_integrations.errors import CommitUnknownError, KeyringError, KeyServiceUnavailableError, ValidationFailedError
from cloud_integrations.ports.store import Reseal

from .conftest import ACME, GLOBEX
from .rekeying import NEWCOMERS, OtherKeys, fill_three_tables, replaced_once_more, token

pytestmark = pytest.mark.usefixtures("keys_older_than_now")


def outdated(world):
    """The tables that still have a row under a replaced key."""
    replaced = {(key.tenant_id, key.key_id) for key in world.rows.list_replaced_keys(limit=1_000)}
    return sorted({row.table for row in world.rows.list_sealed(replaced, limit=1_000)})


@pytest.mark.requirement("ENC-10", "B21")
async def test_every_row_of_every_table_moves_to_the_active_key_and_opens(world, door):
    begun = await fill_three_tables(world)
    await door.keys.rotate()
    assert outdated(world) == ["ci_authorization", "ci_integration", "ci_outbox"]
    before = await token(world), await token(world, slug="simulated_keys")
    rows = {place: replace(held, read_at=None) for place, held in world.tables.integrations.items()}
    told = []
    assert await door.keys.reseal(progress=told.append) == RekeyRun(changed=5)
    assert (outdated(world), sum(told)) == ([], 5)
    assert (await token(world), await token(world, slug="simulated_keys")) == before
    # Nothing but the sealed fields and their key has changed.
    for place, held in world.tables.integrations.items():
        assert replace(held, read_at=None, credential=rows[place].credential) == rows[place]
        assert held.credential.generation == rows[place].credential.generation
    assert (await world.come_back(begun)).integration.tenant_id == GLOBEX
    world.pass_(hours=1)
    assert (await world.open().worker.retry_revocations()).revoked == 2
    assert await door.keys.reseal() == RekeyRun()


async def test_many_rows_are_sealed_anew_in_small_steps(world, door, monkeypatch):
    monkeypatch.setattr("cloud_integrations.flows.operate.rekey._KEYS_PER_BATCH", 2)
    monkeypatch.setattr("cloud_integrations.flows.operate.rekey._ROWS_PER_BATCH", 3)
    for tenant in (ACME, GLOBEX, *NEWCOMERS):
        await world.connect(tenant)
        await world.add_key(tenant)
    await door.keys.rotate()
    world.store.calls.clear()
    assert (await door.keys.reseal()).changed == 10
    sizes = [len(change.rows) for changes in world.changes() for change in changes if isinstance(change, Reseal)]
    assert sizes == [3, 1, 3, 1, 2]
    assert outdated(world) == []


@pytest.mark.requirement("ENC-11")
@pytest.mark.parametrize("afterwards", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("nth", [1, 2, 3])
async def test_resealing_broken_off_anywhere_and_repeated_ends_the_same(world, door, nth, afterwards, monkeypatch):
    monkeypatch.setattr("cloud_integrations.flows.operate.rekey._ROWS_PER_BATCH", 1)
    await fill_three_tables(world)
    await door.keys.rotate()
    values = await token(world), await token(world, slug="simulated_keys")
    world.store.fail(nth, error=CommitUnknownError, afterwards=afterwards)
    with pytest.raises(CommitUnknownError):
        await door.keys.reseal()
    world.store.heal()
    assert (await token(world), await token(world, slug="simulated_keys")) == values
    run = await world.open().keys.reseal()
    assert run.failures == ()
    assert (outdated(world), run.changed) == ([], 5 - nth + (not afterwards))
    assert (await token(world), await token(world, slug="simulated_keys")) == values


async def test_a_row_that_does_not_open_is_named_and_the_others_go_on(world, door):
    bad = await world.connect()
    await world.add_key()
    await world.add_key(GLOBEX)
    held = world.row(bad)
    spoiled = replace(held, credential=replace(held.credential, presented=bytes(len(held.credential.presented))))
    world.tables.integrations[ACME, bad.id] = spoiled
    await door.keys.rotate()
    for _ in range(2):
        run = await world.open().keys.reseal()
        assert run.failures == (RekeyFailure(tenant_id=ACME, reason="does_not_open"),)
    assert world.row(bad).credential == spoiled.credential
    assert [usage.rows for usage in world.rows.list_key_usage(tenant_id=ACME)] == [1, 1]
    assert [usage.rows for usage in world.rows.list_key_usage(tenant_id=GLOBEX)] == [0, 1]


async def test_a_key_that_cannot_be_had_holds_nobody_else_up(world, door):
    for tenant in (ACME, GLOBEX, "hooli"):
        await world.connect(tenant)
        await world.add_key(tenant)
    await door.keys.rotate()
    keys = OtherKeys(world.keyring)
    process = world.open(keyring=keys)
    await process.start()
    keys.trouble = {ACME: KeyServiceUnavailableError(), GLOBEX: KeyringError(key_id="of globex", problem="may not be used")}
    run = await process.keys.reseal()
    assert run.changed == 2
    assert run.failures == (
        RekeyFailure(tenant_id=ACME, reason="KeyServiceUnavailableError"),
        RekeyFailure(tenant_id=GLOBEX, reason="KeyringError"),
    )
    keys.trouble = {}
    world.pass_(seconds=3)
    assert await process.keys.reseal() == RekeyRun(changed=4)


async def test_a_batch_asks_for_the_keys_that_it_needs_and_no_others(world, door, monkeypatch):
    monkeypatch.setattr("cloud_integrations.flows.operate.rekey._KEYS_PER_BATCH", 1)
    await world.connect()
    await door.keys.rotate()
    await world.add_key()
    await door.keys.rotate()
    keys = OtherKeys(world.keyring)
    process = world.open(keyring=keys)
    await process.start()
    keys.asked = []
    assert await process.keys.reseal() == RekeyRun(changed=2)
    assert keys.asked == [ACME] * 3, "each of the three keys once"


@pytest.mark.requirement("ENC-15")
async def test_a_key_that_is_lost_within_a_sweep_is_asked_for_once(world, door):
    await world.connect()
    await world.add_key()
    await world.add_key(GLOBEX)
    await door.keys.rotate()
    keys = OtherKeys(world.keyring)
    process = world.open(keyring=keys)
    await process.start()

    def outlast_the_memory(name, _):
        if name == "list_sealed" and not keys.trouble:
            world.pass_(days=2)
            keys.trouble, keys.asked = {ACME: KeyServiceUnavailableError()}, []

    world.store.before = outlast_the_memory
    assert await process.keys.reseal() == RekeyRun(changed=1, failures=(RekeyFailure(tenant_id=ACME, reason="KeyServiceUnavailableError"),))
    assert keys.asked.count(ACME) == 1


@pytest.mark.requirement("ENC-15")
@pytest.mark.parametrize("run", ["rotate", "rewrap", "reseal"])
async def test_a_service_that_stays_silent_is_not_asked_for_every_tenant(world, door, run):
    tenants = [f"tenant-{number}" for number in range(8)]
    for tenant in tenants:
        await world.add_key(tenant)
    if run == "reseal":
        await door.keys.rotate()
    silent, new = OtherKeys(world.keyring), LocalKeyring([LocalKeyring.generate_key("new")])
    process = world.open(keyring=CombinedKeys(new, silent) if run == "rewrap" else silent)
    await process.start()
    silent.trouble, silent.asked = dict.fromkeys(tenants, KeyServiceUnavailableError()), []
    done = await getattr(process.keys, run)()
    assert {failure.tenant_id: failure.reason for failure in done.failures} == dict.fromkeys(tenants, "KeyServiceUnavailableError")
    # The key for fingerprints is not of these tenants, and is moved.
    assert (done.changed, len(silent.asked)) == ((1, 4) if run == "rewrap" else (0, 3))


@pytest.mark.requirement("ENC-15")
async def test_a_silence_now_and_then_ends_no_run(world, door):
    tenants = [f"tenant-{number}" for number in range(8)]
    for tenant in tenants:
        await world.add_key(tenant)
    keys = OtherKeys(world.keyring)
    process = world.open(keyring=keys)
    await process.start()
    keys.trouble = dict.fromkeys(tenants[::2], KeyServiceUnavailableError())
    done = await process.keys.rotate()
    assert (done.changed, [failure.tenant_id for failure in done.failures]) == (4, tenants[::2])


@pytest.mark.requirement("ENC-10")
async def test_a_renewal_that_comes_between_is_not_overwritten(world, door):
    held = await world.connect()
    await door.keys.rotate()
    other, renewed = world.open(), []

    def renew_meanwhile(name, args):
        if name == "apply" and isinstance(args[0], Reseal) and not renewed:
            # Another process has stored a renewal since the sweep read the row.
            (_, after), *_ = args[0].rows
            row = world.row(held)
            renewed.append(row)
            newer = replace(row, credential=replace(row.credential, generation=row.credential.generation + 1, key_id=after.key_id))
            world.tables.integrations[ACME, held.id] = newer

    world.store.before = renew_meanwhile
    run = await other.keys.reseal()
    assert run.failures == ()
    (before,) = renewed
    now = world.row(held).credential
    assert now.generation == before.credential.generation + 1
    assert now.presented == before.credential.presented, "the renewal was overwritten"


async def test_a_key_that_is_replaced_again_meanwhile_is_followed(world, door):
    held = await world.connect()
    await door.keys.rotate()
    other, turned = world.open(), []

    def turn(name, args):
        if name == "apply" and isinstance(args[0], Reseal) and len(turned) < 2:
            turned.append(name)
            replaced_once_more(world, ACME)

    world.store.before = turn
    assert await other.keys.reseal() == RekeyRun(changed=1)
    assert world.row(held).credential.key_id == world.rows.find_active_key(ACME).key_id
    assert world.provider.is_alive(await token(world))


async def test_a_row_that_never_stays_as_it_was_is_named_at_last(world, door):
    await world.connect()
    await world.add_key(GLOBEX)
    await door.keys.rotate()
    apply = world.rows.apply

    def without_acme(*changes):
        kept = [
            replace(change, rows=tuple(pair for pair in change.rows if pair[0].tenant_id != ACME)) if isinstance(change, Reseal) else change
            for change in changes
        ]
        return apply(*kept)

    world.rows.apply = without_acme
    run = await world.open().keys.reseal()
    assert run == RekeyRun(changed=1, failures=(RekeyFailure(tenant_id=ACME, reason="kept_changing"),))


async def test_two_that_reseal_at_once_leave_nothing(world):
    for tenant in (ACME, GLOBEX, *NEWCOMERS):
        await world.connect(tenant)
        await world.add_key(tenant)
    await world.door.keys.rotate()
    doors = [world.open() for _ in range(3)]
    runs = await world.door.all_at_once(*[door.acting_as().keys.reseal for door in doors])
    assert all(run.failures == () for run in runs)
    assert outdated(world) == []
    for tenant in (ACME, GLOBEX, *NEWCOMERS):
        assert world.provider.is_alive(await token(world, tenant))


@pytest.mark.parametrize(("share", "seconds"), [(1, 5), (0.5, 10), (0.25, 20)])
async def test_resealing_leaves_the_database_to_others_for_a_share_of_the_time(world, door, share, seconds, monkeypatch):
    monkeypatch.setattr("cloud_integrations.flows.operate.rekey._ROWS_PER_BATCH", 1)
    await fill_three_tables(world)
    await door.keys.rotate()
    world.store.before = lambda name, args: world.pass_(seconds=1) if name == "apply" and isinstance(args[0], Reseal) else None
    world.store.after = None
    began = world.clock.now()
    assert await door.keys.reseal(share=share) == RekeyRun(changed=5)
    assert world.clock.now() - began == timedelta(seconds=seconds)


@pytest.mark.parametrize("share", [0, 0.009, 1.01, -1, float("nan"), float("inf")])
async def test_a_share_is_a_part(door, share):
    with pytest.raises(ValidationFailedError, match="share"):
        await door.keys.reseal(share=share)


async def test_resealing_leaves_no_replaced_key_in_memory(world, door):
    await fill_three_tables(world)
    await door.keys.rotate()
    await door.keys.reseal()
    replaced = {key.key_id for key in world.tables.keys.values() if key.state is not KeyState.ACTIVE}
    remembered = {place[1] for place in door.wiring.key_memory._entries if isinstance(place, tuple)}
    assert remembered
    assert not remembered & replaced
