"""Several integrations of one tenant with one provider, each in a slot of its own."""

from __future__ import annotations

import inspect
from datetime import timedelta
from functools import partial

import pytest

from cloud_integrations.domain.importing import ImportedGrant, ImportedKey
from cloud_integrations.errors import (
    IntegrationExistsError,
    IntegrationNotFoundError,
    ProviderUnavailableError,
    ValidationFailedError,
)
from cloud_integrations.testing import Misbehaviour

from .arguments import METHODS
from .conftest import ACME, ALICE
from .test_renew_ends_access import ends_old_access

KEYS = "simulated_keys"
OAUTH = "simulated"
SLOTS = ["", "production", "eu-1.test_2"]
NO_SLOTS = [None, 5, b"bytes", ["production"], "Production", "two words", "a/b", "é", "production\n", "ａ", "x" * 65]


def slotted(world, **changes):
    """Open a door to an installation that allows slots."""
    return world.open(settings=world.settings(slots=True, **changes))


@pytest.fixture
def door(world):
    world.door = slotted(world)
    return world.door


@pytest.fixture
def closed(world):
    """A door to an installation that allows no slots."""
    return world.open()


async def connected(world, slots=SLOTS, **named):
    """Connect OAuth2 accounts, one in each slot; return them by slot."""
    return {slot: await world.connect(slot=slot, **named) for slot in slots}


async def added(world, slots=SLOTS):
    """Add keys, one in each slot; return them by slot."""
    return {slot: await world.add_key(slot=slot, api_key=world.provider.issue_api_key()) for slot in slots}


async def stored_value(world, integration):
    """The access token or key in the integration's own row."""
    row = world.row(integration)
    parts = await world.door.wiring.sealer.open_parts(
        row.facts.tenant_id, row.facts.id, row.credential.presented, field="presented", generation=row.credential.generation
    )
    return next(iter(parts.values()))


# Which slot is meant


def test_every_method_that_means_one_integration_or_connects_one_takes_a_slot():
    for name, method in METHODS.items():
        parameters = inspect.signature(method).parameters
        connects = "name" in parameters and "provider" in parameters
        if "integration" in parameters or connects or name == "credential":
            assert parameters["slot"].default == "", name


@pytest.mark.parametrize("connect", [added, connected])
async def test_a_tenant_has_an_integration_in_each_slot(world, door, connect):
    held = await connect(world)
    assert [integration.slot for integration in held.values()] == SLOTS
    assert {integration.id for integration in await door.list_integrations(ACME)} == {each.id for each in held.values()}
    slug = KEYS if connect is added else OAUTH
    for slot, integration in held.items():
        assert (await door.get_integration(ACME, slug, slot=slot)).id == integration.id
        assert (await door.get_integration(ACME, integration.provider_id, slot=slot)).id == integration.id
        assert (await door.list_integrations(ACME, slot=slot)) == (integration,)
    assert (await door.get_integration(ACME, slug)).id == held[""].id


@pytest.mark.parametrize("connect", [added, connected])
@pytest.mark.parametrize("slot", SLOTS)
async def test_a_slot_is_taken_once(world, door, connect, slot):
    await connect(world, [slot])
    with pytest.raises(IntegrationExistsError) as caught:
        await connect(world, [slot])
    expected = {"tenantId": ACME, "providerId": str(world.entries[connect is added].provider_id)}
    assert caught.value.details == (expected | {"slot": slot} if slot else expected)
    await connect(world, ["another"])


async def test_of_many_that_add_to_one_slot_at_once_one_is_stored(world, door):
    call = {"name": "Key of Acme", "api_key": world.provider.valid_api_key, "actor": ALICE}
    answers = await door.together(8, "add_api_key", ACME, KEYS, slot="production", **call)
    assert sorted(type(answer).__name__ for answer in answers) == ["Integration", *["IntegrationExistsError"] * 7]
    assert len(await door.list_integrations(ACME)) == 1


async def test_another_providers_slot_of_the_same_name_is_another_slot(world, door):
    keys, grants = await added(world), await connected(world)
    assert {integration.id for integration in await door.list_integrations(ACME, slot="production")} == {
        keys["production"].id,
        grants["production"].id,
    }


@pytest.mark.parametrize("slot", NO_SLOTS)
async def test_what_is_no_slot_is_refused_and_not_repeated(world, door, slot):
    await world.add_key()
    for call in (
        door.credential(ACME, KEYS, slot=slot),
        world.add_key(slot=slot),
        world.begin(slot=slot),
        door.get_integration(ACME, KEYS, slot=slot),
    ):
        with pytest.raises(ValidationFailedError) as caught:
            await call
        assert caught.value.field == "slot"
        assert slot is None or str(slot).strip() not in str(caught.value)
    with pytest.raises(ValidationFailedError) as caught:
        ImportedKey(provider=KEYS, name="Key of Acme", api_key=world.provider.valid_api_key, slot=slot)
    assert caught.value.field == "slot"


