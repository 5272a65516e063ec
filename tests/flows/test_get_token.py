"""A credential is handed out: from memory, or from a row, and recorded before it is."""

from __future__ import annotations

from contextlib import nullcontext
from datetime import timedelta

import pytest

from cloud_integrations.domain.audit import SYSTEM, Actor
from cloud_integrations.domain.auth_type import AuthType
from cloud_integrations.errors import (
    IntegrationInactiveError,
    IntegrationNotFoundError,
    ProviderNotFoundError,
    ReconnectRequiredError,
    StorageUnavailableError,
    ValidationFailedError,
)
from cloud_integrations.testing import Misbehaviour

from .conftest import ACME, ALICE

BOB = Actor(id="bob")


def used(world, tenant=ACME):
    return [event.actor for event in world.events(tenant) if event.action == "credential.used"]


def reads(world):
    return len(world.store.calls)


# What is handed out


async def test_a_token_that_lives_is_handed_out_as_it_is(world, door):
    held = await world.connect()
    token = await door.credential(ACME, "simulated")
    assert world.provider.is_alive(token.value)
    assert (token.integration_id, token.provider_id, token.auth_type) == (held.id, held.provider_id, AuthType.OAUTH2)
    assert (token.expires_at, token.scopes, token.missing_scopes) == (held.expires_at, ("read", "write"), ())
    assert (token.warning, token.generation, token.secret) == (None, 1, None)
    assert token.headers() == {"Authorization": f"Bearer {token.value.reveal()}"}
    assert world.provider.refresh_count == 0


async def test_a_key_is_handed_out_as_it_was_entered(world, door):
    held = await world.add_key()
    token = await door.credential(ACME, "simulated_keys")
    assert (token.integration_id, token.auth_type) == (held.id, AuthType.API_KEY)
    assert (token.value, token.secret) == (world.provider.valid_api_key, None)
    assert (token.expires_at, token.warning) == (None, None)


async def test_the_provider_may_be_named_by_its_uuid(world, door):
    held = await world.connect()
    for name in (held.provider_id, str(held.provider_id)):
        assert (await door.credential(ACME, name)).integration_id == held.id


async def test_scopes_that_are_missing_are_named(world, door):
    await world.connect()
    token = await door.credential(ACME, "simulated", scopes=("read", "delete"))
    assert token.missing_scopes == ("delete",)


@pytest.mark.requirement("OAU-041")
@pytest.mark.parametrize(
    ("rule", "missing"),
    [
        ({}, ("write",)),
        ({"includes": {"read": ("write",)}}, ()),
        ({"aliases": {"write": "read"}}, ()),
        ({"everything": "read"}, ()),
        ({"unlisted": ("write",)}, ()),
        ({"fixed": True}, ()),
    ],
)
async def test_everybody_who_says_which_scopes_are_missing_says_the_same(world, rule, missing):
    usual = world.provider.catalogue_entries()[0]
    method = usual.methods[0]
    scopes = method.scopes.model_copy(update=rule)
    entry = usual.model_copy(update={"methods": (method.model_copy(update={"scopes": scopes}),)})
    world.entries = [entry, *world.provider.catalogue_entries()[1:]]
    world.door = door = world.open()
    if not scopes.fixed:
        world.provider.misbehave(Misbehaviour.NARROWER_SCOPES)
    connected = await world.connect()
    held = await door.get_integration(ACME, connected.id)
    assert held.missing_scopes == connected.missing_scopes == missing
    assert (await door.list_integrations(ACME))[0].missing_scopes == missing
    assert (await door.credential(ACME, "simulated")).missing_scopes == missing
    assert (await door.credential(ACME, "simulated", scopes=held.requested_scopes)).missing_scopes == missing
    world.provider.misbehave(Misbehaviour.NARROWER_SCOPES, endpoint="refresh")
    renewed = await door.refresh(ACME, connected.id)
    expected = scopes.missing(requested=held.requested_scopes, granted=renewed.scopes)
    assert renewed.missing_scopes == expected
    assert (await door.get_integration(ACME, connected.id)).missing_scopes == expected
    assert (await door.credential(ACME, "simulated", scopes=held.requested_scopes)).missing_scopes == expected


async def test_a_token_without_refresh_token_ends_with_a_reconnect(world, door):
    world.provider.misbehave(Misbehaviour.REFRESH_TOKEN_MISSING, endpoint="exchange")
    await world.connect()
    assert (await door.credential(ACME, "simulated", min_ttl=timedelta(hours=2))).warning == "less_life_than_asked"
    world.pass_(hours=1)
    with pytest.raises(ReconnectRequiredError) as caught:
        await door.credential(ACME, "simulated")
    assert caught.value.reason == "expired"


