"""Key services that cannot be used, as `doctor` and the library tell it."""

from __future__ import annotations

import sys

import pytest

import cloud_integrations

JSON = ("-o", "json")


def _checks(ran):
    return {check["name"]: check for check in ran.data()["checks"]}


@pytest.fixture
def without_boto3(monkeypatch):
    for name in ("aws_kms", "aws_kms_client"):
        monkeypatch.delitem(sys.modules, f"cloud_integrations.backends.keys.{name}", raising=False)
    monkeypatch.delitem(vars(cloud_integrations), "AwsKmsKeys", raising=False)
    monkeypatch.setitem(sys.modules, "boto3", None)


@pytest.fixture
def vault(home):
    """Settings whose Vault is at an address where nothing listens."""
    settings = home / "cloud-integrations.toml"
    given = 'key_services = ["vault:transit/ci"]\n' + settings.read_text()
    settings.write_text(given + '\n[vault]\naddress = "http://127.0.0.1:1"\ntoken_file = "vault.token"\n')
    return home


def test_a_name_of_the_library_says_which_extra_brings_it(without_boto3):
    sentence = r"AwsKmsKeys needs the extra aws-kms: pip install 'cloud-integrations\[aws-kms\]'"
    with pytest.raises(AttributeError, match=sentence):
        _ = cloud_integrations.AwsKmsKeys
    with pytest.raises(ImportError, match=sentence):
        from cloud_integrations import AwsKmsKeys  # noqa: F401


def test_doctor_does_not_blame_the_keyring_for_another_key_service(run, home, monkeypatch, without_boto3):
    arn = "arn:aws:kms:eu-central-1:123456789012:key/00000000-0000-4000-8000-000000000001"
    monkeypatch.setenv("CLOUD_INTEGRATIONS_KEY_SERVICES", f"local: aws-kms:{arn}")
    found = _checks(run("doctor", *JSON))["keys"]
    assert "cloud-integrations[aws-kms]" in found["message"]
    assert found["advice"] is None


def test_doctor_does_not_have_a_keyring_restored_that_is_open_to_others(run, home):
    (home / "keyring").chmod(0o644)
    found = _checks(run("doctor", *JSON))["keys"]
    assert "run chmod 600 on it" in found["message"]
    assert found["advice"] is None


def test_doctor_names_the_setting_of_a_token_for_vault_that_is_missing(run, vault):
    found = _checks(run("doctor", *JSON))["start"]
    assert found["advice"].startswith("Put a token for Vault where vault.token_file says: ")
    assert str(vault / "vault.token") in found["advice"]


def test_doctor_names_the_key_service_that_does_not_answer(run, vault):
    (vault / "vault.token").write_text("fake-token")
    ran = run("doctor", *JSON)
    assert _checks(ran)["start"]["advice"] == "Does the service of vault:transit/ci run, and can it be reached from here?"
    assert "fake-token" not in ran.out + ran.err
