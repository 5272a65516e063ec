"""A rotation of a key meets a removal, a reconnect, another operator, a crash, an outage, or a row that somebody edited."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from cloud_integrations.domain.removal import RevocationOutcome
from cloud_integrations.errors import (
    DamagedRowError,
    IntegrationNotFoundError,
    KeyRotationError,
    KeyServiceUnavailableError,
    StorageUnavailableError,
)
from cloud_integrations.testing import Misbehaviour

from .conftest import ACME, ALICE
from .rotations import SLUG, Rotating


@pytest.fixture
async def keys(world):
    rotating = Rotating(world)
    await rotating.add()
    return rotating


def reason_of(caught):
    return caught.value.reason


# In the middle


@pytest.mark.parametrize("asked", [False, True])
async def test_removing_the_integration_while_a_new_key_waits_forgets_it(world, keys, asked):
    new = keys.new_key()
    await keys.begin(new)
    removal = await world.door.delete(ACME, SLUG, revoke_key=asked, actor=ALICE)
    assert (removal.other_key, removal.other_key_reason) == (RevocationOutcome.SKIPPED, None)
    assert world.provider.is_alive(keys.old) is not asked
    assert (keys.waiting(), world.provider.is_alive(new), world.leaks_in(world.raw_dump())) == ([0, 0], True, [])


@pytest.mark.parametrize(("revoke", "asked"), [(True, False), (True, True), (False, False), (False, True)])
async def test_removing_the_integration_in_the_overlap_ends_the_old_key_too(world, keys, revoke, asked):
    new = keys.new_key()
    await keys.begin(new, revoke_key=revoke)
    await keys.finish()
    removal = await world.door.delete(ACME, SLUG, revoke_key=asked, actor=ALICE)
    ends = revoke or asked
    assert removal.other_key is (RevocationOutcome.REVOKED if ends else RevocationOutcome.SKIPPED)
    assert removal.other_key_reason == (None if ends else "not_asked")
    assert (world.provider.is_alive(keys.old), world.provider.is_alive(new)) == (not ends, not asked)
    assert (keys.waiting(), world.leaks_in(world.raw_dump())) == ([0, 0], [])


async def test_a_provider_that_is_down_when_the_integration_is_removed_is_asked_again(world, keys):
    await keys.begin(keys.new_key())
    await keys.finish()
    world.provider.misbehave(Misbehaviour.UNAVAILABLE, endpoint="me")
    assert (await world.door.delete(ACME, SLUG, actor=ALICE)).other_key is RevocationOutcome.FAILED
    assert keys.waiting() == [0, 1]
    assert (await keys.work(hours=1)).revoked == 1
    assert not world.provider.is_alive(keys.old)


async def test_an_old_key_does_not_open_and_the_integration_is_removed_all_the_same(world, keys):
    await keys.begin(keys.new_key())
    await keys.finish()
    spoil(world, keys, sealed_payload=b"no")
    removal = await world.door.delete(ACME, SLUG, actor=ALICE)
    assert (removal.other_key, keys.waiting()) == (RevocationOutcome.UNSUPPORTED, [0, 0])


def spoil(world, keys, **changes):
    place = (ACME, keys.held.id)
    world.tables.outbox[place] = replace(world.tables.outbox[place], **changes)


@pytest.mark.parametrize("state", ["staged", "switched"])
async def test_erasing_the_tenant_leaves_no_key_behind_and_the_receipt_counts_it(world, keys, state):
    await keys.begin(keys.new_key())
    if state == "switched":
        await keys.finish()
    receipt = await world.door.erase_tenant(ACME, actor=ALICE)
    assert (receipt.integrations, receipt.revoked, receipt.not_revoked) == (1, int(state == "switched"), 1)
    assert (keys.waiting(), world.provider.is_alive(keys.old)) == ([0, 0], state == "staged")


async def test_an_old_key_that_nobody_revokes_is_counted_in_the_receipt(world, keys):
    await keys.begin(keys.new_key(), revoke_key=False)
    await keys.finish()
    receipt = await world.door.erase_tenant(ACME, actor=ALICE)
    assert (receipt.revoked, receipt.left_alone, receipt.not_revoked) == (0, 0, 2)


async def test_a_reconnect_forgets_a_new_key_that_waits(world, keys):
    await keys.begin(keys.new_key())
    third = keys.new_key()
    await world.door.replace_api_key(ACME, SLUG, api_key=third, actor=ALICE)
    assert (await keys.find(), await keys.shown(), keys.waiting()) == (None, third, [0, 0])
    assert ("cancelled", "success", "reconnected", {}) in keys.told()


async def test_a_reconnect_in_the_overlap_leaves_the_old_key_its_time_but_no_way_back(world, keys):
    await keys.begin(keys.new_key())
    await keys.finish()
    third = keys.new_key()
    for _ in range(2):
        await world.door.replace_api_key(ACME, SLUG, api_key=third, actor=ALICE)
        assert ((await keys.find()).state, await keys.shown()) == ("replaced", third)
    with pytest.raises(KeyRotationError) as caught:
        await keys.cancel()
    assert reason_of(caught) == "replaced"
    assert (await keys.finish()).state == "replaced"
    assert world.provider.is_alive(keys.old)
    await keys.work(hours=1)
    assert (world.provider.is_alive(keys.old), await keys.shown(), keys.waiting()) == (False, third, [0, 0])


async def test_a_reconnect_ends_an_old_key_that_does_not_open(world, keys):
    await keys.begin(keys.new_key())
    await keys.finish()
    spoil(world, keys, sealed_payload=b"no")
    await world.door.replace_api_key(ACME, SLUG, api_key=keys.new_key(), actor=ALICE)
    assert (keys.told()[-1][3], keys.waiting()) == ({"key": "old", "then": "unsupported"}, [0, 0])


async def test_a_renewed_data_key_seals_the_waiting_key_again(world, keys):
    new = keys.new_key()
    await keys.begin(new)
    world.pass_(minutes=1)
    before = world.tables.outbox[ACME, keys.held.id].key_id
    await world.door.keys.rotate(actor=ALICE)
    await world.door.keys.reseal(actor=ALICE)
    assert world.tables.outbox[ACME, keys.held.id].key_id != before
    world.pass_(minutes=6)
    await world.door.keys.destroy(retired_before=world.clock.now() - timedelta(minutes=5), actor=ALICE)
    world.door = world.open()
    await world.door.finish_key_rotation(ACME, SLUG, actor=ALICE)
    assert await keys.shown() == new
    await keys.work(hours=1)
    assert not world.provider.is_alive(keys.old)


# Trouble


async def test_a_provider_that_is_down_when_the_overlap_ends_is_asked_again(world, keys):
    await keys.begin(keys.new_key())
    await keys.finish()
    world.provider.misbehave(Misbehaviour.UNAVAILABLE, endpoint="me", times=2)
    run = await keys.work(hours=1)
    assert (run.delayed, run.waiting, keys.waiting()) == (1, 1, [0, 1])
    assert (await keys.work(hours=1)).delayed == 1
    assert (await keys.work(hours=2)).revoked == 1
    assert not world.provider.is_alive(keys.old)


async def test_an_old_key_that_does_not_open_is_left_to_the_tenant(world, keys):
    await keys.begin(keys.new_key())
    await keys.finish()
    spoil(world, keys, sealed_payload=b"no")
    await keys.work(hours=1)
    assert (keys.told()[-1][3], keys.waiting()) == ({"key": "old", "then": "unsupported"}, [0, 0])


async def test_a_tenant_without_a_usable_data_key_keeps_no_rotation_open(world, keys):
    await keys.begin(keys.new_key())
    await keys.finish()
    world.pass_(minutes=1)
    await world.door.keys.rotate(actor=ALICE)
    await world.door.keys.refuse(ACME, below=2, actor=ALICE)
    world.door = world.open()
    world.pass_(hours=1)
    await world.door.worker.retry_revocations()
    assert (keys.told()[-1][3], keys.waiting()) == ({"key": "old", "then": "unsupported"}, [0, 0])


async def test_a_key_service_that_does_not_answer_is_asked_again_at_the_next_round(world, keys):
    await keys.begin(keys.new_key())
    await keys.finish()

    def silent(*_, **__):
        raise KeyServiceUnavailableError

    world.pass_(hours=1)
    door = world.open()
    await door.list_integrations(ACME)
    open_ = door.wiring.sealer.open
    door.wiring.sealer.open = silent
    await door.worker.retry_revocations()
    assert keys.waiting() == [1, 0]
    door.wiring.sealer.open = open_
    world.pass_(minutes=1)
    await door.worker.retry_revocations()
    assert (keys.waiting(), world.provider.is_alive(keys.old)) == ([0, 0], False)


@pytest.mark.parametrize(
    "edited",
    [
        {"state": "cut"},
        {"overlap": "007"},
        {"overlap": "9" * 30},
        {"begun_at": "now"},
        {"revoke_key": "maybe"},
        {"provider_id": "1"},
        {"method_id": None},
    ],
)
async def test_a_rotation_that_somebody_edited_is_told_and_passed_over_and_prevents_no_removal(world, keys, edited):
    await keys.begin(keys.new_key())
    entry = world.tables.outbox[ACME, keys.held.id]
    facts = {name: value for name, value in (entry.facts | edited).items() if value is not None}
    spoil(world, keys, facts=facts)
    for step in (keys.find, keys.finish, keys.cancel):
        with pytest.raises(DamagedRowError):
            await step()
    await keys.work(days=8)
    assert world.facts.told[-1].name == "storage.damaged_row"
    await world.door.replace_api_key(ACME, SLUG, api_key=keys.new_key(), actor=ALICE)
    await world.door.delete(ACME, SLUG, actor=ALICE)
    assert keys.waiting() == [0, 0]


async def test_a_rotation_without_its_key_is_a_damaged_row(world, keys):
    await keys.begin(keys.new_key())
    spoil(world, keys, sealed_payload=None, key_id=None)
    with pytest.raises(DamagedRowError):
        await keys.find()


async def test_of_two_operators_at_once_one_rotation_begins(world, keys):
    first, second = keys.new_key(), keys.new_key()
    calls = [world.door._bound("begin_key_rotation", ACME, SLUG, inputs={"key": key}, actor=ALICE) for key in (first, second)]
    answers = await world.door.all_at_once(*calls)
    (error,) = [answer for answer in answers if isinstance(answer, Exception)]
    assert (type(error), error.reason) == (KeyRotationError, "open")
    assert keys.waiting() == [1, 0]


async def test_of_two_who_begin_with_the_same_key_at_once_both_are_told_of_the_one_rotation(world, keys):
    begin = world.door._bound("begin_key_rotation", ACME, SLUG, inputs={"key": keys.new_key()}, actor=ALICE)
    first, second = await world.door.all_at_once(begin, begin)
    assert first == second == await keys.find()
    assert keys.waiting() == [1, 0]


async def test_of_one_who_finishes_and_one_who_cancels_at_once_the_key_that_is_handed_out_works(world, keys):
    await keys.begin(keys.new_key())
    calls = [world.door._bound(f"{step}_key_rotation", ACME, SLUG, actor=ALICE) for step in ("finish", "cancel", "finish", "cancel")]
    for answer in await world.door.all_at_once(*calls):
        assert not isinstance(answer, Exception) or isinstance(answer, KeyRotationError)
    await keys.work(hours=2)
    assert world.provider.is_alive(await keys.shown())
    assert keys.waiting() == [0, 0]


async def test_fifty_callers_never_get_a_key_that_the_provider_refuses(world, keys):
    new = keys.new_key()
    await keys.begin(new)
    calls = [world.door._bound("credential", ACME, SLUG)] * 50
    calls.insert(25, world.door._bound("finish_key_rotation", ACME, SLUG, actor=ALICE))
    answers = await world.door.all_at_once(*calls)
    values = [answer.value for answer in answers if hasattr(answer, "value")]
    assert len(values) == 50
    assert all(value in (keys.old, new) and world.provider.is_alive(value) for value in values)
    await keys.work(hours=1)
    answers = await world.door.together(50, "credential", ACME, SLUG)
    assert all(answer.value == new for answer in answers)


STEPS = ("begin", "finish", "work", "cancel", "delete")


@pytest.mark.parametrize("afterwards", [False, True])
@pytest.mark.parametrize("nth", [1, 2, 3, 4])
@pytest.mark.parametrize("broken", STEPS)
async def test_a_process_that_dies_at_any_change_is_continued_by_repeating_the_step(world, keys, broken, nth, afterwards):
    new = keys.new_key()

    steps = {
        "begin": lambda: keys.begin(new),
        "finish": keys.finish,
        "work": lambda: keys.work(hours=2),
        "cancel": keys.cancel,
        "delete": lambda: world.door.delete(ACME, SLUG, actor=ALICE),
    }
    path = {"cancel": ("begin", "finish", "cancel"), "delete": ("begin", "finish", "delete")}.get(broken, STEPS[:3])
    for name in path:
        if name == broken:
            world.store.fail(nth, afterwards=afterwards)
            try:
                await steps[name]()
            except StorageUnavailableError:
                world.store.heal()
                # Another process.
                world.door = world.open()
                try:
                    await steps[name]()
                except (IntegrationNotFoundError, KeyRotationError):
                    assert afterwards, "it was done, and only the answer was lost"
            world.store.heal()
        else:
            await steps[name]()
    await keys.work(hours=2)
    await keys.work(hours=2)
    assert keys.waiting() == [0, 0]
    expected = {"cancel": (True, False), "delete": (False, True)}.get(broken, (False, True))
    assert (world.provider.is_alive(keys.old), world.provider.is_alive(new)) == expected
    if broken != "delete":
        assert world.provider.is_alive(await keys.shown())
