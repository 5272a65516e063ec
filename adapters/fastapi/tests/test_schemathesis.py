"""Schemathesis reads the document and asks everything it can think of."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
import schemathesis
from schemathesis.config import SchemathesisConfig
from schemathesis.engine import events, from_schema
from tests.sizes import FULL

from cloud_integrations import Settings

CHECKS = {
    # A body can be well formed and still be refused: the provider did not accept the key or the code.
    "positive_data_acceptance": {"expected-statuses": ["2xx", "303", "400", "403", "404", "409", "422"]},
}
"""What is not as Schemathesis has it by itself, and why; all its other checks are on, and all its phases."""


def _findings(api: Any, *, examples: int, foreign: dict[str, Any], **pinned: str) -> tuple[int, list[str]]:
    """Explore as alice of acme; what an answer tells of *foreign*, an integration of globex, is a finding too."""
    config = SchemathesisConfig.from_dict(
        {
            "seed": 1,
            "continue-on-failure": True,
            "headers": {"Authorization": "Bearer alice"},
            "parameters": {"path.tenantId": "acme"} | {f"path.{name}": value for name, value in pinned.items()},
            "generation": {"max-examples": examples},
            "checks": CHECKS,
        }
    )
    schema = schemathesis.openapi.from_asgi("/openapi.json", api.app, config=config).include(tag="integrations")
    checked, found, phases = 0, [], set()
    for event in from_schema(schema).execute():
        if isinstance(event, events.NonFatalError | events.FatalError):
            found.append(repr(event))
        if isinstance(event, events.ScenarioFinished):
            phases.add(event.phase.name)
            for exchange in event.recorder.interactions.values():
                answer = b"" if exchange.response is None else exchange.response.content
                # An id that was asked for may be repeated; the name was told to nobody.
                if foreign["name"].encode() in answer:
                    found.append(f"{event.recorder.label}: an answer tells of another tenant")
            for check in (check for checks in event.recorder.checks.values() for check in checks):
                checked += 1
                if check.failure_info is not None:
                    failure = check.failure_info.failure
                    found.append(
                        f"{event.recorder.label}: {check.name}: {failure.title}: {failure.message}\n{check.failure_info.code_sample}"
                    )
    assert phases >= {"EXAMPLES", "COVERAGE", "FUZZING", "STATEFUL_TESTING"}
    return checked, found


def _explore(make_api: Any, *, examples: int, slots: bool = False) -> None:
    api = make_api(
        token_route=True, limited=False, settings=Settings(callback_url="https://app.example.com/api/v1/oauth/callback", slots=slots)
    )
    api.host.challenges = True
    asyncio.run(api.connect_key())
    foreign = asyncio.run(_connect_another_tenant(api))
    checked, found = _findings(api, examples=examples, foreign=foreign)
    assert found == []
    assert checked > 1000
    assert asyncio.run(_seen_by_its_own_tenant(api)) == [foreign]


async def _connect_another_tenant(api: Any) -> dict[str, Any]:
    async with api.client("bob") as client:
        answer = await client.post("/tenants/globex/integrations", json=api.key_body(name="Known to globex alone"))
    assert answer.status_code == 201
    foreign: dict[str, Any] = answer.json()["data"]
    return foreign


async def _seen_by_its_own_tenant(api: Any) -> list[dict[str, Any]]:
    async with api.client("bob") as client:
        seen: list[dict[str, Any]] = (await client.get("/tenants/globex/integrations")).json()["data"]
    return seen


@pytest.mark.slow
@pytest.mark.requirement("ISO-16", "ISO-17", "TST-07")
def test_schemathesis_finds_nothing_with_slots(make_sync_api):
    _explore(make_sync_api, examples=5, slots=True)


@pytest.mark.slow
@pytest.mark.requirement("ISO-04", "TST-07")
@pytest.mark.parametrize("tenant", ["acme", "globex"])
def test_schemathesis_reaches_nothing_of_another_tenant_by_its_id(make_sync_api, tenant):
    api = make_sync_api(token_route=True, limited=False)
    api.host.challenges = True
    foreign = asyncio.run(_connect_another_tenant(api))
    _, found = _findings(api, examples=2, foreign=foreign, tenantId=tenant, integrationId=foreign["id"])
    assert found == []
    assert asyncio.run(_seen_by_its_own_tenant(api)) == [foreign]


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.requirement("ISO-16", "ISO-17", "TST-07")
def test_schemathesis_finds_nothing_in_a_longer_run(make_sync_api):
    _explore(make_sync_api, examples=200 if FULL else 50)
