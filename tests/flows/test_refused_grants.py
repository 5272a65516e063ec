"""Days of refusals, and a verdict on a grant that an operator doubts."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from cloud_integrations.domain.integration import Health, State, Status
from cloud_integrations.errors import (
    AppMisconfiguredError,
    IntegrationInactiveError,
    ProviderNotFoundError,
    ProviderUnavailableError,
    ReconnectRequiredError,
)
from cloud_integrations.ports.store import ReplaceCredential, SaveFacts

from .answers import ask, refused, said
from .conftest import ACME, GLOBEX

A_DAY = timedelta(days=1)


async def after_days(world, days, *, tenants=(ACME,)):
    """Ask once a day, and return what the first of *tenants* got last."""
    for _ in range(days):
        got = [await ask(world, tenant) for tenant in tenants]
        world.clock.advance(A_DAY)
    return got[0]


# Days of refusals


@pytest.mark.parametrize("answer", [said({"error": "invalid_token"}, 401), said(b"", 400), said({"error": "made_up"}, 200)])
async def test_a_week_of_nothing_but_refusals_asks_for_a_reconnect(world, answers, answer):
    held, _ = await refused(world, answers, answer)
    assert isinstance(await after_days(world, 7), ProviderUnavailableError)
    got = await ask(world)
    assert (type(got), got.reason) == (ReconnectRequiredError, "refused_for_days")
    assert world.row(held).facts.health is Health.RECONNECT_REQUIRED
    asked = answers.asked
    await after_days(world, 3)
    assert answers.asked == asked


async def test_an_operator_says_how_long_refusals_are_borne(world, answers):
    await refused(world, answers, said(b"", 400))
    world.door = world.open(settings=world.settings(refusal_limit=timedelta(days=2)))
    assert isinstance(await after_days(world, 2), ProviderUnavailableError)
    assert isinstance(await ask(world), ReconnectRequiredError)


@pytest.mark.parametrize(
    "answer", [said({}, 500), said(b"", 503), said({"error": "server_error"}, 400), said({}, 429), said(b"", 408), said(b"", 302)]
)
async def test_a_month_of_outage_asks_nobody_to_reconnect(world, answers, answer):
    held, _ = await refused(world, answers, answer)
    assert isinstance(await after_days(world, 30), ProviderUnavailableError)
    assert world.row(held).facts.status is Status.ACTIVE


@pytest.mark.requirement("B17")
async def test_a_final_refusal_behind_a_rate_limit_is_seen_within_an_hour_whatever_the_provider_asked_for(world, answers):
    limited = replace(said({"error": "invalid_grant"}, 429), headers={"retry-after": "9999999"})
    held, token = await refused(world, answers, limited)
    assert isinstance(await ask(world), ProviderUnavailableError)
    answers.of[token] = said({"error": "invalid_grant"})
    world.clock.advance(timedelta(hours=1))
    assert isinstance(await ask(world), ReconnectRequiredError)
    assert world.row(held).facts.reason == "revoked"


async def test_an_outage_between_refusals_neither_counts_nor_hides_them(world, answers):
    _, token = await refused(world, answers, said(b"", 400))
    await after_days(world, 2)
    answers.of[token] = said(b"", 503)
    await after_days(world, 20)
    answers.of[token] = said(b"", 400)
    assert isinstance(await after_days(world, 4), ProviderUnavailableError)
    assert isinstance(await after_days(world, 3), ReconnectRequiredError)


async def test_a_success_ends_the_count_of_refusals(world, answers):
    held, token = await refused(world, answers, said(b"", 400))
    await after_days(world, 6)
    answers.of[token] = None
    assert (await ask(world)).warning is None
    assert world.row(held).marks.refused_since is None
    answers.for_last(said(b"", 400))
    world.clock.advance(world.provider.access_lifetime)
    assert isinstance(await after_days(world, 6), ProviderUnavailableError)


async def test_while_nobody_of_the_application_is_renewed_it_is_not_the_tenants_fault(world, answers):
    for tenant in (ACME, GLOBEX):
        await refused(world, answers, said(b"", 400), tenant)
    assert isinstance(await after_days(world, 30, tenants=(ACME, GLOBEX)), ProviderUnavailableError)


@pytest.mark.parametrize("word", ["invalid_token", "invalid_client"])
async def test_while_others_of_the_application_are_renewed_it_is_the_tenants(world, answers, word):
    held, _ = await refused(world, answers, said({"error": word}, 401))
    await world.connect(GLOBEX)
    got = await after_days(world, 8, tenants=(ACME, GLOBEX))
    assert (type(got), got.reason) == (ReconnectRequiredError, "refused_for_days")
    assert world.row(held).facts.state is State.NEEDS_REAUTH


async def test_a_refused_application_is_never_a_lonely_tenants_fault(world, answers):
    held, _ = await refused(world, answers, said({"error": "invalid_client"}, 401))
    assert isinstance(await after_days(world, 30), AppMisconfiguredError)
    assert world.row(held).facts.status is Status.ACTIVE


@pytest.mark.parametrize("word", ["consent_required", "login_required", "interaction_required", "account_selection_required"])
async def test_a_grant_that_wants_its_user_back_asks_for_a_reconnect(world, answers, word):
    held, _ = await refused(world, answers, said({"error": word}))
    got = await ask(world)
    assert (type(got), got.reason) == (ReconnectRequiredError, "interaction_required")
    assert world.row(held).marks.last_error == word


# A verdict that an operator doubts


@pytest.mark.requirement("REF-11")
async def test_an_operator_has_a_refused_grant_asked_once_more(world, answers):
    held, token = await refused(world, answers, said({"error": "invalid_grant"}))
    assert isinstance(await ask(world), ReconnectRequiredError)
    for _ in range(2):
        with pytest.raises(ReconnectRequiredError) as still:
            await world.door.refresh(ACME, held.id)
        assert still.value.reason == "revoked"
    assert answers.asked == 3
    answers.of[token] = None
    # For callers the verdict stands.
    assert isinstance(await ask(world), ReconnectRequiredError)
    renewed = await world.door.refresh(ACME, held.id)
    assert (renewed.state, renewed.health, renewed.reason) == (State.ACTIVE, Health.OK, None)
    assert (await ask(world)).warning is None
    assert world.row(held).marks.due_at is not None


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (said({}, 500), ProviderUnavailableError),
        (said(b"", 400), ProviderUnavailableError),
        (said({}, 429), ProviderUnavailableError),
        (said({"error": "invalid_client"}, 401), AppMisconfiguredError),
        (said({"error": "login_required"}), ReconnectRequiredError),
    ],
)
async def test_a_question_that_brings_no_tokens_leaves_the_verdict_as_it_was(world, answers, answer, error):
    held, token = await refused(world, answers, said({"error": "invalid_grant"}))
    await ask(world)
    before = world.row(held).facts
    answers.of[token] = answer
    with pytest.raises(error):
        await world.door.refresh(ACME, held.id)
    after = world.row(held)
    assert (after.facts.state, after.facts.reason, after.facts.state_since) == (State.NEEDS_REAUTH, "revoked", before.state_since)
    assert after.marks.due_at is None
    assert isinstance(await ask(world), ReconnectRequiredError)


async def test_what_was_switched_off_is_not_asked_for_again(world, answers):
    held, token = await refused(world, answers, said({"error": "invalid_grant"}))
    await ask(world)
    await world.door.edit_integration(ACME, held.id, status="inactive")
    answers.of[token] = None
    with pytest.raises(IntegrationInactiveError):
        await world.door.refresh(ACME, held.id)
    run = await world.door.worker.refresh_refused("simulated")
    assert run.claimed == 0
    assert world.row(held).facts.state is State.DISABLED


async def test_after_a_providers_incident_every_refused_grant_is_asked_for_again(world, answers):
    tenants = [f"tenant-{number:03}" for number in range(130)]
    tokens = {}
    for tenant in tenants:
        await world.connect(tenant)
        tokens[tenant] = answers.for_last(said({"error": "invalid_grant"}))
    world.clock.advance(world.provider.access_lifetime)
    await world.door.worker.refresh_due(limit=200)
    # The incident is over, for all but two.
    for tenant in tenants[2:]:
        answers.of[tokens[tenant]] = None
    asked = []
    run = await world.door.worker.refresh_refused("simulated", reason="revoked", progress=asked.append)
    assert (run.claimed, run.renewed, run.reconnect_required) == (130, 128, 2)
    assert asked == [100, 130]
    assert (await ask(world, tenants[5])).warning is None
    assert isinstance(await ask(world, tenants[0]), ReconnectRequiredError)
    again = await world.door.worker.refresh_refused("simulated")
    assert (again.claimed, again.reconnect_required) == (2, 2)
    assert (await world.door.worker.refresh_refused("simulated", reason="rotation_lost")).claimed == 0
    with pytest.raises(ProviderNotFoundError):
        await world.door.worker.refresh_refused("nobody")


@pytest.mark.parametrize("answer", [said({"error": "invalid_grant"}), said({"error": "invalid_client"}, 401), said(b"", 400)])
async def test_a_refusal_that_comes_after_a_reconnect_says_nothing_of_the_new_grant(world, answers, answer):
    held, _ = await refused(world, answers, answer)
    find = answers.find

    def reconnect_first(request):
        # The row moves on while the answer is on its way.
        row = world.row(held)
        if row.credential.generation == 1 and b"grant_type=refresh_token" in request.body:
            credential = replace(row.credential, generation=2)
            world.rows.apply(ReplaceCredential(facts=row.facts, credential=credential, expected_generation=1))
        return find(request)

    answers.find = reconnect_first
    got = await ask(world)
    assert not isinstance(got, ReconnectRequiredError | AppMisconfiguredError | ProviderUnavailableError)
    assert world.row(held).facts.state is State.ACTIVE


async def test_a_verdict_that_somebody_else_wrote_first_is_told(world):
    held = await world.connect()
    world.clock.advance(world.provider.access_lifetime)

    def give_up(name, _):
        if name == "find_integration":
            world.store.heal()
            lost = replace(held, state=State.NEEDS_REAUTH, reason="rotation_lost")
            world.rows.apply(SaveFacts(facts=lost, expected_state=State.ACTIVE))

    world.store.before = give_up
    got = await ask(world)
    assert (type(got), got.reason) == (ReconnectRequiredError, "rotation_lost")
    assert world.provider.refresh_count == 0
