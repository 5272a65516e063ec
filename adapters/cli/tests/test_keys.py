"""Rotation, erasure and import, as an operator sees them."""

from __future__ import annotations

import json
import sqlite3
import sys
from contextlib import closing

import pytest
from cryptography.fernet import Fernet
from sqlalchemy import create_engine, text

import cloud_integrations
from cloud_integrations import IntegrationManager, LocalKeyring
from cloud_integrations.errors import ConfigurationError, StorageUnavailableError
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
    dry = run("keys", "rotate", "--dry-run", *JSON).data()
    assert dry == {"dryRun": True, "dataKeys": 1}
    ran = run("keys", "rotate", *JSON).data()
    assert (ran["changed"], ran["failures"], ran["left"]["misplaced"]) == (1, [], 0)
    assert run("keys", "rotate", *JSON).data()["changed"] == 0
    lines = [line for line in (home / "keyring").read_text().splitlines() if line.startswith("newer:")]
    (home / "keyring").write_text("\n".join(lines))
    assert run("token", "simulated_keys", "-t", TENANT, "--yes").code == 0


def test_data_keys_are_replaced_and_rows_sealed_anew(run, added):
    assert run("keys", "rotate", "--data-keys", "--dry-run", *JSON).data() == {"dryRun": True, "dataKeys": 1}
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
    assert run("keys", "move", "local:newer", *JSON).data()["changed"] == 1


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


# Import


def a_line(**fields):
    return json.dumps({"tenantId": TENANT, "provider": "simulated_keys", "name": "Key of Acme", **fields})


def test_lines_are_taken_over_and_bad_ones_reported(run, home, provider):
    key = provider.valid_api_key.reveal()
    grant = provider.issue_grant()
    lines = [
        a_line(apiKey=key),
        a_line(
            tenantId="globex", provider="simulated", accessToken=grant.access.reveal(), refreshToken=grant.refresh.reveal(), scopes="read"
        ),
        a_line(tenantId="initech", apiKey="fake-key-wrong"),
        a_line(tenantId="hooli", apiKey=key, password="fake"),
        "not json",
        "[]",
        a_line(tenantId="umbrella", apiKey=key, expiresAt="soon"),
        "",
        "  ",
        "also not json",
        "\udcff",
        a_line(tenantId="soylent", apiKey=key, grantedAt="2026-11-23T10:00:00"),
    ]
    (home / "credentials.jsonl").write_text("\n".join(lines), errors="surrogateescape")
    dry = run("import", "credentials.jsonl", "--dry-run", *JSON)
    assert dry.code == 4
    assert run("integrations", "list", "-t", TENANT, *JSON).data() == []
    ran = run("import", "credentials.jsonl", *JSON)
    assert ran.code == 4
    assert dry.data() == {**ran.data(), "dryRun": True}
    assert {name: ran.data()[name] for name in ("imported", "exists", "failed")} == {"imported": 3, "exists": 0, "failed": 7}
    assert [problem["line"] for problem in ran.data()["problems"]] == [3, 4, 5, 6, 7, 10, 11]
    assert ran.data()["problems"][-1]["problem"] == "is not UTF-8 text"
    again = run("import", "credentials.jsonl")
    assert "0 imported, 3 there already, 7 failed" in again.err
    for secret in (key, grant.access.reveal(), grant.refresh.reveal(), "fake-key-wrong"):
        assert secret not in ran.out + ran.err + again.out + again.err
    assert run("token", "simulated", "-t", "globex", "--yes").code == 0


def test_rows_of_a_query_under_fernet_are_taken_over(run, home, provider, tmp_path):
    key = Fernet.generate_key()
    fernet = Fernet(key)
    old = create_engine(f"sqlite:///{tmp_path}/old.db")
    with old.begin() as connection:
        connection.execute(text("CREATE TABLE account (tenant_id TEXT, token BLOB, ends TEXT)"))
        row = {"token": fernet.encrypt(provider.valid_api_key.reveal().encode())}
        connection.execute(text("INSERT INTO account VALUES ('acme', :token, '2027-11-23 10:00:00'), ('globex', x'00', NULL)"), row)
    old.dispose()
    (home / "old.url").write_text(f"sqlite:///{tmp_path}/old.db\n")
    (home / "fernet.key").write_bytes(key)
    query = "SELECT tenant_id, 'simulated_keys' AS provider, token AS api_key, ends AS granted_at FROM account ORDER BY tenant_id"
    ran = run("import", "--query", query, "--database-url-file", "old.url", "--fernet-key-file", "fernet.key", *JSON)
    assert ran.data()["imported"] == 1
    assert ran.data()["problems"] == [{"line": 2, "problem": "api_key: does not open under the Fernet keys"}]
    assert run("token", "simulated_keys", "-t", TENANT, "--yes", "--reveal", *JSON).data()["value"] == provider.valid_api_key.reveal()


