"""A mint while the key service or the database is away: what lives is handed out, and nothing is asked of the provider in vain."""

from __future__ import annotations

from datetime import timedelta

import pytest

from cloud_integrations import ImportedKey
from cloud_integrations.domain.secret import Secret
from cloud_integrations.errors import KeyServiceUnavailableError

from .bank import KEY, LIFE, Bank
from .conftest import ACME, ALICE, GLOBEX
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


@pytest.mark.requirement("ENC-15")
async def test_a_new_data_key_that_cannot_be_had_costs_no_mint_and_the_living_one_serves(world, bank, held):
    service = Service(world.keyring)
    door = process(world, bank, service, data_key_cache=LIFE)
    await door.credential(ACME, "bank")
    # Another process has replaced the key that new values are sealed with; the old one is remembered here.
    world.pass_(seconds=1)
    await world.door.keys.rotate()
    service.trouble = KeyServiceUnavailableError()
    world.clock.advance(SOON)
    living = await door.credential(ACME, "bank")
    assert (living.value, living.warning) == (Secret("fake-token-0"), "refresh_failed")
    assert len(bank.asked) == 1
    service.trouble = None
    world.pass_(seconds=2)
    renewed = await door.credential(ACME, "bank")
    assert (renewed.value, renewed.warning) == (Secret("fake-token-1"), None)
    assert world.row(held).facts.health.value == "ok"


@pytest.mark.requirement("ENC-15")
async def test_what_was_minted_before_the_key_service_went_away_is_stored(world, bank, held):
    service = Service(world.keyring)
    # Nothing is remembered, so every other use of the key would ask again.
    door = process(world, bank, service, data_key_cache=timedelta(), data_key_grace=timedelta())
    await door.start()

    def go():
        service.trouble = KeyServiceUnavailableError()

    bank.before = go
    world.clock.advance(LIFE)
    with pytest.raises(KeyServiceUnavailableError):
        # It is sealed and stored, and could not be opened again.
        await door.credential(ACME, "bank")
    bank.before = None
    assert world.row(held).credential.generation == 2
    assert (await world.door.credential(ACME, "bank")).value == Secret("fake-token-1")
    assert len(bank.asked) == 2


async def test_a_key_that_is_replaced_while_it_is_minted_is_fetched_anew(world, bank, held):
    world.clock.advance(LIFE)
    other = bank.open()
    bank.before = other.keys.rotate
    assert (await world.door.credential(ACME, "bank")).value == Secret("fake-token-1")
    row = world.row(held)
    assert row.credential.key_id == world.rows.find_active_key(ACME).key_id
    assert len(bank.asked) == 2


@pytest.mark.requirement("ENC-15")
@pytest.mark.parametrize("what", ["add", "reconnect", "import_credential"])
async def test_nobody_is_connected_by_a_mint_that_could_not_be_stored(world, bank, held, what):
    service = Service(world.keyring)
    door = process(world, bank, service)
    await door.start()
    service.trouble = KeyServiceUnavailableError()
    inputs = {"key": KEY, "team": "t-1"}
    calls = {
        "add": lambda: door.add(GLOBEX, "bank", name="Our bank", inputs=inputs, actor=ALICE),
        "reconnect": lambda: door.reconnect(ACME, held.id, inputs=inputs, actor=ALICE),
        "import_credential": lambda: door.import_credential(GLOBEX, ImportedKey(provider="bank", name="Our bank", inputs=inputs)),
    }
    for _ in range(2):
        with pytest.raises(KeyServiceUnavailableError):
            await calls[what]()
        world.pass_(seconds=2)
    assert len(bank.asked) == 1
    service.trouble = None
    await calls[what]()
    assert len(bank.asked) == 2


async def test_what_could_not_be_stored_is_minted_once_more_and_the_living_one_serves_meanwhile(world, bank, held):
    world.clock.advance(SOON)
    world.store.fail(1)
    living = await world.door.credential(ACME, "bank")
    assert (living.value, living.warning) == (Secret("fake-token-0"), "refresh_failed")
    assert world.row(held).credential.generation == 1
    assert (await world.door.credential(ACME, "bank")).value == Secret("fake-token-2")
    assert world.row(held).credential.generation == 2
