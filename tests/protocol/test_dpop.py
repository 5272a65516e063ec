"""Keys and proofs of DPoP (RFC 9449), the nonces that servers ask for, and the clients that show a bound token."""

from __future__ import annotations

import base64
import hashlib
import io
import json
from collections.abc import Mapping
from urllib.parse import parse_qs, urlsplit
from uuid import uuid4

import httpx
import httpx2
import pytest
import requests
from joserfc import jwt
from joserfc.jwk import ECKey
from requests.adapters import BaseAdapter

from cloud_integrations import kinds
from cloud_integrations.domain.auth_type import AuthType
from cloud_integrations.domain.credential import Credential
from cloud_integrations.domain.dpop import asked_nonce, find_nonce
from cloud_integrations.domain.provider import Method
from cloud_integrations.domain.secret import Secret
from cloud_integrations.domain.signing import Unsigned
from cloud_integrations.errors import ConfigurationError, ValidationFailedError
from cloud_integrations.protocol.dpop import KEY_BYTES, check_dpop_key, demanded_nonce, make_dpop_proof, make_key, name_key
from cloud_integrations.protocol.http import HttpResponse
from cloud_integrations.testing.simulated_provider.dpop import Proofs

from .conftest import NOW
from .signing.signing_cases import TEST_PEM

pytestmark = pytest.mark.requirement("OAU-068")

KEY = make_key(bytes(KEY_BYTES))
URL = "https://api.acme.example/orgs?page=1"
TOKEN = Secret("fake-access")
METHOD = Method.model_validate(
    {
        "id": "bound",
        "kind": "code",
        "authorize_url": "https://acme.example/authorize",
        "token_url": "https://acme.example/token",
        "present": {"sign": "dpop"},
    }
)


def read(proof: str):
    """Return header and claims of a proof, checked with the key in it."""
    key = ECKey.import_key(_header(proof)["jwk"])
    token = jwt.decode(proof, key, algorithms=["ES256"])
    return token.header, token.claims


def _header(proof: str):
    part = proof.split(".", maxsplit=1)[0]
    return json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))


def make(**changes):
    named = {"http_method": "GET", "url": URL, "now": NOW, "jti": "jti-1", **changes}
    return read(make_dpop_proof(KEY, **named).reveal())


def test_a_proof_names_the_request_and_shows_the_public_key_alone():
    header, claims = make()
    assert (header["typ"], header["alg"]) == ("dpop+jwt", "ES256")
    assert set(header["jwk"]) == {"kty", "crv", "x", "y"}
    # RFC 9449 §4.2: neither the query nor the fragment.
    assert claims == {"htm": "GET", "htu": "https://api.acme.example/orgs", "iat": int(NOW.timestamp()), "jti": "jti-1"}


def test_a_proof_names_the_nonce_and_the_token_that_it_goes_with():
    _, claims = make(nonce="fake-nonce", access_token=TOKEN)
    assert claims["nonce"] == "fake-nonce"
    assert claims["ath"] == base64.urlsafe_b64encode(hashlib.sha256(b"fake-access").digest()).rstrip(b"=").decode()


def test_the_hash_of_a_token_is_that_of_the_standard():
    """The token and the `ath` of RFC 9449 §7.1, figure 13."""
    _, claims = make(access_token=Secret("Kz~8mXK1EalYznwH-LC-1fBAo.4Ljp~zsPE_NeO.gxU"))
    assert claims["ath"] == "fUHyO2r2Z3DZ53EsNrWBb0xWXoaNy59IiKCAqksmQEo"


def test_every_random_number_makes_a_key_of_its_own():
    keys = [make_key(bytes([byte]) * KEY_BYTES) for byte in range(256)]
    assert len({key.reveal() for key in keys}) == 256
    for key in keys:
        check_dpop_key(key, field="dpopKey")
    with pytest.raises(ValueError, match="40 random bytes"):
        make_key(bytes(32))


