"""Our own issuer, as an operator sets it up."""

from __future__ import annotations

import socket

import pytest

from cloud_integrations import LocalSigningKeys
from cloud_integrations.errors import ConfigurationError
from cloud_integrations_cli.issuers import open_issuer, open_signing_keys
from cloud_integrations_cli.settings import Configuration

from .conftest import start

JSON = ("-o", "json")
ARN = "arn:aws:kms:eu-central-1:123456789012:key/00000000-0000-4000-8000-000000000001"


def free_port():
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        return bound.getsockname()[1]


@pytest.fixture
def port():
    return free_port()


@pytest.fixture
def issuing(run, home, port):
    """A folder whose settings have an issuer, and the id of its key."""
    made = run("issuer", "new-key", "--file", "signing-keys.pem", *JSON)
    assert made.code == 0, made.err
    settings = home / "cloud-integrations.toml"
    lines = f'[issuer]\nurl = "http://127.0.0.1:{port}/identity"\nkeys = ["file:signing-keys.pem"]\n'
    settings.write_text(settings.read_text() + lines)
    return made.data()["kid"]


def findings(ran):
    return [check for check in ran.data()["checks"] if check["name"] == "issuer"]


def test_a_key_is_written_for_its_owner_alone_and_never_shown(run, home):
    made = run("issuer", "new-key", "--file", "signing-keys.pem")
    assert made.code == 0
    file = home / "signing-keys.pem"
    assert file.stat().st_mode & 0o777 == 0o600
    [key] = LocalSigningKeys.from_file(file).public_keys()
    assert f"{key.key_id} signs from now on" in made.err
    assert "PRIVATE KEY" in file.read_text()
    assert "PRIVATE KEY" not in made.out + made.err


def test_a_new_key_is_published_before_it_signs(run, home, issuing):
    second = run("issuer", "new-key", "--file", "signing-keys.pem", *JSON).data()
    assert second["signs"] is False
    shown = run("issuer", "show", *JSON).data()
    assert [(key["kid"], key["signs"]) for key in shown] == [(issuing, True), (second["kid"], False)]
    assert all(key["jwk"].keys() == {"alg", "e", "kid", "kty", "n", "use"} for key in shown)
    assert run("issuer", "promote", second["kid"], "--file", "signing-keys.pem", *JSON).data()["kid"] == second["kid"]
    assert [key["kid"] for key in run("issuer", "show", *JSON).data()] == [second["kid"], issuing]
    assert (home / "signing-keys.pem").stat().st_mode & 0o777 == 0o600
    told = run("issuer", "promote", second["kid"], "--file", "signing-keys.pem")
    assert (told.code, told.out, f"{second['kid']} signs" in told.err) == (0, "", True)
    table = run("issuer", "show").out
    assert table.index("signs and is published") < table.index(issuing)


def test_a_key_that_is_not_there_is_not_promoted(run, home, issuing):
    before = (home / "signing-keys.pem").read_text()
    assert run("issuer", "promote", "nobody", "--file", "signing-keys.pem").code == 2
    assert run("issuer", "promote", "nobody", "--file", "nowhere.pem").code == 8
    assert (home / "signing-keys.pem").read_text() == before


def test_no_key_is_added_to_another_kind_of_file(run, home):
    before = (home / "keyring").read_text()
    assert run("issuer", "new-key", "--file", "keyring").code == 8
    assert (home / "keyring").read_text() == before


def test_without_an_issuer_there_is_nothing_to_show(run, home):
    shown = run("issuer", "show")
    assert (shown.code, "issuer is not set" in shown.err) == (8, True)
    assert findings(run("doctor", *JSON)) == []
    assert open_issuer(Configuration()) is None


def test_keys_of_kms_are_named_by_their_arn():
    settings = {"url": "https://app.example.com", "keys": [f"aws-kms:{ARN}"]}
    issuer = open_issuer(Configuration(issuer=settings))
    assert (issuer.url, repr(issuer.keys)) == ("https://app.example.com", f"AwsKmsSigningKeys({ARN})")


@pytest.mark.parametrize(
    "keys", [[], ["signing-keys.pem"], ["file:a", "file:b"], ["file:a", f"aws-kms:{ARN}"], ["aws-kms:alias/x"]], ids=str
)
def test_other_keys_are_refused(keys):
    settings = Configuration(issuer={"url": "https://app.example.com", "keys": keys})
    with pytest.raises(ConfigurationError):
        open_signing_keys(settings)


def test_what_kms_needs_is_named(monkeypatch):
    import cloud_integrations

    monkeypatch.setitem(cloud_integrations._HOMES, "AwsKmsSigningKeys", "backends.keys.no_such_module")
    monkeypatch.delitem(vars(cloud_integrations), "AwsKmsSigningKeys", raising=False)
    with pytest.raises(ConfigurationError, match="aws-kms"):
        open_signing_keys(Configuration(issuer={"url": "https://app.example.com", "keys": [f"aws-kms:{ARN}"]}))


def test_an_address_that_cannot_be_one_is_refused(run, home, issuing, monkeypatch):
    monkeypatch.setenv("CLOUD_INTEGRATIONS_ISSUER__URL", "http://app.example.com/")
    ran = run("doctor", *JSON)
    assert ran.code == 8
    assert "issuer.url" in str(ran.data())


def test_doctor_says_that_nobody_serves_the_documents(run, home, issuing):
    ran = run("doctor", *JSON)
    messages = " ".join(found["message"] for found in findings(ran))
    assert "does not answer for its discovery document" in messages
    assert "does not answer for its key set" in messages
    assert "this computer alone" in messages
    assert all(found["advice"] for found in findings(ran))
    assert ran.code == 8


def test_doctor_reads_what_serve_publishes(run, home, issuing, port):
    server = start("serve", "--port", str(port), "-o", "json", cwd=home)
    try:
        assert server.stdout.readline()
        assert [(found["result"], "this computer alone" in found["message"]) for found in findings(run("doctor", *JSON))] == [
            ("warning", True)
        ]
        run("issuer", "new-key", "--file", "signing-keys.pem")
        assert "does not publish each of our keys" in findings(run("doctor", *JSON))[-1]["message"]
    finally:
        server.terminate()
        server.communicate(timeout=60)
