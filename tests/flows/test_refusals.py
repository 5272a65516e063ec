"""Whose fault it is: what a refused renewal says of a grant, of the application, and of nobody else."""

from __future__ import annotations

from contextlib import suppress
from datetime import timedelta
from typing import get_args

import pytest

from cloud_integrations.domain import outcome as outcomes
from cloud_integrations.domain.integration import APPLICATION_REASONS, Health, State, Status
from cloud_integrations.domain.provider import Provider
from cloud_integrations.errors import (
    AnswerLostError,
    AppMisconfiguredError,
    CloudIntegrationsError,
    GrantRefusedError,
    ProviderUnavailableError,
    ProviderUnreachableError,
    ReconnectRequiredError,
    StorageUnavailableError,
)
from cloud_integrations.runtime.breaker import LEAST_FAILURES

from .answers import ask, refused, said
from .conftest import ACME, GLOBEX

DEAD = {
    "invalid_request": said({"error": "invalid_request"}),
    "invalid_scope": said({"error": "invalid_scope"}),
    "unsupported_grant_type": said({"error": "unsupported_grant_type"}),
    "an unknown word": said({"error": "token_is_gone"}),
    "an unknown word and 401": said({"error": "invalid_token"}, 401),
    "an object": said({"error": {"code": 190, "message": "gone"}}),
    "an empty body": said(b""),
    "an empty body and 401": said(b"", 401),
    "an empty body and 403": said(b"", 403),
    "json without a word and 401": said({"message": "Unauthorized"}, 401),
    "html": said(b"<html>no</html>", 400, "text/html"),
    "html and 403": said(b"<html>blocked</html>", 403, "text/html"),
    "html and 200": said(b"<html>sign in</html>", 200, "text/html"),
    "200 with an error": said({"error": "made_up"}, 200),
    "200 with a known error": said({"error": "invalid_request"}, 200),
    "404": said({}, 404),
    "invalid_grant": said({"error": "invalid_grant"}),
    "login_required": said({"error": "login_required"}),
}


SHORT = {"an unknown word", "html and 403", "invalid_grant"}


@pytest.mark.parametrize("way", [pytest.param(way, marks=() if way in SHORT else pytest.mark.repeats) for way in DEAD])
async def test_ten_dead_grants_of_fifty_cost_their_forty_neighbours_nothing(world, answers, way):
    tenants = [f"tenant-{number:02}" for number in range(50)]
    rows = {}
    for number, tenant in enumerate(tenants):
        rows[tenant] = await world.connect(tenant)
        # The first ten, so that they are due before their neighbours.
        if number < 10:
            answers.for_last(DEAD[way])
    healthy = tenants[10:]
    world.clock.advance(world.provider.access_lifetime - timedelta(minutes=5))
    began = world.clock.now()
    run = await world.door.worker.refresh_due(limit=100)
    assert (run.claimed, run.renewed, run.failed) == (50, 40, 0)
    assert world.clock.now() - began <= timedelta(seconds=1)
    for generation in (2, 3, 4):
        assert {world.row(rows[tenant]).credential.generation for tenant in healthy} == {generation}
        world.clock.advance(world.provider.access_lifetime)
        for tenant in tenants:
            began = world.clock.now()
            got = await ask(world, tenant)
            if tenant in healthy:
                assert (got.warning, got.generation) == (None, generation + 1)
                assert world.clock.now() - began <= timedelta(seconds=1)
            else:
                assert isinstance(got, ProviderUnavailableError | ReconnectRequiredError)
    assert {world.row(rows[tenant]).facts.health for tenant in healthy} == {Health.OK}
    assert Health.OK not in {world.row(rows[tenant]).facts.health for tenant in tenants[:10]}


async def test_an_outage_still_spares_the_provider(world, answers):
    for number in range(5):
        await refused(world, answers, said({}, 500), f"tenant-{number}")
    await world.connect(ACME)
    world.clock.advance(world.provider.access_lifetime)
    for number in range(5):
        assert (await ask(world, f"tenant-{number}")).reason == "server_error"
    got = await ask(world)
    assert (type(got), got.reason) == (ProviderUnavailableError, "breaker_open")


SILENCE = {
    "server_error": said({}, 500),
    "unreachable": ProviderUnreachableError(provider_id="simulated"),
    "answer_lost": AnswerLostError(provider_id="simulated", connection_closed=True),
}


