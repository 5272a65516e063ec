"""The OpenAPI document: committed, complete, and true."""

from __future__ import annotations

import json
import re
from importlib.metadata import version
from pathlib import Path
from uuid import uuid4

import pytest
from fastapi import FastAPI
from fastapi.security import APIKeyCookie

from cloud_integrations import Settings, __version__
from cloud_integrations.domain.identifiers import tenant_id
from cloud_integrations.errors import ValidationFailedError
from cloud_integrations_fastapi import create_router

from .paths import fill

COMMITTED = Path(__file__).parents[3] / "docs/reference/openapi.json"
CALLBACK = "https://app.example.com/api/v1/oauth/callback"
CODES = {
    *("integration/not-found", "integration/already-exists", "integration/invalid-credentials", "integration/oauth-error"),
    *("integration/validation-failed", "integration/reconnect-required", "integration/inactive", "integration/busy"),
    "integration/frozen",
    "request/too-many",
    *("application/not-found", "application/in-use", "webhook/not-found"),
    *("provider/not-found", "provider/inactive", "tenant/not-found", "auth/forbidden", "storage/unavailable", "internal"),
}


def _document(api):
    app = FastAPI(title="cloud_integrations", version=__version__)
    app.include_router(create_router(api.manager, authorize=api.host.authorize, token_route=True))
    return app.openapi()


def _operations(document):
    return [(method, path, told) for path, methods in document["paths"].items() for method, told in methods.items()]


def test_the_committed_document_is_the_one_that_is_served(api):
    if version("fastapi") == "0.120.0":
        pytest.skip("the document is written with the locked version; the oldest words it otherwise")
    written = json.dumps(_document(api), indent=2, ensure_ascii=False) + "\n"
    assert COMMITTED.read_text(encoding="utf-8") == written, "write it again: python tools/openapi.py"


def test_every_error_code_has_an_example_that_is_an_error(api):
    shown = set()
    for _, _, told in _operations(_document(api)):
        for status, answer in told["responses"].items():
            if int(status) < 400 or status == "401":  # which is the host's
                continue
            examples = answer["content"]["application/json"]["examples"]
            assert examples
            for example in examples.values():
                assert example["value"].keys() == {"success", "error"}
                assert example["value"]["error"].keys() == {"code", "message", "details"}
                shown.add(example["value"]["error"]["code"])
    assert shown == CODES


def test_every_body_and_answer_has_an_example(api):
    for method, path, told in _operations(_document(api)):
        assert ("requestBody" in told) is (method in {"post", "patch"} and not path.endswith(("/verify", "/poll", "/test")))
        if "requestBody" in told:
            (content,) = told["requestBody"]["content"].values()
            assert content["examples"]
        success = next(answer for status, answer in told["responses"].items() if status.startswith("20"))
        if path.endswith("/oauth/result"):
            assert success["content"].keys() == {"text/html"}
        elif path.endswith("/icon.svg"):
            assert success["content"].keys() == {"image/svg+xml"}
        else:
            assert success["content"]["application/json"]["example"]
        assert told["summary"]
        assert told["description"]


@pytest.mark.parametrize("slots", [False, True])
@pytest.mark.requirement("ISO-04", "ISO-07", "B09")
async def test_foreign_missing_and_malformed_ids_have_the_same_answer(make_api, slots):
    """Generated from the document, so that a new route cannot be forgotten."""
    api = make_api(token_route=True, limited=False, settings=Settings(callback_url=CALLBACK, slots=slots, events=True))
    foreign = [(await api.connect_key("globex", "bob"))["id"]]
    missing = [str(uuid4()), "00000000-0000-0000-0000-000000000000"]
    malformed = ["1", "no-uuid", "%00", "..%2e", foreign[0].replace("-", ""), f"{{{foreign[0]}}}", "x" * 300]
    bodies = {
        "patch": {"name": "Another"},
        "resource": {"resource": "north"},
        "reconnect": {"credentials": {"apiKey": api.provider.issue_api_key().reveal()}},
    }
    walked = 0
    async with api.client(base_url="https://app.example.com") as client:
        for method, path, told in _operations(_document(api)):
            if "{integrationId}" not in path:
                continue
            walked += 1
            body = bodies.get(method) or bodies.get(path.rpartition("/")[2])
            answers = []
            for one in (*foreign, *missing, *malformed):
                url = path.replace("{tenantId}", "acme").replace("{integrationId}", one)
                answer = await client.request(method.upper(), url, **({"json": body} if "requestBody" in told else {}))
                headers = sorted((name, value) for name, value in answer.headers.items() if name != "x-request-id")
                answers.append((answer.status_code, answer.content, headers))
            assert answers == [answers[0]] * len(answers), (method, path)
            if path.endswith("/audit"):
                assert answers[0][:2] == (200, b'{"data":[]}')
            else:
                assert answers[0][0] == 404
                assert json.loads(answers[0][1])["error"]["code"] == "integration/not-found"
    assert walked == 9


@pytest.mark.requirement("ISO-04")
async def test_what_is_another_tenants_stays_as_it_was(make_api):
    api = make_api(token_route=True)
    integration = await api.connect_key("globex", "bob")
    async with api.client("bob") as client:
        path = f"/tenants/globex/integrations/{integration['id']}"
        before = (await client.get(path)).content
        async with api.client("alice") as other:
            await other.patch(path.replace("globex", "acme"), json={"status": "inactive"})
            await other.delete(path.replace("globex", "acme"))
            assert (await other.delete(path)).status_code == 403
        assert (await client.get(path)).content == before


async def test_a_method_that_a_path_does_not_have_is_answered_with_those_it_has(make_api):
    api = make_api(token_route=True)
    async with api.client(base_url="https://app.example.com") as client:
        for path, methods in _document(api)["paths"].items():
            answer = await client.request(
                "TRACE",
                fill(path),
            )
            assert (answer.status_code, answer.headers["allow"]) == (405, ", ".join(sorted(method.upper() for method in methods)))


def test_the_document_says_how_people_sign_in_and_a_host_says_it_in_its_own_way(make_api):
    api = make_api()
    document = _document(api)
    assert document["components"]["securitySchemes"]["signIn"]["scheme"] == "bearer"
    for _, path, told in _operations(document):
        assert told["security"] == [{"signIn": []}, *([{}] if told["operationId"] == "complete_posted_authorization" else [])], path
        assert set(told["responses"]["401"]) == {"description", "headers"}
    app = FastAPI()
    app.include_router(create_router(api.manager, authorize=api.host.authorize, security=[APIKeyCookie(name="session", auto_error=False)]))
    assert app.openapi()["components"]["securitySchemes"] == {"APIKeyCookie": {"type": "apiKey", "in": "cookie", "name": "session"}}


@pytest.mark.parametrize(
    ("text", "visible"),
    [
        ("acme", True),
        ("Ströme/ü:1", True),
        ("a b", False),
        ("a\nb", False),
        ("a\u200bb", False),
        ("a\xa0b", False),
        ("\u3000", False),
        ("", False),
    ],
)
def test_the_pattern_of_a_tenant_is_the_one_that_is_enforced(api, text, visible):
    (schema,) = {
        json.dumps(parameter["schema"], sort_keys=True)
        for _, path, told in _operations(_document(api))
        for parameter in told.get("parameters", [])
        if parameter["name"] == "tenantId" and parameter["in"] == "path"
    }
    assert bool(re.search(json.loads(schema)["pattern"], text)) is visible
    try:
        assert tenant_id(text) == text
    except ValidationFailedError:
        assert not visible
    else:
        assert visible
