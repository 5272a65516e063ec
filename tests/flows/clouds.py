"""Clouds that sign: each knows one key, checks the signature of every request by making it again, and has its own clock."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime, parsedate_to_datetime
from functools import cache
from typing import Any
from uuid import UUID

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, NoEncryption, PrivateFormat

from cloud_integrations.domain.provider import fill
from cloud_integrations.domain.secret import Secret
from cloud_integrations.domain.signing import Unsigned
from cloud_integrations.protocol.http import HttpResponse
from cloud_integrations.protocol.signing import require_signer
from cloud_integrations.providers import Catalogue

from .transports import StandIn

LEEWAY = timedelta(minutes=5)


@cache
def _key(_: str) -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, 2048)


def private_key(name: str = "own", *, passphrase: str = "") -> str:
    encryption = BestAvailableEncryption(passphrase.encode()) if passphrase else NoEncryption()
    return _key(name).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption).decode()


def _epoch(text: str) -> datetime:
    return datetime.fromtimestamp(int(text), UTC)


def _basic(text: str) -> datetime:
    return datetime.strptime(text, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)


def _akamai(headers: Mapping[str, str]) -> datetime:
    found = re.search(r"timestamp=([^;]+);", headers["authorization"])
    assert found
    return datetime.strptime(found[1], "%Y%m%dT%H:%M:%S%z")


def _exoscale(headers: Mapping[str, str]) -> datetime:
    found = re.search(r"expires=(\d+)", headers["authorization"])
    assert found
    return _epoch(found[1]) - timedelta(minutes=10)


def _xml(name: str, inner: str) -> bytes:
    return f'<{name} xmlns="https://sts.amazonaws.com/doc/2011-06-15/">{inner}</{name}>'.encode()


def _identity() -> bytes:
    inner = "<Arn>arn:aws:iam::100000000001:user/ada</Arn><UserId>U1</UserId><Account>100000000001</Account>"
    return _xml("GetCallerIdentityResponse", f"<GetCallerIdentityResult>{inner}</GetCallerIdentityResult>")


def _wasabi(code: str) -> tuple[int, bytes]:
    return 403, _xml("ErrorResponse", f"<Error><Code>{code}</Code></Error>")


def _tencent(code: str) -> tuple[int, dict[str, Any]]:
    return 200, {"Response": {"Error": {"Code": code, "Message": "fake"}, "RequestId": "fake"}}


@dataclass(frozen=True, kw_only=True)
class Case:
    """One provider: what a tenant enters, and what the provider answers."""

    inputs: Mapping[str, str]
    wrong: Mapping[str, str]
    """The inputs of a mistaken tenant."""
    variables: Mapping[str, str] = field(default_factory=dict)
    account: str | None
    label: str | None
    whole: Any
    """The answer to a check that is signed correctly."""
    refusal: tuple[int, Any] = (401, {})
    """The answer to a wrong signature."""
    late: tuple[int, Any] = (401, {})
    """The answer to a signature for another time."""
    late_means: str = "dead"
    """What is left to say of it, if the answer tells no time."""
    told: Callable[[Mapping[str, str]], datetime]
    """Reads the time from the headers of a request, whose names are in lower case."""
    options: Mapping[str, str] = field(default_factory=dict)
    """What the caller of `sign` says of the request."""
    api: str
    """Some URL of the provider's API."""


