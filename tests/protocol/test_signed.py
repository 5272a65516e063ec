"""A signed request: the check, `sign` and `auth` send the same, whatever the client."""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import httpx
import pytest
import requests
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from cloud_integrations import Catalogue, kinds, signing
from cloud_integrations.domain.auth_type import AuthType
from cloud_integrations.domain.credential import Credential, Presented
from cloud_integrations.domain.provider import Present, Provider
from cloud_integrations.domain.secret import Secret
from cloud_integrations.errors import ConfigurationError, CredentialFormError, ValidationFailedError
from cloud_integrations.protocol.http import HttpResponse
from cloud_integrations.protocol.signing import find_signer, require_signer
from cloud_integrations.protocol.verification import build_check, read_check
from cloud_integrations.signing import Signed, Unsigned

NOW = datetime(2026, 11, 28, 12, tzinfo=UTC)
AWS = Catalogue.builtin().require("aws")
METHOD = AWS.methods[0]
SECRET = "fake/secret+key"
PARTS = {"secret_access_key": Secret(SECRET), "access_key_id": Secret("AKIAFAKEFAKEFAKEFAKE")}
VARIABLES = {"region": "eu-central-1", "dns_suffix": "amazonaws.com"}
MOMENTS = kinds.Moments(now=lambda: NOW, nonce=lambda: bytes(16), tls=lambda certificate, trust: None)
URL = "https://ec2.eu-central-1.amazonaws.com/?Action=DescribeRegions&Name=a%20b"


def credential(presented: Presented | None = None) -> Credential:
    presented = presented or kinds.present(METHOD, PARTS, variables=VARIABLES, moments=MOMENTS)
    return Credential(
        parts=presented.parts,
        present=presented.present,
        variables=presented.variables,
        signer=presented.signer,
        integration_id=uuid4(),  # type: ignore[arg-type]
        provider_id=uuid4(),  # type: ignore[arg-type]
        auth_type=AuthType.API_KEY,
    )


def by_botocore(method: str, url: str, body: bytes, *, service: str, region: str) -> str:
    """What AWS's own SDK puts into `Authorization` for the same request at the same time."""
    request = AWSRequest(method=method, url=url, data=body, headers={"X-Amz-Date": NOW.strftime("%Y%m%dT%H%M%SZ")})
    auth = SigV4Auth(Credentials("AKIAFAKEFAKEFAKEFAKE", SECRET), service, region)
    request.context["timestamp"] = request.headers["X-Amz-Date"]
    canonical = auth.canonical_request(request)
    return auth.signature(auth.string_to_sign(request, canonical), request)


def test_the_check_sign_and_auth_send_one_signature() -> None:
    signed = credential().sign(Unsigned(method="GET", url=URL), service="ec2")
    expected = by_botocore("GET", URL, b"", service="ec2", region="eu-central-1")
    assert signed.headers["Authorization"].endswith(f"Signature={expected}")
    by_httpx = credential().auth(service="ec2")(httpx.Request("GET", URL, headers={"Accept": "*/*"}))
    assert by_httpx.headers["X-Amz-Date"] == "20261128T120000Z"
    assert str(by_httpx.url) == URL
    prepared = requests.Request("GET", URL, auth=credential().auth(service="ec2")).prepare()
    assert prepared.url == URL
    assert prepared.headers["Authorization"] == signed.headers["Authorization"]


def test_the_check_is_signed_for_its_own_service() -> None:
    presented = kinds.present(METHOD, PARTS, variables=VARIABLES, moments=MOMENTS)
    check = build_check(AWS, METHOD, AWS.verifications[0], presented=presented, variables=VARIABLES)
    assert (check.method, check.url) == ("POST", "https://sts.eu-central-1.amazonaws.com/")
    assert "/eu-central-1/sts/aws4_request" in check.headers["Authorization"]
    own = presented.sign(
        Unsigned(
            method="POST",
            url=check.url,
            headers={"Accept": "application/xml, text/xml", "Content-Type": "application/x-www-form-urlencoded"},
            body=check.body,
        ),
        service="sts",
    )
    assert own.headers == check.headers
    assert SECRET not in f"{check.headers}{check.url}"


