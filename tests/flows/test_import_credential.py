"""A credential that an application already holds is taken over."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta, timezone

import pytest

from cloud_integrations.domain.audit import Outcome
from cloud_integrations.domain.auth_type import AuthType
from cloud_integrations.domain.importing import ImportedGrant, ImportedKey
from cloud_integrations.domain.integration import Health
from cloud_integrations.domain.secret import Secret
from cloud_integrations.errors import (
    IntegrationExistsError,
    InvalidCredentialsError,
    KeyRetiredError,
    ProviderInactiveError,
    ProviderNotFoundError,
    ProviderUnavailableError,
    ValidationFailedError,
)
from cloud_integrations.testing import Misbehaviour

from .conftest import ACME, ALICE


def held_grant(world, **changes):
    """Tokens that the application got by itself, and kept in a column."""
    grant = world.provider.issue_grant()
    given = {
        "provider": world.provider.slug,
        "name": "Files of Acme",
        "access_token": grant.access,
        "refresh_token": grant.refresh,
        "expires_at": world.clock.now() + timedelta(hours=1),
        "scopes": ("read", "write"),
    }
    world.secrets += [grant.access.reveal(), grant.refresh.reveal()]
    return ImportedGrant(**{**given, **changes})


def held_key(world, **changes):
    return ImportedKey(**{"provider": "simulated_keys", "name": "Key of Acme", "api_key": world.provider.valid_api_key, **changes})


async def test_a_grant_is_taken_over_and_renewed_when_its_time_comes(world, door):
    given = held_grant(world)
    integration = await door.import_credential(ACME, given, actor=ALICE)
    assert (integration.auth_type, integration.health, integration.scopes) == (AuthType.OAUTH2, Health.OK, ("read", "write"))
    assert integration.account.account_id is not None
    assert await door.list_integrations(ACME) == (integration,)
    assert (await door.credential(ACME, world.provider.slug)).value == given.access_token
    world.pass_(hours=1)
    renewed = await door.credential(ACME, world.provider.slug)
    assert renewed.value != given.access_token
    assert world.provider.is_alive(renewed.value)
    assert world.provider.refresh_count == 1


async def test_the_worker_renews_what_was_imported(world, door):
    await door.import_credential(ACME, held_grant(world))
    world.pass_(hours=1)
    assert (await door.worker.refresh_due()).renewed == 1


async def test_an_access_token_that_has_ended_is_not_shown_to_the_provider(world, door):
    given = held_grant(world, expires_at=world.clock.now() - timedelta(days=1))
    integration = await door.import_credential(ACME, given)
    assert world.sent == []
    assert world.last_event().details["verified"] == "false"
    assert integration.account.account_id is None
    assert world.provider.is_alive((await door.credential(ACME, world.provider.slug)).value)


async def test_a_grant_without_an_end_and_without_a_refresh_token_is_used_as_it_is(world, door):
    given = held_grant(world, expires_at=None, refresh_token=None)
    integration = await door.import_credential(ACME, given)
    assert (await door.credential(ACME, world.provider.slug)).value == given.access_token
    assert world.row(integration).marks.due_at is None


async def test_a_key_is_taken_over(world, door):
    integration = await door.import_credential(ACME, held_key(world))
    assert (integration.auth_type, integration.account.account_id) == (AuthType.API_KEY, "acct-1")
    assert (await door.credential(ACME, "simulated_keys")).value == world.provider.valid_api_key


async def test_it_is_recorded_without_a_secret(world, door):
    integration = await door.import_credential(ACME, held_grant(world), actor=ALICE)
    event = world.last_event()
    assert (event.action, event.actor, event.outcome) == ("integration.imported", ALICE, Outcome.SUCCESS)
    assert event.resource == f"integration:{integration.id}"
    assert event.details == {"provider": world.provider.slug, "verified": "true", "shared": "false"}
    assert world.leaks_in(world.raw_dump()) == []
    assert world.facts.names[-1] == "integration.connected"


@pytest.mark.parametrize("make", [held_grant, held_key])
async def test_a_dry_run_writes_nothing(world, door, make):
    await door.start()
    before = world.raw_dump()
    would_be = await door.import_credential(ACME, make(world), dry_run=True)
    assert world.raw_dump() == before
    assert would_be.name in {"Files of Acme", "Key of Acme"}
    assert await door.list_integrations(ACME) == ()


async def test_without_verification_nobody_is_asked(world, door):
    integration = await door.import_credential(ACME, held_key(world, api_key=Secret("fake-key-unknown")), verify=False)
    assert world.sent == []
    assert integration.account.account_id.startswith("key:")


@pytest.mark.parametrize("make", [held_grant, held_key])
async def test_what_the_provider_refuses_is_not_stored(world, door, make):
    given = make(world)
    world.provider.revoke_api_key(world.provider.valid_api_key)
    if isinstance(given, ImportedGrant):
        world.provider.expire_access(given.access_token)
    with pytest.raises(InvalidCredentialsError):
        await door.import_credential(ACME, given)
    assert await door.list_integrations(ACME) == ()


async def test_an_outage_is_no_verdict(world, door):
    world.provider.misbehave(Misbehaviour.ERROR_BEFORE, endpoint="me")
    with pytest.raises(ProviderUnavailableError):
        await door.import_credential(ACME, held_key(world))
    assert await door.list_integrations(ACME) == ()


async def test_who_imports_is_told_how_long_a_busy_provider_wants_to_be_left_alone(world, door):
    world.provider.misbehave(Misbehaviour.RATE_LIMITED, endpoint="me", retry_after=timedelta(seconds=90))
    with pytest.raises(ProviderUnavailableError) as busy:
        await door.import_credential(ACME, held_key(world))
    assert busy.value.retry_after == timedelta(seconds=90)


async def test_what_is_there_already_is_not_replaced(world, door):
    await world.add_key()
    with pytest.raises(IntegrationExistsError):
        await door.import_credential(ACME, held_key(world))


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"access_token": None, "refresh_token": None}, "accessToken"),
        ({"access_token": None}, "accessToken"),
        ({"access_token": Secret("")}, "accessToken"),
        ({"access_token": Secret("fake token")}, "accessToken"),
        ({"refresh_token": Secret("fäke")}, "refreshToken"),
        ({"refresh_token": Secret("fake" * 5000)}, "refreshToken"),
        ({"name": "no"}, "name"),
    ],
)
async def test_what_is_not_well_formed_is_named(world, door, changes, field):
    with pytest.raises(ValidationFailedError) as caught:
        await door.import_credential(ACME, held_grant(world, **changes))
    assert caught.value.field == field
    assert world.sent == []


async def test_the_provider_must_be_there_and_set_up(world, door):
    with pytest.raises(ProviderNotFoundError):
        await door.import_credential(ACME, held_key(world, provider="nowhere"))
    with pytest.raises(ProviderInactiveError):
        await world.open(applications=[]).import_credential(ACME, held_grant(world))


async def test_a_provider_that_cannot_be_asked_is_stored_unverified(world, door):
    entries = [entry.model_copy(update={"verifications": ()}) for entry in world.entries]
    integration = await world.open(providers=entries).import_credential(ACME, held_grant(world))
    assert world.last_event().details["verified"] == "false"
    assert integration.account.account_id is None


async def test_a_data_key_that_is_replaced_meanwhile_costs_nothing(world, door):
    await world.add_key()
    world.store.fail(2, error=KeyRetiredError)  # after the key of fingerprints is made
    integration = await door.import_credential(ACME, held_grant(world))
    assert await door.get_integration(ACME, integration.id) == integration


@pytest.mark.parametrize("field", ["expires_at", "granted_at"])
@pytest.mark.parametrize(
    "at", [datetime.min.replace(tzinfo=timezone(timedelta(hours=1))), datetime.max.replace(tzinfo=timezone(-timedelta(hours=1)))]
)
async def test_a_time_that_could_not_be_read_back_is_refused(world, door, field, at):
    with pytest.raises(ValidationFailedError) as caught:
        await door.import_credential(ACME, replace(held_grant(world), **{field: at}), verify=False)
    assert caught.value.field == {"expires_at": "expiresAt", "granted_at": "grantedAt"}[field]
    assert await door.list_integrations(ACME) == ()
