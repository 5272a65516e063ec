"""Roles at moto's server, with its IAM checks turned on: it evaluates the trust policy of a role.

Only if a request has no external id at all, moto lets it pass a condition on it.  A thin door before moto refuses such requests.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qsl

import boto3
import httpx
import pytest
from tests.moto import checking_moto

from cloud_integrations import (
    AesGcmCipher,
    Catalogue,
    HttpxTransport,
    IntegrationManager,
    LocalKeyring,
    MemoryStore,
    PlatformCredential,
    Secret,
    Settings,
)
from cloud_integrations.errors import InvalidCredentialsError, ProviderUnavailableError, TrustTooOpenError
from cloud_integrations.protocol.http import HttpRequest, HttpResponse

ACME = "acme"
DENIED = b"<ErrorResponse><Error><Type>Sender</Type><Code>AccessDenied</Code></Error></ErrorResponse>"
PRINCIPAL = "arn:aws:iam::123456789012:user/product"
ACTIONS = ["sts:AssumeRole", "sts:SetSourceIdentity", "sts:TagSession"]


class Door(HttpxTransport):
    """Keeps the forms of the requests, and refuses `AssumeRole` without an external id where the role's trust policy asks for one."""

    def __init__(self, iam: Any, asked: list[dict[str, str]]) -> None:
        super().__init__()
        self._iam = iam
        self._asked = asked

    def send(self, request: HttpRequest, /, *, deadline: timedelta) -> HttpResponse:
        asked = dict(parse_qsl(request.body.decode()))
        self._asked.append(asked)
        if asked["Action"] == "AssumeRole" and "ExternalId" not in asked and self._asks_for_one(asked["RoleArn"]):
            return HttpResponse(status=403, headers={"content-type": "text/xml"}, body=DENIED)
        return super().send(request, deadline=deadline)

    def _asks_for_one(self, arn: str) -> bool:
        role = self._iam.get_role(RoleName=arn.rpartition("/")[2])["Role"]
        return "Condition" in role["AssumeRolePolicyDocument"]["Statement"][0]


@dataclass
class Cloud:
    """The server, the operator's key there, and what makes roles."""

    endpoint: str
    key_id: str
    secret: str = field(repr=False)
    iam: Any
    asked: list[dict[str, str]] = field(default_factory=list)
    """The forms of the requests to STS."""

    def make_role(self, name: str, external_id: str | None) -> str:
        role = self.iam.create_role(RoleName=name, AssumeRolePolicyDocument=_policy(external_id))
        return str(role["Role"]["Arn"])

    def change_trust(self, name: str, external_id: str | None) -> None:
        self.iam.update_assume_role_policy(RoleName=name, PolicyDocument=_policy(external_id))

    def open(self, *, url: str | None = None) -> IntegrationManager:
        where = url or self.endpoint
        aws = Catalogue.builtin().require("aws")
        methods = [
            method.model_copy(update={"mint": tuple(step.model_copy(update={"url": f"{where}/"}) for step in method.mint)})
            for method in aws.methods
        ]
        checks = tuple(check.model_copy(update={"url": f"{where}/"}) for check in aws.verifications)
        # moto writes an error one level deeper than STS does.
        deeper = tuple(rule.model_copy(update={"path": "ErrorResponse.Errors.Error.Code"}) for rule in aws.error_rules)
        changes = {"methods": tuple(methods), "verifications": checks, "error_rules": (*aws.error_rules, *deeper), "loopback": True}
        there = aws.model_copy(update=changes)
        platform = PlatformCredential(
            parts={"access_key_id": Secret(self.key_id), "secret_access_key": Secret(self.secret)},
            principal=PRINCIPAL,
        )
        return IntegrationManager(
            store=MemoryStore(),
            transport=Door(self.iam, self.asked),
            keys=LocalKeyring([LocalKeyring.generate_key("test")]),
            cipher=AesGcmCipher(),
            providers=Catalogue.of(there),
            platform={"aws": platform},
            # What a new role needs at AWS is in tests/flows/test_roles.py, on a clock that the test moves.
            settings=Settings(setup_patience=timedelta()),
        )


def _policy(external_id: str | None) -> str:
    statement: dict[str, Any] = {"Effect": "Allow", "Principal": {"AWS": PRINCIPAL}, "Action": ACTIONS}
    if external_id is not None:
        statement["Condition"] = {"StringEquals": {"sts:ExternalId": external_id}}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


