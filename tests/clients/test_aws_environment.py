"""`aws_environment`: another process with the real botocore, and requests that the endpoint refuses."""

from __future__ import annotations

import copy
import http.client
import json
import os
import pickle
import socket
import subprocess
import sys
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit

import pytest

pytest.importorskip("moto")

from tests.aws_cloud import ACME, open_cloud  # only where moto is installed, and so below

from cloud_integrations.clients import aws_environment, aws_process_credential
from cloud_integrations.errors import IntegrationFrozenError, ValidationFailedError
from cloud_integrations.testing import SimulatedProvider

from .conftest import TENANT, opened
from .roles import RoleWorld, keys_of

# It lists its identity for each line that comes, and says which key it used; an error it says, too.
PROGRAM = """
import sys, botocore.session
session = botocore.session.get_session()
sts = session.create_client("sts", endpoint_url=sys.argv[1]) if session.get_credentials() else None
for _ in sys.stdin:
    try:
        arn = sts.get_caller_identity()["Arn"]
        print(arn.split("/")[1], session.get_credentials().access_key, session.get_config_variable("region"), flush=True)
    except Exception as error:
        print(type(error).__name__, error, flush=True)
"""
FULL_URI = "AWS_CONTAINER_CREDENTIALS_FULL_URI"
TOKEN = "AWS_CONTAINER_AUTHORIZATION_TOKEN"


@pytest.fixture(scope="module")
def cloud():
    with open_cloud() as cloud:
        yield cloud


@pytest.fixture
def world(cloud):
    # The shortest life at AWS: botocore asks again before each request then, because it wants more than 15 minutes.
    with RoleWorld(cloud, lifetime=900) as world:
        yield world


@contextmanager
def started(world, env):
    """Start the program; the value asks it for a line."""
    command = [sys.executable, "-c", PROGRAM, world.cloud.endpoint]
    with subprocess.Popen(command, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:

        def ask():
            process.stdin.write("\n")
            process.stdin.flush()
            return process.stdout.readline().split()

        ask.process = process
        try:
            yield ask
        finally:
            process.stdin.close()
            process.wait()


def get(env, *, url=None, **headers):
    where = urlsplit(url or env[FULL_URI])
    connection = http.client.HTTPConnection(where.hostname, where.port, timeout=60)
    try:
        connection.request("GET", where.path, headers=headers)
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())
    finally:
        connection.close()


def test_another_process_lists_its_identity_over_an_expiry(world):
    with aws_environment(world.manager, ACME, region_name="eu-central-1") as env, started(world, env) as ask:
        name, first, region = ask()
        assert (name, first, region) == (world.name, world.key_id(), "eu-central-1")
        world.end_life()
        name, second, _ = ask()
        assert (name, second) == (world.name, world.key_id())
        assert second != first


@pytest.mark.skipif(not Path("/proc/self/cmdline").exists(), reason="this system has no /proc")
def test_no_command_line_shows_a_secret(world):
    with aws_environment(world.manager, ACME, region_name="us-east-1") as env, started(world, env) as ask:
        ask()
        shown = [Path(f"/proc/{pid}/cmdline").read_bytes() for pid in (os.getpid(), ask.process.pid)]
        secrets = [env[TOKEN], *world.values().values()]
    assert [line for line in shown for secret in secrets if secret.encode() in line] == []


def test_who_does_not_show_the_token_is_refused(world):
    with aws_environment(world.manager, ACME) as env:
        before = world.uses
        for headers in ({}, {"Authorization": "fake"}, {"Authorization": f"Bearer {env[TOKEN]}"}, {"Authorization": "\xff"}):
            assert get(env, **headers) == (401, {"code": "endpoint/token", "message": "this request is not answered"})
        with started(world, env | {TOKEN: "fake-of-another", "AWS_DEFAULT_REGION": "us-east-1"}) as ask:
            assert ask.process.wait(timeout=300) != 0
        assert world.uses == before
        status, document = get(env, Authorization=env[TOKEN])
        values = world.values()
        assert (status, document["AccessKeyId"], document["Token"]) == (200, values["access_key_id"], values["session_token"])
        assert document["SecretAccessKey"] == values["secret_access_key"]
        assert datetime.fromisoformat(document["Expiration"]) - world.clock.now() < timedelta(minutes=16)


def test_a_name_of_another_and_another_path_are_refused(world):
    with aws_environment(world.manager, ACME) as env:
        port = urlsplit(env[FULL_URI]).port
        for host in ("attacker.example", f"localhost:{port}", "127.0.0.1"):
            assert get(env, Host=host, Authorization=env[TOKEN])[0] == 403
        assert get(env, url=env[FULL_URI] + "/more", Authorization=env[TOKEN])[0] == 404
        for path in ("//[", "/credentials//[", "*"):
            with socket.create_connection(("127.0.0.1", port), timeout=60) as raw:
                raw.sendall(f"GET {path} HTTP/1.0\r\nHost: 127.0.0.1:{port}\r\n\r\n".encode())
                assert raw.makefile("rb").readline().split()[1] == b"401"
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        connection.request("POST", "/credentials", headers={"Authorization": env[TOKEN]})
        assert connection.getresponse().status == 405
        connection.close()


def test_it_ends_with_the_context(world):
    with aws_environment(world.manager, ACME) as env:
        assert get(env, Authorization=env[TOKEN])[0] == 200
    with pytest.raises(ConnectionRefusedError):
        get(env, Authorization=env[TOKEN])


