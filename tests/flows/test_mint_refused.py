"""Mints that are refused: for days in unclear words, by the operator's application, and with the next of its client secrets."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta

import pytest

from cloud_integrations.domain.integration import State
from cloud_integrations.domain.provider import Input, Method, Step
from cloud_integrations.domain.secret import Secret
from cloud_integrations.errors import (
    AnswerLostError,
    AppMisconfiguredError,
    IntegrationInactiveError,
    ProviderUnavailableError,
    ReconnectRequiredError,
)
from cloud_integrations.protocol.http import HttpResponse

from .bank import KEY, LIFE, TOKEN, Bank
from .conftest import ACME, ALICE, GLOBEX
from .receiving import all_of, open_delivering

A_DAY = timedelta(days=1)
NEW, OLD = "fake-secret-that-is-new", "fake-secret-that-is-old"
UNCLEAR = [HttpResponse(status=403), HttpResponse(status=400, body=b"{}"), Bank.refusal("made_up"), Bank.refusal("invalid_scope")]


@pytest.fixture
def bank(world):
    return Bank(world)


async def add(world, tenant=ACME, provider="bank"):
    return await world.door.add(tenant, provider, name="Our bank", inputs={"key": KEY, "team": "t-1"}, actor=ALICE)


async def after_days(world, days, *, tenants=(ACME,)):
    """Ask once a day, and return what the first of *tenants* got last."""
    for _ in range(days):
        for tenant in reversed(tenants):
            got = await asked(world, tenant)
        world.clock.advance(A_DAY)
    return got


async def asked(world, tenant=ACME):
    try:
        return await world.door.credential(tenant, "bank")
    except (AppMisconfiguredError, ProviderUnavailableError, ReconnectRequiredError) as error:
        return error


async def test_an_outage_of_mints_is_delivered_once_it_lasts_and_so_is_its_end(world, bank):
    world.door, received = open_delivering(world, "billing", providers=[bank.provider()], applications=[])
    held = await add(world)
    bank.answer = HttpResponse(status=503)
    world.clock.advance(LIFE)
    # The second of two failures that are alike is no news for the row; but by then the trouble may have lasted.
    for _ in range(30):
        assert isinstance(await asked(world), ProviderUnavailableError)
        world.pass_(minutes=6)
    bank.answer = None
    world.pass_(hours=1)
    await asked(world)
    await all_of(world.door)
    assert received.of(held) == ["integration.connected", "credential.retrying", "credential.recovered"]


@pytest.mark.parametrize("answer", UNCLEAR)
async def test_a_week_of_nothing_but_refusals_asks_for_a_reconnect(world, bank, answer):
    held = await add(world)
    bank.answer = answer
    world.clock.advance(LIFE)
    assert isinstance(await after_days(world, 7), ProviderUnavailableError)
    assert world.row(held).facts.health.value == "retrying"
    got = await asked(world)
    assert (type(got), got.reason) == (ReconnectRequiredError, "refused_for_days")
    assert world.row(held).facts.health.value == "reconnect_required"
    requests = len(bank.asked)
    await after_days(world, 3)
    assert len(bank.asked) == requests, "the verdict stands until somebody acts"
    bank.answer = None
    again = await world.door.reconnect(ACME, held.id, inputs={"key": KEY, "team": "t-1"}, actor=ALICE)
    assert again.health.value == "ok"
    assert world.row(held).marks.refused_since is None


async def test_an_outage_between_refusals_neither_counts_nor_hides_them(world, bank):
    await add(world)
    bank.answer = UNCLEAR[0]
    world.clock.advance(LIFE)
    await after_days(world, 2)
    bank.answer = HttpResponse(status=503)
    await after_days(world, 20)
    bank.answer = UNCLEAR[0]
    assert isinstance(await after_days(world, 4), ProviderUnavailableError)
    assert isinstance(await after_days(world, 3), ReconnectRequiredError)


async def test_a_month_of_outage_asks_nobody_to_reconnect(world, bank):
    held = await add(world)
    bank.answer = AnswerLostError(provider_id="x")
    world.clock.advance(LIFE)
    assert isinstance(await after_days(world, 30), ProviderUnavailableError)
    assert world.row(held).facts.state is State.RETRY


async def test_a_success_ends_the_count_of_refusals(world, bank):
    held = await add(world)
    bank.answer = UNCLEAR[0]
    world.clock.advance(LIFE)
    await after_days(world, 6)
    bank.answer = None
    await world.door.credential(ACME, "bank")
    assert world.row(held).marks.refused_since is None
    bank.answer = UNCLEAR[0]
    world.clock.advance(LIFE)
    assert isinstance(await after_days(world, 6), ProviderUnavailableError)


async def test_while_nobody_mints_it_is_not_the_tenants_fault(world, bank):
    for tenant in (ACME, GLOBEX):
        await add(world, tenant)
    bank.answer = UNCLEAR[0]
    world.clock.advance(LIFE)
    assert isinstance(await after_days(world, 30, tenants=(ACME, GLOBEX)), ProviderUnavailableError)


async def test_the_count_is_written_once_a_minute_and_told_once(world, bank):
    held = await add(world)
    bank.answer = UNCLEAR[0]
    world.clock.advance(LIFE)
    for _ in range(5):
        assert isinstance(await asked(world), ProviderUnavailableError)
        world.clock.advance(timedelta(seconds=10))
    assert world.row(held).marks.attempts == 1
    world.clock.advance(timedelta(minutes=1))
    await asked(world)
    marks = world.row(held).marks
    assert (marks.attempts, marks.last_error) == (2, "refused")
    assert marks.failed_at - marks.refused_since > timedelta(minutes=1)
    assert [fact.name for fact in world.facts.told].count("credential.refresh_failed") == 1


async def test_an_outage_while_an_operator_asks_again_leaves_the_verdict(world, bank):
    held = await add(world)
    bank.keys.remove(KEY)
    with pytest.raises(ReconnectRequiredError):
        await world.door.refresh(ACME, held.id)
    bank.answer = HttpResponse(status=503)
    with pytest.raises(ProviderUnavailableError):
        await world.door.refresh(ACME, held.id)
    assert world.row(held).facts.health.value == "reconnect_required"


async def test_a_failure_is_not_written_over_a_change_made_meanwhile(world, bank):
    held = await add(world)
    world.clock.advance(LIFE)
    other = bank.open()

    def disable():
        bank.before = None
        bank.answer = UNCLEAR[0]
        return other.edit_integration(ACME, held.id, status="inactive")

    bank.before = disable
    with pytest.raises(ProviderUnavailableError):
        await world.door.credential(ACME, "bank")
    assert world.row(held).facts.state is State.DISABLED
    with pytest.raises(IntegrationInactiveError):
        await world.door.credential(ACME, "bank")


# The operator's application


class Vault(Bank):
    """A bank whose mint is authenticated by the operator's application."""

    known: tuple[str, ...] = (NEW, OLD)

    def open_with(self, *secrets):
        """Open a manager with these client secrets, in order."""
        provider = self.world.entries[0]
        ours = Method(
            id="ours",
            kind="key",
            inputs=(Input(name="account", secret=False),),
            mint=(
                Step(
                    url=f"{self.world.provider.base_url}/mint",
                    client_auth=("post",),
                    fields={"key": KEY, "account": "{account}"},
                    reply=TOKEN,
                ),
            ),
        )
        provider = provider.model_copy(update={"methods": (*provider.methods, ours), "verifications": ()})
        application = replace(self.world.provider.application(), client_secret=list(secrets))
        self.world.secrets += [*self.known, *secrets]
        return self.world.open(providers=[provider], applications=[application])

    def _respond(self, request):
        if self.answer is None and self.asked[-1].get("client_secret", [""])[0] not in self.known:
            return self.refusal("invalid_client", 401)
        return super()._respond(request)

    @property
    def sent(self):
        """The client secrets that were sent."""
        return [asked["client_secret"][0] for asked in self.asked]


