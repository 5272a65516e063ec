"""Whatever a server or a browser sends, the readers end where they said they would, and show no secret."""

from __future__ import annotations

import json
from datetime import UTC
from typing import get_args

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from cloud_integrations.domain import outcome as outcomes
from cloud_integrations.domain.provider import Callback
from cloud_integrations.errors import GrantRefusedError
from cloud_integrations.protocol.authorize import KNOWN_ERRORS, CallbackAnswer, find_state, read_callback
from cloud_integrations.protocol.exchange import read_grant
from cloud_integrations.protocol.http import HttpResponse
from cloud_integrations.protocol.refresh import read_renewal
from cloud_integrations.protocol.revoke import read_revocation

from .conftest import NOW

SECRET = "fake-secret-token"
REASONS = {
    reason
    for alias in (
        outcomes.RefusedReason,
        outcomes.RejectedReason,
        outcomes.NotProcessedReason,
        outcomes.MisconfiguredReason,
        outcomes.UnknownReason,
    )
    for reason in get_args(alias)
}
REFUSALS = {
    "too_many_parameters",
    "repeated_parameter",
    "unexpected_token",
    "state_missing",
    "issuer_missing",
    "issuer_mismatch",
    "code_missing",
    "code_unusable",
}
FACTS = {
    "provider": {
        "variables": [{"name": "instance", "source": "token_reply", "pattern": "[a-z.]+", "required": False}],
        "error_rules": [
            {"at": "token", "path": "error", "equals": "expired", "class": "reauthorize"},
            {"at": "token", "status": 418, "class": "retry"},
        ],
        "rate_limit": {"statuses": [403, 429], "remaining": "x-left", "body": [{"path": "limited", "equals": True}]},
    },
    "reply": {
        "success": [{"path": "ok", "absent": False}],
        "encodings": {"refresh_token_expires_in": "epoch_ms"},
    },
    "refresh_token": {"lifetime_field": "refresh_token_expires_in"},
    "revoke": {"url": "https://login.example.com/revoke", "success": [{"path": "ok", "equals": True}]},
}
DIALECTS = [{}, FACTS, {**FACTS, "access_token": {"expiry_field": "expires_at", "expiry_encoding": "iso8601"}}]

names = st.sampled_from(
    ["error", "scope", "expires_in", "refresh_token_expires_in", "expires_at", "instance", "ok", "limited", "refresh_token", "x"]
)
leaves = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=30),
    st.sampled_from(
        [
            SECRET,
            "invalid_grant",
            "slow_down",
            "expired",
            "3600",
            "3599.5",
            "2026-11-22T13:00:00Z",
            "9999-12-31T23:59:59-14:00",
            "read write",
        ]
    ),
)
values = st.recursive(leaves, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3), max_leaves=8)
members = st.fixed_dictionaries(
    {"access_token": st.just(SECRET), "token_type": st.just("bearer")} | {},
    optional={"refresh_token": st.just(SECRET), "ok": st.just(True)},
)
bodies = st.one_of(
    st.builds(lambda usual, odd: json.dumps({**usual, **odd}).encode(), members, st.dictionaries(names, values, max_size=4)),
    st.builds(lambda value: json.dumps(value).encode(), values),
    st.binary(max_size=200).map(lambda noise: noise + SECRET.encode()),
    st.just(f"access_token={SECRET}&token_type=bearer&ok=1".encode()),
)
content_types = st.sampled_from(
    ["application/json", "application/json; charset=utf-8", "application/x-www-form-urlencoded", "text/html", ""]
)
extra_headers = st.dictionaries(st.sampled_from(["retry-after", "x-left", "location"]), st.text(max_size=30) | st.sampled_from(["0", "60"]))
responses = st.builds(
    lambda status, content_type, headers, body: HttpResponse(
        status=status, headers={**headers, "content-type": content_type}, body=body, sent_at=NOW
    ),
    st.sampled_from([200, 201, 204, 302, 400, 401, 403, 404, 418, 429, 500, 503, 599]),
    content_types,
    extra_headers,
    bodies,
)
quietly = settings(max_examples=3 * settings().max_examples, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.mark.requirement("TST-08", "OAU-045", "OAU-080")
@pytest.mark.parametrize("facts", DIALECTS, ids=["plain", "odd", "dated"])
@quietly
@given(response=responses)
def test_a_token_answer_ends_in_a_declared_outcome(make_client, facts, response):
    client = make_client(**facts)
    for outcome in (read_grant(client, response, requested_scopes=["a"], now=NOW), read_renewal(client, response, now=NOW)):
        assert isinstance(outcome, outcomes.TokenOutcome)
        assert SECRET not in repr(outcome)
        if isinstance(outcome, outcomes.Granted):
            assert response.status // 100 == 2
            assert set(outcome.unread) <= set(get_args(outcomes.UnreadMember))
            assert outcome.grant.access_token.reveal() == SECRET
            assert outcome.grant.expires_at is None or outcome.grant.expires_at.tzinfo is UTC
        elif isinstance(outcome, outcomes.Unusable):
            assert outcome.failure.reason in REASONS
            assert {kind for kind, _ in outcome.tokens} <= {"refresh", "access"}
        else:
            assert outcome.reason in REASONS


@pytest.mark.requirement("TST-08")
@pytest.mark.parametrize("facts", [{}, FACTS], ids=["plain", "odd"])
@quietly
@given(response=responses)
def test_a_revocation_ends_in_a_declared_outcome(make_client, facts, response):
    assert read_revocation(make_client(**facts), response) in {"revoked", "failed"}


callback_names = st.sampled_from(
    ["state", "code", "iss", "error", "error_description", "error_uri", "access_token", "id_token", "response", "x"]
)
callback_values = st.text(max_size=40) | st.sampled_from(["https://login.example.com", "access_denied", SECRET, "a" * 600, "a" * 5000])
callbacks = st.lists(st.tuples(callback_names | st.text(max_size=5), callback_values), max_size=24)


@pytest.mark.requirement("TST-08", "OAU-023")
@quietly
@example(params=[("code", "c"), ("x", SECRET)], issuer=None, rule="optional", ignore=(), site="x")
@given(
    params=callbacks,
    issuer=st.none() | st.just("https://login.example.com"),
    rule=st.sampled_from(["optional", "required"]),
    ignore=st.sampled_from([(), ("id_token",)]),
    site=st.sampled_from([None, "x", "code"]),
)
def test_a_callback_ends_in_an_answer_or_a_declared_refusal(params, issuer, rule, ignore, site):
    params = [("state", SECRET), *params] if len(params) % 2 else params
    assert SECRET not in repr(find_state(params))
    refused = answer = None
    try:
        answer = read_callback(params, issuer=issuer, facts=Callback(issuer=rule, ignore=ignore, site_from=site))
    except GrantRefusedError as error:
        refused = error
    if refused is not None:
        assert refused.reason in REFUSALS
        assert SECRET not in f"{refused!r}{refused.details}"
        return
    assert isinstance(answer, CallbackAnswer)
    assert SECRET not in repr(answer)
    assert (answer.code is None) is (answer.error is not None)
    assert answer.error in {None, "other", *KNOWN_ERRORS}
