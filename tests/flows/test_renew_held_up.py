"""A worker is held up for longer than its lease, and another takes over."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from datetime import timedelta

import pytest

from cloud_integrations.domain.integration import State
from cloud_integrations.errors import IntegrationInactiveError, ReconnectRequiredError, RefreshInProgressError
from cloud_integrations.ports.store import SaveFacts

from .conftest import ACME
from .renewals import LEASE, POINTS, assert_sound, at, expired, follow, hold_up, lease_again, of_refresh, settle, stored, token


@pytest.mark.requirement("REF-02")
@pytest.mark.parametrize("rule", ["none", "tolerant", "grace"])
@pytest.mark.parametrize("point", POINTS)
async def test_a_worker_that_was_held_up_destroys_nothing(world, rule, point):
    follow(world, rule, grace=timedelta(minutes=5))
    held = await expired(world)
    other = world.open()

    async def be_held_up():
        world.clock.advance(LEASE + timedelta(seconds=2))
        await settle(world, other)

    at(world.door, point, be_held_up)
    for door in (world.door, other):
        renewed = await settle(world, door)
        assert world.provider.is_alive(renewed.value)
    assert world.row(held).facts.state is State.ACTIVE
    assert world.provider.is_alive(await stored(world, held))
    assert "credential.reconnect_required" not in world.facts.names
    outcomes = [event.outcome.value for event in of_refresh(world)]
    assert outcomes.count("started") == len(outcomes) - outcomes.count("started")


@pytest.mark.requirement("REF-02", "Q37")
@pytest.mark.parametrize("point", POINTS)
async def test_where_a_replay_is_punished_nobody_takes_over_while_the_token_lives(world, point):
    follow(world, "family")
    held = await world.connect()
    first = await token(world)
    other = world.open()

    async def be_held_up():
        world.clock.advance(LEASE)
        assert (await token(world, other)).generation in {first.generation, 2}

    at(world.door, point, be_held_up)
    try:
        await world.door.refresh(ACME, held.id)
    except RefreshInProgressError:
        assert point in {"before the mark", "after the lease", "after the mark"}
        await settle(world, world.door)
        world.clock.advance(LEASE)
        await world.door.refresh(ACME, held.id)
    assert world.provider.refresh_count == 1
    await assert_sound(world, held)


@pytest.mark.requirement("REF-02")
async def test_the_newest_lease_wins(world):
    follow(world, "tolerant")
    held = await expired(world)
    other = world.open()
    winner = hold_up(world, other, "after the request")
    assert (await token(world)).value == winner[0].value
    assert (world.row(held).credential.generation, world.row(held).marks.writer_lease) == (2, 2)
    assert world.provider.refresh_count == 2
    assert of_refresh(world)[-1].reason == "superseded"
    # Its tokens are of the same grant, which a revocation could end: they are left alone.
    assert world.provider.count("revoke") == 0
    await assert_sound(world, held)


@pytest.mark.requirement("REF-02", "REF-11")
@pytest.mark.parametrize("since", ["renewed", "renewed twice", "reconnected", "switched off", "refused"])
@pytest.mark.parametrize("rule", ["none", "tolerant"])
async def test_who_was_held_up_never_writes_over_the_success_of_a_newer_lease(world, rule, since):
    follow(world, rule)
    held = await expired(world)
    other = world.open()
    before = []

    async def be_held_up():
        world.clock.advance(LEASE)
        await token(world, other)
        if since == "renewed twice":
            await other.refresh(ACME, held.id)
        if since == "reconnected":
            await world.reconnect(held, door=other)
        if since == "switched off":
            await other.edit_integration(ACME, held.id, status="inactive")
        if since == "refused":
            world.provider.revoke_grant(await stored(world, held))
            world.clock.advance(LEASE)
            with pytest.raises(ReconnectRequiredError):
                await other.refresh(ACME, held.id)
        before.append(world.row(held))

    at(world.door, "after the request", be_held_up)
    with suppress(IntegrationInactiveError):
        assert (await token(world)).generation == before[0].credential.generation
    after = world.row(held)
    assert (after.credential, after.facts, after.marks) == (before[0].credential, before[0].facts, before[0].marks)
    if since != "refused":
        assert world.provider.is_alive(await stored(world, held, "access"))
        assert world.provider.grant_alive(await stored(world, held))


@pytest.mark.requirement("REF-02", "REF-11")
@pytest.mark.parametrize("rule", ["strict", "family"])
async def test_late_tokens_take_a_row_back_only_where_the_successors_replay_has_left_them_alive(world, rule):
    follow(world, rule)
    held = await expired(world)
    other = world.open()

    async def be_held_up():
        world.clock.advance(LEASE)
        with pytest.raises(ReconnectRequiredError):
            await token(world, other)

    at(world.door, "after the request", be_held_up)
    if rule == "strict":
        renewed = await token(world)
        assert world.provider.is_alive(renewed.value)
        assert world.row(held).facts.state is State.ACTIVE
    else:
        with pytest.raises(ReconnectRequiredError) as refused:
            await token(world)
        assert refused.value.reason == "rotation_lost"
        assert not world.provider.grant_alive(await stored(world, held))
        row = world.row(held)
        assert (row.facts.state, row.facts.reason, row.credential.generation) == (State.NEEDS_REAUTH, "rotation_lost", 1)
        assert of_refresh(world)[-1].reason == "superseded"
    assert world.provider.refresh_count == 2
    assert world.provider.count("revoke") == 0


@pytest.mark.requirement("REF-02")
async def test_where_a_check_alone_gave_the_row_up_the_tokens_that_come_take_it_back(world):
    follow(world, "family")
    held = await expired(world)

    async def a_check_finds_the_old_token_dead():
        dead = replace(world.row(held).facts, state=State.NEEDS_REAUTH, reason="refused")
        world.rows.apply(SaveFacts(facts=dead, expected_state=State.ACTIVE))

    at(world.door, "before the tokens are stored", a_check_finds_the_old_token_dead)
    assert (await token(world)).generation == 2
    await assert_sound(world, held)


@pytest.mark.requirement("REF-02", "REF-06")
@pytest.mark.parametrize("later_lease", [False, True])
async def test_a_lease_number_that_a_restored_store_gave_twice_is_not_taken_for_ones_own(world, later_lease):
    follow(world, "tolerant")
    held = await expired(world)
    backup = world.backup()
    other = world.open()
    winner = []

    async def fail_over():
        world.restore(backup)
        winner.append(await token(world, other))
        if later_lease:
            lease_again(world, held)

    at(world.door, "after the request", fail_over)
    assert (await token(world)).value == winner[0].value
    assert world.row(held).marks.writer_lease == 1
    ended = of_refresh(world)[-1]
    assert (ended.outcome.value, ended.reason) == ("failure", "superseded")
    await assert_sound(world, held)
