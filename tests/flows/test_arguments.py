"""What people pass is accepted where its meaning is plain, and refused by the argument's name where it is not."""

from __future__ import annotations

import asyncio
import inspect
import re
import threading
from collections.abc import Mapping
from operator import attrgetter
from uuid import UUID

import pytest

from cloud_integrations.backends.sqlalchemy import migrate, sqlite_engine
from cloud_integrations.backends.sqlalchemy.store import AsyncSqlAlchemyStore, SqlAlchemyStore
from cloud_integrations.domain.audit import SYSTEM, Actor
from cloud_integrations.domain.importing import ImportedGrant, ImportedKey
from cloud_integrations.domain.secret import Secret
from cloud_integrations.errors import GrantRefusedError, ProviderNotFoundError, ValidationFailedError

from .arguments import FITS, HALF, LONG, METHODS, NAIVE, PARAMETERS, RIGHT, WRONG
from .conftest import ACME, ALICE


def _arguments(method, /, **changes):
    """Right arguments for all that the method needs, with *changes*."""
    needed = [each.name for each in inspect.signature(METHODS[method]).parameters.values() if each.default is each.empty]
    return {name: RIGHT[name] for name in needed if name in RIGHT} | changes


def _field(parameter):
    """The argument's name as errors write it: in camelCase."""
    return re.sub(r"_(.)", lambda match: match[1].upper(), parameter)


def _sides(world):
    """A manager over the memory store, and one over a database, with a credential to pass where one is asked for."""
    engine = sqlite_engine(":memory:")
    migrate.upgrade(engine)
    over_sql = SqlAlchemyStore(engine) if world.blocking else AsyncSqlAlchemyStore(engine)
    return engine, [world.door, world.open(store=over_sql)]


@pytest.mark.parametrize(("method", "parameter"), PARAMETERS, ids=lambda value: getattr(value, "name", value))
async def test_what_no_method_takes_is_refused_by_its_name_over_every_store(world, method, parameter):
    held = await world.connect()
    token = await world.door.credential(ACME, "simulated")
    engine, doors = _sides(world)
    right = _arguments(method)
    if "integration" in right:
        right["integration"] = held.id
    right |= {
        "replace_refused": {"token": token},
        "begin_key_rotation": {"inputs": RIGHT["inputs"]},
        "edit_integration": {"name": "New name"},
        "sessions.open": {"actor": Actor(type="agent", id="bot"), "hosts": ["api.example"]},
        **{f"incidents.{name}": {"tenant_id": ACME} for name in ("freeze", "scope", "open")},
        "worker.run": {"stop": threading.Event() if world.blocking else asyncio.Event()},
    }.get(method, {})
    try:
        for value in WRONG[parameter.name]:
            if value is None and "None" in str(parameter.annotation):
                continue
            if value in FITS.get(method, {}).get(parameter.name, ()):
                continue
            for door in doors:
                with pytest.raises(ValidationFailedError) as caught:
                    await attrgetter(method)(door)(**{**right, parameter.name: value})
                assert _field(parameter.name) in re.split(r"[.]", caught.value.field), (value, caught.value.field)
                assert "fake" not in str(caught.value)
    finally:
        engine.dispose()


def test_every_argument_can_be_given_by_its_name():
    assert [name for name, parameter in PARAMETERS if parameter.kind is parameter.POSITIONAL_ONLY] == []


async def test_ids_may_be_text_and_secrets_and_actors_too(world, door):
    begun = await door.begin_oauth(
        tenant_id=ACME, provider="simulated", name="Files of Acme", actor="alice", scopes="files:read files:write"
    )
    params = world.approve(begun)
    state, browser = begun.state.reveal(), begun.browser_token.reveal()
    assert (await door.find_authorization(state, actor="alice")).actor == ALICE
    connected = await door.complete_oauth(str(begun.context_id), dict(params), browser_token=browser, actor="alice")
    text = str(connected.integration.id)
    assert (await door.get_integration(ACME, text)).id == connected.integration.id
    assert (await door.verify(ACME, text.upper())).works
    assert (await door.edit_integration(ACME, text, status="inactive", actor="alice")).status == "inactive"
    assert (await door.edit_integration(ACME, text, status="active", actor=ALICE)).status == "active"
    assert (await door.credential(ACME, str(connected.integration.provider_id), min_ttl=30, actor="alice")).expires_at is not None
    records = await door.audit.list(ACME, integration=text.upper(), request_id=UUID(int=7))
    assert {record.event.resource for record in records} == {f"integration:{text}"}
    assert {str(record.event.actor) for record in records} == {"user:alice", str(SYSTEM)}
    assert world.last_event().request_id == str(UUID(int=7))
    assert (await door.delete(ACME, text)).integration_id == connected.integration.id


