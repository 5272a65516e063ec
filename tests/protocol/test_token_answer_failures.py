"""Failures that a token endpoint answers: what they mean, and what was done."""

from __future__ import annotations

from datetime import timedelta
from email.utils import format_datetime

import pytest

from cloud_integrations.domain.outcome import Granted, Misconfigured, NotProcessed, Refused, Rejected, Unknown
from cloud_integrations.domain.secret import Secret

from .conftest import HOUR, UNUSABLE


@pytest.mark.requirement("OAU-044")
@pytest.mark.parametrize(
    ("status", "body", "outcome"),
    [
        (400, {"error": "invalid_grant"}, Refused("invalid_grant")),
        (401, {"error": "invalid_grant"}, Refused("invalid_grant")),
        (200, {"error": "invalid_grant"}, Refused("invalid_grant")),
        (401, {"error": "invalid_client"}, Misconfigured("invalid_client")),
        (400, {"error": "invalid_client"}, Misconfigured("invalid_client")),
        (400, {"error": "unauthorized_client"}, Misconfigured("unauthorized_client")),
        (400, {"error": "invalid_scope"}, Rejected("invalid_scope")),
        (400, {"error": "invalid_request"}, Rejected("invalid_request")),
        (400, {"error": "unsupported_grant_type"}, Rejected("unsupported_grant_type")),
        (400, {"error": "consent_required"}, Refused("consent_required")),
        (400, {"error": "login_required"}, Refused("login_required")),
        (400, {"error": "interaction_required"}, Refused("interaction_required")),
        (400, {"error": "account_selection_required"}, Refused("account_selection_required")),
        (408, b"", NotProcessed("retry")),
        (407, b"<html>", NotProcessed("retry")),
        (421, {}, NotProcessed("retry")),
        (425, {"message": "too early"}, NotProcessed("retry")),
        (400, {"error": "temporarily_unavailable"}, NotProcessed("temporarily_unavailable")),
        (400, {"error": "slow_down"}, NotProcessed("slow_down")),
        (429, {"error": "invalid_grant"}, NotProcessed("rate_limited")),
        (429, b"<html>", NotProcessed("rate_limited")),
        (400, {"error": "INVALID_GRANT"}, Rejected("unknown_error")),
        (400, {"error": "made_up"}, Rejected("unknown_error")),
        (401, {"error": "invalid_token"}, Rejected("unknown_error")),
        (200, {"error": "made_up"}, Rejected("unknown_error")),
        (200, {"error": {"code": 5}}, Rejected("unknown_error")),
        (400, {"error": "server_error"}, Unknown("unknown_error")),
        (400, {"error": ["invalid_grant"]}, Rejected("unknown_error")),
        (300, {"error": "invalid_grant"}, Unknown("redirect")),
        (302, {"error": "invalid_grant"}, Unknown("redirect")),
        (500, {"error": "invalid_grant"}, Unknown("server_error")),
        (502, b"<html>", Unknown("server_error")),
        (503, {"error": "temporarily_unavailable"}, Unknown("server_error")),
    ],
)
def test_a_failure_is_one_of_a_closed_list(read, renew, answer, status, body, outcome):
    assert read(answer(body, status=status)) == outcome
    assert renew(answer(body, status=status)) == outcome


@pytest.mark.requirement("OAU-044")
@pytest.mark.parametrize(
    ("status", "body", "exchange", "renewal"),
    [
        (401, {"message": "no"}, Misconfigured("client_refused"), Rejected("refused")),
        (403, {}, Misconfigured("client_refused"), Rejected("refused")),
        (401, b"", Misconfigured("client_refused"), Rejected("refused")),
        (403, b" \n", Misconfigured("client_refused"), Rejected("refused")),
        (403, b"<html>", UNUSABLE, Rejected("refused")),
        (400, b"", UNUSABLE, Rejected("unexpected_status")),
        (400, b"<html>", UNUSABLE, Rejected("unexpected_status")),
        (400, {"errors": []}, Unknown("unexpected_status"), Rejected("unexpected_status")),
        (404, {}, Unknown("unexpected_status"), Rejected("unexpected_status")),
    ],
)
def test_a_renewal_that_was_refused_without_a_word_is_no_outage(read, renew, answer, status, body, exchange, renewal):
    assert read(answer(body, status=status)) == exchange
    assert renew(answer(body, status=status)) == renewal


@pytest.mark.parametrize(
    ("body", "outcome"),
    [
        ({"error": "made_up"}, Unknown("unknown_error")),
        ({"error": "invalid_request"}, Unknown("unknown_error")),
        ({"error": "invalid_grant"}, Refused("invalid_grant")),
    ],
)
def test_beside_what_may_be_a_token_an_error_does_not_say_that_nothing_was_done(renew, answer, tokens, body, outcome):
    answered = renew(answer(tokens(**body)))
    assert getattr(answered, "failure", answered) == outcome


