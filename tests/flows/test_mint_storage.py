"""A mint while the key service or the database is away: what lives is handed out, and nothing is asked of the provider in vain."""

from __future__ import annotations

from datetime import timedelta

import pytest

from cloud_integrations.domain.secret import Secret
from cloud_integrations.errors import KeyServiceUnavailableError

from .bank import KEY, LIFE, Bank
from .conftest import ACME, ALICE
from .key_service import Service

SOON = LIFE - timedelta(seconds=20)


@pytest.fixture
def bank(world):
    return Bank(world)


@pytest.fixture
async def held(world, bank):
    return await world.door.add(ACME, "bank", name="Our bank", inputs={"key": KEY, "team": "t-1"}, actor=ALICE)


def process(world, bank, service, **changes):
    """Another process, which looks at the store for every token."""
    settings = world.settings(token_cache=timedelta(), **changes)
    return world.open(keyring=service, settings=settings, providers=[bank.provider()], applications=[])


@pytest.mark.requirement("ENC-15")
async def test_while_the_data_key_is_remembered_an_outage_of_the_key_service_is_not_felt(world, bank, held):
    service = Service(world.keyring)
    door = process(world, bank, service, data_key_cache=LIFE)
    await door.credential(ACME, "bank")
    service.trouble = KeyServiceUnavailableError()
    world.clock.advance(SOON)
    shown = await door.credential(ACME, "bank")
    assert (shown.value, shown.warning) == (Secret("fake-token-1"), None)
    assert world.row(held).credential.generation == 2


@pytest.mark.requirement("ENC-15")
async def test_without_the_key_service_nothing_is_minted_that_could_not_be_stored(world, bank, held):
    service = Service(world.keyring)
    service.trouble = KeyServiceUnavailableError()
    door = process(world, bank, service)
    world.clock.advance(LIFE)
    for _ in range(2):
        with pytest.raises(KeyServiceUnavailableError) as caught:
            await door.credential(ACME, "bank")
        assert caught.value.retryable
    assert len(bank.asked) == 1
    # It is nobody's fault at the provider: the tenant need not act, and the next call goes on.
    assert world.row(held).facts.health.value == "ok"
    service.trouble = None
    world.clock.advance(timedelta(minutes=5))
    assert (await door.credential(ACME, "bank")).value == Secret("fake-token-1")


async def test_what_could_not_be_stored_is_minted_once_more_and_the_living_one_serves_meanwhile(world, bank, held):
    world.clock.advance(SOON)
    world.store.fail(1)
    living = await world.door.credential(ACME, "bank")
    assert (living.value, living.warning) == (Secret("fake-token-0"), "refresh_failed")
    assert world.row(held).credential.generation == 1
    assert (await world.door.credential(ACME, "bank")).value == Secret("fake-token-2")
    assert world.row(held).credential.generation == 2
