"""What Authlib's own clients get wrong does not happen here: its protocol modules are used, its clients are not."""

from __future__ import annotations

import base64
import os
import subprocess
import sys
from urllib.parse import parse_qsl, urlsplit

import pytest

from cloud_integrations.domain.outcome import Granted, NotProcessed, Rejected, Unknown
from cloud_integrations.domain.provider import Callback
from cloud_integrations.domain.secret import Secret
from cloud_integrations.errors import GrantRefusedError, ValidationFailedError
from cloud_integrations.protocol.authorize import build_authorization_url, read_callback
from cloud_integrations.protocol.exchange import build_exchange, read_grant
from cloud_integrations.protocol.pkce import make_verifier
from cloud_integrations.protocol.refresh import read_renewal

from .conftest import STATE

IMPORTS = """
import sys
import cloud_integrations.protocol.guarded_backend, cloud_integrations.protocol.standard_backend
heavy = {"httpx", "httpx2", "requests", "asyncio", "cryptography", "joserfc"} & {name.partition(".")[0] for name in sys.modules}
assert not heavy, heavy
"""


def test_no_http_client_and_no_warning_is_imported():
    where = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-W", "error", "-c", IMPORTS], capture_output=True, text=True, check=False, env=where)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("status", "body", "outcome"),
    [
        (429, {"message": "slow", "access_token": "fake"}, NotProcessed("rate_limited")),
        (400, {"errors": [{"code": 1}]}, Rejected("unexpected_status")),
        (400, {"access_token": "fake", "token_type": "bearer"}, Rejected("unexpected_status")),
        (200, {"message": "hello"}, Unknown("unusable_body")),
    ],
)
def test_an_error_body_never_becomes_the_token(make_client, answer, now, status, body, outcome):
    assert read_renewal(make_client(), answer(body, status=status), now=now) == outcome


def test_a_lifetime_with_a_fraction_in_text_does_not_lose_the_token(make_client, answer, tokens, now):
    outcome = read_renewal(make_client(), answer(tokens(expires_in="3599.5")), now=now)
    assert isinstance(outcome, Granted)
    assert (outcome.grant.expires_at - now).total_seconds() == 3599.5


def test_an_error_in_the_callback_leaves_nothing_to_exchange():
    answer = read_callback([("state", "fake-state"), ("error", "access_denied")], issuer=None, facts=Callback())
    assert answer.code is None


def test_no_request_asks_for_a_token_of_the_application_itself(make_client):
    request = build_exchange(
        make_client(), code=Secret("fake"), redirect_uri="https://app.example.com/cb", verifier=make_verifier(bytes(32))
    )
    assert dict(parse_qsl(request.body.decode()))["grant_type"] == "authorization_code"


def test_the_last_of_two_codes_is_not_taken():
    with pytest.raises(GrantRefusedError):
        read_callback([("state", "fake-state"), ("code", "fake-1"), ("code", "fake-2")], issuer=None, facts=Callback())


def test_a_callback_without_state_is_not_accepted():
    with pytest.raises(GrantRefusedError):
        read_callback([("code", "fake-code")], issuer=None, facts=Callback())


@pytest.mark.requirement("OAU-020")
def test_a_foreign_issuer_is_noticed():
    params = [("state", "fake-state"), ("code", "fake-code"), ("iss", "https://evil.example")]
    with pytest.raises(GrantRefusedError):
        read_callback(params, issuer="https://login.example.com", facts=Callback())


@pytest.mark.requirement("OAU-002")
def test_a_verifier_always_brings_its_s256_challenge(make_client):
    url = build_authorization_url(
        make_client(), state=STATE, redirect_uri="https://app.example.com/cb", scopes=(), verifier=make_verifier(bytes(32))
    )
    found = dict(parse_qsl(urlsplit(url).query))
    assert found["code_challenge_method"] == "S256"
    assert len(found["code_challenge"]) == 43


@pytest.mark.requirement("OAU-032")
@pytest.mark.parametrize(("secret", "encoded"), [("fake:%+", b"client-1:fake%3A%25%2B"), ("fake€", b"client-1:fake%E2%82%AC")])
def test_basic_encodes_what_would_be_mistaken(make_client, secret, encoded):
    client = make_client(application={"client_secret": Secret(secret)})
    request = build_exchange(client, code=Secret("fake"), redirect_uri="https://app.example.com/cb", verifier=make_verifier(bytes(32)))
    assert base64.b64decode(request.headers["Authorization"].removeprefix("Basic ")) == encoded


@pytest.mark.requirement("OAU-031")
def test_a_token_endpoint_without_tls_is_refused(make_client):
    provider = {"variables": [{"name": "host", "in_host": True, "pattern": ".*"}]}
    with pytest.raises(ValueError, match="https"):
        make_client(token_url="http://login.example.com/token")
    with pytest.raises(ValidationFailedError):
        make_client(provider=provider, variables={"host": "user@evil.example"}, token_url="https://{host}/token")


@pytest.mark.requirement("OAU-080")
def test_a_grant_is_not_a_dictionary_that_prints_its_tokens(make_client, answer, tokens, now):
    outcome = read_grant(make_client(), answer(tokens()), requested_scopes=(), now=now)
    assert "fake" not in f"{outcome!r}{outcome!s}"
