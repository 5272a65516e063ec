"""Whoever spends a code is interrupted at any step; the simulated provider counts what is alive, and all of it is held or told of."""

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from urllib.parse import urlsplit

import pytest

from cloud_integrations.domain.audit import Outcome
from cloud_integrations.domain.integration import State
from cloud_integrations.domain.secret import Secret
from cloud_integrations.runtime.sync import run_inline
from cloud_integrations.testing import Misbehaviour, token_id

from .conftest import ACME, ALICE, OWN_REDIRECT_URI, World, rewire
from .watching import Interruption


class SoftTimeLimitError(Exception):
    """What a task queue raises from a signal handler, as Celery does."""


class KilledError(BaseException):
    """Ends whatever runs."""


# How a code can be spent


async def callback(world):
    begun = await world.begin()
    params = world.approve(begun)
    return lambda door: world.come_back(begun, params, door=door)


async def reconnect(world):
    held = await world.connect()
    begun = await world.door.begin_reconnect(ACME, held.id, actor=ALICE)
    params = world.approve(begun)
    return lambda door: world.come_back(begun, params, door=door)


async def bound_code(world):
    begun = await world.begin()
    code = Secret(dict(world.approve(begun))["code"])
    named = {"name": "Posted", "code": code, "redirect_uri": begun.redirect_uri, "state": begun.state, "actor": ALICE}
    return lambda door: door.add_oauth_code(ACME, "simulated", **named)


async def unbound_code(world):
    code = world.unbound_code()
    return lambda door: door.add_oauth_code(ACME, "simulated", name="Posted", code=code, redirect_uri=OWN_REDIRECT_URI, actor=ALICE)


WAYS = [callback, reconnect, bound_code, unbound_code]
everyway = pytest.mark.parametrize("way", WAYS)


@contextmanager
def at_step(world, number, happen):
    """Call *happen* at one of the moments around every call to a port; without a number none, but they are counted."""
    steps = []

    def step(name):
        steps.append(name)
        if len(steps) - 1 == number:
            happen()

    world.store.before = lambda name, _: step(f"before {name}")
    world.store.after = lambda name, _: step(f"after {name}")
    world.on_send = lambda request: step(f"before {urlsplit(request.url).path}")
    world.on_answer = lambda request, _: step(f"after {urlsplit(request.url).path}")
    try:
        yield steps
    finally:
        world.store.heal()
        world.on_send = world.on_answer = None


def alive(world):
    tokens = dict.fromkeys(text for text in world.secrets if text.startswith(("fake-access", "fake-refresh")))
    return {token_id(token) for token in tokens if world.provider.is_alive(token)}


async def stored(world, door):
    """The ids of the tokens that the tenant's row holds."""
    found = []
    for facts in world.rows.list_integrations(ACME):
        held = world.row(facts)
        found += [await door.wiring.sealer.open_token(held, name) for name in ("access", "refresh")]
    return {token_id(token) for token in found if token is not None}


def failures(world):
    return [event for event in world.events() if event.outcome is Outcome.FAILURE]


# A caller is interrupted: the work goes on


uncovered = pytest.mark.slow
"""Left to a session without coverage: a signal that raises while coverage holds its lock leaves it taken, and every thread waits for it."""


def interrupt_at(world, number, error, call):
    """Interrupt the caller, who is the main thread, at a step; return whether it was, and the steps."""
    with Interruption(error) as interruption, at_step(world, number, interruption.strike) as steps:
        try:
            run_inline(call())
        except error:
            return True, steps
        finally:
            interruption.leave()
            run_inline(world.single_flight.drain())
    return False, steps


@uncovered
@pytest.mark.requirement("REF-10")
@pytest.mark.parametrize("error", [SoftTimeLimitError, KeyboardInterrupt])
@everyway
def test_a_signal_at_any_step_loses_no_grant(way, error):
    number, spent = 0, 0
    while True:
        world = World("blocking")
        door = world.open_front()
        world.single_flight = door.wiring.single_flight
        call = run_inline(way(world))
        exchanges = world.provider.count("exchange")
        interrupted, steps = interrupt_at(world, number, error, lambda call=call, door=door: call(door))
        if not interrupted:
            break
        if world.provider.count("exchange") == exchanges:
            # Nothing was spent yet, so the same can be tried again.
            run_inline(call(door))
        else:
            spent += 1
        [facts] = world.rows.list_integrations(ACME)
        assert facts.state is State.ACTIVE
        assert run_inline(stored(world, door)) <= alive(world), steps[number]
        assert len(alive(world)) == 2
        assert failures(world) == [], steps[number]
        number += 1
    assert number == len(steps)
    assert spent >= 6


@uncovered
@pytest.mark.requirement("REF-10")
@everyway
def test_a_failure_that_its_caller_did_not_wait_for_is_recorded(way):
    world = World("blocking")
    door = world.open_front()
    world.single_flight = door.wiring.single_flight
    call = run_inline(way(world))
    world.provider.misbehave(Misbehaviour.INVALID_GRANT, endpoint="exchange")
    steps = list_steps(way)
    interrupted, _ = interrupt_at(world, steps.index("before /token"), SoftTimeLimitError, lambda: call(door))
    assert interrupted
    assert [event.reason for event in failures(world)] == ["invalid_grant"]


def list_steps(way):
    world = World("blocking")
    door = world.open_front()
    call = run_inline(way(world))
    with at_step(world, None, None) as steps:
        run_inline(call(door))
    return steps


