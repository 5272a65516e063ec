"""A provider's own inputs over HTTP: a file, a choice, a value that is no secret, and a variable."""

from __future__ import annotations

import json
import logging

import pytest

from cloud_integrations import Provider, Secret
from cloud_integrations.testing import SimulatedProvider

INTEGRATIONS = "/tenants/acme/integrations"
FIELDS = {"id", "tenantId", "providerId", "name", "status", "authType", "createdAt", "updatedAt"}
CERTIFICATE = "-----BEGIN CERTIFICATE-----\nZmFrZQ==\n-----END CERTIFICATE-----\n"


def robots(provider: SimulatedProvider) -> Provider:
    """A provider with a key, and with a file in which that key stands."""
    headers = {"Authorization": "Bearer {token}", "X-Robot": "{robot}", "X-Team": "{team}"}
    file = {
        "name": "file",
        "label": "Key file",
        "hint": "Download it from the console.",
        "form": "json",
        "must": {"type": "robot"},
        "parts": {"token": "key.token", "robot": "name"},
    }
    proof = {"one_of": "proof", "required": True}
    inputs = [
        file,
        {"name": "team", "secret": False},
        {"name": "password", **proof},
        {"name": "cert", "form": "pem", "secret": False, **proof},
    ]
    return Provider.model_validate({
        "id": "robots",
        "name": "Robots",
        "methods": [
            {"id": "token", "kind": "key", "inputs": [{"name": "token"}]},
            {"id": "file", "kind": "key", "inputs": inputs, "present": {"headers": headers}},
        ],
        "variables": [{"name": "zone", "label": "Zone", "hint": "Where it lives.", "choices": ["eu", "us"]}],
        "verifications": [
            {"url": f"{provider.base_url}/me?zone={{zone}}", "identity": ["json:id"], "status_rules": {"401": "dead"}}
        ],
        "loopback": True,
    })  # fmt: skip


def document(key: Secret, **changes: object) -> str:
    return json.dumps({"type": "robot", "name": "robby", "key": {"token": key.reveal()}, **changes})


@pytest.fixture
def api(make_api):
    return make_api(more=robots)


@pytest.fixture
def body(api):
    """Return a body that connects the robots by a file."""

    def make(inputs=None, **changes):
        by_file = {"file": document(api.provider.valid_api_key), "team": "blue", "password": "fake-password-7f3a"}
        provider = str(next(each.id for each in api.manager.list_providers() if each.slug == "robots"))
        entered = {"inputs": by_file | (inputs or {})}
        return {"providerId": provider, "name": "Our robot", "variables": {"zone": "us"}, "credentials": entered} | changes

    return make


def _fields(response):
    return {named["field"]: named["problem"] for named in response.json()["error"]["details"]["fields"]}


async def test_named_inputs_connect_and_the_answer_has_the_eight_fields_alone(api, alice, body):
    created = await alice.post(INTEGRATIONS, json=body(method="file"))
    assert created.status_code == 201, created.text
    assert created.json()["data"].keys() == FIELDS
    assert created.json()["data"]["authType"] == "apikey"
    held = await api.call("get_integration", "acme", created.json()["data"]["id"])
    assert (held.method_id, held.variables) == ("file", {"zone": "us"})
    shown = (await api.call("credential", "acme", "robots")).values()
    assert {name: value.reveal() for name, value in shown.items() if name != "token"} == {
        "robot": "robby", "team": "blue", "password": "fake-password-7f3a"
    }  # fmt: skip
    assert shown["token"] == api.provider.valid_api_key


