"""Checkpoints of the audit log, as an operator and an auditor use them."""

from __future__ import annotations

import json
import shutil

import pytest

from cloud_integrations import LocalCheckpointKeys
from cloud_integrations.errors import ConfigurationError
from cloud_integrations_cli.issuers import open_checkpoint_keys
from cloud_integrations_cli.settings import Configuration

T = ("-t", "acme")
JSON = ("-o", "json")
ARN = "arn:aws:kms:eu-central-1:123456789012:key/00000000-0000-4000-8000-000000000001"
NAME = "audit.example.com/test"


def write_settings(home, part):
    settings = home / "cloud-integrations.toml"
    settings.write_text(settings.read_text().partition("[checkpoints]")[0] + f'[checkpoints]\nname = "{NAME}"\n{part}\n')


@pytest.fixture
def signing(run, home):
    """A folder whose settings have a key for checkpoints."""
    assert run("audit", "new-key", "--file", "keys.pem", *JSON).data() == {"file": "keys.pem"}
    write_settings(home, 'keys = ["file:keys.pem"]')
    return home


@pytest.fixture
def note(run, signing, added):
    """A checkpoint in a file."""
    taken = run("audit", "checkpoint")
    assert taken.code == 0, taken.err
    (signing / "note.txt").write_text(taken.out)
    return signing / "note.txt"


def test_a_checkpoint_is_printed_and_verified(run, note):
    assert note.read_text().startswith("cloud-integrations audit checkpoint 1\ntime ")
    run("integrations", "list", *T)
    verified = run("audit", "verify", "--against", note)
    assert verified.code == 0, verified.err
    assert "yes" in verified.out
    [report] = run("audit", "verify", "--against", note, *T, *JSON).data()
    assert (report["tenantId"], report["whole"], report["unlisted"]) == ("acme", True, 0)
    assert run("audit", "checkpoint", *T, *JSON).data()["note"].count("head ") == 1
    assert run("audit", "verify", "--against", note, "-t", "globex").code == 4


@pytest.mark.requirement("AUD-04")
def test_a_database_that_was_restored_from_an_older_copy_is_found(run, note, added, signing):
    shutil.copyfile(signing / "cloud-integrations.db", signing / "older.db")
    for name in ("One name", "Another name"):
        assert run("integrations", "rename", added, name, *T).code == 0
    note.write_text(run("audit", "checkpoint").out)
    shutil.copyfile(signing / "older.db", signing / "cloud-integrations.db")
    assert run("audit", "verify", *T).code == 0
    broken = run("audit", "verify", "--against", note)
    assert broken.code == 11
    assert (
        "✗ event 2 was there and is gone, with all that followed: the end was cut off, or an older copy of the database is back"
        in broken.out
    )


@pytest.mark.requirement("AUD-11")
def test_a_key_is_rotated_and_old_checkpoints_verify_until_it_is_trusted_no_more(run, note, signing):
    [old] = run("audit", "keys", *JSON).data()
    assert (old["name"], old["signs"]) == (NAME, True)
    assert run("audit", "new-key", "--file", "keys.pem").code == 0
    assert [key["signs"] for key in run("audit", "keys", *JSON).data()] == [True, False]
    assert run("audit", "verify", "--against", note).code == 0
    (signing / "new.pem").write_text(
        (signing / "keys.pem").read_text().partition("-----END PRIVATE KEY-----\n")[0] + "-----END PRIVATE KEY-----\n"
    )
    (signing / "new.pem").chmod(0o600)
    write_settings(signing, 'keys = ["file:new.pem"]')
    refused = run("audit", "verify", "--against", note)
    assert refused.code == 4
    assert "note is not signed by a key that is trusted here, or was edited since" in refused.err
    write_settings(signing, f'keys = ["file:new.pem"]\ntrusted = ["{old["key"]}"]')
    assert run("audit", "verify", "--against", note).code == 0
    # An auditor has the public keys alone.
    write_settings(signing, f'trusted = ["{old["key"]}"]')
    assert run("audit", "verify", "--against", note).code == 0
    assert [key["signs"] for key in run("audit", "keys", *JSON).data()] == [False]
    assert run("audit", "checkpoint").code == 8


def test_no_private_key_is_shown(run, signing):
    secret = "".join((signing / "keys.pem").read_text().splitlines()[1:-1])
    assert (signing / "keys.pem").stat().st_mode & 0o777 == 0o600
    for words in (("audit", "keys"), ("audit", "new-key", "--file", "keys.pem"), ("audit", "checkpoint"), ("doctor",)):
        ran = run(*words)
        assert secret not in ran.out + ran.err


