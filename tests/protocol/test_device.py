"""The device authorization grant (RFC 8628): requests, the answers to them, and how often the provider is asked."""

from __future__ import annotations

from datetime import timedelta
from urllib.parse import parse_qsl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloud_integrations.domain.device import DEFAULT_INTERVAL, LONGEST_INTERVAL, backed_off, longer
from cloud_integrations.domain.outcome import Misconfigured, NotProcessed, Rejected, Unknown
from cloud_integrations.domain.secret import Secret
from cloud_integrations.errors import ProviderInactiveError, ValidationFailedError
from cloud_integrations.protocol.device import (
    GRANT_TYPE,
    LONGEST_LIFE,
    UNKNOWN_LIFE,
    Ended,
    Waiting,
    build_device_request,
    build_poll,
    read_device_code,
    read_wait,
)

CODE = {
    "device_code": "fake-device-code",
    "user_code": "WDJB-MJHT",
    "verification_uri": "https://example.com/device",
    "expires_in": 900,
    "interval": 7,
}
DEVICE = {"url": "https://login.example.com/device"}


@pytest.fixture
def client(make_client):
    return make_client(device=DEVICE)


def form_of(request):
    return dict(parse_qsl(request.body.decode()))


def test_both_requests_authenticate_as_the_token_endpoint_wants_it(client):
    asked = build_device_request(client, scopes=("read", "write"))
    assert (asked.method, asked.url) == ("POST", "https://login.example.com/device")
    assert form_of(asked) == {"scope": "read write"}
    polled = build_poll(client, device_code=Secret("fake-device-code"))
    assert polled.url == "https://login.example.com/token"
    assert form_of(polled) == {"grant_type": GRANT_TYPE, "device_code": "fake-device-code"}
    assert all(request.headers["Authorization"].startswith("Basic ") for request in (asked, polled))
    assert "fake-device-code" not in repr(polled)


def test_a_flow_for_public_clients_sends_the_client_id_alone(make_client):
    client = make_client(
        device={**DEVICE, "client_auth": "none"},
        scopes={"offline": ["offline_access"], "extra_lists": {"user_scope": ["chat"]}},
        token_params={"audience": "api"},
    )
    asked = build_device_request(client, scopes=())
    assert form_of(asked) == {"client_id": "client-1", "scope": "offline_access", "user_scope": "chat"}
    polled = build_poll(client, device_code=Secret("fake-device-code"))
    assert form_of(polled) == {
        "audience": "api", "client_id": "client-1", "device_code": "fake-device-code", "grant_type": GRANT_TYPE,
    }  # fmt: skip
    assert not any("Authorization" in request.headers for request in (asked, polled))


def test_scopes_that_the_registration_fixes_are_not_sent(make_client):
    client = make_client(device=DEVICE, scopes={"fixed": True})
    assert build_device_request(client, scopes=("read",)).body == b""


def test_a_method_without_such_an_endpoint_is_refused(make_client):
    with pytest.raises(ValidationFailedError, match="does not work by device code"):
        build_device_request(make_client(), scopes=())


def test_a_method_that_works_by_device_code_alone_has_its_own_context(make_client):
    alone = make_client(kind="device", authorize_url=None, device=DEVICE)
    assert (alone.authorize_url, alone.device_url) == (None, DEVICE["url"])
    assert alone.context_id != make_client(device=DEVICE).context_id
    with pytest.raises(ProviderInactiveError):
        make_client(authorize_url=None)


def test_a_device_code_is_read_with_what_the_person_is_shown(client, answer, now):
    complete = "https://example.com/device?user_code=WDJB-MJHT"
    code = read_device_code(client, answer({**CODE, "verification_uri_complete": complete}), now=now)
    assert (code.device_code.reveal(), code.user_code.reveal()) == ("fake-device-code", "WDJB-MJHT")
    assert (code.verification_uri, code.verification_uri_complete) == ("https://example.com/device", complete)
    assert (code.expires_at - now, code.interval) == (timedelta(minutes=15), timedelta(seconds=7))
    assert "WDJB" not in repr(code)


@pytest.mark.requirement("OAU-063")
@pytest.mark.parametrize(
    "page",
    [
        "http://example.com/device",
        "javascript:alert(1)",
        "https://user@example.com/device",
        "https://example.com/device#fragment",
        "https://example.com/\ndevice",
        "https:///device",
        "https://example.com/" + "a" * 2048,
        "",
        None,
        7,
        ["https://example.com/device"],
    ],
)
def test_only_an_https_page_is_shown_to_a_person(client, answer, now, page):
    assert read_device_code(client, answer({**CODE, "verification_uri": page}), now=now) == Unknown("unusable_body")
    code = read_device_code(client, answer({**CODE, "verification_uri_complete": page}), now=now)
    assert code.verification_uri_complete is None


def test_a_link_with_the_code_leads_nowhere_else_than_the_page(client, answer, now):
    code = read_device_code(client, answer({**CODE, "verification_uri_complete": "https://evil.example/device"}), now=now)
    assert code.verification_uri_complete is None


def test_googles_name_for_the_page_is_known(client, answer, now):
    body = {name: value for name, value in CODE.items() if name != "verification_uri"}
    code = read_device_code(client, answer({**body, "verification_url": "https://example.com/device"}), now=now)
    assert code.verification_uri == "https://example.com/device"