async def test_reconnecting_takes_inputs_of_another_method_and_keeps_the_id(api, alice, body):
    held = (await alice.post(INTEGRATIONS, json=body())).json()["data"]
    one = f"{INTEGRATIONS}/{held['id']}/reconnect"
    renewed = api.provider.issue_api_key()
    by_token = await alice.post(one, json={"method": "token", "credentials": {"inputs": {"token": renewed.reveal()}}})
    assert (by_token.status_code, by_token.json()["data"]["id"], by_token.json()["data"].keys()) == (200, held["id"], FIELDS)
    assert (await api.call("get_integration", "acme", held["id"])).method_id == "token"
    short = await alice.post(one, json={"method": "token", "credentials": {"apiKey": renewed.reveal()}})
    assert short.status_code == 200
    refused = await alice.post(one, json={"method": "file", "credentials": {"inputs": {"token": renewed.reveal()}}})
    assert (refused.status_code, refused.json()["error"]["code"]) == (422, "integration/validation-failed")


async def test_a_key_can_name_its_method_and_its_variables(api, alice, body):
    entered = {"apiKey": api.provider.valid_api_key.reveal()}
    created = await alice.post(INTEGRATIONS, json=body(method="token", credentials=entered))
    assert created.status_code == 201, created.text
    assert (await api.call("get_integration", "acme", created.json()["data"]["id"])).method_id == "token"


@pytest.mark.requirement("ISO-16")
@pytest.mark.parametrize(
    ("inputs", "changes", "field"),
    [
        ({"file": '{"type": "human"}'}, {}, "credentials.inputs.file"),
        ({"file": "fake-secret-4eC39H"}, {}, "credentials.inputs.file"),
        ({"team": "fake-secret 4eC39H"}, {}, "credentials.inputs.team"),
        ({"cert": CERTIFICATE}, {}, "credentials.inputs.cert"),
        ({}, {"method": "token"}, "credentials.inputs"),
        ({}, {"method": "fake-secret-4eC39H"}, "method"),
        ({"other": "fake-secret-4eC39H"}, {}, "credentials.inputs"),
        ({}, {"variables": {}}, "variables.zone"),
        ({}, {"variables": {"zone": "fake-secret-4eC39H"}}, "variables.zone"),
        ({}, {"variables": {"zone": "us", "other": "fake-secret-4eC39H"}}, "variables"),
    ],
)
async def test_what_does_not_fit_the_method_is_named_and_not_repeated(api, alice, body, caplog, inputs, changes, field):
    with caplog.at_level(logging.DEBUG):
        refused = await alice.post(INTEGRATIONS, json=body(inputs, **changes))
    assert refused.status_code == 422
    assert [*_fields(refused)] == [field]
    for secret in ("4eC39H", "ZmFrZQ", "7f3a", api.provider.valid_api_key.reveal()):
        assert secret not in refused.text + caplog.text
    assert api.provider.requests == ()


async def test_of_a_choice_one_is_needed(alice, body, api):
    entered = {"file": document(api.provider.valid_api_key), "team": "blue"}
    refused = await alice.post(INTEGRATIONS, json=body(method="file", credentials={"inputs": entered}))
    assert _fields(refused) == {"credentials.inputs.password": "is required by this provider, or another of password, cert"}
    by_cert = await alice.post(INTEGRATIONS, json=body(credentials={"inputs": entered | {"cert": CERTIFICATE}}))
    assert by_cert.status_code == 201, by_cert.text


async def test_a_front_end_sees_what_to_ask_for(alice):
    listed = {each["slug"]: each for each in (await alice.get("/providers")).json()["data"]}
    by_token, by_file = listed["robots"]["methods"]
    assert [given["name"] for given in by_token["inputs"]] == ["token"]
    file, team, password, cert = by_file["inputs"]
    assert file == {
        "name": "file", "label": "Key file", "hint": "Download it from the console.", "required": True, "secret": True,
        "form": "json", "oneOf": None, "field": "apiKey", "patterns": []
    }  # fmt: skip
    assert (team["secret"], team["field"]) == (False, None)
    assert (password["oneOf"], cert["oneOf"], cert["form"]) == ("proof", "proof", "pem")
    assert listed["robots"]["variables"] == [
        {
            "name": "zone",
            "label": "Zone",
            "hint": "Where it lives.",
            "required": True,
            "toldBy": [],
            "pattern": None,
            "choices": ["eu", "us"],
            "default": None,
        }
    ]


