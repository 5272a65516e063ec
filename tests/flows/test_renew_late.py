"""What was stored, refused or answered late, after another worker took over."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from cloud_integrations.domain.integration import State
from cloud_integrations.errors import (
    CommitUnknownError,
    IntegrationInactiveError,
    IntegrationNotFoundError,
    ProviderUnavailableError,
    ReconnectRequiredError,
    StorageUnavailableError,
)
from cloud_integrations.ports.store import SettleAttempt
from cloud_integrations.testing import Misbehaviour

from .conftest import ACME
from .renewals import (
    A_MOMENT,
    LEASE,
    assert_sound,
    at,
    concerns,
    expired,
    follow,
    hold_up,
    lease_again,
    of_refresh,
    put_around,
    settle,
    stored,
    token,
)


@pytest.mark.requirement("REF-02", "REF-06")
@pytest.mark.parametrize("later_lease", [False, True])
async def test_what_one_has_stored_oneself_is_known_again_when_nobody_knows_of_the_commit(world, later_lease):
    follow(world, "family")
    held = await expired(world)

    async def the_answer_is_lost():
        if later_lease:
            lease_again(world, held)
        raise CommitUnknownError

    at(world.door, "after the tokens are stored", the_answer_is_lost)
    assert (await token(world)).generation == 2
    assert [event.outcome.value for event in of_refresh(world)] == ["started", "success"]
    await assert_sound(world, held)


@pytest.mark.requirement("REF-02", "REF-11")
@pytest.mark.parametrize("since", ["reconnected", "renewed", "removed"])
async def test_what_was_stored_is_not_called_superseded_when_nobody_knows_of_the_commit(world, since):
    follow(world, "strict")
    held = await expired(world)
    other = world.open()

    async def the_answer_is_lost():
        if since == "reconnected":
            await world.reconnect(held, door=other)
        elif since == "renewed":
            await other.refresh(ACME, held.id)
        else:
            await other.delete(ACME, held.id)
        raise CommitUnknownError

    at(world.door, "after the tokens are stored", the_answer_is_lost)
    if since == "removed":
        with pytest.raises(IntegrationNotFoundError):
            await token(world)
    else:
        assert world.provider.is_alive((await token(world)).value)
        await assert_sound(world, held)
    ended = [event.details["attempt"] for event in of_refresh(world) if event.outcome.value != "started"]
    assert len(ended) == len(set(ended))
    assert {event.outcome.value for event in of_refresh(world)} == {"started", "success"}
    revoked = [request.presented for request in world.provider.requests if request.endpoint == "revoke"]
    assert len(revoked) == len(set(revoked))


@pytest.mark.requirement("REF-02")
@pytest.mark.parametrize("what", [Misbehaviour.REFRESH_TOKEN_MISSING, Misbehaviour.REFRESH_TOKEN_SAME])
async def test_an_access_token_that_comes_late_heals_no_row_whose_refresh_token_was_refused(world, what):
    follow(world, "strict")
    held = await expired(world)
    other = world.open()

    async def be_held_up():
        world.provider.revoke_grant(await stored(world, held))
        world.clock.advance(LEASE)
        with pytest.raises(ReconnectRequiredError):
            await token(world, other)

    world.provider.misbehave(what, endpoint="refresh")
    at(world.door, "after the request", be_held_up)
    with pytest.raises(ReconnectRequiredError):
        await token(world)
    assert world.row(held).facts.state is State.NEEDS_REAUTH
    assert of_refresh(world)[-1].reason == "superseded"


@pytest.mark.requirement("REF-05", "REF-11")
async def test_tokens_that_were_stored_before_it_was_switched_off_are_not_given_back(world):
    held = await expired(world)
    user = world.open()

    async def the_answer_is_lost():
        await user.edit_integration(ACME, held.id, status="inactive")
        raise CommitUnknownError

    at(world.door, "after the tokens are stored", the_answer_is_lost)
    with pytest.raises(IntegrationInactiveError):
        await token(world)
    assert world.provider.count("revoke") == 0
    assert [event.outcome.value for event in of_refresh(world)] == ["started", "success"]
    await user.edit_integration(ACME, held.id, status="active")
    assert (await token(world, user)).generation == 2
    await assert_sound(world, held)


@pytest.mark.requirement("REF-02", "REF-07", "B15")
async def test_a_refusal_that_comes_late_finds_the_winners_token(world):
    held = await expired(world)
    other = world.open()
    winner = hold_up(world, other, "before the request")
    # The old token is spent by now, and is sent again by the one who was held up.
    assert (await token(world)).value == winner[0].value
    assert world.provider.requests[-1].outcome == "invalid_grant"
    await assert_sound(world, held)


@pytest.mark.requirement("REF-02", "REF-07")
async def test_a_refusal_that_comes_late_is_not_told_even_where_nothing_can_be_written(world):
    held = await expired(world)
    other = world.open()
    winner = []

    async def around(name, args, go):
        if name == "send":
            world.clock.advance(LEASE)
            winner.append(await token(world, other))
        if name == "apply" and concerns(args, SettleAttempt):
            raise StorageUnavailableError
        return await go()

    put_around(world.door, around, "store", "transport")
    assert (await token(world)).value == winner[0].value
    assert "credential.reconnect_required" not in world.facts.names
    await assert_sound(world, held)


@pytest.mark.requirement("REF-02")
@pytest.mark.parametrize("world", ["awaiting"], indirect=True)
async def test_a_later_lease_writes_over_what_an_earlier_one_wrote_late(world):
    """Two answers cross: the earlier lease writes first, the later one over it, and keeps the refresh token that came in between."""
    follow(world, "tolerant")
    held = await expired(world)
    other = world.open()
    first_answered, second_answered, first_wrote = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def first_waits():
        first_answered.set()
        await second_answered.wait()

    async def second_waits():
        second_answered.set()
        await first_wrote.wait()

    at(world.door, "after the request", first_waits)
    at(other, "after the request", second_waits)
    first = asyncio.create_task(token(world))
    await first_answered.wait()
    world.clock.advance(LEASE)
    world.provider.misbehave(Misbehaviour.REFRESH_TOKEN_MISSING, endpoint="refresh")
    second = asyncio.create_task(token(world, other))
    earlier = await first
    first_wrote.set()
    later = await second
    assert (earlier.generation, later.generation) == (2, 3)
    assert world.row(held).marks.writer_lease == 2
    assert await stored(world, held, "access") == later.value
    await assert_sound(world, held)


@pytest.mark.requirement("REF-07")
@pytest.mark.parametrize("rule", ["none", "tolerant", "grace", "strict"])
@pytest.mark.parametrize("seconds", [16, 31, 60])
async def test_a_provider_slower_than_the_deadline_is_a_lost_answer(world, rule, seconds):
    follow(world, rule, grace=timedelta(seconds=30))
    held = await expired(world)
    world.provider.misbehave(Misbehaviour.SLOW, endpoint="refresh", delay=timedelta(seconds=seconds))
    with pytest.raises(ProviderUnavailableError) as failure:
        await token(world)
    assert failure.value.reason == "answer_lost"
    assert world.row(held).facts.state is State.UNKNOWN
    world.clock.advance(failure.value.retry_after + A_MOMENT)
    ended = await settle(world)
    assert isinstance(ended, ReconnectRequiredError) == (rule == "strict")
    await assert_sound(world, held, dead_is_fine=rule == "strict")
    assert world.provider.in_flight_max == 1
