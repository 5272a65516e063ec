"""OVHcloud's signature, against its documentation and its own library."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from .signing_cases import SAMPLES, sdk, sign


def test_the_example_of_the_documentation() -> None:
    """https://help.ovhcloud.com/csm/en-api-getting-started-ovhcloud-api, "Sign requests"."""
    signed = sign(
        "ovh1",
        method="GET",
        url="https://eu.api.ovh.com/1.0/domains/",
        parts={
            "application_key": "7kbG7Bk7S9Nt7ZSV",
            "application_secret": "EXEgWIz07P0HYwtQDs7cNIqCiQaWSuHF",
            "consumer_key": "MtSwSrPpNjqfVSmJhLbPyr2i45lSwPU1",
        },
        now=datetime.fromtimestamp(1366560945, UTC),
    )
    assert signed.headers == {
        "X-Ovh-Application": "7kbG7Bk7S9Nt7ZSV",
        "X-Ovh-Consumer": "MtSwSrPpNjqfVSmJhLbPyr2i45lSwPU1",
        "X-Ovh-Timestamp": "1366560945",
        "X-Ovh-Signature": "$1$d3705e8afb27a0d2970a322b96550abfc67bb798",
    }


@pytest.mark.parametrize(
    ("method", "path", "data"),
    [
        ("GET", "/auth/currentCredential", None),
        ("GET", "/domain?whoisOwner=a%20b&a=&a=2", None),
        ("POST", "/domain/zone", {"name": "exämple", "ttl": 60}),
        ("POST", "/empty", {}),
        ("DELETE", "/me/api/credential/1", None),
    ],
)
def test_ovhs_own_library_signs_the_same(method: str, path: str, data: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    ovh = sdk("ovh.client")
    sent: dict[str, Any] = {}
    parts = SAMPLES["ovh1"].parts
    client = ovh.Client(endpoint="ovh-eu", config_file="/dev/null", **parts)
    client._time_delta = 0
    monkeypatch.setattr(ovh.time, "time", lambda: 1366560945.7)
    monkeypatch.setattr(client._session, "request", lambda method, url, **rest: sent.update(rest, method=method, url=url))
    client.raw_call(method, path, data)

    body = b"" if data is None else json.dumps(data, separators=(",", ":")).encode()
    assert sent["data"].encode() == body
    headers = {} if data is None else {"content-type": "application/json"}
    signed = sign("ovh1", method=method, url=sent["url"], headers=headers, body=body, now=datetime.fromtimestamp(1366560945, UTC))
    assert signed.url == sent["url"]
    assert {name.lower(): value for name, value in signed.headers.items()} == {
        name.lower(): value for name, value in sent["headers"].items()
    }
