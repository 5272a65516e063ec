"""What is refused before the manager is asked, and how little a refusal says."""

from __future__ import annotations

import json
import logging
from uuid import uuid4

import pytest

from cloud_integrations_fastapi.reading import is_deep

INTEGRATIONS = "/tenants/acme/integrations"
SECRET = "fake-secret-4eC39HqLyjWDarjtT1"
PROVIDER = str(uuid4())
GOOD = {"providerId": PROVIDER, "name": "Production", "credentials": {"apiKey": SECRET}}


def _fields(response):
    return {named["field"]: named["problem"] for named in response.json()["error"]["details"]["fields"]}


@pytest.mark.requirement("ISO-16", "OAU-084")
@pytest.mark.parametrize(
    ("body", "field"),
    [
        pytest.param({"providerId": PROVIDER, "credentials": {"apiKey": SECRET}}, "name", id="missing-sibling"),
        pytest.param(GOOD | {"credentials": {"secretKey": SECRET}}, "credentials.apiKey", id="missing-key"),
        pytest.param(GOOD | {"credentials": SECRET}, "credentials", id="text-for-object"),
        pytest.param(GOOD | {"credentials": [SECRET]}, "credentials", id="list-for-object"),
        pytest.param(GOOD | {"credentials": {"apiKey": [SECRET]}}, "credentials.apiKey", id="list-for-text"),
        pytest.param(GOOD | {"credentials": {"apiKey": {"key": SECRET}}}, "credentials.apiKey", id="object-for-text"),
        pytest.param(GOOD | {"credentials": {"apiKey": ""}}, "credentials.apiKey", id="empty"),
        pytest.param(GOOD | {"credentials": {"apiKey": SECRET * 1000}}, "credentials.apiKey", id="too-long"),
        pytest.param(GOOD | {"credentials": None}, "credentials", id="null"),
        pytest.param(GOOD | {"api_key": SECRET}, "api_key", id="extra-field"),
        pytest.param(GOOD | {SECRET: 1}, "body", id="secret-as-name"),
        pytest.param(GOOD | {"credentials": {"apiKey": SECRET, SECRET: SECRET}}, "credentials", id="secret-as-inner-name"),
        pytest.param(GOOD | {"providerId": SECRET}, "providerId", id="secret-as-provider"),
        pytest.param(GOOD | {"name": [SECRET]}, "name", id="list-for-name"),
        pytest.param(GOOD | {"name": SECRET * 2}, "name", id="secret-as-name-too-long"),
        pytest.param(GOOD | {"variables": {SECRET: [SECRET]}}, "variables", id="secret-in-an-unknown-field"),
        pytest.param(GOOD | {"variables": SECRET}, "variables", id="text-for-variables"),
        pytest.param(GOOD | {"variables": {"zone": [SECRET]}}, "variables.zone", id="list-for-a-variable"),
        pytest.param(GOOD | {"variables": {"zone": SECRET * 20}}, "variables.zone", id="a-variable-too-long"),
        pytest.param(GOOD | {"variables": {f"v{n}": SECRET for n in range(33)}}, "variables", id="too-many-variables"),
        pytest.param(GOOD | {"variables": {"a" * 33: [SECRET]}}, "variables", id="a-long-word-as-name"),
        pytest.param(GOOD | {"method": [SECRET]}, "method", id="list-for-method"),
        pytest.param(GOOD | {"method": SECRET * 20}, "method", id="a-method-too-long"),
        pytest.param(GOOD | {"credentials": {}}, "credentials.apiKey", id="empty-credentials"),
        pytest.param(GOOD | {"credentials": {"inputs": {}}}, "credentials.inputs", id="no-inputs"),
        pytest.param(GOOD | {"credentials": {"inputs": SECRET}}, "credentials.inputs", id="text-for-inputs"),
        pytest.param(GOOD | {"credentials": {"inputs": {"file": {"key": SECRET}}}}, "credentials.inputs.file", id="object-for-an-input"),
        pytest.param(GOOD | {"credentials": {"inputs": {"file": None}}}, "credentials.inputs.file", id="null-for-an-input"),
        pytest.param(GOOD | {"credentials": {"inputs": {"file": ""}}}, "credentials.inputs.file", id="an-empty-input"),
        pytest.param(GOOD | {"credentials": {"inputs": {"file": SECRET * 1000}}}, "credentials.inputs.file", id="an-input-too-long"),
        pytest.param(GOOD | {"credentials": {"inputs": {SECRET: "x"}}}, "credentials.inputs", id="secret-as-input-name"),
        pytest.param(GOOD | {"credentials": {"inputs": {f"v{n}": SECRET for n in range(33)}}}, "credentials.inputs", id="too-many-inputs"),
        pytest.param(GOOD | {"credentials": {"apiKey": SECRET, "inputs": {"file": SECRET}}}, "credentials.inputs", id="a-key-and-inputs"),
        pytest.param(
            GOOD | {"credentials": {"secretKey": SECRET, "inputs": {"file": SECRET}}}, "credentials.inputs", id="half-a-key-and-inputs"
        ),
        pytest.param(GOOD | {"credentials": {"inputs": {"file": SECRET}}, "code": SECRET}, "code", id="inputs-and-code"),
        pytest.param(GOOD | {"code": SECRET}, "code", id="both-ways"),
        pytest.param({"providerId": PROVIDER, "name": SECRET}, "credentials", id="no-way"),
        pytest.param({"providerId": PROVIDER, "name": "Production", "code": SECRET}, "redirectUri", id="code-alone"),
        pytest.param({"providerId": PROVIDER, "name": "Production", "redirectUri": "https://x.example"}, "code", id="redirect-alone"),
        pytest.param({"providerId": PROVIDER, "name": "Production", "state": SECRET}, "code", id="state-alone"),
        pytest.param([SECRET], "body", id="list"),
        pytest.param(SECRET, "body", id="text"),
    ],
)
async def test_a_refusal_names_the_field_and_repeats_no_value(alice, caplog, body, field):
    with caplog.at_level(logging.DEBUG):
        refused = await alice.post(INTEGRATIONS, json=body)
    assert refused.status_code == 422
    assert refused.json()["error"]["code"] == "integration/validation-failed"
    assert field in _fields(refused)
    for shown in (refused.text, str(refused.headers), caplog.text):
        assert SECRET not in shown