async def test_a_consent_may_name_its_method_and_no_other(api, alice):
    begun = {"providerId": str(api.oauth.provider_id), "name": "Production"}
    own = next(method.id for method in api.oauth.methods)
    assert (await alice.post("/tenants/acme/authorizations", json=begun | {"method": own})).status_code == 201
    posted = begun | {"code": "fake-code", "redirectUri": "https://app.example.com/cb", "method": "another"}
    for path, refused_body in (("/tenants/acme/authorizations", begun | {"method": "another"}), (INTEGRATIONS, posted)):
        refused = await alice.post(path, json=refused_body)
        assert (refused.status_code, [*_fields(refused)]) == (422, ["method"])
    held = await api.connect_oauth()
    refused = await alice.post(f"{INTEGRATIONS}/{held['id']}/reconnect", json={"method": "another"})
    assert (refused.status_code, [*_fields(refused)]) == (422, ["method"])
    assert (await alice.post(f"{INTEGRATIONS}/{held['id']}/reconnect", json={"method": own})).status_code == 200


@pytest.mark.parametrize("path", ["/tenants/acme/authorizations", INTEGRATIONS])
async def test_a_consent_takes_variables(api, alice, path):
    sent = {"providerId": str(api.oauth.provider_id), "name": "Production", "variables": {"nowhere": "x"}}
    more = {"code": "fake-code", "redirectUri": "https://app.example.com/cb"} if path == INTEGRATIONS else {}
    assert [*_fields(await alice.post(path, json=sent | more))] == ["variables"]


def towers(provider: SimulatedProvider) -> Provider:
    """A provider whose user names tell the zone."""
    user = {"name": "user", "secret": False, "derives": [{"variable": "zone", "pattern": "^(eu|us)-.+$"}]}
    headers = {"Authorization": "Bearer {token}", "X-User": "{user}"}
    return Provider.model_validate({
        "id": "towers",
        "name": "Towers",
        "methods": [{"id": "key", "kind": "key", "inputs": [user, {"name": "token"}], "present": {"headers": headers}}],
        "variables": [{"name": "zone", "label": "Zone", "choices": ["eu", "us"]}],
        "verifications": [{"url": f"{provider.base_url}/me?zone={{zone}}", "identity": ["json:id"], "status_rules": {"401": "dead"}}],
        "loopback": True,
    })  # fmt: skip


@pytest.mark.requirement("Q56")
async def test_a_variable_that_an_input_tells_may_be_left_out_and_not_be_contradicted(make_api):
    api = make_api(more=towers)
    async with api.client() as alice:
        (listed,) = [each for each in (await alice.get("/providers")).json()["data"] if each["slug"] == "towers"]
        (zone,) = listed["variables"]
        assert (zone["name"], zone["required"], zone["toldBy"]) == ("zone", False, ["user"])

        async def connect(user, variables):
            inputs = {"user": user, "token": api.provider.valid_api_key.reveal()}
            body = {"providerId": listed["id"], "name": "Ours", "credentials": {"inputs": inputs}, "variables": variables}
            return await alice.post(INTEGRATIONS, json=body)

        for user, variables, problem in (
            ("old-7", {}, "is required by this provider, because the key does not tell it"),
            ("us-7", {"zone": "eu"}, "contradicts credentials.inputs.user, which tells us; leave it out, or enter a key that fits"),
        ):
            answer = await connect(user, variables)
            assert answer.status_code == 422
            assert _fields(answer) == {"variables.zone": problem}
        assert (await connect("us-7", {})).status_code == 201
    held = await api.call("get_integration", "acme", "towers")
    assert held.variables == {"zone": "us"}