@pytest.mark.parametrize("what", SILENCE)
async def test_one_tenant_without_an_answer_costs_its_forty_neighbours_nothing(world, answers, what):
    held = await world.connect(ACME)
    answers.for_last(SILENCE[what])
    tenants = [f"tenant-{number:02}" for number in range(40)]
    rows = [await world.connect(tenant) for tenant in tenants]
    for generation in (2, 3):
        world.clock.advance(world.provider.access_lifetime)
        asked_before = answers.asked
        for _ in range(29):
            assert isinstance(await ask(world), ProviderUnavailableError)
            with suppress(CloudIntegrationsError):
                await world.door.refresh(ACME, held.id)
            world.clock.advance(timedelta(seconds=1))
        assert answers.asked - asked_before >= LEAST_FAILURES
        for tenant in tenants:
            got = await ask(world, tenant)
            assert (got.warning, got.generation) == (None, generation)
        assert {world.row(row).facts.health for row in rows} == {Health.OK}


async def test_an_outage_lets_no_more_than_five_of_fifty_tenants_wait_for_an_answer(world, answers):
    for number in range(50):
        await refused(world, answers, SILENCE["unreachable"], f"tenant-{number}")
    for number in range(50):
        assert isinstance(await ask(world, f"tenant-{number}"), ProviderUnavailableError)
    assert answers.asked == LEAST_FAILURES


async def test_servers_that_are_down_are_no_trouble_of_those_who_have_another(world, answers):
    usual = world.entries[0]
    method = usual.methods[0].model_copy(update={"token_url": f"{usual.methods[0].token_url}?site={{site}}"})
    site = {"name": "site", "choices": ["up", "down"]}
    facts = usual.model_dump() | {"methods": [method.model_dump(by_alias=True)], "variables": [site]}
    world.entries = [Provider.model_validate(facts), *world.entries[1:]]
    world.door = world.open()
    for number in range(10):
        await world.connect(f"down-{number}", variables={"site": "down"})
        answers.for_last(SILENCE["unreachable"])
    for number in range(5):
        await world.connect(f"up-{number}", variables={"site": "up"})
    world.clock.advance(world.provider.access_lifetime)
    for number in range(10):
        await ask(world, f"down-{number}")
    assert answers.asked == LEAST_FAILURES
    for number in range(5):
        assert (await ask(world, f"up-{number}")).warning is None


async def test_an_integration_that_is_not_asked_for_shows_why(world, answers):
    for number in range(5):
        await refused(world, answers, said({}, 500), f"tenant-{number}")
    held = await world.connect(ACME)
    world.clock.advance(world.provider.access_lifetime)
    for number in range(5):
        await ask(world, f"tenant-{number}")
    for _ in range(3):
        await ask(world)
    row = world.row(held)
    assert (row.facts.health, row.facts.reason, row.facts.status) == (Health.RETRYING, "breaker_open", Status.ACTIVE)
    assert [event.reason for event in world.events() if event.action == "credential.refresh"] == ["breaker_open"]
    world.clock.advance(timedelta(seconds=46))
    assert (await ask(world)).warning is None
    assert world.row(held).facts.health is Health.OK


async def test_a_row_that_cannot_be_marked_changes_nothing_for_its_caller(world, answers):
    for number in range(5):
        await refused(world, answers, said({}, 500), f"tenant-{number}")
    await world.connect(ACME)
    world.clock.advance(world.provider.access_lifetime)
    for number in range(5):
        await ask(world, f"tenant-{number}")
    world.store.fail(1, error=StorageUnavailableError)
    assert (await ask(world)).reason == "breaker_open"


# The operator's application


@pytest.mark.requirement("OAU-070", "REF-12")
@pytest.mark.parametrize("word", ["invalid_client", "unauthorized_client"])
async def test_one_tenants_refused_application_is_not_its_neighbours(world, answers, word):
    held, _ = await refused(world, answers, said({"error": word}, 401))
    other = await world.connect(GLOBEX)
    world.clock.advance(world.provider.access_lifetime)
    for _ in range(10):
        got = await ask(world)
        assert (type(got), got.reason) == (AppMisconfiguredError, word)
    # It is left alone itself, for a while.
    assert answers.asked == 1
    assert (await ask(world, GLOBEX)).warning is None
    assert world.row(other).facts.health is Health.OK
    facts = world.row(held).facts
    assert (facts.state, facts.status, facts.health) == (State.ACTIVE, Status.ACTIVE, Health.APPLICATION_REFUSED)
    assert "operator" in facts.advice