def test_a_key_is_not_added_to_what_is_no_file_of_keys(run, home):
    (home / "other.txt").write_text("something else")
    (home / "other.txt").chmod(0o600)
    assert run("audit", "new-key", "--file", "other.txt").code == 8
    assert (home / "other.txt").read_text() == "something else"


def test_what_cannot_be_read_or_means_two_things_is_refused(run, note, signing):
    assert run("audit", "verify", "--against", "nowhere.txt").code == 2
    (signing / "bytes").write_bytes(b"\xff")
    assert run("audit", "verify", "--against", "bytes").code == 2
    assert run("audit", "verify", *T, "--against", note, "--checkpoint", "1:00").code == 2
    (signing / "text").write_text("no note")
    assert run("audit", "verify", "--against", "text").code == 4


def test_without_settings_there_are_no_keys(run, home):
    assert run("audit", "checkpoint").code == 8
    assert run("audit", "keys").code == 8


@pytest.mark.parametrize("keys", [["file:a.pem", "file:b.pem"], ["vault:x"], ["aws-kms:" + ARN, "file:a.pem"]])
def test_keys_that_are_named_wrongly_are_refused(keys):
    with pytest.raises(ConfigurationError, match=r"checkpoints\.keys"):
        open_checkpoint_keys(Configuration(checkpoints={"name": NAME, "keys": keys}))


def test_keys_of_aws_kms_are_opened_without_asking_aws():
    keys = open_checkpoint_keys(Configuration(checkpoints={"name": NAME, "keys": ["aws-kms:" + ARN]}))
    assert NAME in repr(keys)
    assert not isinstance(keys, LocalCheckpointKeys)


@pytest.mark.requirement("AUD-12")
def test_old_events_are_removed_and_the_rest_verifies(run, note, added, signing):
    import sqlite3

    run("integrations", "rename", added, "New name", *T)
    year = 365 * 24 * 3600 * 1_000_000
    assert run("audit", "prune", "--days", "400", "--yes", *JSON).data() == {"events": 0, "tenants": 0, "broken": []}
    # An edited time is found before anything is removed.
    with sqlite3.connect(signing / "cloud-integrations.db") as connection:
        connection.execute(f"UPDATE ci_audit SET occurred_at = occurred_at - {2 * year} WHERE seq = 1")
    connection.close()
    broken = run("audit", "prune", "--days", "400", "--yes")
    assert broken.code == 11
    assert "✗ acme: the log is broken among its old events, which stay; run audit verify" in broken.out
    with sqlite3.connect(signing / "cloud-integrations.db") as connection:
        connection.execute(f"UPDATE ci_audit SET occurred_at = occurred_at + {2 * year} WHERE seq = 1")
    connection.close()
    assert run("audit", "verify", "--against", note).code == 0
    refused = run("audit", "prune", "--days", "400", given="n\n")
    assert refused.code != 0


@pytest.mark.requirement("AUD-12")
def test_a_person_is_erased_and_the_log_verifies(run, note, added, monkeypatch):
    monkeypatch.setenv("LOGNAME", "maria")
    assert run("integrations", "rename", added, "New name", *T).code == 0
    assert run("audit", "erase-actor", "cli:maria", *T, "--yes").code == 4
    monkeypatch.setenv("LOGNAME", "root")
    erased = run("audit", "erase-actor", "cli:maria", *T, "--yes", *JSON).data()
    assert erased["events"] == 1
    events = run("audit", "list", *T, "--actor", erased["pseudonyms"][0], *JSON).data()
    assert [event["action"] for event in events] == ["integration.renamed"]
    assert run("audit", "list", *T, "--actor", "cli:maria", *JSON).data() == []
    assert run("audit", "verify", "--against", note).code == 0
    assert "–" in run("audit", "erase-actor", "maria", *T, "--yes").out


@pytest.mark.parametrize("form", ["json", "cloudevents", "ocsf"])
def test_events_are_exported_from_where_the_last_export_ended(run, added, form):
    for name in ("One name", "Another name"):
        assert run("integrations", "rename", added, name, *T).code == 0
    first = run("audit", "export", *T, "--format", form)
    assert (first.code, len(first.out.splitlines())) == (0, 3), first.err
    assert all(json.loads(line) for line in first.out.splitlines())
    assert first.err == "go on with --after 3\n"
    then = run("audit", "export", *T, "--format", form, "--after", "3")
    # The first export is an event itself.
    assert [json.dumps(json.loads(line)).count("audit.read") > 0 for line in then.out.splitlines()] == [True]
    assert run("audit", "export", *T, "--after", "99").out == ""
    assert run("audit", "export", *T, "--format", "cef").code == 2
