"""What is handed out: another token in the place of a refused one, and in which form."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from cloud_integrations.domain.audit import Actor
from cloud_integrations.domain.provider import Present, Provider, Variable
from cloud_integrations.domain.replacement import SHORTEST_WAIT
from cloud_integrations.errors import (
    DecryptError,
    IntegrationInactiveError,
    IntegrationNotFoundError,
    ProviderNotFoundError,
    ReconnectRequiredError,
    StorageUnavailableError,
    ValidationFailedError,
)
from cloud_integrations.testing import Misbehaviour

from .answers import said
from .conftest import ACME
from .renewals import nearly_expired, token

# Another token in the place of a refused one


@pytest.mark.requirement("OAU-053", "Q38")
async def test_a_refused_token_is_replaced_by_one_refresh_for_everybody(world):
    await world.connect()
    first = await token(world)
    world.provider.expire_access(first.value)
    replaced = await world.door.together(10, "replace_refused", ACME, first)
    assert {new.generation for new in replaced} == {2}
    assert world.provider.refresh_count == 1
    # Whoever comes late with the old one gets what is there.
    assert (await world.door.replace_refused(ACME, first)).value == replaced[0].value
    assert (await token(world)).value == replaced[0].value
    assert world.provider.refresh_count == 1


@pytest.mark.requirement("OAU-053")
async def test_who_knows_a_newer_token_is_not_given_it_again(world):
    """The one who had seen less leads; the other, who refuses what that finds, waits with it and then goes on."""
    await world.connect()
    first = await token(world)
    other = world.open()
    second = await other.replace_refused(ACME, first)
    world.provider.expire_access(second.value)
    world.clock.advance(SHORTEST_WAIT)
    third = await world.door.all_at_once(
        *(lambda held=held: world.door.manager.replace_refused(ACME, held) for held in (first, second, first, second))
    )
    assert {new.generation for new in third[1::2]} == {3}
    assert world.provider.refresh_count == 2


async def test_shared_work_that_brings_nothing_newer_is_done_again(world):
    held = await world.connect()
    single_flight, runs = world.door.wiring.single_flight, []
    run = type(single_flight).run

    async def begun_by_somebody_who_had_seen_less(key, work):
        if key == "freezes":
            return await run(single_flight, key, work)
        runs.append(key)
        return world.row(held) if len(runs) == 1 else await run(single_flight, key, work)

    single_flight.run = begun_by_somebody_who_had_seen_less
    await world.door.refresh(ACME, held.id)
    assert len(runs) == 2
    assert world.row(held).credential.generation == 2


async def test_a_refused_token_of_a_closed_integration_is_not_replaced(world):
    held = await world.connect()
    first = await token(world)
    await world.door.edit_integration(ACME, held.id, status="inactive")
    with pytest.raises(IntegrationInactiveError):
        await world.door.replace_refused(ACME, first)
    with pytest.raises(IntegrationInactiveError):
        await world.door.refresh(ACME, held.id)
    with pytest.raises(IntegrationInactiveError):
        await token(world)
    await world.door.edit_integration(ACME, held.id, status="active")
    world.provider.revoke_grant()
    for _ in range(2):
        with pytest.raises(ReconnectRequiredError):
            await world.door.replace_refused(ACME, first)
    assert world.provider.refresh_count == 1


async def test_without_a_refresh_token_nothing_is_renewed(world):
    world.provider.misbehave(Misbehaviour.REFRESH_TOKEN_MISSING, endpoint="exchange")
    held, first = await nearly_expired(world)
    assert (await token(world)).warning == "less_life_than_asked"
    with pytest.raises(ReconnectRequiredError) as refused:
        await world.door.replace_refused(ACME, first)
    assert refused.value.reason == "refused"
    with pytest.raises(ValidationFailedError):
        await world.door.refresh(ACME, held.id)
    world.pass_(seconds=20)
    with pytest.raises(ReconnectRequiredError) as ended:
        await token(world)
    assert ended.value.reason == "expired"


async def test_a_key_is_handed_out_as_it_is_and_never_renewed(world):
    held = await world.add_key()
    key = await world.door.credential(ACME, "simulated_keys")
    assert key.value == world.provider.valid_api_key
    assert key.expires_at is None
    with pytest.raises(ValidationFailedError):
        await world.door.refresh(ACME, held.id)
    with pytest.raises(ReconnectRequiredError):
        await world.door.replace_refused(ACME, key)


# How a token is handed out


async def test_an_unknown_integration_or_provider_is_not_found(world):
    with pytest.raises(IntegrationNotFoundError):
        await token(world)
    with pytest.raises(ProviderNotFoundError):
        await world.door.credential(ACME, "nobody")


async def test_more_life_than_the_token_has_is_got_by_a_renewal(world):
    await world.connect()
    world.pass_(minutes=30)
    first = await token(world)
    longer = await token(world, min_ttl=timedelta(minutes=35))
    assert longer.generation == first.generation + 1
    assert longer.warning is None
    # More than the provider gives: what is there is handed out, and said to be short.
    impossible = await token(world, min_ttl=timedelta(days=1))
    assert impossible.warning == "less_life_than_asked"
    assert world.provider.refresh_count == 1


async def test_scopes_that_were_not_granted_are_named(world):
    await world.connect()
    assert (await token(world, scopes=("read", "admin"))).missing_scopes == ("admin",)


async def test_uses_are_recorded_once_in_a_window_or_not_at_all(world):
    await world.connect()
    for _ in range(3):
        await token(world, scopes=("read",))
    assert [action for action, _ in world.actions()].count("credential.used") == 1
    quiet = world.open(settings=world.settings(use_window=None))
    await quiet.credential(ACME, "simulated")
    assert [action for action, _ in world.actions()].count("credential.used") == 1


async def test_a_use_that_cannot_be_recorded_is_refused(world):
    await world.connect()
    world.store.fail(1, "apply")
    with pytest.raises(StorageUnavailableError):
        await token(world)


async def test_a_token_is_sent_as_the_catalogue_says_and_plainly_where_it_says_nothing(world):
    await world.connect()
    first = await token(world)
    assert first.headers() == {"Authorization": f"Bearer {first.value.reveal()}"}
    entry = world.entries[0]
    without_method = entry.model_copy(update={"methods": (entry.methods[0].model_copy(update={"id": "another"}),)})
    for providers in ([without_method], [world.entries[1]]):
        other = world.open(providers=providers, applications=[])
        assert (await other.replace_refused(ACME, replaced_already(first))).headers() == first.headers()


def replaced_already(token):
    """A token of an older generation, so that the row's own is handed out."""
    return replace(token, generation=0)


