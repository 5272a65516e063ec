"""Accounts at moto's server with its IAM checks turned on, and a manager of an operator who may assume roles there.

Only if a request has no external id at all, moto lets it pass a condition on it.  A thin door before moto refuses such requests.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qsl

import boto3

from cloud_integrations import (
    AesGcmCipher,
    AsyncIntegrationManager,
    AsyncMemoryStore,
    Catalogue,
    HttpxTransport,
    IntegrationManager,
    LocalKeyring,
    MemoryStore,
    PlatformCredential,
    Secret,
    Settings,
)
from cloud_integrations.ports.clock import Clock
from cloud_integrations.protocol.http import HttpRequest, HttpResponse

from .moto import checking_moto

ACME = "acme"
DENIED = b"<ErrorResponse><Error><Type>Sender</Type><Code>AccessDenied</Code></Error></ErrorResponse>"
ACTIONS = ["sts:AssumeRole", "sts:SetSourceIdentity", "sts:TagSession"]


class Door(HttpxTransport):
    """Keeps the forms of the requests, and refuses `AssumeRole` without an external id where the role's trust policy asks for one.

    The keys that AWS gives end by *clock*, if there is one.
    """

    def __init__(self, iam: Any, asked: list[dict[str, str]], clock: Clock | None) -> None:
        super().__init__()
        self._iam = iam
        self._asked = asked
        self._clock = clock

    def send(self, request: HttpRequest, /, *, deadline: timedelta) -> HttpResponse:
        asked = dict(parse_qsl(request.body.decode()))
        self._asked.append(asked)
        if asked["Action"] == "AssumeRole" and "ExternalId" not in asked and self._asks_for_one(asked["RoleArn"]):
            return HttpResponse(status=403, headers={"content-type": "text/xml"}, body=DENIED)
        answer = super().send(request, deadline=deadline)
        if self._clock is None or "DurationSeconds" not in asked:
            return answer
        ends = self._clock.now() + timedelta(seconds=int(asked["DurationSeconds"]))
        body = re.sub(rb"(?<=<Expiration>)[^<]+", f"{ends:%Y-%m-%dT%H:%M:%SZ}".encode(), answer.body)
        return replace(answer, body=body)

    def _asks_for_one(self, arn: str) -> bool:
        role = self._iam.get_role(RoleName=arn.rpartition("/")[2])["Role"]
        return "Condition" in role["AssumeRolePolicyDocument"]["Statement"][0]


class AwaitedDoor:
    """The same door for an awaiting manager."""

    def __init__(self, door: Door) -> None:
        self._door = door

    async def send(self, request: HttpRequest, /, *, deadline: timedelta) -> HttpResponse:
        return self._door.send(request, deadline=deadline)

    async def close(self) -> None:
        self._door.close()


@dataclass
class Cloud:
    """The server, the operator's key there, and what makes roles."""

    endpoint: str
    principal: str
    """The operator's user, who assumes the roles."""
    key_id: str
    secret: str = field(repr=False)
    iam: Any
    asked: list[dict[str, str]] = field(default_factory=list)
    """The forms of the requests to STS."""

    def make_role(self, name: str, external_id: str | None) -> str:
        role = self.iam.create_role(RoleName=name, AssumeRolePolicyDocument=self._trust(external_id))
        return str(role["Role"]["Arn"])

    def change_trust(self, name: str, external_id: str | None) -> None:
        self.iam.update_assume_role_policy(RoleName=name, PolicyDocument=self._trust(external_id))

    def open(self, *, url: str | None = None, lifetime: int = 3600, clock: Clock | None = None) -> IntegrationManager:
        """Return a manager whose AWS is at *url*, with minted keys of *lifetime* seconds by *clock*."""
        parts = self._parts(url, lifetime, clock)
        return IntegrationManager(store=MemoryStore(clock=clock), transport=Door(self.iam, self.asked, clock), **parts)

    def open_both(self, *, lifetime: int, clock: Clock) -> tuple[IntegrationManager, AsyncIntegrationManager]:
        """Return a manager as `open` does, and an awaiting one of the same installation."""
        parts, rows, door = self._parts(None, lifetime, clock), MemoryStore(clock=clock), Door(self.iam, self.asked, clock)
        awaited = AsyncMemoryStore(clock=clock)
        awaited._store = rows
        manager = IntegrationManager(store=rows, transport=door, **parts)
        return manager, AsyncIntegrationManager(store=awaited, transport=AwaitedDoor(door), **parts)

    def _parts(self, url: str | None, lifetime: int, clock: Clock | None) -> dict[str, Any]:
        where = url or self.endpoint
        aws = Catalogue.builtin().require("aws")
        methods = [
            method.model_copy(
                update={
                    "mint": tuple(
                        step.model_copy(update={"url": f"{where}/", "fields": step.fields | {"DurationSeconds": str(lifetime)}})
                        for step in method.mint
                    )
                }
            )
            for method in aws.methods
        ]
        checks = tuple(check.model_copy(update={"url": f"{where}/"}) for check in aws.verifications)
        # moto writes an error one level deeper than STS does.
        deeper = tuple(rule.model_copy(update={"path": "ErrorResponse.Errors.Error.Code"}) for rule in aws.error_rules)
        changes = {"methods": tuple(methods), "verifications": checks, "error_rules": (*aws.error_rules, *deeper), "loopback": True}
        there = aws.model_copy(update=changes)
        platform = PlatformCredential(
            parts={"access_key_id": Secret(self.key_id), "secret_access_key": Secret(self.secret)},
            principal=self.principal,
        )
        return {
            "keys": LocalKeyring([LocalKeyring.generate_key("test")]),
            "cipher": AesGcmCipher(),
            "providers": Catalogue.of(there),
            "platform": {"aws": platform},
            # What a new role needs at AWS is in tests/flows/test_roles.py, on a clock that the test moves.
            "settings": Settings(setup_patience=timedelta()),
            "clock": clock,
        }

    def _trust(self, external_id: str | None) -> str:
        statement: dict[str, Any] = {"Effect": "Allow", "Principal": {"AWS": self.principal}, "Action": ACTIONS}
        if external_id is not None:
            statement["Condition"] = {"StringEquals": {"sts:ExternalId": external_id}}
        return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


@contextmanager
def open_cloud() -> Iterator[Cloud]:
    """Give a server with the operator's user `product`, and `admin`, the tenant's administrator."""
    product, admin = "product", "admin"
    with checking_moto({product: ACTIONS, admin: ["*"]}) as (endpoint, keys):
        theirs = {"aws_access_key_id": keys[admin]["AccessKeyId"], "aws_secret_access_key": keys[admin]["SecretAccessKey"]}
        iam = boto3.client("iam", region_name="us-east-1", endpoint_url=endpoint, **theirs)
        key = keys[product]
        yield Cloud(endpoint, f"arn:aws:iam::123456789012:user/{product}", key["AccessKeyId"], key["SecretAccessKey"], iam)


def begin(ada: IntegrationManager) -> str:
    """Begin the setup of a role, and return its external id."""
    setup = ada.begin_setup(ACME, "aws", name="Our account", method="role")
    return setup.made["external_id"].reveal()
