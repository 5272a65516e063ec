from __future__ import annotations

import base64
import json
from urllib.parse import parse_qsl, unquote

import pytest

from cloud_integrations.domain.identifiers import provider_id
from cloud_integrations.domain.secret import Secret
from cloud_integrations.protocol.exchange import build_exchange
from cloud_integrations.protocol.refresh import build_refresh

from .conftest import REDIRECT, VERIFIER


def exchange(client, *, verifier=VERIFIER):
    return build_exchange(client, code=Secret("fake-code+/="), redirect_uri=REDIRECT, verifier=verifier)


def refresh(client, **arguments):
    return build_refresh(client, refresh_token=Secret("fake-refresh+/="), **arguments)


def form(request):
    pairs = parse_qsl(request.body.decode("ascii"), keep_blank_values=True, strict_parsing=True)
    assert len(dict(pairs)) == len(pairs), "a parameter is there twice"
    return dict(pairs)


@pytest.mark.requirement("OAU-031")
def test_a_code_is_exchanged_by_a_form(make_client):
    request = exchange(make_client())
    assert (request.method, request.url, request.provider_id) == ("POST", "https://login.example.com/token", str(provider_id("example")))
    assert request.headers["Content-Type"] == "application/x-www-form-urlencoded"
    assert form(request) == {
        "grant_type": "authorization_code",
        "code": "fake-code+/=",
        "redirect_uri": REDIRECT,
        "code_verifier": VERIFIER.reveal(),
    }


@pytest.mark.requirement("OAU-031", "OAU-036")
@pytest.mark.parametrize("build", [exchange, refresh])
def test_answers_are_wanted_as_plain_json(make_client, build):
    headers = build(make_client()).headers
    assert (headers["Accept"], headers["Accept-Encoding"], headers["User-Agent"]) == ("application/json", "identity", "cloud-integrations")


@pytest.mark.requirement("OAU-048")
def test_a_refresh_asks_for_the_same_access_or_for_less(make_client):
    client = make_client(refresh_url="https://login.example.com/refresh", scopes={"default": ["a"], "always": ["b"], "offline": ["c"]})
    request = refresh(client)
    assert request.url == "https://login.example.com/refresh"
    assert form(request) == {"grant_type": "refresh_token", "refresh_token": "fake-refresh+/="}
    assert form(refresh(client, scopes=("a", "x")))["scope"] == "a x"
    assert "scope" not in form(refresh(make_client(scopes={"fixed": True}), scopes=("a",)))


@pytest.mark.requirement("OAU-002")
def test_the_verifier_goes_with_the_code_unless_the_data_says_no(make_client):
    assert form(exchange(make_client()))["code_verifier"]
    # A code that somebody else asked for: whether it needs a verifier, its provider knows.
    assert "code_verifier" not in form(exchange(make_client(), verifier=None))
    assert "code_verifier" not in form(exchange(make_client(pkce="off")))
    assert "code_verifier" not in form(exchange(make_client(pkce="off"), verifier=None))


@pytest.mark.requirement("OAU-032")
@pytest.mark.parametrize("build", [exchange, refresh])
@pytest.mark.parametrize("auth", ["basic", "basic_raw", "post", "none"])
@pytest.mark.parametrize("body", ["form", "json"])
def test_a_request_authenticates_in_exactly_one_way(make_client, build, auth, body):
    secret = None if auth == "none" else Secret("fake-client-secret")
    request = build(make_client(client_auth=[auth], body=body, application={"client_secret": secret}))
    params = form(request) if body == "form" else json.loads(request.body)
    assert ("Authorization" in request.headers) is auth.startswith("basic")
    assert params.get("client_secret") == ("fake-client-secret" if auth == "post" else None)
    assert params.get("client_id") == (None if auth.startswith("basic") else "client-1")
    assert "fake" not in request.url


