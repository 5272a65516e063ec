"""`environment`: other processes with the real SDKs of Google and Azure, variables for the rest, and requests that an endpoint refuses."""

from __future__ import annotations

import http.client
import json
import os
import shutil
import subprocess
import sys
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import urlencode, urlsplit

import pytest

from cloud_integrations.clients import environment
from cloud_integrations.domain.provider import Programs
from cloud_integrations.errors import (
    ConfigurationError,
    IntegrationInactiveError,
    IntegrationNotFoundError,
    ValidationFailedError,
)
from cloud_integrations.testing import FixedClock, SimulatedProvider, token_id

from .conftest import TENANT, opened
from .packages import GOOGLE, REQUESTS

AZURE_IDENTITY = find_spec("azure") and find_spec("azure.identity")
GOOGLE_ACCOUNT = Programs(endpoint="google_external_account")
APP_SERVICE = Programs(endpoint="azure_app_service")
LIFETIME = timedelta(minutes=1)
"""Shorter than what the SDKs want, so that they ask again before each request."""

GOOGLE_PROGRAM = """
import sys, google.auth
from google.auth.transport.requests import AuthorizedSession
credentials, _ = google.auth.default(scopes=["https://www.googleapis.com/auth/cloud-platform"])
for _ in sys.stdin:
    try:
        with AuthorizedSession(credentials) as session:
            print(session.get(sys.argv[1], max_allowed_time=60).status_code, flush=True)
    except Exception as error:
        print(type(error).__name__, str(error).replace(chr(10), " "), flush=True)
"""
AZURE_PROGRAM = """
import sys
from azure.core.pipeline.transport import RequestsTransport
from azure.identity import DefaultAzureCredential, ManagedIdentityCredential
from urllib.request import Request, urlopen
makers = {"default": DefaultAzureCredential, "named": lambda: ManagedIdentityCredential(client_id="fake-id")}
credential = makers.get(sys.argv[2], ManagedIdentityCredential)()
for line in sys.stdin:
    try:
        token = credential.get_token(line.strip() or "https://management.azure.com/.default").token
        print(urlopen(Request(sys.argv[1], headers={"Authorization": "Bearer " + token})).status, flush=True)
    except Exception as error:
        print(type(error).__name__, str(error).replace(chr(10), " "), flush=True)
"""
OWN = {name: text for name, text in os.environ.items() if not name.lower().endswith("_proxy")}


@contextmanager
def world_with(*programs, lifetime=LIFETIME):
    clock = FixedClock(datetime.now(UTC))
    with opened(SimulatedProvider(auto_approve=True, clock=clock, access_lifetime=lifetime), programs=programs, clock=clock) as world:
        yield world, clock


@contextmanager
def started(program, world, env, *words):
    """Start the program; the value writes it a line and reads its answer."""
    command = [sys.executable, "-c", program, f"{world.api.url}/", *words]
    with subprocess.Popen(command, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:

        def ask(line=""):
            process.stdin.write(f"{line}\n")
            process.stdin.flush()
            return process.stdout.readline().strip()

        ask.process = process
        try:
            yield ask
        finally:
            process.stdin.close()
            process.wait()


def send(url, method="GET", *, query="", form=None, **headers):
    where = urlsplit(url)
    connection = http.client.HTTPConnection(where.hostname, where.port, timeout=60)
    try:
        connection.request(method, f"{where.path}?{query}", urlencode(form) if form else None, headers)
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())
    finally:
        connection.close()


def google_file(env):
    return json.loads(Path(env["GOOGLE_APPLICATION_CREDENTIALS"]).read_text(encoding="utf-8"))


@pytest.mark.skipif(GOOGLE is None or REQUESTS is None, reason="this session has no google-auth with requests")
def test_googles_libraries_in_another_process_work_over_an_expiry():
    with world_with(GOOGLE_ACCOUNT) as (world, clock), environment(world.manager, TENANT, "simulated", environ=OWN) as env:
        with started(GOOGLE_PROGRAM, world, env) as ask:
            assert ask() == "200"
            clock.advance(LIFETIME)
            assert ask() == "200"
            world.manager.acting_as("ada").edit_integration(TENANT, world.integration.id, status="inactive")
            assert "integration/inactive" in ask()
        first, second = world.api.tokens
        assert first != second
        assert env.is_renewed


def tells(answer, message):
    """Whether *answer* has the endpoint's *message*; older versions of msal say `invalid_scope` whatever they are told."""
    return message in answer or ("CredentialUnavailableError" in answer and "invalid_scope" in answer)


