"""Row security of PostgreSQL on the command line: the SQL, the setting, and what `doctor` says of it."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from cloud_integrations.backends.sqlalchemy import migrate

pytestmark = pytest.mark.requirement("ISO-09")
JSON = ("--production", "-o", "json")


def test_the_sql_of_the_policies_is_printed_and_no_setting_is_needed(run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    added, removed = (run("db", "sql", "--row-security", change).out for change in ("add", "remove"))
    assert added == migrate.row_security_sql("postgresql")
    assert removed == migrate.row_security_sql("postgresql", remove=True)
    assert "FORCE ROW LEVEL SECURITY" in added
    assert "CREATE TABLE" not in added


def test_a_database_that_cannot_is_named(run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for database, title in (("sqlite", "SQLite"), ("mariadb", "MariaDB")):
        ran = run("db", "sql", database, "--row-security", "add")
        assert (ran.code, ran.out) == (8, "")
        assert f"row_security is not possible with {title}, only with PostgreSQL" in ran.err
    assert run("db", "sql", "--row-security", "perhaps").code == 2


def test_a_setting_that_the_database_cannot_keep_is_refused(run, home, monkeypatch):
    monkeypatch.setenv("CLOUD_INTEGRATIONS_ROW_SECURITY", "true")
    ran = run("integrations", "list", "--tenant", "acme")
    assert ran.code == 8
    assert "row_security is not possible with SQLite" in ran.err


def test_doctor_says_whether_it_is_on_and_commands_work_with_it(run, home, secured_database, monkeypatch):
    superuser = sa.create_engine(secured_database.superuser, poolclass=sa.NullPool)
    with superuser.begin() as connection:
        for table in ("ci_key", "ci_key_check", "ci_integration", "ci_outbox"):
            connection.exec_driver_sql(f"DELETE FROM {table}")

    def look(url, **setting):
        monkeypatch.setenv("CLOUD_INTEGRATIONS_DATABASE_URL", url)
        for name, value in setting.items():
            monkeypatch.setenv(f"CLOUD_INTEGRATIONS_{name}", value)
        return {check["name"]: check for check in run("doctor", *JSON).data()["checks"]}

    off = look(secured_database.superuser)["row security"]
    assert (off["result"], off["message"]) == ("ok", "off: statements keep tenants apart, and the database does not")
    assert "row_security must be on" in look(secured_database.application)["start"]["message"]
    on = look(secured_database.application, ROW_SECURITY="true")
    assert (on["row security"]["result"], on["row security"]["message"]) == ("ok", "on")
    assert "start" not in on
    assert run("integrations", "list", "--tenant", "acme").code == 0
    assert run("revocations", "count").code == 0
    own = look(secured_database.owner)["row security"]
    assert (own["result"], own["message"]) == ("warning", "on, but this user can take it away")
    assert "row security" not in look(f"sqlite:///{home}/integrations.db", ROW_SECURITY="false")
