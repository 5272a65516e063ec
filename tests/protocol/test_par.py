"""Pushed authorization requests (RFC 9126): the request, the answers to it, and the URL that is left for the browser."""

from __future__ import annotations

from datetime import timedelta
from urllib.parse import parse_qsl, urlsplit

import pytest
from pydantic import ValidationError

from cloud_integrations.domain.outcome import NotProcessed, Unknown
from cloud_integrations.domain.secret import Secret
from cloud_integrations.errors import ValidationFailedError
from cloud_integrations.protocol.authorize import build_authorization_url
from cloud_integrations.protocol.par import (
    LONGEST_LIFE,
    MAX_REQUEST_URI,
    UNKNOWN_LIFE,
    PushedRequest,
    build_pushed_request,
    build_reference_url,
    read_pushed,
)

from .conftest import REDIRECT, STATE, VERIFIER

PAR = "https://login.example.com/par"
REFERENCE = "urn:ietf:params:oauth:request_uri:fake"
UNUSABLE = Unknown("unusable_body")


@pytest.fixture
def client(make_client):
    return make_client(par_url=PAR)


def url_of(client):
    return build_authorization_url(client, state=STATE, redirect_uri=REDIRECT, scopes=("read",), verifier=VERIFIER)


def test_what_is_pushed_is_the_authorization_request_as_a_form(make_client):
    client = make_client(par_url=PAR, body="json", headers={"token": {"X-Version": "1"}}, authorize_params={"audience": "api"})
    request = build_pushed_request(client, url_of(client))
    assert (request.method, request.url) == ("POST", PAR)
    assert dict(parse_qsl(request.body.decode())) == dict(parse_qsl(urlsplit(url_of(client)).query))
    assert request.headers["Content-Type"] == "application/x-www-form-urlencoded"
    assert request.headers["X-Version"] == "1"


def test_a_reference_is_never_pushed(client):
    request = build_pushed_request(client, f"{url_of(client)}&request_uri=https://evil.example")
    assert b"request_uri" not in request.body


@pytest.mark.parametrize(("application", "ways"), [({}, ["post"]), ({"client_secret": None}, ["none"])])
def test_a_client_that_authenticates_in_the_form_sends_its_id_once(make_client, application, ways):
    client = make_client(par_url=PAR, client_auth=ways, application=application)
    names = [name for name, _ in parse_qsl(build_pushed_request(client, url_of(client)).body.decode())]
    assert names.count("client_id") == 1


def test_the_browser_gets_the_endpoints_own_query_the_client_and_the_reference(make_client):
    client = make_client(par_url=PAR, authorize_url="https://login.example.com/authorize?tenant=x&state=y", authorize_params={"a": "b"})
    url = build_reference_url(client, url_of(client), request_uri=Secret("urn:a b&c"))
    assert url == "https://login.example.com/authorize?tenant=x&client_id=client-1&request_uri=urn%3Aa+b%26c"


@pytest.mark.requirement("OAU-067")
def test_a_reference_is_read_with_its_end(client, answer, now):
    pushed = read_pushed(client, answer({"request_uri": REFERENCE, "expires_in": 90}, status=201), now=now)
    assert pushed == PushedRequest(request_uri=Secret(REFERENCE), expires_at=now + timedelta(seconds=90))
    assert REFERENCE not in repr(pushed)


@pytest.mark.requirement("OAU-067")
@pytest.mark.parametrize(("status", "reason"), [(200, "unknown_error"), (202, "unknown_error"), (302, "redirect")])
def test_a_reference_with_another_status_than_201_is_none(client, answer, now, status, reason):
    assert read_pushed(client, answer({"request_uri": REFERENCE, "expires_in": 90}, status=status), now=now) == Unknown(reason)


@pytest.mark.parametrize(
    "reference",
    [..., None, "", 7, [REFERENCE], "urn:a b", "urn:a\nb", "urn:a\x00", "urn:\N{SNOWMAN}", "u" * (MAX_REQUEST_URI + 1), "u" * 2**20],
)
def test_a_reference_that_no_url_can_carry_is_none(client, answer, now, reference):
    body = {"request_uri": reference, "expires_in": 90}
    assert read_pushed(client, answer({name: value for name, value in body.items() if value is not ...}, status=201), now=now) == UNUSABLE


def test_a_reference_that_shows_the_client_secret_is_none(client, answer, now):
    assert read_pushed(client, answer({"request_uri": "urn:fake-client-secret", "expires_in": 90}, status=201), now=now) == UNUSABLE


@pytest.mark.parametrize(
    ("life", "lives"),
    [
        (None, UNKNOWN_LIFE),
        ("soon", UNKNOWN_LIFE),
        ([1], UNKNOWN_LIFE),
        ("90", timedelta(seconds=90)),
        (10**400, UNKNOWN_LIFE),
        (1e300, LONGEST_LIFE),
    ],
)
def test_a_lifetime_that_cannot_be_read_is_a_short_one(client, answer, now, life, lives):
    pushed = read_pushed(client, answer({"request_uri": REFERENCE, "expires_in": life}, status=201), now=now)
    assert pushed.expires_at - now == lives


@pytest.mark.parametrize("life", [0, -1, "0 s"])
def test_a_reference_that_has_ended_is_none(client, answer, now, life):
    pushed = read_pushed(client, answer({"request_uri": REFERENCE, "expires_in": life}, status=201), now=now)
    assert pushed == UNUSABLE


def test_an_error_beside_a_reference_is_an_error(client, answer, now):
    body = {"request_uri": REFERENCE, "expires_in": 90, "error": "temporarily_unavailable"}
    assert read_pushed(client, answer(body, status=201), now=now) == NotProcessed("temporarily_unavailable")


def test_the_endpoint_is_one_of_the_server_that_the_secret_is_for(make_client):
    host = {"name": "host", "pattern": r"[a-z]+", "in_host": True}
    site = {"name": "site", "pattern": r"[a-z]+", "in_host": True}
    urls = {"authorize_url": "https://{host}.example.com/authorize", "token_url": "https://{host}.example.com/token"}
    client = make_client(
        par_url="https://{host}.example.com/par?client={client_id}", **urls, provider={"variables": [host]}, variables={"host": "one"}
    )
    assert client.par_url == "https://one.example.com/par?client=client-1"
    with pytest.raises(ValidationError, match="par_url has site, which neither authorize_url nor token_url has"):
        make_client(par_url="https://{site}.example.com/par", **urls, provider={"variables": [host, site]}, variables={"host": "one"})
    with pytest.raises(ValidationFailedError, match="address"):
        make_client(par_url="https://login.example.com:x/par")