@pytest.mark.parametrize("body", [b"fake-body", "fake-text", None, b""])
def test_the_body_is_signed_whatever_its_type(body) -> None:
    request = requests.Request("POST", URL, data=body, auth=credential().auth(service="ec2")).prepare()
    content = body.encode() if isinstance(body, str) else body or b""
    signed = credential().sign(Unsigned(method="POST", url=URL, headers={"Content-Type": "text/plain"}, body=content), service="ec2")
    over_httpx = credential().auth(service="ec2")(httpx.Request("POST", URL, content=body, headers={"Content-Type": "text/plain"}))
    assert over_httpx.headers["X-Amz-Date"] == signed.headers["X-Amz-Date"]
    assert request.headers["Authorization"].startswith("AWS4-HMAC-SHA256 Credential=AKIAFAKEFAKEFAKEFAKE/")


def test_a_body_that_cannot_be_read_twice_is_refused() -> None:
    def parts():
        yield b"fake"

    async def more():
        yield b"fake"

    with pytest.raises(ValidationFailedError, match="body of bytes"):
        requests.Request("POST", URL, data=parts(), auth=credential().auth(service="ec2")).prepare()
    with pytest.raises(ValidationFailedError, match="body of bytes"):
        credential().sign(httpx.Request("POST", URL, content=more()), service="ec2")