@pytest.mark.requirement("OAU-032")
@pytest.mark.parametrize("client_id", ["plain", "a:b", "a%3Ab", "a b+c", "ä€", "x" * 300])
@pytest.mark.parametrize("secret", ["fake-plain", "fake:%+ &=/", "fake-ß€😀", "fake-" + "s" * 300])
def test_basic_percent_encodes_both_halves(make_client, client_id, secret):
    request = exchange(make_client(application={"client_id": client_id, "client_secret": Secret(secret)}))
    scheme, _, value = request.headers["Authorization"].partition(" ")
    assert scheme == "Basic"
    halves = base64.b64decode(value, validate=True).decode("ascii").split(":")
    assert [unquote(half) for half in halves] == [client_id, secret]
    assert not {"+", " "} & set("".join(halves))


@pytest.mark.requirement("OAU-032")
@pytest.mark.parametrize("build", [exchange, refresh])
def test_basic_raw_sends_both_halves_as_they_are(make_client, build):
    application = {"client_id": "a b+c", "client_secret": Secret("fake:%+ &=/ß€")}
    request = build(make_client(client_auth=["basic_raw"], application=application))
    assert base64.b64decode(request.headers["Authorization"].removeprefix("Basic ")).decode() == "a b+c:fake:%+ &=/ß€"


@pytest.mark.requirement("OAU-080")
@pytest.mark.parametrize("auth", ["basic", "post"])
def test_a_request_shows_no_secret(make_client, auth):
    for request in (exchange(make_client(client_auth=[auth])), refresh(make_client(client_auth=[auth]))):
        assert "fake" not in repr(request)


@pytest.mark.requirement("Q20")
def test_a_json_body_holds_the_same_parameters(make_client):
    request = exchange(make_client(body="json"))
    assert request.headers["Content-Type"] == "application/json"
    assert json.loads(request.body)["code"] == "fake-code+/="


@pytest.mark.requirement("Q21", "Q22")
def test_a_providers_own_parameters_and_headers_are_sent(make_client):
    client = make_client(
        provider={"variables": [{"name": "audience", "pattern": "[a-z]+"}]},
        variables={"audience": "api"},
        token_params={"audience": "{audience}", "body": "x"},
        refresh_params={"resource": "{client_id}"},
        headers={"token": {"accept": "application/vnd.example+json", "X-Audience": "{audience}", "authorization": "Bearer theirs"}},
    )
    request = exchange(client)
    assert (form(request)["audience"], form(request)["body"]) == ("api", "x")
    assert request.headers["accept"] == "application/vnd.example+json"
    assert request.headers["X-Audience"] == "api"
    assert "Accept" not in request.headers
    assert request.headers["Authorization"].startswith("Basic ")
    assert "authorization" not in request.headers
    assert form(refresh(client))["resource"] == "client-1"


@pytest.mark.parametrize("name", ["grant_type", "code", "code_verifier", "client_id", "client_secret", "redirect_uri", "refresh_token"])
def test_a_providers_parameters_cannot_stand_in_for_the_protocols(make_client, name):
    client = make_client(client_auth=["post"])
    object.__setattr__(
        client, "method", client.method.model_copy(update={"token_params": {name: "theirs"}, "refresh_params": {name: "theirs"}})
    )
    assert "theirs" not in form(exchange(client)).values()
    assert "theirs" not in form(refresh(client)).values()


@pytest.mark.requirement("Q21")
def test_the_redirect_uri_is_repeated_where_a_refresh_wants_it(make_client):
    wanting = make_client(refresh_params={"redirect_uri": "{redirect_uri}"})
    assert form(refresh(wanting, redirect_uri=REDIRECT))["redirect_uri"] == REDIRECT
    assert "redirect_uri" not in form(refresh(wanting))
    assert "redirect_uri" not in form(refresh(make_client(), redirect_uri=REDIRECT))


def test_an_endpoints_own_query_stays_in_its_url(make_client):
    request = exchange(make_client(token_url="https://login.example.com/token?p=1"))
    assert request.url == "https://login.example.com/token?p=1"
    assert "p" not in form(request)


@pytest.mark.parametrize("loopback", [True, False])
def test_only_a_simulated_provider_is_reached_on_the_loopback(make_client, loopback):
    scheme = "http" if loopback else "https"
    request = exchange(make_client(provider={"loopback": loopback}, token_url=f"{scheme}://127.0.0.1:1/token"))
    assert request.loopback is loopback
    assert request.private_host is False
