"""A tenant is erased: its access ends, and nothing it had here can be opened again."""

from __future__ import annotations

from contextlib import suppress
from datetime import timedelta

import pytest

from cloud_integrations.backends.keys.combined import CombinedKeys
from cloud_integrations.backends.keys.local import LocalKeyring
from cloud_integrations.domain.envelope import KeyState
from cloud_integrations.domain.provider import Revoke
from cloud_integrations.domain.rekeying import RekeyFailure
from cloud_integrations.domain.removal import RevocationOutcome
from cloud_integrations.errors import (
    DecryptError,
    GrantRefusedError,
    IntegrationNotFoundError,
    KeyringError,
    KeyServiceUnavailableError,
    StorageUnavailableError,
)
from cloud_integrations.ports.store import AddIntegration, EraseTenant
from cloud_integrations.testing import Misbehaviour

from .conftest import ACME, ALICE, GLOBEX


def restore(world, keys):
    """Put these key rows back, as a backup of the one table would."""
    world.tables.keys.update({(key.tenant_id, key.key_id): key for key in keys})


def living(world, tenant=ACME):
    return world.rows.list_keys(tenant_id=tenant, limit=100)


class FailingKeys:
    """The world's keys, which raise what they are told to."""

    waits = False

    def __init__(self, keys, /):
        self._keys = keys
        self.trouble = None

    def __getattr__(self, name):
        return getattr(self._keys, name)

    def unwrap(self, wrapped, /):
        if self.trouble is not None:
            raise self.trouble
        return self._keys.unwrap(wrapped)


@pytest.mark.requirement("ENC-14")
async def test_everything_of_an_erased_tenant_is_gone_and_its_access_has_ended(world, door):
    oauth, key = await world.connect(), await world.add_key()
    tokens = [await door.wiring.sealer.open_token(world.row(oauth), name) for name in ("access", "refresh")]
    await door.delete(ACME, oauth.id)
    oauth = await world.connect()
    begun = await door.begin_reconnect(ACME, oauth.id, actor=ALICE)
    world.pass_(seconds=1)
    await door.keys.rotate(tenant_id=ACME)
    keys = living(world)
    receipt = await door.erase_tenant(ACME, actor=ALICE, request_id="req-7")
    assert (receipt.tenant_id, receipt.erased_at) == (ACME, world.clock.now())
    # The API key still works at the provider.
    assert (receipt.integrations, receipt.revoked, receipt.not_revoked) == (2, 2, 1)
    assert receipt.key_ids == tuple(each.key_id for each in keys)
    assert len(receipt.key_ids) == 2
    assert await door.list_integrations(ACME) == ()
    assert not any(world.provider.is_alive(token) for token in tokens)
    assert living(world) == ()
    assert {each.wrapped for each in world.tables.keys.values() if each.tenant_id == ACME} == {b""}
    assert (world.tables.pending, world.tables.outbox) == ({}, {})
    with pytest.raises(GrantRefusedError):
        await world.come_back(begun)
    for wanted in (oauth, key):
        with pytest.raises(IntegrationNotFoundError):
            await door.get_integration(ACME, wanted.id)
    assert world.leaks_in(world.raw_dump()) == []


@pytest.mark.requirement("ENC-14")
async def test_the_audit_chain_outlives_its_tenant_and_the_receipt_says_where_it_stood(world, door):
    await world.connect()
    receipt = await door.erase_tenant(ACME, actor=ALICE, request_id="req-7")
    event = world.last_event()
    assert (event.action, event.actor, event.request_id, event.resource) == ("tenant.erased", ALICE, "req-7", f"tenant:{ACME}")
    assert event.details == {"keys": "1"}
    assert (await door.audit.verify(ACME)).whole
    head = world.rows.find_audit_head(ACME)
    assert (receipt.audit_seq, receipt.audit_hash) == (head.seq, head.hash)
    assert "tenant.erased" in world.facts.names


@pytest.mark.requirement("ENC-14")
async def test_other_tenants_notice_nothing(world, door):
    await world.connect()
    theirs = await world.connect(GLOBEX)
    before = world.row(theirs), await door.credential(GLOBEX, "simulated")
    events = len(world.events(GLOBEX))
    world.store.calls.clear()
    await door.erase_tenant(ACME)
    assert world.row(theirs) == before[0]
    assert len(world.events(GLOBEX)) == events
    assert world.provider.is_alive((await world.open().credential(GLOBEX, "simulated")).value)
    # What this process remembers of them stays, for an outage of the key service may come at any time.
    places = set(door.wiring.key_memory._entries)
    assert (GLOBEX, world.rows.find_active_key(GLOBEX).key_id) in places
    assert not any(place == ACME or place[0] == ACME for place in places)


@pytest.mark.requirement("ENC-14")
async def test_erasing_twice_is_no_error(world, door):
    await world.connect()
    first = await door.erase_tenant(ACME)
    again = await door.erase_tenant(ACME)
    assert (first.integrations, again.integrations, again.key_ids, again.revoked) == (1, 0, first.key_ids, 0)
    assert len(first.key_ids) == 1
    nobody = await door.erase_tenant("nobody")
    assert (nobody.integrations, nobody.key_ids) == (0, ())


