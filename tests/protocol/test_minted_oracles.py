"""What is sent to mint is what the vendors' own libraries send, and their answers are read alike."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime
from urllib.parse import parse_qsl

import google.oauth2.service_account
import msal
import pytest
from cryptography.hazmat.primitives.serialization import NoEncryption, pkcs12
from tests.protocol.keys import certificate, certificate_pem, key, pem
from tests.protocol.minting import NOW, claims

from cloud_integrations.domain.secret import Secret
from cloud_integrations.kinds import present
from cloud_integrations.protocol.http import HttpResponse
from cloud_integrations.protocol.minting import Minted, build_step, read_step
from cloud_integrations.providers import Catalogue

ANSWER = {"token_type": "Bearer", "expires_in": 3599, "access_token": "fake-token"}
APP = "11111111-2222-3333-4444-555555555555"
EMAIL = "robot@acme.iam.gserviceaccount.com"


def ours(slug, method_id, values, **variables):
    """Return the request of the method's mint, its form, and how the vendor's answer is read."""
    provider = Catalogue.builtin().require(slug)
    method = provider.method_named(method_id)
    (step,) = method.mint
    known = {**provider.fill_variables(variables), **values}
    request = build_step(step, values=known, proofs=method.proofs, provider_id=slug, now=NOW, jti="jti-1")
    response = HttpResponse(status=200, body=json.dumps(ANSWER).encode(), sent_at=NOW)
    minted = read_step(
        step, response, provider=provider, method_id=method.id, access_token=method.access_token, owned=True, now=NOW
    )  # fmt: skip
    assert isinstance(minted, Minted)
    return request, form(request.body), minted


def form(body):
    return dict(parse_qsl(body.decode() if isinstance(body, bytes) else body, strict_parsing=True))


def part(token, number):
    """Return the header (0) or the claims (1) of a JWT."""
    text = token.split(".")[number]
    return json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))


class Answer:
    """The answer to a request of a vendor's library."""

    status = status_code = 200
    headers = {"content-type": "application/json"}  # noqa: RUF012  # as a response has it
    text = json.dumps(ANSWER)
    data = text.encode()

    @staticmethod
    def raise_for_status():
        return


@pytest.mark.requirement("OAU-065", "Q24")
def test_a_service_account_asks_as_google_auth_does():
    info = {"client_email": EMAIL, "private_key": pem(), "private_key_id": "key-1", "token_uri": "https://oauth2.googleapis.com/token"}
    sent = []

    def google_request(url, method, headers, body, **_):
        sent.append((method, url, headers["Content-Type"], body))
        return Answer

    theirs = google.oauth2.service_account.Credentials.from_service_account_info(
        info, scopes=["https://www.googleapis.com/auth/cloud-platform"]
    )
    before = datetime.now(UTC)
    theirs.refresh(google_request)
    ((method, url, content_type, body),) = sent
    request, own, minted = ours("google_cloud", "service_account", {name: Secret(info[name]) for name in info if name != "token_uri"})
    assert (request.method, request.url, request.headers["Content-Type"]) == (method, url, content_type)
    their_form = form(body)
    assert own.keys() == their_form.keys()
    assert own["grant_type"] == their_form["grant_type"]
    assert part(own["assertion"], 0) == part(their_form["assertion"], 0)
    said, wanted = claims(own["assertion"]), claims(their_form["assertion"])
    assert {name: said[name] for name in ("iss", "aud", "scope")} == {name: wanted[name] for name in ("iss", "aud", "scope")}
    # google-auth signs for an hour, and needs no jti.
    assert (said["exp"] - said["iat"], wanted["exp"] - wanted["iat"]) == (300, 3600)
    assert (minted.values["access_token"].reveal(), (minted.expires_at - NOW).total_seconds()) == (theirs.token, 3599)
    assert 3590 < (theirs.expiry.replace(tzinfo=UTC) - before).total_seconds() < 3660


