"""The provider itself makes a new key: beside the old one, or in its place; whatever happens, the key that came is kept."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest

from cloud_integrations.domain.provider import Input, NewKey, Revoke
from cloud_integrations.errors import (
    AnswerLostError,
    IntegrationInactiveError,
    KeyRotationError,
    ProviderInactiveError,
    ValidationFailedError,
)

from .bank import KEY, Bank
from .conftest import ACME, ALICE
from .rotations import SLUG, Rotating, asked, reason_of

DAY = timedelta(days=1)


@pytest.fixture(params=["create", "roll"])
async def keys(world, request):
    keys = Rotating(world, makes=request.param)
    await keys.add()
    return keys


# What is made


@pytest.mark.requirement("Q55")
async def test_a_key_that_the_provider_creates_waits_beside_the_old_one_and_is_switched_to(world, creating):
    begun = await creating.make()
    assert (begun.state, begun.key_end, begun.ends_at - begun.begun_at) == ("staged", "revoke", 7 * DAY)
    assert (await creating.find(), await creating.shown()) == (begun, creating.old)
    switched = await creating.finish()
    assert (switched.id, switched.state, switched.key_end) == (begun.id, "switched", "revoke")
    new = await creating.shown()
    assert new != creating.old
    assert world.provider.is_alive(new)
    assert (await creating.work(hours=1)).revoked == 1
    assert (world.provider.is_alive(creating.old), await creating.shown(), creating.waiting()) == (False, new, [0, 0])
    assert world.leaks_in(world.raw_dump()) == []
    world.facts.check(world.secrets)


@pytest.mark.requirement("Q55")
async def test_a_key_that_is_rolled_is_handed_out_at_once_to_every_process(world, rolling):
    rolled = await rolling.make()
    assert (rolled.state, rolled.key_end, rolled.manual_url) == ("rolled", "ended", None)
    assert (rolled.switched_at, rolled.ends_at) == (world.clock.now(), world.clock.now())
    new = await rolling.shown()
    assert (new != rolling.old, world.provider.is_alive(new), rolling.alive()) == (True, True, 1)
    assert (await world.door.credential(ACME, SLUG)).value == new
    assert (await rolling.find(), rolling.waiting()) == (None, [0, 0])
    assert (await world.door.verify(ACME, SLUG)).outcome == "alive"
    assert world.leaks_in(world.raw_dump()) == []


async def test_the_end_of_a_key_that_is_rolled_stays_known(world, rolling):
    place = (ACME, rolling.held.id)
    row, end = world.tables.integrations[place], world.clock.now() + 30 * DAY
    world.tables.integrations[place] = replace(row, facts=replace(row.facts, reconnect_before=end))
    await rolling.make()
    assert (await world.door.get_integration(ACME, SLUG)).reconnect_before == end


async def test_each_step_is_recorded(world, creating):
    await creating.make()
    await creating.finish()
    assert [told[:2] for told in creating.told()] == [("requested", "started"), ("begun", "success"), ("finished", "success")]
    assert creating.told()[0][3] == {"made_by": "create"}
    assert creating.told()[1][3]["made_by"] == "create"


async def test_a_roll_is_recorded(world, rolling):
    await rolling.make()
    assert [told[:2] for told in rolling.told()] == [("requested", "started"), ("finished", "success")]
    assert rolling.told()[1][3] == {"made_by": "roll", "provider": SLUG, "verified": "false"}


async def test_a_key_that_waits_already_is_not_made_twice(world, creating):
    begun = await creating.make()
    assert (await creating.make(), asked(world), creating.alive()) == (begun, 1, 2)


async def test_of_two_at_once_one_asks(world, keys):
    async def make():
        try:
            return (await keys.make()).state
        except KeyRotationError as error:
            return error.reason

    found = await asyncio.gather(*(make() for _ in range(5))) if not world.blocking else [await make() for _ in range(2)]
    assert found.count("sent") + asked(world) <= len(found)
    assert await keys.shown() is not None
    assert keys.waiting() in ([1, 0], [0, 0])


async def test_a_key_that_was_made_and_is_not_wanted_is_revoked(world, creating):
    await creating.make()
    cancelled = await creating.cancel()
    assert (cancelled.state, creating.alive(), creating.waiting()) == ("cancelled", 1, [0, 0])
    assert await creating.shown() == creating.old
    assert creating.told()[-1][3] == {"key": "new", "then": "revoke"}


async def test_a_key_that_was_made_and_that_nobody_switches_to_is_revoked(world, creating):
    await creating.make(revoke_key=False)
    assert (await creating.work(days=7)).revoked == 1
    assert (creating.alive(), creating.waiting(), await creating.shown()) == (1, [0, 0], creating.old)


async def test_a_reconnect_revokes_a_key_that_was_made(world, creating):
    await creating.make()
    third = creating.new_key()
    await world.door.replace_api_key(ACME, SLUG, api_key=third, actor=ALICE)
    assert (await creating.work()).revoked == 1
    assert (creating.alive(), await creating.shown()) == (2, third)


async def test_removing_the_integration_revokes_a_key_that_was_made(world, creating):
    await creating.make()
    await world.door.delete(ACME, SLUG, actor=ALICE)
    assert (creating.alive(), world.provider.is_alive(creating.old), creating.waiting()) == (1, True, [0, 0])


async def test_a_made_key_that_nobody_can_revoke_is_named_with_the_page_where_a_person_can(world):
    keys = Rotating(world, revokes=False, makes="create")
    entry = world.entries[1]
    method = entry.methods[0].model_copy(update={"revoke": Revoke(manual_url="https://keys.example/")})
    world.entries[1] = entry.model_copy(update={"methods": (method,)})
    world.door = world.open()
    await keys.add()
    begun = await keys.make()
    assert (begun.key_end, begun.manual_url) == ("unsupported", "https://keys.example/")
    await keys.cancel()
    assert keys.told()[-1][3] == {"key": "new", "then": "unsupported", "manual_url": "https://keys.example/"}


async def test_a_disabled_integration_makes_no_key(world, keys):
    await world.door.edit_integration(ACME, SLUG, status="inactive", actor=ALICE)
    with pytest.raises(IntegrationInactiveError):
        await keys.make()
    assert asked(world) == 0


# What is refused


@pytest.mark.parametrize(
    ("made", "named", "field"),
    [
        (None, {"new_key": "create"}, "newKey"),
        ("create", {"new_key": "roll"}, "newKey"),
        ("create", {"new_key": "sing"}, "newKey"),
        ("create", {"new_key": "create", "inputs": {"key": "fake-key-x"}}, "newKey"),
        ("create", {"new_key": "create", "method": "key"}, "newKey"),
        ("create", {}, "credentials.inputs"),
        ("create", {"new_key": "create", "overlap": -1}, "overlap"),
        ("create", {"new_key": "create", "revoke_key": "yes"}, "revokeKey"),
    ],
)
async def test_what_cannot_be_made_is_refused_before_anybody_is_asked(world, made, named, field):
    keys = Rotating(world, makes=made)
    await keys.add()
    with pytest.raises(ValidationFailedError) as caught:
        await world.door.begin_key_rotation(ACME, SLUG, **named)
    assert (caught.value.field, asked(world), keys.waiting()) == (field, 0, [0, 0])


async def test_a_key_that_may_make_none_is_refused_and_nothing_waits(world, keys):
    world.provider.most_keys = 1
    with pytest.raises(KeyRotationError) as caught:
        await keys.make()
    assert (reason_of(caught), keys.waiting(), await keys.shown()) == ("refused", [0, 0], keys.old)
    assert keys.told()[-1][:3] == ("begun", "failure", "refused")
    world.provider.most_keys = 9
    await keys.make()


async def test_a_rotation_that_is_open_is_told_from_one_that_is_asked_for(world, creating):
    await creating.begin(creating.new_key())
    with pytest.raises(KeyRotationError) as caught:
        await creating.make()
    assert (reason_of(caught), asked(world)) == ("open", 0)


async def test_a_method_that_is_gone_makes_no_key(world, creating):
    entry = world.entries[1]
    world.entries[1] = entry.model_copy(update={"methods": (entry.methods[0].model_copy(update={"id": "other"}),)})
    world.door = world.open()
    with pytest.raises(ProviderInactiveError):
        await creating.make()


async def test_without_the_id_that_the_request_names_a_check_comes_first(world):
    keys = Rotating(world, makes="create")
    entry = world.entries[1]
    rotation = entry.methods[0].rotation.model_copy(update={"url": entry.methods[0].rotation.url + "/{identity}"})
    method = entry.methods[0].model_copy(update={"rotation": rotation})
    world.entries[1] = entry.model_copy(update={"methods": (method,), "verifications": ()})
    world.door = world.open()
    await keys.add()
    with pytest.raises(ValidationFailedError, match="verify it first"):
        await keys.make()
    assert asked(world) == 0


async def test_a_temporary_key_makes_no_lasting_one(world):
    keys = Rotating(world, makes="create")
    entry = world.entries[1]
    method = entry.methods[0]
    rotation = method.rotation.model_copy(update={"never_with": ("session",)})
    inputs = (*method.inputs, Input(name="session", required=False))
    world.entries[1] = entry.model_copy(update={"methods": (method.model_copy(update={"rotation": rotation, "inputs": inputs}),)})
    world.door = world.open()
    given = {"key": keys.old, "session": "fake-session"}
    keys.held = await world.door.add(ACME, SLUG, name="Temporary", inputs=given, actor=ALICE)
    with pytest.raises(ValidationFailedError, match="temporary one, which has session"):
        await keys.make()
    assert asked(world) == 0


# A key from which tokens are minted


@pytest.fixture
async def bank(world):
    bank = Bank(world)
    rolls = NewKey(does="roll", url=f"{world.provider.base_url}/keys", gives={"key": "key"})
    world.door = bank.open(rotation=rolls)
    world.secrets.append("fake-rolled-key")
    await world.door.add(ACME, "bank", name="Our bank", inputs={"key": KEY, "team": "t-1"}, actor=ALICE)
    return bank


@pytest.mark.parametrize("hours", [0, 2])
async def test_a_minted_token_shows_the_request_and_the_next_is_minted_from_the_new_key(world, bank, hours):
    world.pass_(hours=hours)
    assert (await world.door.begin_key_rotation(ACME, "bank", new_key="roll", actor=ALICE)).state == "rolled"
    credential = await world.door.credential(ACME, "bank")
    assert (credential.value.reveal(), bank.asked[-1]["key"]) == (bank.minted[-1], ["fake-rolled-key"])
    assert world.leaks_in(world.raw_dump()) == []


async def test_a_minted_token_cannot_say_whether_its_key_was_rolled(world, bank):
    bank.answer = AnswerLostError(provider_id="bank")
    with pytest.raises(KeyRotationError) as caught:
        await world.door.begin_key_rotation(ACME, "bank", new_key="roll", actor=ALICE)
    assert reason_of(caught) == "answer_lost"