def test_an_authorization_names_its_key_by_the_thumbprint():
    url = name_key("https://acme.example/authorize?state=s", KEY)
    header, _ = make()
    assert parse_qs(urlsplit(url).query) == {"state": ["s"], "dpop_jkt": [ECKey.import_key(header["jwk"]).thumbprint()]}


@pytest.mark.parametrize("pem", ["fake-no-key", TEST_PEM, KEY.reveal().replace("MIGH", "AAAA")])
def test_what_is_no_key_of_this_curve_is_refused_by_the_name_of_its_field(pem):
    with pytest.raises(ValidationFailedError) as caught:
        check_dpop_key(Secret(pem), field="dpopKey")
    assert caught.value.field == "dpopKey"
    assert pem not in str(caught.value)
    assert caught.value.__context__ is None


@pytest.mark.parametrize(
    ("nonce", "found"),
    [
        ("eyJ7S_zG.eyJH0-Z.HX4w-7v", "eyJ7S_zG.eyJH0-Z.HX4w-7v"),
        ("n" * 1024, "n" * 1024),
        ("n" * 1025, None),
        ("", None),
        ('a"b', None),
        ("a\\b", None),
        ("a b", None),
        ("a\r\nX-Evil: 1", None),
        ("é", None),
    ],
)
def test_a_nonce_is_taken_only_if_it_can_be_sent_back(nonce, found):
    assert find_nonce({"dpop-nonce": nonce}) == found


@pytest.mark.parametrize(
    ("challenge", "asks"),
    [
        ('DPoP error="use_dpop_nonce", error_description="a nonce is needed"', True),
        ('Bearer realm="a", DPoP algs="ES256", error="use_dpop_nonce"', True),
        ("dpop error=use_dpop_nonce", True),
        ('DPoP error="invalid_token"', False),
        ('Bearer error="use_dpop_nonce"', False),
        ('DPoP error="use_dpop_nonce_not"', False),
        ("", False),
        ("DPoP " + "a" * 5000 + ' error="use_dpop_nonce"', False),
    ],
)
def test_an_api_asks_for_a_nonce_in_its_challenge(challenge, asks):
    headers = {"www-authenticate": challenge, "dpop-nonce": "nonce-1"}
    assert asked_nonce(headers) == ("nonce-1" if asks else None)


@pytest.mark.parametrize(
    ("status", "body", "asks"),
    [
        (400, b'{"error": "use_dpop_nonce"}', True),
        (401, b'{"error": "use_dpop_nonce"}', True),
        (200, b'{"error": "use_dpop_nonce"}', False),
        (500, b'{"error": "use_dpop_nonce"}', False),
        (400, b'{"error": "invalid_grant"}', False),
        (400, b"use_dpop_nonce", False),
        (400, b'["use_dpop_nonce"]', False),
    ],
)
def test_a_token_endpoint_asks_for_a_nonce_in_its_error(status, body, asks):
    assert demanded_nonce(HttpResponse(status=status, headers={"dpop-nonce": "nonce-1"}, body=body)) == ("nonce-1" if asks else None)


# The clients of a host


class Api:
    """An API that takes bound tokens; *nonces* are those that it asks for, one after the other."""

    def __init__(self, *nonces: str) -> None:
        self.nonces = list(nonces)
        self.asked: list[Mapping[str, str]] = []
        self._proofs = Proofs()

    def answer(self, method: str, url: str, headers: Mapping[str, str]) -> tuple[int, dict[str, str]]:
        sent = {name.lower(): value for name, value in headers.items()}
        self.asked.append(sent)
        scheme, _, token = sent.get("authorization", "").partition(" ")
        _, error = self._proofs.read(
            sent.get("dpop", ""),
            http_method=method,
            url=url.partition("?")[0],
            now=NOW.timestamp(),
            nonce=self.nonces[0] if self.nonces else None,
            access_token=token,
        )
        if scheme != "DPoP" or error == "invalid_dpop_proof":
            return 401, {"WWW-Authenticate": 'DPoP error="invalid_token"'}
        if error:
            asked = {"WWW-Authenticate": f'DPoP error="{error}"', "DPoP-Nonce": self.nonces[0]}
            self.nonces = self.nonces[1:] or self.nonces
            return 401, asked
        return 200, {}


