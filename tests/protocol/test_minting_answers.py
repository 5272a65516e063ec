"""What the answer to a step of a mint gives, and what it does not."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.protocol.minting import AT, GOOD, HOUR, NOW, answer, minted, read

from cloud_integrations.domain.outcome import Misconfigured, NotProcessed, Refused, Rejected, Unknown
from cloud_integrations.protocol.minting import Minted
from cloud_integrations.protocol.token_answer import MAX_TOKEN


def test_the_answer_of_ibm_is_read() -> None:
    body = {
        "access_token": "fake-iam",
        "refresh_token": "not_supported",
        "token_type": "Bearer",
        "expires_in": 3600,
        "expiration": AT + HOUR.seconds,
    }
    assert minted(read(answer(body))) == ({"access_token": "fake-iam"}, NOW + HOUR, ())
    by_date = {"reply": {"expires": {"path": "expiration", "encoding": "epoch_s"}}}
    assert minted(read(answer(body), **by_date)) == ({"access_token": "fake-iam"}, NOW + HOUR, ())


def test_the_answer_of_google_is_read() -> None:
    reply = {"gives": {"access_token": "accessToken"}, "expires": {"path": "expireTime", "encoding": "iso8601"}}
    body = {"accessToken": "fake-ya29", "expireTime": "2026-11-28T13:00:00.123456789Z"}
    expected = NOW + HOUR + timedelta(microseconds=123456)
    assert minted(read(answer(body), reply=reply)) == ({"access_token": "fake-ya29"}, expected, ())


@pytest.mark.requirement("Q75")
@pytest.mark.parametrize(("statuses", "status", "accepted"), [([], 201, True), ([201], 201, True), ([201], 200, False), ([], 304, False)])
def test_the_answer_of_github_is_a_201(statuses, status, accepted) -> None:
    reply = {"gives": {"access_token": "token"}, "expires": {"path": "expires_at", "encoding": "iso8601"}}
    body = {"token": "fake-ghs", "expires_at": "2026-11-28T13:00:00Z", "permissions": {"contents": "read"}, "repository_selection": "all"}
    result = read(answer(body, status=status), statuses=statuses, reply=reply)
    assert isinstance(result, Minted) is accepted


@pytest.mark.parametrize(
    "value",
    [
        "",
        " ",
        "a b",
        "a\nb",
        "fake-\r\nX-Evil: 1",
        "fake-\0",
        "fake-é",
        "x" * (MAX_TOKEN + 1),
        None,
        True,
        7,
        1.5,
        ["fake-token"],
        {"a": "b"},
        [],
    ],
    ids=lambda value: repr(value)[:20] + str(len(repr(value))),
)
def test_a_value_that_no_request_can_carry_is_unusable(value) -> None:
    assert read(answer({**GOOD, "access_token": value})) == Unknown("unusable_body")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html><body>Welcome</body></html>",
        b"<!doctype html><title>Sign in</title>",
        b"fake-token",
        b"null",
        b"[]",
        b'"fake-token"',
        b"7",
        b'{"access_token": "fake-token"',
        b'{"access_token": "fake-token", "access_token": "fake-other"}',
        b'{"access_token": ' + b"9" * 5000 + b"}",
        b'{"access_token": ' + b"[" * 5000 + b"]" * 5000 + b"}",
        b'{"a": "' + b"x" * 300_000 + b'", "access_token": "fake-token"}',
        b"\xff\xfe\x00",
        b"\x00" * 100,
    ],
    ids=lambda body: repr(body[:24]) + str(len(body)),
)
@pytest.mark.parametrize("kind", ["json", "xml"])
def test_a_page_or_a_hostile_body_gives_nothing(body, kind) -> None:
    assert read(answer(body), reply={"format": kind}) == Unknown("unusable_body")


@pytest.mark.parametrize(
    ("value", "assumed", "expires_in", "unread"),
    [
        (3600, None, HOUR, False),
        ("3600", None, HOUR, False),
        (0.5, None, timedelta(seconds=0.5), False),
        (..., None, None, False),
        (..., 7200, 2 * HOUR, False),
        (None, 7200, 2 * HOUR, False),
        (0, None, timedelta(minutes=5), True),
        (0, 7200, 2 * HOUR, True),
        (-1, None, timedelta(minutes=5), True),
        (-3600, 7200, 2 * HOUR, True),
        (10**15, None, timedelta(minutes=5), True),
        (1e300, None, timedelta(minutes=5), True),
        ("soon", None, timedelta(minutes=5), True),
        (True, None, timedelta(minutes=5), True),
        ([3600], None, timedelta(minutes=5), True),
        ({"seconds": 3600}, None, timedelta(minutes=5), True),
    ],
    ids=repr,
)
def test_a_lifetime_that_nobody_can_mean_becomes_a_short_one(value, assumed, expires_in, unread) -> None:
    body = {name: inner for name, inner in {**GOOD, "expires_in": value}.items() if inner is not ...}
    _, expires_at, members = minted(read(answer(body), facts={"assumed_lifetime": assumed}))
    assert expires_at == (None if expires_in is None else NOW + expires_in)
    assert members == (("expires_in",) if unread else ())


@pytest.mark.parametrize(
    ("encoding", "value", "good"),
    [
        ("epoch_s", AT + 3600, True),
        ("epoch_ms", str((AT + 3600) * 1000), True),
        ("iso8601", "2026-11-28T14:00:00+01:00", True),
        ("iso8601", "2026-11-28T13:00:00", False),
        ("iso8601", AT + 3600, False),
        ("iso8601", "9999-12-31T23:59:59Z", False),
        ("epoch_s", AT - 1, False),
        ("epoch_s", (AT + 3600) * 1000, False),
    ],
)
def test_a_point_in_time_is_read_by_its_encoding(encoding, value, good) -> None:
    reply = {"at": "data", "expires": {"path": "until", "encoding": encoding}}
    _, expires_at, unread = minted(read(answer({"data": {"access_token": "fake", "until": value}}), reply=reply))
    assert expires_at == (NOW + HOUR if good else NOW + timedelta(minutes=5))
    assert bool(unread) is not good


def test_a_lifetime_counts_from_when_the_request_was_sent() -> None:
    sent_at = NOW - timedelta(seconds=30)
    assert minted(read(answer(GOOD, sent_at=sent_at)))[1] == sent_at + HOUR
    assert minted(read(answer(GOOD, sent_at=None)))[1] == NOW + HOUR


@pytest.mark.parametrize(
    ("token_type", "accepted"),
    [("bearer", True), ("BEARER ", True), ("", True), (None, True), (7, True), ("DPoP", False), ("mac", False), ("N_A", False)],
)
def test_a_token_of_a_type_that_is_not_understood_is_not_used(token_type, accepted) -> None:
    assert isinstance(read(answer({**GOOD, "token_type": token_type})), Minted) is accepted
    assert isinstance(read(answer({**GOOD, "token_type": "n_a"}), reply={"token_types": ["N_A"]}), Minted)


ACCESS = "urn:ietf:params:oauth:token-type:access_token"
EXCHANGE = {"grant_type": "urn:ietf:params:oauth:grant-type:token-exchange", "requested_token_type": ACCESS}


@pytest.mark.requirement("OAU-066")
@pytest.mark.parametrize(
    ("fields", "issued", "accepted"),
    [
        (EXCHANGE, ACCESS, True),
        (EXCHANGE, None, True),
        (EXCHANGE, "urn:ietf:params:oauth:token-type:id_token", False),
        (EXCHANGE, ["x"], False),
        ({**EXCHANGE, "grant_type": "client_credentials"}, "x", True),
        ({"grant_type": EXCHANGE["grant_type"]}, "x", True),
    ],
)
def test_an_exchange_gives_the_type_of_token_that_was_asked_for(fields, issued, accepted) -> None:
    assert isinstance(read(answer({**GOOD, "issued_token_type": issued}), fields=fields), Minted) is accepted


@pytest.mark.parametrize(
    ("status", "body", "owned", "outcome"),
    [
        (400, {"error": "invalid_grant"}, False, Refused("invalid_grant")),
        (400, {"error": "invalid_grant"}, True, Refused("invalid_grant")),
        (401, {"error": "invalid_client"}, False, Misconfigured("invalid_client")),
        (401, {"error": "invalid_client"}, True, Refused("application_refused")),
        (400, {"error": "unauthorized_client"}, False, Misconfigured("unauthorized_client")),
        (400, {"error": "unauthorized_client"}, True, Refused("application_refused")),
        (200, {"error": "invalid_client", **GOOD}, True, Refused("application_refused")),
        (400, {"error": "invalid_scope"}, True, Rejected("invalid_scope")),
        (401, {}, True, Rejected("refused")),
        (401, b"<html>", False, Rejected("refused")),
        (404, b"", False, Rejected("unexpected_status")),
        (408, b"", False, NotProcessed("retry")),
        (429, {"error": "invalid_client"}, True, NotProcessed("rate_limited")),
        (500, {"error": "invalid_client"}, True, Unknown("server_error")),
        (502, b"<html>", True, Unknown("server_error")),
        (302, {"error": "invalid_client"}, True, Unknown("redirect")),
        (200, {"error": "made_up", **GOOD}, True, Unknown("unknown_error")),
    ],
    ids=repr,
)
def test_a_failure_is_one_of_a_closed_list(status, body, owned, outcome) -> None:
    assert read(answer(body, status=status), owned=owned) == outcome


def test_a_limit_says_how_long_to_wait() -> None:
    assert read(answer(b"", status=429, retry_after="30")) == NotProcessed("rate_limited", timedelta(seconds=30))


def test_a_rule_that_speaks_of_mints_goes_before_the_standard() -> None:
    rule = {"for_methods": ["keys"], "path": "error", "equals": "invalid_client", "class": "dead"}
    result = read(
        answer({"error": "invalid_client"}, status=401), provider={"error_rules": [{"at": "token", **rule}, {"at": "mint", **rule}]}
    )
    assert result == Refused("grant_dead")
    assert read(answer({"error": "invalid_client"}, status=401), provider={"error_rules": [{"at": "token", **rule}]}) != result


def test_a_success_has_what_its_tests_ask_for() -> None:
    test = [{"path": "ok", "equals": True}]
    assert isinstance(read(answer({**GOOD, "ok": True}), success=test), Minted)
    assert read(answer({**GOOD, "ok": False}), success=test) == Unknown("unknown_error")


def test_what_was_minted_is_not_shown() -> None:
    assert "fake" not in repr(read(answer(GOOD)))


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(["access_token", "expires_in", "error", "x"]), inner, max_size=4)
    ),
)


@given(value=_JSON, status=st.sampled_from([200, 201, 204, 302, 400, 401, 403, 429, 500, 503]), kind=st.sampled_from(["json", "xml"]))
def test_no_json_makes_the_reader_raise(value, status, kind) -> None:
    read(answer(json.dumps(value).encode(), status=status), reply={"format": kind})
    if isinstance(value, dict):
        read(answer(json.dumps({**GOOD, **value}).encode(), status=status), reply={"format": kind})


@given(
    body=st.binary(max_size=80) | st.text(alphabet="<>/&;!?[]a:xmlns='\" \n-", max_size=80).map(str.encode),
    status=st.sampled_from([200, 400]),
)
def test_no_bytes_make_the_reader_raise(body, status) -> None:
    for kind in ("json", "xml"):
        read(answer(body, status=status), reply={"format": kind})
        read(answer(b"<r>" + body + b"</r>", status=status), reply={"format": kind})
