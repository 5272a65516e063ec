"""What each door promises of threads, loops and processes."""

from __future__ import annotations

import asyncio
import os
import threading
import traceback

import pytest

from .conftest import ACME

blocking_only = pytest.mark.parametrize("world", ["blocking"], indirect=True)


async def a_day_in_the_life(world):
    held = await world.connect()
    await world.door.credential(ACME, "simulated")
    await world.door.refresh(ACME, held.id)
    await world.door.verify(ACME, held.id)
    await world.reconnect(held)
    await world.door.delete(ACME, held.id)
    await world.door.close()


@blocking_only
async def test_the_blocking_door_works_inside_a_running_loop(world):
    assert asyncio.get_running_loop().is_running()
    await a_day_in_the_life(world)
    assert world.rows.list_integrations(ACME) == ()


async def test_neither_door_starts_a_thread(world):
    before = set(threading.enumerate())
    await a_day_in_the_life(world)
    # One of an earlier test may have ended meanwhile.
    assert set(threading.enumerate()) <= before


@blocking_only
async def test_the_blocking_door_starts_no_loop_and_no_task(world, monkeypatch):
    def refuse(*_):
        raise AssertionError("a loop was made")

    monkeypatch.setattr(asyncio, "new_event_loop", refuse)
    before = asyncio.all_tasks()
    await a_day_in_the_life(world)
    assert asyncio.all_tasks() == before


@blocking_only
@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
async def test_a_manager_that_was_used_before_a_fork_works_in_the_child(world):
    held = await world.connect()
    await world.door.credential(ACME, "simulated")
    child = os.fork()
    if child == 0:
        code = 1
        try:
            manager = world.door.acting_as()
            assert manager.credential(ACME, "simulated").integration_id == held.id
            assert manager.refresh(ACME, held.id).id == held.id
            assert manager.credential(ACME, "simulated").generation == 2
            code = 0
        except BaseException:  # noqa: BLE001  # the child must never come back into the test run
            traceback.print_exc()
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)  # noqa: ASYNC222  # nothing else runs in this loop
    assert os.waitstatus_to_exitcode(status) == 0
    assert world.row(held).credential.generation == 1


async def test_a_manager_shows_no_secret_and_is_a_context(world):
    manager = world.door.manager
    assert world.provider.application().client_secret.reveal() not in repr(manager)
    if world.blocking:
        with manager as same:
            assert same is manager
    else:
        async with manager as same:
            assert same is manager
