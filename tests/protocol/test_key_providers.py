"""Each provider whose access is a key is asked its own way, and its answers are read its own way."""

from __future__ import annotations

import base64
import json
from datetime import timedelta

import pytest

from cloud_integrations.domain.provider import fill
from cloud_integrations.domain.secret import Secret
from cloud_integrations.protocol.http import HttpResponse, find_json_members
from cloud_integrations.protocol.pasted_keys import clean
from cloud_integrations.protocol.rate_limit import read_wait
from cloud_integrations.protocol.verification import find_check, read_check
from cloud_integrations.providers import Catalogue

from .checks import presented_by, request_of
from .conftest import NOW
from .key_providers import KEYS, Key
from .plain_key_providers import PLAIN_KEYS
from .service_key_providers import SERVICE_KEYS
from .work_key_providers import WORK_KEYS

ALL_KEYS = (*KEYS, *PLAIN_KEYS, *SERVICE_KEYS, *WORK_KEYS)

over_keys = pytest.mark.parametrize("key", [pytest.param(key, id=f"{key.slug}-{key.method}") for key in ALL_KEYS])


def setting(key: Key):
    provider = Catalogue.builtin().require(key.slug)
    method = provider.method_named(key.method)
    assert method is not None
    return provider, method, {name: Secret(text) for name, text in key.inputs.items()}, provider.fill_variables(key.variables)


@over_keys
@pytest.mark.requirement("OAU-052", "Q46", "Q47", "Q58")
def test_the_check_carries_the_key_where_the_provider_says(key) -> None:
    provider, method, parts, variables = setting(key)
    request = request_of(provider, parts, variables, method)
    assert f"{request.method} {request.url}" == key.request
    for name, template in key.headers.items():
        assert request.headers[name] == fill(template, key.inputs)
    secrets = [key.inputs[each.name] for each in method.inputs if each.secret and each.name in key.inputs]
    assert not any(secret in request.url for secret in secrets)
    assert not [value for name, value in request.headers.items() if name not in key.headers and any(secret in value for secret in secrets)]


@pytest.mark.requirement("Q59", "Q60", "Q61", "Q70")
@pytest.mark.parametrize(
    ("key", "answer"),
    [pytest.param(key, answer, id=f"{key.slug}-{key.method}-{index}") for key in ALL_KEYS for index, answer in enumerate(key.answers)],
)
def test_its_answers_are_read(key, answer) -> None:
    status, body, outcome, account, label = answer
    provider, method, parts, variables = setting(key)
    check = find_check(provider, method, variables=variables)
    assert check is not None
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    response = HttpResponse(status=status, headers={"content-type": "application/json"}, body=content)
    presented = presented_by(method, parts, variables)
    result = read_check(provider, method, check, response, presented=presented, variables=variables, now=NOW)
    assert (result.outcome, result.account.account_id, result.account.label) == (outcome, account, label)


@over_keys
@pytest.mark.requirement("Q53")
def test_keys_of_the_published_form_are_taken_without_a_hint(key) -> None:
    _, method, parts, _ = setting(key)
    entered = [each for each in method.inputs if each.name in parts]
    assert all(each.looks_right(key.inputs[each.name]) for each in entered)


