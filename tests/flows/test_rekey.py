"""Keys are rotated, wrapped anew, destroyed and refused while everything goes on."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from datetime import timedelta
from uuid import UUID

import pytest

from cloud_integrations.backends.aes_gcm import AesGcmCipher
from cloud_integrations.backends.keys.combined import CombinedKeys
from cloud_integrations.backends.keys.local import LocalKeyring
from cloud_integrations.domain.envelope import KeyState
from cloud_integrations.domain.importing import ImportedCredential
from cloud_integrations.domain.rekeying import RekeyFailure, RekeyRun
from cloud_integrations.errors import (
    CommitUnknownError,
    DecryptError,
    KeyringError,
    KeyServiceUnavailableError,
    StorageUnavailableError,
    ValidationFailedError,
)
from cloud_integrations.flows.shared.sealing import active_key
from cloud_integrations.manager import IntegrationManager
from cloud_integrations.ports.store import (
    AddIntegration,
    AddKey,
    AddPending,
    AddRevocation,
    ReplaceCredential,
    Reseal,
    RotateKey,
    SaveRenewal,
)
from cloud_integrations.providers.catalogue import Catalogue
from cloud_integrations.testing import Misbehaviour, SimulatedTransport

from .conftest import ACME, ALICE, GLOBEX

NEWCOMERS = ("hooli", "initech", "umbrella")


@pytest.fixture(autouse=True)
async def _every_key_is_older_than_now(world):
    """Time passes with every change, so that a new key is younger than the rotation that makes it is old."""
    await world.door.start()
    world.store.after = lambda name, _: world.pass_(microseconds=1) if name == "apply" else None


def keys_of(world, tenant=ACME):
    return [key for (owner, _), key in sorted(world.rows._tables.keys.items()) if owner == tenant]


def versions(world, tenant=ACME):
    return [(key.version, key.state.value) for key in sorted(keys_of(world, tenant), key=lambda key: key.version)]


def tried(world, kind):
    """How many times a change of this kind was handed to the store."""
    return sum(any(isinstance(change, kind) for change in changes) for changes in world.changes())


def outdated(world):
    """The tables that still have a row under a replaced key."""
    replaced = {(key.tenant_id, key.key_id) for key in world.rows.list_replaced_keys(limit=1_000)}
    return sorted({row.table for row in world.rows.list_sealed(replaced, limit=1_000)})


async def token(world, tenant=ACME, slug="simulated", *, door=None):
    """The credential, as a process opens it that has just started."""
    return (await (door or world.open()).credential(tenant, slug)).value.reveal()


async def fill_three_tables(world):
    """An OAuth2 grant and a key, an authorization that is open, and two tokens in the outbox: five rows."""
    held = await world.connect(GLOBEX)
    world.provider.misbehave(Misbehaviour.UNAVAILABLE, endpoint="revoke", times=2)
    await world.door.delete(GLOBEX, held.id)
    await world.connect()
    await world.add_key()
    return await world.begin(GLOBEX)


class OtherKeys:
    """A key service of another kind: what it wraps names its own key, and it may be told to refuse or to be silent."""

    waits = False

    def __init__(self, *services, primary=0):
        self.services, self.wraps_with = services, services[primary]
        self.trouble = {}
        """What is raised, by tenant."""
        self.asked = []

    def keks(self):
        first = self.wraps_with.keks()
        return first + tuple(kek for service in self.services for kek in service.keks() if kek not in first)

    def primary(self, tenant_id, /):
        return self.wraps_with.primary(tenant_id)

    def wrap(self, data_key, /, *, tenant_id, key_id, version):
        self._refuse(tenant_id)
        return self.wraps_with.wrap(data_key, tenant_id=tenant_id, key_id=key_id, version=version)

    def unwrap(self, wrapped, /):
        self._refuse(wrapped.tenant_id)
        (service,) = [each for each in self.services if wrapped.kek_key_id in {kek.kek_key_id for kek in each.keks()}]
        return service.unwrap(wrapped)

    def _refuse(self, tenant_id):
        self.asked.append(tenant_id)
        if tenant_id in self.trouble:
            raise self.trouble[tenant_id]


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
    runs = await world.door.all_at_once(*[lambda door=door: door.manager.keys.rotate(created_before=cutoff) for door in doors])
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


# A process that still remembers the old key


async def _add_key(world, other):
    await rotate_behind(world, other)
    return await world.add_key(GLOBEX, door=other), tried(world, AddIntegration) - 1


async def _replace_key(world, other):
    held = await world.add_key(GLOBEX)
    await rotate_behind(world, other)
    another = world.provider.issue_api_key()
    world.secrets.append(another.reveal())
    return await other.replace_api_key(GLOBEX, held.id, api_key=another, actor=ALICE), tried(world, ReplaceCredential) - 1


async def _connect(world, other):
    begun = await world.begin(GLOBEX, door=other)
    await rotate_behind(world, other)
    return (await world.come_back(begun, door=other)).integration, tried(world, AddIntegration) - 1


async def _reconnect(world, other):
    held = await world.connect(GLOBEX)
    begun = await other.begin_reconnect(GLOBEX, held.id, actor=ALICE)
    await rotate_behind(world, other)
    return (await world.come_back(begun, door=other)).integration, tried(world, ReplaceCredential) - 1


async def _refresh(world, other):
    held = await world.connect(GLOBEX)
    await rotate_behind(world, other)
    await other.refresh(GLOBEX, held.id)
    assert world.provider.refresh_count == 1
    return held, tried(world, SaveRenewal) - 1


async def _import(world, other):
    await rotate_behind(world, other)
    world.secrets.append(world.provider.valid_api_key.reveal())
    given = ImportedCredential(provider="simulated_keys", name="Key of Globex", api_key=world.provider.valid_api_key)
    return await other.import_credential(GLOBEX, given, actor=ALICE), tried(world, AddIntegration) - 1


SEALING = {
    "an API key": _add_key,
    "another API key": _replace_key,
    "a grant": _connect,
    "a reconnect": _reconnect,
    "a renewal": _refresh,
    "an import": _import,
}


async def rotate_behind(world, other):
    """Let *other* know the active key, and somebody else replace it."""
    await active_key(other.manager._wiring, GLOBEX)
    await world.door.keys.rotate(tenant_id=GLOBEX)


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
    assert tried(world, AddRevocation) == 2
    assert {entry.key_id for entry in world.rows._tables.revocations.values()} == {world.rows.find_active_key(GLOBEX).key_id}
    world.pass_(hours=1)
    assert (await world.open().worker.retry_revocations()).revoked == 2


def replaced_once_more(world, tenant):
    """Rotate at the store itself, as another process would."""
    key = world.rows.find_active_key(tenant)
    key_id, version = UUID(int=key.key_id.int + 1), key.version + 1
    kek, wrapped = world.keyring.wrap(bytes(32), tenant_id=tenant, key_id=key_id, version=version)
    new = replace(key, key_id=key_id, version=version, wrapped=wrapped, kek_uri=kek.kek_uri, created_at=world.clock.now())
    world.rows.apply(RotateKey(key=new, replaces=key.key_id))


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
    before = (world.rows._tables.integrations, world.rows._tables.pending, world.rows._tables.revocations)
    await world.open(keyring=OtherKeys(LocalKeyring([LocalKeyring.generate_key("new")]), world.keyring)).keys.rewrap()
    assert (world.rows._tables.integrations, world.rows._tables.pending, world.rows._tables.revocations) == before


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
        changed=1,
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
    world.rows._tables.keys[ACME, mine.key_id] = replace(mine, wrapped=theirs.wrapped)
    run = await world.open(keyring=OtherKeys(LocalKeyring([LocalKeyring.generate_key("new")]), world.keyring)).keys.rewrap()
    assert run == RekeyRun(changed=1, failures=(RekeyFailure(tenant_id=ACME, reason="does_not_open"),))


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


# Seal anew


@pytest.mark.requirement("ENC-10")
async def test_every_row_of_every_table_moves_to_the_active_key_and_opens(world, door):
    begun = await fill_three_tables(world)
    await door.keys.rotate()
    assert outdated(world) == ["ci_authorization", "ci_integration", "ci_revocation"]
    before = await token(world), await token(world, slug="simulated_keys")
    rows = {place: replace(held, read_at=None) for place, held in world.rows._tables.integrations.items()}
    told = []
    assert await door.keys.reseal(progress=told.append) == RekeyRun(changed=5)
    assert (outdated(world), sum(told)) == ([], 5)
    assert (await token(world), await token(world, slug="simulated_keys")) == before
    # Nothing but the sealed fields and their key has changed.
    for place, held in world.rows._tables.integrations.items():
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
    world.rows._tables.integrations[ACME, bad.id] = spoiled
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
    assert (done.changed, len(silent.asked)) == (0, 3)


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
            world.rows._tables.integrations[ACME, held.id] = newer

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
    runs = await world.door.all_at_once(*[door.manager.keys.reseal for door in doors])
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
    replaced = {key.key_id for key in world.rows._tables.keys.values() if key.state is not KeyState.ACTIVE}
    remembered = {place[1] for place in door.manager._wiring.data_keys._entries if isinstance(place, tuple)}
    assert remembered
    assert not remembered & replaced


# Destroy


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
    )
    assert process.keys.reseal().changed
    assert process.keys.destroy(retired_before=world.clock.now() - timedelta(minutes=5)).changed


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
    assert told == [2]
    assert versions(world) == [(1, "destroyed"), (2, "active")]
    assert (world.last_event().action, world.last_event().actor, world.last_event().details) == ("key.destroyed", ALICE, {"version": "1"})
    assert {key.wrapped for key in keys_of(world) if key.state is KeyState.DESTROYED} == {b""}
    assert await token(world, slug="simulated_keys") == world.provider.valid_api_key.reveal()
    # The old row, from a backup say, does not open any more; not here, where the key was in memory, nor elsewhere.
    world.rows._tables.integrations[ACME, held.id] = replace(world.row(held), credential=sealed)
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
    runs = await door.all_at_once(*[lambda each=each: each.manager.keys.destroy(retired_before=cutoff) for each in doors])
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
    assert (GLOBEX, key.key_id) in door.manager._wiring.data_keys._entries


# Secrets


def _shown(value):
    return json.dumps(value, default=str).encode()


@pytest.mark.requirement("ENC-18")
async def test_no_step_shows_a_key_or_a_secret(world, door):
    await fill_three_tables(world)
    new = LocalKeyring.generate_key("new")
    moving = world.open(keyring=OtherKeys(LocalKeyring([new]), world.keyring))
    runs = [await moving.keys.rotate(actor=ALICE), await moving.keys.rewrap(actor=ALICE), await moving.keys.reseal()]
    keys = [kept.key.key for _, kept in moving.manager._wiring.data_keys._entries.values() if getattr(kept, "key", None) is not None]
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
