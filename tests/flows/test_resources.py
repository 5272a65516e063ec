"""A credential reaches several things at the provider, and addresses of its API need one of them."""

from __future__ import annotations

import pytest

from cloud_integrations.domain.importing import ImportedGrant, ImportedKey
from cloud_integrations.domain.integration import Health, State, Status
from cloud_integrations.errors import (
    GrantRefusedError,
    IntegrationInactiveError,
    InvalidCredentialsError,
    ProviderUnavailableError,
    ResourceNotChosenError,
    ValidationFailedError,
)
from cloud_integrations.testing import Misbehaviour

from .conftest import ACME, ALICE, GLOBEX
from .reaching import NORTH, SOUTH, alive, asked, reaches

__all__ = ["reaches"]  # a fixture

pytestmark = pytest.mark.requirement("Q05")


# Connecting


async def test_the_only_resource_is_taken_and_asked_for_with_the_credential_that_is_handed_out(world, reaches):
    door = reaches(NORTH)
    held = await world.connect()
    assert (held.variables, held.health) == ({"resource": "north"}, Health.OK)
    credential = await door.credential(ACME, "simulated")
    assert credential.base_url("files") == f"{world.provider.base_url}/resources/north/files"
    [request] = asked(world)
    assert request.headers["Authorization"] == credential.headers()["Authorization"]


async def test_of_several_the_tenant_chooses_and_the_credential_works_meanwhile(world, reaches):
    door = reaches(NORTH, SOUTH)
    held = await world.connect()
    assert (held.status, held.health, held.state) == (Status.ACTIVE, Health.CHOOSE_RESOURCE, State.ACTIVE)
    credential = await door.credential(ACME, "simulated")
    assert world.provider.is_alive(credential.value)
    assert "resource" not in credential.variables
    with pytest.raises(ResourceNotChosenError) as error:
        credential.base_url("files")
    assert error.value.details == {"integrationId": str(held.id), "variable": "resource"}
    assert "choose_resource" in error.value.advice

    found = await door.resources(ACME, held.id)
    assert (found.variable, found.chosen, found.is_complete) == ("resource", None, True)
    assert [(each.id, each.label, each.url) for each in found.resources] == [tuple(NORTH.values()), tuple(SOUTH.values())]
    world.pass_(minutes=1)
    chosen = await door.choose_resource(ACME, held.id, "south", actor=ALICE)
    assert (chosen.variables, chosen.health, chosen.state_since) == ({"resource": "south"}, Health.OK, world.clock.now())
    assert chosen == await door.get_integration(ACME, held.id)
    assert (await door.credential(ACME, "simulated")).base_url("files").endswith("/south/files")
    event = next(each for each in world.events() if each.action == "integration.resource_chosen")
    assert (event.actor, event.details) == (ALICE, {"fields": "resource"})
    assert (await door.resources(ACME, held.id)).chosen == "south"


async def test_a_choice_can_be_made_anew_and_the_same_one_changes_nothing(world, reaches):
    door = reaches(NORTH, SOUTH)
    held = await world.connect()
    chosen = await door.choose_resource(ACME, held.id, "north")
    world.pass_(minutes=1)
    assert await door.choose_resource(ACME, held.id, "north") == chosen
    again = await door.choose_resource(ACME, "simulated", "south")
    assert again.variables == {"resource": "south"}
    assert again.state_since == chosen.state_since


async def test_an_account_that_reaches_nothing_is_not_connected_and_its_grant_is_given_back(world, reaches):
    door = reaches()
    with pytest.raises(GrantRefusedError, match="reaches nothing") as error:
        await world.connect()
    assert error.value.reason == "no_resource"
    assert await door.list_integrations(ACME) == ()
    assert not alive(world)


async def test_a_key_that_reaches_nothing_is_not_stored(world, reaches):
    door = reaches()
    with pytest.raises(InvalidCredentialsError, match="reaches nothing") as error:
        await world.add_key()
    assert error.value.reason == "no_resource"
    assert await door.list_integrations(ACME) == ()
    assert world.last_event().reason == "no_resource"


async def test_a_key_gets_its_resource_as_a_grant_does(world, reaches):
    door = reaches(NORTH)
    held = await world.add_key()
    assert held.variables == {"resource": "north"}
    assert (await door.credential(ACME, held.id)).base_url("files").endswith("/north/files")


