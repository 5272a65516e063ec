"""What an OAuth backend of somebody else does wrong costs no grant, shows no secret, and is told by its name."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cloud_integrations.domain.credential import Grant
from cloud_integrations.domain.integration import Health, State
from cloud_integrations.domain.outcome import Granted
from cloud_integrations.domain.removal import RevocationOutcome
from cloud_integrations.domain.secret import Secret
from cloud_integrations.errors import ConfigurationError, OAuthBackendError, ProviderUnavailableError
from cloud_integrations.protocol.standard_backend import StandardOAuthBackend
from cloud_integrations.providers.catalogue import Catalogue

from .conftest import ACME, ALICE

SIMULATED = "simulated"


class Strange(StandardOAuthBackend):
    """Does what the standard does, until a test breaks a method."""

    def break_(self, name, answer=None):
        """Let a method give *answer*, or raise with a secret in the text."""

        def broken(client, *args, **named):
            if answer is not None:
                return answer
            raise ValueError(f"{client.application.client_secret.reveal()} {args} {named}")

        setattr(self, name, broken)

    def repair(self):
        vars(self).clear()


@pytest.fixture
def strange(world):
    backend = Strange()
    world.backends = {"acme": backend}
    world.entries = [entry.model_copy(update={"backend": "acme"}) for entry in world.entries]
    world.door = world.open()
    return backend


async def refusal(world, call, kind=OAuthBackendError):
    """Return the error in which a call ends; it names the backend, and its text and facts show no secret."""
    with pytest.raises(kind) as caught:
        await call
    error = caught.value
    assert type(error) is kind
    assert error.reason == "backend_failed"
    assert error.error_description.startswith("the OAuth backend acme does not work: ")
    assert not world.leaks_in(f"{error} {error.error_description} {error.details} {error!r}".encode())
    return error.error_description.removeprefix("the OAuth backend acme does not work: ")


def told(world, name):
    return [fact.facts for fact in world.facts.told if fact.name == name]


def endpoints(world):
    return [request.endpoint for request in world.provider.requests]


async def expired(world):
    held = await world.connect()
    world.pass_(hours=2)
    return held


def token(world):
    return world.door.credential(ACME, SIMULATED)


async def test_a_whole_life_goes_through_a_backend_of_somebody_else(world, strange):
    held = await expired(world)
    assert world.provider.is_alive((await token(world)).value)
    removed = await world.door.delete(ACME, held.id, actor=ALICE)
    assert removed.refresh_token is RevocationOutcome.REVOKED


async def test_a_manager_is_not_made_with_a_backend_that_is_not_there(world, strange):
    with pytest.raises(ConfigurationError, match="OAuth backend acme of provider simulated is not there"):
        Catalogue.of(*world.entries)


async def test_an_authorization_that_cannot_be_built_begins_nothing(world, strange):
    strange.break_("build_authorize")
    said = await refusal(world, world.begin())
    assert "build_authorize raised ValueError" in said
    assert world.actions() == []
    (fact,) = told(world, "authorization.failed")
    assert (fact["reason"], fact["error_description"].endswith(said), "integration" in fact) == ("backend_failed", True, False)


@pytest.mark.parametrize("name", ["build_authorize", "read_callback", "build_exchange"])
async def test_a_reconnect_that_goes_no_further_keeps_what_is_held(world, strange, name):
    held = await world.connect()
    if name != "build_authorize":
        begun = await world.door.begin_reconnect(ACME, held.id, actor=ALICE)
    strange.break_(name)
    await refusal(world, world.door.begin_reconnect(ACME, held.id, actor=ALICE) if name == "build_authorize" else world.come_back(begun))
    (fact,) = told(world, "authorization.failed")
    assert fact["integration"] == str(held.id)
    assert world.provider.is_alive((await token(world)).value)


@pytest.mark.parametrize("name", ["read_callback", "build_exchange"])
async def test_a_callback_that_goes_no_further_spends_no_code(world, strange, name):
    begun = await world.begin()
    strange.break_(name)
    said = await refusal(world, world.come_back(begun))
    assert f"{name} raised ValueError" in said
    assert [fact["error_description"].endswith(said) for fact in told(world, "authorization.failed")] == [True]
    assert endpoints(world) == ["authorize", "consent"]
    event = world.last_event()
    assert (event.action, event.outcome.value, event.reason) == ("authorization.completed", "failure", "backend_failed")
    strange.repair()
    assert (await world.connect()).health is Health.OK


async def test_an_exchange_whose_answer_cannot_be_read_is_told(world, strange):
    begun = await world.begin()
    strange.break_("read_grant")
    said = await refusal(world, world.come_back(begun), ProviderUnavailableError)
    assert "read_grant raised ValueError" in said
    (fact,) = told(world, "authorization.failed")
    assert fact["reason"] == "backend_failed"
    assert fact["error_description"].endswith(said)
    assert await world.door.list_integrations(ACME) == ()


async def test_what_can_be_read_of_an_exchange_is_given_back(world, strange):
    begun = await world.begin()
    original = strange.read_grant

    def without_access(client, response, /, **named):
        granted = original(client, response, **named)
        return replace(granted, grant=replace(granted.grant, access_token=None))

    strange.read_grant = without_access
    await refusal(world, world.come_back(begun), ProviderUnavailableError)
    (_, refresh) = next(request.issued for request in world.provider.requests if request.endpoint == "exchange")
    assert [request.presented for request in world.provider.requests if request.endpoint == "revoke"] == [refresh]


async def test_a_renewal_that_cannot_be_built_sends_nothing_and_says_so_everywhere(world, strange):
    held = await expired(world)
    strange.break_("build_refresh")
    said = await refusal(world, token(world))
    assert "build_refresh raised ValueError" in said
    facts = world.row(held).facts
    assert (facts.state, facts.reason, facts.health) == (State.RETRY, "backend_failed", Health.RETRYING)
    (fact,) = told(world, "credential.refresh_failed")
    assert fact["error_description"].endswith(said)
    assert "refresh" not in endpoints(world)
    await refusal(world, token(world))
    strange.repair()
    assert world.provider.is_alive((await token(world)).value)
    assert world.row(held).facts.health is Health.OK


async def test_a_round_of_renewals_goes_on_past_a_broken_backend(world, strange):
    await expired(world)
    strange.break_("build_refresh")
    run = await world.door.worker.refresh_due()
    assert (run.claimed, run.postponed) == (1, 1)
    assert (await world.door.worker.refresh_due()).claimed == 0
    strange.repair()
    world.pass_(minutes=6)
    assert (await world.door.worker.refresh_due()).renewed == 1


@pytest.mark.parametrize("name", ["build_refresh", "read_renewal"])
async def test_a_token_that_works_is_handed_out_while_the_backend_is_broken(world, strange, name):
    await world.connect()
    world.pass_(minutes=59, seconds=40)
    strange.break_(name)
    credential = await token(world)
    assert credential.warning == "refresh_failed"
    assert world.provider.is_alive(credential.value)


@pytest.mark.parametrize("answer", [None, "tokens", Granted(Secret("fake-grant"))], ids=["raises", "text", "no grant"])
async def test_a_renewal_whose_answer_cannot_be_read_is_unknown(world, strange, answer):
    held = await expired(world)
    strange.break_("read_renewal", answer)
    said = await refusal(world, token(world), ProviderUnavailableError)
    assert said.startswith("read_renewal ")
    facts = world.row(held).facts
    assert (facts.state, facts.reason, facts.health) == (State.UNKNOWN, "backend_failed", Health.UNKNOWN)
    (fact,) = told(world, "credential.refresh_failed")
    assert (fact["reason"], fact["error_description"].endswith(said)) == ("backend_failed", True)
    assert (world.last_event().outcome.value, world.last_event().reason) == ("unknown", "backend_failed")


async def test_a_refresh_token_that_comes_with_no_access_token_is_kept(world, strange):
    held = await expired(world)
    original, seen = strange.read_renewal, []

    def without_access(client, response, /, **named):
        granted = original(client, response, **named)
        seen.append(granted.grant.refresh_token)
        return granted if len(seen) > 1 else Granted(Grant(access_token=Secret(""), refresh_token=granted.grant.refresh_token))

    strange.read_renewal = without_access
    credential = await token(world)
    assert world.provider.is_alive(credential.value)
    assert world.provider.is_alive(seen[1])
    assert world.row(held).facts.health is Health.OK
    assert world.provider.refresh_count == 2


@pytest.mark.parametrize("name", ["build_revoke", "read_revocation"])
async def test_a_token_that_cannot_be_revoked_yet_waits_for_the_repair(world, strange, name):
    held = await world.connect()
    strange.break_(name)
    removed = await world.door.delete(ACME, held.id, actor=ALICE)
    assert removed.refresh_token is RevocationOutcome.FAILED
    assert await world.door.list_integrations(ACME) == ()
    descriptions = [fact["error_description"] for fact in told(world, "revocation.delayed")]
    assert descriptions
    assert all(text.startswith(f"the OAuth backend acme does not work: {name} raised ValueError") for text in descriptions)
    assert ("token.revoked", "failure") in world.actions()
    world.pass_(minutes=2)
    assert (await world.door.worker.retry_revocations()).delayed >= 1
    strange.repair()
    world.pass_(hours=2)
    run = await world.door.worker.retry_revocations()
    assert (run.waiting, run.abandoned) == (0, 0)
    assert not world.provider.is_alive(world.tokens_of(held)[1])