@pytest.mark.requirement("ISO-16", "OAU-084")
@pytest.mark.parametrize(
    "body",
    [
        pytest.param(json.dumps(GOOD)[:-1], id="unfinished"),
        pytest.param(f'{{"credentials": {SECRET}}}', id="unquoted"),
        pytest.param(f'{{"credentials": {{"apiKey": "{SECRET}\\ud800"}}}}', id="lone-surrogate"),
        pytest.param(f'{{"credentials": "{SECRET}', id="unfinished-text"),
        pytest.param(f"apiKey={SECRET}", id="form-as-json"),
        pytest.param("", id="empty"),
        pytest.param(b"\xff\xfe" + SECRET.encode(), id="no-utf-8"),
        pytest.param("NaN", id="nan"),
    ],
)
async def test_malformed_json_is_refused_without_repeating_it(alice, body):
    refused = await alice.post(INTEGRATIONS, content=body, headers={"Content-Type": "application/json"})
    assert refused.status_code == 422
    assert "body" in _fields(refused)
    assert SECRET not in refused.text


async def test_the_hosts_own_routes_keep_their_format(api):
    async with api.client(base_url="https://app.example.com") as client:
        assert (await client.post("/items", json={"name": "pen", "price": 1.5})).status_code == 200
        refused = await client.post("/items", json={"name": "pen"})
    assert refused.status_code == 422
    assert refused.json()["detail"][0]["loc"] == ["body", "price"]


@pytest.mark.requirement("ISO-17", "B19")
@pytest.mark.parametrize("length", [None, "10", "70000"])
async def test_a_body_has_at_most_64_kib_whatever_its_length_says(alice, length):
    sent = 0

    async def chunks():
        nonlocal sent
        for _ in range(64):
            sent += 1
            yield b" " * 4096

    headers = {"Content-Type": "application/json"} | ({"Content-Length": length} if length else {})
    refused = await alice.post(INTEGRATIONS, content=chunks(), headers=headers)
    assert (refused.status_code, _fields(refused)) == (422, {"body": "must have at most 64 KiB"})
    assert sent <= 18, "reading stops at the limit"


@pytest.mark.requirement("ISO-17")
async def test_a_body_of_64_kib_is_read(alice):
    body = json.dumps({"name": "Production"}).encode()
    refused = await alice.post(INTEGRATIONS, content=body.ljust(64 * 1024), headers={"Content-Type": "application/json"})
    assert "body" not in _fields(refused)


