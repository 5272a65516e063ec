"""`injecting_environment`: real programs that use a tenant's credential through the proxy, and never see it."""

from __future__ import annotations

import json
import logging
import os
import shutil
import subprocess
import sys
import tempfile
import threading
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from importlib.util import find_spec
from pathlib import Path
from typing import ClassVar
from urllib.parse import urlsplit

import pytest

from cloud_integrations import Actor, Catalogue
from cloud_integrations.clients import injecting_environment
from cloud_integrations.clients.injector import environment
from cloud_integrations.errors import ConfigurationError
from cloud_integrations.runtime.clock import SystemClock
from cloud_integrations.testing import SimulatedProvider

from .conftest import TENANT, opened
from .packages import AIOHTTP, HTTPX, REQUESTS
from .test_injector_server import signed_by_aws
from .upstreams import FakeInjector, Upstream, echo, ok, opened_way, trusting_transport

AGENT = Actor(type="agent", id="bot")
PYTHON = {
    "urllib": """
import sys, urllib.request, urllib.error
try:
    answer = urllib.request.urlopen(urllib.request.Request(sys.argv[1], method=sys.argv[2]))
except urllib.error.HTTPError as error:
    answer = error
print(answer.status); print(answer.headers); print(answer.read().decode())
""",
    "requests": """
import sys, requests
answer = requests.request(sys.argv[2], sys.argv[1])
print(answer.status_code); print(answer.headers); print(answer.text)
""",
    "httpx": """
import sys, httpx
answer = httpx.request(sys.argv[2], sys.argv[1])
print(answer.status_code); print(answer.headers.raw); print(answer.text)
""",
    "httpx2": """
import sys, httpx2
answer = httpx2.request(sys.argv[2], sys.argv[1])
print(answer.status_code); print(answer.headers.raw); print(answer.text)
""",
    "aiohttp": """
import asyncio, ssl, sys, aiohttp
async def main():
    connector = aiohttp.TCPConnector(ssl=ssl.create_default_context())
    async with aiohttp.ClientSession(trust_env=True, connector=connector) as session, session.request(sys.argv[2], sys.argv[1]) as answer:
        print(answer.status); print(answer.headers); print(await answer.text())
asyncio.run(main())
""",
}
THERE = {
    "urllib": True,
    "requests": REQUESTS is not None,
    "aiohttp": AIOHTTP is not None,
    **{name: name in HTTPX for name in ("httpx", "httpx2")},
}
CURL = ("curl", "--silent", "--show-error", "--max-time", "60", "--write-out", "\n%{http_code}", "--include")


@pytest.fixture
def upstream(tmp_path):
    with Upstream(tmp_path) as upstream:
        yield upstream


@pytest.fixture
def world():
    with opened(SimulatedProvider(auto_approve=True)) as world:
        yield world


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(environment, "POLL", 0.005)


def open_session(world, upstream, **more):
    given = {"hosts": [upstream.authority], "methods": ["GET", "POST", "HEAD"], **more}
    return world.manager.sessions.open(TENANT, actor=AGENT, on_behalf_of="ada", providers=["simulated"], **given)


@contextmanager
def injected(session, environ=None):
    transport = trusting_transport()
    try:
        with injecting_environment(session, environ, transport=transport) as env:
            yield env
    finally:
        transport.close()


def run(env, *command, stdin=None):
    done = subprocess.run(command, env=env, input=stdin, capture_output=True, text=True, timeout=120, check=False)
    return done.stdout + done.stderr


def ask(env, client, url, http_method="GET"):
    return run(env, sys.executable, "-c", PYTHON[client], url, http_method)


def refusals(world):
    found = world.manager.audit.list(TENANT, action="session.refused")
    return [event.details for event in found]


def recorded(world):
    found = [record.event for record in world.manager.acting_as("ada").audit.list(TENANT)]
    return [event for event in reversed(found) if event.action.startswith("session.")]


