"""A code that the host's own front end received is posted."""

from __future__ import annotations

import pytest

from cloud_integrations.domain.audit import Outcome
from cloud_integrations.domain.secret import Secret
from cloud_integrations.errors import (
    GrantRefusedError,
    IntegrationExistsError,
    ProviderUnavailableError,
    StorageUnavailableError,
    ValidationFailedError,
)
from cloud_integrations.testing import Misbehaviour

from .conftest import ACME, ALICE, MALLORY, OWN_REDIRECT_URI


@pytest.fixture
def front(world):
    """A door to an installation whose front end receives codes."""
    return world.open_front()


def post(door, code, /, tenant=ACME, *, actor=ALICE, redirect_uri=OWN_REDIRECT_URI, **named):
    return door.add_oauth_code(tenant, "simulated", name="Posted", code=code, redirect_uri=redirect_uri, actor=actor, **named)


async def bound(world, door, **named):
    """Begin here, sign in, and return the authorization with its code."""
    begun = await world.begin(door=door, **named)
    return begun, Secret(dict(world.approve(begun))["code"])


# Without state


async def test_a_code_without_state_connects_and_is_recorded_as_unbound(world, front):
    integration = await post(front, world.unbound_code())
    assert await front.list_integrations(ACME) == (integration,)
    assert integration.name == "Posted"
    assert integration.scopes == ("read", "write")
    event = world.last_event()
    assert (event.action, event.actor, event.details["bound"]) == ("integration.connected", ALICE, "false")


async def test_our_own_callback_is_an_allowed_redirect_uri_too(world, front):
    context = (await world.begin("globex", door=front)).context_id
    uri = f"https://app.example/oauth/callback/{context}"
    assert (await post(front, world.unbound_code(uri), redirect_uri=uri)).name == "Posted"


async def test_with_require_state_a_code_without_state_is_refused(world):
    door = world.open(settings=world.settings(require_state=True))
    with pytest.raises(ValidationFailedError) as caught:
        await post(door, Secret("fake-code"))
    assert caught.value.field == "state"
    assert world.sent == []


@pytest.mark.requirement("OAU-006")
@pytest.mark.parametrize(
    "uri", ["https://evil.example/connected", OWN_REDIRECT_URI + "/", OWN_REDIRECT_URI + "?x=1", "", "http://app.example/connected"]
)
async def test_a_redirect_uri_that_is_not_configured_is_refused(world, front, uri):
    with pytest.raises(ValidationFailedError) as caught:
        await post(front, Secret("fake-code"), redirect_uri=uri)
    assert caught.value.field == "redirectUri"
    assert "evil" not in str(caught.value)
    assert world.sent == []


async def test_a_code_without_state_is_refused_while_an_authorization_is_open(world, front):
    await world.begin(door=front)
    with pytest.raises(GrantRefusedError) as caught:
        await post(front, world.unbound_code())
    assert caught.value.reason == "authorization_pending"
    assert world.sent == []
    event = world.last_event()
    assert (event.action, event.outcome, event.reason) == ("integration.connected", Outcome.FAILURE, "authorization_pending")
    world.pass_(minutes=10)
    assert (await post(front, world.unbound_code())).name == "Posted"


async def test_a_provider_that_the_tenant_has_takes_no_code(world, front):
    await post(front, world.unbound_code())
    sent = len(world.sent)
    with pytest.raises(IntegrationExistsError):
        await post(front, world.unbound_code())
    assert len(world.sent) == sent


@pytest.mark.requirement("AUD-08")
@pytest.mark.parametrize(
    ("what", "error"), [(Misbehaviour.INVALID_GRANT, GrantRefusedError), (Misbehaviour.ANSWER_LOST, ProviderUnavailableError)]
)
async def test_an_exchange_that_fails_stores_nothing_and_is_recorded(world, front, what, error):
    world.provider.misbehave(what)
    with pytest.raises(error) as caught:
        await post(front, world.unbound_code())
    assert await front.list_integrations(ACME) == ()
    event = world.last_event()
    assert (event.outcome, event.reason, event.details["bound"]) == (Outcome.FAILURE, caught.value.reason, "false")


async def test_a_store_in_trouble_is_said(world, front):
    code = world.unbound_code()
    world.store.fail(4, times=100)  # after the check of the keyring, the tenant's first key, and that of fingerprints
    with pytest.raises(StorageUnavailableError):
        await post(front, code)
    world.store.heal()
    assert world.actions() == []
    assert world.provider.count("revoke") == 2


@pytest.mark.parametrize("code", ["", "x" * 4097, "a\nb", "caf\u00e9"])
@pytest.mark.requirement("OAU-024")
async def test_a_code_is_1_to_4096_visible_characters(world, front, code):
    with pytest.raises(ValidationFailedError) as caught:
        await post(front, Secret(code))
    assert caught.value.field == "code"
    assert code == "" or code not in str(caught.value)
    assert world.sent == []