@pytest.fixture
def vault(world):
    return Vault(world)


async def add_ours(world):
    return await world.door.add(ACME, world.entries[0].id, name="Ours", inputs={"account": "a-1"}, actor=ALICE)


@pytest.mark.requirement("OAU-070")
async def test_a_mint_tries_the_next_client_secret_and_remembers_the_one_that_works(world, vault):
    world.door = vault.open_with(NEW, OLD)
    vault.known = (OLD,)
    held = await add_ours(world)
    assert vault.sent == [NEW, OLD]
    world.clock.advance(LIFE)
    assert (await world.door.credential(ACME, held.id)).value == Secret("fake-token-1")
    assert vault.sent == [NEW, OLD, OLD]
    (fact,) = [dict(fact.facts) for fact in world.facts.told if fact.name == "application.secret_outdated"]
    assert fact["place"] == "2"


@pytest.mark.requirement("OAU-070")
async def test_the_application_is_refused_only_when_all_its_secrets_are(world, vault):
    world.door = vault.open_with(NEW, OLD)
    held = await add_ours(world)
    vault.known = ()
    world.clock.advance(LIFE)
    with pytest.raises(AppMisconfiguredError) as caught:
        await world.door.credential(ACME, held.id)
    assert (caught.value.reason, vault.sent[1:]) == ("invalid_client", [NEW, OLD])
    assert world.row(held).facts.health.value == "application_refused"


async def test_no_client_secret_is_told_whichever_was_refused(world, vault):
    world.door = vault.open_with(NEW, OLD)
    held = await add_ours(world)
    world.clock.advance(LIFE)
    vault.answer = HttpResponse(
        status=401, body=json.dumps({"error": "invalid_client", "error_description": f"neither {NEW} nor {OLD}"}).encode()
    )
    with pytest.raises(AppMisconfiguredError) as caught:
        await world.door.credential(ACME, held.id)
    assert str(caught.value.error_description).startswith("neither ")
    assert NEW not in caught.value.error_description
    assert OLD not in caught.value.error_description


async def test_out_of_time_before_every_secret_was_tried_is_no_verdict(world, vault):
    world.door = vault.open_with(NEW, OLD)
    held = await add_ours(world)
    vault.known = (OLD,)
    world.clock.advance(LIFE)

    def take_long():
        vault.before = None
        world.clock.advance(world.door.wiring.settings.deadline)

    vault.before = take_long
    with pytest.raises(ProviderUnavailableError) as caught:
        await world.door.credential(ACME, held.id)
    assert caught.value.reason == "retry"
    world.clock.advance(timedelta(minutes=1))
    assert (await world.door.credential(ACME, held.id)).value == Secret("fake-token-1")
    assert vault.sent == [NEW, NEW, OLD]
