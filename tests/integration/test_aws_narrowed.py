"""A role with a session policy at moto's server, with its IAM checks turned on."""

from __future__ import annotations

import json
from collections.abc import Iterator

import boto3
import pytest
from botocore.exceptions import ClientError
from moto.iam import access_control
from moto.sts.models import sts_backends
from tests.aws_cloud import ACME, Cloud, begin, open_cloud

from cloud_integrations import Credential, IntegrationManager
from cloud_integrations.errors import ValidationFailedError

FULL = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": ["iam:ListUsers", "iam:ListRoles"], "Resource": "*"}]}
LESS = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": ["iam:ListUsers", "iam:ListGroups"], "Resource": "*"}]}


@pytest.fixture(scope="module")
def cloud() -> Iterator[Cloud]:
    """The server, which heeds session policies: moto stores them and does not evaluate them, so this does it with moto's own reader."""
    inner = access_control.IAMRequestBase.check_action_permitted

    def check(self: access_control.IAMRequestBase, resource: str) -> None:
        inner(self, resource)
        key = self._access_key
        if isinstance(key, access_control.AssumedRoleAccessKey) and self._action != "sts:GetCallerIdentity":
            roles = sts_backends[key.account_id][key.partition].assumed_roles
            policy = next(role.policy for role in roles if role.access_key_id == key._access_key_id)
            allowed = access_control.PermissionResult.PERMITTED
            if policy is not None and access_control.IAMPolicy(policy).is_action_permitted(self._action, resource) != allowed:
                self._raise_access_denied()

    with pytest.MonkeyPatch.context() as patched, open_cloud() as cloud:
        patched.setattr(access_control.IAMRequestBase, "check_action_permitted", check)
        yield cloud


def connect(cloud: Cloud, opened: IntegrationManager, role: str) -> None:
    ada = opened.acting_as("ada")
    arn = cloud.make_role(role, begin(ada))
    cloud.iam.put_role_policy(RoleName=role, PolicyName="full", PolicyDocument=json.dumps(FULL))
    ada.complete_setup(ACME, "aws", inputs={"role_arn": arn})


def may(cloud: Cloud, token: Credential) -> set[str]:
    """Return which of three calls the credential may make."""
    values = {name: secret.reveal() for name, secret in token.values().items()}
    iam = boto3.client(
        "iam",
        region_name="us-east-1",
        endpoint_url=cloud.endpoint,
        aws_access_key_id=values["access_key_id"],
        aws_secret_access_key=values["secret_access_key"],
        aws_session_token=values["session_token"],
    )
    allowed = set()
    for call in ("list_users", "list_roles", "list_groups"):
        try:
            getattr(iam, call)()
        except ClientError as error:
            assert error.response["Error"]["Code"] == "AccessDenied"  # noqa: PT017  # one of three calls
        else:
            allowed.add(call)
    return allowed


def test_a_session_policy_denies_what_the_role_may_do_and_adds_nothing(cloud):
    with cloud.open() as opened:
        connect(cloud, opened, "narrowed")
        assert may(cloud, opened.credential(ACME, "aws")) == {"list_users", "list_roles"}
        less = opened.credential(ACME, "aws", narrow={"policy": LESS, "tags": {"team": "a"}})
        assert may(cloud, less) == {"list_users"}
        assert may(cloud, opened.credential(ACME, "aws")) == {"list_users", "list_roles"}
        assert may(cloud, opened.replace_refused(ACME, less)) == {"list_users"}
        nothing = {"Version": "2012-10-17", "Statement": [{"Effect": "Deny", "Action": "*", "Resource": "*"}]}
        assert may(cloud, opened.credential(ACME, "aws", narrow={"policy": json.dumps(nothing)})) == set()


def test_a_policy_that_is_none_and_the_tags_of_the_library_are_refused(cloud):
    with cloud.open() as opened:
        connect(cloud, opened, "unnarrowed")
        asked = len(cloud.asked)
        for narrow in ({"tags": {"tenant": "globex"}}, {"policy": {}}, {}, {"policy": "x" * 3_000}, {"scopes": ["all"]}):
            with pytest.raises(ValidationFailedError):
                opened.credential(ACME, "aws", narrow=narrow)
        assert len(cloud.asked) == asked