@pytest.mark.requirement("REF-10")
@everyway
async def test_a_cancelled_caller_at_any_step_loses_no_grant(way):
    number = 0
    while True:
        world = World("awaiting")
        door = world.open_front()
        call = await way(world)
        exchanges = world.provider.count("exchange")
        started = []
        with at_step(world, number, lambda started=started: started[0].cancel()) as steps:
            started.append(asyncio.ensure_future(call(door)))
            [result] = await asyncio.gather(*started, return_exceptions=True)
            await door.close()
        if number >= len(steps):
            break
        if world.provider.count("exchange") == exchanges:
            await call(door)
        assert len(world.rows.list_integrations(ACME)) == 1
        assert isinstance(result, asyncio.CancelledError) or number == len(steps) - 1
        assert await stored(world, door) <= alive(world), steps[number]
        assert failures(world) == [], steps[number]
        number += 1
    assert number >= 8


# The work itself is interrupted


@everyway
@pytest.mark.parametrize("error", [KilledError, SoftTimeLimitError, asyncio.CancelledError])
async def test_whatever_ends_the_work_itself_every_grant_is_stored_given_back_or_told_of(world, way, error):
    number = 0
    kind = world.kind
    while True:
        world = World(kind)
        door = world.open_front()
        call = await way(world)
        before, old = world.provider.count("exchange"), alive(world)

        def happen(error=error):
            raise error

        with at_step(world, number, happen) as steps:
            [result] = await asyncio.gather(call(door), return_exceptions=True)
        if number >= len(steps):
            break
        assert isinstance(result, error)
        held, living = await stored(world, door), alive(world)
        waiting = world.rows.count_entries("revocation")
        if world.provider.count("exchange") > before and steps[number] != "after /token":
            # What the provider gave was read: none of it is left alone.
            assert living - old - held == set() or waiting, steps[number]
            assert held <= living, steps[number]
        if {"after take_pending", "after has_pending"} & set(steps[:number]) and not held - old:
            [event] = failures(world)
            assert event.reason == ("internal" if error is SoftTimeLimitError else "interrupted"), steps[number]
        number += 1
    assert number >= 8


async def test_an_interrupted_work_whose_failure_cannot_be_recorded_raises_what_interrupted_it(world, door):
    begun = await world.begin()
    params = world.approve(begun)
    world.store.fail(1, times=100)

    def happen(request):
        if urlsplit(request.url).path == "/token":
            raise KilledError

    world.on_send = happen
    [result] = await asyncio.gather(world.come_back(begun, params), return_exceptions=True)
    assert isinstance(result, KilledError)


class InlineFlights:
    """Every piece of work in its caller, so that a test can stop in the middle of it."""

    async def run(self, _key, work):
        return await work()

    share = run

    async def shield(self, work):
        return await work()


async def test_work_that_nobody_runs_any_more_is_dropped_without_a_word():
    world = World("awaiting")
    begun = await world.begin()
    params = world.approve(begun)
    rewire(world.door.manager, single_flight=InlineFlights())
    work = world.door.acting_as(ALICE).complete_oauth(begun.context_id, params, browser_token=begun.browser_token)
    while world.provider.count("exchange") == 0 or not world.sent[-1].url.endswith("/me"):
        work.send(None)
    # As the interpreter does with a coroutine whose loop has gone.
    work.close()
    assert world.provider.count("revoke") == 0


# Nothing is spent here: interrupted, they leave all or nothing


async def add_key(world):
    return lambda door: world.add_key(door=door)


async def replace_key(world):
    held = await world.add_key()
    key = world.provider.issue_api_key()
    return lambda door: door.replace_api_key(ACME, held.id, api_key=key, actor=ALICE)


async def remove(world):
    held = await world.connect()
    return lambda door: door.delete(ACME, held.id)


async def retry_revocations(world):
    held = await world.connect()
    world.provider.misbehave(Misbehaviour.UNAVAILABLE, endpoint="revoke")
    world.provider.misbehave(Misbehaviour.UNAVAILABLE, endpoint="revoke")
    await world.door.delete(ACME, held.id)
    world.pass_(minutes=5)
    return lambda door: door.worker.retry_revocations()


async def erase(world):
    await world.connect()
    return lambda door: door.erase_tenant(ACME, actor=ALICE)


@pytest.mark.parametrize("way", [add_key, replace_key, remove, retry_revocations, erase])
async def test_what_spends_nothing_is_interrupted_at_any_step_and_can_be_done_again(world, way):
    number, kind = 0, world.kind
    while True:
        world = World(kind)
        call = await way(world)

        def happen():
            raise KilledError

        with at_step(world, number, happen) as steps:
            [result] = await asyncio.gather(call(world.door), return_exceptions=True)
        if number >= len(steps):
            break
        assert isinstance(result, KilledError)
        # In a new process, or in this one a moment later.
        world.pass_(minutes=10)
        door = world.open()
        [again] = await asyncio.gather(call(door), return_exceptions=True)
        assert not isinstance(again, KilledError)
        world.pass_(minutes=10)
        await door.worker.retry_revocations()
        assert world.rows.count_entries("revocation") == 0
        rows = world.rows.list_integrations(ACME)
        if way in {add_key, replace_key}:
            assert len(rows) == 1
        elif way is erase:
            # A token that was in the outbox when its key was destroyed is counted in the receipt.
            assert rows == ()
        else:
            assert rows == ()
            assert alive(world) == set(), steps[number]
        assert (await door.audit.verify(ACME)).whole
        number += 1
    assert number >= 4
