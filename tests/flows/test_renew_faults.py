"""A renewal meets trouble: the user is faster, a worker dies, a caller gives up, a clock is wrong."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from cloud_integrations.domain.integration import Phase, State
from cloud_integrations.domain.secret import Secret
from cloud_integrations.errors import (
    IntegrationInactiveError,
    IntegrationNotFoundError,
    ProviderUnavailableError,
    ReconnectRequiredError,
    RefreshInProgressError,
)
from cloud_integrations.ports.store import TakeLease
from cloud_integrations.testing import Misbehaviour

from .conftest import ACME, ALICE, World, rewire
from .renewals import A_MOMENT, POINTS, assert_sound, at, expired, follow, of_refresh, settle, stored, token

# The user is faster


@pytest.mark.requirement("REF-11")
@pytest.mark.parametrize("kills", ["token", "grant"])
@pytest.mark.parametrize("point", ["after the mark", "before the request", "after the request", "before the tokens are stored"])
@pytest.mark.parametrize("deed", ["removed", "switched off", "reconnected"])
async def test_what_the_user_does_stands_and_late_tokens_are_kept_or_given_back(world, deed, point, kills):
    entry = world.entries[0]
    method = entry.methods[0]
    revoke = method.revoke.model_copy(update={"kills": kills})
    world.entries = [entry.model_copy(update={"methods": (method.model_copy(update={"revoke": revoke}),)}), world.entries[1]]
    world.door, user = world.open(), world.open()
    held = await expired(world)

    async def act():
        if deed == "removed":
            await user.delete(ACME, held.id)
        elif deed == "switched off":
            await user.edit_integration(ACME, held.id, status="inactive")
        else:
            await world.reconnect(held, door=user)

    at(world.door, point, act)
    refreshed = []
    world.on_answer = lambda request, response: refreshed.append(response) if b"grant_type=refresh" in request.body else None
    renewed = None
    try:
        renewed = await token(world)
    except (IntegrationNotFoundError, IntegrationInactiveError):
        assert deed != "reconnected"
    received = [secret for secret in world.secrets if secret.startswith("fake-")]
    if deed == "reconnected":
        row = world.row(held)
        assert (row.facts.state, row.credential.generation) == (State.ACTIVE, 2)
        # The new grant's tokens stand and work; the last two tokens of the old grant do not, where that could be helped.
        assert renewed.value == await stored(world, held, "access")
        assert world.provider.is_alive(renewed.value)
        assert world.provider.is_alive(await stored(world, held))
    elif deed == "switched off":
        assert world.row(held).facts.state is State.DISABLED
        # What came is there for when somebody switches it on again.
        assert world.row(held).credential.generation == (2 if refreshed else 1)
    else:
        assert world.row(held) is None
    if refreshed and refreshed[-1].status == 200:
        late = [text for text in received if text.encode() in refreshed[-1].body]
        assert len(late) == 2
        if deed == "switched off":
            assert all(world.provider.is_alive(Secret(text)) for text in late)
        elif deed == "removed" or kills == "token":
            assert not any(world.provider.is_alive(Secret(text)) for text in late)
        else:
            # A revocation there would end the grant that stays: these end with it.
            revoked = [request.presented for request in world.provider.requests if request.endpoint == "revoke"]
            assert not set(revoked) & set(next(r for r in world.provider.requests if r.endpoint == "refresh").issued)
    kept = deed == "switched off" and bool(refreshed)
    assert of_refresh(world)[-1].outcome.value == ("success" if kept else "failure")


@pytest.mark.requirement("REF-11")
@pytest.mark.parametrize("point", POINTS)
async def test_a_rename_on_the_way_disturbs_nothing(world, point):
    held = await expired(world)
    user = world.open()
    at(world.door, point, lambda: user.edit_integration(ACME, held.id, name="New name"))
    assert (await token(world)).generation == 2
    assert world.row(held).facts.name == "New name"
    assert world.provider.refresh_count == 1
    await assert_sound(world, held)


@pytest.mark.requirement("REF-11")
async def test_off_and_on_again_on_the_way_disturbs_nothing(world):
    held = await expired(world)
    user = world.open()

    async def act():
        await user.edit_integration(ACME, held.id, status="inactive")
        await user.edit_integration(ACME, held.id, status="active")

    at(world.door, "after the request", act)
    assert (await token(world)).generation == 2
    await assert_sound(world, held)


@pytest.mark.requirement("REF-11")
@pytest.mark.parametrize("what", [Misbehaviour.INVALID_GRANT, Misbehaviour.ERROR_BEFORE, Misbehaviour.CONNECTION_REFUSED])
async def test_a_failure_that_comes_late_changes_nothing_either(world, what):
    held = await expired(world)
    user = world.open()
    world.provider.misbehave(what, endpoint="refresh")
    at(world.door, "before the request", lambda: user.edit_integration(ACME, held.id, status="inactive"))
    with pytest.raises(IntegrationInactiveError):
        await token(world)
    row = world.row(held)
    assert (row.facts.state, row.facts.reason) == (State.DISABLED, "switched_off")


class KilledError(BaseException):
    """The process is gone: nothing after this line runs."""


async def die():
    raise KilledError


# A worker dies


@pytest.mark.requirement("REF-08")
@pytest.mark.parametrize("rule", ["none", "tolerant", "grace", "strict", "family"])
@pytest.mark.parametrize("point", POINTS)
async def test_after_a_death_the_next_worker_takes_over(world, rule, point):
    follow(world, rule, grace=timedelta(seconds=30))
    held = await expired(world)
    died_at = world.clock.now()
    at(world.door, point, die)
    with pytest.raises(KilledError):
        await token(world)
    ended = await settle(world)
    rotated = point in {"after the request", "before the tokens are stored"}
    if rule in {"strict", "family"} and rotated:
        assert isinstance(ended, ReconnectRequiredError)
        assert ended.reason == "rotation_lost"
    else:
        assert world.provider.is_alive(ended.value)
    if rule == "grace":
        assert world.clock.now() - died_at < timedelta(seconds=30)
    assert world.provider.refresh_count == (1 + rotated if point != "after the tokens are stored" else 1)
    await assert_sound(world, held, dead_is_fine=rotated)


@pytest.mark.requirement("REF-08")
async def test_after_a_death_nobody_replays_while_the_token_lives(world):
    follow(world, "family")
    held = await world.connect()
    first = await token(world)
    at(world.door, "after the request", die)
    with pytest.raises(KilledError):
        await world.door.refresh(ACME, held.id)
    for _ in range(5):
        world.pass_(minutes=10)
        assert (await token(world, world.open())).value == first.value
        with pytest.raises(ProviderUnavailableError) as wait:
            await world.open().refresh(ACME, held.id)
        assert wait.value.retry_after == first.expires_at - world.clock.now()
    assert world.provider.refresh_count == 1
    world.pass_(minutes=10)
    assert isinstance(await settle(world), ReconnectRequiredError)
    assert world.provider.refresh_count == 2


# A caller gives up


@pytest.mark.requirement("REF-10")
@pytest.mark.parametrize("world", ["awaiting"], indirect=True)
async def test_a_caller_may_give_up_at_any_await(world):
    ticks, ended = 0, False
    while not ended:
        ticks += 1
        here = type(world)(world.kind)
        follow(here, "family")
        held = await expired(here)
        caller = asyncio.create_task(token(here))
        for _ in range(ticks):
            await asyncio.sleep(0)
        ended = caller.done()
        caller.cancel()
        await asyncio.gather(caller, return_exceptions=True)
        await here.door.close()
        assert here.row(held).credential.generation == 1 + here.provider.refresh_count
        assert (await token(here, here.open())).generation == 2
        assert here.provider.refresh_count == 1
        await assert_sound(here, held)
    assert ticks > 10


class Skewed:
    """Another machine's idea of the time."""

    def __init__(self, clock, by):
        self._clock = clock
        self.by = by
        self.monotonic = clock.monotonic

    def now(self):
        return self._clock.now() + self.by