@pytest.fixture(scope="module")
def cloud() -> Iterator[Cloud]:
    with checking_moto({"product": ACTIONS, "admin": ["*"]}) as (endpoint, keys):
        admin = {"aws_access_key_id": keys["admin"]["AccessKeyId"], "aws_secret_access_key": keys["admin"]["SecretAccessKey"]}
        acting = boto3.client("iam", region_name="us-east-1", endpoint_url=endpoint, **admin)
        yield Cloud(endpoint, keys["product"]["AccessKeyId"], keys["product"]["SecretAccessKey"], acting)


def begin(ada):
    setup = ada.begin_setup(ACME, "aws", name="Our account", method="role")
    return setup.made["external_id"].reveal()


@pytest.mark.requirement("Q57", "Q72")
def test_a_role_with_the_condition_connects_and_its_loosened_trust_is_found(cloud):
    with cloud.open() as opened:
        ada = opened.acting_as("ada")
        external_id = begin(ada)
        arn = cloud.make_role("tight", external_id)
        held = ada.complete_setup(ACME, "aws", inputs={"role_arn": arn})
        assert ":assumed-role/tight/" in held.account.label
        mints = [asked for asked in cloud.asked if asked.get("RoleArn") == arn]
        assert [asked.get("ExternalId") == external_id for asked in mints] == [True, False, False]
        with httpx.Client(auth=opened.credential(ACME, "aws").auth(service="sts"), trust_env=False) as client:
            answer = client.post(f"{cloud.endpoint}/", data={"Action": "GetCallerIdentity", "Version": "2011-06-15"})
        assert (answer.status_code, ":assumed-role/tight/" in answer.text) == (200, True)
        assert ada.verify(ACME, held.id).trust == "tight"
        cloud.change_trust("tight", None)
        report = ada.verify(ACME, held.id)
        assert (report.works, report.trust) == (True, "loose")
        assert "integration.trust_loosened" in {record.event.action for record in ada.audit.list(ACME)}


@pytest.mark.requirement("Q72")
def test_a_role_that_anybody_can_name_is_refused_with_what_to_mend(cloud):
    with cloud.open() as opened:
        ada = opened.acting_as("ada")
        begin(ada)
        arn = cloud.make_role("open", None)
        with pytest.raises(TrustTooOpenError, match="add the condition StringEquals with sts:ExternalId"):
            ada.complete_setup(ACME, "aws", inputs={"role_arn": arn})
        assert opened.list_integrations(ACME) == ()


@pytest.mark.requirement("Q57")
def test_the_external_id_of_another_setup_does_not_connect(cloud):
    with cloud.open() as opened:
        ada = opened.acting_as("ada")
        begin(ada)
        arn = cloud.make_role("foreign", "fake-external-id-of-another")
        with pytest.raises(InvalidCredentialsError):
            ada.complete_setup(ACME, "aws", inputs={"role_arn": arn})
        assert opened.list_integrations(ACME) == ()


def test_a_server_that_is_down_is_an_outage(cloud):
    with cloud.open(url="http://127.0.0.1:1") as opened:
        ada = opened.acting_as("ada")
        begin(ada)
        with pytest.raises(ProviderUnavailableError):
            ada.complete_setup(ACME, "aws", inputs={"role_arn": "arn:aws:iam::123456789012:role/any"})
        assert opened.list_integrations(ACME) == ()


def test_botocore_asks_the_same(cloud):
    with cloud.open() as opened:
        ada = opened.acting_as("ada")
        external_id = begin(ada)
        arn = cloud.make_role("compared", external_id)
        ada.complete_setup(ACME, "aws", inputs={"role_arn": arn})
    ours = next(asked for asked in cloud.asked if asked.get("RoleArn") == arn)
    sts = boto3.client(
        "sts", region_name="us-east-1", endpoint_url=cloud.endpoint, aws_access_key_id=cloud.key_id, aws_secret_access_key=cloud.secret
    )
    tags = [{"Key": ours[f"Tags.member.{place}.Key"], "Value": ours[f"Tags.member.{place}.Value"]} for place in (1, 2)]
    seen: list[dict[str, str]] = []
    sts.meta.events.register("before-send.sts", lambda request, **_: seen.append(dict(parse_qsl(request.body))))
    sts.assume_role(
        RoleArn=arn,
        RoleSessionName=ours["RoleSessionName"],
        ExternalId=external_id,
        SourceIdentity=ours["SourceIdentity"],
        DurationSeconds=3600,
        Tags=tags,
    )
    assert seen == [ours]
