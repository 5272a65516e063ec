"""AWS Signature Version 4, against the documentation of AWS and botocore's own whole path."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from typing import Any

import pytest
from botocore.auth import S3SigV4Auth, SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from cloud_integrations.errors import ConfigurationError

from .signing_cases import NOW, SAMPLES, authorization, sign, signature

SECRET = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
S3_SECRET = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
UNRESERVED = "-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
EMPTY = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
FORM = "application/x-www-form-urlencoded"


@pytest.mark.parametrize(
    ("method", "target", "headers", "body", "expected"),
    [
        ("GET", "/", {}, b"", "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"),
        ("GET", f"/{UNRESERVED}", {}, b"", "07ef7494c76fa4850883e2b006601f940f8a34d404d0cfa977f52a65bbf5f24f"),
        ("GET", "/?Param1=value1", {}, b"", "a67d582fa61cc504c4bae71f336f98b97f1ea3c7a6bfe1b6e45aec72011b9aeb"),
        ("GET", "/?Param2=value2&Param1=value1", {}, b"", "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500"),
        ("GET", f"/?{UNRESERVED}={UNRESERVED}", {}, b"", "9c3e54bfcdf0b19771a7f523ee5669cdf59bc7cc0884027167c21bb143a40197"),
        ("GET", "/?ሴ=bar", {}, b"", "2cdec8eed098649ff3a119c94853b13c643bcf08f8b0a1d91e12c9027818dd04"),
        (
            "GET",
            "/",
            {"My-Header1": " value1", "My-Header2": ' "a   b   c"'},
            b"",
            "acc3ed3afb60bb290fc8d2dd0098b9911fcaa05412b367055dee359757a9c736",
        ),
        ("POST", "/", {}, b"", "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"),
        ("POST", "/", {"My-Header1": "value1"}, b"", "c5410059b04c1ee005303aed430f6e6645f61f4dc9e1461ec8f8916fdf18852c"),
        ("POST", "/", {"My-Header1": "VALUE1"}, b"", "cdbc9802e29d2942e5e10b5bccfdd67c5f22c7c4e8ae67b53629efa58b974b7d"),
        ("POST", "/?Param1=value1", {}, b"", "28038455d6de14eafc1f9222cf5aa6f1a96197d7deb8263271d420d138af7f11"),
        ("POST", "/?p=", {}, b"", "e71688addb58a26418614085fb730ba3faa623b461c17f48f2fbdb9361b94a9b"),
        (
            "POST",
            "/?%40%23%24%25%5E=&%2B=/%2C%3F%3E%3C%60%22%3B%3A%5C%7C%5D%5B%7B%7D",
            {},
            b"",
            "66c82657c86e26fb25238d0e69f011edc4c6df5ae71119d7cb98ed9b87393c1e",
        ),
        ("POST", "/", {"Content-Type": FORM}, b"Param1=value1", "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a"),
        (
            "POST",
            "/",
            {"Content-Type": f"{FORM}; charset=utf8"},
            b"Param1=value1",
            "1a72ec8f64bd914b0e42e42607c7fbce7fb2c7465f63e3092b3b0d39fa77a6fe",
        ),
    ],
)
def test_the_values_of_the_test_suite_of_aws(method: str, target: str, headers: dict[str, str], body: bytes, expected: str) -> None:
    """The Signature Version 4 test suite, as the AWS SDK for JavaScript holds it (packages/signature-v4, suite.fixture)."""
    signed = sign(
        "aws4",
        method=method,
        url=f"https://example.amazonaws.com{target}",
        headers=headers,
        body=body,
        parts={"access_key_id": "AKIDEXAMPLE", "secret_access_key": SECRET},
        options={"service": "service", "region": "us-east-1"},
        now=datetime(2015, 8, 30, 12, 36, tzinfo=UTC),
    )
    covered = ";".join(sorted({"host", "x-amz-date", *(name.lower() for name in headers)}))
    scope = "AKIDEXAMPLE/20150830/us-east-1/service/aws4_request"
    assert authorization(signed) == f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders={covered}, Signature={expected}"


@pytest.mark.parametrize(
    ("method", "target", "headers", "body", "expected"),
    [
        ("GET", "/test.txt", {"Range": "bytes=0-9"}, b"", "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"),
        (
            "PUT",
            "/test$file.text",
            {"Date": "Fri, 24 May 2013 00:00:00 GMT", "x-amz-storage-class": "REDUCED_REDUNDANCY"},
            b"Welcome to Amazon S3.",
            "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd",
        ),
        ("GET", "/?lifecycle", {}, b"", "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543"),
        ("GET", "/?max-keys=2&prefix=J", {}, b"", "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"),
    ],
)
def test_the_examples_of_the_documentation_of_s3(method: str, target: str, headers: dict[str, str], body: bytes, expected: str) -> None:
    """https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html, "Examples: Signature Calculations"."""
    signed = sign(
        "aws4",
        method=method,
        url=f"https://examplebucket.s3.amazonaws.com{target}",
        headers=headers,
        body=body,
        parts={"access_key_id": "AKIAIOSFODNN7EXAMPLE", "secret_access_key": S3_SECRET},
        options={"service": "s3", "region": "us-east-1"},
        now=datetime(2013, 5, 24, tzinfo=UTC),
    )
    assert signature(signed) == expected
    assert "Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request," in authorization(signed)


@pytest.mark.parametrize("service", ["sts", "s3", "execute-api", "s3-object-lambda"])
@pytest.mark.parametrize(
    ("method", "target", "headers", "body"),
    [
        ("GET", "", {}, b""),
        ("GET", "/a%20b//c/%C3%BC%3A1?b=2&a=&a=1&q=x%20y%2B&p", {}, b""),
        ("POST", "/", {"content-type": FORM, "User-Agent": "x", "X-Amzn-Trace-Id": "y"}, b"Action=GetCallerIdentity&Version=2011-06-15"),
        ("PUT", "/key", {"Content-MD5": "x", "Content-Type": "text/plain"}, b"text"),
    ],
)
def test_botocores_whole_path_signs_the_same(
    service: str, method: str, target: str, headers: dict[str, str], body: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`SigV4Auth.add_auth` with its clock stopped: our own way never reads the clock."""
    import botocore.auth

    parts = {**SAMPLES["aws4"].parts, "session_token": "fake-token"}
    signed = sign(
        "aws4",
        method=method,
        url=f"https://host.example.com:8443{target}",
        headers=headers,
        body=body,
        parts=parts,
        options={"service": service, "region": "eu-central-1"},
    )
    monkeypatch.setattr(botocore.auth, "get_current_datetime", lambda: NOW.replace(tzinfo=None))
    auth = (S3SigV4Auth if service.startswith("s3") else SigV4Auth)(Credentials(*parts.values()), service, "eu-central-1")
    request: Any = AWSRequest(method=method, url=signed.url, headers=headers, data=body)
    auth.add_auth(request)
    assert authorization(signed) == request.headers["Authorization"]
    sent = {name.lower(): value for name, value in signed.headers.items()}
    assert sent.pop("host") == "host.example.com:8443"
    assert sent == {name.lower(): value for name, value in request.headers.items()}