async def test_a_name_is_checked_first(front):
    with pytest.raises(ValidationFailedError) as caught:
        await front.add_oauth_code(ACME, "simulated", name="x", code=Secret("fake-code"), redirect_uri=OWN_REDIRECT_URI, actor=ALICE)
    assert caught.value.field == "name"


async def test_a_provider_by_key_alone_takes_no_code(world, front):
    with pytest.raises(ValidationFailedError) as caught:
        await front.add_oauth_code(
            ACME, "simulated_keys", name="Posted", code=Secret("fake-code"), redirect_uri=OWN_REDIRECT_URI, actor=ALICE
        )
    assert caught.value.field == "code"


# With state


async def test_a_code_with_its_state_is_bound_to_the_authorization(world, door):
    begun, code = await bound(world, door)
    integration = await post(door, code, redirect_uri=begun.redirect_uri, state=begun.state)
    assert integration.id == begun.integration_id
    assert integration.name == "Posted"
    assert world.last_event().details["bound"] == "true"


async def test_with_require_state_a_bound_code_connects(world):
    door = world.open(settings=world.settings(require_state=True))
    begun, code = await bound(world, door)
    assert (await post(door, code, redirect_uri=begun.redirect_uri, state=begun.state)).id == begun.integration_id


async def test_a_state_that_nobody_began_is_refused(world, door):
    with pytest.raises(GrantRefusedError) as caught:
        await post(door, Secret("fake-code"), state=Secret("fake-state"))
    assert caught.value.reason == "state_not_valid"
    assert world.sent == []


@pytest.mark.requirement("OAU-017")
@pytest.mark.parametrize("foreign", ["actor", "tenant"])
async def test_a_state_of_somebody_else_is_refused_and_recorded_with_its_owner(world, door, foreign):
    begun, code = await bound(world, door)
    named = {"actor": MALLORY} if foreign == "actor" else {"tenant": "globex"}
    tenant = named.pop("tenant", ACME)
    with pytest.raises(GrantRefusedError) as caught:
        await post(door, code, tenant, redirect_uri=begun.redirect_uri, state=begun.state, **named)
    assert caught.value.reason == "state_not_valid"
    event = world.last_event(ACME)
    assert (event.outcome, event.reason, event.resource) == (Outcome.DENIED, "session_mismatch", f"integration:{begun.integration_id}")
    assert world.provider.count("exchange") == 0
    assert (await post(door, code, redirect_uri=begun.redirect_uri, state=begun.state)).tenant_id == ACME


async def test_the_state_of_a_reconnect_makes_no_new_integration(world, door):
    held = await world.connect()
    begun = await door.begin_reconnect(ACME, held.id, actor=ALICE)
    code = Secret(dict(world.approve(begun))["code"])
    with pytest.raises(GrantRefusedError) as caught:
        await post(door, code, redirect_uri=begun.redirect_uri, state=begun.state)
    assert caught.value.reason == "state_not_valid"


@pytest.mark.requirement("OAU-008")
async def test_the_redirect_uri_must_be_the_one_it_began_with(world, door):
    begun, code = await bound(world, door)
    with pytest.raises(ValidationFailedError) as caught:
        await post(door, code, redirect_uri=OWN_REDIRECT_URI, state=begun.state)
    assert caught.value.field == "redirectUri"
    assert (await post(door, code, redirect_uri=begun.redirect_uri, state=begun.state)).id == begun.integration_id


@pytest.mark.requirement("OAU-015")
async def test_fifty_posts_of_one_state_make_one_exchange(world, door):
    begun, code = await bound(world, door)
    outcomes = await door.together(
        50,
        "add_oauth_code",
        ACME,
        "simulated",
        name="Posted",
        code=code,
        redirect_uri=begun.redirect_uri,
        state=begun.state,
        actor=ALICE,
    )
    assert sum(not isinstance(outcome, Exception) for outcome in outcomes) == 1
    assert {type(outcome) for outcome in outcomes if isinstance(outcome, Exception)} == {GrantRefusedError}
    assert world.provider.count("exchange") == 1


@pytest.mark.requirement("OAU-016", "AUD-08")
async def test_a_bound_exchange_that_fails_spends_the_state_and_is_recorded(world, door):
    begun, code = await bound(world, door)
    world.provider.misbehave(Misbehaviour.INVALID_GRANT)
    with pytest.raises(GrantRefusedError):
        await post(door, code, redirect_uri=begun.redirect_uri, state=begun.state)
    event = world.last_event()
    assert (event.action, event.outcome, event.reason) == ("authorization.completed", Outcome.FAILURE, "invalid_grant")
    with pytest.raises(GrantRefusedError) as caught:
        await post(door, code, redirect_uri=begun.redirect_uri, state=begun.state)
    assert caught.value.reason == "state_not_valid"


async def test_a_bound_grant_that_cannot_be_stored_is_given_back(world, door):
    begun, code = await bound(world, door)
    world.store.fail(1, times=100)
    with pytest.raises(StorageUnavailableError):
        await post(door, code, redirect_uri=begun.redirect_uri, state=begun.state)
    assert world.provider.count("revoke") == 2