async def test_the_row_says_since_when_the_application_is_refused_and_since_when_it_is_well_again(world, answers):
    held, token = await refused(world, answers, said({"error": "invalid_client"}, 401))
    began = world.clock.now()
    for _ in range(3):
        assert isinstance(await ask(world), AppMisconfiguredError)
        assert world.row(held).facts.state_since == began
        world.pass_(minutes=10)
    answers.of[token] = None
    assert (await ask(world)).warning is None
    facts = world.row(held).facts
    assert (facts.health, facts.state_since) == (Health.OK, world.clock.now())


@pytest.mark.requirement("OAU-070")
async def test_one_refused_application_stops_no_neighbour_in_a_process_that_has_just_begun(world, answers):
    await refused(world, answers, said({"error": "invalid_client"}, 401))
    await world.connect(GLOBEX)
    world.clock.advance(world.provider.access_lifetime)
    begun = world.open()
    assert isinstance(await ask(world, door=begun), AppMisconfiguredError)
    assert (await ask(world, GLOBEX, door=begun)).warning is None


@pytest.mark.requirement("OAU-070")
async def test_an_application_that_is_refused_to_two_tenants_is_left_alone_for_all_and_all_say_so(world, answers):
    no = said({"error": "invalid_client"}, 401)
    rows = [(await refused(world, answers, no, tenant))[0] for tenant in (ACME, GLOBEX)]
    rows.append(await world.connect("initech"))
    world.clock.advance(world.provider.access_lifetime)
    for tenant in (ACME, GLOBEX, "initech"):
        assert isinstance(await ask(world, tenant), AppMisconfiguredError)
    assert world.provider.refresh_count == 0
    assert {world.row(row).facts.health for row in rows} == {Health.APPLICATION_REFUSED}
    # Every process reads the same in the row.
    listed = await world.open().list_integrations("initech")
    assert [each.health for each in listed] == [Health.APPLICATION_REFUSED]
    answers.of.clear()
    world.clock.advance(timedelta(seconds=46))
    assert (await ask(world, "initech")).warning is None
    world.clock.advance(timedelta(minutes=5))
    assert (await ask(world)).warning is None
    assert {world.row(row).facts.health for row in rows} - {Health.OK} == {Health.APPLICATION_REFUSED}


async def test_while_its_token_lives_a_refused_application_is_a_warning(world, answers):
    held = await world.connect()
    answers.for_last(said({"error": "invalid_client"}, 401))
    world.clock.advance(world.provider.access_lifetime - timedelta(seconds=20))
    got = await ask(world)
    assert got.warning == "refresh_failed"
    facts = world.row(held).facts
    assert facts.health is Health.APPLICATION_REFUSED
    assert "with a warning" in facts.advice


async def test_an_application_that_is_not_configured_any_more_shows_too(world):
    held = await world.connect()
    world.clock.advance(world.provider.access_lifetime)
    other = world.open(applications=[])
    assert isinstance(await ask(world, door=other), AppMisconfiguredError)
    assert world.row(held).facts.health is Health.APPLICATION_REFUSED
    assert (await ask(world)).warning is None
    assert world.row(held).facts.health is Health.OK


def test_every_reason_that_blames_the_application_shows_as_its_health():
    ours = {"no_usable_application", "application_changed", "server_metadata"}
    assert {*get_args(outcomes.MisconfiguredReason), *ours} == set(APPLICATION_REASONS)


@pytest.mark.requirement("Q31")
@pytest.mark.parametrize("answer", [said(b"<html>blocked</html>", 403, "text/html"), said(b"", 403), said({"message": "Forbidden"}, 403)])
async def test_a_firewalls_page_is_being_retried(world, answers, answer):
    held, _ = await refused(world, answers, answer)
    got = await ask(world)
    assert (type(got), got.retryable) == (ProviderUnavailableError, True)
    facts = world.row(held).facts
    assert (facts.health, facts.status, facts.reason) == (Health.RETRYING, Status.ACTIVE, "refused")


