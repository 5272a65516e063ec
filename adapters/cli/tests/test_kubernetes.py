"""A cluster is connected, used, checked and removed from the command line alone, over TLS to a small API server of ours."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.authorities import authority
from tests.clusters import ADMIN, NEAR_FILE, ROBOT, TOKEN, ApiServer

pytestmark = pytest.mark.requirement("Q69")
T = ("-t", "acme")
JSON = ("-o", "json")


@pytest.fixture
def cluster(home: Path) -> Iterator[ApiServer]:
    """An API server; the folder has the files that kubectl gave, and a provider file for servers on this machine."""
    (home / "kubernetes.toml").write_text(NEAR_FILE, encoding="utf-8")
    settings = home / "cloud-integrations.toml"
    settings.write_text(settings.read_text().replace('provider_files = ["', 'provider_files = ["kubernetes.toml", "', 1))
    certificate, key = authority("Clients").issue(ADMIN)
    for name, text in {"token": f"{TOKEN}\n", "ca.crt": authority().pem, "ada.crt": certificate, "ada.key": key}.items():
        (home / name).write_text(text, encoding="utf-8")
    with ApiServer(tmp_path=home) as server:
        yield server


def _words(cluster: ApiServer, **changes: str) -> list[str]:
    given = {"server": cluster.url, "ca": "@ca.crt", "token": "@token"} | changes
    return ["integrations", "add", "kubernetes", *T, *(word for name, text in given.items() for word in ("--input", f"{name}={text}"))]


def test_a_token_connects_is_used_checked_and_removed(run, cluster):
    added = run(*_words(cluster), *JSON)
    assert added.code == 0, added.err
    assert added.data()["account"]["id"] == f"{cluster.url}/{ROBOT}"
    shown = run("token", "kubernetes", *T)
    revealed = run("token", "kubernetes", *T, "--reveal", "--yes", *JSON).data()
    assert (revealed["values"]["server"], revealed["forms"]) == (cluster.url, ["headers", "ssl_context"])
    assert revealed["headers"] == {"Authorization": f"Bearer {TOKEN}"}
    checked = run("integrations", "verify", "kubernetes", *T)
    assert (checked.code, "Works    yes" in checked.out) == (0, True)
    removed = run("integrations", "delete", "kubernetes", *T, "--yes")
    assert "API key still works at the provider" in " ".join(removed.out.split())
    assert TOKEN not in "".join(ran.out + ran.err for ran in (added, shown, checked, removed))


def test_a_client_certificate_connects(run, cluster):
    words = ["integrations", "add", "kubernetes", *T, "--input", f"server={cluster.url}", "--input", "ca=@ca.crt"]
    added = run(*words, "--input", "client_certificate=@ada.crt", "--input", "client_key=@ada.key", *JSON)
    assert added.code == 0, added.err
    assert added.data()["account"]["id"] == f"{cluster.url}/{ADMIN}"


@pytest.mark.requirement("OAU-072", "OAU-076")
@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"server": "http://127.0.0.1:6443"}, "--input server must be an https address"),
        ({"server": "https://ada@cluster.acme.example"}, "--input server must be an https address"),
        ({"server": "https://10.0.0.7:6443"}, "--input server is a server that may not be reached from here"),
        ({"ca": "@ada.crt"}, "--input ca does not vouch for this server"),
        ({"token": "@config"}, "--input token looks like a whole kubeconfig"),
    ],
)
def test_what_cannot_work_is_named(run, home, cluster, changes, says):
    (home / "config").write_text(f"apiVersion: v1\nkind: Config\nusers: [{{user: {{token: {TOKEN}}}}}]\n")
    refused = run(*_words(cluster, **changes))
    assert (refused.code, cluster.asked) == (4, [])
    assert says in " ".join(refused.err.split())
    assert TOKEN not in refused.err


def test_the_settings_list_private_servers_and_a_wrong_one_is_named(run, home, cluster):
    settings = home / "cloud-integrations.toml"
    kept = settings.read_text()
    settings.write_text(f'private_servers = ["https://cluster.corp.example:6443"]\n{kept}')
    assert run(*_words(cluster)).code == 0
    settings.write_text(f'private_servers = ["https://127.0.0.1:6443"]\n{kept}')
    refused = run("integrations", "list", *T)
    assert (refused.code, "private_servers" in refused.err) == (8, True)


def test_the_guide_gives_a_role_with_the_products_rules(run, home):
    settings = home / "cloud-integrations.toml"
    rules = '[policies.kubernetes]\nrules = [{ apiGroups = [""], resources = ["pods"], verbs = ["list"] }]\n'
    settings.write_text(f"{settings.read_text()}\n{rules}")
    guided = run("connect", "kubernetes", *T, "--guide")
    assert guided.code == 0, guided.err
    assert 'rules: [{"apiGroups": [""], "resources": ["pods"], "verbs": ["list"]}]' in guided.out


def _kubeconfig(folder: Path, cluster: ApiServer) -> Path:
    words = [sys.executable, "-m", "cloud_integrations_cli", "credential", "kubernetes", *T]
    plugin = {
        "apiVersion": "client.authentication.k8s.io/v1",
        "command": words[0],
        "args": words[1:],
        "interactiveMode": "Never",
        "provideClusterInfo": True,
    }
    file = folder / "kubeconfig"
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "acme", "cluster": {"server": cluster.url, "certificate-authority": str(folder / "ca.crt")}}],
        "users": [{"name": "acme", "user": {"exec": plugin}}],
        "contexts": [{"name": "acme", "context": {"cluster": "acme", "user": "acme"}}],
        "current-context": "acme",
    }
    # JSON is YAML.
    file.write_text(json.dumps(config), encoding="utf-8")
    return file


def _inputs(method: str) -> list[str]:
    given = {"token": "@token"} if method == "token" else {"client_certificate": "@ada.crt", "client_key": "@ada.key"}
    return [word for name, text in given.items() for word in ("--input", f"{name}={text}")]


@pytest.mark.skipif(shutil.which("kubectl") is None, reason="this machine has no kubectl")
@pytest.mark.parametrize(("method", "name"), [("token", ROBOT), ("certificate", ADMIN)])
def test_kubectl_itself_asks_the_plugin(run, home, cluster, method, name):
    words = ["integrations", "add", "kubernetes", *T, "--input", f"server={cluster.url}", "--input", "ca=@ca.crt", *_inputs(method)]
    assert run(*words).code == 0
    cluster.answer = lambda name, authorization: (200, {"came": name or cluster.tokens[authorization.removeprefix("Bearer ")]})
    called = ["kubectl", "--kubeconfig", _kubeconfig(home, cluster), "get", "--raw", "/version"]
    ran = subprocess.run(called, capture_output=True, text=True, cwd=home, check=False)
    assert ran.returncode == 0, ran.stderr
    assert json.loads(ran.stdout) == {"came": name}
    assert TOKEN not in ran.stderr


def test_a_certificate_and_its_key_are_given_apart(run, home, cluster):
    words = ["integrations", "add", "kubernetes", *T, "--input", f"server={cluster.url}", "--input", "ca=@ca.crt", *_inputs("certificate")]
    assert run(*words).code == 0
    status = run("credential", "kubernetes", *T).json()["status"]
    assert status.keys() == {"clientCertificateData", "clientKeyData"}
    assert (status["clientCertificateData"].count("PRIVATE KEY"), status["clientKeyData"].count("CERTIFICATE")) == (0, 0)
    assert status["clientCertificateData"].split() == (home / "ada.crt").read_text().split()
    assert status["clientKeyData"].split() == (home / "ada.key").read_text().split()
