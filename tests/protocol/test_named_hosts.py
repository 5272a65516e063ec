"""What a provider file may say of a host that an answer names, and what is read where it must be named."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from cloud_integrations.domain.outcome import Unknown
from cloud_integrations.domain.provider import Provider
from cloud_integrations.protocol.http import HttpResponse
from cloud_integrations.protocol.minting import Minted, read_step

pytestmark = pytest.mark.requirement("Q68")
NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)
HOST = {"name": "api_host", "source": "token_reply", "in_host": True, "domains": ["cloud.example"]}
STEP = {"url": "https://cloud.example/token", "reply": {"map": {"api_host": "api.host"}}}


def a_provider(variable: dict[str, Any], *, step: dict[str, Any] | None = None, **more: Any) -> Provider:
    method = {
        "id": "key",
        "kind": "key",
        "inputs": [{"name": "token"}],
        "mint": [step or STEP],
        "present": {"headers": {"X": "{access_token}"}},
    }
    return Provider.model_validate({"id": "fake", "name": "Fake", "variables": [variable], "methods": [method], **more})


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"source": "input"}, "domains are for a host of the source token_reply"),
        ({"source": "application"}, "domains are for a host of the source token_reply"),
        ({"in_host": False}, "mark it in_host"),
        ({"choices": ["api.cloud.example"]}, "without choices and pattern"),
        ({"pattern": "^a$"}, "without choices and pattern"),
        ({"default": "evil.example"}, "default is no host of this provider"),
        ({"domains": ["example"]}, "pattern"),
        ({"domains": ["*.cloud.example"]}, "pattern"),
        ({"domains": ["Cloud.example"]}, "pattern"),
        ({"domains": []}, "give choices, a pattern or domains"),
    ],
)
def test_a_file_that_would_take_any_host_is_refused(changes: dict[str, Any], says: str) -> None:
    a_provider(HOST)
    with pytest.raises(ValueError, match=says):
        a_provider(HOST | changes)


@pytest.mark.parametrize("name", ["other", "access_token", "expires_in"])
def test_a_map_names_variables_of_the_answer_alone(name: str) -> None:
    with pytest.raises(ValueError, match="which is not read from there"):
        a_provider(HOST, step=STEP | {"reply": {"map": {name: "api.host"}}})


@pytest.mark.parametrize(
    ("check", "says"),
    [
        ({"method": "GET", "fields": {"a": "b"}}, "fields are the body of a POST"),
        ({"method": "POST", "fields": {"a": "b"}, "body": "{}"}, "leave out body"),
        ({"method": "POST", "fields": {"a": ["{token}"]}}, "a verification names token"),
    ],
)
def test_the_fields_of_a_check_are_its_only_body_and_hold_no_secret(check: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        a_provider(HOST, verifications=[{"url": "https://{api_host}/me", **check}])


@pytest.mark.parametrize("host", [None, "evil.example", 7])
@pytest.mark.parametrize("known", [(), ("api_host",)])
def test_an_answer_without_a_host_that_is_required_is_of_use_only_where_one_is_known(host: Any, known: tuple[str, ...]) -> None:
    provider = a_provider(HOST)
    answer = {"access_token": "fake-token", "api": {"host": host}}
    method = provider.methods[0]
    read = read_step(
        method.mint[0],
        HttpResponse(status=200, body=json.dumps(answer).encode()),
        provider=provider,
        method_id=method.id,
        access_token=method.access_token,
        owned=True,
        now=NOW,
        known=known,
    )
    if not known:
        assert read == Unknown("unusable_body")
    else:
        assert isinstance(read, Minted)
        assert (read.variables, read.unread) == ({}, () if host is None else ("variables",))