@pytest.mark.skipif(not AZURE_IDENTITY, reason="this session has no azure-identity")
@pytest.mark.parametrize("maker", ["default", "managed identity"])
def test_azures_libraries_in_another_process_work_over_an_expiry(maker):
    with world_with(APP_SERVICE) as (world, clock), environment(world.manager, TENANT, "simulated", environ=OWN) as env:
        with started(AZURE_PROGRAM, world, env, maker) as ask:
            assert ask() == "200"
            clock.advance(LIFETIME)
            assert ask() == "200"
            refused = ask("https://vault.azure.net/.default")
            assert tells(refused, "name the resource https://vault.azure.net, but the token is for https://management.azure.com")
            world.manager.acting_as("ada").edit_integration(TENANT, world.integration.id, status="inactive")
            assert tells(ask(), "integration/inactive")
        first, second = world.api.tokens
        assert first != second


@pytest.mark.skipif(not AZURE_IDENTITY, reason="this session has no azure-identity")
def test_azures_libraries_get_no_identity_that_they_name():
    with (
        world_with(APP_SERVICE) as (world, _),
        environment(world.manager, TENANT, "simulated", environ=OWN) as env,
        started(AZURE_PROGRAM, world, env, "named") as ask,
    ):
        assert tells(ask(), "there is only that of the tenant")


@pytest.mark.skipif(not Path("/proc/self/cmdline").exists(), reason="this system has no /proc")
def test_no_command_line_shows_a_secret_and_no_variable_the_token():
    with world_with(APP_SERVICE) as (world, _), environment(world.manager, TENANT, "simulated", environ=OWN) as env:
        with started("import sys; sys.stdin.read()", world, env) as ask:
            shown = [Path(f"/proc/{pid}/cmdline").read_bytes() for pid in (os.getpid(), ask.process.pid)]
        assert [line for line in shown for secret in (env["IDENTITY_HEADER"], world.token) if secret.encode() in line] == []
        assert world.token not in "".join(env.values())


def test_google_refuses_who_does_not_show_the_secret():
    with world_with(GOOGLE_ACCOUNT) as (world, _), environment(world.manager, TENANT, "simulated", environ=OWN) as env:
        facts = google_file(env)
        secret = Path(facts["credential_source"]["file"]).read_text(encoding="utf-8")
        url = facts["token_url"]
        form = {"subject_token": secret, "grant_type": "urn:ietf:params:oauth:grant-type:token-exchange"}
        for wrong in ({}, {"subject_token": "fake"}, {"subject_token": secret + "x"}, {"subject_token": "ÿ"}):
            assert send(url, "POST", form=wrong)[0] == 401
        assert send(url, "POST", query=f"subject_token={secret}")[0] == 401
        assert send(url, "POST", Host="attacker.example", form=form)[0] == 403
        assert send(f"{url}/more", "POST", form=form)[0] == 404
        status, document = send(url, "POST", form=form)
        assert (status, token_id(document["access_token"])) == (200, token_id(world.token))
        assert 0 < document["expires_in"] <= LIFETIME.total_seconds()
        world.manager.acting_as("ada").edit_integration(TENANT, world.integration.id, status="inactive")
        assert send(url, "POST", form=form) == (
            403,
            {"error": "integration/inactive", "error_description": "this integration is switched off"},
        )


def test_google_can_look_the_token_up_with_the_secret_alone():
    with world_with(GOOGLE_ACCOUNT) as (world, _), environment(world.manager, TENANT, "simulated", environ=OWN) as env:
        where = urlsplit(google_file(env)["token_info_url"])
        url, account = f"http://{where.netloc}{where.path}", "cloud-integrations"
        assert send(url, "POST", query=where.query, form={"token": world.token}) == (200, {"active": True, "username": account})
        assert send(url, "POST", query=where.query, form={"token": "fake"}) == (200, {"active": False, "username": account})
        assert send(url, "POST", form={"token": world.token})[0] == 401


@pytest.mark.skipif(shutil.which("gcloud") is None, reason="this machine has no gcloud")
def test_gcloud_itself_gets_the_token_and_what_it_keeps_ends_with_the_context():
    own = {name: text for name, text in OWN.items() if not name.startswith("PYTHON")}
    with world_with(GOOGLE_ACCOUNT) as (world, _), environment(world.manager, TENANT, "simulated", environ=own) as env:
        ran = subprocess.run(["gcloud", "auth", "print-access-token"], env=env, capture_output=True, text=True, check=True)
        assert token_id(ran.stdout.strip()) == token_id(world.token)
    assert not Path(env["CLOUDSDK_CONFIG"]).exists()