@pytest.mark.requirement("ISO-17")
@pytest.mark.parametrize("body", ["[" * 33, "[" * 60_000, '{"a":' * 33 + "1" + "}" * 33, '["\\"",' * 33])
async def test_a_body_is_nested_at_most_32_deep(alice, body):
    refused = await alice.post(INTEGRATIONS, content=body, headers={"Content-Type": "application/json"})
    assert _fields(refused) == {"body": "must be nested at most 32 deep"}


@pytest.mark.requirement("ISO-17")
@pytest.mark.parametrize(
    ("body", "deep"),
    [
        (b"[" * 32 + b"]" * 32, False),
        (b"[" * 33 + b"]" * 33, True),
        (b"[[]," * 40, True),
        (b"[" + b"[]," * 40, False),
        (b'"' + b"[" * 40 + b'"', False),
        (b'"\\"' + b"[" * 40, False),
        (b'"\\' + b"[" * 40, False),
        (b'"\\', False),
        (b'"\\"' * 20_000, False),
    ],
)
def test_depth_is_counted_outside_of_text(body, deep):
    assert is_deep(body) is deep


@pytest.mark.requirement("ISO-17")
async def test_a_query_has_at_most_8_kib(alice):
    assert (await alice.get(INTEGRATIONS, params={"x": "y" * 8190})).status_code == 200
    too_long = await alice.get(INTEGRATIONS, params={"x": "y" * 8191})
    assert (too_long.status_code, _fields(too_long)) == (422, {"query": "must have at most 8 KiB"})


@pytest.mark.requirement("ISO-17")
@pytest.mark.parametrize("name", ["ab", "x" * 51, " abc", "a\x07bc"])
async def test_a_name_has_3_to_50_visible_characters(api, alice, name):
    refused = await alice.post(INTEGRATIONS, json=api.key_body(name=name))
    assert refused.status_code == 422
    assert list(_fields(refused)) == ["name"]


@pytest.mark.requirement("ISO-18", "ISO-19", "B19")
@pytest.mark.parametrize(
    "content_type",
    [
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "text/plain; application/json",
        "application/jsonx",
        "",
    ],
)
async def test_a_body_that_a_form_can_send_is_refused(api, alice, content_type):
    integration = await api.connect_key()
    body = json.dumps(api.key_body())
    headers = {"Content-Type": content_type} if content_type else {}
    refused = await alice.post(INTEGRATIONS, content=body, headers=headers)
    assert (refused.status_code, list(_fields(refused))) == (422, ["Content-Type"])
    if content_type:
        refused = await alice.post(f"{INTEGRATIONS}/{integration['id']}/verify", headers=headers)
        assert (refused.status_code, list(_fields(refused))) == (422, ["Content-Type"])


async def test_json_may_name_its_charset(api, alice):
    headers = {"Content-Type": "Application/JSON; charset=utf-8"}
    assert (await alice.post(INTEGRATIONS, content=json.dumps(api.key_body()), headers=headers)).status_code == 201


@pytest.mark.requirement("ISO-19")
async def test_another_site_cannot_change_anything(api, alice):
    integration = await api.connect_key()
    one = f"{INTEGRATIONS}/{integration['id']}"
    foreign = {"Sec-Fetch-Site": "cross-site"}
    asked = len(api.host.asked)
    for method, path in [("POST", INTEGRATIONS), ("DELETE", one), ("PATCH", one), ("POST", f"{one}/verify"), ("POST", f"{one}/reconnect")]:
        refused = await alice.request(method, path, headers=foreign, **({"json": {}} if method == "PATCH" else {}))
        assert (refused.status_code, refused.json()["error"]["code"]) == (403, "auth/forbidden")
    assert len(api.host.asked) == asked
    assert (await alice.get(one, headers=foreign)).status_code == 200
    assert (await alice.delete(one, headers={"Sec-Fetch-Site": "same-origin"})).status_code == 200


async def test_reconnecting_takes_one_way(api, alice):
    one = f"{INTEGRATIONS}/{(await api.connect_key())['id']}"
    refused = await alice.post(f"{one}/reconnect", json={"credentials": {"apiKey": SECRET}, "scopes": []})
    assert list(_fields(refused)) == ["credentials"]
    assert (await alice.post(f"{one}/reconnect", json={})).status_code == 422


async def test_every_wrong_field_is_named_at_once(alice):
    refused = await alice.post(INTEGRATIONS, json={"providerId": 7, "name": "ab", "credentials": {}})
    assert _fields(refused) == {
        "providerId": "must be a UUID",
        "name": "must have at least 3 characters",
        "credentials.apiKey": "is required, or inputs",
    }