@pytest.mark.requirement("ENC-14")
async def test_a_tenant_that_comes_back_has_a_key_of_a_higher_version(world, door):
    await world.connect()
    other = world.open()
    await other.wiring.data_keys.active(ACME)
    await door.erase_tenant(ACME)
    held = await world.connect(door=other)
    assert world.provider.is_alive((await world.open().credential(ACME, "simulated")).value)
    assert [key.version for key in living(world)] == [2]
    assert world.row(held).credential.key_id == living(world)[0].key_id


@pytest.mark.requirement("ENC-14")
async def test_a_row_of_a_backup_is_never_opened_again_and_is_found(world, door):
    held = await world.connect()
    row, keys = world.row(held), living(world)
    receipt = await door.erase_tenant(ACME)
    assert await door.keys.find_returned(ACME, receipt.key_ids) == ()
    restore(world, keys)
    world.tables.integrations[ACME, held.id] = row
    assert await door.keys.find_returned(ACME, receipt.key_ids) == receipt.key_ids
    assert [key.tenant_id for key in world.rows.list_returned_keys(limit=10)] == [ACME]
    assert [(await door.keys.report(tenant_id=tenant)).returned for tenant in (None, ACME, GLOBEX)] == [1, 1, 0]
    for process in (door, world.open()):
        with pytest.raises(DecryptError):
            await process.credential(ACME, "simulated")
        with pytest.raises(KeyringError):
            await world.add_key(door=process)
    # Neither does a round of maintenance open it.
    world.pass_(seconds=1)
    await door.keys.rotate()
    assert (await door.keys.reseal()).failures == (RekeyFailure(tenant_id=ACME, reason="does_not_open"),)
    with pytest.raises(DecryptError):
        await world.open().credential(ACME, "simulated")
    # Erased once more, it is as before.
    again = await door.erase_tenant(ACME)
    assert receipt.key_ids[0] in again.key_ids
    assert await door.keys.find_returned(ACME, receipt.key_ids) == ()
    assert world.rows.list_returned_keys(limit=10) == ()
    assert {key.state for key in world.tables.keys.values() if key.tenant_id == ACME} == {KeyState.DESTROYED}
    await world.connect()


@pytest.mark.requirement("ENC-14")
async def test_after_the_time_on_the_receipt_no_process_opens_what_a_backup_brings_back(world, door):
    held = await world.connect()
    row, keys = world.row(held), living(world)
    processes = [world.open(), world.open()]
    for process in processes:
        await process.credential(ACME, "simulated")
    receipt = await door.erase_tenant(ACME)
    assert receipt.effective_at == receipt.erased_at + timedelta(seconds=60) + timedelta(minutes=15)
    restore(world, keys)
    world.tables.integrations[ACME, held.id] = row
    world.clock.advance(receipt.effective_at - world.clock.now())
    for process in (*processes, door):
        with pytest.raises(DecryptError):
            await process.credential(ACME, "simulated")


async def test_the_time_on_the_receipt_is_the_longest_memory_there_is(world):
    door = world.open(
        settings=world.settings(token_cache=timedelta(hours=2), data_key_cache=timedelta(seconds=10), data_key_grace=timedelta())
    )
    receipt = await door.erase_tenant(ACME)
    assert receipt.effective_at - receipt.erased_at == timedelta(hours=2)
    door = world.open(settings=world.settings(token_cache=timedelta(), data_key_cache=timedelta(), data_key_grace=timedelta()))
    receipt = await door.erase_tenant(ACME)
    assert receipt.effective_at == receipt.erased_at


async def test_tokens_that_the_provider_does_not_take_back_are_given_up_and_counted(world, door):
    held = await world.connect()
    world.provider.misbehave(Misbehaviour.UNAVAILABLE, endpoint="revoke", times=None)
    await door.delete(ACME, held.id)
    await world.connect()
    await world.connect(GLOBEX)
    theirs = await world.connect("hooli")
    await door.delete("hooli", theirs.id)
    assert world.rows.count_entries("revocation") == 4
    receipt = await door.erase_tenant(ACME)
    # Two that waited already, and two of the integration that there was.
    assert (receipt.integrations, receipt.revoked, receipt.not_revoked) == (1, 0, 4)
    assert {entry.tenant_id for entry in world.tables.outbox.values()} == {"hooli"}
    world.provider.behave()
    world.pass_(hours=1)
    assert (await door.worker.retry_revocations()).revoked == 2


async def test_a_tenant_that_connects_meanwhile_is_erased_with_what_it_connected(world, door):
    await world.connect()
    other, came = world.open(), []

    def connect(name, args):
        if name == "apply" and isinstance(args[0], EraseTenant) and len(came) < 2:
            # What another process has stored a moment before.
            came.append(name)
            world.rows.apply(
                AddIntegration(facts=kept.facts, credential=kept.credential),
            )

    (facts,) = await door.list_integrations(ACME)
    kept = world.row(facts)
    world.store.before = connect
    receipt = await other.erase_tenant(ACME)
    assert len(came) == 2
    assert receipt.integrations == 3
    assert await door.list_integrations(ACME) == ()
    assert [event.action for event in world.events()].count("tenant.erased") == 1


