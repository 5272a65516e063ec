"""Methods that a provider has announced to end: told when somebody connects by one, and once a day for the whole installation."""

from __future__ import annotations

from datetime import date, timedelta

import pytest

from cloud_integrations import ImportedKey
from cloud_integrations.domain.provider import Deprecation
from cloud_integrations.errors import StorageUnavailableError

from .conftest import ALICE

INSTEAD = "Use another."
SOURCE = "https://simulated.example/end"


def _ending(entry, ends=date(2030, 1, 2), methods=()):
    return entry.model_copy(update={"deprecations": (Deprecation(ends=ends, methods=methods, instead=INSTEAD, source=SOURCE),)})


@pytest.fixture
def keys(world):
    """The provider by key, all of which is announced to end."""
    world.entries[1] = _ending(world.entries[1])
    world.door = world.open()
    return world.entries[1]


def _told(world, name="method.ends"):
    return [fact.facts for fact in world.facts.told if fact.name == name]


async def test_the_worker_tells_of_it_once_a_day_with_the_number_of_integrations_of_all_tenants(world, keys):
    for tenant in ("acme", "globex"):
        await world.add_key(tenant)
    await world.connect()
    doors = [world.door, world.open()]
    for day in range(1, 4):
        for door in (*doors, world.open()):  # the processes of one installation, and one that has just begun
            for _ in range(2):
                await door.worker.retry_revocations()
        assert len(_told(world)) == day
        world.pass_(days=1)
    assert _told(world)[-1] == {
        "provider": keys.id,
        "provider_id": str(keys.provider_id),
        "method": keys.methods[0].id,
        "ends": "2030-01-02",
        "instead": INSTEAD,
        "source": SOURCE,
        "integrations": "2",
    }


async def test_of_many_workers_at_once_one_tells(world, keys):
    await world.add_key()
    for _ in range(2):
        await world.door.all_at_once(*[each._bound("worker.retry_revocations") for each in [world.open() for _ in range(8)]])
        world.pass_(days=1)
    assert len(_told(world)) == 2


async def test_what_nobody_uses_is_not_told(world, keys):
    await world.connect()
    await world.door.worker.retry_revocations()
    assert _told(world) == []


async def test_an_installation_without_announced_ends_counts_nothing(world):
    await world.add_key()
    await world.door.worker.retry_revocations()
    assert "count_endings" not in [name for name, _ in world.store.calls]


async def test_another_method_of_the_provider_is_not_told(world):
    world.entries[0] = _ending(world.entries[0], methods=(world.entries[0].methods[-1].id,))
    world.door = world.open()
    first = await world.connect()
    await world.door.worker.retry_revocations()
    ends = first.method_id == world.entries[0].methods[-1].id
    assert len(_told(world)) == ends


async def test_trouble_of_the_store_holds_up_no_revocation(world, keys):
    await world.add_key()
    world.store.fail(1, "count_endings")
    with pytest.raises(StorageUnavailableError):
        await world.door.worker.retry_revocations()
    await world.door.worker.retry_revocations()
    assert _told(world) == []  # the next day
    world.pass_(days=1)
    await world.door.worker.retry_revocations()
    assert len(_told(world)) == 1


@pytest.mark.parametrize(("ends", "said"), [(date(2030, 1, 2), "2030-01-02"), (date(2001, 1, 2), "2001-01-02"), (None, "announced")])
async def test_who_connects_by_it_is_told_of_with_its_end(world, ends, said):
    world.entries[:] = [_ending(entry, ends) for entry in world.entries]
    world.door = world.open()
    key = await world.add_key()
    await world.door.replace_api_key(key.tenant_id, key.id, api_key=world.provider.valid_api_key, actor=ALICE)
    await world.reconnect(await world.connect())
    imported = ImportedKey(provider=world.entries[1].id, name="Fake", api_key=world.provider.valid_api_key)
    await world.door.import_credential("globex", imported)
    told = _told(world, "integration.connected") + _told(world, "integration.reconnected")
    assert len(told) == 5
    assert {facts["ends"] for facts in told} == {said}


async def test_who_connects_by_a_method_that_stays_is_told_of_no_end(world):
    await world.add_key()
    await world.connect()
    assert ["ends" in facts for facts in _told(world, "integration.connected")] == [False, False]


async def test_the_end_is_shown_where_people_choose(world, keys):
    (shown,) = [each for each in world.door.manager.list_providers() if each.slug == keys.id]
    assert shown.deprecated.ends == shown.methods[0].deprecated.ends == date(2030, 1, 2)
    assert world.clock.now().date() + timedelta(days=1) < date(2030, 1, 2)