def test_neither_clock_nor_log_is_touched(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    import botocore.auth

    monkeypatch.delattr(botocore.auth, "get_current_datetime")
    with caplog.at_level("DEBUG"):
        assert sign("aws4").headers["X-Amz-Date"] == "20261122T120000Z"
    assert caplog.text == ""


def test_the_token_of_temporary_credentials_gives_the_signature_of_the_suite() -> None:
    """The case `post-sts-header-before` of the suite above."""
    token = (
        "AQoDYXdzEPT//////////wEXAMPLEtc764bNrC9SAPBSM22wDOk4x4HIZ8j4FZTwdQWLWsKWHGBuFqwAeMicRXmxfpSPfIeoIYRqTflfKD8YUuwthAx7mSEI/qkPpKPi/"
        "kMcGdQrmGdeehM4IC1NtBmUpp2wUE8phUZampKsburEDy0KPkyQDYwT7WZ0wq5VSXDvp75YU9HFvlRd8Tx6q6fE8YQcHNVXAkiY9q6d+xo0rKwT38xVqr7ZD0u0iPPkUL"
        "64lIZbqBAz+scqKmlzm8FDrypNC9Yjc8fPOLn9FX9KSYvKTr4rvx3iSIlTJabIQwj2ICCR/oLxBA=="
    )
    signed = sign(
        "aws4",
        url="https://example.amazonaws.com/",
        parts={"access_key_id": "AKIDEXAMPLE", "secret_access_key": SECRET, "session_token": token},
        options={"service": "service", "region": "us-east-1"},
        now=datetime(2015, 8, 30, 12, 36, tzinfo=UTC),
    )
    assert signature(signed) == "85d96828115b5dc0cfc3bd16ad9e210dd772bbebba041836c64533a82be05ead"


@pytest.mark.parametrize(("service", "sent"), [("s3", True), ("s3-outposts", True), ("aoss", True), ("sts", False)])
def test_the_hash_of_the_body_is_sent_where_the_service_wants_it(service: str, sent: bool) -> None:
    options = {"service": service, "region": "eu-central-1"}
    signed = sign("aws4", options=options, headers={"x-amz-content-sha256": "UNSIGNED-PAYLOAD"})
    assert {name.lower(): value for name, value in signed.headers.items()}.get("x-amz-content-sha256") == (EMPTY if sent else None)
    assert ("x-amz-content-sha256" in authorization(signed)) is sent


@pytest.mark.parametrize(("service", "path"), [("s3", "/a/b%3Ac"), ("execute-api", "/a%2Fb%3Ac")])
def test_an_encoded_slash_is_a_slash_for_s3_only(service: str, path: str) -> None:
    signed = sign("aws4", url="https://host.example.com/a%2Fb:c", options={"service": service, "region": "eu-central-1"})
    assert signed.url == f"https://host.example.com{path}"


def test_without_botocore_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "botocore.auth", None)
    with pytest.raises(ConfigurationError, match=r"the signature aws4 needs the extra aws: pip install 'cloud-integrations\[aws\]'"):
        sign("aws4")
