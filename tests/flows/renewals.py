"""A renewal that something happens to, at any of its points."""

from __future__ import annotations

import inspect
from datetime import timedelta

from cloud_integrations.domain.integration import State
from cloud_integrations.errors import CloudIntegrationsError, ReconnectRequiredError
from cloud_integrations.ports.store import MarkSent, SaveRenewal, TakeLease

from .conftest import ACME, rewire

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
    wiring = door.wiring
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
    """Let the provider treat spent refresh tokens by *rule*, and the catalogue say so."""
    world.provider.rotation = "never" if rule == "none" else "always"
    world.provider.reuse = "tolerant" if rule == "none" else rule
    for name, value in changes.items():
        setattr(world.provider, name, value)
    world.entries = list(world.provider.catalogue_entries())
    world.door = world.open()


def hold_up(world, other, point):
    """Let *other* renew in place of the door, which is held up at this point for longer than a lease; its tokens will be in the list."""
    tokens = []

    async def be_held_up():
        world.clock.advance(LEASE)
        tokens.append(await token(world, other))

    at(world.door, point, be_held_up)
    return tokens


def lease_again(world, held):
    """Let some other worker take a lease of what was renewed once."""
    length = timedelta(seconds=30)
    lease = {"expected_generation": 2, "attempt_id": "later", "owner": "later", "length": length, "takeover_delay": timedelta()}
    world.rows.apply(TakeLease(tenant_id=ACME, integration_id=held.id, **lease))


async def token(world, door=None, **named):
    return await (door or world.door).credential(ACME, "simulated", **named)


async def expired(world, **named):
    held = await world.connect(**named)
    world.clock.advance(world.provider.access_lifetime)
    return held


async def stored(world, held, field="refresh"):
    """Open what the row holds, with a door that nothing stands around."""
    row = world.row(held)
    flow = world.open().wiring.sealer.open_token(row, field)
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


async def nearly_expired(world):
    """Connect, and let the time pass until the token has 20 s to live."""
    held = await world.connect()
    first = await token(world)
    world.clock.advance(world.provider.access_lifetime - timedelta(seconds=20))
    return held, first