@pytest.mark.parametrize("slot", ["a", "0", ".", "-", "_", "x" * 64])
async def test_the_shortest_and_the_longest_slots_are_slots(world, door, slot):
    held = await world.add_key(slot=slot)
    assert (await door.credential(ACME, KEYS, slot=slot)).integration_id == held.id


async def test_a_slot_beside_an_id_is_refused_and_an_id_needs_none(world, door):
    held = await added(world)
    for name in (held["production"].id, str(held["production"].id)):
        assert (await door.credential(ACME, name)).integration_id == held["production"].id
        assert (await door.get_integration(ACME, name)).slot == "production"
        for call in (door.credential(ACME, name, slot="production"), door.delete(ACME, name, slot="production")):
            with pytest.raises(ValidationFailedError) as caught:
                await call
            assert caught.value.field == "slot"


async def test_an_empty_slot_has_nothing(world, door):
    await added(world, ["production"])
    for slot in ("", "another"):
        for call in (door.credential(ACME, KEYS, slot=slot), door.get_integration(ACME, KEYS, slot=slot)):
            with pytest.raises(IntegrationNotFoundError):
                await call
    assert await door.list_integrations(ACME, slot="another") == ()


# Without the switch


@pytest.mark.parametrize("slot", ["production", *NO_SLOTS])
async def test_without_the_switch_no_slot_can_be_given(world, closed, slot):
    world.door = closed
    held = await world.add_key()
    for call in (
        closed.credential(ACME, KEYS, slot=slot),
        closed.get_integration(ACME, KEYS, slot=slot),
        closed.delete(ACME, held.id, slot=slot),
        closed.audit.list(ACME, integration=KEYS, slot=slot),
        world.add_key(slot=slot),
        world.begin(slot=slot),
    ):
        with pytest.raises(ValidationFailedError) as caught:
            await call
        assert caught.value.field == "slot"
        assert "one integration with each provider" in caught.value.problem
    assert await closed.list_integrations(ACME) == (held,)


async def test_without_the_switch_a_second_one_is_refused_as_ever(world, closed):
    await world.add_key(door=closed)
    with pytest.raises(IntegrationExistsError) as caught:
        await world.add_key(door=closed)
    assert caught.value.details == {"tenantId": ACME, "providerId": str(world.entries[1].provider_id)}
    assert str(caught.value) == "this tenant already has an integration with this provider"


async def test_once_the_switch_is_turned_off_again_ids_still_name_what_is_in_slots(world, door, closed):
    held = await added(world)
    assert {found.id for found in await closed.list_integrations(ACME)} == {integration.id for integration in held.values()}
    assert (await closed.credential(ACME, KEYS)).integration_id == held[""].id
    for integration in held.values():
        assert (await closed.credential(ACME, integration.id)).integration_id == integration.id
        await closed.delete(ACME, integration.id)


# Credentials


@pytest.mark.parametrize("actor", [None, ALICE])
@pytest.mark.parametrize("memory", [timedelta(minutes=1), timedelta()])
async def test_each_slot_gets_its_own_credential_from_memory_and_from_the_row(world, memory, actor):
    door = world.door = slotted(world, token_cache=memory)
    who = {} if actor is None else {"actor": actor}
    held = await added(world)
    expected = {slot: await stored_value(world, integration) for slot, integration in held.items()}
    assert len({value.reveal() for value in expected.values()}) == len(SLOTS)
    for _ in range(3):
        for slot, integration in held.items():
            found = await door.credential(ACME, KEYS, slot=slot, **who)
            assert (found.integration_id, found.value) == (integration.id, expected[slot])
            assert (await door.credential(ACME, integration.id, **who)).value == expected[slot]
    asked = world.store.count("find_credential")
    await door.credential(ACME, KEYS, slot="production", **who)
    assert world.store.count("find_credential") == asked + (not memory)


@pytest.mark.parametrize("memory", [timedelta(minutes=1), timedelta()])
async def test_each_slot_gets_its_own_credential_when_all_ask_at_once(world, memory):
    door = world.door = slotted(world, token_cache=memory)
    held = await connected(world)
    for hours in (0, 2):
        world.pass_(hours=hours)
        calls = [partial(door.acting_as().credential, ACME, OAUTH, slot=slot) for slot in SLOTS * 4]
        answers = await door.all_at_once(*calls)
        for slot, answer in zip(SLOTS * 4, answers, strict=True):
            assert (answer.integration_id, answer.value) == (held[slot].id, await stored_value(world, held[slot]))
    assert world.provider.refresh_count == len(SLOTS)


async def test_each_slot_gets_its_own_credential_after_renewals_and_refusals(world, door):
    held = await connected(world)
    seen = set()
    for number in range(4):
        if number == 1:
            world.pass_(hours=2)
        if number == 2:
            await door.refresh(ACME, OAUTH, slot="production")
        for slot, integration in held.items():
            token = await door.credential(ACME, OAUTH, slot=slot)
            if number == 3:
                token = await door.replace_refused(ACME, token)
                assert (await door.credential(ACME, OAUTH, slot=slot)).value == token.value
            assert (token.integration_id, token.value) == (integration.id, await stored_value(world, integration))
            seen.add((slot, token.value.reveal()))
    # At first, after the hours, after the explicit renewal of one, after the refusals.
    assert len(seen) == len({value for _, value in seen}) == 3 * len(SLOTS) + 1


