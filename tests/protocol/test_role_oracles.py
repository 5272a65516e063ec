"""What is sent to assume a role is what the vendors' own libraries send.

Their requests were recorded at a server on this computer: `alibabacloud-sts20150401` 1.2.0 and `huaweicloudsdksts` 3.1.205.  Neither is
installed for the tests: the first brings some twenty packages.  botocore is asked in `tests/integration/test_aws_roles.py`.
"""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from tests.protocol.minting import NOW

from cloud_integrations.domain.secret import Secret
from cloud_integrations.protocol.http import HttpRequest, HttpResponse
from cloud_integrations.protocol.minting import Minted, build_step, read_step
from cloud_integrations.providers import Catalogue

EXTERNAL_ID = "x" * 32
ALIBABA_QUERY = (
    "DurationSeconds=3600&ExternalId=xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx&RoleArn=acs%3Aram%3A%3A2%3Arole%2Fours"
    "&RoleSessionName=p-i&SourceIdentity=acme"
)
HUAWEI_BODY = (
    '{"duration_seconds": 3600, "external_id": "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx", "agency_urn": "iam::2:agency:ours", '
    '"agency_session_name": "p-i", "source_identity": "p", "tags": [{"key": "product", "value": "p"}, {"key": "tenant", "value": "acme"}]}'
)


def ours(slug: str, answer: dict[str, Any], **values: str) -> tuple[HttpRequest, dict[str, str]]:
    """Return the request for a role, and what is read from *answer*, which both libraries read alike."""
    provider = Catalogue.builtin().require(slug)
    method = provider.method_named("role")
    assert method is not None
    (step,) = method.mint
    told = {
        "product": "p",
        "integration_id": "i",
        "tenant_tag": "acme",
        "region": "eu-west-101" if slug == "huawei_cloud" else "cn-hangzhou",
    }
    secret = {"external_id": Secret(EXTERNAL_ID)}
    request = build_step(step, values={**told, **values, **secret}, proofs={}, provider_id=slug, now=NOW, jti="j")
    response = HttpResponse(status=200, body=json.dumps(answer).encode(), sent_at=NOW)
    minted = read_step(step, response, provider=provider, method_id="role", access_token=method.access_token, owned=False, now=NOW)
    assert isinstance(minted, Minted)
    assert minted.expires_at is not None
    return request, {name: value.reveal() for name, value in minted.values.items()}


def test_alibaba_is_asked_for_the_same_in_the_body_and_not_in_the_address() -> None:
    """Its library for Go (`aliyun/credentials-go`) sends the same fields as a form, as we do; its library for Python as a query."""
    ends = NOW.replace(hour=23).strftime("%Y-%m-%dT%H:%M:%SZ")
    credentials = {"AccessKeyId": "a", "AccessKeySecret": "s", "SecurityToken": "t", "Expiration": ends}
    request, read = ours("alibaba_cloud", {"Credentials": credentials, "RequestId": "r"}, role_arn="acs:ram::2:role/ours")
    assert dict(parse_qsl(request.body.decode(), strict_parsing=True)) == dict(parse_qsl(ALIBABA_QUERY, strict_parsing=True))
    assert (request.method, urlsplit(request.url).path, urlsplit(request.url).query) == ("POST", "/", "")
    assert {name: request.headers[name] for name in ("x-acs-action", "x-acs-version")} == {
        "x-acs-action": "AssumeRole",
        "x-acs-version": "2015-04-01",
    }
    assert read == {"access_key_id": "a", "access_key_secret": "s", "security_token": "t"}


def test_huawei_is_asked_for_the_same() -> None:
    ends = NOW.replace(hour=23).strftime("%Y-%m-%dT%H:%M:%SZ")
    credentials = {"access_key_id": "a", "secret_access_key": "s", "security_token": "t", "expiration": ends}
    request, read = ours("huawei_cloud", {"credentials": credentials}, agency_urn="iam::2:agency:ours")
    assert json.loads(request.body) == json.loads(HUAWEI_BODY)
    assert (request.method, urlsplit(request.url).path) == ("POST", "/v5/agencies/assume")
    assert request.headers["Content-Type"] == "application/json"
    assert read == {"access_key": "a", "secret_key": "s", "security_token": "t"}