class Entra:
    """An HTTP client for msal."""

    def __init__(self):
        self.sent = []

    def post(self, url, data=None, headers=None, **_):
        self.sent.append((url, data, headers))
        return Answer

    def get(self, url, **_):
        tenant = "https://login.microsoftonline.com/acme.example"
        answer = Answer()
        answer.text = json.dumps({
            "token_endpoint": f"{tenant}/oauth2/v2.0/token",
            "authorization_endpoint": f"{tenant}/oauth2/v2.0/authorize",
            "issuer": f"{tenant}/v2.0",
        })  # fmt: skip
        return answer

    def close(self):
        return


def by_msal(credential):
    client = Entra()
    application = msal.ConfidentialClientApplication(
        APP,
        authority="https://login.microsoftonline.com/acme.example",
        client_credential=credential,
        http_client=client,
        instance_discovery=False,
    )
    answer = application.acquire_token_for_client(["https://management.azure.com/.default"])
    ((url, data, _),) = client.sent
    return url, data, answer


def test_a_client_secret_is_sent_as_msal_does():
    url, data, answer = by_msal("fake-client-secret")
    request, own, minted = ours(
        "azure", "service_principal", {"client_id": APP, "client_secret": Secret("fake-client-secret")}, tenant="acme.example"
    )
    assert request.url == url
    assert own == {name: data[name] for name in own}
    assert data.keys() - own.keys() <= {"client_info", "claims"}
    assert minted.values["access_token"].reveal() == answer["access_token"]


@pytest.mark.requirement("OAU-064", "Q24")
def test_a_certificate_proves_itself_as_msal_does(tmp_path):
    # The one form that every supported msal reads.
    file = tmp_path / "fake.pfx"
    file.write_bytes(pkcs12.serialize_key_and_certificates(None, key(), certificate(), None, NoEncryption()))
    url, data, _ = by_msal({"private_key_pfx_path": str(file), "public_certificate": True})
    request, own, _ = ours(
        "azure", "service_principal", {"client_id": APP, "certificate": Secret(certificate_pem() + pem())}, tenant="acme.example"
    )
    assert request.url == url
    theirs = data["client_assertion"]
    theirs = theirs.decode() if isinstance(theirs, bytes) else theirs
    assert {**own, "client_assertion": None} == {**{name: data.get(name) for name in own}, "client_assertion": None}
    said, wanted = part(own["client_assertion"], 1), part(theirs, 1)
    assert {name: said[name] for name in ("iss", "sub", "aud")} == {name: wanted[name] for name in ("iss", "sub", "aud")}
    assert (said.keys(), said["exp"] - said["iat"]) == (wanted.keys(), 60)
    own_header, their_header = part(own["client_assertion"], 0), part(theirs, 0)
    # Only a login by subject name and issuer needs the certificate itself.
    their_header.pop("x5c")
    # msal pads the thumbprint, which RFC 7515 forbids.
    their_header["x5t#S256"] = their_header["x5t#S256"].rstrip("=")
    assert own_header == their_header


@pytest.mark.requirement("Q23")
def test_an_ibm_key_is_exchanged_as_ibm_cloud_sdk_core_does():
    # Recorded of ibm-cloud-sdk-core 3.28.0, `IAMTokenManager("fake-key").get_token()`, in `request`.
    recorded = b"grant_type=urn%3Aibm%3Aparams%3Aoauth%3Agrant-type%3Aapikey&apikey=fake-key&response_type=cloud_iam"
    request, own, minted = ours("ibm_cloud", "api_key", {"api_key": Secret("fake-key")})
    assert (request.method, request.url, own) == ("POST", "https://iam.cloud.ibm.com/identity/token", form(recorded))
    assert request.headers["Content-Type"] == "application/x-www-form-urlencoded"
    assert "Authorization" not in request.headers
    assert minted.values == {"access_token": Secret("fake-token")}


def test_no_request_shows_what_a_token_was_minted_from():
    for provider in Catalogue.builtin().list_providers():
        for method in provider.methods:
            if method.mint:
                secrets = {name for each in method.inputs for name in each.part_names if name not in each.public_names}
                parts = {name: Secret("fake") for name in secrets} | {
                    name: Secret("fake") for step in method.mint for name in step.reply.gives
                }
                shown = present(method, parts, variables={}).parts.keys()
                assert shown
                assert not shown & secrets
