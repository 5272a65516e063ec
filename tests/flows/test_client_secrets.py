"""Client secret rotation: the next secret is tried when the client was refused, and nothing is spent twice."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import timedelta

import pytest

from cloud_integrations.domain.secret import Secret
from cloud_integrations.errors import AnswerLostError, AppMisconfiguredError, OAuthBackendError, ProviderUnavailableError
from cloud_integrations.flows.shared.client_secrets import Answer, ask
from cloud_integrations.flows.shared.clients import client_of, operators_application
from cloud_integrations.protocol.http import HttpRequest

from .answers import ask as credential
from .answers import said
from .conftest import ACME, GLOBEX

NEW = "fake-secret-that-is-new"
OUTDATED = "application.secret_outdated"


def open_with(world, *secrets):
    world.secrets += [secret if isinstance(secret, str) else secret.reveal() for secret in secrets]
    return world.open(applications=[replace(world.provider.application(), client_secret=list(secrets))])


@pytest.fixture
def old(world):
    return world.provider.application().client_secret


@pytest.fixture
def door(world, old):
    """The operator's list is ahead of the provider, which knows only the second secret."""
    return open_with(world, NEW, old)


def outcomes(world, since=0):
    return [(request.endpoint, request.outcome) for request in world.provider.requests[since:] if request.endpoint != "authorize"]


def told(world):
    return [dict(fact.facts) for fact in world.facts.told if fact.name == OUTDATED]


async def connected(world, door, tenant=ACME):
    held = await world.connect(tenant, door=door)
    world.clock.advance(world.provider.access_lifetime)
    return held


@pytest.mark.requirement("OAU-070")
async def test_every_request_uses_the_first_secret_that_works(world, old):
    new = world.provider.issue_client_secret()
    door = open_with(world, new, old)
    held = await connected(world, door)
    world.provider.revoke_client_secret(old)
    assert (await door.credential(ACME, "simulated")).generation == 2
    await door.delete(ACME, held.id)
    assert Counter(outcome for _, outcome in outcomes(world)) == {"ok": len(outcomes(world))}
    assert told(world) == []


@pytest.mark.requirement("OAU-070")
async def test_exchange_refresh_and_revocation_try_the_next_secret_and_remember_it(world, door):
    held = await connected(world, door)
    tried = [outcome for outcome in outcomes(world) if outcome[0] == "exchange"]
    assert tried == [("exchange", "invalid_client"), ("exchange", "ok")]
    since = len(world.provider.requests)
    assert (await door.credential(ACME, "simulated")).generation == 2
    await door.delete(ACME, held.id)
    assert {outcome for _, outcome in outcomes(world, since)} == {"ok"}
    (fact,) = told(world)
    assert (fact["tenant"], fact["provider"], fact["place"]) == (ACME, "simulated", "2")


async def test_a_process_that_has_just_started_finds_the_secret_at_a_refresh(world, door, old):
    await connected(world, door)
    since = len(world.provider.requests)
    assert (await open_with(world, NEW, old).credential(ACME, "simulated")).generation == 2
    assert outcomes(world, since) == [("refresh", "invalid_client"), ("refresh", "ok")]


async def test_a_process_that_has_just_started_finds_the_secret_at_a_revocation(world, door, old):
    held = await world.connect(door=door)
    since = len(world.provider.requests)
    await open_with(world, NEW, old).delete(ACME, held.id)
    revoked = [outcome for endpoint, outcome in outcomes(world, since) if endpoint == "revoke"]
    assert revoked[:2] == ["invalid_client", "ok"]
    assert set(revoked[1:]) == {"ok"}
    assert ("token.revoked", "success") in world.actions()


async def test_a_secret_that_is_refused_is_forgotten(world, old):
    new = world.provider.issue_client_secret()
    world.provider.revoke_client_secret(new)
    door = open_with(world, new, old)
    await connected(world, door)
    world.provider._client_secrets[:] = [new]
    since = len(world.provider.requests)
    assert (await door.credential(ACME, "simulated")).generation == 2
    world.clock.advance(world.provider.access_lifetime)
    assert (await door.credential(ACME, "simulated")).generation == 3
    assert outcomes(world, since) == [("refresh", "invalid_client"), ("refresh", "ok"), ("refresh", "ok")]
    assert len(told(world)) == 1