async def test_a_key_may_be_text(world, door):
    held = await door.add_api_key(ACME, "simulated_keys", name="Key of Acme", api_key=world.provider.valid_api_key.reveal())
    again = await door.replace_api_key(ACME, str(held.id), api_key=world.provider.valid_api_key.reveal())
    assert again.id == held.id


async def test_a_life_in_seconds_is_the_life_that_a_token_must_still_have(world, door):
    await world.connect()
    first = await door.credential(ACME, "simulated", min_ttl=60)
    world.pass_(seconds=(first.expires_at - world.clock.now()).total_seconds() - 600)
    assert (await door.credential(ACME, "simulated", min_ttl=599)).generation == first.generation
    assert (await door.credential(ACME, "simulated", min_ttl=601.5)).generation == first.generation + 1


async def test_a_remembered_token_is_not_given_for_arguments_that_are_wrong(world, door):
    await world.connect()
    await door.credential(ACME, "simulated")
    for wrong in ({"tenant_id": ["acme"]}, {"provider": ["simulated"]}, {"scopes": 0}):
        with pytest.raises(ValidationFailedError):
            await door.credential(**{"tenant_id": ACME, "provider": "simulated", **wrong})


async def test_text_that_names_no_provider_finds_none(door):
    for text in ("", "no-such", HALF, LONG):
        with pytest.raises(ProviderNotFoundError):
            await door.credential(ACME, text)


class Multi(Mapping):
    """A mapping that shows one value of each name, as web frameworks have it, and all of them by a method of its own."""

    def __init__(self, pairs):
        self._pairs = list(pairs)

    def __getitem__(self, name):
        return dict(self._pairs)[name]

    def __iter__(self):
        return iter(dict(self._pairs))

    def __len__(self):
        return len(dict(self._pairs))


class Starlettes(Multi):
    def multi_items(self):
        return self._pairs


class Werkzeugs(Multi):
    def lists(self):
        return [(name, [value for other, value in self._pairs if other == name]) for name in self]


class Bottles(Multi):
    def allitems(self):
        return self._pairs


def _as_lists(pairs):
    return dict(Werkzeugs(pairs).lists())


def _as_query(pairs):
    return "&".join(f"{name}={value}" for name, value in pairs)


FORMS = [list, iter, Starlettes, Werkzeugs, Bottles, _as_lists, _as_query, lambda pairs: f"https://app.example/cb?{_as_query(pairs)}"]


@pytest.mark.parametrize("form", FORMS)
async def test_a_repeated_parameter_is_noticed_however_the_callback_is_given(world, door, form):
    begun = await world.begin()
    params = world.approve(begun)
    with pytest.raises(GrantRefusedError) as caught:
        await world.come_back(begun, form([*params, ("code", "fake-other")]))
    assert caught.value.reason == "repeated_parameter"
    again = await world.begin()
    assert (await world.come_back(again, form(world.approve(again)))).integration.name == "Files of Acme"


async def test_a_parameter_that_did_not_come_may_be_none(world, door):
    begun = await world.begin()
    params = {**dict(world.approve(begun)), "error": None, "iss": None}
    assert (await world.come_back(begun, {name: value for name, value in params.items() if name != "iss" or value})).integration


async def test_a_query_of_too_many_parameters_is_refused(world):
    begun = await world.begin()
    with pytest.raises(ValidationFailedError):
        await world.come_back(begun, "&".join(["a=b"] * 1_001))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("access_token", b"fake"),
        ("access_token", ""),
        ("refresh_token", 5),
        ("api_key", ""),
        ("secret_key", b"fake"),
        ("expires_at", NAIVE),
        ("ends_at", NAIVE),
        ("granted_at", "2026-01-01T00:00:00Z"),
        ("scopes", 5),
        ("variables", {"region": 5}),
        ("provider", None),
    ],
)
def test_what_is_imported_is_read_when_it_is_made(field, value):
    kind, of = (ImportedKey, "api_key") if field.endswith("_key") or field == "ends_at" else (ImportedGrant, "access_token")
    with pytest.raises(ValidationFailedError) as caught:
        kind(**{"provider": "simulated", "name": "Files of Acme", of: "fake-text", field: value})
    assert caught.value.field == _field(field)
    assert "fake" not in str(caught.value)


def test_imported_secrets_may_be_text_and_are_shown_by_nothing():
    made = ImportedGrant(provider="simulated", name="Files of Acme", access_token="fake-token", scopes="read write")
    assert made.access_token == Secret("fake-token")
    assert made.scopes == ("read", "write")
    assert "fake-token" not in repr(made)