CASES: Mapping[str, Case] = {
    "akamai_edgegrid": Case(
        inputs={"client_secret": "fake-secret-value", "client_token": "akab-fake-client", "access_token": "akab-fake-access"},
        wrong={"client_secret": "fake-other-value"},
        variables={"host": "akab-fake.luna.akamaiapis.net"},
        account="c1",
        label="Ada's client",
        whole={"clientId": "c1", "clientName": "Ada's client"},
        late=(400, {"title": "Bad request", "detail": "Invalid timestamp"}),
        late_means="clock_skew",
        told=_akamai,
        api="https://akab-fake.luna.akamaiapis.net/papi/v1/groups",
    ),
    "alibaba_cloud": Case(
        inputs={"access_key_id": "LTAI" + "F" * 20, "access_key_secret": "f" * 30},
        wrong={"access_key_secret": "e" * 30},
        variables={"region": "eu-central-1"},
        account="a1/p1",
        label="acs:ram::a1:user/ada",
        whole={"AccountId": "a1", "PrincipalId": "p1", "Arn": "acs:ram::a1:user/ada"},
        refusal=(400, {"Code": "SignatureDoesNotMatch"}),
        late=(400, {"Code": "InvalidTimeStamp.Expired"}),
        late_means="clock_skew",
        told=lambda headers: datetime.fromisoformat(headers["x-acs-date"]),
        api="https://ecs.eu-central-1.aliyuncs.com/",
    ),
    "exoscale": Case(
        inputs={"api_key": "EXO" + "0" * 24, "api_secret": "fake-secret-value"},
        wrong={"api_secret": "fake-other-value"},
        account="o1",
        label="Acme",
        whole={"id": "o1", "name": "Acme"},
        told=_exoscale,
        api="https://api-ch-gva-2.exoscale.com/v2/instance?zone=a",
    ),
    "huawei_cloud": Case(
        inputs={"access_key": "FAKEKEY", "secret_key": "fake-secret-value"},
        wrong={"secret_key": "fake-other-value"},
        variables={"region": "eu-west-101"},
        account="a1/p1",
        label="iam::a1:user:ada",
        whole={"account_id": "a1", "principal_id": "p1", "principal_urn": "iam::a1:user:ada"},
        told=lambda headers: _basic(headers["x-sdk-date"]),
        api="https://ecs.eu-west-101.myhuaweicloud.com/v1/servers",
    ),
    "oracle_cloud": Case(
        inputs={
            "tenancy": "ocid1.tenancy.oc1..fake",
            "user": "ocid1.user.oc1..fake",
            "fingerprint": ":".join(["0f"] * 16),
            "private_key": private_key(),
        },
        wrong={"private_key": private_key("other")},
        variables={"region": "eu-frankfurt-1"},
        account="ocid1.tenancy.oc1..fake/ocid1.user.oc1..fake",
        label="ada",
        whole={"id": "ocid1.user.oc1..fake", "name": "ada"},
        refusal=(401, {"code": "NotAuthenticated"}),
        late=(401, {"code": "NotAuthenticated"}),
        told=lambda headers: parsedate_to_datetime(headers["date"]),
        api="https://iaas.eu-frankfurt-1.oraclecloud.com/20160918/instances?compartmentId=fake",
    ),
    "ovhcloud": Case(
        inputs={"application_key": "fake-application", "application_secret": "fake-secret-value", "consumer_key": "fake-consumer"},
        wrong={"application_secret": "fake-other-value"},
        account="aa1-ovh",
        label="ada@acme.example",
        whole={"nichandle": "aa1-ovh", "email": "ada@acme.example"},
        refusal=(400, {"errorCode": "INVALID_SIGNATURE"}),
        late=(403, {"errorCode": "QUERY_TIME_OUT"}),
        late_means="clock_skew",
        told=lambda headers: _epoch(headers["x-ovh-timestamp"]),
        api="https://eu.api.ovh.com/1.0/domain?a=b",
    ),
    "tencent_cloud": Case(
        inputs={"secret_id": "AKID" + "F" * 32, "secret_key": "f" * 32},
        wrong={"secret_key": "e" * 32},
        account="a1/p1",
        label="qcs::cam::uin/a1:ada",
        whole={"Response": {"AccountId": "a1", "PrincipalId": "p1", "Arn": "qcs::cam::uin/a1:ada", "RequestId": "fake"}},
        refusal=_tencent("AuthFailure.SignatureFailure"),
        late=_tencent("AuthFailure.SignatureExpire"),
        late_means="clock_skew",
        told=lambda headers: _epoch(headers["x-tc-timestamp"]),
        options={"service": "cvm"},
        api="https://cvm.tencentcloudapi.com/",
    ),
    "wasabi": Case(
        inputs={"access_key_id": "F" * 20, "secret_access_key": "f" * 40},
        wrong={"secret_access_key": "e" * 40},
        variables={"region": "eu-central-1"},
        account="100000000001/arn:aws:iam::100000000001:user/ada",
        label="arn:aws:iam::100000000001:user/ada",
        whole=_identity(),
        refusal=_wasabi("SignatureDoesNotMatch"),
        late=_wasabi("RequestTimeTooSkewed"),
        late_means="clock_skew",
        told=lambda headers: _basic(headers["x-amz-date"]),
        api="https://s3.eu-central-1.wasabisys.com/fake-bucket?list-type=2",
    ),
}


