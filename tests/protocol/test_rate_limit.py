"""What a provider says of its limits: one reading for token answers, checks of credentials and revocations."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cloud_integrations.domain.credential import Presented
from cloud_integrations.domain.outcome import NotProcessed
from cloud_integrations.domain.provider import Provider, RateLimit
from cloud_integrations.domain.secret import Secret
from cloud_integrations.protocol.http import HttpResponse
from cloud_integrations.protocol.rate_limit import MAX_WAIT, is_rate_limited, read_wait
from cloud_integrations.protocol.refresh import read_renewal
from cloud_integrations.protocol.verification import read_check
from cloud_integrations.providers import Catalogue

from .conftest import NOW

EPOCH = int(NOW.timestamp())
HOUR = timedelta(hours=1)


def wait_of(limits=None, /, *, status=429, body=None, **headers) -> float | None:
    response = HttpResponse(status=status, headers={name.replace("_", "-"): text for name, text in headers.items()})
    found = read_wait(RateLimit.model_validate(limits or {}), response, body, now=NOW)
    return None if found is None else found.total_seconds()


@pytest.mark.parametrize(
    ("text", "wait"),
    [
        ("0", 0),
        ("120", 120),
        ("1.5", 1.5),
        (" 30 ", 30),
        ("120.000", 120),
        ("999999", 3600),
        ("9999999999", 3600),
        ("Sun, 22 Nov 2026 12:00:30 GMT", 30),
        ("Sun, 22 Nov 2026 12:00:30 -0000", 30),
        ("Sun, 22 Nov 2026 11:00:00 GMT", 0),
        ("Sun, 22 Nov 2099 11:00:00 GMT", 3600),
        ("", None),
        ("-1", None),
        ("1.5.2", None),
        ("NaN", None),
        ("1e3", None),
        ("٣", None),
        ("soon", None),
        ("9" * 4000, None),
    ],
)
def test_retry_after_is_seconds_decimals_or_a_date_and_cut_at_an_hour(text, wait):
    assert wait_of(retry_after=text) == wait
    assert wait_of(status=503, retry_after=text) == wait


@pytest.mark.parametrize(
    ("written", "text", "wait"),
    [
        ("epoch_s", str(EPOCH + 60), 60),
        ("epoch_s", f"{EPOCH + 60}.5", 60.5),
        ("epoch_s", str(EPOCH - 60), 0),
        ("epoch_s", "9" * 19, 3600),
        ("epoch_s", "soon", None),
        ("epoch_ms", str((EPOCH + 60) * 1000 + 250), 60.25),
        ("delta_s", "60", 60),
        ("delta_s", "0.25", 0.25),
        ("delta_s", "-5", None),
        ("iso8601", "2026-11-22T12:01:00Z", 60),
        ("iso8601", "2026-11-22T13:01:00+01:00", 60),
        ("iso8601", "2026-11-22T12:01:00", 60),
        ("iso8601", "tomorrow", None),
        ("http_date", "Sun, 22 Nov 2026 12:01:00 GMT", 60),
        ("http_date", "60", None),
        ("structured", '"default";r=0;t=60', 60),
        ("structured", '"burst";r=0;t=2, "daily";r=0;t=90', 90),
        ("structured", '"burst";r=0;t=2, "daily";r=7;t=90', 2),
        ("structured", '"default"; t = 60', 60),
        ("structured", '"default";r=0', None),
        ("structured", "60", None),
        ("duration_text", "1s", 1),
        ("duration_text", "6m0s", 360),
        ("duration_text", "250ms", 0.25),
        ("duration_text", "1m500ms", 60.5),
        ("duration_text", "59m1.5s", 3541.5),
        ("duration_text", "1d2h", 3600),
        ("duration_text", "60", 60),
        ("duration_text", "", None),
        ("duration_text", "1.2.3s", None),
        ("duration_text", "a while", None),
    ],
)
def test_a_reset_is_read_in_its_declared_format(written, text, wait):
    assert wait_of({"reset": "X-Reset", "reset_format": written}, x_reset=text) == wait


@pytest.mark.parametrize(
    ("left", "wait"),
    [
        ("0", 60),
        ("0.0", 60),
        ("-3", 60),
        ("7", None),
        ("many", None),
        (None, 60),
    ],
)
def test_a_reset_says_nothing_while_requests_are_left(left, wait):
    headers = {} if left is None else {"x_left": left}
    assert wait_of({"remaining": "X-Left", "reset": "X-Reset", "reset_format": "delta_s"}, x_reset="60", **headers) == wait


def test_structured_fields_say_in_one_header_what_is_left_and_for_how_long():
    limits = {"remaining": "RateLimit", "reset": "RateLimit", "reset_format": "structured", "statuses": [403]}
    assert wait_of(limits, status=403, ratelimit='"a";r=0;t=9') == 9
    assert wait_of(limits, status=403, ratelimit='"a";r=1;t=9') is None
    assert wait_of(limits, status=429, ratelimit='"a";r=1;t=9') is None


def test_retry_after_comes_before_a_wait_in_the_body_and_that_before_a_reset():
    limits = {"reset": "X-Reset", "reset_format": "delta_s", "wait_path": "error.wait", "assumed_wait": 5}
    assert wait_of(limits, retry_after="1", x_reset="3", body={"error": {"wait": 2}}) == 1
    assert wait_of(limits, x_reset="3", body={"error": {"wait": 2}}) == 2
    assert wait_of(limits, x_reset="3", body={"error": {}}) == 3
    assert wait_of(limits, body=None) == 5


@pytest.mark.parametrize(
    ("value", "wait"),
    [
        (2, 2),
        (0.25, 0.25),
        ("4", 4),
        ("3.5s", 3.5),
        ("later", None),
        (True, None),
        (-1, None),
        (None, None),
        ([1], None),
        (1e400, None),
        (10**30, 3600),
    ],
)
def test_a_wait_in_the_body_is_seconds_or_a_text_with_units(value, wait):
    assert wait_of({"wait_path": "retry_after"}, body={"retry_after": value}) == wait


def test_a_wait_may_stand_in_any_member_of_a_list():
    body = {"error": {"details": [{"reason": "RATE_LIMIT_EXCEEDED"}, {"retryDelay": "12.5s"}]}}
    assert wait_of({"wait_path": "error.details.*.retryDelay"}, body=body) == 12.5


def test_a_reset_and_an_assumed_wait_are_for_limits_alone():
    limits = {"reset": "X-Reset", "reset_format": "delta_s", "assumed_wait": 60}
    assert wait_of(limits, status=503, x_reset="60") is None
    assert wait_of(limits, status=503, x_reset="60", retry_after="5") == 5


def test_any_of_the_header_families_may_speak():
    limits = {
        "remaining": "X-Left",
        "reset": "X-Reset",
        "statuses": [403],
        "also": [{"retry_after": "X-Wait"}, {"reset": "Y-Reset", "reset_format": "delta_s"}],
    }
    assert wait_of(limits, x_wait="7") == 7
    assert wait_of(limits, y_reset="8") == 8
    assert wait_of(limits, x_left="0", x_reset=str(EPOCH + 9), y_reset="8") == 9


@pytest.mark.parametrize(
    ("slug", "status", "headers", "wait"),
    [
        ("cloudflare", 429, {"ratelimit": '"default";r=0;t=30'}, 30),
        ("cloudflare", 429, {"x-ratelimit-remaining": "0", "x-ratelimit-reset": "Sun, 22 Nov 2026 12:00:30 GMT"}, 30),
        ("digitalocean", 429, {"ratelimit-remaining": "0", "ratelimit-reset": str(EPOCH + 30)}, 30),
        ("github", 403, {"x-ratelimit-remaining": "0", "x-ratelimit-reset": str(EPOCH + 30)}, 30),
        ("github", 429, {"x-ratelimit-remaining": "4999", "x-ratelimit-reset": str(EPOCH + 30)}, 60),
        ("gitlab", 429, {"ratelimit-remaining": "0", "ratelimit-reset": str(EPOCH + 30)}, 30),
        ("hetzner_cloud", 429, {"ratelimit-remaining": "0", "ratelimit-reset": str(EPOCH + 30)}, 30),
        ("linode", 429, {"x-ratelimit-remaining": "0", "x-ratelimit-reset": str(EPOCH + 30)}, 30),
        ("okta", 429, {"x-rate-limit-remaining": "0", "x-rate-limit-reset": str(EPOCH + 30)}, 30),
        ("slack", 429, {"retry-after": "30"}, 30),
    ],
)
def test_each_providers_way_of_saying_when_is_read(slug, status, headers, wait):
    limits = Catalogue.builtin().require(slug).rate_limit
    response = HttpResponse(status=status, headers=headers)
    assert is_rate_limited(limits, response, None)
    found = read_wait(limits, response, None, now=NOW)
    assert found is not None
    assert found.total_seconds() == wait


_HEADERS = st.dictionaries(
    st.sampled_from(["retry-after", "x-left", "x-reset"]),
    st.one_of(st.text(max_size=40), st.sampled_from(["0", "1", "60", '"a";r=0;t=5', "5m", "Sun, 22 Nov 2026 12:00:30 GMT"])),
)
_BODY = st.one_of(
    st.none(), st.fixed_dictionaries({"wait": st.one_of(st.text(max_size=9), st.floats(), st.integers(), st.booleans(), st.none())})
)
_FORMATS = st.sampled_from(["epoch_s", "epoch_ms", "delta_s", "iso8601", "http_date", "structured", "duration_text"])


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(status=st.sampled_from([400, 403, 429, 503]), headers=_HEADERS, body=_BODY, written=_FORMATS)
def test_whatever_comes_token_answers_and_checks_read_the_same_limit_and_wait(make_client, status, headers, body, written):
    limits = {"remaining": "X-Left", "reset": "X-Reset", "reset_format": written, "wait_path": "wait", "statuses": [403]}
    facts = {"rate_limit": limits, "verifications": [{"url": "https://a.example/me", "status_rules": {}}]}
    client = make_client(provider=facts)
    provider: Provider = client.provider
    content = b"" if body is None else json.dumps(body).encode()
    response = HttpResponse(status=status, headers={**headers, "content-type": "application/json"}, body=content)
    renewal = read_renewal(client, response, now=NOW)
    presented = Presented(parts={"access_token": Secret("fake-token")})
    check = read_check(provider, provider.methods[0], provider.verifications[0], response, presented=presented, variables={}, now=NOW)
    assert check.retry_after is None or timedelta() <= check.retry_after <= MAX_WAIT == HOUR
    if isinstance(renewal, NotProcessed):
        assert (renewal.reason, renewal.retry_after) == ("rate_limited", check.retry_after)


@pytest.mark.parametrize(
    ("status", "message", "wait"),
    [
        (403, "You have exceeded a secondary rate limit. Please wait a few minutes before you try again.", timedelta(minutes=1)),
        (429, "anything", timedelta(minutes=1)),
        (403, "Resource not accessible by personal access token", None),
    ],
)
def test_a_secondary_limit_of_github_is_a_limit_and_waits_a_minute(status, message, wait) -> None:
    limits = Catalogue.builtin().require("github").rate_limit
    response = HttpResponse(status=status, headers={"x-ratelimit-remaining": "4999"})
    assert is_rate_limited(limits, response, {"message": message}) is (wait is not None)
    assert read_wait(limits, response, {"message": message}, now=NOW) == wait