async def test_the_first_secret_has_its_turn_again_after_a_day_and_the_fact_is_told_again(world, door):
    await connected(world, door)
    world.clock.advance(timedelta(days=1))
    since = len(world.provider.requests)
    await door.credential(ACME, "simulated")
    assert outcomes(world, since) == [("refresh", "invalid_client"), ("refresh", "ok")]
    assert len(told(world)) == 2


@pytest.mark.requirement("OAU-070")
async def test_the_application_is_refused_only_when_all_its_secrets_are(world, door, old):
    for tenant in (ACME, GLOBEX):
        await world.connect(tenant, door=door)
    world.clock.advance(world.provider.access_lifetime)
    context = world.row(await world.connect("third", door=door)).facts.context_id
    for tenant in (ACME, GLOBEX):
        assert (await credential(world, tenant, door)).generation == 2
    assert door.wiring.breaker.reason(context) is None
    world.provider.revoke_client_secret(old)
    world.clock.advance(world.provider.access_lifetime)
    since = len(world.provider.requests)
    for tenant in (ACME, GLOBEX):
        assert isinstance(await credential(world, tenant, door), AppMisconfiguredError)
    assert outcomes(world, since) == [("refresh", "invalid_client")] * 4
    assert door.wiring.breaker.reason(context) == "invalid_client"


async def test_an_exchange_that_no_secret_can_make_says_so(world, door, old):
    world.provider.revoke_client_secret(old)
    with pytest.raises(AppMisconfiguredError) as caught:
        await world.connect(door=door)
    assert caught.value.reason == "invalid_client"
    assert [outcome for endpoint, outcome in outcomes(world) if endpoint == "exchange"] == ["invalid_client"] * 2


def lose(world, number):
    """Lose the answer number *number* of the next requests, after the provider has processed the request."""
    count = 0

    def hook(_request, _response):
        nonlocal count
        count += 1
        if count == number:
            raise AnswerLostError(provider_id="simulated", connection_closed=True)

    world.on_answer = hook


@pytest.mark.requirement("OAU-070")
@pytest.mark.parametrize("lost", [1, 2])
async def test_after_a_lost_answer_no_other_secret_is_tried(world, door, old, lost):
    held = await connected(world, door)
    again = open_with(world, NEW, old, "fake-third-secret")
    since = len(world.provider.requests)
    lose(world, lost)
    got = await credential(world, door=again)
    assert isinstance(got, ProviderUnavailableError)
    assert len(outcomes(world, since)) == lost
    assert not any(request.reused for request in world.provider.requests)
    assert world.row(held).facts.reason == "answer_lost"
    assert again.wiring.breaker.reason(world.row(held).facts.context_id) is None


@pytest.mark.parametrize("lost", [1, 2])
async def test_after_a_lost_answer_to_an_exchange_no_other_secret_is_tried(world, door, old, lost):
    again = open_with(world, NEW, old, "fake-third-secret")
    begun = await world.begin(door=again)
    lose(world, lost)
    with pytest.raises(ProviderUnavailableError):
        await world.come_back(begun, door=again)
    assert len([True for endpoint, _ in outcomes(world) if endpoint == "exchange"]) == lost
    assert not any(request.reused for request in world.provider.requests)


async def test_a_crash_between_two_tries_leaves_the_refresh_token_unspent(world, door, old):
    held = await connected(world, door)
    again = open_with(world, NEW, old)

    class CrashError(BaseException):
        pass

    def crash(_request, _response):
        raise CrashError

    world.on_answer = crash
    with pytest.raises(CrashError):
        await again.credential(ACME, "simulated")
    world.on_answer = None
    world.clock.advance(timedelta(days=1))
    assert (await open_with(world, NEW, old).credential(ACME, "simulated")).generation == 2
    assert not any(request.reused for request in world.provider.requests)
    assert world.row(held).facts.reason is None