@pytest.mark.parametrize(
    "what",
    [
        Misbehaviour.CONNECTION_REFUSED,
        Misbehaviour.ANSWER_LOST,
        Misbehaviour.UNAVAILABLE,
        Misbehaviour.RATE_LIMITED,
        Misbehaviour.FORBIDDEN,
        Misbehaviour.HTML_PAGE,
        Misbehaviour.EMPTY_BODY,
        Misbehaviour.GARBAGE_JSON,
        Misbehaviour.HUGE_BODY,
        Misbehaviour.REDIRECT,
        Misbehaviour.ERROR_BEFORE,
    ],
)
@pytest.mark.parametrize("by", ["connect", "add_key"])
async def test_a_list_that_cannot_be_read_never_costs_the_credential(world, reaches, what, by):
    door = reaches(NORTH)
    world.provider.misbehave(what, endpoint="resources")
    held = await getattr(world, by)()
    assert (held.health, held.variables) == (Health.CHOOSE_RESOURCE, {"resource": ""})
    assert world.provider.is_alive((await door.credential(ACME, held.id)).value)
    assert (await door.choose_resource(ACME, held.id, "north")).health is Health.OK


async def test_the_observer_is_told_of_a_list_that_cannot_be_read(world, reaches):
    reaches(NORTH)
    world.provider.misbehave(Misbehaviour.UNAVAILABLE, endpoint="resources")
    held = await world.connect()
    [fact] = [fact for fact in world.facts.told if fact.name == "integration.resources_unread"]
    assert fact.facts["integration"] == str(held.id)
    assert fact.facts["reason"] == "unusable_answer"


# A resource that the tenant names when it begins


async def test_what_the_tenant_names_is_taken_if_the_list_has_it(world, reaches):
    reaches(NORTH, SOUTH)
    assert (await world.connect(variables={"resource": "south"})).variables == {"resource": "south"}


async def test_what_the_tenant_names_and_the_grant_does_not_reach_is_refused(world, reaches):
    door = reaches(NORTH)
    with pytest.raises(GrantRefusedError, match="does not reach the resource") as error:
        await world.connect(variables={"resource": "south"})
    assert error.value.reason == "resource_not_reached"
    assert (await door.list_integrations(ACME), alive(world)) == ((), [])


async def test_what_the_tenant_names_and_the_key_does_not_reach_names_the_field(world, reaches):
    door = reaches(NORTH)
    with pytest.raises(ValidationFailedError) as error:
        await world.add_key(variables={"resource": "south"})
    assert error.value.field == "variables.resource"
    assert await door.list_integrations(ACME) == ()


async def test_what_the_tenant_names_is_taken_unchecked_in_an_outage(world, reaches):
    reaches(NORTH)
    world.provider.misbehave(Misbehaviour.UNAVAILABLE, endpoint="resources")
    assert (await world.connect(variables={"resource": "south"})).variables == {"resource": "south"}


# Reconnecting


async def test_a_reconnect_keeps_the_choice_as_long_as_it_is_reached(world, reaches):
    door = reaches(NORTH, SOUTH)
    held = await world.connect(variables={"resource": "south"})
    assert (await world.reconnect(held)).integration.variables == {"resource": "south"}
    world.provider.misbehave(Misbehaviour.UNAVAILABLE, endpoint="resources")
    assert (await world.reconnect(held)).integration.variables == {"resource": "south"}
    reaches(NORTH, {"id": "west"})
    again = (await world.reconnect(held)).integration
    assert (again.health, again.variables) == (Health.CHOOSE_RESOURCE, {"resource": ""})
    reaches(NORTH)
    assert (await world.reconnect(held)).integration.variables == {"resource": "north"}
    assert (await door.credential(ACME, held.id)).base_url("files").endswith("/north/files")


async def test_a_reconnect_that_reaches_nothing_leaves_what_is_held(world, reaches):
    door = reaches(NORTH)
    held = await world.connect()
    before = await door.credential(ACME, held.id)
    reaches()
    with pytest.raises(GrantRefusedError):
        await world.reconnect(held)
    assert (await door.credential(ACME, held.id)).value == before.value
    assert world.provider.is_alive(before.value)
    assert world.row(held).facts.variables == {"resource": "north"}


async def test_a_new_key_keeps_the_choice_or_asks_for_another(world, reaches):
    door = reaches(NORTH, SOUTH)
    held = await world.add_key(variables={"resource": "south"})
    assert (await door.replace_api_key(ACME, held.id, api_key=world.provider.issue_api_key())).variables == {"resource": "south"}
    reaches(NORTH, {"id": "west"})
    again = await door.replace_api_key(ACME, held.id, api_key=world.provider.issue_api_key())
    assert (again.health, again.variables) == (Health.CHOOSE_RESOURCE, {"resource": ""})
    reaches()
    with pytest.raises(InvalidCredentialsError):
        await door.replace_api_key(ACME, held.id, api_key=world.provider.issue_api_key())


# Importing


