from __future__ import annotations

import base64
import hashlib
import json
import re
from datetime import timedelta
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest

from cloud_integrations.testing import FixedClock, SimulatedProvider, token_id

from .simulated_requests import FORM, ask, come_back, error_of, exchange, post, refresh, who_am_i

# Authorization


@pytest.mark.parametrize("auto_approve", [False, True])
def test_a_person_who_approves_brings_back_code_state_and_issuer(auto_approve):
    provider = SimulatedProvider(auto_approve=auto_approve)
    answer = come_back(provider)
    assert answer.keys() == {"context", "code", "state", "iss"}
    assert answer["state"] == "fake-state"
    assert answer["iss"] == provider.base_url


def test_a_person_who_denies_brings_back_an_error():
    provider = SimulatedProvider()
    answer = parse_qs(urlsplit(provider.sign_in(ask(provider), approve=False)).query)
    assert answer["error"] == ["access_denied"]
    assert "code" not in answer


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"response_type": "token"}, "unsupported_response_type"),
        ({"code_challenge": None}, "invalid_request"),
        ({"code_challenge_method": "plain"}, "invalid_request"),
    ],
)
def test_a_faulty_request_is_sent_back_with_an_error(changes, error):
    assert come_back(SimulatedProvider(), **changes)["error"] == error


def test_a_provider_may_do_without_a_challenge_and_then_takes_no_verifier():
    provider = SimulatedProvider(require_pkce=False)
    without = {"code_challenge": None, "code_challenge_method": None}
    assert "code" in come_back(provider, **without)
    assert come_back(provider, code_challenge_method=None)["error"] == "invalid_request"


@pytest.mark.parametrize(
    "changes",
    [
        {"client_id": "fake-other"},
        {"redirect_uri": None},
        {"redirect_uri": "javascript:alert(1)"},
        {"redirect_uri": "https://a.example/#x"},
    ],
)
def test_a_request_that_cannot_be_sent_back_shows_a_complaint(changes):
    provider = SimulatedProvider()
    with pytest.raises(ValueError, match="status 400"):
        provider.sign_in(ask(provider, **changes))


def test_a_parameter_that_comes_twice_shows_a_complaint():
    provider = SimulatedProvider()
    with pytest.raises(ValueError, match="status 400"):
        provider.sign_in(ask(provider) + "&state=other")


def test_state_may_be_left_out():
    assert "state" not in come_back(SimulatedProvider(), state=None)


def test_a_redirect_uri_without_a_query_gets_one():
    provider = SimulatedProvider(auto_approve=True)
    assert provider.sign_in(ask(provider, redirect_uri="https://host.example/cb")).startswith("https://host.example/cb?code=")


def test_the_consent_page_is_self_contained_and_answers_once():
    provider = SimulatedProvider(account="<b>acct</b>")
    page = provider.handle("GET", "/authorize", query=urlsplit(ask(provider, scope="<script>")).query)
    text = page.body.decode()
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "form-action 'self' https://host.example;" in policy
    style = re.search(r"<style>(.*?)</style>", text, re.DOTALL)[1]
    assert base64.b64encode(hashlib.sha256(style.encode()).digest()).decode() in policy
    assert "<script>" not in text
    assert "&lt;b&gt;acct" in text
    assert "http" not in text.replace("https://host.example", "")
    form = urlencode({"request": re.search(r'name="request" value="(\w+)"', text)[1], "decision": "approve"}).encode()
    assert provider.handle("POST", "/consent", headers=FORM, body=form).status == 303
    assert provider.handle("POST", "/consent", headers=FORM, body=form).status == 400


def test_an_authorization_without_scopes_asks_for_the_name_alone():
    provider = SimulatedProvider()
    page = provider.handle("GET", "/authorize", query=urlsplit(ask(provider, scope=None)).query)
    assert b"your account's name" in page.body


# Codes


def test_a_code_brings_tokens_that_work():
    provider = SimulatedProvider(access_lifetime=timedelta(minutes=5))
    response = exchange(provider, come_back(provider)["code"])
    tokens = json.loads(response.body)
    assert response.status == 200
    assert response.headers["cache-control"] == "no-store"
    assert {name: tokens[name] for name in ("token_type", "expires_in", "scope")} == {
        "token_type": "Bearer",
        "expires_in": 300,
        "scope": "read write",
    }
    me = who_am_i(provider, tokens["access_token"])
    assert json.loads(me.body) == {"id": "acct-1", "label": "Account acct-1", "scopes": ["read", "write"]}


