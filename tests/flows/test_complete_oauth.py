"""The browser comes back."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from urllib.parse import parse_qs, parse_qsl, urlsplit

import pytest

from cloud_integrations.domain.audit import Outcome
from cloud_integrations.domain.auth_type import AuthType
from cloud_integrations.domain.integration import Health, Status
from cloud_integrations.errors import (
    AppMisconfiguredError,
    CommitUnknownError,
    DecryptError,
    GrantRefusedError,
    IntegrationExistsError,
    ProviderInactiveError,
    ProviderUnavailableError,
    StorageUnavailableError,
)
from cloud_integrations.testing import Misbehaviour, token_id

from .callbacks import refused
from .conftest import ACME, ALICE

# A grant is stored


async def test_an_approved_authorization_becomes_an_integration(world, door):
    begun = await world.begin(return_to="/settings")
    connected = await world.come_back(begun)
    integration = connected.integration
    assert connected.return_to == "/settings"
    assert connected.account_changed is False
    assert integration.id == begun.integration_id
    assert (integration.tenant_id, integration.name, integration.auth_type) == (ACME, "Files of Acme", AuthType.OAUTH2)
    assert (integration.status, integration.health) == (Status.ACTIVE, Health.OK)
    assert integration.provider_id == world.entries[0].provider_id
    assert await door.list_integrations(ACME) == (integration,)
    assert await door.get_integration(ACME, integration.id) == integration


@pytest.mark.requirement("Q17")
async def test_a_code_that_lives_for_seconds_is_exchanged_inside_the_callback(world):
    world.provider.code_lifetime = timedelta(seconds=30)
    late = await world.begin()
    params = world.approve(late)
    world.pass_(seconds=31)
    assert await refused(world, late, params) == "invalid_grant"
    begun = await world.begin()
    params = world.approve(begun)
    world.pass_(seconds=29)
    assert (await world.come_back(begun, params)).integration.status is Status.ACTIVE
    assert world.provider.count("exchange") == 2


async def test_the_provider_says_whose_account_it_is(world):
    integration = await world.connect()
    assert integration.account.account_id == "acct-1"
    assert integration.account.label == "Account acct-1"


async def test_a_grant_is_kept_though_nobody_can_say_whose_it_is(world):
    world.provider.misbehave(Misbehaviour.UNAVAILABLE, endpoint="me")
    assert (await world.connect()).account.account_id is None


async def test_a_grant_is_kept_though_the_check_finds_nobody_home(world):
    world.provider.misbehave(Misbehaviour.CONNECTION_REFUSED, endpoint="me")
    assert (await world.connect()).account.account_id is None


async def test_a_provider_without_a_check_names_no_account(world):
    door = world.open(providers=[world.entries[0].model_copy(update={"verifications": ()})])
    assert (await world.connect(door=door)).account.account_id is None
    assert world.provider.count("me") == 0


async def test_what_was_given_out_is_what_is_kept(world, door):
    integration = await world.connect()
    access, refresh = world.tokens_of(integration)
    assert token_id((await door.credential(ACME, "simulated")).value) == access
    assert refresh != access
    assert world.row(integration).facts.renewable


async def test_a_grant_without_refresh_token_is_kept_too(world):
    world.provider.misbehave(Misbehaviour.REFRESH_TOKEN_MISSING, endpoint="exchange")
    integration = await world.connect()
    row = world.row(integration)
    assert not row.facts.renewable
    assert row.marks.due_at is None
    assert integration.reconnect_before is None


@pytest.mark.requirement("Q40")
async def test_a_refresh_token_that_ends_for_good_says_when_to_reconnect(world):
    method = world.entries[0].methods[0]
    ends = method.model_copy(update={"refresh_token": method.refresh_token.model_copy(update={"absolute": timedelta(days=90)})})
    door = world.open(providers=[world.entries[0].model_copy(update={"methods": (ends,)})])
    assert (await world.connect(door=door)).reconnect_before == world.clock.now() + timedelta(days=90)


async def test_connecting_is_recorded_as_bound(world):
    integration = await world.connect()
    event = world.last_event()
    assert (event.action, event.outcome, event.actor) == ("integration.connected", Outcome.SUCCESS, ALICE)
    assert event.resource == f"integration:{integration.id}"
    assert event.details == {
        "provider": "simulated",
        "bound": "true",
        "account_changed": "false",
        "replaced": "none",
        "shared": "false",
    }
    assert "integration.connected" in world.facts.names


@pytest.mark.requirement("OAU-008")
async def test_the_same_redirect_uri_goes_to_the_token_endpoint(world):
    begun = await world.begin()
    await world.come_back(begun)
    exchange = next(request for request in world.sent if request.url.endswith("/token"))
    assert parse_qs(exchange.body.decode())["redirect_uri"] == [begun.redirect_uri]


@pytest.mark.requirement("OAU-040")
async def test_a_token_ends_counted_from_when_the_request_was_sent(world):
    sent_at = world.clock.now()
    world.provider.misbehave(Misbehaviour.SLOW, delay=timedelta(seconds=10))
    integration = await world.connect()
    assert world.clock.now() == sent_at + timedelta(seconds=10)
    assert integration.expires_at == sent_at + timedelta(hours=1)


@pytest.mark.requirement("OAU-040", "Q25")
async def test_a_silent_answer_has_the_providers_usual_life_and_never_an_endless_one(world):
    world.provider.misbehave(Misbehaviour.EXPIRES_IN_MISSING)
    assert (await world.connect()).expires_at == world.clock.now() + timedelta(hours=1)


@pytest.mark.requirement("OAU-041", "Q13")
async def test_fewer_scopes_than_asked_for_are_kept_as_granted_and_reported(world, door):
    world.provider.misbehave(Misbehaviour.NARROWER_SCOPES)
    integration = await world.connect()
    assert integration.scopes == ("read",)
    assert integration.missing_scopes == ("write",)
    assert (await door.credential(ACME, "simulated")).missing_scopes == ("write",)


# How the exchange ends


@pytest.mark.parametrize(
    ("what", "error", "reason"),
    [
        (Misbehaviour.INVALID_GRANT, GrantRefusedError, "invalid_grant"),
        (Misbehaviour.INVALID_CLIENT, AppMisconfiguredError, "invalid_client"),
        (Misbehaviour.UNAVAILABLE, ProviderUnavailableError, "server_error"),
        (Misbehaviour.RATE_LIMITED, ProviderUnavailableError, "rate_limited"),
        (Misbehaviour.CONNECTION_REFUSED, ProviderUnavailableError, "unreachable"),
        (Misbehaviour.ANSWER_LOST, ProviderUnavailableError, "answer_lost"),
        (Misbehaviour.ERROR_AFTER, ProviderUnavailableError, "server_error"),
        (Misbehaviour.HTML_PAGE, ProviderUnavailableError, "unusable_body"),
        (Misbehaviour.GARBAGE_JSON, ProviderUnavailableError, "unusable_body"),
        (Misbehaviour.REDIRECT, ProviderUnavailableError, "redirect"),
    ],
)
@pytest.mark.requirement("AUD-08")
async def test_an_exchange_that_fails_says_why_and_is_recorded(world, door, what, error, reason):
    begun = await world.begin()
    params = world.approve(begun)
    world.provider.misbehave(what)
    with pytest.raises(error) as caught:
        await world.come_back(begun, params)
    assert caught.value.details["reason"] == reason
    assert await door.list_integrations(ACME) == ()
    event = world.last_event()
    assert (event.action, event.outcome, event.reason, event.actor) == ("authorization.completed", Outcome.FAILURE, reason, ALICE)


@pytest.mark.parametrize("what", [Misbehaviour.RATE_LIMITED, Misbehaviour.UNAVAILABLE])
async def test_a_provider_that_asks_for_patience_says_for_how_long(world, what):
    begun = await world.begin()
    params = world.approve(begun)
    world.provider.misbehave(what, retry_after=timedelta(seconds=42))
    with pytest.raises(ProviderUnavailableError) as caught:
        await world.come_back(begun, params)
    assert caught.value.retry_after == timedelta(seconds=42)


async def test_a_failing_keyring_is_noticed_before_the_code_is_spent(world):
    begun = await world.begin()
    params = world.approve(begun)
    world.pass_(minutes=5)
    world.tables.keys.clear()  # as if the tenant was shredded meanwhile
    with pytest.raises(DecryptError):
        await world.come_back(begun, params)
    assert world.provider.count("exchange") == 0
    assert world.last_event().outcome is Outcome.FAILURE


# Somebody was faster


@pytest.mark.requirement("OAU-029")
async def test_an_older_authorization_ends_when_a_newer_one_is_stored(world):
    older, newer = await world.begin(), await world.begin()
    params = world.approve(older)
    await world.come_back(newer)
    with pytest.raises(GrantRefusedError) as caught:
        await world.come_back(older, params)
    assert caught.value.reason == "state_not_valid"


@pytest.mark.requirement("OAU-029")
async def test_an_integration_made_by_key_meanwhile_ends_the_authorization(world, door):
    both = world.entries[0].model_copy(update={"methods": (*world.entries[0].methods, *world.entries[1].methods)})
    door = world.open(providers=[both])
    begun = await world.begin(door=door)
    await door.add_api_key(ACME, "simulated", name="By key", api_key=world.provider.valid_api_key)
    with pytest.raises(IntegrationExistsError):
        await world.come_back(begun, door=door)
    assert world.provider.count("exchange") == 0
    assert (world.last_event().outcome, world.last_event().reason) == (Outcome.FAILURE, "integration/already-exists")


async def test_a_grant_for_a_provider_that_was_connected_during_the_exchange_is_given_back(world, door):
    first, second = await world.begin(), await world.begin()
    answers = [world.approve(first), world.approve(second)]
    outcomes = await door.all_at_once(
        *[
            lambda begun=begun, params=params: door.acting_as(ALICE).complete_oauth(
                begun.context_id, params, browser_token=begun.browser_token
            )
            for begun, params in zip((first, second), answers, strict=True)
        ]
    )
    integrations = await door.list_integrations(ACME)
    assert len(integrations) == 1
    assert sum(not isinstance(outcome, Exception) for outcome in outcomes) == 1
    kept = [request.issued for request in world.provider.requests if request.endpoint == "exchange"]
    alive = [access for access in world.secrets if access.startswith("fake-access") and world.provider.is_alive(access)]
    assert len(alive) == 1
    assert len(kept) in {1, 2}


@pytest.mark.requirement("OAU-029")
async def test_a_reconnect_of_what_was_removed_is_refused(world, door):
    held = await world.connect()
    begun = await door.begin_reconnect(ACME, held.id, actor=ALICE)
    params = world.approve(begun)
    await door.delete(ACME, held.id)
    assert await refused(world, begun, params) == "state_not_valid"


@pytest.mark.requirement("OAU-029")
async def test_a_reconnect_of_what_was_switched_off_is_refused_before_the_exchange(world, door):
    held = await world.connect()
    begun = await door.begin_reconnect(ACME, held.id, actor=ALICE)
    await door.edit_integration(ACME, held.id, status="inactive")
    exchanges = world.provider.count("exchange")
    with pytest.raises(GrantRefusedError) as caught:
        await world.come_back(begun)
    assert caught.value.reason == "integration_closed"
    assert world.provider.count("exchange") == exchanges


async def test_an_application_that_was_changed_meanwhile_ends_the_authorization(world):
    begun = await world.begin()
    params = world.approve(begun)
    method = world.entries[0].methods[0].model_copy(update={"token_url": f"{world.provider.base_url}/token2"})
    door = world.open(providers=[world.entries[0].model_copy(update={"methods": (method,)})])
    assert await refused(world, begun, params, door=door) == "application_changed"


async def test_a_provider_that_was_removed_meanwhile_ends_the_authorization(world):
    begun = await world.begin()
    params = world.approve(begun)
    door = world.open(providers=world.entries[1:], applications=[])
    assert await refused(world, begun, params, door=door) == "provider_removed"


async def test_a_provider_that_was_switched_off_meanwhile_ends_the_authorization(world):
    begun = await world.begin()
    params = world.approve(begun)
    door = world.open(providers=[world.entries[0].model_copy(update={"active": False})])
    with pytest.raises(ProviderInactiveError):
        await world.come_back(begun, params, door=door)


# A store in trouble


async def test_a_passing_trouble_of_the_store_does_not_cost_the_grant(world, door):
    begun = await world.begin()
    params = world.approve(begun)
    world.store.fail(1, times=4)
    integration = (await world.come_back(begun, params)).integration
    assert await door.list_integrations(ACME) == (integration,)


async def test_a_commit_whose_answer_was_lost_is_found_to_be_made(world, door):
    begun = await world.begin()
    params = world.approve(begun)
    world.store.fail(1, afterwards=True, error=CommitUnknownError)
    integration = (await world.come_back(begun, params)).integration
    assert await door.list_integrations(ACME) == (integration,)
    assert [action for action, _ in world.actions()].count("integration.connected") == 1


async def test_a_grant_that_cannot_be_stored_is_given_back_and_the_state_stays_spent(world, door):
    begun = await world.begin()
    params = world.approve(begun)
    world.store.fail(1, times=100)
    with pytest.raises(StorageUnavailableError):
        await world.come_back(begun, params)
    world.store.heal()
    tokens = [text for text in world.secrets if text.startswith(("fake-access", "fake-refresh"))]
    assert len(tokens) == 2
    assert not any(world.provider.is_alive(token) for token in tokens)
    assert await refused(world, begun, params) == "state_not_valid"


async def test_a_grant_without_refresh_token_that_cannot_be_stored_is_given_back(world):
    world.provider.misbehave(Misbehaviour.REFRESH_TOKEN_MISSING, endpoint="exchange")
    begun = await world.begin()
    params = world.approve(begun)
    world.store.fail(1, times=100)
    with pytest.raises(StorageUnavailableError):
        await world.come_back(begun, params)
    assert [request.outcome for request in world.provider.requests if request.endpoint == "revoke"] == ["ok"]


async def test_nothing_is_given_back_where_that_would_end_another_grant(world):
    method = world.entries[0].methods[0]
    ends = method.model_copy(update={"revoke": method.revoke.model_copy(update={"kills": "grant"})})
    door = world.open(providers=[world.entries[0].model_copy(update={"methods": (ends,)})])
    await world.connect("globex", door=door)
    begun = await world.begin(door=door)
    params = world.approve(begun)
    world.store.fail(1, times=100)
    with pytest.raises(StorageUnavailableError):
        await world.come_back(begun, params, door=door)
    assert world.provider.count("revoke") == 0


@pytest.mark.requirement("Q15")
async def test_a_provider_without_pkce_is_sent_no_verifier(world):
    method = world.entries[0].methods[0].model_copy(update={"pkce": "off"})
    door = world.open(providers=[world.entries[0].model_copy(update={"methods": (method,)})])
    world.provider.require_pkce = False
    begun = await world.begin(door=door)
    answer = world.provider.sign_in(begun.url)
    connected = await world.come_back(begun, tuple(parse_qsl(urlsplit(answer).query)), door=door)
    assert connected.integration.tenant_id == ACME
    exchange = next(request for request in world.sent if request.url.endswith("/token"))
    assert b"code_verifier" not in exchange.body


async def test_a_cancelled_callback_does_not_lose_the_grant(awaiting_world):
    world = awaiting_world
    begun = await world.begin()
    params = world.approve(begun)
    task = None

    def give_up(request):
        if b"grant_type=authorization_code" in request.body:
            task.cancel()

    world.on_send = give_up
    task = asyncio.ensure_future(world.come_back(begun, params))
    with pytest.raises(asyncio.CancelledError):
        await task
    await world.door.close()
    [kept] = await world.door.list_integrations(ACME)
    assert kept.id == begun.integration_id
    assert world.provider.is_alive((await world.door.credential(ACME, world.provider.slug)).value)