def with_clock(door, clock):
    rewire(door.manager, clock=clock)


# Clocks differ


@pytest.mark.requirement("REF-04")
@pytest.mark.parametrize("rule", ["none", "tolerant", "grace", "strict"])
@pytest.mark.parametrize("minutes", [-10, 10])
async def test_clocks_that_differ_by_ten_minutes_renew_once(world, rule, minutes):
    follow(world, rule, grace=timedelta(seconds=30))
    held = await world.connect()
    world.pass_(minutes=75)
    other = world.open(settings=world.settings(wait_limit=timedelta(seconds=1)))
    with_clock(other, Skewed(world.clock, timedelta(minutes=minutes)))
    seen = []

    async def meanwhile():
        with pytest.raises(RefreshInProgressError):
            await token(world, other)
        seen.append(world.provider.refresh_count)

    at(world.door, "after the request", meanwhile)
    first = await token(world)
    assert seen == [1]
    assert (await token(world, other)).value == first.value
    assert world.provider.refresh_count == 1
    await assert_sound(world, held)


@pytest.mark.requirement("REF-04")
@pytest.mark.parametrize("minutes", [-10, 10])
async def test_a_back_off_is_kept_in_the_stores_clock(world, minutes):
    await expired(world)
    world.pass_(minutes=15)
    skewed = world.open()
    with_clock(skewed, Skewed(world.clock, timedelta(minutes=minutes)))
    world.provider.misbehave(Misbehaviour.CONNECTION_REFUSED, endpoint="refresh")
    with pytest.raises(ProviderUnavailableError) as failure:
        await token(world, skewed)
    assert failure.value.retry_after <= timedelta(seconds=1)
    with pytest.raises(ProviderUnavailableError):
        await token(world)
    world.clock.advance(failure.value.retry_after + A_MOMENT)
    assert (await token(world)).generation == 2