def test_a_code_that_comes_twice_ends_its_grant():
    provider = SimulatedProvider()
    code = come_back(provider)["code"]
    tokens = json.loads(exchange(provider, code).body)
    assert provider.grant_alive(tokens["refresh_token"])
    assert error_of(exchange(provider, code)) == "invalid_grant"
    assert provider.requests[-1].reused
    assert not provider.grant_alive(tokens["refresh_token"])


@pytest.mark.parametrize(
    "changes",
    [{"code_verifier": "fake-wrong"}, {"redirect_uri": "https://host.example/callback"}, {"redirect_uri": ""}, {"code": "fake-code"}],
)
def test_a_code_needs_its_verifier_and_its_redirect_uri(changes):
    provider = SimulatedProvider()
    code = come_back(provider)["code"]
    assert error_of(exchange(provider, **{"code": code} | changes)) == "invalid_grant"
    if "code" not in changes:
        assert error_of(exchange(provider, code)) == "invalid_grant"


def test_a_code_expires():
    provider = SimulatedProvider(clock=FixedClock())
    code = come_back(provider)["code"]
    provider.clock.advance(provider.code_lifetime)
    assert error_of(exchange(provider, code)) == "invalid_grant"


# The application


def test_the_application_is_known_by_header_or_by_form():
    provider = SimulatedProvider()
    form = {"grant_type": "refresh_token", "refresh_token": provider.issue_grant().refresh.reveal()}
    assert post(provider, "/token", form).status == 200
    form["refresh_token"] = provider.issue_grant().refresh.reveal()
    assert post(provider, "/token", form, basic=False).status == 200


@pytest.mark.parametrize(
    ("authorization", "error", "status"),
    [
        ("Basic " + base64.b64encode(b"fake:fake").decode(), "invalid_client", 401),
        ("Basic !!!", "invalid_client", 401),
        ("Basic " + base64.b64encode(b"\xff").decode(), "invalid_client", 401),
        ("Bearer fake", "invalid_client", 401),
        ("", "invalid_client", 401),
    ],
)
def test_an_unknown_application_is_refused(authorization, error, status):
    provider = SimulatedProvider()
    for path, form in (("/token", {"grant_type": "refresh_token", "refresh_token": "fake"}), ("/revoke", {"token": "fake"})):
        response = post(provider, path, form, headers={"Authorization": authorization})
        assert (error_of(response), response.status) == (error, status)


def test_two_ways_of_proving_the_application_are_one_too_many():
    provider = SimulatedProvider()
    form = {"grant_type": "refresh_token", "refresh_token": "fake", "client_secret": "fake"}
    assert error_of(post(provider, "/token", form)) == "invalid_request"


def test_the_token_endpoint_takes_posted_forms_without_repetitions_alone():
    provider = SimulatedProvider()
    token = provider.issue_grant().refresh
    assert error_of(provider.handle("GET", "/token")) == "invalid_request"
    assert (
        error_of(post(provider, "/token", {"grant_type": "refresh_token"}, headers={"Content-Type": "application/json"}))
        == "invalid_request"
    )
    twice = f"grant_type=refresh_token&refresh_token={token.reveal()}&refresh_token=x".encode()
    assert error_of(provider.handle("POST", "/token", headers=FORM, body=twice)) == "invalid_request"
    assert error_of(post(provider, "/token", {"grant_type": "password"})) == "unsupported_grant_type"
    assert error_of(post(provider, "/revoke", {})) == "invalid_request"
    assert provider.handle("GET", "/elsewhere").status == 404
    assert provider.is_alive(token)


# Refresh


def test_a_refresh_rotates_and_the_oracle_sees_it():
    provider = SimulatedProvider()
    access, old = provider.issue_grant()
    assert provider.is_newest(old)
    tokens = json.loads(refresh(provider, old).body)
    new = tokens["refresh_token"]
    assert not provider.is_newest(old)
    assert provider.is_newest(new)
    assert [provider.is_alive(token) for token in (access, old, new, tokens["access_token"])] == [True, False, True, True]
    seen = provider.requests[-1]
    assert (seen.endpoint, seen.grant_type, seen.outcome, seen.status, seen.reused) == ("refresh", "refresh_token", "ok", 200, False)
    assert seen.presented == token_id(old)
    assert seen.issued == (token_id(tokens["access_token"]), token_id(new))
    assert provider.refresh_count == provider.count("token") == 1


