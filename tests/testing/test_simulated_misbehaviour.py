"""How a simulated provider misbehaves when asked to, what its oracle knows, and how the catalogue describes it."""

from __future__ import annotations

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from urllib.parse import urlencode

import pytest

from cloud_integrations.domain.auth_type import AuthType
from cloud_integrations.kinds import auth_types
from cloud_integrations.providers.catalogue import Catalogue
from cloud_integrations.testing import FixedClock, Misbehaviour, SeededEntropy, SimulatedProvider
from cloud_integrations.testing.simulated_provider.misbehaviour import Delivery

from .simulated_requests import FORM, come_back, error_of, exchange, post, refresh, who_am_i

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
