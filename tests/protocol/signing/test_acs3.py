"""Alibaba Cloud's signature, against its documentation and its own library."""

from __future__ import annotations

from datetime import UTC, datetime
from urllib.parse import parse_qsl, urlsplit

import pytest

from cloud_integrations.protocol.signing.canonical import sha256_hex

from .signing_cases import SAMPLES, authorization, sdk, sign


def test_the_example_of_the_documentation() -> None:
    """https://www.alibabacloud.com/help/en/sdk/product-overview/v3-request-structure-and-signature, "Fixed parameter example"."""
    signed = sign(
        "acs3",
        url="https://ecs.cn-shanghai.aliyuncs.com/?RegionId=cn-shanghai&ImageId=win2019_1809_x64_dtc_zh-cn_40G_alibase_20230811.vhd",
        headers={"x-acs-action": "RunInstances", "x-acs-version": "2014-05-26"},
        parts={"access_key_id": "YourAccessKeyId", "access_key_secret": "YourAccessKeySecret"},
        now=datetime(2023, 10, 26, 10, 22, 32, tzinfo=UTC),
        nonce=bytes.fromhex("3156853299f313e23d1673dc12e1703d"),
    )
    assert authorization(signed) == (
        "ACS3-HMAC-SHA256 Credential=YourAccessKeyId,"
        "SignedHeaders=host;x-acs-action;x-acs-content-sha256;x-acs-date;x-acs-signature-nonce;x-acs-version,"
        "Signature=06563a9e1b43f5dfe96b81484da74bceab24a1d853912eee15083a6f0f3283c0"
    )


@pytest.mark.parametrize(
    ("method", "target", "headers", "body"),
    [
        ("POST", "/", {"x-acs-action": "GetCallerIdentity", "x-acs-version": "2015-04-01"}, b""),
        ("GET", "/clusters/a%20b/%C3%BC?b=2&a=&q=x%20y%2B~%2A", {"x-acs-version": "2015-12-15"}, b""),
        ("POST", "/v1/things", {"content-type": "application/json"}, b'{"a": "\xc3\xbc"}'),
        (
            "POST",
            "/",
            {"content-type": "application/x-www-form-urlencoded", "x-acs-action": "AssumeRole"},
            b"RoleArn=a%3Ab&ExternalId=fake",
        ),
        ("POST", "/v1/things", {"content-type": "application/json", "x-acs-security-token": "fake-token"}, b"{}"),
    ],
)
def test_alibabas_own_library_signs_the_same(method: str, target: str, headers: dict[str, str], body: bytes) -> None:
    sample = SAMPLES["acs3"]
    client = sdk("alibabacloud_openapi_util.client").Client
    request = sdk("Tea.request").TeaRequest()
    parts = urlsplit(target)
    request.method, request.pathname = method, parts.path
    request.query = dict(parse_qsl(parts.query, keep_blank_values=True))
    digest = sha256_hex(body)
    assert client.hex_encode(client.hash(body, "ACS3-HMAC-SHA256")) == digest
    request.headers = {
        "host": "sts.example.com",
        "x-acs-content-sha256": digest,
        "x-acs-date": "2026-11-22T12:00:00Z",
        "x-acs-signature-nonce": "000102030405060708090a0b0c0d0e0f",
        **headers,
    }
    expected = client.get_authorization(request, "ACS3-HMAC-SHA256", digest, *sample.parts.values())

    token = {"security_token": headers["x-acs-security-token"]} if "x-acs-security-token" in headers else {}
    signed = sign(
        "acs3",
        method=method,
        url=f"https://sts.example.com{target}",
        headers={name.title(): value for name, value in headers.items() if name != "x-acs-security-token"},
        body=body,
        parts={**sample.parts, **token},
    )
    assert authorization(signed) == expected
    assert {name.lower(): value for name, value in signed.headers.items()} == {**request.headers, "authorization": expected}
