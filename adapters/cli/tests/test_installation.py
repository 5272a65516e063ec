"""A GitHub App on the command line: installed in a browser, confirmed, used and removed."""

from __future__ import annotations

import json
from contextlib import contextmanager
from urllib.parse import parse_qs, urlsplit

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from cloud_integrations.oauth import HttpResponse
from cloud_integrations_cli import transports
from cloud_integrations_cli.actions import connect

T = ("-t", "acme")
JSON = ("-o", "json")
PAGE = "https://github.com/apps/acme-deployer/installations/new"
SETTINGS = """
[platform.github]
part_files = { private_key = "app.pem" }

[[applications]]
provider = "github"
method_id = "app_installation"
client_id = "Iv1.fake"
client_secret = "fake-client-secret"
variables = { app_slug = "acme-deployer" }
"""
ANSWERS = {
    "POST /login/oauth/access_token": (200, {"access_token": "ghu_fake", "token_type": "bearer"}),
    "GET /user/installations": (
        200,
        {"installations": [{"id": 41, "account": {"id": 410, "login": "octo-org"}, "permissions": {"contents": "read"}}]},
    ),
    "POST /app/installations/41/access_tokens": (201, {"token": "ghs_fake", "expires_at": "2999-01-01T00:00:00Z"}),
    "DELETE /applications/Iv1.fake/token": (204, None),
    "DELETE /installation/token": (204, None),
    "GET /installation/repositories": (200, {"total_count": 0}),
}


class GitHub:
    def send(self, request, *, deadline):
        status, body = ANSWERS[f"{request.method} {urlsplit(request.url).path}"]
        return HttpResponse(
            status=status, headers={"content-type": "application/json"}, body=b"" if body is None else json.dumps(body).encode()
        )

    def close(self):
        return None


@pytest.fixture
def browser(home, monkeypatch):
    """What the browser comes back with, beside code and state."""
    key = rsa.generate_private_key(65537, 2048).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (home / "app.pem").write_bytes(key)
    settings = home / "cloud-integrations.toml"
    settings.write_text(settings.read_text() + SETTINGS)
    opened: list[str] = []
    back = {"code": "fake-code", "installation_id": "41", "setup_action": "install"}

    @contextmanager
    def open_transport(_):
        yield GitHub()

    monkeypatch.setattr(transports, "open_transport", open_transport)
    monkeypatch.setattr("webbrowser.open", lambda url: opened.append(url) or True)
    monkeypatch.setattr(connect, "_pasted", lambda: [*back.items(), ("state", parse_qs(urlsplit(opened[-1]).query)["state"][0])])
    return back


def install(run, *more):
    return run("connect", "github", "--method", "app_installation", "--paste", *T, *more)


@pytest.mark.requirement("Q16", "Q18")
def test_an_app_is_installed_used_and_removed(run, browser):
    connected = install(run, *JSON)
    assert connected.code == 0, connected.err
    shown = connected.data()
    assert (shown["account"]["id"], shown["account"]["label"], shown["scopes"]) == ("410", "octo-org (installation 41)", ["contents:read"])
    assert run("token", "github", *T, "--reveal", "--yes").out.strip() == "ghs_fake"
    assert run("integrations", "verify", "github", *T, *JSON).code == 0
    removed = run("integrations", "delete", "github", *T, "--yes")
    assert removed.code == 0, removed.err
    assert "stays at the provider" in removed.out
    assert PAGE in removed.out.replace("\n", "")
    for ran in (connected, removed):
        assert not [
            secret for secret in ("ghu_fake", "ghs_fake", "fake-code", "fake-client-secret", "PRIVATE KEY") if secret in ran.out + ran.err
        ]


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"setup_action": "request", "installation_id": "0"}, "waits for an owner of the organization"),
        ({"installation_id": "42"}, "is none of those that the provider lists for the person who signed in"),
        ({"installation_id": ""}, "the provider named no installation"),
    ],
)
def test_what_is_wrong_is_said(run, browser, changes, says):
    browser |= changes
    refused = install(run)
    assert refused.code == 5
    assert says in " ".join(refused.err.split())
    assert run("integrations", "list", *T, *JSON).data() == []


def test_without_the_apps_key_the_operator_is_told(run, browser, home):
    settings = home / "cloud-integrations.toml"
    settings.write_text(settings.read_text().replace("[platform.github]", "[platform.aws]"))
    refused = install(run)
    assert refused.code == 8
    found = {check["name"]: check for check in run("doctor", *JSON).data()["checks"]}
    assert found["platform github"]["result"] == "problem"
    assert "platform.github is missing" in " ".join(refused.err.split())
