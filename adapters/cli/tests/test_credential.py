"""`credential`: git itself, docker's own client and a program that asks as AWS's SDKs do get what they read, and nobody else anything."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from .conftest import TENANT

T = ("-t", TENANT, "--provider", "simulated_keys")
PROGRAMS = """
[[programs]]
environment = { ACME_TOKEN = "{value}" }
removes = ["ACME_KEY"]
git = { hosts = ["git.acme.example", "*.git.acme.example:8443"], user = "robot" }
docker = { hosts = ["registry.acme.example", "*-docker.acme.example"], user = "{value}" }
kubernetes = { server = "https://cluster.acme.example:6443" }
"""
INFO = {"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential", "spec": {"interactive": False}}


@pytest.fixture
def key(home, added, provider):
    """The tenant's key; the provider's file says how programs find it."""
    file = home / "simulated_keys.toml"
    file.write_text(file.read_text() + PROGRAMS)
    return provider.valid_api_key.reveal()


def disable(run, added):
    assert run("integrations", "disable", added, "-t", TENANT).code == 0


def ask_git(run, operation, *lines):
    return run("credential", "git", operation, *T, given="".join(f"{line}\n" for line in lines))


def test_git_gets_the_password_for_the_providers_servers_alone(run, key):
    expected = f"username=robot\npassword={key}\n"
    for lines in (
        ("protocol=https", "host=git.acme.example", "path=team/code.git", "wwwauth[]=Basic realm=git"),
        ("protocol=https", "host=GIT.acme.example:443", ""),
        ("protocol=https", "host=eu.git.acme.example:8443", "username=robot"),
    ):
        ran = ask_git(run, "get", *lines)
        assert (ran.code, ran.out) == (0, expected), ran.err
    for lines in (
        ("protocol=http", "host=git.acme.example"),
        ("protocol=https", "host=git.acme.example.attacker.example"),
        ("protocol=https", "host=git.acme.example:8443"),
        ("protocol=https", "host=a.b.git.acme.example:8443"),
        ("protocol=https", "host=robot@git.acme.example"),
        ("protocol=https", "host=git.acme.example:none"),
        ("protocol=https", "host=git.acme.example", "username=ada"),
        ("protocol=https", "host=attacker.example", "path=a\u2028host=git.acme.example"),
        ("protocol=https", "host=attacker.example", "path=a\rhost=git.acme.example"),
        ("protocol=https", "host=git.acme.example\r"),
        ("protocol=https", "host=git.acme.example\t.attacker.example"),
        ("protocol=https", "host=git.acme.example/.attacker.example"),
        ("protocol=https", "host=git.acme.example?.attacker.example"),
        ("protocol=https", "host=git.acme.example#.attacker.example"),
        ("protocol=https", "host=git.acme.example\\.attacker.example"),
        ("protocol=https\u2028", "host=git.acme.example"),
        ("host=git.acme.example",),
        ("protocol=https",),
        (),
    ):
        ran = ask_git(run, "get", *lines)
        assert (ran.code, ran.out) == (0, ""), (lines, ran.err)
    assert ask_git(run, "store", "protocol=https", "host=git.acme.example", "username=robot", "password=fake").out == ""


def test_git_asks_nobody_else_where_there_is_no_credential(run, key, added):
    disable(run, added)
    ran = ask_git(run, "get", "protocol=https", "host=git.acme.example")
    assert (ran.code, ran.out) == (9, "quit=1\n")
    assert ask_git(run, "erase", "protocol=https", "host=git.acme.example", "username=robot", f"password={key}").out == ""
    Path("cloud-integrations.toml").write_text("no settings")
    ran = ask_git(run, "get", "protocol=https", "host=git.acme.example")
    assert (ran.code, ran.out) == (8, "quit=1\n")


def test_a_password_that_was_refused_is_replaced_and_another_is_not(run, key):
    server = ("protocol=https", "host=git.acme.example", "username=robot")
    for lines in ((*server, "password=fake-of-before"), server, ("protocol=https", "host=other.example", f"password={key}")):
        ran = ask_git(run, "erase", *lines)
        assert (ran.code, ran.out) == (0, ""), ran.err
    # A key cannot be renewed, and git's word does not end it.
    ran = ask_git(run, "erase", *server, f"password={key}")
    assert (ran.code, ran.out, key in ran.err) == (5, "", False)
    assert ask_git(run, "get", *server).out.endswith(f"password={key}\n")


@pytest.mark.skipif(shutil.which("git") is None, reason="there is no git")
def test_git_itself_fills_and_is_told_to_stop(run, key, added, home):
    helper = "!" + shlex.join([sys.executable, "-m", "cloud_integrations_cli", "credential", "git", *T])
    env = {**os.environ, "GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": os.devnull, "GIT_TERMINAL_PROMPT": "0"}

    def ask(operation, *lines):
        words = [
            "git",
            "-c",
            f"credential.helper={helper}",
            "-c",
            "credential.helper=!echo password=fake-of-the-user #",
            "credential",
            operation,
        ]
        given = "".join(f"{line}\n" for line in lines)
        return subprocess.run(words, input=given, capture_output=True, text=True, env=env, cwd=home, check=False)

    filled = ask("fill", "protocol=https", "host=git.acme.example")
    assert filled.stdout.splitlines() == ["protocol=https", "host=git.acme.example", "username=robot", f"password={key}"], filled.stderr
    assert ask("approve", *filled.stdout.splitlines()).returncode == 0
    disable(run, added)
    stopped = ask("fill", "protocol=https", "host=git.acme.example")
    assert (stopped.stdout, "told us to quit" in stopped.stderr) == ("", True)


def ask_docker(run, operation, given=""):
    ran = run("credential", "docker", operation, *T, given=given)
    return ran.code, ran.out


def test_docker_gets_the_login_of_the_providers_registries_alone(run, key, added):
    for asked in (
        "registry.acme.example",
        "https://registry.acme.example",
        "https://registry.acme.example:443/v2/",
        "eu-docker.acme.example\n",
    ):
        code, out = ask_docker(run, "get", asked)
        assert (code, json.loads(out)) == (0, {"ServerURL": asked.strip(), "Username": key, "Secret": key})
    for asked in (
        "https://index.docker.io/v1/",
        "http://registry.acme.example",
        "registry.acme.example:5000",
        "",
        "[::1",
        "registry.acme.example@attacker.example",
    ):
        assert ask_docker(run, "get", asked) == (1, "credentials not found in native keychain")
    code, out = ask_docker(run, "list")
    assert (code, json.loads(out)) == (0, {"https://registry.acme.example": ""}), "here the token is the user name, too"
    for operation in ("store", "erase"):
        code, out = ask_docker(run, operation, "registry.acme.example")
        assert (code, "keeps nothing" in out) == (1, True)
    disable(run, added)
    assert ask_docker(run, "get", "registry.acme.example") == (9, "this integration is switched off")


@pytest.mark.skipif(not find_spec("docker"), reason="this session has no docker client")
def test_dockers_own_client_asks_the_helper(key, home, monkeypatch):
    from docker.credentials import CredentialsNotFound, Store

    program = home / "bin/docker-credential-acme"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec {shlex.join([sys.executable, "-m", "cloud_integrations_cli", "credential", "docker", *T])} "$@"\n')
    program.chmod(0o700)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    store = Store("acme")
    assert store.get("registry.acme.example") == {"ServerURL": "registry.acme.example", "Username": key, "Secret": key}
    assert store.list() == {"https://registry.acme.example": ""}
    with pytest.raises(CredentialsNotFound):
        store.get("https://index.docker.io/v1/")


def ask_kubernetes(run, monkeypatch, info):
    monkeypatch.setenv("KUBERNETES_EXEC_INFO", info if isinstance(info, str) else json.dumps(info))
    return run("credential", "kubernetes", *T)


def test_a_cluster_gets_an_exec_credential(run, key, monkeypatch):
    server = {"spec": {"cluster": {"server": "https://cluster.acme.example:6443/"}}}
    for info in ("", INFO, INFO | server):
        ran = ask_kubernetes(run, monkeypatch, info)
        assert ran.json() == {"apiVersion": INFO["apiVersion"], "kind": "ExecCredential", "status": {"token": key}}, ran.err
    for info, says in (
        (INFO | {"apiVersion": "client.authentication.k8s.io/v1beta1"}, "asks for another version"),
        (INFO | {"spec": {"cluster": {"server": "https://cluster.attacker.example:6443"}}}, "names another server"),
        (INFO | {"spec": {"cluster": {"server": "https://cluster.acme.example:none"}}}, "is no ExecCredential"),
        ("{", "is no ExecCredential"),
        ([], "is no ExecCredential"),
        ({"apiVersion": INFO["apiVersion"], "spec": None}, "is no ExecCredential"),
    ):
        ran = ask_kubernetes(run, monkeypatch, info)
        assert (ran.code, ran.out, says in ran.err, key in ran.err) == (4, "", True, False), ran.err


def test_what_the_provider_does_not_have_is_named(run, added):
    for words, given in ((("git", "get"), "protocol=https\nhost=git.acme.example\n"), (("kubernetes",), None), (("aws",), None)):
        ran = run("credential", *words, *T, given=given)
        assert (ran.code, "provider" in ran.err) == (4, True), ran.err
    code, out = ask_docker(run, "get", "registry.acme.example")
    assert (code, "says nothing of docker" in out) == (4, True)
    ran = run("exec", *T, "--", sys.executable, "-c", "")
    assert (ran.code, "says no variables" in ran.err) == (4, True)


def test_a_terminal_gets_no_secret_unless_it_is_asked_for(run, key, monkeypatch):
    monkeypatch.setattr("cloud_integrations_cli.actions.credential._is_terminal", lambda: True)
    for words in (("aws",), ("git", "get"), ("docker", "get"), ("kubernetes",)):
        ran = run("credential", *words, *T, given="")
        assert (ran.code, ran.out, "--reveal" in ran.err) == (2, "", True)
    assert run("credential", "kubernetes", *T, "--reveal").json()["status"] == {"token": key}


def test_a_program_finds_the_credential_in_its_environment_and_is_told_its_life(run, key, monkeypatch):
    monkeypatch.setenv("ACME_KEY", "fake-of-the-user")
    program = "import os; print(os.environ['ACME_TOKEN'], 'ACME_KEY' in os.environ, file=open('seen', 'w'))"
    ran = run("exec", *T, "--", sys.executable, "-c", program)
    assert (ran.code, Path("seen").read_text()) == (0, f"{key} False\n"), ran.err
    assert "the program cannot renew its credential, which ends at a time that is not known, or never" in ran.err
    assert key not in ran.err + ran.out
    program = "import os; print([name for name in os.environ if name.startswith('CLOUD_INTEGRATIONS')], file=open('seen', 'w'))"
    monkeypatch.setenv("CLOUD_INTEGRATIONS_CONFIG", "cloud-integrations.toml")
    assert run("exec", *T, "--", sys.executable, "-c", program).code == 0
    assert Path("seen").read_text() == "[]\n"
    refused = run("exec", *T, "--region", "eu-1", "--", sys.executable, "-c", "")
    assert (refused.code, "--region" in refused.err) == (4, True), refused.err
