"""Rotation, erasure and import, as an operator sees them."""

from __future__ import annotations

import sys

import pytest

import cloud_integrations
from cloud_integrations import LocalKeyring
from cloud_integrations.errors import ConfigurationError
from cloud_integrations_cli import files
from cloud_integrations_cli.key_services import open_key_service
from cloud_integrations_cli.settings import Configuration

TENANT = "acme"
JSON = ("-o", "json")


# The keyring file


def test_a_key_stands_by_until_it_is_promoted(run, home):
    assert run("keys", "generate", "--kid", "next", "--file", "keyring", "--standby").code == 0
    before = [entry["uri"] for entry in run("keys", "list", *JSON).data()]
    assert before[-1] == "local:next"
    assert run("keys", "promote", "next", "--file", "keyring", *JSON).data() == {"kid": "next", "file": "keyring"}
    assert [entry["uri"] for entry in run("keys", "list", *JSON).data()] == ["local:next", *before[:-1]]
    assert (home / "keyring").stat().st_mode & 0o777 == 0o600


def test_a_key_that_is_not_there_is_not_promoted(run, home):
    before = (home / "keyring").read_text()
    assert run("keys", "promote", "nobody", "--file", "keyring").code == 2
    assert run("keys", "promote", "nobody", "--file", "nowhere").code == 8
    assert (home / "keyring").read_text() == before


def test_the_first_key_of_a_new_file_is_the_primary_also_when_it_stands_by(run, tmp_path):
    file = tmp_path / "ring"
    assert run("keys", "generate", "--kid", "one", "--file", file, "--standby").code == 0
    assert LocalKeyring.from_file(file).kids == ("one",)


# Rotation


def rewritten(run):
    """Put a new key in front, so that something is to be wrapped anew."""
    assert run("keys", "generate", "--kid", "newer", "--file", "keyring").code == 0


def test_the_wrapping_key_is_rotated_and_the_old_one_can_go(run, home, added):
    rewritten(run)
    status = run("keys", "status")
    assert "local:newer wraps now" in status.err
    assert "keys rotate" in status.err
    dry = run("keys", "rotate", "--dry-run", *JSON).data()  # the tenant's, and the key for fingerprints
    assert dry == {"dryRun": True, "dataKeys": 2}
    ran = run("keys", "rotate", *JSON).data()
    assert (ran["changed"], ran["failures"], ran["left"]["misplaced"]) == (2, [], 0)
    assert run("keys", "rotate", *JSON).data()["changed"] == 0
    lines = [line for line in (home / "keyring").read_text().splitlines() if line.startswith("newer:")]
    (home / "keyring").write_text("\n".join(lines))
    assert run("token", "simulated_keys", "-t", TENANT, "--yes").code == 0


def test_data_keys_are_replaced_and_rows_sealed_anew(run, added):
    assert run("keys", "rotate", "--data-keys", "--dry-run", *JSON).data() == {"dryRun": True, "dataKeys": 2}
    ran = run("keys", "rotate", "--data-keys")
    assert "go on with --before" in ran.err
    assert "1 row sealed under a data key that was replaced" in ran.err
    versions = [(usage["version"], usage["state"], usage["rows"]) for usage in run("keys", "status", "-t", TENANT, *JSON).data()["usage"]]
    assert versions == [(1, "decrypt_only", 1), (2, "active", 0)]
    assert run("keys", "reseal", "--dry-run", *JSON).data() == {"dryRun": True, "rows": 1}
    resealed = run("keys", "reseal", "--destroy-after", "1", *JSON).data()
    assert (resealed["changed"], resealed["left"]["outdated"]) == (1, 0)
    assert "nothing is left to do" in run("keys", "status").err
    assert run("token", "simulated_keys", "-t", TENANT, "--yes").code == 0


def test_a_run_with_an_earlier_time_goes_on_where_it_was(run, added):
    assert run("keys", "rotate", "--data-keys", "--before", "2020-01-01", *JSON).data()["changed"] == 0
    assert run("keys", "rotate", "--before", "2020-01-01").code == 2
    assert run("keys", "rotate", "--data-keys", "--before", "yesterday").code == 2


def test_moving_wants_the_new_key_first_in_the_settings(run, added):
    old = run("keys", "list", *JSON).data()[0]["uri"]
    assert "is not there" in run("keys", "move", "local:newer").err
    rewritten(run)
    assert "behind another" in run("keys", "move", old).err
    assert run("keys", "move", "local:newer", *JSON).data()["changed"] == 2


