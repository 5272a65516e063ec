"""What is under way while its tenant is erased is stored nowhere, and given back."""

from __future__ import annotations

from contextlib import suppress

import pytest

from cloud_integrations.backends.sqlalchemy import AsyncSqlAlchemyStore, SqlAlchemyStore, migrate, sqlite_engine
from cloud_integrations.domain.importing import ImportedKey
from cloud_integrations.errors import CloudIntegrationsError

from .conftest import ACME, ALICE
from .renewals import put_around
from .test_interrupted import WAYS, bound_code, callback, reconnect
from .watching import Watched


async def renewal(world):
    held = await world.connect()
    world.clock.advance(world.provider.access_lifetime)
    return lambda door: door.refresh(ACME, held.id)


async def key(world):
    return lambda door: door.add_api_key(ACME, "simulated_keys", name="Key", api_key=world.provider.valid_api_key, actor=ALICE)


async def imported(world):
    given = ImportedKey(provider="simulated_keys", name="Key", api_key=world.provider.valid_api_key)
    return lambda door: door.import_credential(ACME, given, actor=ALICE)


@pytest.fixture(params=["memory", pytest.param("sqlite", marks=pytest.mark.slow)])
def stored_world(request, world, tmp_path):
    """The world over memory, and over SQLite."""
    if request.param == "memory":
        yield world
        return
    engine = sqlite_engine(tmp_path / "store.db")
    migrate.upgrade(engine)
    world.rows = SqlAlchemyStore(engine, clock=world.clock)
    world.store = Watched(world.rows if world.blocking else AsyncSqlAlchemyStore(engine, clock=world.clock))
    world.door = world.open()
    yield world
    engine.dispose()


def at_step(door, number, happen):
    """Let *happen*, a coroutine function, happen at one of the moments around the door's calls to its store and its provider."""
    steps = []

    async def step(name):
        steps.append(name)
        if len(steps) - 1 == number:
            await happen()

    async def around(name, args, go):
        await step(f"before {name}")
        result = await go()
        await step(f"after {name}")
        return result

    put_around(door, around, "store", "transport")
    return steps


async def nothing_is_left(world):
    """Nothing of the tenant is held, waits or lives at its provider."""
    assert await world.open().list_integrations(ACME) == ()
    assert world.rows.list_entries(ACME, "revocation", limit=10) == ()
    assert world.provider.living_grants() == ()


@pytest.mark.requirement("ENC-14")
@pytest.mark.parametrize("way", [*WAYS, renewal, key, imported])
async def test_what_is_under_way_when_its_tenant_is_erased_is_stored_nowhere_and_given_back(stored_world, way):
    world = stored_world
    # Before it knows the tenant's key it has not begun, and would be the beginning of a new life.
    number, steps = 1, [...] * 2
    while number < len(steps):
        await world.open().wiring.data_keys.active(ACME)
        call, door = await way(world), world.open_front()
        await door.start()
        steps = at_step(door, number, lambda: world.open().erase_tenant(ACME))
        with suppress(CloudIntegrationsError):
            await call(door)
        if number < len(steps):
            await nothing_is_left(world)
        number += 1
        world.pass_(minutes=1)
    await world.open().erase_tenant(ACME)
    await nothing_is_left(world)
    assert (await world.open().audit.verify(ACME)).whole


@pytest.mark.requirement("ENC-14")
@pytest.mark.parametrize("way", [callback, reconnect, bound_code, renewal])
async def test_what_comes_during_an_erasure_is_stored_nowhere_and_given_back(stored_world, way):
    world, number, steps = stored_world, 0, [...]
    while number < len(steps):
        call, door = await way(world), world.open_front()
        eraser = world.open()

        async def come(call=call, door=door):
            with suppress(CloudIntegrationsError):
                await call(door)

        steps = at_step(eraser, number, come)
        await eraser.erase_tenant(ACME)
        await nothing_is_left(world)
        number += 1
        world.pass_(minutes=1)
