"""What credential helpers answer for a token that can be renewed; the tests of the command line show it to git, docker and kubectl."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from cloud_integrations.clients import aws_process_credential, docker_credential, exec_credential, git_credential
from cloud_integrations.domain.provider import Cluster, Login, Programs
from cloud_integrations.errors import ConfigurationError, ReconnectRequiredError, ValidationFailedError
from cloud_integrations.testing import FixedClock, SimulatedProvider

from .conftest import TENANT, opened

PROGRAMS = Programs(
    git=Login(hosts=("git.acme.example",), user="x-access-token"),
    docker=Login(hosts=("registry.acme.example",), user="oauth2"),
    kubernetes=Cluster(),
)
SERVER = "protocol=https\nhost=git.acme.example\nusername=x-access-token\n"


@pytest.fixture
def world():
    clock = FixedClock(datetime.now(UTC).replace(microsecond=0))
    provider = SimulatedProvider(auto_approve=True, clock=clock, access_lifetime=timedelta(hours=1))
    with opened(provider, programs=(PROGRAMS,), clock=clock) as world:
        yield world


def git(world, operation, more=""):
    return git_credential(world.manager, TENANT, "simulated", operation, SERVER + more)


def read(answer):
    return dict(line.split("=", 1) for line in answer.splitlines())


def test_git_is_told_when_the_password_ends(world):
    ends = world.manager.credential(TENANT, "simulated").expires_at
    assert read(git(world, "get")) == {
        "username": "x-access-token",
        "password": world.token,
        "password_expiry_utc": str(int(ends.timestamp())),
    }


def test_a_password_that_a_server_refused_is_replaced_once(world):
    refused = read(git(world, "get"))["password"]
    for _ in range(3):
        assert git(world, "erase", f"password={refused}\n") == ""
    replaced = read(git(world, "get"))["password"]
    assert replaced != refused
    assert world.provider.refresh_count == 1


def test_a_grant_that_has_ended_is_no_answer(world):
    refused = read(git(world, "get"))["password"]
    world.provider.revoke_grant()
    with pytest.raises(ReconnectRequiredError):
        git(world, "erase", f"password={refused}\n")
    with pytest.raises(ReconnectRequiredError):
        git(world, "get")


def test_kubernetes_is_told_when_the_token_ends(world):
    credential = world.manager.credential(TENANT, "simulated")
    assert exec_credential(world.manager, TENANT, "simulated")["status"] == {
        "token": credential.value.reveal(),
        "expirationTimestamp": credential.expires_at.strftime("%Y-%m-%dT%H:%M:%SZ"),
    }


def test_what_cannot_be_is_refused(world):
    with pytest.raises(ValidationFailedError, match="no access key of AWS"):
        aws_process_credential(world.manager, TENANT, "simulated")
    with pytest.raises(ConfigurationError):
        docker_credential(world.awaiting, TENANT, "simulated", "get", "registry.acme.example")


def test_a_password_with_a_line_break_is_no_answer_for_git():
    programs = Programs(git=Login(hosts=("git.acme.example",), user="x-access-token\nhost=attacker.example"))
    with opened(SimulatedProvider(auto_approve=True), programs=(programs,)) as world, pytest.raises(ValidationFailedError):
        git_credential(world.manager, TENANT, "simulated", "get", "protocol=https\nhost=git.acme.example\n")