def test_a_client_sends_what_was_signed() -> None:
    seen: list[httpx.Request] = []

    def api(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(200)

    with httpx.Client(auth=credential().auth(service="ec2"), transport=httpx.MockTransport(api), trust_env=False) as client:
        client.post(URL, content=b"fake-body")
    assert "Signature=" in seen[0].headers["Authorization"]
    assert seen[0].headers["content-length"] == "9"


def test_what_the_signature_needs_to_know_is_asked_for_by_name() -> None:
    with pytest.raises(ConfigurationError, match="needs service"):
        credential().sign(Unsigned(method="GET", url=URL))
    elsewhere = credential().sign(Unsigned(method="GET", url=URL), service="ec2", region="us-west-2")
    assert "/us-west-2/ec2/" in elsewhere.headers["Authorization"]


def test_other_headers_and_parameters_go_beside_the_signature() -> None:
    shown = Present(
        headers={"X-Tenant": "{access_key_id}"}, query={"key": "{region}"}, sign="aws4", options={"service": "s3", "region": "{region}"}
    )
    presented = kinds.present(METHOD.model_copy(update={"present": shown}), PARTS, variables=VARIABLES, moments=MOMENTS)
    assert presented.forms == ("headers", "params", "sign")
    signed = presented.sign(Unsigned(method="GET", url="https://a.example/b", headers={"x-tenant": "spoofed"}))
    assert signed.url == "https://a.example/b?key=eu-central-1"
    assert signed.headers["X-Tenant"] == "AKIAFAKEFAKEFAKEFAKE"
    assert "spoofed" not in signed.headers.values()
    assert "x-tenant" in signed.headers["Authorization"]


def test_a_signed_credential_has_no_headers_of_its_own_and_others_do_not_sign() -> None:
    with pytest.raises(CredentialFormError, match=r"sign\(\)"):
        credential().headers()
    bearer = credential(Presented(parts={"token": Secret("fake")}))
    with pytest.raises(CredentialFormError):
        bearer.sign(Unsigned(method="GET", url=URL))
    unclocked = kinds.present(METHOD, PARTS, variables=VARIABLES)
    assert unclocked.forms == ()


def test_nothing_of_it_is_shown(caplog) -> None:
    caplog.set_level(logging.DEBUG)
    signed = credential().sign(Unsigned(method="GET", url=URL), service="ec2")
    for shown in (repr(credential()), repr(credential().auth(service="ec2")), repr(signed), caplog.text):
        assert SECRET not in shown
        assert "AKIA" not in shown


@pytest.mark.parametrize(
    ("present", "says"),
    [
        ({"sign": "aws5"}, "names aws5, which is no signature that is known here"),
        ({"sign": "aws4", "options": {"service": "s3"}}, "must have region"),
        ({"sign": "aws4", "options": {"service": "s3", "region": "{regoin}"}}, "uses {regoin}"),
        ({"sign": "aws4", "options": {"service": "s3", "region": "a", "color": "b"}}, "color"),
        ({"sign": "ovh1"}, "must have application_key"),
    ],
)
def test_a_signature_that_could_not_be_made_is_no_provider_file(present, says) -> None:
    inputs = [{"name": "access_key_id", "secret": False}, {"name": "secret_access_key"}]
    method = {"id": "key", "kind": "key", "inputs": inputs, "present": present}
    with pytest.raises(ConfigurationError) as caught:
        Catalogue.of(Provider.model_validate({"id": "acme", "name": "Acme", "methods": [method]}))
    assert says in str(caught.value)


def test_options_without_a_signature_are_refused() -> None:
    with pytest.raises(ValueError, match="give sign"):
        Present(options={"service": "s3"})


def xml(code: str) -> bytes:
    return f'<ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><Error><Code>{code}</Code></Error></ErrorResponse>'.encode()


IDENTITY = (
    b'<GetCallerIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><GetCallerIdentityResult>'
    b"<Arn>arn:aws:iam::123456789012:user/fake</Arn><UserId>AIDAFAKE</UserId><Account>123456789012</Account>"
    b"</GetCallerIdentityResult></GetCallerIdentityResponse>"
)


@pytest.mark.parametrize(
    ("status", "body", "outcome"),
    [
        (200, IDENTITY, "alive"),
        (200, b"<html>", "unknown"),
        (200, b'<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>', "unknown"),
        (403, xml("InvalidClientTokenId"), "dead"),
        (403, xml("SignatureDoesNotMatch"), "dead"),
        (403, xml("ExpiredToken"), "dead"),
        (403, xml("RequestExpired"), "clock_skew"),
        (403, xml("RegionDisabledException"), "wrong_region"),
        (403, xml("AccessDenied"), "alive_but_denied"),
        (403, b"", "unknown"),
        (400, xml("Throttling"), "unknown"),
        (503, xml("SlowDown"), "unknown"),
        (500, b"", "unknown"),
    ],
)
@pytest.mark.requirement("Q51", "Q58", "Q63")
def test_answers_of_aws_are_read(status, body, outcome) -> None:
    response = HttpResponse(status=status, headers={"content-type": "text/xml"}, body=body)
    presented = kinds.present(METHOD, PARTS, variables=VARIABLES, moments=MOMENTS)
    result = read_check(AWS, METHOD, AWS.verifications[0], response, presented=presented, variables=VARIABLES, now=NOW)
    assert result.outcome == outcome
    if outcome == "alive":
        assert (result.account.account_id, result.account.label) == ("123456789012/AIDAFAKE", "arn:aws:iam::123456789012:user/fake")


class Fake:
    def problems(self, options, parts):
        return ()

    def sign(self, request, *, parts, options, now, nonce):
        return Signed(url=request.url, headers={**request.headers, "X-Signed": f"{now - timedelta():%Y}-{nonce.hex()[:2]}"})


def test_a_signature_has_one_name_and_is_known_in_the_process(monkeypatch) -> None:
    monkeypatch.setattr("cloud_integrations.protocol.signing._ADDED", {})
    for name in ("", "Aws4", "a-b", "a" * 65):
        with pytest.raises(ValueError, match="name of a signature"):
            signing.register(name, Fake())
    with pytest.raises(ValueError, match="aws4 already"):
        signing.register("aws4", Fake())
    signing.register("fake1", Fake())
    with pytest.raises(ValueError, match="fake1 already"):
        signing.register("fake1", Fake())
    assert find_signer("fake1") is require_signer("fake1")
    with pytest.raises(ConfigurationError, match="fake2"):
        require_signer("fake2")
