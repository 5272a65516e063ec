"""Akamai's signature, against the test values of its own libraries, and one of these libraries."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID

import pytest

from cloud_integrations.domain.signing import Unsigned
from cloud_integrations.protocol.signing import eg1
from cloud_integrations.protocol.signing.canonical import read_url

from .signing_cases import NONCE, SAMPLES, authorization, problems, sdk, sign, signature

# https://github.com/akamai/AkamaiOPEN-edgegrid-python, akamai/edgegrid/test/testcases.json; Akamai's libraries share these values.
BASE = "https://akaa-baseurl-xxxxxxxxxxx-xxxxxxxxxxxxx.luna.akamaiapis.net"
VALUES = {
    "client_token": "akab-client-token-xxx-xxxxxxxxxxxxxxxx",
    "client_secret": "x" * 43 + "=",
    "access_token": "akab-access-token-xxx-xxxxxxxxxxxxxxxx",
    "headers": "X-Test1 X-Test2 X-Test3",
    "max_body": "2048",
}
SPACES = '"     test-header-with-spaces     "'
THREE = {"X-Test2": "t2", "X-Test1": "t1", "X-Test3": "t3"}


@pytest.mark.parametrize(
    ("method", "target", "headers", "body", "signature"),
    [
        ("GET", "/", {}, b"", "tL+y4hxyHxgWVD30X3pWnGKHcPzmrIF+LThiAOhMxYU="),
        ("GET", "/testapi/v1/t1?p1=1&p2=2", {}, b"", "hKDH1UlnQySSHjvIcZpDMbQHihTQ0XyVAKZaApabdeA="),
        ("POST", "/testapi/v1/t3", {}, b"data" * 8, "hXm4iCxtpN22m4cbZb4lVLW5rhX8Ca82vCFqXzSTPe4="),
        ("POST", "/testapi/v1/t3", {}, b"d" * 2049, "6Q6PiTipLae6n4GsSIDTCJ54bEbHUBp+4MUXrbQCBoY="),
        ("POST", "/testapi/v1/t3", {}, b"d" * 2048, "6Q6PiTipLae6n4GsSIDTCJ54bEbHUBp+4MUXrbQCBoY="),
        ("POST", "/testapi/v1/t6", {}, b"", "1gEDxeQGD5GovIkJJGcBaKnZ+VaPtrc4qBUHixjsPCQ="),
        ("GET", "/testapi/v1/t4", {"X-Test1": "test-simple-header"}, b"", "8F9AybcRw+PLxnvT+H0JRkjROrrUgsxJTnRXMzqvcwY="),
        ("GET", "/testapi/v1/t4", {"X-Test1": SPACES}, b"", "ucq2AbjCNtobHfCTuS38fdkl5UDdWHZhQX46fYR8CqI="),
        ("GET", "/testapi/v1/t4", {"X-Test1": "   first-thing    second-thing"}, b"", "WtnneL539UadAAOJwnsXvPqT4Kt6z7HMgBEwAFpt3+c="),
        ("GET", "/testapi/v1/t4", THREE, b"", "Wus73Nx8jOYM+kkBFF2q8D1EATRIMr0WLWwpLBgkBqY="),
        ("GET", "/testapi/v1/t5", {**THREE, "X-Extra": "not signed"}, b"", "Knd/jc0A5Ghhizjayr0AUUvl2MZjBpS3FDSzvtq4Ixc="),
    ],
)
def test_the_test_values_of_akamais_libraries(method: str, target: str, headers: dict[str, str], body: bytes, signature: str) -> None:
    url = read_url(BASE + target)
    request = Unsigned(method=method, url=str(url), headers=headers, body=body)
    # Their nonce is no UUID, as ours are.
    nonce = "nonce-xx-xxxx-xxxx-xxxx-xxxxxxxxxxxx"
    made = eg1._authorize(request, url, VALUES, timestamp="20140321T19:34:21+0000", nonce=nonce)
    start = f"EG1-HMAC-SHA256 client_token={VALUES['client_token']};access_token={VALUES['access_token']};timestamp=20140321T19:34:21+0000"
    assert made == f"{start};nonce={nonce};signature={signature}"


@pytest.mark.parametrize(
    ("method", "target", "headers", "body"),
    [
        ("GET", "/identity-management/v3/api-clients/self", {}, b""),
        ("GET", "/a%20b;c=d/%C3%BC?b=2&a=&a=1&q=x+y", {"X-Test": "a   b "}, b""),
        ("POST", "/things", {"x-test": "1"}, b"{}"),
        ("POST", "/things", {}, b"d" * 131073),
        ("POST", "/things", {}, b""),
        ("PUT", "/things", {}, b"{}"),
    ],
)
def test_akamais_own_library_signs_the_same(method: str, target: str, headers: dict[str, str], body: bytes) -> None:
    parts = SAMPLES["eg1"].parts
    prepared = sdk("requests").Request(method, BASE + target, headers=headers, data=body).prepare()
    assert prepared.url == BASE + target
    auth = sdk("akamai.edgegrid").EdgeGridAuth(**parts, headers_to_sign=["X-Test"])
    expected = auth.ah.make_auth_header(prepared, "20261122T12:00:00+0000", str(UUID(bytes=NONCE)))
    signed = sign("eg1", method=method, url=BASE + target, headers=headers, body=body)
    assert authorization(signed) == expected


def test_only_so_many_bytes_of_the_body_are_signed() -> None:
    one, other = (sign("eg1", body=body, options={"max_body": "2"}) for body in (b"abc", b"abd"))
    assert signature(one) == signature(other)


@pytest.mark.parametrize("number", ["", "-1", "1e3", "²", "9" * 10, "many"])
def test_a_limit_that_is_no_number_is_a_problem_and_is_not_used(number: str) -> None:
    assert problems("eg1", {"max_body": number}, set(SAMPLES["eg1"].parts)) == ["must have a number of bytes as max_body"]
    assert sign("eg1", body=b"abc", options={"max_body": number}) == sign("eg1", body=b"abc", options={})


def test_the_time_is_written_in_utc() -> None:
    signed = sign("eg1", now=datetime(2014, 3, 21, 19, 34, 21, 999_999, tzinfo=UTC))
    assert ";timestamp=20140321T19:34:21+0000;" in authorization(signed)