@pytest.mark.parametrize("lost", ["", "production"])
async def test_whether_a_token_is_in_doubt_is_read_from_its_own_row(world, lost):
    ends_old_access(world)
    door = world.door = slotted(world)
    await connected(world, ["", "production"])
    world.clock.advance(world.provider.access_lifetime - timedelta(seconds=20))
    world.provider.misbehave(Misbehaviour.ERROR_AFTER, endpoint="refresh")
    with pytest.raises(ProviderUnavailableError):
        await door.credential(ACME, OAUTH, slot=lost)
    [other] = {"", "production"} - {lost}
    world.provider.misbehave(Misbehaviour.RATE_LIMITED, endpoint="refresh")
    assert (await door.credential(ACME, OAUTH, slot=other)).warning == "refresh_failed"
    with pytest.raises(ProviderUnavailableError):
        await door.credential(ACME, OAUTH, slot=lost)


async def test_uses_are_recorded_for_each_slot(world, door):
    held = await added(world)
    for slot in SLOTS * 2:
        await door.credential(ACME, KEYS, slot=slot)
    used = [event.resource for event in world.events() if event.action == "credential.used"]
    assert used == [f"integration:{integration.id}" for integration in held.values()]


# Every other method


async def test_a_change_reaches_the_slot_that_is_named(world, door):
    keys, grants = await added(world), await connected(world)
    await door.edit_integration(ACME, KEYS, slot="production", name="Other name")
    assert [row.id for row in await door.list_integrations(ACME) if row.name == "Other name"] == [keys["production"].id]
    assert (await door.verify(ACME, KEYS, slot="production")).integration_id == keys["production"].id
    assert (await door.refresh(ACME, OAUTH, slot="production")).id == grants["production"].id
    fresh = world.provider.issue_api_key()
    for changed in (
        await door.replace_api_key(ACME, KEYS, slot="production", api_key=fresh),
        await door.reconnect(ACME, KEYS, slot="production", inputs={"key": fresh}),
    ):
        assert (changed.id, changed.slot) == (keys["production"].id, "production")
    assert await stored_value(world, keys["production"]) == fresh
    assert await stored_value(world, keys[""]) != fresh
    [event] = [
        record.event
        for record in await door.audit.list(ACME, integration=KEYS, slot="production")
        if record.event.action == "integration.verified"
    ]
    assert event.resource == f"integration:{keys['production'].id}"
    assert (await door.delete(ACME, KEYS, slot="production")).integration_id == keys["production"].id
    assert {row.slot for row in await door.list_integrations(ACME) if row.provider_id == keys[""].provider_id} == {"", SLOTS[2]}


async def test_a_slot_without_an_integration_in_the_log_is_refused(door):
    for slot in ("production", None):
        with pytest.raises(ValidationFailedError) as caught:
            await door.audit.list(ACME, slot=slot)
        assert caught.value.field == "slot"


async def test_the_events_of_connecting_and_removing_name_the_slot(world, door):
    await added(world, ["", "production"])
    await world.reconnect((await connected(world, ["production"]))["production"])
    await door.delete(ACME, OAUTH, slot="production")
    world.provider.misbehave(Misbehaviour.UNAVAILABLE, endpoint="me")
    with pytest.raises(ProviderUnavailableError):
        await world.add_key(slot="third")
    said = [(event.action, event.details.get("slot")) for event in world.events() if event.action != "token.revoked"]
    assert said == [
        ("integration.connected", None),
        ("integration.connected", "production"),
        ("authorization.begun", "production"),
        ("integration.connected", "production"),
        ("authorization.reconnect_begun", "production"),
        ("integration.reconnected", "production"),
        ("integration.removed", "production"),
        ("integration.connected", "third"),
    ]
    told = [(fact.name, fact.facts.get("slot")) for fact in world.facts.told if fact.name.startswith("integration.")]
    assert told == [
        ("integration.connected", None),
        ("integration.connected", "production"),
        ("integration.connected", "production"),
        ("integration.reconnected", "production"),
        ("integration.removed", "production"),
    ]


async def test_an_import_has_a_slot(world, door, closed):
    issued = world.provider.issue_grant()
    grant = ImportedGrant(provider=OAUTH, name="Taken over", access_token=issued.access, refresh_token=issued.refresh, slot="production")
    key = ImportedKey(provider=KEYS, name="Taken over", api_key=world.provider.valid_api_key, slot="production")
    for imported in (grant, key):
        with pytest.raises(ValidationFailedError) as caught:
            await closed.import_credential(ACME, imported)
        assert caught.value.field == "slot"
        assert (await door.import_credential(ACME, imported, dry_run=True)).slot == "production"
        stored = await door.import_credential(ACME, imported)
        assert (stored.slot, world.row(stored).facts.slot) == ("production", "production")
        assert world.last_event().details["slot"] == "production"
        with pytest.raises(IntegrationExistsError):
            await door.import_credential(ACME, imported)