def test_azure_refuses_who_does_not_show_the_secret():
    with world_with(APP_SERVICE) as (world, _), environment(world.manager, TENANT, "simulated", environ=OWN) as env:
        url, secret = env["IDENTITY_ENDPOINT"], env["IDENTITY_HEADER"]
        query = urlencode({"api-version": "2019-08-01", "resource": "https://management.azure.com/"})
        for headers in ({}, {"X-IDENTITY-HEADER": "fake"}, {"Authorization": secret}, {"Metadata": "true"}):
            assert send(url, query=query, **headers)[0] == 401
        shown = {"X-IDENTITY-HEADER": secret}
        assert send(url, query=query, Host="attacker.example", **shown)[0] == 403
        assert send(f"{url}/more", query=query, **shown)[0] == 404
        status, document = send(url, query=query, **shown)
        assert (status, token_id(document["access_token"])) == (200, token_id(world.token))
        assert (document["resource"], document["token_type"]) == ("https://management.azure.com/", "Bearer")
        ends = datetime.fromtimestamp(int(document["expires_on"]), UTC)
        assert timedelta() < ends - datetime.now(UTC) <= LIFETIME
        no_resource = "scopes name the resource none, but the token is for https://management.azure.com"
        assert send(url, query="resource=", **shown) == (
            403,
            {
                "statusCode": 403,
                "message": f"{no_resource} (integration/validation-failed)",
            },
        )


def test_the_resource_of_an_azure_token_is_data_of_the_provider():
    programs = Programs(endpoint="azure_app_service", audience="https://management.usgovcloudapi.net")
    with world_with(programs) as (world, _), environment(world.manager, TENANT, "simulated", environ=OWN) as env:
        shown = {"X-IDENTITY-HEADER": env["IDENTITY_HEADER"]}
        found = [
            send(env["IDENTITY_ENDPOINT"], query=urlencode({"resource": resource}), **shown)[0]
            for resource in ("https://management.usgovcloudapi.net", "https://management.azure.com")
        ]
    assert found == [200, 403]


@pytest.mark.parametrize(
    ("programs", "secret_file"), [(GOOGLE_ACCOUNT, "GOOGLE_APPLICATION_CREDENTIALS"), (APP_SERVICE, "AZURE_CONFIG_DIR")]
)
def test_what_is_on_the_disk_is_private_holds_no_token_and_ends_with_the_context(programs, secret_file):
    with world_with(programs) as (world, _):
        with environment(world.manager, TENANT, "simulated", environ=OWN) as env:
            found = Path(env[secret_file])
            folder = found if found.is_dir() else found.parent
            assert folder.stat().st_mode & 0o077 == 0 or os.name == "nt"
            assert world.token not in "".join(file.read_text(encoding="utf-8") for file in folder.iterdir() if file.is_file())
        assert not folder.exists()


def test_other_credentials_and_the_proxy_are_kept_away():
    own = {
        "GOOGLE_CREDENTIALS": "fake-other",
        "GOOGLE_OAUTH_ACCESS_TOKEN": "fake-other",
        "GOOGLE_APPLICATION_CREDENTIALS": "/fake-other",
        "CLOUDSDK_AUTH_ACCESS_TOKEN_FILE": "/fake-other",
        "GCE_METADATA_HOST": "fake-other",
        "GOOGLE_CLOUD_PROJECT": "project-1",
        "NO_PROXY": "internal.example",
    }
    with world_with(GOOGLE_ACCOUNT) as (world, _):
        with environment(world.manager, TENANT, "simulated", environ=own) as env:
            assert "fake-other" not in "".join(env.values())
            assert (env["GOOGLE_CLOUD_PROJECT"], env["NO_PROXY"]) == ("project-1", "internal.example,127.0.0.1")
            assert env["no_proxy"] == env["NO_PROXY"]
        with environment(world.manager, TENANT, "simulated", environ={}) as env:
            assert env["no_proxy"] == env["NO_PROXY"] == "127.0.0.1"
    azure = dict.fromkeys(
        ("AZURE_CLIENT_ID", "AZURE_CLIENT_SECRET", "AZURE_FEDERATED_TOKEN_FILE", "ARM_CLIENT_SECRET", "MSI_SECRET"), "fake-other"
    ) | dict.fromkeys(("ARM_SAS_TOKEN", "AZURE_STORAGE_CONNECTION_STRING", "AZURE_STORAGE_KEY", "AZURE_STORAGE_SAS_TOKEN"), "fake-other")
    with world_with(APP_SERVICE) as (world, _), environment(world.manager, TENANT, "simulated", environ=azure) as env:
        assert "fake-other" not in "".join(env.values())


