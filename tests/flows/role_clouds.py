"""The token services of Alibaba Cloud and Huawei Cloud, for the flows' tests.

They know the operator's key and the credentials that they gave, by the signature of each request, and give out a role by its trust policy.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qsl, urlsplit

from cloud_integrations import Catalogue, PlatformCredential
from cloud_integrations.domain.secret import Secret
from cloud_integrations.domain.signing import Unsigned
from cloud_integrations.protocol.http import HttpResponse
from cloud_integrations.protocol.signing import require_signer

from .transports import StandIn

LIFE = timedelta(hours=1)
REGION = {"alibaba_cloud": "eu-central-1", "huawei_cloud": "eu-west-101"}
PRINCIPAL = {"alibaba_cloud": "acs:ram::1000000000000001:user/product", "huawei_cloud": "f" * 32}
ROLE = {"alibaba_cloud": "acs:ram::2000000000000002:role/ours", "huawei_cloud": f"iam::{'2' * 32}:agency:ours"}
ACCOUNT = {"alibaba_cloud": "2000000000000002", "huawei_cloud": "2" * 32}
INPUT = {"alibaba_cloud": "role_arn", "huawei_cloud": "agency_urn"}
PARTS = {
    "alibaba_cloud": ("access_key_id", "access_key_secret", "security_token"),
    "huawei_cloud": ("access_key", "secret_key", "security_token"),
}
REFUSALS = {
    "denied": {"alibaba_cloud": (403, {"Code": "NoPermission"}), "huawei_cloud": (403, {"error_code": "PAP5.0001"})},
    "unknown_key": {"alibaba_cloud": (404, {"Code": "InvalidAccessKeyId.NotFound"}), "huawei_cloud": (401, {"error_code": "APIGW.0301"})},
}


@dataclass
class Asked:
    """One request for a role."""

    external_id: str | None
    session: str
    source: str
    tags: dict[str, str]
    role: str


@dataclass(repr=False)
class RoleCloud(StandIn):
    """One of the two clouds; `trust` is the condition of its only role: None, or the external ids that it takes."""

    world: object
    slug: str
    trust: list[str] | None = None
    is_there: bool = True
    asked: list[Asked] = field(default_factory=list)
    minted: list[dict[str, str]] = field(default_factory=list)
    instead: HttpResponse | None = None
    """What a request for the role is answered instead."""

    def __post_init__(self):
        self.provider = Catalogue.builtin().require(self.slug)
        key_id, secret, _ = PARTS[self.slug]
        self.own = {key_id: "LTAIfakeplatformkey", secret: "fake-platform-secret"}
        self.platform = {
            self.slug: PlatformCredential(parts={name: Secret(text) for name, text in self.own.items()}, principal=PRINCIPAL[self.slug])
        }
        self.world.guides = [Catalogue.builtin().guides_of(self.provider)]
        self.world.transport = self
        self.world.door = self.open()
        self.world.secrets.append("fake-platform-secret")

    def open(self, **changes):
        settings = self.world.settings(policies={self.slug: {"Version": "1", "Statement": [{"Effect": "Allow"}]}}, **changes)
        return self.world.open(providers=[self.provider], applications=[], platform=self.platform, settings=settings)

    def refusal(self, name):
        status, body = REFUSALS[name][self.slug]
        return _answer(status, body)

    def is_signed(self, request, parts):
        """Return whether the request is signed with these *parts*, found out by signing it again."""
        told = {name.lower(): value for name, value in request.headers.items()}
        is_alibaba = self.slug == "alibaba_cloud"
        at = datetime.strptime(
            told["x-acs-date" if is_alibaba else "x-sdk-date"], "%Y-%m-%dT%H:%M:%SZ" if is_alibaba else "%Y%m%dT%H%M%SZ"
        ).replace(tzinfo=UTC)  # fmt: skip
        again = require_signer("acs3" if is_alibaba else "sdk_hmac").sign(
            Unsigned(
                method=request.method,
                url=request.url,
                headers={name: text for name, text in told.items() if name != "authorization"},
                body=request.body,
            ),
            parts={name: Secret(text) for name, text in parts.items()},
            options={},
            now=at,
            nonce=bytes.fromhex(told.get("x-acs-signature-nonce", "")),
        )
        return all(told.get(name.lower()) == value for name, value in again.headers.items())

    def respond(self, request):
        url = urlsplit(request.url)
        if self.slug == "alibaba_cloud":
            assert (url.netloc, url.path, url.query) == (f"sts.{REGION[self.slug]}.aliyuncs.com", "/", "")
            assert request.headers["x-acs-version"] == "2015-04-01"
            mints = request.headers["x-acs-action"] == "AssumeRole"
        else:
            assert (url.netloc, url.query) == (f"sts.{REGION[self.slug]}.myhuaweicloud.com", "")
            mints = (request.method, url.path) == ("POST", "/v5/agencies/assume")
        return self._assume(request) if mints else self._identify(request)

    def _assume(self, request):
        if not self.is_signed(request, self.own):
            return self.refusal("unknown_key")
        asked = _read(request)
        self.asked.append(asked)
        if self.instead is not None:
            return self.instead
        if not self.is_there or asked.role != ROLE[self.slug] or (self.trust is not None and asked.external_id not in self.trust):
            return self.refusal("denied")
        values = [f"STS.fake{len(self.minted)}", f"fake-minted-{len(self.minted)}", f"fake-session-{len(self.minted)}"]
        self.minted.append(dict(zip(PARTS[self.slug], values, strict=True)))
        self.world.secrets += values[1:]
        ends = (self.world.clock.now() + LIFE).isoformat().replace("+00:00", "Z")
        if self.slug == "alibaba_cloud":
            names = ("AccessKeyId", "AccessKeySecret", "SecurityToken", "Expiration")
            return _answer(200, {"RequestId": "fake", "Credentials": dict(zip(names, [*values, ends], strict=True))})
        names = ("access_key_id", "secret_access_key", "security_token", "expiration")
        return _answer(200, {"credentials": dict(zip(names, [*values, ends], strict=True))})

    def _identify(self, request):
        if not any(self.is_signed(request, parts) for parts in self.minted):
            return self.refusal("unknown_key")
        session = f"assumed/{self.asked[-1].session}"
        if self.slug == "alibaba_cloud":
            return _answer(200, {"AccountId": ACCOUNT[self.slug], "PrincipalId": f"3:{session}", "Arn": f"acs:sts::2:{session}"})
        return _answer(200, {"account_id": ACCOUNT[self.slug], "principal_id": f"3:{session}", "principal_urn": f"sts::2:{session}"})


def _read(request):
    if request.headers["Content-Type"] == "application/json":
        body = json.loads(request.body)
        assert body["duration_seconds"] == 3600
        tags = {tag["key"]: tag["value"] for tag in body["tags"]}
        return Asked(body.get("external_id"), body["agency_session_name"], body["source_identity"], tags, body["agency_urn"])
    form = dict(parse_qsl(request.body.decode(), strict_parsing=True))
    assert form["DurationSeconds"] == "3600"
    # What Alibaba Cloud takes in these two places.
    assert re.fullmatch(r"[A-Za-z0-9.@_-]{2,64}", form["RoleSessionName"])
    assert re.fullmatch(r"[A-Za-z0-9=,.@_-]{2,64}", form["SourceIdentity"])
    return Asked(form.get("ExternalId"), form["RoleSessionName"], form["SourceIdentity"], {}, form["RoleArn"])


def _answer(status, body):
    return HttpResponse(status=status, headers={"content-type": "application/json"}, body=json.dumps(body).encode())
