"""Tenants are erased, and what a backup brings back is found."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import pytest

from cloud_integrations import IntegrationManager
from cloud_integrations.errors import StorageUnavailableError

TENANT = "acme"
JSON = ("-o", "json")


# Erasing


def test_a_tenant_is_erased_with_a_receipt(run, home, added):
    assert run("tenants", "erase", "-t", TENANT).code == 2
    ran = run("tenants", "erase", "-t", TENANT, "--yes", "--receipt", "receipt.json")
    assert ran.code == 0, ran.err
    assert "Data keys destroyed" in ran.out
    assert (home / "receipt.json").stat().st_mode & 0o777 == 0o600
    assert run("integrations", "list", "-t", TENANT, *JSON).data() == []
    assert run("tenants", "verify-erasure", "receipt.json").code == 0
    assert run("tenants", "erase", "-t", TENANT, "--yes", "--receipt", "receipt.json").code == 2


def test_a_restored_backup_is_noticed(run, home, added):
    database = home / "cloud-integrations.db"
    backup = database.read_bytes()
    run("tenants", "erase", "-t", TENANT, "--yes", "--receipt", "receipt.json")
    for leftover in home.glob("cloud-integrations.db-*"):
        leftover.unlink()
    database.write_bytes(backup)
    ran = run("tenants", "verify-erasure", "receipt.json")
    assert ran.code == 9
    assert "a backup was restored" in ran.out
    assert run("tenants", "verify-erasure", "receipt.json", *JSON).data()["erased"] is False


def test_keys_that_a_backup_brought_back_are_named_and_destroyed_again(run, home, added):
    with closing(sqlite3.connect(home / "cloud-integrations.db")) as connection:
        rows = connection.execute("SELECT * FROM ci_key").fetchall()
    run("tenants", "erase", "-t", TENANT, "--yes")
    with closing(sqlite3.connect(home / "cloud-integrations.db")) as connection, connection:
        connection.execute("DELETE FROM ci_key")
        connection.executemany(f"INSERT INTO ci_key VALUES ({', '.join('?' * len(rows[0]))})", rows)
    for shown in (run("keys", "status").err, run("doctor").out):
        assert "1 data key of erased tenants brought back by a backup" in shown
    run("tenants", "erase", "-t", TENANT, "--yes")
    assert "nothing is left to do" in run("keys", "status").err


def test_a_receipt_that_cannot_be_written_keeps_everything(run, home, added):
    (home / "a file").touch()
    ran = run("tenants", "erase", "-t", TENANT, "--yes", "--receipt", home / "a file" / "receipt.json")
    assert ran.code == 8
    assert "cannot be written" in ran.err
    assert len(run("integrations", "list", "-t", TENANT, *JSON).data()) == 1


def test_an_erasure_that_fails_leaves_no_receipt(run, home, added, monkeypatch):
    def fail(*_, **__):
        raise StorageUnavailableError

    monkeypatch.setattr(IntegrationManager, "erase_tenant", fail)
    assert run("tenants", "erase", "-t", TENANT, "--yes", "--receipt", "receipt.json").code == 7
    assert run("tenants", "erase", "-t", TENANT, "--yes").code == 7
    assert not (home / "receipt.json").exists()


def test_a_receipt_may_be_had_later(run, home, added):
    database = home / "cloud-integrations.db"
    backup = database.read_bytes()
    run("tenants", "erase", "-t", TENANT, "--yes")
    run("tenants", "erase", "-t", TENANT, "--yes", "--receipt", "receipt.json")
    assert run("tenants", "verify-erasure", "receipt.json").code == 0
    for leftover in home.glob("cloud-integrations.db-*"):
        leftover.unlink()
    database.write_bytes(backup)
    assert run("tenants", "verify-erasure", "receipt.json").code == 9


@pytest.mark.parametrize("words", [("tenants", "erase"), ("keys", "refuse", "--below", "1"), ("audit", "verify")], ids=" ".join)
def test_a_tenant_that_never_had_anything_is_not_found(run, added, words):
    ran = run(*words, "-t", "mistyped")
    assert (ran.code, ran.err) == (3, "error: no such tenant\n")


@pytest.mark.parametrize("content", [None, '{"tenantId": "acme", "keyIds": []}', "no json", "[]", '{"tenantId": "acme", "keyIds": ["x"]}'])
def test_a_receipt_that_is_none_is_said(run, home, content):
    if content is not None:
        (home / "receipt.json").write_text(content)
    assert run("tenants", "verify-erasure", "receipt.json").code == 2
