"""A name is changed, a switch is turned, a credential is checked."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from cloud_integrations.domain.audit import Outcome
from cloud_integrations.domain.integration import Health, State, Status
from cloud_integrations.errors import (
    AppMisconfiguredError,
    IntegrationInactiveError,
    IntegrationNotFoundError,
    ProviderInactiveError,
    ProviderUnavailableError,
    ReconnectRequiredError,
    StaleWriteError,
    StorageUnavailableError,
    ValidationFailedError,
)
from cloud_integrations.ports.store import SaveFacts
from cloud_integrations.testing import Misbehaviour

from .conftest import ACME, ALICE

# Edit


async def test_a_new_name_is_kept_and_recorded(world, door):
    held = await world.connect()
    world.pass_(minutes=1)
    edited = await door.edit_integration(ACME, held.id, name="New name", actor=ALICE, request_id="req-7")
    assert edited == replace(held, name="New name", updated_at=world.clock.now())
    assert await door.get_integration(ACME, held.id) == edited
    event = world.last_event()
    assert (event.action, event.details, event.actor, event.request_id) == ("integration.renamed", {"fields": "name"}, ALICE, "req-7")
    assert "New name" not in repr(event)


async def test_switching_off_keeps_the_credential_from_everybody(world, door):
    held = await world.connect()
    await door.credential(ACME, "simulated")
    off = await door.edit_integration(ACME, held.id, status="inactive")
    assert (off.status, off.health, off.state_since) == (Status.INACTIVE, Health.DISABLED, world.clock.now())
    assert world.actions()[-1] == ("integration.disabled", "success")
    with pytest.raises(IntegrationInactiveError):
        await door.credential(ACME, "simulated")
    with pytest.raises(IntegrationInactiveError):
        await door.verify(ACME, held.id)
    on = await door.edit_integration(ACME, held.id, status="active")
    assert (on.status, on.health, on.reason) == (Status.ACTIVE, Health.OK, None)
    assert world.actions()[-1] == ("integration.enabled", "success")
    assert (await door.credential(ACME, "simulated")).integration_id == held.id


async def test_name_and_status_change_together(world, door):
    held = await world.add_key()
    edited = await door.edit_integration(ACME, held.id, name="New name", status="inactive")
    assert (edited.name, edited.status) == ("New name", Status.INACTIVE)
    assert (world.last_event().action, world.last_event().details) == ("integration.disabled", {"fields": "name,state"})


async def test_what_is_so_already_is_neither_written_nor_recorded(world, door):
    held = await world.connect()
    before = world.actions()
    assert await door.edit_integration(ACME, held.id, name=held.name, status="active") == held
    assert world.actions() == before


async def test_what_must_be_reconnected_cannot_be_switched_on(world, door):
    held = await world.add_key()
    world.provider.revoke_api_key(world.provider.valid_api_key)
    await door.verify(ACME, held.id)
    with pytest.raises(ReconnectRequiredError):
        await door.edit_integration(ACME, held.id, status="active")
    assert (await door.edit_integration(ACME, held.id, name="New name")).health is Health.RECONNECT_REQUIRED


@pytest.mark.parametrize(
    ("change", "field"), [({}, "name"), ({"name": "x"}, "name"), ({"status": "gone"}, "status"), ({"status": "needs_reauth"}, "status")]
)
async def test_an_edit_that_means_nothing_names_the_field(world, door, change, field):
    held = await world.connect()
    with pytest.raises(ValidationFailedError) as caught:
        await door.edit_integration(ACME, held.id, **change)
    assert caught.value.field == field


@pytest.mark.requirement("ISO-13")
async def test_another_tenants_integration_is_not_edited(world, door):
    held = await world.connect()
    with pytest.raises(IntegrationNotFoundError):
        await door.edit_integration("globex", held.id, name="Mine now")
    assert (await door.get_integration(ACME, held.id)).name == held.name


async def test_an_edit_that_was_overtaken_decides_again(world, door):
    held = await world.connect()
    world.store.fail(1, times=4, error=StaleWriteError)
    assert (await door.edit_integration(ACME, held.id, name="New name")).name == "New name"
    world.store.fail(1, times=5, error=StaleWriteError)
    with pytest.raises(StorageUnavailableError):
        await door.edit_integration(ACME, held.id, name="Newer name")


@pytest.mark.requirement("REF-08")
@pytest.mark.parametrize("reuse", ["strict", "grace"])
async def test_off_and_on_again_does_not_forget_that_an_answer_was_lost(world, door, reuse):
    world.provider.reuse, world.provider.grace = reuse, timedelta(seconds=60)
    world.entries = list(world.provider.catalogue_entries())
    door = world.open()
    held = await world.connect()
    world.provider.misbehave(Misbehaviour.ANSWER_LOST, endpoint="refresh")
    with pytest.raises(ProviderUnavailableError):
        await door.refresh(ACME, held.id)
    lost = world.row(held)
    world.pass_(seconds=40)
    await door.edit_integration(ACME, held.id, status="inactive")
    world.pass_(seconds=40)
    on = await door.edit_integration(ACME, held.id, status="active")
    assert (on.status, on.health, on.reason) == (Status.ACTIVE, Health.UNKNOWN, "answer_lost")
    assert world.row(held).marks == replace(lost.marks, due_at=held.expires_at)
    # Outside the grace, which began with the loss, a replay could end the grant: it waits for the end of the access token.
    with pytest.raises(ProviderUnavailableError) as kept:
        await door.refresh(ACME, held.id)
    assert kept.value.retry_after == held.expires_at - world.clock.now()
    assert world.provider.refresh_count == 1
    assert (await door.credential(ACME, "simulated")).warning is None
    world.clock.advance(kept.value.retry_after + timedelta(milliseconds=1))
    with pytest.raises(ReconnectRequiredError) as spent:
        await door.credential(ACME, "simulated")
    assert spent.value.reason == "rotation_lost"


async def test_a_loss_that_came_while_it_was_switched_off_shows_when_it_is_on_again(world, door):
    held = await world.connect()

    def switch_off(*_):
        row = world.row(held)
        world.rows.apply(SaveFacts(facts=replace(row.facts, state=State.DISABLED, reason="switched_off"), expected_state=State.ACTIVE))

    world.on_answer = switch_off
    world.provider.misbehave(Misbehaviour.ERROR_AFTER, endpoint="refresh")
    with pytest.raises(IntegrationInactiveError):
        await door.refresh(ACME, held.id)
    world.on_answer = None
    world.pass_(minutes=1)
    on = await door.edit_integration(ACME, held.id, status="active")
    assert (on.health, on.reason) == (Health.UNKNOWN, "answer_lost")


@pytest.mark.parametrize(
    ("what", "health", "reason"),
    [
        (Misbehaviour.RATE_LIMITED, Health.RETRYING, "rate_limited"),
        (Misbehaviour.INVALID_CLIENT, Health.APPLICATION_REFUSED, "invalid_client"),
    ],
)
async def test_off_and_on_again_does_not_forget_that_a_renewal_is_being_repeated(world, door, what, health, reason):
    held = await world.connect()
    world.provider.misbehave(what, endpoint="refresh")
    with pytest.raises((ProviderUnavailableError, AppMisconfiguredError)):
        await door.refresh(ACME, held.id)
    before = world.row(held)
    await door.edit_integration(ACME, held.id, status="inactive")
    on = await door.edit_integration(ACME, held.id, status="active")
    assert (on.health, on.reason) == (health, reason) == (before.facts.health, before.facts.reason)
    assert world.row(held).marks.next_attempt_at == before.marks.next_attempt_at
    world.pass_(hours=1)
    assert (await door.credential(ACME, "simulated")).warning is None
    assert (await door.get_integration(ACME, held.id)).health is Health.OK


# Verify


@pytest.mark.parametrize("way", ["connect", "add_key"])
async def test_a_credential_that_works_is_said_to(world, door, way):
    held = await getattr(world, way)()
    report = await door.verify(ACME, held.id, actor=ALICE)
    assert (report.works, report.outcome, report.verified) == (True, "alive", True)
    assert (report.account.account_id, report.account_changed) == ("acct-1", False)
    assert report.checked_at == world.clock.now()
    event = world.last_event()
    assert (event.action, event.outcome, event.reason, event.actor) == ("integration.verified", Outcome.SUCCESS, "alive", ALICE)


async def test_a_dead_key_must_be_entered_again(world, door):
    held = await world.add_key()
    await door.credential(ACME, "simulated_keys")
    world.provider.revoke_api_key(world.provider.valid_api_key)
    report = await door.verify(ACME, held.id)
    assert (report.works, report.outcome) == (False, "dead")
    found = await door.get_integration(ACME, held.id)
    assert (found.health, found.status, found.reason) == (Health.RECONNECT_REQUIRED, Status.INACTIVE, "refused")
    assert (world.last_event().outcome, world.last_event().reason) == (Outcome.FAILURE, "dead")
    assert "credential.reconnect_required" in world.facts.names
    with pytest.raises(ReconnectRequiredError):
        await door.credential(ACME, "simulated_keys")


async def test_a_dead_access_token_with_a_live_refresh_token_is_healed(world, door):
    held = await world.connect()
    token = await door.credential(ACME, "simulated")
    world.provider.expire_access(token.value)
    report = await door.verify(ACME, held.id)
    assert report.works
    assert (await door.get_integration(ACME, held.id)).health is Health.OK
    assert world.provider.refresh_count == 1
    assert world.provider.is_alive((await door.credential(ACME, "simulated")).value)


async def test_a_grant_that_was_taken_back_must_be_given_again(world, door):
    held = await world.connect()
    world.provider.revoke_grant()
    with pytest.raises(ReconnectRequiredError):
        await door.verify(ACME, held.id)
    assert (await door.get_integration(ACME, held.id)).health is Health.RECONNECT_REQUIRED


async def test_a_dead_access_token_without_refresh_token_must_be_given_again(world, door):
    world.provider.misbehave(Misbehaviour.REFRESH_TOKEN_MISSING, endpoint="exchange")
    held = await world.connect()
    world.provider.revoke_grant()
    assert (await door.verify(ACME, held.id)).outcome == "dead"
    assert (await door.get_integration(ACME, held.id)).health is Health.RECONNECT_REQUIRED


async def test_a_provider_that_is_down_is_no_verdict(world, door):
    held = await world.add_key()
    world.provider.misbehave(Misbehaviour.UNAVAILABLE, endpoint="me")
    assert (await door.verify(ACME, held.id)).outcome == "unknown"
    world.provider.misbehave(Misbehaviour.CONNECTION_REFUSED, endpoint="me")
    with pytest.raises(ProviderUnavailableError):
        await door.verify(ACME, held.id)
    assert (await door.get_integration(ACME, held.id)).health is Health.OK


async def test_a_provider_without_a_check_says_that_nothing_was_verified(world):
    door = world.open(providers=[entry.model_copy(update={"verifications": ()}) for entry in world.entries])
    held = await world.add_key(door=door)
    report = await door.verify(ACME, held.id)
    assert (report.verified, report.works, report.outcome) == (False, False, "unknown")
    assert report.account == held.account


async def test_another_account_than_before_is_noticed(world, door):
    held = await world.add_key()
    world.provider.misbehave(Misbehaviour.OTHER_ACCOUNT, endpoint="me")
    report = await door.verify(ACME, held.id)
    assert report.account_changed
    assert report.account.account_id == "acct-1-other"
    assert world.last_event().details["account_changed"] == "true"


async def test_a_way_that_the_catalogue_lost_cannot_be_verified(world):
    held = await world.connect()
    method = world.entries[0].methods[0].model_copy(update={"id": "other"})
    door = world.open(providers=[world.entries[0].model_copy(update={"methods": (method,)})])
    with pytest.raises(ProviderInactiveError):
        await door.verify(ACME, held.id)


async def test_a_verdict_about_what_was_switched_off_meanwhile_is_recorded_alone(world, door):
    held = await world.add_key()
    world.provider.revoke_api_key(world.provider.valid_api_key)
    row = world.row(held)
    world.on_answer = lambda *_: world.rows.apply(SaveFacts(facts=replace(row.facts, state=State.DISABLED), expected_state=State.ACTIVE))
    assert (await door.verify(ACME, held.id)).outcome == "dead"
    assert (await door.get_integration(ACME, held.id)).health is Health.DISABLED
    assert (world.last_event().action, world.last_event().reason) == ("integration.verified", "dead")


@pytest.mark.requirement("ISO-13", "B09")
async def test_another_tenants_credential_is_not_checked(world, door):
    held = await world.add_key()
    sent = len(world.sent)
    with pytest.raises(IntegrationNotFoundError):
        await door.verify("globex", held.id)
    assert len(world.sent) == sent


async def test_a_dead_credential_is_not_healed_by_switching_it_off_and_on(world, door):
    integration = await world.add_key()
    world.provider.revoke_api_key(world.provider.valid_api_key)
    await door.verify(ACME, integration.id)
    off = await door.edit_integration(ACME, integration.id, status="inactive")
    assert off.health is Health.DISABLED
    with pytest.raises(ReconnectRequiredError):
        await door.edit_integration(ACME, integration.id, status="active")
    held = await door.get_integration(ACME, integration.id)
    assert (held.health, held.reason) == (Health.RECONNECT_REQUIRED, "refused")
