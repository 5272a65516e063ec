"""The store fails during a renewal."""

from __future__ import annotations

from contextlib import suppress
from datetime import timedelta

import pytest

from cloud_integrations.domain.integration import State
from cloud_integrations.errors import (
    AnswerLostError,
    CloudIntegrationsError,
    CommitUnknownError,
    KeyringError,
    ProviderUnavailableError,
    ProviderUnreachableError,
    ReconnectRequiredError,
    RefreshInProgressError,
    StorageUnavailableError,
)
from cloud_integrations.ports.store import Record, SaveRenewal, SettleAttempt
from cloud_integrations.testing import Misbehaviour

from .renewals import LEASE, POINTS, assert_sound, at, concerns, expired, follow, of_refresh, put_around, settle, stored, token

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
    world.door.wiring.tokens.clear()
    ended = await settle(world)
    if isinstance(ended, ReconnectRequiredError):
        assert rule == "strict"
        assert not world.provider.is_alive(await stored(world, held))
    else:
        assert world.provider.is_alive(ended.value)
        assert world.provider.is_alive(await stored(world, held))