@pytest.mark.requirement("OAU-060")
@pytest.mark.parametrize(
    ("members", "life", "interval"),
    [
        ({"interval": ...}, 900, 5),
        ({"interval": None}, 900, 5),
        ({"interval": "7"}, 900, 7),
        ({"interval": 0}, 900, 1),
        ({"interval": -3}, 900, 5),
        ({"interval": 1e18}, 900, LONGEST_INTERVAL.total_seconds()),
        ({"interval": [7]}, 900, 5),
        ({"expires_in": ...}, UNKNOWN_LIFE.total_seconds(), 7),
        ({"expires_in": "soon"}, UNKNOWN_LIFE.total_seconds(), 7),
        ({"expires_in": -1}, UNKNOWN_LIFE.total_seconds(), 7),
        ({"expires_in": "1800"}, 1800, 7),
        ({"expires_in": 1e18}, LONGEST_LIFE.total_seconds(), 7),
    ],
)
def test_odd_times_become_times_that_can_be_used(client, answer, now, members, life, interval):
    body = {name: value for name, value in {**CODE, **members}.items() if value is not ...}
    code = read_device_code(client, answer(body), now=now)
    assert ((code.expires_at - now).total_seconds(), code.interval.total_seconds()) == (life, interval)


@pytest.mark.parametrize(
    ("body", "status", "outcome"),
    [
        ({**CODE, "device_code": ...}, 200, Unknown("unusable_body")),
        ({**CODE, "device_code": "has space"}, 200, Unknown("unusable_body")),
        ({**CODE, "user_code": ...}, 200, Unknown("unusable_body")),
        ({**CODE, "user_code": " padded "}, 200, Unknown("unusable_body")),
        ({**CODE, "user_code": "A" * 65}, 200, Unknown("unusable_body")),
        ({**CODE, "user_code": "A\u202eB"}, 200, Unknown("unusable_body")),
        ({**CODE, "user_code": 12345}, 200, Unknown("unusable_body")),
        ({**CODE, "expires_in": 0}, 200, Unknown("unusable_body")),
        (b"<html>", 200, Unknown("unusable_body")),
        ({"error": "invalid_client"}, 401, Misconfigured("invalid_client")),
        ({"error": "unauthorized_client"}, 400, Misconfigured("unauthorized_client")),
        ({"error": "invalid_scope"}, 400, Rejected("invalid_scope")),
        # GitHub answers 200 with an error.
        ({"error": "device_flow_disabled"}, 200, Rejected("unknown_error")),
        ({"error": "temporarily_unavailable"}, 503, Unknown("server_error")),
        ({"message": "slow"}, 429, NotProcessed("rate_limited")),
        ({}, 302, Unknown("redirect")),
        ({}, 404, Rejected("unexpected_status")),
    ],
)
def test_an_answer_without_a_usable_code_says_why(client, answer, now, body, status, outcome):
    if isinstance(body, dict):
        body = {name: value for name, value in body.items() if value is not ...}
    assert read_device_code(client, answer(body, status=status), now=now) == outcome


@pytest.mark.requirement("OAU-061")
@pytest.mark.parametrize("status", [200, 400, 500])
@pytest.mark.parametrize(
    ("body", "says"),
    [
        ({"error": "authorization_pending"}, Waiting()),
        ({"error": "authorization_pending", "interval": 9}, Waiting(interval=timedelta(seconds=9))),
        ({"error": "slow_down"}, Waiting(slow_down=True)),
        ({"error": "slow_down", "interval": "10"}, Waiting(slow_down=True, interval=timedelta(seconds=10))),
        ({"error": "slow_down", "interval": -1}, Waiting(slow_down=True)),
        ({"error": "access_denied"}, Ended("access_denied")),
        ({"error": "authorization_declined"}, Ended("access_denied")),
        ({"error": "expired_token"}, Ended("expired_token")),
        ({"error": "token_expired"}, Ended("expired_token")),
        ({"error": "invalid_grant"}, None),
        ({"error": ["slow_down"]}, None),
        ({"access_token": "fake-access", "token_type": "Bearer"}, None),
        # Tokens are kept, whatever stands beside them.
        ({"error": "authorization_pending", "access_token": "fake-access"}, None),
        ({"error": "access_denied", "refresh_token": "fake-refresh"}, None),
        (b"<html>", None),
        (b"", None),
    ],
)
def test_the_answers_of_this_flow_are_told_from_all_others(client, answer, body, says, status):
    assert read_wait(client, answer(body, status=status)) == says


@pytest.mark.requirement("OAU-060")
def test_slow_down_adds_five_seconds_and_the_longer_interval_wins():
    five, nine = timedelta(seconds=5), timedelta(seconds=9)
    assert longer(DEFAULT_INTERVAL, None) == five
    assert longer(five, None, slow_down=True) == timedelta(seconds=10)
    assert longer(five, nine, slow_down=True) == timedelta(seconds=10)
    assert longer(five, timedelta(seconds=30), slow_down=True) == timedelta(seconds=30)
    assert longer(nine, five) == nine


@pytest.mark.requirement("OAU-061")
@given(st.lists(st.sampled_from(["wait", "slow", "lost"]), max_size=30), st.integers(0, 1000))
def test_the_time_between_polls_never_becomes_shorter_and_has_a_bound(answers, named):
    interval = DEFAULT_INTERVAL
    for what in answers:
        asked = timedelta(seconds=named)
        following = backed_off(interval) if what == "lost" else longer(interval, asked, slow_down=what == "slow")
        assert interval <= following <= LONGEST_INTERVAL
        assert following > interval or what == "wait" or following == LONGEST_INTERVAL
        interval = following