async def test_memory_answers_each_actor_for_a_while(world):
    await world.connect()
    alice = Actor(id="alice")
    first = await token(world, actor=alice)
    asked = world.store.count("find_credential")
    assert await token(world, actor=alice) is first
    assert world.store.count("find_credential") == asked
    await token(world, actor=Actor(id="bob"))
    assert world.store.count("find_credential") == asked + 1


async def test_a_row_without_its_credential_does_not_open(world):
    held = await world.connect()
    row = world.row(held)
    world.tables.integrations[ACME, held.id] = replace(row, credential=replace(row.credential, presented=b""))
    with pytest.raises(DecryptError):
        await token(world)


async def test_a_tenants_variable_is_put_where_its_name_stands(world):
    held = await world.connect()
    row = world.row(held)
    world.tables.integrations[ACME, held.id] = replace(row, facts=replace(row.facts, variables={"site": "acme-eu"}))
    entry = world.entries[0]
    method = entry.methods[0]
    methods = (method.model_copy(update={"present": Present(headers={"Authorization": "Bearer {site}:{value}"})}),)
    site = Variable(name="site", pattern="[a-z-]+")
    other = world.open(providers=[entry.model_copy(update={"methods": methods, "variables": (site,)})])
    sent = await other.credential(ACME, "simulated")
    assert sent.headers() == {"Authorization": f"Bearer acme-eu:{sent.value.reveal()}"}


@pytest.mark.requirement("Q04", "Q68")
async def test_where_the_api_is_comes_with_the_tokens_and_anew_with_each_renewal(world, answers):
    instance = {"name": "instance", "source": "token_reply", "pattern": r"[a-z0-9]+\.example\.com", "in_host": True}
    method = world.entries[0].methods[0].model_dump(by_alias=True)
    facts = world.entries[0].model_dump() | {"methods": [method], "variables": [instance], "verifications": []}
    world.entries = [Provider.model_validate(facts), *world.entries[1:]]
    world.door = world.open()

    def tokens(number, **more):
        token = {"access_token": f"fake-access-{number}", "refresh_token": f"fake-refresh-{number}", "token_type": "Bearer"}
        return said({**token, "expires_in": 3600, **more}, 200)

    answers.exchange = tokens(1, instance="eu1.example.com")
    answers.of["fake-refresh-1"] = tokens(2, instance="us2.example.com")
    answers.of["fake-refresh-2"] = tokens(3, instance="us2.example.com.evil.example")
    answers.of["fake-refresh-3"] = tokens(4)
    held = await world.connect()
    found = [held.variables["instance"]]
    for _ in range(3):
        held = await world.door.refresh(ACME, held.id)
        found.append((await world.door.get_integration(ACME, held.id)).variables["instance"])
    assert found == ["eu1.example.com", "us2.example.com", "us2.example.com", "us2.example.com"]
    assert (await world.door.credential(ACME, "simulated")).value.reveal() == "fake-access-4"