class Cloud(StandIn):
    """The servers of one provider, for both managers."""

    def __init__(self, world, slug):
        self.world = world
        self.provider = Catalogue.builtin().require(slug)
        self.case = CASES[slug]
        self.method = self.provider.methods[0]
        self.ahead = timedelta()
        """How far its clock is ahead of ours."""
        self.tells_date = True
        self.time_answer: Any = None
        """What the time call answers instead: a response, or an error to raise."""
        self.answer: Any = None
        """What a check is answered instead: a response, or an error to raise."""
        self.checks: list[Any] = []
        self.time_calls = 0
        world.transport = self
        world.door = self.open()
        world.secrets += [value for name, value in self.case.inputs.items() if "secret" in name or name == "private_key"]

    def open(self):
        return self.world.open(providers=[self.provider], applications=[])

    @property
    def now(self):
        return self.world.clock.now() + self.ahead

    def accepts(self, method, url, headers, body, **options) -> str:
        """Return `yes`, `late` or `no`: whether a request is signed with this tenant's key, for the present time."""
        given = {name.lower(): value for name, value in headers.items()}
        told = self.case.told(given)
        if abs(told - self.now) > LEEWAY:
            return "late"
        parts = {name: Secret(value) for name, value in self.case.inputs.items()}
        known = {**self.provider.fill_variables(self.case.variables), **self.case.inputs}
        filled = {name: fill(text, known) for name, text in self.method.present.options.items()}
        signer = require_signer(self.method.present.sign)
        again = signer.sign(
            Unsigned(method=method, url=url, headers={name: given[name] for name in given if name != "authorization"}, body=body),
            parts=parts,
            options={**filled, **options},
            now=told,
            nonce=_nonce(given),
        )
        wanted = {name.lower(): value for name, value in again.headers.items()}
        return "yes" if all(given.get(name) == wanted[name] for name in wanted) and again.url == url else "no"

    def respond(self, request):
        if request.url == f"https://{self.provider.fill_variables(self.case.variables).get('api_host')}/1.0/auth/time":
            self.time_calls += 1
            assert not {name.lower() for name in request.headers} - {"accept"}, "the time is no secret, and needs none"
            return self.said(self.time_answer, (200, int(self.now.timestamp())))
        self.checks.append(request)
        check = self.provider.verifications[0]
        verdict = self.accepts(request.method, request.url, request.headers, request.body, **check.options)
        return self.said(self.answer, {"yes": (200, self.case.whole), "late": self.case.late, "no": self.case.refusal}[verdict])

    def said(self, instead, answer):
        if isinstance(instead, Exception):
            raise instead
        if instead is not None:
            return instead
        status, body = answer
        headers = {"content-type": "text/xml" if isinstance(body, bytes) else "application/json"}
        if self.tells_date:
            headers["date"] = format_datetime(self.now.astimezone(UTC), usegmt=True)
        return HttpResponse(status=status, headers=headers, body=body if isinstance(body, bytes) else json.dumps(body).encode())


def _nonce(headers: Mapping[str, str]) -> bytes:
    if "x-acs-signature-nonce" in headers:
        return bytes.fromhex(headers["x-acs-signature-nonce"])
    found = re.search(r"nonce=([0-9a-f-]+);", headers.get("authorization", ""))
    return UUID(found[1]).bytes if found else bytes(16)
