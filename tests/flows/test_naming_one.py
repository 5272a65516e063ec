"""One integration is named by its id, or by its provider's slug or UUID, in every method that means one."""

from __future__ import annotations

import inspect
from operator import attrgetter
from uuid import uuid4

import pytest

from cloud_integrations.errors import IntegrationNotFoundError, ProviderNotFoundError, ValidationFailedError

from .arguments import METHODS
from .conftest import ACME, GLOBEX

MORE = {"edit_integration": {"name": "Another name"}}
FOR_ONE_KIND = {
    *("begin_device_reconnect", "begin_key_rotation", "begin_reconnect", "cancel_key_rotation", "find_key_rotation"),
    *("finish_key_rotation", "reconnect", "refresh", "replace_api_key", "resources", "choose_resource"),
}
NAMED = [
    "credential",
    *(
        name
        for name, method in METHODS.items()
        # `audit.record` needs an event of the host's; an incident is about any number of integrations.
        if "integration" in inspect.signature(method).parameters
        and name not in FOR_ONE_KIND | {"audit.record"}
        and not name.startswith("incidents.")
    ),
]
"""The methods that take any integration."""


def call(door, method, tenant, name):
    """Call *method* for the one integration that *name* names."""
    parameter = "provider" if method == "credential" else "integration"
    return attrgetter(method)(door)(tenant, **{parameter: name}, **MORE.get(method, {}))


def names_of(world, integration, slug):
    found = [summary for summary in world.entries if summary.id == slug]
    provider_id = found[0].provider_id
    return [slug, provider_id, str(provider_id), str(provider_id).upper(), integration.id, str(integration.id)]


def test_every_method_that_means_one_integration_is_asked_here():
    assert {"audit.list", "credential", "delete", "edit_integration", "get_integration", "overview.renewal", "verify"} == set(NAMED)


@pytest.mark.parametrize("method", NAMED)
@pytest.mark.parametrize("number", range(6))
async def test_an_integration_is_named_by_its_id_or_its_provider(world, door, method, number):
    held = await world.add_key()
    await world.connect()
    answer = await call(door, method, ACME, names_of(world, held, "simulated_keys")[number])
    found = answer[0].event.resource if method == "audit.list" else getattr(answer, "integration_id", None) or answer.id
    assert str(found).removeprefix("integration:") == str(held.id)


@pytest.mark.parametrize("number", range(6))
async def test_a_renewal_and_a_reconnect_may_name_the_provider(world, door, number):
    held = await world.connect()
    name = names_of(world, held, "simulated")[number]
    assert (await door.refresh(ACME, name)).id == held.id
    assert (await door.begin_reconnect(ACME, name)).integration_id == held.id
    key = await world.add_key()
    name = names_of(world, key, "simulated_keys")[number]
    assert (await door.replace_api_key(ACME, name, api_key=world.provider.valid_api_key)).id == key.id
    assert (await door.reconnect(ACME, name, inputs={"key": world.provider.valid_api_key})).id == key.id


@pytest.mark.parametrize("number", range(6))
async def test_a_rotation_of_a_key_may_name_the_provider(world, door, number):
    key = await world.add_key()
    name = names_of(world, key, "simulated_keys")[number]
    assert (await door.begin_key_rotation(ACME, name, inputs={"key": world.provider.issue_api_key()})).integration_id == key.id
    assert (await door.find_key_rotation(ACME, name)).state == "staged"
    assert (await door.finish_key_rotation(ACME, name)).state == "switched"
    assert (await door.cancel_key_rotation(ACME, name)).state == "cancelled"


@pytest.mark.parametrize("method", NAMED)
async def test_what_the_tenant_does_not_have_is_not_found(world, door, method):
    held = await world.add_key()
    for name in (*names_of(world, held, "simulated_keys"), uuid4()):
        if method == "audit.list" and str(name) not in {"simulated_keys", str(held.provider_id), str(held.provider_id).upper()}:
            continue  # an integration that is gone has events, too
        with pytest.raises(IntegrationNotFoundError):
            await call(door, method, GLOBEX, name)


@pytest.mark.parametrize("method", NAMED)
async def test_text_that_names_neither_is_refused(world, door, method):
    await world.add_key()
    for text in ("no_such", "Simulated", "", "not-an-id"):
        with pytest.raises((ProviderNotFoundError, ValidationFailedError)) as caught:
            await call(door, method, ACME, text)
        if method != "credential":
            assert caught.value.field == "integration"
            assert "id, or its provider's slug or UUID" in str(caught.value)


async def test_a_provider_that_left_the_catalogue_is_named_by_the_integrations_id(world, door):
    held = await world.add_key()
    other = world.open(providers=world.entries[:1])
    assert (await other.get_integration(ACME, held.id)).id == held.id
    for name in ("simulated_keys", held.provider_id):
        with pytest.raises((ValidationFailedError, IntegrationNotFoundError)):
            await other.get_integration(ACME, name)
    with pytest.raises(ProviderNotFoundError):
        await other.credential(ACME, held.id)  # nobody knows how its credential is sent
    assert (await other.delete(ACME, held.id)).integration_id == held.id


async def test_memory_answers_by_every_name_until_something_changes(world, door):
    held = await world.connect()
    names = names_of(world, held, "simulated")
    tokens = [await door.credential(ACME, name) for name in names]
    reads = len(world.store.calls)
    assert [await door.credential(ACME, name) for name in names] == tokens
    assert len(world.store.calls) == reads
    await door.edit_integration(ACME, "simulated", status="inactive")
    for name in names:
        with pytest.raises(Exception, match="switched off"):
            await door.credential(ACME, name)


async def test_work_that_was_begun_by_a_providers_name_keeps_to_the_integration_that_it_found(world, door):
    held = await world.connect()
    changed = []

    def swap(name, args):
        if name == "apply" and not changed:
            changed.append(name)
            world.store.heal()
            world.tables.integrations.pop((ACME, held.id), None)

    world.store.before = swap
    with pytest.raises(IntegrationNotFoundError):
        await door.edit_integration(ACME, "simulated", name="Another name")