@pytest.mark.requirement("OAU-070")
async def test_the_deadline_bounds_all_tries_together_and_the_next_attempt_begins_where_it_ended(world, door, old):
    held = await connected(world, door)
    again = open_with(world, NEW, old)
    since = len(world.provider.requests)

    def slow(_request, _response):
        world.clock.advance(again.wiring.settings.deadline)

    world.on_answer = slow
    got = await credential(world, door=again)
    world.on_answer = None
    assert (type(got), got.reason) == (ProviderUnavailableError, "retry")
    assert outcomes(world, since) == [("refresh", "invalid_client")]
    assert again.wiring.breaker.reason(world.row(held).facts.context_id) is None
    world.clock.advance(timedelta(hours=1))
    before = len(told(world))
    assert (await again.credential(ACME, "simulated")).generation == 2
    assert outcomes(world, since) == [("refresh", "invalid_client"), ("refresh", "ok")]
    assert len(told(world)) == before + 1


async def test_fifty_callers_at_once_send_two_requests_and_get_one_token(world, door, old):
    await connected(world, door)
    since, again = len(world.provider.requests), open_with(world, NEW, old)
    got = await again.together(50, "credential", ACME, "simulated")
    assert {each.generation for each in got} == {2}
    assert outcomes(world, since) == [("refresh", "invalid_client"), ("refresh", "ok")]


async def test_fifty_tenants_at_once_spend_each_refresh_token_once(world, door, old):
    tenants = [f"tenant-{number}" for number in range(50)]
    for tenant in tenants:
        await world.connect(tenant, door=door)
    world.clock.advance(world.provider.access_lifetime)
    since, again = len(world.provider.requests), open_with(world, NEW, old)
    before = len(told(world))
    run = await again.worker.refresh_due(limit=100)
    assert (run.claimed, run.renewed, run.failed) == (50, 50, 0)
    made = outcomes(world, since)
    assert made.count(("refresh", "ok")) == 50
    assert not any(request.reused for request in world.provider.requests)
    assert len(told(world)) == before + 1


async def test_no_secret_of_the_list_is_shown_anywhere(world, old):
    door = open_with(world, NEW, old)
    await connected(world, door)
    text = f"neither {NEW} nor {old.reveal()} nor {NEW[:12]}"

    def refuse(_request, response):
        object.__setattr__(response, "status", 401)
        object.__setattr__(response, "body", said({"error": "invalid_client", "error_description": text}).body)

    world.on_answer = refuse
    for error in (await credential(world, door=door), await credential_of_new(world, door)):
        assert isinstance(error, AppMisconfiguredError)
        assert error.error_description == "neither [removed] nor [removed] nor [removed]"
    world.on_answer = None
    assert world.leaks_in(world.raw_dump()) == []
    shown = f"{door.manager!r} {door.wiring.applications!r} {world.events()!r}".encode()
    assert world.leaks_in(shown) == []


async def credential_of_new(world, door):
    begun = await world.begin(GLOBEX, door=door)
    with pytest.raises(AppMisconfiguredError) as caught:
        await world.come_back(begun, door=door)
    return caught.value


class TestAsk:
    """The order of requests, over a transport that each test plays."""

    @pytest.fixture
    def client(self, door):
        provider = door.wiring.providers.require("simulated")
        return client_of(door.wiring, provider, operators_application(door.wiring, provider), {})

    async def tries(self, door, client, build):
        seen = []

        async def send(known, request, _deadline):
            seen.append(known.application.client_secret)
            return Answer(result="refused", request=request, is_refused=True)

        first = HttpRequest(provider_id="simulated", method="POST", url="https://simulated.example/token", body=b"first")
        answer = await ask(door.wiring, client, first, tenant_id=ACME, deadline=timedelta(seconds=5), build=build, send=send)
        return seen, answer.is_cut_short

    async def test_a_request_that_does_not_depend_on_the_secret_is_not_repeated(self, door, client):
        same = HttpRequest(provider_id="simulated", method="POST", url="https://simulated.example/token", body=b"first")
        assert await self.tries(door, client, lambda _: same) == ([Secret(NEW)], False)

    async def test_a_secret_without_a_request_is_passed_over(self, door, client):
        def build(_):
            raise OAuthBackendError(provider_id="simulated", backend="acme", problem="cannot")

        assert await self.tries(door, client, build) == ([Secret(NEW)], False)
        assert await self.tries(door, client, lambda _: None) == ([Secret(NEW)], False)