@pytest.mark.requirement("REF-04")
@pytest.mark.parametrize("minutes", [-10, 10])
async def test_a_clock_that_is_set_during_a_lease_disturbs_nothing(world, minutes):
    held = await expired(world)
    world.pass_(minutes=15)
    skewed = Skewed(world.clock, timedelta())
    with_clock(world.door, skewed)

    async def set_the_clock():
        skewed.by = timedelta(minutes=minutes)

    at(world.door, "after the request", set_the_clock)
    assert (await token(world)).generation == 2
    assert world.provider.refresh_count == 1
    await assert_sound(world, held)


async def test_who_was_held_up_before_the_lease_repeats_no_request_whose_answer_was_lost_meanwhile():
    world = World("blocking")
    connected = await world.connect()
    world.pass_(minutes=50)
    other = world.open()
    lost = []

    def another_asks(name, args):
        if name == "apply" and any(isinstance(change, TakeLease) for change in args):
            world.store.heal()
            world.provider.misbehave(Misbehaviour.HTML_PAGE, endpoint="refresh")
            with pytest.raises(ProviderUnavailableError) as caught:
                other.acting_as(ALICE).refresh(ACME, connected.id)
            lost.append(caught.value)

    world.store.before = another_asks
    with pytest.raises(ProviderUnavailableError):
        await world.door.refresh(ACME, connected.id)
    assert lost
    assert world.provider.refresh_count == 1
    row = world.row(connected)
    assert (row.facts.state, row.marks.phase, row.marks.lease_until) == (State.UNKNOWN, Phase.IDLE, None)
    assert row.marks.sent_at is not None
    assert row.marks.due_at is not None
    assert (await world.door.credential(ACME, "simulated")).warning is None