@pytest.mark.parametrize("client", [name for name, there in THERE.items() if there])
@pytest.mark.parametrize("scheme", ["https", "http"])
def test_a_program_in_python_uses_the_credential_and_does_not_get_it(world, upstream, client, scheme, tmp_path):
    upstream.answer = echo
    plain = Upstream(tmp_path, plain=True)
    plain.answer = echo
    with plain:
        server = upstream if scheme == "https" else plain
        with injected(open_session(world, server)) as env:
            said = ask(env, client, f"{server.url}/echo")
            status, *_ = said.splitlines()
    assert status == "200", said
    assert server.seen[0].headers["authorization"] == f"Bearer {world.token}"
    assert world.token not in said
    assert "*" * len(world.token) in said


@pytest.mark.skipif(shutil.which("curl") is None, reason="there is no curl")
def test_curl_uses_the_credential_and_does_not_get_it(world, upstream):
    upstream.answer = echo
    with injected(open_session(world, upstream)) as env:
        said = run(env, *CURL, "--data", "hello", f"{upstream.url}/echo")
        refused = run(env, *CURL, "--request", "DELETE", f"{upstream.url}/echo")
        continued = run(env, *CURL, "--data-binary", "@-", f"{upstream.url}/long", stdin="x" * 2_000_000)
    assert said.endswith("\n200")
    assert upstream.seen[0].headers["authorization"] == f"Bearer {world.token}"
    assert world.token not in said + continued
    assert refused.endswith("\n403")
    assert len(upstream.seen[1].body) == 2_000_000


@pytest.mark.skipif(shutil.which("git") is None, reason="there is no git")
def test_git_reads_a_repository(world, upstream):
    head = "0123456789abcdef0123456789abcdef01234567"
    upstream.answer = lambda asked, _: ok(f"{head}\trefs/heads/main\n".encode() if "info/refs" in asked.line else b"ref: refs/heads/main\n")
    with injected(open_session(world, upstream)) as env:
        said = run(env, "git", "ls-remote", f"{upstream.url}/repository.git")
    assert f"{head}\trefs/heads/main" in said, said
    assert {asked.headers["authorization"] for asked in upstream.seen} == {f"Bearer {world.token}"}


def test_the_canary_is_in_no_answer_no_log_no_environment_no_argument_and_no_file(world, upstream, tmp_path, caplog):
    caplog.set_level(logging.DEBUG)
    upstream.answer = echo
    program = """
import os, sys, urllib.request
for path in sys.argv[1:]:
    print(urllib.request.urlopen(path).read().decode())
print(dict(os.environ))
for path in (os.environ["SSL_CERT_FILE"], "/proc/self/environ", "/proc/self/cmdline"):
    if os.path.exists(path):
        print(open(path).read())
"""
    home = tmp_path / "tmp"
    home.mkdir()
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(tempfile, "tempdir", str(home))
        with injected(open_session(world, upstream)) as env:
            command = [sys.executable, "-c", program, f"{upstream.url}/echo", f"{upstream.url}/echo?again"]
            said = run(env, *command)
            files = [path.read_bytes() for path in home.rglob("*") if path.is_file()]
            shown = repr(env) + json.dumps(env)
    assert "BEGIN CERTIFICATE" in said
    assert upstream.seen[0].headers["authorization"] == f"Bearer {world.token}"
    told = [said, shown, caplog.text, *(file.decode() for file in files), *(str(event) for event in recorded(world))]
    assert [text for text in told if world.token in text] == []
    assert files
    assert all(b"PRIVATE" not in file for file in files)
    assert list(home.iterdir()) == []


