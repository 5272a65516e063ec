"""What is not needed any more is given back, and nothing that a stored credential lives on; the provider is the oracle."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cloud_integrations.domain.integration import State
from cloud_integrations.errors import (
    GrantRefusedError,
    IntegrationExistsError,
    IntegrationInactiveError,
    ReconnectRequiredError,
    StorageUnavailableError,
)
from cloud_integrations.ports.store import SaveFacts
from cloud_integrations.testing import Misbehaviour

from .conftest import ACME, ALICE, GLOBEX
from .grants import DECLARED, at_answer, declaring, held_tokens, honoured, replaced_words, told, waiting_tokens
from .test_no_orphans import repeat_tokens


async def orphans(world):
    """The living grants of which nothing is held or waits to be revoked."""
    known = await held_tokens(world) | await waiting_tokens(world)
    return [grant for grant in world.provider.living_grants() if not grant & known]


@pytest.mark.parametrize("kills", DECLARED)
@pytest.mark.parametrize("same", [True, False])
async def test_of_two_callbacks_at_once_the_second_ends_nothing_that_the_first_stored(world, kills, same):
    declaring(world, kills)
    if same:
        repeat_tokens(world.provider)
    first, second = await world.begin(), await world.begin()
    at_answer(world, "/token", lambda: world.come_back(first))
    with pytest.raises(IntegrationExistsError):
        await world.come_back(second)
    assert await honoured(world)
    if same or kills == "grant":
        # The same token, or another of the one grant that the account has given.
        reason = "held" if same else "ends_grant"
        assert [why for _, why, _ in told(world, "token.kept")] == [reason] * (2 if kills != "grant" else 1)
        assert world.rows.count_entries("revocation") == 0
    else:
        assert await orphans(world) == []
        assert world.rows.count_entries("revocation") == (0 if kills == "token" else 2)


@pytest.mark.parametrize("kills", ["grant", None])
async def test_where_nobody_knows_whose_a_grant_is_it_waits_while_the_tenant_has_an_integration(world, kills):
    declaring(world, kills)
    # Both know no account: the check of whose it is gets no answer.
    world.provider.misbehave(Misbehaviour.UNAVAILABLE, times=None, endpoint="me")
    first, second = await world.begin(), await world.begin()
    at_answer(world, "/token", lambda: world.come_back(first))
    with pytest.raises(IntegrationExistsError):
        await world.come_back(second)
    assert await honoured(world)
    assert {why for _, why, _ in told(world, "token.kept")} == {"ends_grant"}
    assert world.rows.count_entries("revocation") == (1 if kills == "grant" else 2)


@pytest.mark.parametrize("kills", DECLARED)
@pytest.mark.parametrize("same", [True, False])
async def test_a_reconnect_that_cannot_be_stored_ends_nothing_that_is_held(world, kills, same):
    door = declaring(world, kills)
    if same:
        repeat_tokens(world.provider)
    held = await world.connect()
    begun = await door.begin_reconnect(ACME, held.id, actor=ALICE)
    params = world.approve(begun)
    world.store.fail(1, times=100)
    with pytest.raises(StorageUnavailableError):
        await world.come_back(begun, params)
    world.store.heal()
    assert await honoured(world)
    if kills == "token":
        assert await orphans(world) == []
    assert ("token.left_behind" in world.facts.names) is (kills is None and not same)


async def test_nothing_is_sent_while_nobody_can_say_who_holds_it(world, door):
    begun = await world.begin()
    params = world.approve(begun)

    def down(name, _):
        if name in {"apply", "find_holders"} and world.provider.count("exchange"):
            raise StorageUnavailableError

    world.store.before = down
    with pytest.raises(StorageUnavailableError):
        await world.come_back(begun, params)
    assert world.provider.count("revoke") == 0
    assert [fact.facts["token"] for fact in world.facts.told if fact.name == "token.left_behind"] == ["refresh", "access"]


async def test_nothing_is_sent_while_the_key_of_fingerprints_cannot_be_had(world, door):
    begun = await world.begin()

    def forget():
        door.wiring.data_keys.clear()
        world.store.fail(1, "find_active_key", times=1_000)

    at_answer(world, "/token", forget)
    with pytest.raises(StorageUnavailableError):
        await world.come_back(begun)
    assert world.provider.count("revoke") == 0
    assert world.facts.names.count("token.left_behind") == 2


async def test_a_grant_that_cannot_be_stored_waits_in_the_outbox_until_the_provider_is_back(world, door):
    begun = await world.begin()
    other = await world.begin(tenant=GLOBEX)
    await world.come_back(other)
    params = world.approve(begun)
    world.provider.misbehave(Misbehaviour.UNAVAILABLE, times=None, endpoint="revoke")
    world.store.fail(1, times=5)
    with pytest.raises(StorageUnavailableError):
        await world.come_back(begun, params)
    assert world.rows.count_entries("revocation") == 2
    assert await orphans(world) == []
    world.provider.behave()
    world.pass_(minutes=2)
    assert (await door.worker.retry_revocations()).revoked == 2
    assert len(world.provider.living_grants()) == 1


@pytest.mark.parametrize("kills", DECLARED)
@pytest.mark.parametrize("same", [True, False])
async def test_a_reconnect_that_is_answered_after_a_switch_off_ends_nothing_that_is_held(world, kills, same):
    door = declaring(world, kills)
    if same:
        repeat_tokens(world.provider)
    held = await world.connect()
    begun = await door.begin_reconnect(ACME, held.id, actor=ALICE)
    at_answer(world, "/token", lambda: door.acting_as().edit_integration(ACME, held.id, status="inactive"))
    with pytest.raises(GrantRefusedError):
        await world.come_back(begun)
    assert await honoured(world)
    if kills != "grant":
        assert await orphans(world) == []
    await door.edit_integration(ACME, held.id, status="active")
    world.pass_(minutes=50)
    assert (await door.credential(ACME, "simulated", min_ttl=world.provider.access_lifetime / 2)).warning is None


@pytest.mark.parametrize("kills", DECLARED)
@pytest.mark.parametrize("repeats", [True, False])
async def test_what_a_renewal_brings_during_a_switch_off_is_kept_for_when_it_is_switched_on(world, kills, repeats):
    door = declaring(world, kills)
    held = await world.connect()
    world.pass_(hours=2)
    if repeats:
        world.provider.misbehave(Misbehaviour.REFRESH_TOKEN_SAME, endpoint="refresh")
    at_answer(world, "/token", lambda: door.acting_as().edit_integration(ACME, held.id, status="inactive"))
    with pytest.raises(IntegrationInactiveError):
        await door.credential(ACME, "simulated")
    row = world.row(held)
    assert (row.facts.state, row.facts.reason, row.credential.generation) == (State.DISABLED, "switched_off", 2)
    assert await honoured(world)
    assert world.provider.count("revoke") == 0
    await door.edit_integration(ACME, held.id, status="active")
    assert world.provider.is_alive((await door.credential(ACME, "simulated")).value)
    assert world.provider.refresh_count == 1
    assert (await door.audit.verify(ACME)).whole


async def test_a_dead_grant_that_is_healed_during_a_switch_off_works_when_it_is_switched_on(world):
    door = world.door
    held = await world.connect()
    dead = replace(world.row(held).facts, state=State.NEEDS_REAUTH, reason="revoked")
    world.rows.apply(SaveFacts(facts=dead, expected_state=State.ACTIVE))
    at_answer(world, "/token", lambda: door.acting_as().edit_integration(ACME, held.id, status="inactive"))
    with pytest.raises(IntegrationInactiveError):
        await door.refresh(ACME, held.id)
    assert (world.row(held).facts.state, world.row(held).facts.reason) == (State.DISABLED, "switched_off")
    assert (await door.edit_integration(ACME, held.id, status="active")).state is State.ACTIVE
    assert world.provider.is_alive((await door.credential(ACME, "simulated")).value)


async def test_late_tokens_of_a_grant_that_a_replay_has_ended_do_not_heal_what_was_switched_off(world):
    world.provider.reuse = "family"
    door = declaring(world, "token")
    other = world.open()
    held = await world.connect()
    world.pass_(hours=2)

    async def overtake():
        world.pass_(minutes=1)
        with pytest.raises(ReconnectRequiredError):
            await other.refresh(ACME, held.id)
        await other.edit_integration(ACME, held.id, status="inactive")

    at_answer(world, "/token", overtake)
    with pytest.raises(IntegrationInactiveError):
        await door.refresh(ACME, held.id)
    assert (world.row(held).facts.state, world.row(held).facts.reason) == (State.DISABLED, "rotation_lost")


@pytest.mark.parametrize("kills", DECLARED)
@pytest.mark.parametrize("same", [True, False])
async def test_a_renewal_that_a_reconnect_overtakes_ends_nothing_that_the_reconnect_stored(world, kills, same):
    door = declaring(world, kills)
    if same:
        world.provider.rotation = "never"
        repeat_tokens(world.provider)
    held = await world.connect()
    begun = await door.begin_reconnect(ACME, held.id, actor=ALICE)
    world.pass_(minutes=9)
    at_answer(world, "/token", lambda: world.come_back(begun))
    await door.refresh(ACME, held.id)
    assert await honoured(world)
    if kills == "token":
        assert await orphans(world) == []
    assert world.provider.is_alive((await door.credential(ACME, "simulated")).value)


@pytest.mark.parametrize("kills", DECLARED)
async def test_a_renewal_that_a_reconnect_and_its_renewal_overtake_leaves_nothing_behind(world, kills):
    door, other = declaring(world, kills), world.open()
    held = await world.connect()
    begun = await door.begin_reconnect(ACME, held.id, actor=ALICE)
    world.pass_(minutes=9)

    async def overtake():
        await world.come_back(begun, door=other)
        await other.refresh(ACME, held.id)

    at_answer(world, "/token", overtake)
    await door.refresh(ACME, held.id)
    assert world.row(held).credential.generation == 3
    assert await honoured(world)
    # Of what the reconnect replaced, and of what the renewal brought for it, two tokens each.
    waiting = world.rows.count_entries("revocation")
    assert (world.provider.count("revoke"), waiting) == {"token": (4, 0), "grant": (0, 0), None: (0, 4)}[kills]
    assert [why for _, why, _ in told(world, "token.kept")] == ([] if kills == "token" else ["ends_grant"] * (1 if kills == "grant" else 4))
    await door.delete(ACME, held.id)
    await door.worker.retry_revocations()
    assert world.provider.living_grants() == ()


@pytest.mark.parametrize("kills", DECLARED)
async def test_a_reconnect_that_brings_the_same_tokens_ends_neither(world, kills):
    declaring(world, kills)
    repeat_tokens(world.provider)
    held = await world.connect()
    await world.reconnect(held)
    assert await honoured(world)
    assert world.provider.count("revoke") == 0
    assert replaced_words(world) == ["none"]