@pytest.mark.requirement("Q64")
@pytest.mark.parametrize(
    ("slug", "headers", "seconds"),
    [
        ("circleci", {"ratelimit-remaining": "0", "ratelimit-reset": "42"}, 42),
        (
            "anthropic",
            {"anthropic-ratelimit-tokens-remaining": "0", "anthropic-ratelimit-tokens-reset": (NOW + timedelta(seconds=42)).isoformat()},
            42,
        ),
        ("datadog", {"x-ratelimit-remaining": "0", "x-ratelimit-reset": "42"}, 42),
        ("datadog", {"x-ratelimit-reset": "42", "retry-after": "7"}, 7),
        ("confluent_cloud", {"x-ratelimit-remaining": "0", "x-ratelimit-reset": "42"}, 42),
        ("docker_hub", {"x-ratelimit-remaining": "0", "x-ratelimit-reset": str(int(NOW.timestamp()) + 42)}, 42),
        ("docker_hub", {"x-retry-after": str(int(NOW.timestamp()) + 42)}, 42),
        ("fastly", {"fastly-ratelimit-remaining": "0", "fastly-ratelimit-reset": str(int(NOW.timestamp()) + 42)}, 42),
        ("launchdarkly", {"x-ratelimit-route-remaining": "0", "x-ratelimit-reset": f"{int(NOW.timestamp()) + 42}000"}, 42),
        ("openai", {"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "42s"}, 42),
        ("openai", {"x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": "1m12s"}, 72),
        ("pagerduty", {"ratelimit-remaining": "0", "ratelimit-reset": "42"}, 42),
        ("railway", {"x-ratelimit-remaining": "0", "retry-after": "42"}, 42),
        ("render", {"ratelimit-remaining": "0", "ratelimit-reset": "42"}, 42),
        ("sentry", {"x-sentry-rate-limit-remaining": "0", "x-sentry-rate-limit-reset": str(int(NOW.timestamp()) + 42)}, 42),
        ("vercel", {"x-ratelimit-remaining": "0", "x-ratelimit-reset": str(int(NOW.timestamp()) + 42)}, 42),
    ],
)
def test_the_wait_is_read_from_the_providers_own_headers(slug, headers, seconds) -> None:
    limits = Catalogue.builtin().require(slug).rate_limit
    wait = read_wait(limits, HttpResponse(status=429, headers=headers), None, now=NOW)
    assert wait is not None
    assert wait.total_seconds() == seconds


@pytest.mark.requirement("Q49")
@pytest.mark.parametrize(
    ("slug", "method", "pasted", "header"),
    [
        ("fly_io", "token", "FlyV1 {}", "FlyV1 {}"),
        ("fly_io", "token", "Authorization: Bearer FlyV1 {}", "FlyV1 {}"),
        ("fly_io", "token", "{}", "FlyV1 {}"),
        ("aiven", "token", "aivenv1 {}", "aivenv1 {}"),
        ("pagerduty", "api_key", "Token token={}", "Token token={}"),
        ("elastic_cloud", "api_key", "Authorization: ApiKey {}", "ApiKey {}"),
    ],
)
def test_a_scheme_that_was_pasted_with_the_key_is_sent_once(slug, method, pasted, header) -> None:
    key = next(each for each in ALL_KEYS if (each.slug, each.method) == (slug, method))
    provider, by, parts, variables = setting(key)
    [(name, part)] = parts.items()
    cleaned = clean(pasted.format(part.reveal()), by, by.inputs[0])
    request = request_of(provider, {name: Secret(cleaned)}, variables, by)
    assert request.headers["Authorization"] == header.format(part.reveal())


@pytest.mark.requirement("Q50")
@pytest.mark.parametrize(
    ("slug", "method", "user", "password"),
    [
        ("confluent_cloud", "cloud_api_key", "F" * 16, "f" * 64),
        ("sentry", "legacy_api_key", "fake-key", ""),
        ("twilio", "api_key", "SK" + "0" * 32, "fake-key-secret"),
        ("twilio", "account_sid_token", "AC" + "0" * 32, "f" * 32),
        ("upcloud", "basic", "ada", "fake password"),
        ("zendesk", "api_token", "ada@acme.example/token", "f" * 40),
    ],
)
def test_basic_holds_what_the_provider_calls_user_and_password(slug, method, user, password) -> None:
    provider, by, parts, variables = setting(next(each for each in ALL_KEYS if (each.slug, each.method) == (slug, method)))
    scheme, _, encoded = request_of(provider, parts, variables, by).headers["Authorization"].partition(" ")
    assert (scheme, base64.b64decode(encoded).decode()) == ("Basic", f"{user}:{password}")


@pytest.mark.requirement("Q48")
@pytest.mark.parametrize("slug", ["anthropic", "fastly", "new_relic", "scaleway"])
def test_a_key_with_a_header_of_its_own_is_in_no_authorization(slug) -> None:
    provider, by, parts, variables = setting(next(each for each in ALL_KEYS if each.slug == slug))
    assert "authorization" not in {name.lower() for name in request_of(provider, parts, variables, by).headers}


def test_a_list_is_read_by_positions() -> None:
    assert find_json_members(b'[{"id": "a"}, 7]') == {"0": {"id": "a"}, "1": 7}
    assert find_json_members(b"[]") == {}
    assert find_json_members(b'{"id": "a"}') == {"id": "a"}
    assert [find_json_members(body) for body in (b"7", b"null", b"<html>", b"")] == [None] * 4