def test_what_the_session_does_not_allow_is_refused_and_recorded(world, upstream, tmp_path):
    with Upstream(tmp_path) as other:
        session = open_session(world, upstream)
        with injected(session) as env:
            assert ask(env, "urllib", f"{upstream.url}/", "DELETE").splitlines()[0] == "403"
            assert "403" in ask(env, "urllib", f"{other.url}/")
            assert ask(env, "urllib", f"http://{other.authority}/").splitlines()[0] == "403"
            without = env | {"HTTPS_PROXY": env["HTTPS_PROXY"].replace("session:", "session:x"), "https_proxy": ""}
            assert "407" in ask({**without, "https_proxy": without["HTTPS_PROXY"]}, "urllib", f"{upstream.url}/")
            session.revoke()
            assert ask(env, "urllib", f"{upstream.url}/").splitlines()[0] == "403"
        assert other.accepted == 0
    assert upstream.seen == []
    # The same refusal is recorded once for a while.
    reasons = [event.reason for event in recorded(world) if event.action == "session.refused"]
    assert reasons == ["method", "host", "password", "revoked"]


def test_after_the_session_has_ended_nothing_is_sent(world, upstream, monkeypatch):
    with injected(open_session(world, upstream, ttl=timedelta(hours=2))) as env:
        assert ask(env, "urllib", f"{upstream.url}/").splitlines()[0] == "200"
        monkeypatch.setattr(SystemClock, "now", lambda _: datetime.now(UTC) + timedelta(hours=2))
        said = ask(env, "urllib", f"{upstream.url}/")
    assert said.splitlines()[0] == "403"
    assert '"reason": "ended"' in said
    assert len(upstream.seen) == 1
    assert [event.reason for event in recorded(world) if event.action == "session.refused"] == ["ended"]


def test_a_token_that_has_ended_is_replaced(world, upstream):
    upstream.answer = lambda asked, _: ok(b"", status="200 OK" if lives(world, asked) else "401 Unauthorized")
    with injected(open_session(world, upstream)) as env:
        old = world.end_token()
        assert ask(env, "urllib", f"{upstream.url}/").splitlines()[0] == "200"
    assert [asked.headers["authorization"] == f"Bearer {old}" for asked in upstream.seen] == [True, False]


def lives(world, asked):
    return world.provider.handle("GET", "/me", headers={"authorization": asked.headers["authorization"]}).status == 200


def test_two_children_at_once_use_their_own_sessions(world, upstream):
    upstream.answer = lambda asked, _: ok(asked.line.encode())
    reading, writing = open_session(world, upstream, methods=["GET"]), open_session(world, upstream, methods=["POST"])
    with injected(reading) as one, injected(writing) as other:
        command = [sys.executable, "-c", PYTHON["urllib"]]
        children = [
            subprocess.Popen([*command, f"{upstream.url}/{number}", http_method], env=env, stdout=subprocess.PIPE, text=True)
            for number, (env, http_method) in enumerate([(one, "GET"), (other, "POST"), (one, "POST"), (other, "GET")])
        ]
        said = [child.communicate(timeout=120)[0] for child in children]
    assert [text.splitlines()[0] for text in said] == ["200", "200", "403", "403"]
    assert {asked.line for asked in upstream.seen} == {"GET /0 HTTP/1.1", "POST /1 HTTP/1.1"}


def test_a_child_that_was_killed_leaves_nothing_open(world, upstream):
    asked, before = threading.Event(), set(threading.enumerate())

    def silent(_asked, connection):
        asked.set()
        connection.recv(1)

    upstream.answer = silent
    with injected(open_session(world, upstream)) as env:
        command = [sys.executable, "-c", PYTHON["urllib"], f"{upstream.url}/", "GET"]
        with subprocess.Popen(command, env=env) as process:
            assert asked.wait(60)
            process.kill()
    assert "process_request" not in " ".join(thread.name for thread in set(threading.enumerate()) - before)


