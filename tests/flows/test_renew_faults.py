"""A renewal meets trouble: the user is faster, the store fails, a worker dies or is held up, a clock is wrong."""

from __future__ import annotations

import asyncio
import inspect
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta

import pytest

from cloud_integrations.domain.integration import Phase, State
from cloud_integrations.domain.secret import Secret
from cloud_integrations.errors import (
    AnswerLostError,
    CloudIntegrationsError,
    CommitUnknownError,
    IntegrationInactiveError,
    IntegrationNotFoundError,
    KeyringError,
    ProviderUnavailableError,
    ProviderUnreachableError,
    ReconnectRequiredError,
    RefreshInProgressError,
    StorageUnavailableError,
)
from cloud_integrations.flows.shared.sealing import open_token
from cloud_integrations.ports.store import MarkSent, Record, SaveFacts, SaveRenewal, SettleAttempt, TakeLease
from cloud_integrations.testing import Misbehaviour

from .conftest import ALICE, World, rewire

ACME = "acme"
A_MOMENT = timedelta(milliseconds=1)
"""Elapsed seconds are floats: a wait that is over to the microsecond may not be over yet."""
LEASE = timedelta(seconds=31)
"""A little longer than a lease."""


class Around:
    """A port of one door, with something around its calls; the same for both doors, for flows await all of it."""

    def __init__(self, port, around):
        self._port = port
        self._around = around

    def __getattr__(self, name):
        method = getattr(self._port, name)
        around = self._around
        if inspect.iscoroutinefunction(around) and not inspect.iscoroutinefunction(method):
            # What is not awaited has nothing awaited around it.
            return method
        if inspect.iscoroutinefunction(method):

            async def call(*args, **named):
                return await around(name, args, lambda: method(*args, **named))
        else:

            def call(*args, **named):
                return around(name, args, lambda: method(*args, **named))

        return call


def put_around(door, around, *ports):
    """Let *around(name, args, go)* stand around every call to these ports of the door."""
    wiring = door.manager._wiring
    rewire(door.manager, **{port: Around(getattr(wiring, port), around) for port in ports})


def concerns(args, change):
    return any(isinstance(arg, change) for arg in args)


POINTS = {
    "before the lease": (TakeLease, "before"),
    "after the lease": (TakeLease, "after"),
    "before the mark": (MarkSent, "before"),
    "after the mark": (MarkSent, "after"),
    "before the request": ("send", "before"),
    "after the request": ("send", "after"),
    "before the tokens are stored": (SaveRenewal, "before"),
    "after the tokens are stored": (SaveRenewal, "after"),
}


def at(door, point, action):
    """Let *action*, a coroutine function, happen once at this point of the door's next renewal."""
    what, when = POINTS[point]
    done = []

    async def around(name, args, go):
        there = not done and (name == what or (name == "apply" and what != "send" and concerns(args, what)))
        if there:
            done.append(1)
        if there and when == "before":
            await action()
        result = await go()
        if there and when == "after":
            await action()
        return result

    put_around(door, around, "store", "transport")


def follow(world, rule, **changes):
    world.provider.rotation = "never" if rule == "none" else "always"
    world.provider.reuse = "tolerant" if rule == "none" else rule
    for name, value in changes.items():
        setattr(world.provider, name, value)
    world.entries = list(world.provider.catalogue_entries())
    world.door = world.open()


async def token(world, door=None):
    return await (door or world.door).credential(ACME, "simulated")


async def expired(world):
    held = await world.connect()
    world.clock.advance(world.provider.access_lifetime)
    return held


async def stored(world, held, field="refresh"):
    """Open what the row holds, with a door that nothing stands around."""
    row = world.row(held)
    flow = open_token(world.open().manager._wiring, row, field)
    if not world.blocking:
        return await flow
    try:
        flow.send(None)
    except StopIteration as done:
        return done.value


def of_refresh(world):
    return [event for event in world.events() if event.action == "credential.refresh"]


async def settle(world, door=None):
    """Ask until there is an answer that stands; at most a few leases long."""
    for _ in range(30):
        try:
            return await token(world, door or world.open())
        except ReconnectRequiredError as error:
            return error
        except CloudIntegrationsError as error:
            if not error.retryable:
                raise
            world.clock.advance(max(error.retry_after or timedelta(), timedelta(seconds=5)))
    raise AssertionError("no end of it")


