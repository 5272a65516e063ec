"""What people pass is accepted where its meaning is plain, and refused by the argument's name where it is not."""

from __future__ import annotations

import asyncio
import inspect
import re
import runpy
import threading
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from operator import attrgetter
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from cloud_integrations.backends.sqlalchemy import migrate, sqlite_engine
from cloud_integrations.backends.sqlalchemy.store import AsyncSqlAlchemyStore, SqlAlchemyStore
from cloud_integrations.domain.audit import SYSTEM, Actor, AuditHead
from cloud_integrations.domain.importing import ImportedGrant, ImportedKey
from cloud_integrations.domain.secret import Secret
from cloud_integrations.errors import GrantRefusedError, ProviderNotFoundError, ValidationFailedError

from .conftest import ACME, ALICE

HALF = "fake-\ud800-half"
NUL = "fake-\x00-nul"
LONG = "f" * 256
NAIVE = datetime(2026, 1, 1)  # noqa: DTZ001  # that is the point

NO_TEXTS = [5, b"fake-bytes", HALF, NUL, ["fake"], object()]
TEXTS = [5, b"fake-bytes", "", LONG, HALF, NUL, ["fake"], object()]
SECRETS = ["", b"fake-bytes", 5, HALF, Secret(""), ["fake"]]
IDS = ["not-a-uuid", "", 5, b"fake-bytes", HALF, uuid4().hex[:-1]]
NUMBERS = [0, -1, True, 1.5, "10", 2**63, float("nan")]
WRONG = {
    "tenant_id": [*TEXTS, None, uuid4()],
    "provider": [5, None, b"fake-bytes", ["fake"]],
    "integration": [5, None, b"fake-bytes", ["fake"]],
    "slot": [5, None, b"fake-bytes", ["fake"], "Fake", "fake slot", "fake\n", HALF, NUL, "f" * 65],
    "context_id": [*IDS, None],
    "authorization_id": [*IDS, None],
    "name": [*TEXTS, "f" * 51],
    "inputs": ["fake", ["fake"], {}, None, {5: "fake"}, {"fake key": ""}, *({"key": value} for value in SECRETS)],
    "method": TEXTS,
    "api_key": [*SECRETS, None],
    "secret_key": SECRETS,
    "code": [*SECRETS, None],
    "state": SECRETS,
    "browser_token": [value for value in SECRETS if value],
    "variables": ["fake", ["fake"], {"region": 5}, {5: "fake"}, {"region": None}],
    "event": [*TEXTS, None],
    "facts": ["fake", ["fake"], {"rows": 5}, {5: "fake"}, {"rows": None}, {"rows": ""}, {"rows": HALF}, {"fake\n": "rows"}],
    "actor": [
        None,
        5,
        b"fake-bytes",
        {"id": "fake"},
        "",
        "urn:fake:1",
        LONG,
        HALF,
        NUL,
        Actor(id=LONG),
        Actor(id=""),
        Actor(id=HALF),
        Actor(id=NUL),
        Actor(id=5),
        Actor(type="f" * 33, id="fake"),
        Actor(type="", id="fake"),
        Actor,
    ],
    "request_id": TEXTS,
    "scopes": [5, b"fake-bytes", [5], ["fake", ""], [HALF], {"fake": 1}, [f"fake-{number:05}" for number in range(1_000)]],
    "return_to": [5, b"/fake", "", "https://evil.example/", "//evil.example", f"/{HALF}", "/" + "f" * 2_048],
    "redirect_uri": [5, None, b"fake", "", ["fake"], HALF, "https://app.example/" + "f" * 2_048],
    "params": [5, b"code=fake", ["code"], [("code",)], [("code", 5)], {"code": 5}, {5: "fake"}, {"code": [b"fake"]}],
    "client_id": [*NO_TEXTS, "", None],
    "client_secret": ["", b"fake-bytes", 5, HALF, Secret(""), [""], [5], ["fake"] * 6],
    "client_auth": [*TEXTS, "mtls"],
    "issuer": [*NO_TEXTS, ""],
    "application_id": [*IDS, None],
    "status": [5, "off", ["active"], HALF, ""],
    "reason": TEXTS,
    "progress": [5, "fake"],
    "limit": [*NUMBERS, None],
    "before": NUMBERS,
    "below": [*NUMBERS, None],
    "share": [0, -1, 1.5, True, "0.5", float("nan"), None],
    "created_before": [NAIVE, "2026-01-01T00:00:00Z", 5, date(2026, 1, 1)],
    "retired_before": [NAIVE, "2026-01-01T00:00:00Z", 5, None],
    "key_ids": [5, str(uuid4()), b"fake-bytes", [5], ["not-a-uuid"]],
    "checkpoint": [5, {"seq": 1}, AuditHead(tenant_id=ACME, seq="1", hash=bytes(32)), AuditHead(tenant_id=ACME, seq=1, hash="fake")],
    "action": [*TEXTS, None, "é"],
    "resource": [*TEXTS, None],
    "min_ttl": [-1, float("nan"), float("inf"), True, "30", timedelta(seconds=-1), timedelta.max, 10**30],
    "credential": [5, None, {"provider": "simulated"}],
    "verify": [5, "false", None],
    "revoke_key": [5, "false", None],
    "dry_run": [5, "false", None],
    "token": [5, None, "fake"],
    "stop": [5, None, "fake", True],
    "interval": [-1, float("nan"), True, "30"],
    "once": [5, "false", None],
    "renew": [5, "false", None],
    "on_round": [5, "fake"],
}
"""By the name of a parameter, values that no method takes for it.  A parameter that is not here fails the test below."""