@pytest.mark.parametrize(("verify", "value"), [(True, "north"), (False, "")])
async def test_an_imported_credential_gets_its_resource_where_the_provider_is_asked(world, reaches, verify, value):
    door = reaches(NORTH)
    tokens = world.provider.issue_grant()
    grant = ImportedGrant(
        provider="simulated", name="Files of Acme", access_token=tokens.access, refresh_token=tokens.refresh, scopes=("read",)
    )
    key = ImportedKey(provider="simulated_keys", name="Key of Acme", api_key=world.provider.valid_api_key)
    for imported in (grant, key):
        assert (await door.import_credential(ACME, imported, verify=verify)).variables == {"resource": value}


async def test_an_imported_key_that_reaches_nothing_is_refused(world, reaches):
    door = reaches()
    key = ImportedKey(provider="simulated_keys", name="Key of Acme", api_key=world.provider.valid_api_key)
    with pytest.raises(InvalidCredentialsError):
        await door.import_credential(ACME, key, verify=True)
    assert await door.list_integrations(ACME) == ()


# Choosing


@pytest.mark.parametrize("wanted", ["west", "", "North", "../north", "north\n", "n" * 300, None, 7])
async def test_only_what_the_list_has_can_be_chosen(world, reaches, wanted):
    door = reaches(NORTH, SOUTH)
    held = await world.connect()
    with pytest.raises(ValidationFailedError) as error:
        await door.choose_resource(ACME, held.id, wanted)
    assert error.value.field == "resource"
    assert world.row(held).facts.health is Health.CHOOSE_RESOURCE


async def test_no_choice_is_made_while_the_list_cannot_be_read(world, reaches):
    door = reaches(NORTH, SOUTH)
    held = await world.connect()
    world.provider.misbehave(Misbehaviour.UNAVAILABLE, endpoint="resources", times=2)
    with pytest.raises(ProviderUnavailableError) as error:
        await door.choose_resource(ACME, held.id, "north")
    assert error.value.retry_after is not None
    with pytest.raises(ProviderUnavailableError):
        await door.resources(ACME, held.id)


async def test_where_the_provider_shows_no_list_the_tenant_names_the_resource(world, reaches):
    door = reaches(NORTH, SOUTH)
    held = await world.connect()
    world.provider.misbehave(Misbehaviour.FORBIDDEN, endpoint="resources", times=2)
    found = await door.resources(ACME, held.id)
    assert (found.resources, found.is_complete) == ((), False)
    assert (await door.choose_resource(ACME, held.id, "anywhere")).variables == {"resource": "anywhere"}


async def test_another_tenants_integration_is_not_found(world, reaches):
    door = reaches(NORTH, SOUTH)
    held = await world.connect()
    for call in (door.resources(GLOBEX, held.id), door.choose_resource(GLOBEX, held.id, "north")):
        with pytest.raises(Exception, match="no such integration"):
            await call


async def test_what_is_switched_off_is_not_asked(world, reaches):
    door = reaches(NORTH, SOUTH)
    held = await world.connect()
    await door.edit_integration(ACME, held.id, status="inactive")
    before = len(asked(world))
    with pytest.raises(IntegrationInactiveError):
        await door.choose_resource(ACME, held.id, "north")
    assert len(asked(world)) == before
    assert world.row(held).facts.health is Health.DISABLED
    assert (await door.edit_integration(ACME, held.id, status="active")).health is Health.CHOOSE_RESOURCE


async def test_where_there_is_nothing_to_choose_it_is_said(world, door):
    held = await world.connect()
    for call in (door.resources(ACME, held.id), door.choose_resource(ACME, held.id, "north")):
        with pytest.raises(ValidationFailedError, match="needs no choice"):
            await call


async def test_an_expired_token_is_renewed_before_the_list_is_asked_for(world, reaches):
    door = reaches(NORTH, SOUTH)
    held = await world.connect()
    world.pass_(hours=2)
    assert (await door.choose_resource(ACME, held.id, "north")).variables == {"resource": "north"}
    assert world.row(held).credential.generation == 2


async def test_an_outage_before_the_choice_ends_as_any_other_does(world, reaches):
    door = reaches(NORTH, SOUTH)
    held = await world.connect()
    world.provider.misbehave(Misbehaviour.CONNECTION_REFUSED, endpoint="refresh")
    with pytest.raises(ProviderUnavailableError):
        await door.refresh(ACME, held.id)
    assert world.row(held).facts.health is Health.RETRYING
    world.pass_(minutes=10)
    assert (await door.refresh(ACME, held.id)).health is Health.CHOOSE_RESOURCE
    assert "credential.recovered" in world.facts.names
