"""Tencent Cloud's signature, against its documentation and its own library."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

import pytest

from .signing_cases import SAMPLES, authorization, sdk, sign

# https://www.tencentcloud.com/document/product/1154/48911 and https://cloud.tencent.com/document/api/213/30654, with the keys in the
# form in which these pages hide them.
BODY = b'{"Limit": 1, "Filters": [{"Values": ["\\u672a\\u547d\\u540d"], "Name": "instance-name"}]}'
STARS = "*" * 32


@pytest.mark.parametrize(
    ("secret_key", "headers", "covered", "signature"),
    [
        (
            "Gu5t9xGARNpq86cd98joQYCN3*******",
            "",
            "content-type;host",
            "2230eefd229f582d8b1b891af7107b91597240707d778ab3738f756258d7652c",
        ),
        (
            "Gu5t9xGARNpq86cd98joQYCN3EXAMPLE",
            "",
            "content-type;host",
            "72e494ea809ad7a8c8f7a4507b9bddcbaa8e581f516e8da2f66e2c5a96525168",
        ),
        (
            STARS,
            "X-TC-Action",
            "content-type;host;x-tc-action",
            "10b1a37a7301a02ca19a647ad722d5e43b4b3cff309d421d85b46093f6ab6c4f",
        ),
    ],
)
def test_the_examples_of_the_documentation(secret_key: str, headers: str, covered: str, signature: str) -> None:
    signed = sign(
        "tc3",
        url="https://cvm.tencentcloudapi.com/",
        headers={"Content-Type": "application/json; charset=utf-8", "X-TC-Action": "DescribeInstances"},
        body=BODY,
        parts={"secret_id": STARS, "secret_key": secret_key},
        options={"service": "cvm", "headers": headers},
        now=datetime.fromtimestamp(1551113065, UTC),
    )
    scope = f"{STARS}/2019-02-25/cvm/tc3_request"
    assert authorization(signed) == f"TC3-HMAC-SHA256 Credential={scope}, SignedHeaders={covered}, Signature={signature}"
    assert signed.headers["X-TC-Timestamp"] == "1551113065"


@pytest.mark.parametrize(("method", "type_"), [("GET", "application/x-www-form-urlencoded"), ("POST", "application/json")])
def test_a_missing_content_type_is_added(method: str, type_: str) -> None:
    assert sign("tc3", method=method).headers["Content-Type"] == type_


@pytest.mark.filterwarnings("ignore:datetime.datetime.utcfromtimestamp:DeprecationWarning")  # in the library, from Python 3.12
@pytest.mark.parametrize(
    ("method", "params", "token"),
    [
        ("POST", {}, None),
        ("POST", {"Limit": 1, "Name": "未命名"}, "fake-token"),
        ("GET", {"Limit": 1, "Name": "a b+c~*/ü", "Empty": ""}, None),
        ("GET", {}, "fake-token"),
    ],
)
def test_tencents_own_library_signs_the_same(
    method: str, params: dict[str, Any], token: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = sdk("tencentcloud.common.abstract_client")
    sample = SAMPLES["tc3"]
    credential = sdk("tencentcloud.common.credential").Credential(sample.parts["secret_id"], sample.parts["secret_key"], token)
    profile = sdk("tencentcloud.common.profile.client_profile").ClientProfile(signMethod="TC3-HMAC-SHA256")
    client = module.AbstractClient(credential, "eu-frankfurt", profile)
    client._apiVersion, client._service, client._endpoint = "2018-08-13", "sts", "sts.tencentcloudapi.com"
    request = sdk("tencentcloud.common.http.request").RequestInternal("sts.tencentcloudapi.com", method, "/", {})
    monkeypatch.setattr(module.time, "time", lambda: 1551113065.9)
    client._build_req_with_tc3_signature("GetCallerIdentity", params, request)

    query = "?" + urlencode(params) if method == "GET" and params else ""
    body = json.dumps(params).encode() if method == "POST" else b""
    own = ("authorization", "content-type", "host", "x-tc-timestamp", "x-tc-token")
    signed = sign(
        "tc3",
        method=method,
        url=f"https://sts.tencentcloudapi.com/{query}",
        headers={name: value for name, value in request.header.items() if name.lower() not in own},
        body=body,
        parts={**sample.parts, **({"token": token} if token else {})},
        options={"service": "sts"},
        now=datetime.fromtimestamp(1551113065, UTC),
    )
    assert signed.headers == dict(request.header)
