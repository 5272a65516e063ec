from __future__ import annotations

import base64
import hashlib
import json
import re
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs, quote_plus, urlencode, urlsplit

import pytest

from cloud_integrations.domain.auth_type import AuthType
from cloud_integrations.kinds import auth_types
from cloud_integrations.providers.catalogue import Catalogue
from cloud_integrations.testing import FixedClock, Misbehaviour, SeededEntropy, SimulatedProvider, token_id
from cloud_integrations.testing.simulated_provider.misbehaviour import Delivery

VERIFIER = "fake-verifier-" + "a" * 40
CALLBACK = "https://host.example/callback?context=1"
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


def ask(provider, **changes):
    """Return an authorization URL."""
    parameters = {
        "response_type": "code",
        "client_id": provider.application().client_id,
        "redirect_uri": CALLBACK,
        "state": "fake-state",
        "scope": "read write",
        "code_challenge": base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).rstrip(b"=").decode(),
        "code_challenge_method": "S256",
    } | changes
    return f"{provider.base_url}/authorize?{urlencode({name: value for name, value in parameters.items() if value is not None})}"


def come_back(provider, **changes):
    """Sign in and return what the callback brings."""
    return {name: values[0] for name, values in parse_qs(urlsplit(provider.sign_in(ask(provider, **changes))).query).items()}


def post(provider, path, form, *, basic=True, headers=()):
    application = provider.application()
    secret = application.client_secret.reveal()
    sent = dict(FORM) | dict(headers)
    if basic:
        pair = f"{quote_plus(application.client_id)}:{quote_plus(secret)}"
        sent.setdefault("Authorization", "Basic " + base64.b64encode(pair.encode()).decode())
    else:
        form = {**form, "client_id": application.client_id, "client_secret": secret}
    return provider.handle("POST", path, headers=sent, body=urlencode(form).encode())


def exchange(provider, code, **changes):
    form = {"grant_type": "authorization_code", "code": code, "redirect_uri": CALLBACK, "code_verifier": VERIFIER} | changes
    return post(provider, "/token", form)


def refresh(provider, token, **more):
    return post(provider, "/token", {"grant_type": "refresh_token", "refresh_token": token.reveal(), **more})


def error_of(response):
    return json.loads(response.body)["error"]


def who_am_i(provider, credential, header="Authorization", prefix="Bearer "):
    return provider.handle("GET", "/me", headers={header: prefix + credential})


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


# Misbehaviours


def test_a_misbehaviour_happens_as_often_as_asked_and_then_no_more():
    provider = SimulatedProvider()
    token = provider.issue_grant().refresh
    provider.misbehave(Misbehaviour.INVALID_GRANT)
    provider.misbehave(Misbehaviour.RATE_LIMITED, times=2, retry_after=timedelta(seconds=7))
    answers = [refresh(provider, token) for _ in range(4)]
    assert [answer.status for answer in answers] == [400, 429, 429, 200]
    assert answers[1].headers["retry-after"] == "7"
    assert [request.misbehaviour for request in provider.requests] == [
        Misbehaviour.INVALID_GRANT,
        Misbehaviour.RATE_LIMITED,
        Misbehaviour.RATE_LIMITED,
        None,
    ]


def test_a_lasting_misbehaviour_ends_with_behave():
    provider = SimulatedProvider()
    token = provider.issue_grant().refresh
    provider.misbehave(Misbehaviour.ERROR_BEFORE, times=None)
    assert [refresh(provider, token).status for _ in range(3)] == [500, 500, 500]
    provider.behave()
    assert refresh(provider, token).status == 200


def test_zero_times_is_refused():
    with pytest.raises(ValueError):
        SimulatedProvider().misbehave(Misbehaviour.ERROR_BEFORE, times=0)


def test_a_misbehaviour_keeps_to_its_endpoint():
    provider = SimulatedProvider()
    provider.misbehave(Misbehaviour.ERROR_BEFORE, endpoint="refresh")
    assert exchange(provider, come_back(provider)["code"]).status == 200
    assert refresh(provider, provider.issue_grant().refresh).status == 500


@pytest.mark.parametrize(
    ("what", "status"),
    [
        (Misbehaviour.TIMEOUT_BEFORE, 503),
        (Misbehaviour.ERROR_BEFORE, 500),
        (Misbehaviour.UNAVAILABLE, 503),
        (Misbehaviour.TEMPORARILY_UNAVAILABLE, 503),
        (Misbehaviour.RATE_LIMITED, 429),
        (Misbehaviour.INVALID_CLIENT, 401),
        (Misbehaviour.INVALID_GRANT, 400),
        (Misbehaviour.ERROR_IN_200, 200),
        (Misbehaviour.REDIRECT, 302),
    ],
)
def test_a_refusal_changes_nothing(what, status):
    provider = SimulatedProvider()
    token = provider.issue_grant().refresh
    provider.misbehave(what)
    response = refresh(provider, token)
    assert response.status == status
    assert provider.is_alive(token)
    assert provider.is_newest(token)
    assert provider.requests[-1].issued == ()