@pytest.mark.parametrize("names", [{}, {"access_token": "data.key", "refresh_token": "data.again"}], ids=["usual", "own"])
@pytest.mark.parametrize("token", ["access_token", "refresh_token"])
def test_one_token_beside_an_error_is_enough_for_doubt(renew, answer, make_client, names, token):
    path = names.get(token, token).split(".")
    body = {"error": "made_up", path[0]: {path[1]: "fake-token"} if len(path) > 1 else "fake-token"}
    answered = renew(answer(body), client=make_client(reply={"map": names}))
    assert getattr(answered, "failure", answered) == Unknown("unknown_error")


def test_a_refresh_token_beside_an_error_is_kept_with_its_end_and_both_can_be_given_back(renew, answer, tokens, make_client, now):
    client = make_client(refresh_token={"lifetime_field": "refresh_ttl"})
    kept = renew(answer(tokens(error="made_up", refresh_ttl=60)), client=client)
    assert (kept.refresh_token, kept.refresh_expires_at) == (Secret("fake-refresh"), now + timedelta(seconds=60))
    assert kept.tokens == (("refresh", Secret("fake-refresh")), ("access", Secret("fake-access")))


@pytest.mark.parametrize(("status", "over"), [(500, True), (501, True), (502, False), (503, True), (504, False)])
def test_after_a_gateway_gave_up_the_server_behind_it_may_be_at_it_still(renew, answer, status, over):
    assert renew(answer({}, status=status)).over is over


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"error": "invalid_grant", "error_description": "fake prose"}, "fake prose"),
        ({"error": {"code": 190, "message": "fake prose"}}, "fake prose"),
        ({"error": "fake_word"}, "fake_word"),
        ({"message": "fake prose"}, "fake prose"),
        ({"error": "invalid_grant"}, None),
        ({"error": "invalid_client", "error_description": ["fake"]}, None),
        ({"error": {"code": 190}}, None),
        (b"<html>", None),
    ],
)
def test_what_the_provider_says_to_developers_is_carried_as_a_secret(renew, answer, body, said):
    outcome = renew(answer(body, status=400))
    assert (None if outcome.said is None else outcome.said.reveal()) == said
    assert "fake" not in repr(outcome)


@pytest.mark.requirement("OAU-044", "OAU-023")
def test_a_providers_prose_goes_nowhere(read, answer):
    outcome = read(answer({"error": "fake prose", "error_description": "fake prose", "error_uri": "https://fake.example"}, status=400))
    assert "fake" not in repr(outcome)


@pytest.mark.parametrize("error", [None, "", False])
def test_an_empty_error_member_is_none(read, answer, tokens, error):
    assert isinstance(read(answer(tokens(error=error))), Granted)


@pytest.mark.parametrize("status", [200, 201])
def test_tokens_beside_an_error_are_not_used(read, answer, tokens, status):
    refused = read(answer(tokens(error="invalid_grant"), status=status))
    assert refused.failure == Refused("invalid_grant")
    assert refused.tokens == (("refresh", Secret("fake-refresh")), ("access", Secret("fake-access")))


@pytest.mark.requirement("Q30")
def test_success_may_be_said_in_the_body(read, answer, tokens, make_client):
    client = make_client(reply={"success": [{"path": "ok", "equals": True}]})
    assert isinstance(read(answer(tokens(ok=True)), client=client), Granted)
    assert read(answer(tokens(ok=False)), client=client).failure == Unknown("unknown_error")
    assert read(answer(tokens()), client=client).failure == Unknown("unknown_error")
    assert read(answer(tokens(), status=201), client=client).failure == Unknown("unknown_error")


@pytest.mark.requirement("Q32")
@pytest.mark.parametrize(
    ("error_class", "grant", "renewal"),
    [
        ("reauthorize", Refused("invalid_grant"), None),
        ("dead", Refused("grant_dead"), None),
        ("restart", Refused("code_refused"), Rejected("unknown_error")),
        ("renew", Unknown("unknown_error"), None),
        ("denied", Rejected("denied"), None),
        ("clock_skew", Misconfigured("clock_skew"), None),
        ("wrong_region", Rejected("wrong_region"), None),
        ("client_refused", Misconfigured("client_refused"), None),
        ("platform_config", Misconfigured("platform_config"), None),
        ("retry", NotProcessed("retry"), None),
        ("wait", NotProcessed("retry"), None),
    ],
)
@pytest.mark.parametrize("status", [200, 400, 403])
def test_a_providers_own_rules_go_before_the_standards(read, renew, answer, make_client, error_class, grant, renewal, status):
    rules = [
        {"at": "api", "path": "error", "equals": "invalid_client", "class": "dead"},
        {"at": "token", "path": "error", "equals": "invalid_client", "class": error_class},
    ]
    client = make_client(provider={"error_rules": rules})
    response = answer({"error": "invalid_client"}, status=status)
    assert read(response, client=client) == grant
    assert renew(response, client=client) == (renewal or grant)