def test_a_child_that_outlives_the_context_reaches_nothing(world, upstream):
    program = f"import sys; sys.stdin.readline()\n{PYTHON['urllib']}"
    command = [sys.executable, "-c", program, f"{upstream.url}/", "GET"]
    with injected(open_session(world, upstream)) as env:
        process = subprocess.Popen(command, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    _, said = process.communicate("\n", timeout=120)
    assert process.returncode != 0
    assert "Connection refused" in said
    assert upstream.seen == []


def test_the_session_is_that_of_a_blocking_manager(world):
    class Awaiting:
        hosts: ClassVar = {}

        async def _authorize(self, request, /):
            raise AssertionError

    with pytest.raises(ConfigurationError, match="IntegrationManager"), injecting_environment(Awaiting()):
        pass


def test_the_environment_leads_past_nothing_and_shows_names_alone(world, upstream):
    inherited = {"PATH": os.environ["PATH"], "NO_PROXY": "*", "no_proxy": "127.0.0.1", "https_proxy": "http://other.example:1"}
    with injected(open_session(world, upstream), inherited) as env:
        assert env["PATH"] == os.environ["PATH"]
        assert (env["NO_PROXY"], env["no_proxy"]) == ("", "")
        urls = {env[name] for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy")}
        assert len(urls) == 1
        password = urlsplit(urls.pop()).password
        assert len(password) >= 43
        assert password not in repr(env)
        bundle = Path(env["SSL_CERT_FILE"])
        assert {env[name] for name in ("CURL_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "NODE_EXTRA_CA_CERTS", "GIT_SSL_CAINFO", "PIP_CERT")} == {
            str(bundle)
        }
        assert bundle.read_text().count("BEGIN") == 1
    assert not bundle.exists()
    assert not bundle.parent.exists()


def test_other_credentials_of_the_provider_are_taken_away():
    programs = Catalogue.builtin().require("github").programs
    names = ("GITHUB_TOKEN", "GH_TOKEN", "CLOUD_INTEGRATIONS_KEYS")
    inherited = {**dict.fromkeys(names, "fake-of-the-user"), "AWS_PROFILE": "mine", "CLOUD_INTEGRATIONS_KEYS": "fake-of-the-user"}
    made = environment._environment(inherited, programs, "http://proxy", "/bundle")
    assert "fake-of-the-user" not in made.values()
    assert made["AWS_PROFILE"] == "mine"
    made = environment._environment(inherited, Catalogue.builtin().require("aws").programs, "http://proxy", "/bundle")
    assert "AWS_PROFILE" not in made


@pytest.mark.skipif(find_spec("botocore") is None, reason="there is no botocore")
def test_a_program_with_aws_s_sdk_signs_and_is_signed_anew(upstream):
    program = """
import sys, botocore.session
client = botocore.session.get_session().create_client("sts", region_name="eu-central-1", endpoint_url=sys.argv[1])
print(client.get_caller_identity()["Account"])
"""
    name = "GetCallerIdentity"
    answer = f"<{name}Response><{name}Result><Account>123456789012</Account></{name}Result></{name}Response>"
    upstream.answer = lambda *_: ok(answer.encode(), "Content-Type: text/xml")
    injector = FakeInjector(upstream.authority)
    injector.credentials = [signed_by_aws()]
    with opened_way(upstream, injector) as way:
        bundle = Path(upstream.folder, "bundle.pem")
        bundle.write_text(way.pem)
        env = environment._environment(os.environ, Catalogue.builtin().require("aws").programs, way.url, str(bundle))
        said = run(env, sys.executable, "-c", program, upstream.url)
    assert said == "123456789012\n"
    assert "Credential=AKIAFAKE/20260101/eu-central-1/sts/aws4_request" in upstream.seen[0].headers["authorization"]


def test_where_no_transport_is_handed_in_the_usual_one_is_opened_and_closed(world, tmp_path):
    with Upstream(tmp_path, plain=True) as upstream, injecting_environment(open_session(world, upstream)) as env:
        assert ask(env, "urllib", f"{upstream.url}/").splitlines()[0] == "200"
    assert upstream.seen[0].headers["authorization"] == f"Bearer {world.token}"