@pytest.mark.parametrize(
    ("what", "status"),
    [
        (Misbehaviour.ANSWER_LOST, 200),
        (Misbehaviour.ERROR_AFTER, 500),
        (Misbehaviour.RESET_MID_BODY, 200),
        (Misbehaviour.SLOW_DRIP, 200),
        (Misbehaviour.HTML_PAGE, 200),
        (Misbehaviour.EMPTY_BODY, 200),
        (Misbehaviour.GARBAGE_JSON, 200),
        (Misbehaviour.DUPLICATE_KEYS, 200),
        (Misbehaviour.HUGE_BODY, 200),
    ],
)
def test_a_spoiled_answer_comes_after_rotating(what, status):
    provider = SimulatedProvider()
    token = provider.issue_grant().refresh
    provider.misbehave(what)
    assert refresh(provider, token).status == status
    assert not provider.is_alive(token)
    assert len(provider.requests[-1].issued) == 2


@pytest.mark.parametrize(
    ("what", "member", "value"),
    [
        (Misbehaviour.EXPIRES_IN_MISSING, "expires_in", ...),
        (Misbehaviour.EXPIRES_IN_TEXT, "expires_in", "3600"),
        (Misbehaviour.EXPIRES_IN_ABSURD, "expires_in", 3_153_600_000_000),
        (Misbehaviour.EXPIRES_IN_NEGATIVE, "expires_in", -1),
        (Misbehaviour.EXPIRES_IN_EMPTY, "expires_in", ""),
        (Misbehaviour.TOKEN_TYPE_MAC, "token_type", "mac"),
        (Misbehaviour.TOKEN_TYPE_MISSING, "token_type", ...),
        (Misbehaviour.ACCESS_TOKEN_MISSING, "access_token", ...),
        (Misbehaviour.SCOPES_UNREADABLE, "scope", [{"name": "read"}, {"name": "write"}]),
        (Misbehaviour.NARROWER_SCOPES, "scope", "read"),
        (Misbehaviour.REFRESH_TOKEN_MISSING, "refresh_token", ...),
        (Misbehaviour.REFRESH_TOKEN_EMPTY, "refresh_token", ""),
        (Misbehaviour.REFRESH_TOKEN_NULL, "refresh_token", None),
    ],
)
def test_an_answer_strays_in_one_member(what, member, value):
    provider = SimulatedProvider()
    token = provider.issue_grant().refresh
    provider.misbehave(what)
    body = json.loads(refresh(provider, token).body)
    assert body.get(member, ...) == value
    assert provider.is_alive(token) is (member == "refresh_token")


def test_the_same_refresh_token_may_come_back_and_stays_good():
    provider = SimulatedProvider()
    token = provider.issue_grant().refresh
    provider.misbehave(Misbehaviour.REFRESH_TOKEN_SAME)
    assert json.loads(refresh(provider, token).body)["refresh_token"] == token.reveal()
    assert provider.is_newest(token)


def test_a_new_grant_may_come_without_a_refresh_token():
    provider = SimulatedProvider()
    provider.misbehave(Misbehaviour.REFRESH_TOKEN_MISSING)
    assert "refresh_token" not in json.loads(exchange(provider, come_back(provider)["code"]).body)


def test_the_issuer_may_be_wrong_or_missing():
    provider = SimulatedProvider()
    provider.misbehave(Misbehaviour.ISSUER_WRONG)
    assert come_back(provider)["iss"] == "https://elsewhere.example"
    provider.misbehave(Misbehaviour.ISSUER_MISSING)
    assert "iss" not in come_back(provider)


@pytest.mark.parametrize("endpoint", ["authorize", "exchange", "me"])
def test_another_account_may_answer(endpoint):
    provider = SimulatedProvider()
    provider.misbehave(Misbehaviour.OTHER_ACCOUNT, endpoint=endpoint)
    tokens = json.loads(exchange(provider, come_back(provider)["code"]).body)
    assert json.loads(who_am_i(provider, tokens["access_token"]).body)["id"] == "acct-1-other"


def test_revocation_and_identity_may_fail_in_their_own_ways():
    provider = SimulatedProvider()
    grant = provider.issue_grant()
    provider.misbehave(Misbehaviour.UNSUPPORTED)
    assert error_of(post(provider, "/revoke", {"token": grant.refresh.reveal()})) == "unsupported_token_type"
    provider.misbehave(Misbehaviour.UNAVAILABLE, endpoint="revoke")
    assert post(provider, "/revoke", {"token": grant.refresh.reveal()}).status == 503
    assert provider.grant_alive(grant.refresh)
    provider.misbehave(Misbehaviour.FORBIDDEN)
    assert who_am_i(provider, grant.access.reveal()).status == 403