def test_a_database_may_have_numbers_for_tenants_and_empty_columns(run, home, provider, tmp_path):
    key = Fernet.generate_key()
    grant = provider.issue_grant()
    old = create_engine(f"sqlite:///{tmp_path}/old.db")
    with old.begin() as connection:
        connection.execute(text("CREATE TABLE account (id INTEGER, token TEXT, refresh TEXT)"))
        connection.execute(
            text("INSERT INTO account VALUES (17, :token, '')"), {"token": Fernet(key).encrypt(grant.access.reveal().encode())}
        )
    old.dispose()
    (home / "old.url").write_text(f"sqlite:///{tmp_path}/old.db\n")
    (home / "fernet.key").write_bytes(key)
    query = "SELECT id AS tenant_id, 'simulated' AS provider, token AS access_token, refresh AS refresh_token FROM account"
    ran = run("import", "--query", query, "--database-url-file", "old.url", "--fernet-key-file", "fernet.key", *JSON)
    assert ran.data()["imported"] == 1
    assert len(run("integrations", "list", "-t", "17", *JSON).data()) == 1


def test_a_value_that_fernet_cannot_even_read_fails_alone(run, home, provider):
    (home / "fernet.key").write_bytes(Fernet.generate_key())
    ran = run("import", "-", "--fernet-key-file", "fernet.key", *JSON, given=a_line(apiKey="\ud800") + "\nnot json\n")
    assert [problem["line"] for problem in ran.data()["problems"]] == [1, 2]


@pytest.mark.parametrize(
    ("words", "code"),
    [
        ((), 2),
        (("credentials.jsonl", "--query", "SELECT 1"), 2),
        (("nowhere.jsonl",), 2),
        (("--query", "SELEKT"), 2),
        (("--query", "SELECT 1", "--database-url-file", "bad.url"), 8),
        (("credentials.jsonl", "--fernet-key-file", "bad.url"), 8),
        (("binary.jsonl",), 4),
        (("--query", "SELECT 1", "--database-url-file", "nowhere.url"), 8),
        (("--query", "SELECT 1", "--database-url-file", "dead.url"), 7),
    ],
)
def test_what_cannot_be_read_is_said(run, home, words, code):
    (home / "credentials.jsonl").write_text("")
    (home / "bad.url").write_text("fake-password@nothing")
    (home / "binary.jsonl").write_bytes(b"\xff\xfe\n")
    (home / "nowhere.url").write_text(f"sqlite:///{home}/nowhere.db")
    (home / "dead.url").write_text("postgresql+psycopg://u:fake-password@127.0.0.1:1/none")
    ran = run("import", *words)
    assert ran.code == code, ran.err
    assert "fake-password" not in ran.out + ran.err
    assert not (home / "nowhere.db").exists()


@pytest.mark.parametrize("drivername", ["sqlite+aiosqlite", "postgresql+asyncpg", "mysql+asyncmy"])
def test_a_query_goes_to_the_database_of_an_application_that_awaits_its_driver(run, home, drivername):
    sqlite3.connect(home / "old.db").close()
    place = f"/{home}/old.db" if "sqlite" in drivername else "u:fake-password@127.0.0.1:1/none"
    (home / "old.url").write_text(f"{drivername}://{place}")
    ran = run("import", "--query", "SELECT 1 WHERE 1 = 0", "--database-url-file", "old.url")
    assert ran.code == (0 if "sqlite" in drivername else 7), ran.err
    assert "nothing listens there" in ran.err or ran.code == 0


def test_an_import_that_ends_in_the_middle_says_how_far_it_came(run, home, provider, monkeypatch):
    key, taken = provider.valid_api_key.reveal(), []
    (home / "credentials.jsonl").write_text("\n".join(a_line(tenantId=tenant, apiKey=key) for tenant in (TENANT, "globex", "hooli")))
    really = IntegrationManager.import_credential

    def until_the_database_goes(self, tenant_id, *rest, **named):
        if len(taken) == 2:
            raise StorageUnavailableError
        taken.append(tenant_id)
        return really(self, tenant_id, *rest, **named)

    monkeypatch.setattr(IntegrationManager, "import_credential", until_the_database_goes)
    ran = run("import", "credentials.jsonl")
    assert ran.code == 7
    assert ran.err.startswith("2 imported, 0 there already, 0 failed\nerror: ")


def test_lines_come_from_standard_input(run, home, provider):
    ran = run("import", "-", "--no-verify", *JSON, given=a_line(apiKey=provider.valid_api_key.reveal()))
    assert ran.data()["imported"] == 1


def test_what_stands_where_a_name_belongs_is_not_repeated(run, home, provider):
    secret = "fake-secret-in-the-wrong-place"
    lines = [a_line(**{secret: "apiKey"}), a_line(apiKey="fake-key", password="fake")]
    ran = run("import", "-", "--no-verify", *JSON, given="\n".join(lines))
    told = [problem["problem"] for problem in ran.data()["problems"]]
    assert told == ["a field has a name that is not known", "password: extra inputs are not permitted"]
    assert secret not in ran.out + ran.err


def test_without_keys_an_import_ends_at_once(run, home, provider):
    (home / "keyring").unlink()
    assert run("import", "-", given=a_line(apiKey="fake-key")).code == 8


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
    for loaded in [name for name in sys.modules if name.startswith("cloud_integrations.backends.") and name.endswith("_kms")]:
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