# A code


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (said({"error": "invalid_grant"}), "invalid_grant"),
        (said({"error": "invalid_request"}), "invalid_request"),
        (said({"error": "invalid_scope"}), "invalid_scope"),
        (said({"error": "bad_verification_code"}), "unknown_error"),
        (said({"error": {"code": 100}}), "unknown_error"),
        (said({"error": "bad_verification_code"}, 200), "unknown_error"),
        (said({"error": "unsupported_grant_type"}, 401), "unsupported_grant_type"),
    ],
)
async def test_an_error_in_answer_to_a_code_is_a_refusal(world, answers, answer, reason):
    answers.exchange = answer
    with pytest.raises(GrantRefusedError) as refusal:
        await world.connect()
    assert refusal.value.reason == reason


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (said({"error": "invalid_client"}, 401), AppMisconfiguredError),
        (said({"error": "unauthorized_client"}), AppMisconfiguredError),
        (said({"error": "temporarily_unavailable"}), ProviderUnavailableError),
        (said(b"<html>", 400, "text/html"), ProviderUnavailableError),
        (said({"error": "invalid_grant"}, 500), ProviderUnavailableError),
    ],
)
async def test_what_is_not_the_codes_fault_is_not_said_to_be(world, answers, answer, error):
    answers.exchange = answer
    with pytest.raises(error):
        await world.connect()


PROSE = "AADSTS700082: the \x1b[1mtoken\x1b[0m {} has expired"
CLEAN = "AADSTS700082: the [1mtoken [0m [removed] has expired"


# What the provider said


@pytest.mark.requirement("OAU-023", "OAU-044", "OAU-045")
@pytest.mark.parametrize(
    ("word", "status", "error"),
    [
        ("invalid_grant", 400, ReconnectRequiredError),
        ("invalid_client", 401, AppMisconfiguredError),
        ("made_up", 400, ProviderUnavailableError),
        ("temporarily_unavailable", 400, ProviderUnavailableError),
        ("server_error", 500, ProviderUnavailableError),
    ],
)
async def test_the_operator_learns_what_the_provider_said_and_nobody_else_does(world, answers, word, status, error):
    held, token = await refused(world, answers, None)
    answers.of[token] = said({"error": word, "error_description": PROSE.format(token)}, status)
    got = await ask(world)
    assert type(got) is error
    assert got.error_description == CLEAN
    assert "AADSTS" not in f"{got} {got!r} {got.details} {got.advice}"
    [fact] = [fact for fact in world.facts.told if "error_description" in fact.facts]
    assert fact.facts["error_description"] == CLEAN
    assert b"AADSTS" not in world.raw_dump()
    assert "AADSTS" not in repr(world.row(held).facts)
    # Nor is it repeated where the row alone gives the answer.
    assert getattr(await ask(world), "error_description", None) is None


@pytest.mark.requirement("OAU-045")
async def test_the_access_token_that_is_held_is_not_told_either(world, answers):
    held, token = await refused(world, answers, None)
    access = (await world.door.wiring.sealer.open_token(world.row(held), "access")).reveal()
    answers.of[token] = said({"error": "made_up", "error_description": f"access_token={access} has ended"})
    assert (await ask(world)).error_description == "access_token=[removed] has ended"


@pytest.mark.requirement("OAU-023", "OAU-045")
@pytest.mark.parametrize(
    ("word", "status", "error"),
    [
        ("invalid_grant", 400, GrantRefusedError),
        ("unauthorized_client", 400, AppMisconfiguredError),
        ("slow_down", 400, ProviderUnavailableError),
    ],
)
async def test_what_was_said_about_a_code_is_told_as_well(world, answers, word, status, error):
    secret = world.provider.application().client_secret.reveal()
    answers.exchange = said({"error": word, "error_description": f"no: {secret}"}, status)
    with pytest.raises(error) as caught:
        await world.connect()
    assert caught.value.error_description == "no: [removed]"
    [fact] = [fact for fact in world.facts.told if fact.name == "authorization.failed"]
    about = {"tenant": ACME, "provider": "simulated", "provider_id": str(world.entries[0].provider_id)}
    assert fact.facts == {**about, "reason": caught.value.reason, "error_description": "no: [removed]"}
