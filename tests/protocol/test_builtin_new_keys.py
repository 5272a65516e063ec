"""The requests by which the built-in providers make keys, and answers of the recorded shapes."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import partial
from typing import Any

import pytest
from tests.protocol.keys import pem

from cloud_integrations import Catalogue, Secret
from cloud_integrations.domain.credential import Presented
from cloud_integrations.domain.outcome import Rejected, Unknown
from cloud_integrations.domain.parts import Parts
from cloud_integrations.domain.signing import Signed, Unsigned
from cloud_integrations.kinds import kind_of
from cloud_integrations.protocol.http import HttpResponse
from cloud_integrations.protocol.new_key import MadeKey, build_new_key, read_new_key

NOW = datetime(2026, 11, 29, 12, 0, tzinfo=UTC)
TOKEN = "fake" * 10
NEW = "fresh" * 8
CREATED = """<CreateAccessKeyResponse xmlns="https://iam.amazonaws.com/doc/2010-05-08/">
<CreateAccessKeyResult><AccessKey><UserName>acme</UserName><AccessKeyId>AKIAFAKEFAKEFAKEFRSH</AccessKeyId>
<Status>Active</Status><SecretAccessKey>{}</SecretAccessKey></AccessKey></CreateAccessKeyResult>
<ResponseMetadata><RequestId>1</RequestId></ResponseMetadata></CreateAccessKeyResponse>""".format("b" * 40)
DOCUMENT = {
    "type": "service_account",
    "client_email": "app@acme.iam.gserviceaccount.com",
    "private_key": pem("other rsa"),
    "private_key_id": "fresh",
    "project_id": "acme",
}
OLD: dict[str, dict[str, str]] = {
    "token": {"token": TOKEN},
    "access_key": {"access_key_id": "AKIAFAKEFAKEFAKEFAKE", "secret_access_key": "a" * 40},
    "service_account": {"client_email": "app@acme.iam.gserviceaccount.com", "private_key": pem(), "private_key_id": "old"},
}
CASES: list[Any] = [
    (
        "cloudflare",
        "user_api_token",
        ("PUT", "https://api.cloudflare.com/client/v4/user/tokens/id-1/value", b"{}"),
        {"success": True, "errors": [], "messages": [], "result": NEW},
        {"token": NEW},
    ),
    (
        "cloudflare",
        "account_api_token",
        ("PUT", "https://api.cloudflare.com/client/v4/accounts/acc/tokens/id-1/value", b"{}"),
        {"success": True, "errors": [], "messages": [], "result": NEW},
        {"token": NEW},
    ),
    (
        "gitlab",
        "pat",
        ("POST", "https://gitlab.com/api/v4/personal_access_tokens/self/rotate", b'{"expires_at": "2027-11-28"}'),
        {"id": 42, "name": "app", "revoked": False, "active": True, "expires_at": "2027-11-28", "token": NEW},
        {"token": NEW},
    ),
    (
        "linode",
        "pat",
        ("POST", "https://api.linode.com/v4/profile/tokens", b'{"label": "Shop 20261129T120000Z"}'),
        {"id": 7, "label": "Shop 20261129T120000Z", "scopes": "*", "token": "ab" * 32, "expiry": None},
        {"token": "ab" * 32},
    ),
    (
        "aws",
        "access_key",
        ("POST", "https://iam.amazonaws.com/", b"Action=CreateAccessKey&Version=2010-05-08"),
        CREATED,
        {"access_key_id": "AKIAFAKEFAKEFAKEFRSH", "secret_access_key": "b" * 40},
    ),
    (
        "google_cloud",
        "service_account",
        (
            "POST",
            "https://iam.googleapis.com/v1/projects/-/serviceAccounts/app@acme.iam.gserviceaccount.com/keys",
            b'{"privateKeyType": "TYPE_GOOGLE_CREDENTIALS_FILE", "keyAlgorithm": "KEY_ALG_RSA_2048"}',
        ),
        {"name": "projects/acme/serviceAccounts/app/keys/fresh", "privateKeyData": b64encode(json.dumps(DOCUMENT).encode()).decode()},
        {name: DOCUMENT[name] for name in ("client_email", "private_key", "private_key_id")},
    ),
]
VARIABLES = {"account_id": "acc", "host": "gitlab.com", "region": "eu-central-1", "dns_suffix": "amazonaws.com"}


def held_by(method: Any) -> dict[str, Secret]:
    return {name: Secret(text) for name, text in OLD.get(method.id, OLD["token"]).items()}


def test_every_provider_that_makes_keys_stands_here() -> None:
    providers = Catalogue.builtin().list_providers()
    known = {(provider.id, method.id) for provider in providers for method in provider.methods if method.rotation}
    assert known == {case[:2] for case in CASES}


@pytest.mark.requirement("Q55")
@pytest.mark.parametrize(("slug", "method_id", "request_of", "answer", "parts"), CASES, ids=lambda value: str(value)[:20])
def test_the_request_is_the_documented_one_and_the_key_is_read(
    slug: str, method_id: str, request_of: tuple[str, str, bytes], answer: Any, parts: dict[str, str]
) -> None:
    provider = Catalogue.builtin().require(slug)
    method = provider.method_named(method_id)
    assert method is not None
    assert method.rotation is not None
    old = held_by(method)
    signed: list[Mapping[str, str]] = []

    def sign(unsigned: Unsigned, _: Parts, options: Mapping[str, str]) -> Signed:
        signed.append(options)
        return Signed(url=unsigned.url, headers=unsigned.headers)

    shown = {"access_token": Secret("fake-minted"), "client_email": old["client_email"]} if method.mint else old
    presented = Presented(parts=shown, present=method.present, variables=VARIABLES, signer=sign)
    request = build_new_key(
        provider, method, method.rotation, presented=presented, variables=VARIABLES, identity="id-1", product="Shop", now=NOW
    )
    assert request is not None
    assert (request.method, request.url, request.body) == request_of
    if slug == "aws":
        assert signed == [{"service": "iam", "region": "us-east-1"}]
    else:
        assert any(("fake-minted" if method.mint else TOKEN) in value for value in request.headers.values())
    body = answer.encode() if isinstance(answer, str) else json.dumps(answer).encode()
    read = partial(kind_of(method).read_inputs, method)
    made = read_new_key(provider, method, method.rotation, HttpResponse(status=200, body=body), old=old, read=read, now=NOW)
    assert isinstance(made, MadeKey), made
    assert {name: part.reveal() for name, part in made.parts.items()} == parts
    for status, meaning in ((403, Rejected("refused")), (500, Unknown("server_error"))):
        failed = HttpResponse(status=status, body=body)
        assert read_new_key(provider, method, method.rotation, failed, old=old, read=read, now=NOW) == meaning