def test_a_refused_connection_never_arrived():
    provider = SimulatedProvider()
    provider.misbehave(Misbehaviour.CONNECTION_REFUSED, endpoint="me")
    with provider.receive("GET", "/me") as answer:
        assert answer.delivery is Delivery.REFUSED
    assert provider.requests == ()


@pytest.mark.parametrize("what", list(Misbehaviour))
def test_every_misbehaviour_leaves_the_provider_working(what):
    provider = SimulatedProvider()
    provider.misbehave(what, endpoint="token")
    refresh(provider, provider.issue_grant().refresh)
    assert refresh(provider, provider.issue_grant().refresh).status == 200


# The oracle


def test_requests_that_are_under_way_together_are_counted_for_their_grant():
    provider = SimulatedProvider(reuse="tolerant")
    one, other = provider.issue_grant().refresh.reveal(), provider.issue_grant().refresh.reveal()

    def receive(token):
        return provider.receive(
            "POST", "/token", headers=FORM, body=urlencode({"grant_type": "refresh_token", "refresh_token": token}).encode()
        )

    with receive(one), receive(other):
        assert (provider.in_flight_max, provider.concurrency_max) == (1, 2)
    with receive(one), receive(one):
        assert (provider.in_flight_max, provider.concurrency_max) == (2, 2)


def test_many_threads_never_spend_one_token_twice():
    provider = SimulatedProvider()
    token = provider.issue_grant().refresh
    together = threading.Barrier(8)

    def race(_):
        together.wait()
        return refresh(provider, token).status

    with ThreadPoolExecutor(8) as pool:
        assert sorted(pool.map(race, range(8))) == [200] + [400] * 7
    assert provider.refresh_count == 8


def test_the_same_entropy_gives_the_same_tokens():
    first, second = (SimulatedProvider(entropy=SeededEntropy(5)).issue_grant() for _ in range(2))
    other = SimulatedProvider().issue_grant()
    assert first == second
    assert first != other


def test_neither_the_log_nor_the_repr_shows_a_token():
    provider = SimulatedProvider()
    tokens = json.loads(exchange(provider, code := come_back(provider)["code"]).body)
    refresh(provider, provider.issue_grant().refresh)
    who_am_i(provider, provider.valid_api_key.reveal())
    shown = f"{provider!r} {provider.requests!r} {provider._tokens!r} {provider._codes!r} {provider.application()!r}"
    for secret in (code, tokens["access_token"], tokens["refresh_token"], provider.valid_api_key.reveal()):
        assert secret not in shown
    assert provider.application().client_secret.reveal() not in shown


# The catalogue


@pytest.mark.parametrize(
    ("options", "rule"),
    [
        ({}, "strict"),
        ({"reuse": "family"}, "strict"),
        ({"reuse": "tolerant"}, "tolerant"),
        ({"reuse": "grace"}, "grace"),
        ({"rotation": "never"}, "none"),
    ],
)
def test_the_catalogue_says_how_refresh_tokens_behave(options, rule):
    by_code, _ = SimulatedProvider(**options).catalogue_entries()
    assert by_code.methods[0].refresh_token.reuse_rule == rule


def test_the_wall_clock_decides_unless_another_is_given():
    before = datetime.now(UTC)
    provider = SimulatedProvider()
    come_back(provider)
    assert before <= provider.requests[0].at <= datetime.now(UTC)


def test_a_provider_can_take_keys_beside_its_twin():
    both, by_key = SimulatedProvider(slug="github", takes_keys=True).catalogue_entries()
    assert auth_types(both) == (AuthType.OAUTH2, AuthType.API_KEY)
    assert both.provider_id == Catalogue.builtin().require("github").provider_id
    assert by_key.id == "github_keys"


def test_the_catalogue_describes_the_provider_twice():
    provider = SimulatedProvider(slug="other", clock=FixedClock())
    by_code, by_key = provider.catalogue_entries("http://127.0.0.1:8080/")
    assert (by_code.id, by_key.id) == ("other", "other_keys")
    assert (auth_types(by_code), auth_types(by_key)) == ((AuthType.OAUTH2,), (AuthType.API_KEY,))
    assert by_code.methods[0].token_url == "http://127.0.0.1:8080/token"
    assert by_code.methods[0].issuer == provider.base_url == "http://127.0.0.1:8080"
    assert provider.application(redirect_uris=("https://a.example/cb",)).provider == "other"