async def test_a_tenant_that_keeps_connecting_is_left_for_later(world, door):
    await world.add_key()
    (facts,) = await door.list_integrations(ACME)
    kept, tries = world.row(facts), []

    def connect(name, args):
        if name == "apply" and isinstance(args[0], EraseTenant):
            tries.append(name)
            world.rows.apply(AddIntegration(facts=kept.facts, credential=kept.credential))

    world.store.before = connect
    with pytest.raises(StorageUnavailableError):
        await door.erase_tenant(ACME)
    assert len(tries) == 5
    assert living(world) != ()
    world.store.heal()
    assert (await door.erase_tenant(ACME)).integrations == 1


async def test_an_integration_that_somebody_else_removes_meanwhile_is_no_error(world, door):
    held = await world.add_key()
    other = world.open()

    def remove(name, args):
        if name == "find_integration":
            world.store.heal()
            world.tables.integrations.pop((ACME, held.id))

    world.store.before = remove
    assert (await other.erase_tenant(ACME)).integrations == 0
    assert living(world) == ()


@pytest.mark.requirement("ENC-14")
@pytest.mark.parametrize("afterwards", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("nth", range(1, 5))
async def test_an_erasure_broken_off_anywhere_and_repeated_ends_the_same(world, door, nth, afterwards):
    await world.connect()
    await world.add_key()
    world.store.fail(nth, afterwards=afterwards)
    with suppress(StorageUnavailableError):
        await door.erase_tenant(ACME)
    world.store.heal()
    await world.open().erase_tenant(ACME)
    assert await door.list_integrations(ACME) == ()
    assert (living(world), world.tables.outbox) == ((), {})
    assert (await door.audit.verify(ACME)).whole


async def test_several_that_erase_one_tenant_at_once_do_no_harm(world, door):
    await world.connect()
    await world.add_key()
    await world.connect(GLOBEX)
    doors = [world.open() for _ in range(3)]
    receipts = await door.all_at_once(*[lambda each=each: each.acting_as().erase_tenant(ACME) for each in doors])
    assert all(not isinstance(receipt, Exception) for receipt in receipts), receipts
    assert sum(receipt.integrations for receipt in receipts) == 2
    assert living(world) == ()
    assert len(living(world, GLOBEX)) == 1


async def test_a_tenant_that_has_taken_our_permission_away_can_be_erased(world):
    await world.connect()
    await world.add_key()
    keys = FailingKeys(world.keyring)
    door = world.open(keyring=keys)
    await door.start()
    keys.trouble = KeyringError(key_id="of acme", problem="may not be used")
    receipt = await door.erase_tenant(ACME)
    # Two tokens and the key.
    assert (receipt.integrations, receipt.revoked, receipt.not_revoked) == (2, 0, 3)
    assert await door.list_integrations(ACME) == ()
    assert living(world) == ()


async def test_while_the_key_service_is_away_nothing_is_erased_that_could_still_be_revoked(world):
    held = await world.connect()
    keys = FailingKeys(world.keyring)
    door = world.open(keyring=keys)
    await door.start()
    keys.trouble = KeyServiceUnavailableError()
    with pytest.raises(KeyServiceUnavailableError):
        await door.erase_tenant(ACME)
    assert world.row(held) is not None
    assert len(living(world)) == 1
    keys.trouble = None
    world.pass_(seconds=3)
    assert (await door.erase_tenant(ACME)).revoked == 2


@pytest.mark.requirement("ENC-14")
@pytest.mark.parametrize("how", ["remove", "erase_tenant"])
async def test_a_tenant_that_withdrew_the_key_that_seals_now_can_still_be_removed(world, door, how):
    held = await world.connect()
    own = FailingKeys(LocalKeyring([LocalKeyring.generate_key("acme-own")]))
    keys = CombinedKeys(world.keyring, tenants={ACME: own})
    world.pass_(seconds=1)
    await world.open(keyring=keys).keys.rotate(tenant_id=ACME)
    own.trouble = KeyringError(key_id="acme-own", problem="is switched off")
    process = world.open(keyring=keys)
    if how == "remove":
        removal = await process.delete(ACME, held.id)
        assert (removal.refresh_token, removal.access_token) == (RevocationOutcome.UNSUPPORTED, RevocationOutcome.UNSUPPORTED)
    else:
        receipt = await process.erase_tenant(ACME)
        assert (receipt.integrations, receipt.revoked, receipt.not_revoked) == (1, 0, 2)
    assert await process.list_integrations(ACME) == ()


async def test_the_receipt_says_where_keys_that_still_work_can_be_withdrawn(world):
    keys = world.entries[1]
    method = keys.methods[0].model_copy(update={"revoke": Revoke(manual_url="https://simulated.example/keys")})
    door = world.open(providers=[world.entries[0], keys.model_copy(update={"methods": (method,)})])
    await world.add_key()
    receipt = await door.erase_tenant(ACME)
    assert (receipt.not_revoked, receipt.manual_urls) == (1, ("https://simulated.example/keys",))
