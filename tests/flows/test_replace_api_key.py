"""A new key takes the place of the old one."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cloud_integrations.domain.audit import Outcome
from cloud_integrations.domain.integration import Health, State
from cloud_integrations.errors import (
    GrantRefusedError,
    IntegrationInactiveError,
    IntegrationNotFoundError,
    InvalidCredentialsError,
    StaleWriteError,
    StorageUnavailableError,
    ValidationFailedError,
)
from cloud_integrations.ports.store import SaveFacts

from .conftest import ACME, ALICE


async def test_a_new_key_takes_the_old_ones_place(world, door):
    held = await world.add_key()
    before = await door.credential(ACME, "simulated_keys")
    key = world.provider.issue_api_key()
    world.pass_(seconds=5)
    again = await door.replace_api_key(ACME, held.id, api_key=key, actor=ALICE)
    assert (again.id, again.name, again.created_at) == (held.id, held.name, held.created_at)
    after = await door.credential(ACME, "simulated_keys")
    assert after.value == key
    assert after.value != before.value
    event = next(event for event in world.events() if event.action == "integration.reconnected")
    assert event.details == {"verified": "true", "account_changed": "false"}


@pytest.mark.requirement("AUD-08")
async def test_the_old_key_stays_when_the_new_one_is_refused(world, door):
    held = await world.add_key()
    with pytest.raises(InvalidCredentialsError):
        await door.replace_api_key(ACME, held.id, api_key=world.provider.invalid_api_key)
    assert (await door.credential(ACME, "simulated_keys")).value == world.provider.valid_api_key
    failed = [event for event in world.events() if event.outcome is Outcome.FAILURE]
    assert [(event.action, event.reason) for event in failed] == [("integration.reconnected", "dead")]


async def test_a_new_key_heals_an_integration_whose_key_was_dead(world, door):
    held = await world.add_key()
    world.provider.revoke_api_key(world.provider.valid_api_key)
    await door.verify(ACME, held.id)
    assert (await door.get_integration(ACME, held.id)).health is Health.RECONNECT_REQUIRED
    again = await door.replace_api_key(ACME, held.id, api_key=world.provider.issue_api_key())
    assert again.health is Health.OK


@pytest.mark.requirement("OAU-030", "Q63")
@pytest.mark.parametrize("pinned", [False, True])
async def test_a_key_of_another_account_is_noticed_and_refused_where_accounts_are_pinned(world, pinned):
    door = world.open(settings=world.settings(pin_accounts=pinned))
    held = await world.add_key(door=door)
    key = world.provider.issue_api_key(account="acct-2")
    if pinned:
        with pytest.raises(GrantRefusedError) as caught:
            await door.replace_api_key(ACME, held.id, api_key=key)
        assert caught.value.reason == "other_account"
        assert (await door.credential(ACME, "simulated_keys")).value == world.provider.valid_api_key
        assert (world.events()[-2].outcome, world.events()[-2].reason) == (Outcome.FAILURE, "other_account")
    else:
        again = await door.replace_api_key(ACME, held.id, api_key=key)
        assert again.account.account_id == "acct-2"
        assert world.last_event().details["account_changed"] == "true"


async def test_an_authorized_integration_takes_no_key(world, door):
    held = await world.connect()
    with pytest.raises(ValidationFailedError) as caught:
        await door.replace_api_key(ACME, held.id, api_key=world.provider.valid_api_key)
    assert caught.value.field == "credentials"


async def test_what_is_switched_off_takes_no_key(world, door):
    held = await world.add_key()
    await door.edit_integration(ACME, held.id, status="inactive")
    with pytest.raises(IntegrationInactiveError):
        await door.replace_api_key(ACME, held.id, api_key=world.provider.issue_api_key())


@pytest.mark.requirement("ISO-13")
async def test_another_tenants_key_is_not_replaced(world, door):
    held = await world.add_key()
    sent = len(world.sent)
    with pytest.raises(IntegrationNotFoundError):
        await door.replace_api_key("globex", held.id, api_key=world.provider.issue_api_key())
    assert len(world.sent) == sent


async def test_of_two_keys_entered_at_once_the_last_word_stays(world, door):
    held = await world.add_key()
    keys = [world.provider.issue_api_key() for _ in range(3)]
    calls = [lambda key=key: door.acting_as().replace_api_key(ACME, held.id, api_key=key) for key in keys]
    outcomes = await door.all_at_once(*calls)
    assert not [outcome for outcome in outcomes if isinstance(outcome, Exception)]
    assert world.row(held).credential.generation == 4
    assert (await door.credential(ACME, "simulated_keys")).value in keys


async def test_a_row_that_never_stops_moving_is_said(world, door):
    held = await world.add_key()
    world.store.fail(1, times=5, error=StaleWriteError)
    with pytest.raises(StorageUnavailableError):
        await door.replace_api_key(ACME, held.id, api_key=world.provider.issue_api_key())


async def test_an_integration_switched_off_during_the_check_stays_off(world, door):
    held = await world.add_key()
    other = world.open()
    switched = []

    def switch_off(_):
        switched.append(1)
        row = world.row(held)
        world.rows.apply(SaveFacts(facts=replace(row.facts, state=State.DISABLED), expected_state=State.ACTIVE))

    world.on_send = switch_off
    with pytest.raises(IntegrationInactiveError):
        await other.replace_api_key(ACME, held.id, api_key=world.provider.issue_api_key())
    assert switched == [1]
    assert world.row(held).facts.health is Health.DISABLED