def credential() -> Credential:
    drawn = iter(range(10_000))
    moments = kinds.Moments(now=lambda: NOW, nonce=lambda: next(drawn).to_bytes(16), tls=lambda certificate, trust: None)
    presented = kinds.present(METHOD, {"access_token": TOKEN, "dpop_key": KEY}, variables={}, moments=moments)
    return Credential(
        parts=presented.parts,
        present=presented.present,
        signer=presented.signer,
        integration_id=uuid4(),  # type: ignore[arg-type]
        provider_id=uuid4(),  # type: ignore[arg-type]
        auth_type=AuthType.OAUTH2,
    )


def by_httpx(api: Api, package=httpx):
    def answer(request):
        status, headers = api.answer(request.method, str(request.url), dict(request.headers))
        return package.Response(status, headers=headers)

    def send(url=URL, *, data=None, auth):
        with package.Client(transport=package.MockTransport(answer)) as client:
            return client.request("POST" if data else "GET", url, content=data, auth=auth).status_code

    return send


class Adapter(BaseAdapter):
    def __init__(self, api: Api) -> None:
        super().__init__()
        self.api = api

    def send(self, request, **_options):
        response = requests.Response()
        response.request, response.url, response.connection = request, request.url, self  # type: ignore[attr-defined]
        response.status_code, headers = self.api.answer(request.method, request.url, dict(request.headers))
        response.headers = requests.structures.CaseInsensitiveDict(headers)
        response.raw = io.BytesIO()
        return response

    def close(self) -> None:
        pass


def by_requests(api: Api):
    def send(url=URL, *, data=None, auth):
        with requests.Session() as session:
            session.mount("https://", Adapter(api))
            return session.request("POST" if data else "GET", url, data=data, auth=auth).status_code

    return send


@pytest.fixture(params=["httpx", "httpx2", "requests"])
def client(request):
    return {"httpx": by_httpx, "httpx2": lambda api: by_httpx(api, httpx2), "requests": by_requests}[request.param]


@pytest.mark.parametrize("data", [None, b"fake body"])
def test_a_client_shows_the_token_with_a_proof(client, data):
    api = Api()
    assert client(api)(data=data, auth=credential().auth()) == 200
    [sent] = api.asked
    assert sent["authorization"] == "DPoP fake-access"
    assert "PRIVATE" not in str(sent)


def test_a_client_takes_up_the_nonce_of_each_server_and_keeps_it(client):
    api, auth = Api("nonce-1"), credential().auth()
    send = client(api)
    assert send(auth=auth, data=b"fake body") == 200
    assert send(auth=auth) == 200
    assert send("https://other.acme.example/orgs", auth=auth) == 200
    # The first request of each server is repeated, the others are not.
    assert len(api.asked) == 5
    assert "nonce-1" not in repr(auth)


def test_a_client_answers_once(client):
    api = Api("nonce-1", "nonce-2", "nonce-3")
    assert client(api)(auth=credential().auth()) == 401
    assert len(api.asked) == 2


def test_a_refusal_for_another_reason_is_not_answered(client):
    api = Api()
    assert client(api)(auth=credential().auth(nonce="fake")) == 200
    wrong = credential()
    auth = wrong.auth()
    assert client(api)(auth=auth) == 401  # the same proofs again
    assert len(api.asked) == 2


def test_a_credential_without_its_key_cannot_be_shown():
    moments = kinds.Moments(now=lambda: NOW, nonce=lambda: bytes(16), tls=lambda certificate, trust: None)
    presented = kinds.present(METHOD, {"access_token": TOKEN}, variables={}, moments=moments)
    with pytest.raises(ConfigurationError, match="dpop needs dpop_key"):
        presented.sign(Unsigned(method="GET", url=URL))