@pytest.mark.parametrize(
    ("reuse", "later", "status", "newest_lives"),
    [
        ("strict", 0, 400, True),
        ("family", 0, 400, False),
        ("tolerant", 3600, 200, True),
        ("grace", 30, 200, True),
        ("grace", 31, 400, True),
    ],
)
def test_a_spent_refresh_token_is_answered_by_the_rule(reuse, later, status, newest_lives):
    provider = SimulatedProvider(clock=FixedClock(), reuse=reuse, access_lifetime=timedelta(days=1))
    access, old = provider.issue_grant()
    new = json.loads(refresh(provider, old).body)["refresh_token"]
    provider.clock.advance(timedelta(seconds=later))
    response = refresh(provider, old)
    assert response.status == status
    assert provider.requests[-1].reused
    assert provider.is_alive(new) is newest_lives
    assert provider.is_alive(access) is newest_lives


def test_without_rotation_the_answer_has_no_refresh_token():
    provider = SimulatedProvider(rotation="never")
    token = provider.issue_grant().refresh
    assert "refresh_token" not in json.loads(refresh(provider, token).body)
    assert refresh(provider, token).status == 200


def test_renewing_can_end_the_older_access_tokens_of_its_grant():
    provider = SimulatedProvider(ends_old_access=True)
    access, token = provider.issue_grant()
    other, _ = provider.issue_grant()
    new = json.loads(refresh(provider, token).body)["access_token"]
    assert [provider.is_alive(one) for one in (access, new, other)] == [False, True, True]


def test_a_refresh_asks_for_no_more_than_was_granted():
    provider = SimulatedProvider()
    token = provider.issue_grant(scopes=("read",)).refresh
    assert error_of(refresh(provider, token, scope="read write")) == "invalid_scope"
    assert refresh(provider, token, scope="read").status == 200


def test_an_access_token_is_no_refresh_token():
    provider = SimulatedProvider()
    assert error_of(refresh(provider, provider.issue_grant().access)) == "invalid_grant"


# Endings


def test_an_access_token_expires():
    provider = SimulatedProvider(clock=FixedClock())
    access = provider.issue_grant().access
    provider.clock.advance(provider.access_lifetime)
    response = who_am_i(provider, access.reveal())
    assert (response.status, error_of(response)) == (401, "invalid_token")
    assert "invalid_token" in response.headers["www-authenticate"]


def test_one_access_token_can_be_ended_early():
    provider = SimulatedProvider()
    access, token = provider.issue_grant()
    provider.expire_access(access)
    assert [provider.is_alive(access), provider.is_alive(token)] == [False, True]


def test_a_grant_can_be_revoked_behind_everybodys_back():
    provider = SimulatedProvider()
    one, other = provider.issue_grant(), provider.issue_grant()
    provider.revoke_grant(one.access)
    assert [provider.is_alive(token) for token in (*one, *other)] == [False, False, True, True]
    assert error_of(refresh(provider, one.refresh)) == "invalid_grant"
    provider.revoke_grant()
    assert not provider.grant_alive(other.refresh)
    with pytest.raises(KeyError):
        provider.revoke_grant("fake-unknown")


@pytest.mark.parametrize(("which", "alive"), [("access", [False, True]), ("refresh", [False, False])])
def test_revocation_ends_a_token_and_with_a_refresh_token_the_grant(which, alive):
    provider = SimulatedProvider()
    grant = provider.issue_grant()
    assert post(provider, "/revoke", {"token": getattr(grant, which).reveal(), "token_type_hint": "fake_hint"}).status == 200
    assert [provider.is_alive(token) for token in grant] == alive


def test_revoking_an_unknown_token_succeeds():
    assert post(SimulatedProvider(), "/revoke", {"token": "fake"}).status == 200


# Keys and accounts


def test_a_key_works_by_either_header_until_it_is_revoked():
    provider = SimulatedProvider()
    key = provider.valid_api_key
    assert who_am_i(provider, key.reveal()).status == 200
    assert who_am_i(provider, key.reveal(), header="X-API-Key", prefix="").status == 200
    assert who_am_i(provider, provider.invalid_api_key.reveal()).status == 401
    assert provider.handle("GET", "/me").status == 401
    provider.revoke_api_key(key)
    assert not provider.is_alive(key)
    assert who_am_i(provider, key.reveal()).status == 401


def test_somebody_else_may_sign_in():
    provider = SimulatedProvider()
    provider.account = "acct-2"
    tokens = json.loads(exchange(provider, come_back(provider)["code"]).body)
    assert json.loads(who_am_i(provider, tokens["access_token"]).body)["id"] == "acct-2"
    assert json.loads(who_am_i(provider, provider.issue_api_key(account="acct-3").reveal()).body)["id"] == "acct-3"
