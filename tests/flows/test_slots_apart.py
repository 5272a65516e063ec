"""Slots one by one: their authorizations, what a removal ends at the provider, and a tenant with many of them."""

from __future__ import annotations

import pytest

from cloud_integrations.domain.removal import RevocationOutcome
from cloud_integrations.errors import GrantRefusedError, IntegrationExistsError, IntegrationNotFoundError, ValidationFailedError
from cloud_integrations.ports.store import MAX_HOLDERS, DamagedRow
from cloud_integrations.testing import Misbehaviour

from .conftest import ACME, ALICE, GLOBEX, MALLORY, OWN_REDIRECT_URI
from .grants import DECLARED, at_answer, declaring, honoured
from .test_no_orphans import repeat_tokens
from .test_slots import KEYS, OAUTH, SLOTS, added, connected, slotted, stored_value


@pytest.fixture
def door(world):
    world.door = slotted(world)
    return world.door


# Authorizations


async def test_an_authorization_keeps_its_slot(world, door):
    begun = {slot: await world.begin(slot=slot) for slot in SLOTS}
    for slot in reversed(SLOTS):
        connected = await world.come_back(begun[slot])
        assert (connected.integration.id, connected.integration.slot) == (begun[slot].integration_id, slot)
        assert (await door.credential(ACME, OAUTH, slot=slot)).integration_id == begun[slot].integration_id


async def test_the_first_of_two_for_one_slot_closes_the_other_and_none_of_another_slot(world, door):
    first, second, other = [await world.begin(slot=slot) for slot in ("production", "production", "another")]
    await world.come_back(second)
    with pytest.raises(GrantRefusedError):
        await world.come_back(first)
    assert (await world.come_back(other)).integration.slot == "another"


async def test_removing_closes_the_authorizations_of_its_slot_alone(world, door):
    held = await connected(world, ["production"])
    again = await door.begin_reconnect(ACME, held["production"].id, actor=ALICE)
    others = [await world.begin(slot=slot) for slot in ("", "another")]
    await door.delete(ACME, OAUTH, slot="production")
    assert {pending.slot for pending in world.tables.pending.values()} == {"", "another"}
    with pytest.raises(GrantRefusedError):
        await world.come_back(again)
    assert [(await world.come_back(other)).integration.slot for other in others] == ["", "another"]


@pytest.mark.parametrize("posted", ["", "another"])
async def test_a_posted_code_connects_no_other_slot_than_its_own(world, door, posted):
    begun = await world.begin(slot="production")
    code = dict(world.approve(begun))["code"]
    named = {"name": "Posted", "code": code, "redirect_uri": begun.redirect_uri, "state": begun.state}
    with pytest.raises(ValidationFailedError) as caught:
        await door.add_oauth_code(ACME, OAUTH, slot=posted, actor=ALICE, **named)
    assert caught.value.field == "slot"
    # A stranger is not told whether the slot was right.
    with pytest.raises(GrantRefusedError):
        await door.add_oauth_code(ACME, OAUTH, slot=posted, actor=MALLORY, **named)
    assert world.provider.count("exchange") == 0
    integration = await door.add_oauth_code(ACME, OAUTH, slot="production", actor=ALICE, **named)
    assert (integration.id, integration.slot) == (begun.integration_id, "production")


async def test_an_unbound_code_is_refused_while_an_authorization_for_its_slot_is_open(world):
    application = world.provider.application(redirect_uris=(OWN_REDIRECT_URI,))
    front = world.door = world.open(settings=world.settings(slots=True), applications=[application])
    await world.begin(slot="production")
    named = {"name": "Posted", "redirect_uri": OWN_REDIRECT_URI, "actor": ALICE}
    with pytest.raises(GrantRefusedError) as caught:
        await front.add_oauth_code(ACME, OAUTH, slot="production", code=world.unbound_code(), **named)
    assert caught.value.reason == "authorization_pending"
    assert world.last_event().details == {"slot": "production", "bound": "false"}
    assert (await front.add_oauth_code(ACME, OAUTH, slot="another", code=world.unbound_code(), **named)).slot == "another"


