"""An account is connected by the provider's own inputs, through both managers."""

from __future__ import annotations

import json

import pytest

from cloud_integrations.domain.importing import ImportedKey
from cloud_integrations.domain.provider import Input, Method, Present, Provider, Variable, Verification
from cloud_integrations.domain.secret import Secret
from cloud_integrations.errors import (
    IntegrationExistsError,
    IntegrationNotFoundError,
    InvalidCredentialsError,
    ProviderUnavailableError,
    ValidationFailedError,
)
from cloud_integrations.testing import Misbehaviour

from .conftest import ACME


def robots(world) -> Provider:
    """A provider with a key, and with a file in which that key stands."""
    url = world.provider.base_url
    shown = Present(headers={"Authorization": "Bearer {token}", "X-Robot": "{robot}", "X-Team": "{team}"})
    file = Input(name="file", form="json", must={"type": "robot"}, parts={"token": "key.token", "robot": "name"})
    return Provider(
        id="robots",
        name="Robots",
        methods=(
            Method(id="token", kind="key", inputs=(Input(name="token"),)),
            Method(id="file", kind="key", inputs=(file, Input(name="team", secret=False, patterns=("t-.+",))), present=shown),
        ),
        variables=(Variable(name="zone", pattern="[a-z]+", default="eu"),),
        verifications=(Verification(url=f"{url}/me?zone={{zone}}", identity=("json:id",), status_rules={401: "dead"}),),
        loopback=True,
    )


def document(key: Secret, **changes: object) -> str:
    return json.dumps({"type": "robot", "name": "robby", "key": {"token": key.reveal()}, **changes})


async def test_a_file_is_connected_by_its_parts_and_replaced_by_another(world):
    door = world.open(providers=[robots(world)], applications=[])
    inputs = {"file": document(world.provider.valid_api_key), "team": "t-1"}
    held = await door.add(ACME, "robots", name="Our robot", inputs=inputs, variables={"zone": "us"})
    assert (held.method_id, held.variables, held.auth_type) == ("file", {"zone": "us"}, "apikey")
    shown = await door.credential(ACME, "robots")
    assert shown.values() == {"token": world.provider.valid_api_key, "robot": Secret("robby"), "team": Secret("t-1")}
    sent = {"Authorization": f"Bearer {world.provider.valid_api_key.reveal()}", "X-Robot": "robby", "X-Team": "t-1"}
    assert shown.headers() == sent
    assert sent.items() <= world.sent[-1].headers.items()
    assert world.sent[-1].url.endswith("?zone=us")

    renewed = world.provider.issue_api_key()
    again = await door.reconnect(ACME, held.id, inputs={"file": document(renewed, name="robot 2"), "team": "t-2"})
    assert (again.id, again.name, again.variables) == (held.id, held.name, held.variables)
    assert (await door.credential(ACME, "robots")).values()["token"] == renewed
    with pytest.raises(IntegrationExistsError):
        await door.add(ACME, "robots", name="Another", inputs=inputs)


@pytest.mark.requirement("OAU-085")
@pytest.mark.parametrize("public", [(), ("robot",)])
async def test_a_document_is_secret_as_a_whole_but_for_what_the_provider_file_marks_public(world, public):
    entry = robots(world)
    method = entry.methods[1]
    file = method.inputs[0].model_copy(update={"public": public})
    method = method.model_copy(update={"inputs": (file, *method.inputs[1:])})
    door = world.open(providers=[entry.model_copy(update={"methods": (entry.methods[0], method)})], applications=[])
    extra = {"extra": {"note": "fake-note-of-a-tenant", "host": "fake-host.example"}}
    inputs = {"file": document(world.provider.valid_api_key, **extra), "team": "t-1"}
    held = await door.add(ACME, "robots", name="Our robot", inputs=inputs)
    values = (await door.credential(ACME, "robots")).values()
    assert values.keys() == {"token", "robot", "team"}
    assert not any("fake-note" in value.reveal() or "fake-host" in value.reveal() for value in values.values())
    # What is stored beside the sealed parts, told, recorded and shown holds no member of the document.
    told = repr([held, await door.list_integrations(ACME), world.events(), world.facts.told, world.tables.integrations])
    for member in ("fake-note", "fake-host", world.provider.valid_api_key.reveal(), "robby"):
        assert member not in told