async def assert_sound(world, held, *, dead_is_fine=False):
    """The row holds the newest tokens (I3), or says that they are lost, and they are (I4)."""
    refresh_token = await stored(world, held)
    row = world.row(held)
    if row.facts.state is State.NEEDS_REAUTH:
        assert dead_is_fine
        assert not world.provider.is_alive(refresh_token)
    else:
        assert row.facts.state is State.ACTIVE
        assert world.provider.is_newest(refresh_token)
        assert world.provider.is_alive(refresh_token)
        assert world.provider.is_alive(await stored(world, held, "access"))
    assert (await world.open().audit.verify(ACME)).whole


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


# A worker is held up for longer than its lease, and another takes over


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


@pytest.mark.requirement("REF-02")
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
    winner = []

    async def be_held_up():
        world.clock.advance(LEASE)
        winner.append(await token(world, other))

    at(world.door, "after the request", be_held_up)
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
            world.rows.apply(
                TakeLease(
                    tenant_id=ACME,
                    integration_id=held.id,
                    expected_generation=2,
                    attempt_id="later",
                    owner="later",
                    length=timedelta(seconds=30),
                    takeover_delay=timedelta(),
                )
            )

    at(world.door, "after the request", fail_over)
    assert (await token(world)).value == winner[0].value
    assert world.row(held).marks.writer_lease == 1
    ended = of_refresh(world)[-1]
    assert (ended.outcome.value, ended.reason) == ("failure", "superseded")
    await assert_sound(world, held)


@pytest.mark.requirement("REF-02", "REF-06")
@pytest.mark.parametrize("later_lease", [False, True])
async def test_what_one_has_stored_oneself_is_known_again_when_nobody_knows_of_the_commit(world, later_lease):
    follow(world, "family")
    held = await expired(world)

    async def the_answer_is_lost():
        if later_lease:
            world.rows.apply(
                TakeLease(
                    tenant_id=ACME,
                    integration_id=held.id,
                    expected_generation=2,
                    attempt_id="later",
                    owner="later",
                    length=timedelta(seconds=30),
                    takeover_delay=timedelta(),
                )
            )
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


@pytest.mark.requirement("REF-02", "REF-07")
async def test_a_refusal_that_comes_late_finds_the_winners_token(world):
    held = await expired(world)
    other = world.open()
    winner = []

    async def be_held_up():
        world.clock.advance(LEASE)
        winner.append(await token(world, other))

    at(world.door, "before the request", be_held_up)
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


# A worker dies


class KilledError(BaseException):
    """The process is gone: nothing after this line runs."""


async def die():
    raise KilledError


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


# The store fails


FAILURES = [
    ("store", "apply", StorageUnavailableError, "before"),
    ("store", "apply", CommitUnknownError, "before"),
    ("store", "apply", CommitUnknownError, "after"),
    ("store", "find_integration", StorageUnavailableError, "before"),
    ("store", "find_credential", StorageUnavailableError, "before"),
    ("keys", "unwrap", lambda: KeyringError(key_id="test", problem="does not answer"), "before"),
    ("transport", "send", lambda: ProviderUnreachableError(provider_id="simulated"), "before"),
    ("transport", "send", lambda: AnswerLostError(provider_id="simulated"), "after"),
    ("clock", "now", lambda: OSError("no clock"), "before"),
    ("clock", "monotonic", lambda: OSError("no clock"), "before"),
    ("entropy", "bytes", lambda: OSError("no randomness"), "before"),
    ("entropy", "fraction", lambda: OSError("no randomness"), "before"),
]


def fail_the_nth(door, port, method, error, when, *, nth, times):
    """Let calls number *nth* to *nth + times - 1* fail; return how many calls there were."""
    calls = []
    is_clock = port in {"clock", "entropy"}

    def counts(name):
        if name != method:
            return False
        calls.append(name)
        return nth <= len(calls) < nth + times

    async def around(name, args, go):
        fails = counts(name)
        if fails and when == "before":
            raise error()
        result = await go()
        if fails:
            raise error()
        return result

    def around_plain(name, args, go):
        if counts(name):
            raise error()
        return go()

    put_around(door, around_plain if is_clock else around, port)
    return calls


