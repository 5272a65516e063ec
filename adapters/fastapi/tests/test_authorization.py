"""Who is let in."""

from __future__ import annotations

import inspect
import logging
import threading
from uuid import uuid4

import pytest
from fastapi import FastAPI, HTTPException

from cloud_integrations import Actor, Catalogue, Settings
from cloud_integrations.errors import ForbiddenError, StorageUnavailableError
from cloud_integrations_fastapi import Denied, Permission, create_router
from cloud_integrations_fastapi.route import PERMISSION, GuardedRoute

from .paths import fill

INTEGRATIONS = "/tenants/acme/integrations"
METHODS = {"get", "post", "patch", "delete", "put"}


def _operations(api):
    """Every route of ours, as the OpenAPI document lists them."""
    document = api.app.openapi()
    return [
        (method.upper(), path, operation)
        for path, operations in document["paths"].items()
        for method, operation in operations.items()
        if method in METHODS and "integrations" in operation.get("tags", [])
    ]


@pytest.mark.requirement("ISO-10")
def test_a_router_cannot_be_made_without_an_authorizer(api):
    with pytest.raises(TypeError):
        create_router(api.manager)
    for nothing in (None, "alice", True):
        with pytest.raises(TypeError, match="authorize"):
            create_router(api.manager, authorize=nothing)
    with pytest.raises(TypeError, match="manager"):
        create_router(object(), authorize=api.host.authorize)


@pytest.mark.requirement("ISO-10", "ISO-12", "B14")
def test_every_route_has_the_check_and_a_permission(make_api):
    api = make_api(token_route=True)
    router = create_router(api.manager, authorize=api.host.authorize, token_route=True)
    assert len(router.routes) == 30
    for route in router.routes:
        assert isinstance(route, GuardedRoute)
        assert Permission(route.openapi_extra[PERMISSION])
        assert inspect.getclosurevars(route.get_route_handler()).nonlocals["permission"] == route.openapi_extra[PERMISSION]
    # Incidents are of the console.
    assert {operation[PERMISSION] for _, _, operation in _operations(api)} == set(Permission) - {"use", "incidents"}


@pytest.mark.requirement("ISO-10", "ISO-04")
@pytest.mark.parametrize("name", [None, "nobody"])
async def test_without_a_yes_every_route_says_no(make_api, name):
    api = make_api(token_route=True)
    operations = _operations(api)
    assert len(operations) == 30
    async with api.client(name, base_url="https://app.example.com") as client:
        for method, path, _ in operations:
            url = fill(path, provider="simulated")
            refused = await client.request(method, url)
            assert (refused.status_code, refused.json()["error"]["code"]) == (403, "auth/forbidden"), (method, path)
    assert len(api.host.asked) == 30


@pytest.mark.requirement("ISO-12", "ISO-04")
async def test_who_may_look_may_not_touch(make_api):
    builtin = Catalogue.builtin()
    aws = builtin.require("aws")
    settings = Settings(
        callback_url="https://app.example.com/api/v1/oauth/callback", policies={"aws": {"Statement": [{"Effect": "Allow"}]}}
    )
    api = make_api(token_route=True, more=lambda _: aws, guides=[builtin.guides_of(aws)], settings=settings)
    integration = await api.connect_key()
    async with api.client("rita", base_url="https://app.example.com") as client:
        for method, path, operation in _operations(api):
            url = fill(path, integrationId=integration["id"])
            status = (await client.request(method, url)).status_code
            assert status == (200 if operation[PERMISSION] in {"list", "read", "providers"} else 403), (method, path)


@pytest.mark.requirement("ISO-11")
async def test_a_tenant_in_the_path_counts_only_if_the_host_confirms_it(api, alice):
    foreign = await alice.get("/tenants/globex/integrations", params={"tenantId": "acme"}, headers={"X-Tenant": "acme"})
    assert foreign.status_code == 403
    body = api.key_body() | {"tenantId": "globex"}
    assert (await alice.post(INTEGRATIONS, json=body)).status_code == 422
    assert api.host.asked == [("list", "globex"), ("connect", "acme")]


async def test_a_tenant_with_a_slash_has_no_path_and_is_taken_for_no_other(api, alice):
    api.host.asked.clear()
    assert (await alice.get("/tenants/acme%2Fwest/integrations")).status_code == 404
    assert api.host.asked == []
    await alice.get(f"/tenants/acme%2Fintegrations%2F{uuid4()}/audit")
    assert api.host.asked == [(Permission.AUDIT, "acme")]


@pytest.mark.requirement("AUD-08")
async def test_a_denied_attempt_is_recorded_with_who_and_what(api):
    integration = await api.connect_key()
    async with api.client("rita") as client:
        await client.delete(f"{INTEGRATIONS}/{integration['id']}", headers={"X-Request-ID": "req-denied"})
        await client.post(INTEGRATIONS, json={})
    events = [record.event for record in await api.call("audit.list", "acme")]
    denied = [event for event in events if event.outcome == "denied"]
    assert [(event.actor.id, event.action, event.resource, event.reason) for event in denied] == [
        ("rita", "integration.connect", "integrations", "forbidden"),
        ("rita", "integration.delete", f"integration:{integration['id']}", "forbidden"),
    ]
    assert denied[1].request_id == "req-denied"


