"""Schemathesis reads the document and asks everything it can think of."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
import schemathesis
from schemathesis.config import SchemathesisConfig
from schemathesis.engine import events, from_schema

from cloud_integrations import Settings

CHECKS = {
    # A body can be well formed and still be refused: the provider did not accept the key or the code.
    "positive_data_acceptance": {"expected-statuses": ["2xx", "303", "400", "403", "404", "409", "422"]},
}
"""What is not as Schemathesis has it by itself, and why; all its other checks are on, and all its phases."""


def _findings(api: Any, *, examples: int) -> tuple[int, list[str]]:
    config = SchemathesisConfig.from_dict(
        {
            "seed": 1,
            "continue-on-failure": True,
            "headers": {"Authorization": "Bearer alice"},
            "parameters": {"path.tenantId": "acme"},
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
    api = make_api(token_route=True, settings=Settings(callback_url="https://app.example.com/api/v1/oauth/callback", slots=slots))
    api.host.challenges = True
    asyncio.run(api.connect_key())
    checked, found = _findings(api, examples=examples)
    assert found == []
    assert checked > 1000


@pytest.mark.repeats
@pytest.mark.requirement("ISO-16", "ISO-17")
def test_schemathesis_finds_nothing(make_sync_api):
    _explore(make_sync_api, examples=5)


@pytest.mark.repeats
@pytest.mark.requirement("ISO-16", "ISO-17")
def test_schemathesis_finds_nothing_with_slots(make_sync_api):
    _explore(make_sync_api, examples=5, slots=True)


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.requirement("ISO-16", "ISO-17")
def test_schemathesis_finds_nothing_in_a_longer_run(make_sync_api):
    _explore(make_sync_api, examples=200)