@pytest.mark.requirement("B10", "ISO-05")
@pytest.mark.parametrize(
    "value", ["{token}", "{robot}", "${connection.globex.token}", "{{integrations.globex}}", "%(token)s", "{proof:token}"]
)
async def test_a_value_of_a_tenant_is_never_read_as_a_template(world, value):
    door = world.open(providers=[robots(world)], applications=[])
    await world.door.add_api_key("globex", f"{world.provider.slug}_keys", name="Of Globex", api_key=world.provider.issue_api_key())
    inputs = {"file": document(world.provider.valid_api_key, name=value), "team": "t-1"}
    await door.add(ACME, "robots", name="Our robot", inputs=inputs)
    shown = await door.credential(ACME, "robots")
    assert shown.headers()["X-Robot"] == world.sent[-1].headers["X-Robot"] == value
    assert shown.values()["robot"] == Secret(value)


@pytest.mark.requirement("OAU-085")
async def test_a_document_without_named_parts_is_one_sealed_secret(world):
    entry = robots(world)
    file = Input(name="token", form="json")
    shown = Present(headers={"Authorization": f"Bearer {world.provider.valid_api_key.reveal()}"})
    method = Method(id="whole", kind="key", inputs=(file,), present=shown)
    door = world.open(providers=[entry.model_copy(update={"methods": (method,)})], applications=[])
    whole = json.dumps({"password": "fake-password", "extra": {"host": "fake-host.example"}})
    held = await door.add(ACME, "robots", name="Our robot", inputs={"token": whole})
    assert (await door.credential(ACME, "robots")).values() == {"token": Secret(whole)}
    told = repr([held, await door.list_integrations(ACME), world.events(), world.facts.told, world.tables.integrations])
    assert "fake-host" not in told
    assert "fake-password" not in told


async def test_a_method_is_found_by_its_inputs_or_named(world):
    door = world.open(providers=[robots(world)], applications=[])
    key = world.provider.valid_api_key
    assert (await door.add(ACME, "robots", name="By token", inputs={"token": key})).method_id == "token"
    by_file = await door.reconnect(ACME, "robots", inputs={"file": document(key), "team": "t-1"}, method="file")
    assert by_file.method_id == "file"
    with pytest.raises(ValidationFailedError) as caught:
        await door.reconnect(ACME, "robots", inputs={"token": key}, method="file")
    assert caught.value.field == "credentials.inputs"
    assert "it has file, team" in caught.value.problem


@pytest.mark.parametrize(
    ("inputs", "field"),
    [
        ({"file": '{"type": "human"}', "team": "t-1"}, "credentials.inputs.file"),
        ({"file": '{"type": "robot"}', "team": "t-1"}, "credentials.inputs.file"),
        ({"file": "{}", "team": "a b"}, "credentials.inputs.file"),
        ({"token": "fake key"}, "credentials.inputs.token"),
        ({"token": "AKIAFAKEFAKEFAKEFAKE"}, "credentials.inputs.token"),
        ({"tokn": "fake"}, "credentials.inputs"),
    ],
)
async def test_what_is_no_credential_is_refused_before_anything_is_sent(world, inputs, field):
    door = world.open(providers=[robots(world), *world.entries], applications=[])
    with pytest.raises(ValidationFailedError) as caught:
        await door.add(ACME, "robots", name="Our robot", inputs=inputs)
    assert caught.value.field == field
    assert world.sent == []
    assert await door.list_integrations(ACME) == ()


async def test_what_the_provider_refuses_is_not_stored_and_an_outage_is_no_refusal(world):
    door = world.open(providers=[robots(world)], applications=[])
    with pytest.raises(InvalidCredentialsError):
        await door.add(ACME, "robots", name="Our robot", inputs={"file": document(world.provider.invalid_api_key), "team": "t-1"})
    world.provider.misbehave(Misbehaviour.ERROR_BEFORE, endpoint="me")
    with pytest.raises(ProviderUnavailableError):
        await door.add(ACME, "robots", name="Our robot", inputs={"file": document(world.provider.valid_api_key), "team": "t-1"})
    assert await door.list_integrations(ACME) == ()
    with pytest.raises(IntegrationNotFoundError):
        await door.reconnect(ACME, "robots", inputs={"token": world.provider.valid_api_key})