def test_old_data_keys_are_refused_and_taken_back(run, added):
    run("keys", "rotate", "--data-keys")
    asked = run("keys", "refuse", "-t", TENANT, "--below", "2")
    assert (asked.code, asked.err) == (2, "error: nobody can be asked here; --yes says that you are sure\n")
    assert run("keys", "refuse", "-t", TENANT, "--below", "2", "--yes", *JSON).json() == {"success": True}
    assert run("token", "simulated_keys", "-t", TENANT, "--yes").code == 8
    failed = run("keys", "reseal")
    assert failed.code == 8
    assert f"{TENANT}: does not open" in failed.out
    taken_back = run("keys", "refuse", "-t", TENANT, "--below", "1")
    assert (taken_back.code, taken_back.err) == (0, f"no data key of {TENANT} is refused any more\n")
    assert run("token", "simulated_keys", "-t", TENANT, "--yes").code == 0
    impossible = run("keys", "refuse", "-t", TENANT, "--below", "9")
    assert impossible.code == 4
    assert "must be 1 to 2" in impossible.err


def test_a_tenants_keys_are_shown(run, added):
    shown = run("keys", "status", "-t", TENANT)
    assert "seal and open" in shown.out
    assert "nothing is sealed for this tenant yet" in run("keys", "status", "-t", "globex").err


# Key services


def configuration(**fields):
    return Configuration(**fields)


def test_key_services_are_named_by_uri():
    entry = LocalKeyring.generate_key("one")
    assert open_key_service(configuration(keys=(entry,))).keks()[0].kek_uri == "local:one"


@pytest.mark.parametrize(
    ("fields", "setting"),
    [
        ({"key_services": ()}, "key_services"),
        ({"key_services": ("s3:bucket",)}, "key_services"),
        ({"key_services": ("aws-kms:",)}, "key_services"),
        ({"key_services": ("vault:transit/ci",)}, "vault"),
        ({"key_services": ("pkcs11:token=t;object=o",)}, "pkcs11"),
        ({"key_services": ("pkcs11:token=t;object=o",), "pkcs11": {"library": "lib.so", "pin_file": "none"}}, "pkcs11.pin_file"),
        ({"tenant_keys": {"acme": "nothing:x"}}, "tenant_keys.acme"),
        ({"key_services": ("local:",), "keys": ()}, "keyring_file"),
    ],
)
def test_a_key_service_that_cannot_be_is_named(fields, setting):
    given = {"keys": (LocalKeyring.generate_key("one"),), **fields}
    with pytest.raises(ConfigurationError) as caught:
        open_key_service(configuration(**given))
    assert caught.value.setting == setting


@pytest.mark.parametrize(
    ("uri", "module", "extra"),
    [
        ("aws-kms:arn:aws:kms:eu-central-1:123456789012:key/00000000-0000-4000-8000-000000000001", "boto3", "aws-kms"),
        ("gcp-kms:projects/p/locations/l/keyRings/r/cryptoKeys/k", "google.cloud.kms_v1", "gcp-kms"),
        ("local:system", "keyring", "keyring"),
    ],
)
def test_a_key_service_that_is_not_installed_says_what_brings_it(run, home, monkeypatch, uri, module, extra):
    for loaded in [
        name for name in sys.modules if name.startswith("cloud_integrations.backends.") and name.endswith(("_kms", "_kms_client"))
    ]:
        monkeypatch.delitem(sys.modules, loaded)
    for name in ("AwsKmsKeys", "GcpKmsKeys"):
        monkeypatch.delitem(vars(cloud_integrations), name, raising=False)
    monkeypatch.setitem(sys.modules, module, None)
    monkeypatch.setenv("CLOUD_INTEGRATIONS_KEY_SERVICES", f"local: {uri}")
    ran = run("keys", "list")
    assert ran.code == 8
    assert f"pip install 'cloud-integrations[{extra}]'" in ran.err
    assert "database" in run("doctor").out


def test_two_who_change_a_keyring_at_once_lose_no_key(run, home, monkeypatch):
    before = (home / "keyring").read_text()
    read, refused = files._read_private, []

    def meet_another(path):
        monkeypatch.setattr(files, "_read_private", read)
        refused.append(run("keys", "generate", "--file", path, "--kid", "second"))
        return read(path)

    monkeypatch.setattr(files, "_read_private", meet_another)
    assert run("keys", "generate", "--file", home / "keyring", "--kid", "first").code == 0
    assert [ran.code for ran in refused] == [8]
    after = (home / "keyring").read_text()
    assert after.startswith("first:")
    assert after.endswith(before)
    assert run("keys", "generate", "--file", home / "keyring", "--kid", "second").code == 0


def test_a_keyring_that_cannot_be_changed_leaves_nothing_beside_it(run, home):
    (home / "keyring").chmod(0o640)
    assert run("keys", "generate", "--file", home / "keyring", "--kid", "first").code == 8
    assert not list(home.glob(".keyring*"))


@pytest.mark.parametrize(
    "words", [("rotate", "--data-keys", "--before", "0001-01-01T00:00:00+01:00"), ("reseal", "--destroy-after", "1000000")]
)
def test_a_time_beyond_the_calendar_is_a_mistake_of_usage(run, home, words):
    assert run("keys", *words).code == 2
