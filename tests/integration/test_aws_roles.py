"""Roles at moto's server, with its IAM checks turned on: it evaluates the trust policy of a role."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import parse_qsl

import boto3
import httpx
import pytest
from tests.aws_cloud import ACME, Cloud, begin, open_cloud

from cloud_integrations.errors import InvalidCredentialsError, ProviderUnavailableError, TrustTooOpenError


@pytest.fixture(scope="module")
def cloud() -> Iterator[Cloud]:
    with open_cloud() as cloud:
        yield cloud


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