async def test_an_unusual_value_is_told_by_its_label_alone(world):
    door = world.open(providers=[robots(world)], applications=[])
    inputs = {"file": document(world.provider.valid_api_key), "team": "fake-team"}
    await door.add(ACME, "robots", name="Our robot", inputs=inputs)
    [told] = [fact for fact in world.facts.told if fact.name == "key_format.unusual"]
    assert "team" in str(told)
    assert "fake-team" not in str(told)


async def test_a_key_may_name_its_method(world):
    door = world.open(providers=[robots(world)], applications=[])
    key = world.provider.valid_api_key
    assert (await door.add_api_key(ACME, "robots", name="Our robot", api_key=key, method="token")).method_id == "token"
    with pytest.raises(ValidationFailedError) as caught:
        await door.replace_api_key(ACME, "robots", api_key=key, method="nothing")
    assert (caught.value.field, caught.value.problem) == ("method", "must be one of token, file for this provider and credentials")


@pytest.mark.parametrize("verify", [True, False])
async def test_inputs_that_the_application_holds_are_imported(world, verify):
    door = world.open(providers=[robots(world)], applications=[])
    inputs = {"file": document(world.provider.valid_api_key), "team": "t-1"}
    imported = ImportedKey(provider="robots", name="Our robot", inputs=inputs, method="file", variables={"zone": "us"})
    assert world.provider.valid_api_key.reveal() not in repr(imported)
    held = await door.import_credential(ACME, imported, verify=verify)
    assert (held.method_id, held.variables) == ("file", {"zone": "us"})
    assert (await door.credential(ACME, "robots")).values()["robot"] == Secret("robby")


async def test_an_import_is_refused_by_the_field_that_is_wrong(world):
    door = world.open(providers=[robots(world)], applications=[])
    with pytest.raises(ValidationFailedError) as caught:
        await door.import_credential(ACME, ImportedKey(provider="robots", name="Our robot", inputs={"file": "{}", "team": "t-1"}))
    assert caught.value.field == "credentials.inputs.file"
    with pytest.raises(ValidationFailedError) as caught:
        await door.import_credential(ACME, ImportedKey(provider="robots", name="Our robot", api_key="fake", method="nothing"))
    assert caught.value.field == "method"


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({}, "apiKey"),
        ({"inputs": {}}, "credentials.inputs"),
        ({"inputs": {"token": "fake"}, "api_key": "fake"}, "inputs"),
        ({"inputs": {"token": "fake"}, "secret_key": "fake"}, "inputs"),
        ({"inputs": {"token": "fake"}, "method": 5}, "method"),
    ],
)
def test_an_imported_credential_is_a_key_or_inputs(values, field):
    with pytest.raises(ValidationFailedError) as caught:
        ImportedKey(provider="robots", name="Our robot", **values)
    assert caught.value.field == field


async def test_a_provider_lists_the_variables_that_a_tenant_may_give(world):
    entry = robots(world)
    more = (Variable(name="host", pattern=".+", source="application"), Variable(name="site", pattern=".+", source="token_reply"))
    needed = Variable(name="needed", choices=("a", "b"), label="Needed", hint="One of two.")
    door = world.open(providers=[entry.model_copy(update={"variables": (*entry.variables, *more, needed)})], applications=[])
    (listed,) = await door.list_providers()
    assert [(each.name, each.label, each.required, each.default) for each in listed.variables] == [
        ("zone", "zone", False, "eu"),
        ("needed", "Needed", True, None),
    ]
    assert (listed.variables[1].choices, listed.variables[1].hint) == (("a", "b"), "One of two.")
    file, team = listed.methods[1].inputs
    assert (file.form, file.one_of, team.form, team.argument) == ("json", None, "text", None)


async def test_a_consent_may_name_the_method_of_the_application_alone(world):
    door = world.open()
    slug = world.provider.slug
    method = next(entry.methods[0].id for entry in world.entries if entry.id == slug)
    assert (await door.begin_oauth(ACME, slug, name="Our files", method=method)).url
    calls = (
        lambda: door.begin_oauth(ACME, slug, name="Our files", method="another"),
        lambda: door.add_oauth_code(ACME, slug, name="Our files", code="fake", redirect_uri="https://x.example", method="another"),
    )
    for call in calls:
        with pytest.raises(ValidationFailedError) as caught:
            await call()
        assert (caught.value.field, method in caught.value.problem) == ("method", True)
