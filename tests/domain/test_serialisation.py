"""What is shown of a value has its properties too, and no secret."""

from __future__ import annotations

import dataclasses
import json
from datetime import UTC, datetime, timedelta, timezone
from uuid import UUID

import httpx
import pytest
from fastapi import FastAPI
from pydantic import TypeAdapter

import cloud_integrations
from cloud_integrations import AuditHead, AuditReport, AuthType, CheckReport, Credential, Integration, Secret
from cloud_integrations.documents import CheckOut, CredentialOut, IntegrationDetailOut, TokenOut
from cloud_integrations.domain.audit_check import AuditProblem
from cloud_integrations.domain.integration import AccountFacts, State
from cloud_integrations.domain.serialisation import Serialisable, to_camel

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
ID = UUID("0190a0b0-0000-7000-8000-000000000001")

INTEGRATION = Integration(
    id=ID,
    tenant_id="acme",
    provider_id=ID,
    name="Files of Acme",
    auth_type=AuthType.OAUTH2,
    state=State.NEEDS_REAUTH,
    state_since=NOW,
    reason="revoked",
    created_at=NOW,
    updated_at=NOW,
    scopes=("read", "write"),
    account=AccountFacts(account_id="1", label="Ada"),
    variables={"site": "eu"},
    method_id="code",
)
REPORT = CheckReport(integration_id=ID, outcome="alive", account=AccountFacts(), checked_at=NOW)
HEAD = AuditHead(tenant_id="acme", seq=2, hash=b"\xff" * 32)
AUDIT = AuditReport(tenant_id="acme", checked=2, head=HEAD, problems=(AuditProblem(seq=1, kind="gap"),))
VALUES = [INTEGRATION, REPORT, AUDIT]
CREDENTIAL = Credential(
    parts={"access_token": Secret("fake-token")},
    variables={},
    integration_id=ID,
    provider_id=ID,
    auth_type=AuthType.OAUTH2,
)

over_values = pytest.mark.parametrize("value", VALUES, ids=lambda value: type(value).__name__)


@over_values
def test_fields_and_properties_are_shown_and_ready_for_json(value):
    shown = value.as_dict()
    properties = {name for name, member in vars(type(value)).items() if isinstance(member, property)}
    assert properties
    assert shown.keys() == {field.name for field in dataclasses.fields(value)} | properties
    assert json.loads(json.dumps(shown)) == shown


@over_values
def test_pydantic_shows_the_same_and_reads_it_back(value):
    adapter = TypeAdapter(type(value))
    written = adapter.dump_json(value)
    assert json.loads(written) == value.as_dict()
    assert adapter.validate_json(written) == value
    assert set(adapter.json_schema(mode="serialization")["properties"]) == value.as_dict().keys()


def test_json_has_the_same_in_camel_case_but_for_names_that_are_data():
    shown = dataclasses.replace(INTEGRATION, variables={"data_centre": "eu"}).as_json()
    assert (shown["tenantId"], shown["createdAt"], shown["account"]["accountId"]) == ("acme", "2026-01-01T12:00:00Z", "1")
    assert shown["variables"] == {"data_centre": "eu"}
    assert shown.keys() == {to_camel(name) for name in INTEGRATION.as_dict()}


@pytest.mark.parametrize(
    "document", [IntegrationDetailOut.of(INTEGRATION), CheckOut.of(REPORT), TokenOut.of(CREDENTIAL)], ids=lambda value: type(value).__name__
)
def test_a_document_is_the_same_by_itself_and_through_pydantic(document):
    assert TypeAdapter(type(document)).dump_python(document, mode="json", by_alias=True) == document.as_json()


def test_a_credential_is_shown_in_the_open_only_where_that_is_asked_for():
    shown, revealed = CredentialOut.of(CREDENTIAL).as_json(), TokenOut.of(CREDENTIAL)
    assert revealed.as_json() == shown | {
        "value": "fake-token",
        "secret": None,
        "headers": {"Authorization": "Bearer fake-token"},
        "params": {},
    }
    assert "fake-token" not in repr(revealed)


def test_an_integration_is_shown_in_the_public_words():
    shown = dataclasses.replace(INTEGRATION, state_since=NOW.astimezone(timezone(timedelta(hours=2)))).as_dict()
    assert (shown["status"], shown["health"], shown["auth_type"]) == ("inactive", "reconnect_required", "oauth2")
    assert shown["advice"] == "The tenant must reconnect this integration."
    assert (shown["id"], shown["state_since"], shown["expires_at"]) == (str(ID), "2026-01-01T12:00:00Z", None)
    assert (shown["scopes"], shown["account"], shown["variables"]) == (
        ["read", "write"],
        {"account_id": "1", "label": "Ada"},
        {"site": "eu"},
    )


async def test_a_route_of_fastapi_that_returns_integrations_shows_their_health():
    app = FastAPI()

    @app.get("/")
    def integrations() -> list[Integration]:
        return [INTEGRATION]

    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
        assert (await client.get("/")).json() == [INTEGRATION.as_dict()]
        shown = (await client.get("/openapi.json")).json()["components"]["schemas"]["Integration"]["properties"]
    assert {"status", "health", "advice"} <= shown.keys()


def test_every_public_value_with_properties_and_without_secrets_is_serialisable():
    named = [getattr(cloud_integrations, name) for name in cloud_integrations.__all__]
    values = [value for value in named if isinstance(value, type) and dataclasses.is_dataclass(value)]
    derived = [value for value in values if any(isinstance(member, property) for member in vars(value).values())]
    secret = [value for value in derived if "Secret" in str([field.type for field in dataclasses.fields(value)])]
    assert {value.__name__ for value in derived if not issubclass(value, Serialisable)} == {value.__name__ for value in secret}
    assert not [value for value in secret if issubclass(value, Serialisable)]