async def test_a_reconnect_stays_in_its_slot(world, door):
    held = await connected(world)
    before = {slot: await stored_value(world, integration) for slot, integration in held.items()}
    again = await world.come_back(await door.begin_reconnect(ACME, OAUTH, slot="production", actor=ALICE))
    assert (again.integration.id, again.integration.slot) == (held["production"].id, "production")
    after = {slot: await stored_value(world, integration) for slot, integration in held.items()}
    assert [slot for slot in SLOTS if before[slot] != after[slot]] == ["production"]


# Revocations


@pytest.mark.parametrize("kills", DECLARED)
async def test_a_token_that_another_slot_holds_is_revoked_with_the_last_of_them(world, kills):
    declaring(world, kills)
    door = world.door = slotted(world)
    repeat_tokens(world.provider)
    held = await connected(world)
    for slot in SLOTS[:-1]:
        removal = await door.delete(ACME, OAUTH, slot=slot)
        assert (removal.refresh_token, removal.refresh_reason) == (RevocationOutcome.SKIPPED, "held")
        assert (removal.access_token, removal.access_reason) == (RevocationOutcome.SKIPPED, "held")
        assert await honoured(world)
        assert (await door.verify(ACME, held[SLOTS[-1]].id)).works
    assert world.provider.count("revoke") == 0
    assert (await door.delete(ACME, OAUTH, slot=SLOTS[-1])).refresh_token is RevocationOutcome.REVOKED
    assert world.provider.living_grants() == ()
    assert world.rows.count_entries("revocation") == 0


@pytest.mark.parametrize("kills", ["grant", None])
async def test_a_removal_spares_the_grant_of_another_slot_of_the_same_account(world, kills):
    declaring(world, kills)
    door = world.door = slotted(world)
    held = await connected(world)
    for number, slot in enumerate(SLOTS[:-1], 1):
        removal = await door.delete(ACME, OAUTH, slot=slot)
        assert (removal.refresh_token, removal.refresh_reason) == (RevocationOutcome.SKIPPED, "ends_grant")
        world.pass_(days=2)
        await door.worker.retry_revocations()
        # The access tokens have ended, and the grants of the other slots still give others.
        for other in SLOTS[number:]:
            assert (await door.credential(ACME, held[other].id)).warning is None
        assert await honoured(world)
    assert world.provider.count("revoke") == 0
    assert (await door.delete(ACME, OAUTH, slot=SLOTS[-1])).refresh_token is RevocationOutcome.REVOKED
    world.pass_(days=2)
    await door.worker.retry_revocations()
    assert world.provider.living_grants() == ()
    assert world.rows.count_entries("revocation") == 0


@pytest.mark.parametrize("unknown", SLOTS[1:])
async def test_a_removal_spares_the_grant_of_a_slot_whose_account_is_not_known(world, unknown):
    declaring(world, "grant")
    door = world.door = slotted(world)
    world.provider.misbehave(Misbehaviour.UNAVAILABLE, endpoint="me", times=None)
    held = await connected(world, [unknown])
    world.provider.behave()
    assert held[unknown].account.account_id is None
    other = await world.connect(slot="third")
    removal = await door.delete(ACME, other.id)
    assert (removal.refresh_token, removal.refresh_reason) == (RevocationOutcome.SKIPPED, "ends_grant")
    assert await honoured(world)
    assert world.provider.count("revoke") == 0
    await door.delete(ACME, held[unknown].id)
    world.pass_(days=2)
    await door.worker.retry_revocations()
    assert world.provider.living_grants() == ()
    assert world.rows.count_entries("revocation") == 0


async def test_a_removal_spares_a_row_that_cannot_be_read(world):
    declaring(world, "grant")
    door = world.door = slotted(world)
    held = await connected(world, ["", "production"])
    held["other"] = await world.connect(GLOBEX)
    row = world.row(held["production"])
    key = (ACME, held["production"].id)
    del world.tables.integrations[key]
    listed = world.rows.list_integrations
    world.rows.list_integrations = lambda *args, **named: (*listed(*args, **named), DamagedRow(table="ci_integration", row="fake"))
    world.provider.account = "somebody-else"
    removal = await door.delete(ACME, held[""].id)
    assert removal.refresh_reason == "ends_grant"
    assert world.provider.count("revoke") == 0
    world.tables.integrations[key] = row
    assert await honoured(world)


