"""Huawei Cloud's signature, against its documentation and its own library."""

from __future__ import annotations

from datetime import UTC, datetime
from urllib.parse import parse_qsl, urlsplit

import pytest

from .signing_cases import SAMPLES, authorization, sdk, sign


def test_the_example_of_the_documentation() -> None:
    """https://support.huaweicloud.com/intl/en-us/devg-apisign/api-sign-algorithm-004.html and the pages before it."""
    signed = sign(
        "sdk_hmac",
        method="GET",
        url="https://service.region.example.com/v1/77b6a44cba5143ab91d13ab9a8ff44fd/vpcs?limit=2&marker=13551d6b-755d-4757-b956-536f674975c0",
        headers={"Content-Type": "application/json"},
        parts={"access_key": "QTWAOYTTINDUT2QVKYUC", "secret_key": "MFyfvK41ba2giqM7Uio6PznpdUKGpownRZlmVmHc"},
        now=datetime(2019, 11, 15, 3, 36, 55, tzinfo=UTC),
    )
    assert signed.headers["X-Sdk-Date"] == "20191115T033655Z"
    assert authorization(signed) == (
        "SDK-HMAC-SHA256 Access=QTWAOYTTINDUT2QVKYUC, SignedHeaders=content-type;host;x-sdk-date, "
        "Signature=7be6668032f70418fcc22abc52071e57aff61b84a1d2381bb430d6870f4f6ebe"
    )


@pytest.mark.parametrize(
    ("method", "target", "headers", "body"),
    [
        ("GET", "/v5/caller-identity", {}, b""),
        ("GET", "/", {"X-Security-Token": "fake-token"}, b""),
        ("GET", "/v1/a%20b/%C3%BC~/c%2Fd/?b=2&a=1&a=0&empty=&q=x%20y%2B%2A", {"X-Project-Id": " p "}, b""),
        ("POST", "/v5/agencies/assume", {"Content-Type": "application/json", "X-Security-Token": "fake-token"}, b'{"a": "\xc3\xbc"}'),
        ("DELETE", "/v1/things/1", {"X-Domain-Id": "d"}, b""),
    ],
)
def test_huaweis_own_library_signs_the_same(method: str, target: str, headers: dict[str, str], body: bytes) -> None:
    sample = SAMPLES["sdk_hmac"]
    parts = urlsplit(target)
    credentials = sdk("huaweicloudsdkcore.auth.credentials").BasicCredentials(sample.parts["access_key"], sample.parts["secret_key"])
    request = sdk("huaweicloudsdkcore.sdk_request").SdkRequest(
        method=method,
        schema="https",
        host="sts.example.com",
        resource_path=parts.path,
        query_params=parse_qsl(parts.query, keep_blank_values=True),
        header_params={**headers, "X-Sdk-Date": "20261122T120000Z"},
        body=body,
    )
    expected = sdk("huaweicloudsdkcore.signer.signer").Signer(credentials).sign(request)

    token = {"security_token": headers["X-Security-Token"]} if "X-Security-Token" in headers else {}
    signed = sign(
        "sdk_hmac",
        method=method,
        url=f"https://sts.example.com{target}",
        headers={name: value for name, value in headers.items() if name != "X-Security-Token"},
        body=body,
        parts={**sample.parts, **token},
    )
    assert authorization(signed) == expected.header_params["Authorization"]


def test_a_header_with_an_underscore_is_not_signed() -> None:
    assert "x_a" not in authorization(sign("sdk_hmac", headers={"x_a": "1", "x-a_b": "1"}))