async def test_the_observer_is_told_once_a_day_of_what_has_ended_and_cannot_be_renewed(world, door):
    world.provider.misbehave(Misbehaviour.REFRESH_TOKEN_MISSING, endpoint="exchange")
    held = await world.connect()
    for days in (1, 0, 2):
        world.pass_(days=days)
        with pytest.raises(ReconnectRequiredError):
            await door.credential(ACME, "simulated")
    told = [fact.facts for fact in world.facts.told if fact.name == "credential.reconnect_required"]
    assert [(facts["tenant"], facts["integration"], facts["reason"]) for facts in told] == [(ACME, str(held.id), "expired")] * 2


async def test_what_has_ended_and_cannot_be_renewed_asks_for_a_reconnect_before_anybody_calls(world, door):
    world.provider.misbehave(Misbehaviour.REFRESH_TOKEN_MISSING, endpoint="exchange")
    held = await world.connect()
    assert not held.renewable
    world.pass_(minutes=59)
    assert (await door.get_integration(ACME, held.id)).health == "ok"
    world.pass_(minutes=1)
    ended = held.expires_at
    shown = [await door.get_integration(ACME, held.id), *await door.list_integrations(ACME)]
    shown.append(await door.edit_integration(ACME, held.id, name="Another name", actor=ALICE))
    assert {(found.health, found.status, found.reason, found.state_since) for found in shown} == {
        ("reconnect_required", "inactive", "expired", ended)
    }
    # It is worked out, not stored: a clock that was ahead has ended nothing.
    world.clock.jump(-timedelta(minutes=30))
    assert (await door.get_integration(ACME, held.id)).health == "ok"
    assert await door.credential(ACME, "simulated")
    world.pass_(hours=1)
    reconnected = (await world.reconnect(held)).integration
    assert (reconnected.renewable, (await door.get_integration(ACME, held.id)).health) == (True, "ok")


async def test_a_provider_that_the_tenant_does_not_have_hands_out_nothing(world, door):
    with pytest.raises(IntegrationNotFoundError):
        await door.credential(ACME, "simulated")
    with pytest.raises(ProviderNotFoundError):
        await door.credential(ACME, "nobody")
    with pytest.raises(ValidationFailedError):
        await door.credential("a b", "simulated")


async def test_a_way_that_the_catalogue_lost_is_sent_as_a_bearer_token(world):
    await world.connect()
    other = world.entries[0].methods[0].model_copy(update={"id": "other"})
    door = world.open(providers=[world.entries[0].model_copy(update={"methods": (other,)})])
    token = await door.credential(ACME, "simulated")
    assert list(token.headers()) == ["Authorization"]


# Memory


async def test_the_second_call_looks_at_no_store(world, door):
    await world.connect()
    first = await door.credential(ACME, "simulated")
    before = reads(world)
    assert await door.credential(ACME, "simulated") == first
    assert await door.credential(ACME, "simulated") == first
    assert reads(world) == before


async def test_an_actor_has_a_memory_of_his_own(world, door):
    await world.connect()
    await door.credential(ACME, "simulated", actor=ALICE)
    before = reads(world)
    await door.credential(ACME, "simulated", actor=ALICE)
    assert reads(world) == before
    await door.credential(ACME, "simulated", actor=BOB)
    assert reads(world) > before
    assert used(world) == [ALICE, BOB]


async def test_memory_ends_after_a_minute(world, door):
    await world.connect()
    await door.credential(ACME, "simulated")
    world.pass_(seconds=59)
    before = reads(world)
    await door.credential(ACME, "simulated")
    assert reads(world) == before
    world.pass_(seconds=1)
    await door.credential(ACME, "simulated")
    assert reads(world) > before


async def test_without_a_cache_every_call_looks(world):
    door = world.open(settings=world.settings(token_cache=timedelta()))
    await world.connect(door=door)
    await door.credential(ACME, "simulated")
    before = reads(world)
    await door.credential(ACME, "simulated")
    assert reads(world) > before


@pytest.mark.parametrize("special", [{"min_ttl": timedelta(seconds=1)}, {"scopes": ("read",)}])
async def test_a_special_wish_looks_every_time_and_is_not_remembered(world, door, special):
    await world.connect()
    await door.credential(ACME, "simulated", **special)
    before = reads(world)
    await door.credential(ACME, "simulated", **special)
    assert reads(world) > before
    before = reads(world)
    await door.credential(ACME, "simulated")
    assert reads(world) > before


async def test_memory_never_outlives_the_token(world, door):
    await world.connect()
    world.pass_(minutes=59)
    first = await door.credential(ACME, "simulated")
    world.pass_(seconds=30)
    assert (await door.credential(ACME, "simulated")).value != first.value