@pytest.mark.parametrize(
    ("rule", "renewal"),
    [
        ({"path": "error.code", "equals": 190}, Refused("invalid_grant")),
        ({"path": "error.code", "equals": "190"}, Rejected("unknown_error")),
        ({"path": "error.code", "equals": True}, Rejected("unknown_error")),
        ({"path": "error.causes.*.fatal", "equals": True}, Refused("invalid_grant")),
        ({"path": "error.causes.*.fatal", "equals": 1}, Rejected("unknown_error")),
        ({"path": "error.causes.*.text", "matches": "^gone"}, Refused("invalid_grant")),
        ({"status": 400}, Refused("invalid_grant")),
        ({"status": 400, "for_methods": ["code"]}, Refused("invalid_grant")),
        ({"status": 400, "for_methods": ["other"]}, Rejected("unknown_error")),
    ],
)
def test_a_rule_speaks_of_numbers_of_members_of_lists_of_a_status_and_of_its_methods(renew, answer, make_client, rule, renewal):
    client = make_client(provider={"error_rules": [{"at": "token", "class": "reauthorize", **rule}]})
    refused = {"error": {"code": 190, "causes": [{"fatal": False}, {"fatal": True, "text": "gone for good"}]}}
    assert renew(answer(refused, status=400), client=client) == renewal


def test_after_a_5xx_only_a_rule_for_that_status_is_believed(renew, answer, make_client):
    spoken = {"at": "token", "path": "error", "equals": "dead_token", "class": "dead"}
    response = answer({"error": "dead_token"}, status=500)
    assert renew(response, client=make_client(provider={"error_rules": [spoken]})) == Unknown("server_error")
    assert renew(response, client=make_client(provider={"error_rules": [{**spoken, "status": 500}]})) == Refused("grant_dead")


def test_a_rule_never_speaks_of_a_success(read, answer, tokens, make_client):
    client = make_client(provider={"error_rules": [{"at": "token", "status": 200, "class": "dead"}]})
    assert isinstance(read(answer(tokens()), client=client), Granted)


@pytest.mark.parametrize(
    ("body", "status", "reason"),
    [
        ({}, 429, "rate_limited"),
        ({"error": "slow_down"}, 400, "slow_down"),
        ({"error": "temporarily_unavailable"}, 400, "temporarily_unavailable"),
    ],
)
@pytest.mark.parametrize(
    ("text", "wait"), [("30", timedelta(seconds=30)), ("1.5", timedelta(seconds=1.5)), ("86400", HOUR), ("nonsense", None)]
)
def test_the_providers_wish_to_wait_is_honoured_up_to_an_hour(renew, answer, body, status, reason, text, wait):
    assert renew(answer(body, status=status, retry_after=text)) == NotProcessed(reason, wait)


@pytest.mark.parametrize(("status", "error"), [(429, "made_up"), (400, "slow_down")])
def test_a_wait_may_be_a_date_or_in_the_body(renew, answer, make_client, now, status, error):
    date = format_datetime(now + timedelta(seconds=30), usegmt=True)
    assert renew(answer({"error": error}, status=status, retry_after=date)).retry_after == timedelta(seconds=30)
    client = make_client(provider={"rate_limit": {"wait_path": "wait"}})
    assert renew(answer({"error": error, "wait": 7}, status=status), client=client).retry_after == timedelta(seconds=7)


@pytest.mark.requirement("REF-08")
@pytest.mark.parametrize("body", [{}, {"error": "temporarily_unavailable"}])
def test_a_503_with_a_time_to_wait_may_come_from_a_gateway_after_the_token_was_spent(renew, answer, body):
    assert renew(answer(body, status=503, retry_after="30")) == Unknown("server_error", timedelta(seconds=30))


@pytest.mark.parametrize(
    ("status", "body", "headers", "limited"),
    [
        (403, {}, {}, False),
        (403, {}, {"x_left": "1"}, False),
        (403, {}, {"x_left": " 0 "}, True),
        (403, {}, {"x_other": "0"}, True),
        (403, {}, {"retry_after": "5"}, True),
        (403, {"code": "limit"}, {}, True),
        (401, {"code": "limit"}, {"x_left": "0"}, False),
    ],
)
def test_a_limit_is_known_by_the_providers_own_signs(renew, answer, make_client, status, body, headers, limited):
    limits = {
        "statuses": [403, 429],
        "remaining": "X-Left",
        "body": [{"path": "code", "equals": "limit"}],
        "also": [{"remaining": "X-Other"}, {}],
    }
    outcome = renew(answer(body, status=status, **headers), client=make_client(provider={"rate_limit": limits}))
    assert isinstance(outcome, NotProcessed) is limited