def test_an_error_is_answered_with_its_code(world, monkeypatch):
    with aws_environment(world.manager, ACME) as env:
        world.switch_off()
        assert get(env, Authorization=env[TOKEN]) == (403, {"code": "integration/inactive", "message": "this integration is switched off"})
        world.ada.edit_integration(ACME, world.integration.id, status="active")
        world.end_life()
        world.end_trust()
        for _ in range(7):
            assert get(env, Authorization=env[TOKEN])[0] == 503
            world.clock.advance(timedelta(days=1))
        status, document = get(env, Authorization=env[TOKEN])
        assert (status, document["code"]) == (403, "integration/reconnect-required")


def test_a_freeze_of_another_process_is_seen_after_the_time_that_tokens_stay_in_memory(world):
    with aws_environment(world.manager, ACME, region_name="us-east-1") as env, started(world, env) as ask:
        assert ask()[0] == world.name
        begun = world.freeze()
        world.clock.advance(timedelta(minutes=1))
        status, document = get(env, Authorization=env[TOKEN])
        assert (status, document["code"]) == (403, "integration/frozen")
        # Another program, which has no key yet, gets none.
        with started(world, env) as other:
            assert "frozen" in " ".join(other()) or other.process.wait(timeout=300) != 0
        with pytest.raises(IntegrationFrozenError):
            aws_process_credential(world.manager, ACME)
        world.unfreeze(begun)
        world.clock.advance(timedelta(minutes=1))
        assert get(env, Authorization=env[TOKEN])[0] == 200


def test_a_key_without_an_end_is_asked_for_again(cloud):
    with cloud.open() as manager:
        inputs = keys_of(cloud, "static")
        manager.acting_as("ada").add(ACME, "aws", name="Keys", method="access_key", inputs=inputs)
        with aws_environment(manager, ACME) as env:
            status, document = get(env, Authorization=env[TOKEN])
    assert (status, document["AccessKeyId"], document["Token"]) == (200, inputs["access_key_id"], "")
    left = datetime.fromisoformat(document["Expiration"]) - datetime.now(UTC)
    assert timedelta(minutes=15) < left <= timedelta(minutes=20)


def test_what_would_win_over_the_endpoint_is_taken_away(world, tmp_path):
    home = tmp_path / ".aws"
    home.mkdir()
    (home / "credentials").write_text("[default]\naws_access_key_id = FAKEOFTHEUSER\naws_secret_access_key = fake-of-the-user\n")
    inherited = {
        **{name: text for name, text in os.environ.items() if not name.startswith("AWS_")},
        **dict.fromkeys(("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE", "AWS_ROLE_ARN"), "fake-other"),
        **dict.fromkeys(("AWS_ACCESS_KEY", "AWS_SECRET_KEY", "AWS_CREDENTIAL_PROFILES_FILE", "CLOUD_INTEGRATIONS_KEYS"), "fake-other"),
        **dict.fromkeys(("AWS_BEARER_TOKEN_BEDROCK", "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"), "fake-other"),
        **dict.fromkeys(("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "AWS_WEB_IDENTITY_TOKEN_FILE"), "/fake-other"),
        "AWS_MAX_ATTEMPTS": "2",
        "HOME": str(tmp_path),
    }
    with aws_environment(world.manager, ACME, region_name="us-east-1", environ=inherited) as env, started(world, env) as ask:
        assert ask()[:2] == [world.name, world.key_id()]
    assert "fake-other" not in "".join(env.values())
    assert (env["AWS_MAX_ATTEMPTS"], env["HOME"]) == ("2", str(tmp_path))


def test_the_environment_shows_names_alone(world):
    with aws_environment(world.manager, ACME) as env:
        assert env[TOKEN] not in repr(env) + str(env)
        assert FULL_URI in repr(env)
        with pytest.raises(TypeError, match="cannot be pickled"):
            pickle.dumps(env)
        assert copy.copy(env) is env


def test_two_contexts_have_a_token_each(world):
    with aws_environment(world.manager, ACME) as one, aws_environment(world.manager, ACME) as other:
        assert get(other, Authorization=one[TOKEN])[0] == 401
        assert get(other, Authorization=other[TOKEN])[0] == 200


def test_an_integration_without_keys_of_aws_is_refused():
    with opened(SimulatedProvider(auto_approve=True)) as other, aws_environment(other.manager, TENANT, "simulated") as env:
        status, document = get(env, Authorization=env[TOKEN])
    assert (status, document["message"]) == (403, "provider gives no access key of AWS")


def test_a_fault_of_ours_is_no_answer_and_is_logged(world, monkeypatch, caplog):
    def broken(*_, **__):
        raise RuntimeError("fake fault")

    with aws_environment(world.manager, ACME) as env:
        monkeypatch.setattr(type(world.manager), "credential", broken)
        with pytest.raises((http.client.BadStatusLine, ConnectionResetError)):
            get(env, Authorization=env[TOKEN])
    assert "a request for a credential was not answered" in caplog.text


def test_a_name_that_cannot_be_one_is_refused_at_once(world):
    with pytest.raises(ValidationFailedError), aws_environment(world.manager, ""):
        pass


def test_the_keys_of_a_role_come_from_a_helper_with_their_end(world):
    document = aws_process_credential(world.manager, ACME)
    values = world.values()
    ends = world.manager.credential(ACME, "aws").expires_at
    assert document == {
        "Version": 1,
        "AccessKeyId": values["access_key_id"],
        "SecretAccessKey": values["secret_access_key"],
        "SessionToken": values["session_token"],
        "Expiration": f"{ends:%Y-%m-%dT%H:%M:%SZ}",
    }