@pytest.mark.requirement("AUD-08", "ISO-11")
async def test_who_is_denied_learns_nothing_of_tenants(api):
    async with api.client("rita") as client:
        answers = [await client.get(f"/tenants/{tenant}/integrations") for tenant in ("globex", "unknown", "has%20space", "x" * 300)]
    assert {(answer.status_code, answer.content) for answer in answers} == {(403, answers[0].content)}


@pytest.mark.requirement("AUD-08")
async def test_a_denial_that_cannot_be_recorded_is_still_a_denial(api, monkeypatch, caplog):
    def broken(*args, **kwargs):
        raise StorageUnavailableError

    monkeypatch.setattr(type(api.manager.audit), "record_denied", broken)
    with caplog.at_level(logging.ERROR, "cloud_integrations.http"):
        async with api.client("rita") as client:
            refused = await client.delete(f"{INTEGRATIONS}/{uuid4()}", headers={"X-Request-ID": "req-broken"})
    assert refused.status_code == 403
    assert caplog.messages == ["request req-broken: a denied attempt could not be recorded: StorageUnavailableError"]


@pytest.mark.requirement("ISO-10")
@pytest.mark.parametrize(
    ("refusal", "status"),
    [
        (ForbiddenError(), 403),
        (PermissionError("no"), 403),
        (HTTPException(403), 403),
        (RuntimeError("the fake-secret directory is down"), 500),
    ],
)
async def test_an_authorizer_may_refuse_by_raising(api, alice, monkeypatch, refusal, status):
    async def refuse(request, permission, tenant_id):
        raise refusal

    app = FastAPI()
    app.include_router(create_router(api.manager, authorize=refuse))
    monkeypatch.setattr(api, "app", app)
    async with api.client() as client:
        answer = await client.get(INTEGRATIONS)
    assert answer.status_code == status
    assert answer.json()["error"]["code"] == ("auth/forbidden" if status == 403 else "internal")
    assert "fake-secret" not in answer.text


@pytest.mark.requirement("ISO-10")
@pytest.mark.parametrize(
    ("status", "header", "value"), [(401, "www-authenticate", 'Bearer realm="host"'), (429, "retry-after", "7")], ids=["401", "429"]
)
@pytest.mark.parametrize("path", [INTEGRATIONS, "/providers", "/oauth/callback/0f0c7f2e-8a53-5f4e-9f43-3d1f0f6d2b11?state=x"])
async def test_the_hosts_own_answers_pass_an_authorizer(api, monkeypatch, path, status, header, value):
    def answer_alone(request, permission, tenant_id):
        raise HTTPException(status, "the host's words", {header: value})

    app = FastAPI()
    app.include_router(create_router(api.manager, authorize=answer_alone))
    monkeypatch.setattr(api, "app", app)
    async with api.client() as client:
        answer = await client.get(path)
    assert (answer.status_code, answer.headers[header], answer.json()) == (status, value, {"detail": "the host's words"})


class _CallableHost:
    async def __call__(self, request, permission, tenant_id):
        return Actor(id="alice")


async def _awaited():
    return Actor(id="alice")


@pytest.mark.parametrize(
    "authorize",
    [
        pytest.param(lambda request, permission, tenant_id: Actor(id="alice"), id="plain"),
        pytest.param(lambda request, permission, tenant_id: _awaited(), id="plain-but-awaitable"),
        pytest.param(_CallableHost(), id="object"),
    ],
)
async def test_an_authorizer_may_be_plain_or_awaitable(api, monkeypatch, authorize):
    app = FastAPI()
    app.include_router(create_router(api.manager, authorize=authorize))
    monkeypatch.setattr(api, "app", app)
    async with api.client() as client:
        assert (await client.get(INTEGRATIONS)).status_code == 200


@pytest.mark.requirement("ISO-10")
async def test_a_plain_authorizer_is_told_who_asks_for_what_and_blocks_nobody(api, monkeypatch):
    asked = []

    def authorize(request, permission, tenant_id):
        asked.append((request.headers["authorization"], permission, tenant_id, threading.get_ident()))
        return Actor(id="alice")

    app = FastAPI()
    app.include_router(create_router(api.manager, authorize=authorize))
    monkeypatch.setattr(api, "app", app)
    async with api.client("alice") as client:
        assert (await client.get(INTEGRATIONS)).status_code == 200
    [(*told, thread)] = asked
    assert told == ["Bearer alice", Permission.LIST, "acme"]
    assert thread != threading.get_ident()


@pytest.mark.requirement("ISO-10")
@pytest.mark.parametrize("answer", [True, "alice", {"id": "alice"}, Denied(Actor(id="alice"))])
async def test_only_an_actor_is_a_yes(api, monkeypatch, answer):
    app = FastAPI()
    app.include_router(create_router(api.manager, authorize=lambda request, permission, tenant_id: answer))
    monkeypatch.setattr(api, "app", app)
    async with api.client() as client:
        assert (await client.get(INTEGRATIONS)).status_code == 403
        assert (await client.get("/providers")).status_code == 403