@pytest.mark.parametrize("change", ["remove", "inactive", "rename", "reconnect", "verify_dead"])
async def test_a_change_ends_what_memory_knows(world, door, change):
    held = await world.connect()
    await door.credential(ACME, "simulated")
    await door.credential(ACME, "simulated", actor=ALICE)
    match change:
        case "remove":
            await door.delete(ACME, held.id)
        case "inactive":
            await door.edit_integration(ACME, held.id, status="inactive")
        case "rename":
            await door.edit_integration(ACME, held.id, name="New name")
        case "reconnect":
            await world.reconnect(held)
        case "verify_dead":
            world.provider.revoke_grant()
            with pytest.raises(ReconnectRequiredError):
                await door.verify(ACME, held.id)
    before = reads(world)
    for actor in (SYSTEM, ALICE):
        closed = {"remove": IntegrationNotFoundError, "inactive": IntegrationInactiveError, "verify_dead": ReconnectRequiredError}
        with pytest.raises(closed[change]) if change in closed else nullcontext():
            await door.credential(ACME, "simulated", actor=actor)
    assert reads(world) >= before + 2


@pytest.mark.requirement("ISO-14")
async def test_memory_keeps_tenants_apart(world, door):
    await world.connect()
    await world.connect("globex")
    acme, globex = await door.credential(ACME, "simulated"), await door.credential("globex", "simulated")
    before = reads(world)
    assert await door.credential(ACME, "simulated") == acme
    assert await door.credential("globex", "simulated") == globex
    assert acme.value != globex.value
    assert reads(world) == before
    await door.edit_integration("globex", globex.integration_id, name="New name")
    before = reads(world)
    assert await door.credential(ACME, "simulated") == acme
    assert reads(world) == before


# The record of the use


@pytest.mark.requirement("AUD-03")
async def test_one_row_speaks_for_a_minute_of_uses_by_one_actor(world):
    door = world.open(settings=world.settings(token_cache=timedelta()))
    await world.connect(door=door)
    for _ in range(3):
        await door.credential(ACME, "simulated")
        await door.credential(ACME, "simulated", actor=ALICE)
    assert used(world) == [SYSTEM, ALICE]
    world.pass_(seconds=60)
    await door.credential(ACME, "simulated")
    assert used(world) == [SYSTEM, ALICE, SYSTEM]


@pytest.mark.requirement("AUD-03")
async def test_memory_forgets_when_the_row_no_longer_speaks(world, door):
    await world.connect()
    await door.credential(ACME, "simulated", scopes=("read",))  # recorded, and not remembered
    world.pass_(seconds=50)
    await door.credential(ACME, "simulated")  # the row of 50 seconds ago speaks for it, for 10 seconds more
    assert len(used(world)) == 1
    world.pass_(seconds=10)
    await door.credential(ACME, "simulated")
    assert len(used(world)) == 2


async def test_with_a_window_of_none_uses_are_not_recorded(world):
    door = world.open(settings=world.settings(use_window=None))
    await world.connect(door=door)
    await door.credential(ACME, "simulated")
    assert used(world) == []
    before = reads(world)
    await door.credential(ACME, "simulated")
    assert reads(world) == before


async def test_a_use_names_who_and_on_whose_request(world, door):
    held = await world.connect()
    await door.credential(ACME, "simulated", actor=ALICE, request_id="req-3")
    event = world.last_event()
    assert (event.action, event.actor, event.request_id) == ("credential.used", ALICE, "req-3")
    assert event.resource == f"integration:{held.id}"


@pytest.mark.requirement("AUD-02")
@pytest.mark.parametrize("way", ["connect", "add_key"])
async def test_no_secret_leaves_when_its_use_cannot_be_recorded(world, door, way):
    await getattr(world, way)()
    name = {"connect": "simulated", "add_key": "simulated_keys"}[way]
    world.store.fail(1, times=2)
    for _ in range(2):
        with pytest.raises(StorageUnavailableError) as caught:
            await door.credential(ACME, name)
        assert not any(secret in repr(vars(caught.value)) + str(caught.value) for secret in world.secrets)
    world.store.heal()
    assert used(world) == []
    assert (await door.credential(ACME, name)).warning is None
    assert used(world) == [SYSTEM]


@pytest.mark.requirement("AUD-02")
async def test_the_row_is_written_before_the_secret_is_handed_out(world, door):
    await world.connect()
    await door.credential(ACME, "simulated")
    assert world.store.calls[-1][0] == "apply"
    assert used(world) == [SYSTEM]


# A row that was tampered with


async def test_many_uses_at_once_are_recorded_once(world, door):
    await world.add_key()
    await door.together(20, "credential", ACME, f"{world.provider.slug}_keys", actor=ALICE)
    assert [action for action, _ in world.actions()].count("credential.used") == 1


async def test_without_a_window_each_use_is_recorded(world):
    await world.add_key()
    door = world.open(settings=world.settings(use_window=timedelta()))
    for _ in range(3):
        await door.credential(ACME, f"{world.provider.slug}_keys", actor=ALICE)
    assert [action for action, _ in world.actions()].count("credential.used") == 3