async def test_a_slot_of_another_account_keeps_nobodys_tokens_alive(world):
    declaring(world, "grant")
    door = world.door = slotted(world)
    one = await world.connect(slot="production")
    world.provider.account = "another-account"
    two = await world.connect(slot="another")
    assert (await door.delete(ACME, one.id)).refresh_token is RevocationOutcome.REVOKED
    assert await honoured(world)
    assert (await door.verify(ACME, two.id)).works


async def test_a_grant_that_finds_its_slot_taken_is_given_back_and_spares_the_other_slots(world):
    declaring(world, "grant")
    world.door = slotted(world)
    await world.connect(slot="another")
    first, second = await world.begin(slot="production"), await world.begin(slot="production")
    at_answer(world, "/token", lambda: world.come_back(first))
    with pytest.raises(IntegrationExistsError) as caught:
        await world.come_back(second)
    assert caught.value.details["slot"] == "production"
    assert world.provider.count("revoke") == 0
    assert await honoured(world)


async def test_another_tenants_token_is_seen_however_many_slots_hold_it(world, door):
    repeat_tokens(world.provider)
    await connected(world, [f"slot-{number}" for number in range(MAX_HOLDERS + 1)])
    assert world.facts.names.count("credential.shared") == 0
    await world.connect(GLOBEX)
    await world.connect(slot="late")
    assert world.facts.names.count("credential.shared") == 2


# Many of them


async def test_a_tenant_may_have_two_hundred_accounts(world, door):
    slots = [f"account-{number:03}" for number in range(200)]
    held = await added(world, slots)
    assert sorted(integration.slot for integration in await door.list_integrations(ACME)) == slots
    for slot in slots:
        assert (await door.credential(ACME, KEYS, slot=slot)).value == await stored_value(world, held[slot])
    await door.delete(ACME, KEYS, slot=slots[77])
    assert (await door.credential(ACME, KEYS, slot=slots[78])).integration_id == held[slots[78]].id
    with pytest.raises(IntegrationNotFoundError):
        await door.credential(ACME, KEYS, slot=slots[77])
    receipt = await door.erase_tenant(ACME)
    assert (receipt.integrations, receipt.not_revoked) == (199, 199)
    assert await door.list_integrations(ACME) == ()


async def test_erasing_a_tenant_revokes_the_grants_of_all_its_slots(world):
    declaring(world, "grant")
    door = world.door = slotted(world)
    await connected(world)
    other = await world.connect(GLOBEX)
    await door.delete(GLOBEX, other.id)
    receipt = await door.erase_tenant(ACME)
    assert receipt.integrations == len(SLOTS)
    assert world.provider.living_grants() == ()
    assert world.rows.count_entries("revocation") == 0


async def test_among_those_that_are_due_tenants_take_turns(world, door):
    for number in range(6):
        await world.connect(slot=f"account-{number}")
    for tenant, slot in ((GLOBEX, ""), (GLOBEX, "second"), ("initech", "")):
        await world.connect(tenant, slot=slot)
    world.pass_(minutes=59)
    read = []
    world.store.before = lambda name, args: read.append(args) if name == "find_integration" else None
    assert (await door.worker.refresh_due()).renewed == 9
    turns = [tenant for tenant, _ in dict.fromkeys(read)]
    assert sorted(turns[:3]) == [ACME, GLOBEX, "initech"]
    assert sorted(turns[3:5]) == [ACME, GLOBEX]
    assert turns[5:] == [ACME] * 4


async def test_a_tenant_with_many_slots_delays_others_by_no_more_than_was_due_before_them(world, door):
    for number in range(20):
        await world.connect(slot=f"account-{number}")
    world.pass_(minutes=30)
    late = await world.connect(GLOBEX)
    world.pass_(minutes=59)
    rounds = 0
    while world.row(late).credential.generation == 1:
        assert (await door.worker.refresh_due(limit=7)).claimed == 7
        rounds += 1
    assert rounds == 3