@pytest.mark.parametrize("programs", [GOOGLE_ACCOUNT, APP_SERVICE, Programs(environment={"ACME_TOKEN": "{value}"})])
def test_the_keys_of_all_tenants_do_not_reach_a_program_that_works_for_one(programs):
    own = {"CLOUD_INTEGRATIONS_KEYS": "fake-k1:key", "CLOUD_INTEGRATIONS_VAULT__TOKEN": "fake-token", "HOME": "/home/ada"}
    with world_with(programs) as (world, _), environment(world.manager, TENANT, "simulated", environ=own) as env:
        assert "HOME" in env
        assert not [name for name in env if name.startswith("CLOUD_INTEGRATIONS_")]


def test_a_credential_in_variables_has_the_life_that_it_has_and_replaces_that_of_the_user():
    programs = Programs(environment={"ACME_TOKEN": "{value}", "ACME_HEADER": "Bearer {access_token}"}, removes=("ACME_KEY",))
    other = Programs(for_methods=("key",), environment={"ACME_LEGACY_KEY": "{value}"})
    own = dict.fromkeys(("ACME_TOKEN", "ACME_KEY", "ACME_LEGACY_KEY"), "fake-other") | {"HOME": "/home/ada"}
    with world_with(programs, other, lifetime=timedelta(hours=1)) as (world, clock):
        clock.advance(timedelta(minutes=30))
        before = world.token
        with environment(world.manager, TENANT, "simulated", environ=own) as env:
            # More than a third of its life is over, so another one is made for the program.
            assert dict(env) == {"HOME": "/home/ada", "ACME_TOKEN": world.token, "ACME_HEADER": f"Bearer {world.token}"}
            assert (env.is_renewed, env.expires_at) == (False, clock.now() + timedelta(hours=1))
            assert world.token != before
            assert world.token not in repr(env)


def test_a_variable_for_what_was_not_entered_is_left_out_and_not_inherited():
    programs = Programs(environment={"ACME_TOKEN": "{value}", "ACME_SESSION": "{session_token}"})
    with world_with(programs) as (world, _), environment(world.manager, TENANT, "simulated", environ={"ACME_SESSION": "fake-other"}) as env:
        assert dict(env) == {"ACME_TOKEN": world.token}


def test_an_endpoint_may_have_variables_beside_it():
    programs = Programs(endpoint="aws_container", environment={"AWS_ENDPOINT_URL_S3": "https://s3.acme.example"})
    own = {"AWS_PROFILE": "fake-other"}
    with world_with(programs) as (world, _), environment(world.manager, TENANT, "simulated", region_name="eu-1", environ=own) as env:
        assert (env["AWS_ENDPOINT_URL_S3"], env["AWS_REGION"], "AWS_PROFILE" in env) == ("https://s3.acme.example", "eu-1", False)


def test_where_nothing_is_known_of_programs_the_error_says_what_can_be_done():
    said = r"says no variables .* \(programs\), or use a credential helper"
    with world_with() as (world, _), pytest.raises(ValidationFailedError, match=said), environment(world.manager, TENANT, "simulated"):
        pass
    logins = Programs(git={"hosts": ("acme.example",), "user": "x"})
    with world_with(logins) as (world, _), pytest.raises(ValidationFailedError), environment(world.manager, TENANT, "simulated"):
        pass


def test_what_cannot_be_is_refused_before_a_program_begins():
    with world_with(APP_SERVICE) as (world, _):
        with (
            pytest.raises(ValidationFailedError, match="AWS's SDKs alone"),
            environment(world.manager, TENANT, "simulated", region_name="x"),
        ):
            pass
        with pytest.raises(ConfigurationError), environment(world.awaiting, TENANT, "simulated"):
            pass
        with pytest.raises(IntegrationNotFoundError), environment(world.manager, "another", "simulated"):
            pass
        world.manager.acting_as("ada").edit_integration(TENANT, world.integration.id, status="inactive")
        with pytest.raises(IntegrationInactiveError), environment(world.manager, TENANT, "simulated"):
            pass
