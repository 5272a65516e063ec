"""A tenant's role at moto's server, connected to a manager on a clock that the test moves."""

from __future__ import annotations

import asyncio
import secrets
from datetime import UTC, datetime, timedelta

from moto.core import DEFAULT_ACCOUNT_ID
from moto.sts.models import sts_backends
from tests.aws_cloud import ACME, begin

from cloud_integrations.testing import FixedClock

EVERYTHING = '{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}'


class RoleWorld:
    """Two managers of one installation with the role of a tenant, whose keys live for *lifetime* seconds."""

    def __init__(self, cloud, lifetime=3600):
        self.cloud = cloud
        self.clock = FixedClock(datetime.now(UTC))
        self.manager, self.awaiting = cloud.open_both(clock=self.clock, lifetime=lifetime)
        self.ada = self.manager.acting_as("ada")
        self.name = f"role-{secrets.token_hex(4)}"
        self.arn = cloud.make_role(self.name, begin(self.ada))
        self.integration = self.ada.complete_setup(ACME, "aws", inputs={"role_arn": self.arn})
        self._lifetime = lifetime
        self._connected_after = len(cloud.asked)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.manager.close()

    @property
    def mints(self):
        """How many keys were made from the role since it was connected."""
        return sum(asked.get("RoleArn") == self.arn for asked in self.cloud.asked[self._connected_after :])

    @property
    def uses(self):
        return sum(record.event.action == "credential.used" for record in self.ada.audit.list(ACME, limit=100))

    def values(self):
        return {name: secret.reveal() for name, secret in self.manager.credential(ACME, "aws").values().items()}

    def key_id(self):
        return self.values()["access_key_id"]

    def end_life(self):
        """Let the time pass in which the key ends."""
        self.clock.advance(timedelta(seconds=self._lifetime + 60))

    def end_key(self, key_id=None):
        """Let AWS forget the key that is handed out now, or *key_id*, without telling anybody."""
        roles, ended = sts_backends[DEFAULT_ACCOUNT_ID]["aws"].assumed_roles, key_id or self.key_id()
        roles[:] = [role for role in roles if role.access_key_id != ended]

    def end_trust(self):
        """Let the tenant's role trust somebody else."""
        self.cloud.change_trust(self.name, "fake-external-id-of-another")

    def switch_off(self):
        self.ada.edit_integration(ACME, self.integration.id, status="inactive")

    def freeze(self):
        """Freeze the tenant in another process, and return the freeze."""
        return asyncio.run(self.awaiting.acting_as("grace").incidents.freeze(tenant_id=ACME, reason="fake reason"))

    def unfreeze(self, freeze):
        asyncio.run(self.awaiting.acting_as("grace").incidents.unfreeze(freeze.id, reason="over"))


def keys_of(cloud, user):
    """Make *user* who may do everything, and return the inputs of a key of theirs."""
    cloud.iam.create_user(UserName=user)
    cloud.iam.put_user_policy(UserName=user, PolicyName="all", PolicyDocument=EVERYTHING)
    return next_key(cloud, user)


def next_key(cloud, user):
    key = cloud.iam.create_access_key(UserName=user)["AccessKey"]
    return {"access_key_id": key["AccessKeyId"], "secret_access_key": key["SecretAccessKey"]}
