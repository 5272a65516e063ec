"""Exoscale's signature, against the test values of its own library, and the library itself."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from .signing_cases import SAMPLES, authorization, sdk, sign

EXPIRES = datetime(2077, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("query", "covered", "signature"),
    [
        ("", "", "Ntbq/p0HVmA3Zg1HHY+Lq1vjFGi7HeMrrgXDS5jRNlY="),
        ("?k1=v1&k2=v2", ",signed-query-args=k1;k2", "iqOBz13+44L5j0uJclE8hmUhQQcvtCSoPEOXYK6liqY="),
        ("?k2=v2&k1=v1", ",signed-query-args=k1;k2", "iqOBz13+44L5j0uJclE8hmUhQQcvtCSoPEOXYK6liqY="),
    ],
)
def test_the_test_values_of_exoscales_library(query: str, covered: str, signature: str) -> None:
    """https://github.com/exoscale/requests-exoscale-auth, tests."""
    signed = sign(
        "exo2",
        method="GET",
        url=f"https://api.exoscale.com/v2/zone{query}",
        parts={"api_key": "EXO" + "x" * 24, "api_secret": "X" * 43},
        now=EXPIRES - timedelta(minutes=10),
    )
    start = f"EXO2-HMAC-SHA256 credential=EXO{'x' * 24}{covered},expires={int(EXPIRES.timestamp())}"
    assert authorization(signed) == f"{start},signature={signature}"


@pytest.mark.parametrize(
    ("method", "url", "body"),
    [
        ("GET", "https://api-ch-gva-2.exoscale.com/v2/organization", b""),
        ("GET", "https://api-ch-gva-2.exoscale.com/v2/event?to=2026-01-02&from=2026-01-01T00%3A00%3A00Z", b""),
        ("GET", "https://api-ch-gva-2.exoscale.com/v2/a%20b?q=%C3%BC+x%2B", b""),
        ("POST", "https://api-ch-gva-2.exoscale.com/v2/security-group", b'{"name": "gr\xc3\xbcn"}'),
    ],
)
def test_exoscales_own_library_signs_the_same(method: str, url: str, body: bytes) -> None:
    parts = SAMPLES["exo2"].parts
    requests = sdk("requests")
    prepared = requests.Request(method, url, data=body).prepare()
    assert prepared.url == url
    auth = sdk("exoscale_auth").ExoscaleV2Auth(parts["api_key"], parts["api_secret"])
    auth._sign_request(prepared, int(EXPIRES.timestamp()))
    signed = sign("exo2", method=method, url=url, body=body, now=EXPIRES - timedelta(minutes=10))
    assert authorization(signed) == prepared.headers["Authorization"]


@pytest.mark.parametrize("query", ["a=1&a=2", "%C3%BC=1", "a;b=1", "a,b=1&=2"])
def test_a_parameter_that_the_header_cannot_name_is_not_signed(query: str) -> None:
    """As Exoscale's library for Go does with a parameter that is there twice: https://github.com/exoscale/egoscale, v3/request.go."""
    assert "signed-query-args" not in authorization(sign("exo2", url=f"https://api.exoscale.com/v2/zone?{query}"))