@pytest.mark.requirement("TST-01", "REF-05", "REF-14", "REF-15")
@pytest.mark.parametrize("times", [1, 4])
@pytest.mark.parametrize(
    ("port", "method", "error", "when"), FAILURES, ids=[f"{port}-{method}-{number}" for number, (port, method, *_) in enumerate(FAILURES)]
)
async def test_whichever_call_fails_no_token_is_lost_and_none_is_stored_twice(world, port, method, error, when, times):
    lost_answer = (port, when) == ("transport", "after")
    nth, made = 0, 1
    while nth < made:
        nth += 1
        here = type(world)(world.kind)
        follow(here, "family")
        held = await expired(here)
        # Every use of a key asks the keyring.
        door = here.open(settings=here.settings(data_key_cache=timedelta()))
        calls = fail_the_nth(door, port, method, error, when, nth=nth, times=times)
        with suppress(CloudIntegrationsError, OSError):
            await token(here, door)
        made = len(calls)
        ended = await settle(here)
        await assert_sound(here, held, dead_is_fine=lost_answer)
        if isinstance(ended, ReconnectRequiredError):
            assert ended.reason == "rotation_lost"
            continue
        # One refresh, one generation: nothing is sent twice and nothing written twice.
        assert not any(request.reused for request in here.provider.requests)
        assert here.provider.refresh_count == here.row(held).credential.generation - 1 == 1
        successes = [event for event in of_refresh(here) if event.outcome.value == "success"]
        assert len(successes) == 1
    assert nth >= made


@pytest.mark.requirement("REF-15")
async def test_tokens_wait_in_memory_while_the_store_takes_nothing(world):
    held = await expired(world)
    down_until = world.clock.now() + timedelta(minutes=4)

    async def around(name, args, go):
        if name == "apply" and concerns(args, SaveRenewal) and world.clock.now() < down_until:
            raise StorageUnavailableError
        return await go()

    put_around(world.door, around, "store")
    assert (await token(world)).generation == 2
    assert world.clock.now() >= down_until
    assert world.facts.names.count("credential.unpersisted") > 5
    assert world.provider.refresh_count == 1
    await assert_sound(world, held)


async def test_after_five_minutes_the_failure_is_told(world):
    held = await expired(world)
    began = world.clock.now()

    async def around(name, args, go):
        if name == "apply" and concerns(args, SaveRenewal):
            raise StorageUnavailableError
        return await go()

    put_around(world.door, around, "store")
    with pytest.raises(StorageUnavailableError):
        await token(world)
    assert timedelta(minutes=5) <= world.clock.now() - began < timedelta(minutes=6)
    assert world.row(held).credential.generation == 1


@pytest.mark.parametrize("what", [Misbehaviour.INVALID_GRANT, Misbehaviour.ERROR_BEFORE, Misbehaviour.CONNECTION_REFUSED])
async def test_a_failure_that_cannot_be_written_is_told_all_the_same(world, what):
    held = await expired(world)
    world.provider.misbehave(what, endpoint="refresh")

    async def around(name, args, go):
        if name == "apply" and concerns(args, SettleAttempt):
            raise StorageUnavailableError
        return await go()

    put_around(world.door, around, "store")
    with pytest.raises((ReconnectRequiredError, ProviderUnavailableError)):
        await token(world)
    assert "credential.unpersisted" in world.facts.names
    assert world.row(held).facts.state is State.ACTIVE
    assert isinstance(await settle(world), ReconnectRequiredError) is False
    await assert_sound(world, held)


async def test_an_outcome_that_cannot_be_recorded_changes_nothing(world):
    follow(world, "tolerant")
    held = await expired(world)
    other = world.open()

    async def be_held_up():
        world.clock.advance(LEASE)
        await token(world, other)

    at(world.door, "after the request", be_held_up)
    superseded = []

    async def around(name, args, go):
        # The last word of the one who was held up is a record alone.
        if name == "apply" and len(args) == 1 and isinstance(args[0], Record) and args[0].event.action == "credential.refresh":
            superseded.append(args)
            raise StorageUnavailableError
        return await go()

    put_around(world.door, around, "store")
    assert (await token(world)).generation == 2
    assert len(superseded) == 1
    await assert_sound(world, held)


@pytest.mark.requirement("REF-06")
@pytest.mark.parametrize("rule", ["none", "tolerant", "grace", "strict"])
@pytest.mark.parametrize("point", POINTS)
async def test_a_store_that_forgets_its_last_transactions_is_never_silently_wrong(world, rule, point):
    """A failover to a replica that lagged: rows are as they were before the renewal."""
    follow(world, rule, grace=timedelta(minutes=5))
    held = await expired(world)
    backup = world.backup()

    async def fail_over():
        world.restore(backup)

    at(world.door, point, fail_over)
    with suppress(RefreshInProgressError, ProviderUnavailableError):
        await token(world)
    world.door.manager._wiring.tokens.clear()
    ended = await settle(world)
    if isinstance(ended, ReconnectRequiredError):
        assert rule == "strict"
        assert not world.provider.is_alive(await stored(world, held))
    else:
        assert world.provider.is_alive(ended.value)
        assert world.provider.is_alive(await stored(world, held))


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


# Clocks differ


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
                other.manager.refresh(ACME, connected.id, actor=ALICE)
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
