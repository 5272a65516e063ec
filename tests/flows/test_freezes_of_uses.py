"""Freezes: what shows a stored credential to the provider because somebody asks, and hands out nothing."""

from __future__ import annotations

import pytest

from cloud_integrations.domain.freezing import Selection
from cloud_integrations.testing.contracts.store.values import a_freeze

from .conftest import ACME, ALICE, MALLORY
from .reaching import NORTH, SOUTH, reaches
from .rotations import SLUG, Rotating
from .test_freezes import begins, connected, freeze, refused

__all__ = ["connected", "reaches"]  # fixtures


@pytest.fixture
async def choosing(world, reaches):
    reaches(NORTH, SOUTH)
    return await world.connect()


@pytest.mark.parametrize("named", [{}, {"tenant_id": ACME}, {"used_by": ALICE}])
async def test_nothing_is_checked_listed_or_chosen_and_the_provider_is_not_asked(world, choosing, named):
    begun = await freeze(world, **named)
    world.pass_(hours=1)
    world.sent.clear()
    for call in (
        lambda: world.door.verify(ACME, choosing.id, actor=ALICE),
        lambda: world.door.resources(ACME, choosing.id, actor=ALICE),
        lambda: world.door.choose_resource(ACME, choosing.id, "north", actor=ALICE),
    ):
        error = await refused(call())
        assert error.details["freezeId"] == str(begun.id)
    assert (world.sent, world.provider.refresh_count) == ([], 0)
    denied = [event.actor for event in world.events() if event.action == "credential.frozen"]
    assert set(denied) == {ALICE}
    await world.door.incidents.unfreeze(begun.id, reason="over", actor=ALICE)
    assert (await world.door.verify(ACME, choosing.id, actor=ALICE)).outcome == "alive"
    assert (await world.door.choose_resource(ACME, choosing.id, "north", actor=ALICE)).variables == {"resource": "north"}


@pytest.mark.parametrize("way", ["verify", "resources"])
async def test_a_freeze_that_begins_while_a_token_is_renewed_stops_what_would_follow(world, choosing, way):
    world.pass_(hours=1)
    begins(world, a_freeze(selection=Selection(tenant_id=ACME)))
    world.sent.clear()
    await refused(getattr(world.door, way)(ACME, choosing.id, actor=ALICE))
    assert (len(world.sent), world.provider.refresh_count) == (1, 1)


async def test_another_process_stops_after_the_time_that_tokens_stay_in_memory(world, choosing):
    elsewhere = world.open()
    assert (await elsewhere.verify(ACME, choosing.id, actor=ALICE)).outcome == "alive"
    await freeze(world)
    world.pass_(minutes=1)
    await refused(elsewhere.verify(ACME, choosing.id, actor=ALICE))
    await refused(elsewhere.choose_resource(ACME, choosing.id, "north", actor=ALICE))


async def test_what_mends_an_integration_goes_on_for_all_but_the_actor_that_is_frozen(world, connected):
    await freeze(world, used_by=MALLORY)
    await freeze(world, tenant_id=ACME)
    await refused(world.door.refresh(ACME, connected.id, actor=MALLORY))
    assert world.provider.refresh_count == 0
    await world.door.refresh(ACME, connected.id, actor=ALICE)
    assert world.provider.refresh_count == 1


@pytest.mark.parametrize("makes", ["create", "roll"])
async def test_a_frozen_actor_has_no_key_made_and_the_responder_has(world, makes):
    keys = Rotating(world, makes=makes)
    await keys.add()
    await freeze(world, used_by=MALLORY)
    await freeze(world, tenant_id=ACME)
    await refused(keys.make(actor=MALLORY))
    assert (keys.alive(), keys.waiting()) == (1, [0, 0])
    assert (await keys.make()).state == {"create": "staged", "roll": "rolled"}[makes]


async def test_a_frozen_actor_switches_no_keys(world):
    keys = Rotating(world)
    await keys.add()
    await keys.begin(keys.new_key())
    begun = await freeze(world, used_by=ALICE)
    world.sent.clear()
    await refused(keys.finish())
    assert world.sent == []
    await world.door.incidents.unfreeze(begun.id, reason="over", actor=ALICE)
    await keys.finish()
    await freeze(world, used_by=ALICE)
    await refused(keys.cancel())
    assert (await world.door.find_key_rotation(ACME, SLUG)).state == "switched"
