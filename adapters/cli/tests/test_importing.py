"""Credentials are imported from lines and from the rows of a query."""

from __future__ import annotations

import json
import sqlite3

import pytest
from cryptography.fernet import Fernet
from sqlalchemy import create_engine, text

from cloud_integrations import IntegrationManager
from cloud_integrations.errors import StorageUnavailableError

TENANT = "acme"
JSON = ("-o", "json")


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


@pytest.mark.requirement("Q54")
def test_a_line_says_when_its_key_ends(run, home, provider):
    grant = provider.issue_grant()
    lines = [
        a_line(apiKey=provider.valid_api_key.reveal(), endsAt="2099-01-31T12:00:00+02:00"),
        a_line(tenantId="globex", apiKey=provider.valid_api_key.reveal(), endsAt="2020-01-31T12:00:00Z"),
        a_line(tenantId="initech", provider="simulated", accessToken=grant.access.reveal(), endsAt="2099-01-31T12:00:00Z"),
    ]
    (home / "credentials.jsonl").write_text("\n".join(lines))
    ran = run("import", "credentials.jsonl", *JSON)
    assert (ran.data()["imported"], [each["line"] for each in ran.data()["problems"]]) == (1, [2, 3])
    assert all("endsAt" in each["problem"] for each in ran.data()["problems"])
    assert run("integrations", "show", "simulated_keys", "-t", TENANT, *JSON).data()["reconnectBefore"] == "2099-01-31T10:00:00Z"


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


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"apiKey": "fake-key", "accessToken": "fake-token"}, "apiKey and OAuth2 tokens exclude each other"),
        ({"apiKey": "fake-key", "refreshToken": "fake-token"}, "apiKey and OAuth2 tokens exclude each other"),
        ({"secretKey": "fake-secret"}, "secretKey needs an apiKey"),
        ({"refreshToken": "fake-token"}, "accessToken or apiKey or inputs is required"),
    ],
)
def test_a_line_is_either_a_grant_or_a_key(run, home, fields, problem):
    told = run("import", "-", *JSON, given=a_line(**fields)).data()["problems"]
    assert told == [{"line": 1, "problem": problem}]
