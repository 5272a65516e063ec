"""A credential that is minted from what the tenant entered: when connecting, when it ends, by many at once, and in an outage."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta

import pytest

from cloud_integrations import ImportedKey
from cloud_integrations.domain.provider import BEARER, Input, Method, Step
from cloud_integrations.domain.secret import Secret
from cloud_integrations.errors import (
    AnswerLostError,
    AppMisconfiguredError,
    CredentialFormError,
    IntegrationInactiveError,
    IntegrationNotFoundError,
    InvalidCredentialsError,
    ProviderInactiveError,
    ProviderUnavailableError,
    ProviderUnreachableError,
    ReconnectRequiredError,
    StorageUnavailableError,
    ValidationFailedError,
)
from cloud_integrations.protocol.http import HttpResponse

from .bank import KEY, LIFE, TOKEN, Bank
from .conftest import ACME, ALICE


@pytest.fixture
def bank(world):
    return Bank(world)


async def add(world, key=KEY, **more):
    return await world.door.add(ACME, "bank", name="Our bank", inputs={"key": key, "team": "t-1"}, actor=ALICE, **more)


async def test_what_is_minted_is_checked_stored_and_shown(world, bank):
    held = await add(world)
    assert (held.renewal_rule, held.renewable, held.health.value) == ("mint", True, "ok")
    assert held.account.account_id == "acct-1"
    assert held.expires_at == world.clock.now() + LIFE
    assert bank.asked == [{"key": [KEY], "team": ["t-1"]}]
    shown = await world.door.credential(ACME, "bank")
    assert shown.headers() == {"Authorization": "Bearer fake-token-0", "X-Team": "t-1"}
    assert shown.values() == {"access_token": Secret("fake-token-0"), "team": Secret("t-1")}
    assert shown.expires_at == held.expires_at
    with pytest.raises(CredentialFormError):
        shown.params()
    assert len(bank.minted) == 1


async def test_an_ended_one_is_minted_again_and_stored_for_the_others(world, bank):
    held = await add(world)
    world.clock.advance(LIFE)
    other = bank.open()
    assert (await world.door.credential(ACME, "bank")).value == Secret("fake-token-1")
    assert (await other.credential(ACME, "bank")).value == Secret("fake-token-1")
    assert len(bank.minted) == 2
    row = world.row(held)
    assert row.credential.generation == 2
    assert row.facts.expires_at == world.clock.now() + LIFE
    assert world.last_event().action == "credential.used"
    assert "credential.refresh" in {record.event.action for record in await world.door.audit.list(ACME, integration=held.id)}


async def test_many_callers_share_one_mint(world, bank):
    await add(world)
    world.clock.advance(LIFE)
    tokens = await world.door.together(50, "credential", ACME, "bank")
    assert {token.value.reveal() for token in tokens} == {"fake-token-1"}
    assert len(bank.minted) == 2


async def test_an_explicit_refresh_a_refused_token_and_a_dead_check_mint_anew(world, bank):
    held = await add(world)
    assert (await world.door.refresh(ACME, held.id)).expires_at == world.clock.now() + LIFE
    refused = await world.door.credential(ACME, "bank")
    assert refused.value == Secret("fake-token-1")
    assert (await world.door.replace_refused(ACME, refused)).value == Secret("fake-token-2")
    bank.minted[:] = ["gone"]
    report = await world.door.verify(ACME, held.id)
    assert (report.outcome, report.account.account_id) == ("alive", "acct-1")
    assert (await world.door.credential(ACME, "bank")).value == Secret("fake-token-1")


OUTAGES = [
    ProviderUnreachableError(provider_id="x"),
    AnswerLostError(provider_id="x"),
    ProviderUnavailableError(provider_id="x", reason="answer_too_long"),
    HttpResponse(status=503, headers={"retry-after": "60"}),
    HttpResponse(status=500),
    HttpResponse(status=200, body=b"<html>"),
    HttpResponse(status=200, body=b'{"token": ""}'),
    HttpResponse(status=429, headers={"retry-after": "60"}),
]


@pytest.mark.parametrize("number", range(len(OUTAGES)))
async def test_in_an_outage_the_living_one_is_handed_out_and_none_is_marked_dead(world, bank, number):
    held = await add(world)
    bank.answer = OUTAGES[number]
    world.clock.advance(LIFE - timedelta(seconds=20))
    living = await world.door.credential(ACME, "bank")
    assert (living.value, living.warning) == (Secret("fake-token-0"), "refresh_failed")
    world.clock.advance(timedelta(seconds=20))
    with pytest.raises(ProviderUnavailableError) as caught:
        await world.door.credential(ACME, "bank")
    assert caught.value.retryable
    assert world.row(held).facts.health.value == "retrying"
    asked = len(bank.asked)
    with pytest.raises(ProviderUnavailableError):
        await world.door.credential(ACME, "bank")
    assert len(bank.asked) == asked, "a failed mint is not repeated at once"

    bank.answer = None
    world.clock.advance(timedelta(minutes=5))
    assert (await world.door.credential(ACME, "bank")).value == Secret("fake-token-1")
    assert world.row(held).facts.health.value == "ok"
    assert "credential.recovered" in [fact.name for fact in world.facts.told]


async def test_an_outage_in_other_words_is_the_same_outage(world, bank):
    held = await add(world)
    world.clock.advance(LIFE)
    began = world.clock.now()
    for bank.answer in (HttpResponse(status=500), HttpResponse(status=429), HttpResponse(status=200, body=b"<html>")):
        with pytest.raises(ProviderUnavailableError):
            await world.door.credential(ACME, "bank")
        assert world.row(held).facts.state_since == began
        world.clock.advance(timedelta(minutes=5))


async def test_a_key_that_ended_needs_a_reconnect_which_replaces_it(world, bank):
    held = await add(world)
    bank.keys.remove(KEY)
    world.clock.advance(LIFE)
    for _ in range(2):
        with pytest.raises(ReconnectRequiredError) as caught:
            await world.door.credential(ACME, "bank")
        assert caught.value.reason == "refused"
    assert len(bank.asked) == 2, "the verdict stands until somebody acts"
    assert world.row(held).facts.health.value == "reconnect_required"
    again = await world.door.reconnect(ACME, held.id, inputs={"key": "fake-other-key", "team": "t-2"}, actor=ALICE)
    assert (again.id, again.health.value) == (held.id, "ok")
    assert (await world.door.credential(ACME, "bank")).headers()["X-Team"] == "t-2"


async def test_the_operators_refresh_asks_once_more_after_a_refusal(world, bank):
    held = await add(world)
    bank.keys.remove(KEY)
    with pytest.raises(ReconnectRequiredError):
        await world.door.refresh(ACME, held.id)
    bank.keys.add(KEY)
    assert (await world.door.refresh(ACME, held.id)).health.value == "ok"


@pytest.mark.parametrize(("application", "error"), [("platform", AppMisconfiguredError), ("owner", ReconnectRequiredError)])
async def test_who_must_act_depends_on_whose_application_it_is(world, bank, application, error):
    world.door = bank.open(application=application)
    held = await add(world)
    bank.answer = bank.refusal("invalid_client", 401)
    world.clock.advance(LIFE)
    with pytest.raises(error):
        await world.door.credential(ACME, "bank")
    health = "application_refused" if application == "platform" else "reconnect_required"
    assert world.row(held).facts.health.value == health


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (Bank.refusal("key_revoked"), InvalidCredentialsError),
        (Bank.refusal("invalid_grant"), InvalidCredentialsError),
        (Bank.refusal("invalid_request"), InvalidCredentialsError),
        (Bank.refusal("invalid_client", 401), AppMisconfiguredError),
        (HttpResponse(status=503), ProviderUnavailableError),
        (ProviderUnreachableError(provider_id="x"), ProviderUnavailableError),
    ],
)
async def test_nothing_is_stored_of_what_cannot_be_minted(world, bank, answer, error):
    bank.answer = answer
    with pytest.raises(error):
        await add(world)
    assert await world.door.list_integrations(ACME) == ()
    assert world.last_event().outcome == "failure"


async def test_what_is_minted_and_does_not_work_is_not_stored(world, bank):
    bank.before = bank.minted.clear
    bank.answer = HttpResponse(status=200, body=b'{"token": "fake-of-another"}')
    with pytest.raises(InvalidCredentialsError):
        await add(world)
    assert await world.door.list_integrations(ACME) == ()


async def test_without_a_check_the_mint_is_the_check(world, bank):
    world.door = bank.open(verifications=())
    held = await add(world)
    assert held.account.account_id.startswith("key:")
    assert world.last_event().details["verified"] == "true"
    report = await world.door.verify(ACME, held.id)
    assert (report.verified, report.account) == (False, held.account)


async def test_a_reconnect_that_was_faster_is_not_overwritten_with_the_old_key(world, bank):
    held = await add(world)
    world.clock.advance(LIFE)
    other = bank.open()

    def reconnect():
        bank.before = None
        return other.reconnect(ACME, held.id, inputs={"key": "fake-other-key", "team": "t-2"}, actor=ALICE)

    bank.before = reconnect
    assert (await world.door.credential(ACME, "bank")).headers()["X-Team"] == "t-2"
    assert world.row(held).credential.generation == 2
    world.clock.advance(LIFE)
    await world.door.credential(ACME, "bank")
    assert [asked["key"] for asked in bank.asked] == [[KEY], [KEY], ["fake-other-key"], ["fake-other-key"]]


async def test_a_switch_stays_off_while_something_is_minted(world, bank):
    held = await add(world)
    world.clock.advance(LIFE)
    await world.door.edit_integration(ACME, held.id, status="inactive")
    with pytest.raises(IntegrationInactiveError):
        await world.door.credential(ACME, "bank")
    assert len(bank.minted) == 1
    await world.door.edit_integration(ACME, held.id, status="active")
    assert (await world.door.credential(ACME, "bank")).value == Secret("fake-token-1")


async def test_a_missing_input_is_named_before_anything_is_sent(world, bank):
    with pytest.raises(ValidationFailedError) as caught:
        await world.door.add(ACME, "bank", name="Our bank", inputs={"key": KEY}, method="key")
    assert caught.value.field == "credentials.inputs.team"
    assert bank.asked == []


async def test_removing_it_says_that_the_key_lives_on(world, bank):
    held = await add(world)
    removal = await world.door.delete(ACME, held.id)
    assert (removal.api_key, removal.access_token, removal.refresh_token) == ("unsupported", "skipped", "skipped")
    assert await world.door.list_integrations(ACME) == ()


@pytest.mark.parametrize(("what", "error"), [("delete", IntegrationNotFoundError), ("disable", IntegrationInactiveError)])
async def test_what_was_removed_or_switched_off_meanwhile_gets_no_token(world, bank, what, error):
    held = await add(world)
    world.clock.advance(LIFE)
    other = bank.open()

    def change():
        bank.before = None
        return other.delete(ACME, held.id) if what == "delete" else other.edit_integration(ACME, held.id, status="inactive")

    bank.before = change
    with pytest.raises(error):
        await world.door.credential(ACME, "bank")


async def test_an_integration_that_is_reconnected_again_and_again_ends_in_an_error(world, bank):
    held = await add(world)
    world.clock.advance(LIFE)
    other = bank.open()

    async def reconnect():
        # With another team each time, and a credential that has ended when it is stored.
        bank.before = None
        row = world.row(held)
        inputs = {"key": KEY, "team": f"u-{row.credential.generation}"}
        await other.reconnect(ACME, held.id, inputs=inputs, actor=ALICE)
        row = world.row(held)
        world.tables.integrations[ACME, held.id] = replace(row, facts=replace(row.facts, expires_at=world.clock.now()))
        bank.before = reconnect

    bank.before = reconnect
    with pytest.raises(StorageUnavailableError, match="kept changing"):
        await world.door.credential(ACME, "bank")
    assert world.row(held).credential.generation == 6


async def test_a_method_that_left_the_catalogue_mints_no_more_and_what_lives_is_handed_out(world, bank):
    await add(world)
    gone = bank.provider()
    renamed = (gone.methods[0].model_copy(update={"id": "new"}),)
    other = world.open(providers=[gone.model_copy(update={"methods": renamed})], applications=[])
    assert (await other.credential(ACME, "bank")).value == Secret("fake-token-0")
    world.clock.advance(LIFE)
    with pytest.raises(ProviderInactiveError):
        await other.credential(ACME, "bank")


async def test_a_lifetime_that_cannot_be_read_is_short_and_told(world, bank):
    bank.answer = HttpResponse(status=200, body=b'{"token": "fake-token-0", "expires_in": "soon"}')
    bank.minted.append("fake-token-0")
    held = await add(world)
    assert world.clock.now() < held.expires_at < world.clock.now() + LIFE
    assert [fact.facts["members"] for fact in world.facts.told if fact.name == "credential.answer_unread"] == ["expires_in"]


@pytest.mark.parametrize("verified", [True, False])
async def test_one_that_the_application_had_is_taken_over_and_minted_now_or_when_it_is_used(world, bank, verified):
    provider = bank.provider()
    alone = provider.methods[0].model_copy(update={"inputs": provider.methods[0].inputs[:1], "present": BEARER})
    step = alone.mint[0].model_copy(update={"fields": {"key": "{key}"}})
    world.door = world.open(
        providers=[provider.model_copy(update={"methods": (alone.model_copy(update={"mint": (step,)}),)})], applications=[]
    )
    imported = ImportedKey(provider="bank", name="Our bank", api_key=KEY)
    assert (await world.door.import_credential(ACME, imported, verify=verified, dry_run=True)).renewal_rule == "mint"
    held = await world.door.import_credential(ACME, imported, verify=verified)
    assert held.renewal_rule == "mint"
    assert len(bank.asked) == 2 * verified
    assert (await world.door.credential(ACME, "bank")).headers() == {"Authorization": f"Bearer fake-token-{2 * verified - verified}"}


async def test_the_operators_application_mints_and_no_secret_of_it_is_shown(world, bank):
    provider, application = world.entries[0], world.provider.application()
    url = world.provider.base_url
    ours = Method(
        id="ours",
        kind="key",
        inputs=(Input(name="account", secret=False),),
        mint=(Step(url=f"{url}/mint", client_auth=("post",), fields={"key": KEY, "account": "{account}"}, reply=TOKEN),),
    )
    world.door = world.open(providers=[provider.model_copy(update={"methods": (*provider.methods, ours), "verifications": ()})])
    await world.door.add(ACME, provider.id, name="Ours", inputs={"account": "a-1"}, actor=ALICE)
    secret = application.client_secret.reveal()
    assert bank.asked == [{"key": [KEY], "account": ["a-1"], "client_id": [application.client_id], "client_secret": [secret]}]
    bank.answer = HttpResponse(status=400, body=json.dumps({"error": "invalid_request", "error_description": f"bad {secret}"}).encode())
    world.clock.advance(LIFE)
    with pytest.raises(ProviderUnavailableError) as caught:
        await world.door.credential(ACME, provider.id)
    assert secret not in str(caught.value.error_description)
    assert caught.value.error_description.startswith("bad ")