RIGHT = {
    "tenant_id": ACME,
    "provider": "simulated",
    "integration": UUID(int=1),
    "context_id": UUID(int=1),
    "authorization_id": UUID(int=1),
    "name": "Files of Acme",
    "inputs": {"key": "fake-key"},
    "api_key": "fake-key",
    "code": "fake-code",
    "state": "fake-state",
    "browser_token": None,
    "redirect_uri": "https://app.example/connected",
    "params": "state=fake-state",
    "client_id": "fake-client",
    "application_id": UUID(int=1),
    "actor": "alice",
    "below": 1,
    "retired_before": datetime(2020, 1, 1, tzinfo=UTC),
    "key_ids": (),
    "action": "integration.list",
    "resource": "integrations",
    "event": "report.exported",
    "credential": ImportedGrant(provider="simulated", name="Files of Acme", access_token="fake-token"),
}
METHODS = runpy.run_path(str(Path(__file__).parents[2] / "tools/api_page.py"))["METHODS"]
"""Every method of the manager and of its groups, by its dotted name."""
PARAMETERS = [
    (name, parameter)
    for name, method in METHODS.items()
    for parameter in inspect.signature(method).parameters.values()
    # `over` makes a manager: its arguments are in test_over_engine.py.
    # What a signature is told has names of its own: tests/clients/test_http.py.
    if parameter.name != "self" and not inspect.ismethod(method) and parameter.kind is not parameter.VAR_KEYWORD
]


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
    if method == "replace_refused":
        right["token"] = token
    if "integration" in right:
        right["integration"] = held.id
    if method == "edit_integration":
        right["name"] = "New name"
    if method == "worker.run":
        right["stop"] = threading.Event() if world.blocking else asyncio.Event()
    try:
        for value in WRONG[parameter.name]:
            if value is None and parameter.default is None:
                continue
            if value == {} and method == "guide":
                continue  # nothing is known yet
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
        ("granted_at", "2026-01-01T00:00:00Z"),
        ("scopes", 5),
        ("variables", {"region": 5}),
        ("provider", None),
    ],
)
def test_what_is_imported_is_read_when_it_is_made(field, value):
    kind, of = (ImportedKey, "api_key") if field.endswith("_key") else (ImportedGrant, "access_token")
    with pytest.raises(ValidationFailedError) as caught:
        kind(**{"provider": "simulated", "name": "Files of Acme", of: "fake-text", field: value})
    assert caught.value.field == _field(field)
    assert "fake" not in str(caught.value)


def test_imported_secrets_may_be_text_and_are_shown_by_nothing():
    made = ImportedGrant(provider="simulated", name="Files of Acme", access_token="fake-token", scopes="read write")
    assert made.access_token == Secret("fake-token")
    assert made.scopes == ("read", "write")
    assert "fake-token" not in repr(made)
