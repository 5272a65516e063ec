"""`doctor` finds what is wrong and says what to do."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest
from sqlalchemy import make_url

from cloud_integrations import LocalKeyring
from cloud_integrations.backends.sqlalchemy.databases import MariaDB, SQLite

JSON = ("-o", "json")


@pytest.mark.parametrize(
    ("database", "said"),
    [
        ("postgresql://u:fake-secret@127.0.0.1:1/none", "127.0.0.1:1/none cannot be used right now (nothing listens there"),
        ("sqlite:////no/such/folder/some.db", "/no/such/folder/some.db cannot be used right now (the file cannot be opened"),
        ("mysql+pymysql://u:fake-secret@127.0.0.1:1/none", "127.0.0.1:1/none cannot be used right now (nothing listens there"),
        ("mysql+pymysql://u:fake-secret@a..b/none", "a..b:default port/none cannot be used right now (the host has a name that cannot"),
        ("mysql+pymysql://u:fake-secret@xn--a/none", "xn--a:default port/none cannot be used right now ("),
        ("postgresql+psycopg://u:fake-secret@a..b/none", "a..b:default port/none cannot be used right now (the host"),
    ],
)
def test_doctor_says_which_database_and_why(run, home, monkeypatch, database, said):
    monkeypatch.setenv("CLOUD_INTEGRATIONS_DATABASE_URL", database)
    assert said in _checks(run("doctor", *JSON))["database"]["message"]
    assert said in run("db", "upgrade").err
    for shown in (run("doctor"), run("db", "upgrade")):
        assert "fake-secret" not in shown.out + shown.err
    assert "database_url right?" in run("doctor").out


def test_doctor_says_that_a_host_is_not_known(run, home, monkeypatch):
    def find_nothing(*_, **__):
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "create_connection", find_nothing)
    monkeypatch.setenv("CLOUD_INTEGRATIONS_DATABASE_URL", "mysql+pymysql://u:fake-secret@nowhere.invalid/none")
    assert "cannot be used right now (the host is not known" in _checks(run("doctor", *JSON))["database"]["message"]


def test_doctor_names_a_database_that_a_server_does_not_have(run, home, postgresql_url, monkeypatch):
    monkeypatch.setenv("CLOUD_INTEGRATIONS_DATABASE_URL", postgresql_url + "_never_made")
    assert "there is no such database" in _checks(run("doctor", *JSON))["database"]["message"]


def test_doctor_finds_a_connection_pooler(run, home, pgbouncer_url, monkeypatch):
    monkeypatch.setenv("CLOUD_INTEGRATIONS_DATABASE_URL", pgbouncer_url)
    assert run("db", "upgrade").code == 0
    found = _checks(run("doctor", *JSON))["pooler"]
    assert (found["result"], found["message"]) == ("warning", "stands before the database; statements are not prepared")
    assert "prepare_threshold" in found["advice"]


def test_doctor_finds_no_connection_pooler_where_there_is_none(run, home):
    assert "pooler" not in _checks(run("doctor", *JSON))


@pytest.mark.parametrize("harm", ["gone", "damaged"])
def test_doctor_advises_no_new_keys_where_old_ones_are_needed(run, added, home, harm):
    if harm == "gone":
        (home / "keyring").unlink()
    else:
        (home / "keyring").write_text("damaged\n")
    advice = _checks(run("doctor", *JSON))["keys"]["advice"]
    assert advice.startswith("Restore the keyring from its backup")
    assert ("keys generate" in advice) == (harm == "gone")


def _checks(ran):
    return {check["name"]: check for check in ran.data()["checks"]}


def test_doctor_says_which_redirect_uri_to_register(run, home):
    ran = run("doctor", *JSON)
    assert ran.code == 0
    assert ran.data()["ok"] is True
    assert "register the redirect URI http://127.0.0.1:8000/api/v1/oauth/callback/" in _checks(ran)["application simulated"]["message"]
    assert _checks(ran)["clock"]["result"] == "ok"


def test_doctor_shows_how_many_client_secrets_an_application_has(run, home):
    assert "client secret" not in _checks(run("doctor", *JSON))["application simulated"]["message"]
    (home / "new.secret").write_text("fake-new-secret")
    settings = home / "cloud-integrations.toml"
    both = 'client_secret_file = ["new.secret", "client.secret"]'
    settings.write_text(settings.read_text().replace('client_secret_file = "client.secret"', both))
    ran = run("doctor", *JSON)
    assert _checks(ran)["application simulated"]["message"].endswith("; 2 client secrets")
    assert "fake-new-secret" not in str(ran.data())


def test_doctor_recommends_require_state(run, home):
    settings = home / "cloud-integrations.toml"
    settings.write_text(settings.read_text().replace("require_state = true", "require_state = false"))
    assert _checks(run("doctor", *JSON))["require_state"]["result"] == "warning"


def _break_settings(home: Path) -> str:
    (home / "cloud-integrations.toml").write_text("port = 'x'")
    return "settings"


def _open_settings(home: Path) -> str:
    file = home / "cloud-integrations.toml"
    file.write_text(file.read_text() + "\n[[applications]]\nprovider = 'github'\nclient_id = 'x'\nclient_secret = 'fake-secret'\n")
    file.chmod(0o644)
    return "settings"


def _lose_keys(home: Path) -> str:
    (home / "keyring").unlink()
    return "keys"


def _swap_key(home: Path) -> str:
    kid = (home / "keyring").read_text().partition(":")[0]
    (home / "keyring").write_text(LocalKeyring.generate_key(kid).reveal())
    return "start"


def _empty_database(home: Path) -> str:
    (home / "cloud-integrations.db").write_bytes(b"")
    return "database"


def _break_catalogue(home: Path) -> str:
    (home / "simulated.toml").write_text("id = 1")
    return "providers"


def _name_no_backend(home: Path) -> str:
    file = home / "simulated.toml"
    file.write_text('backend = "nowhere"\n' + file.read_text())
    return "providers"


HARMS = [_break_settings, _open_settings, _lose_keys, _swap_key, _empty_database, _break_catalogue, _name_no_backend]


@pytest.mark.parametrize("harm", HARMS)
def test_doctor_finds_what_is_wrong(run, added, home, harm):
    where = harm(home)
    ran = run("doctor", *JSON)
    assert ran.code == 8
    assert ran.data()["ok"] is False
    assert _checks(ran)[where]["result"] == "problem"
    shown = run("doctor")
    assert shown.code == 8
    assert "✗" in shown.out
    assert "fake-secret" not in shown.out + shown.err


def test_doctor_notices_a_mistyped_variable(run, home, monkeypatch):
    monkeypatch.setenv("CLOUD_INTEGRATIONS_DATABSE_URL", "x")
    assert _checks(run("doctor", *JSON))["environment"]["result"] == "warning"


def test_doctor_compares_the_clock_of_a_database_server(run, home, own_postgresql_url, monkeypatch):
    monkeypatch.setenv("CLOUD_INTEGRATIONS_DATABASE_URL", own_postgresql_url)
    assert run("db", "upgrade").code == 0
    assert _checks(run("doctor", *JSON))["clock"]["message"] == "agrees with the database's"


@pytest.mark.parametrize("database", ["postgresql", "mariadb"])
def test_doctor_recommends_that_the_database_ends_idle_transactions(run, home, request, monkeypatch, database):
    url = make_url(request.getfixturevalue(f"{database}_url"))
    monkeypatch.setenv("CLOUD_INTEGRATIONS_DATABASE_URL", url.render_as_string(hide_password=False))
    assert run("db", "upgrade").code == 0
    never, limited, setting = {
        "postgresql": (
            {"options": "-c idle_in_transaction_session_timeout=0"},
            {"options": "-c idle_in_transaction_session_timeout=60s"},
            "idle_in_transaction_session_timeout",
        ),
        "mariadb": (
            {"init_command": "SET SESSION idle_transaction_timeout = 0"},
            {"init_command": "SET SESSION idle_transaction_timeout = 60"},
            "idle_transaction_timeout",
        ),
    }[database]

    def look(query):
        given = url.update_query_dict(query).render_as_string(hide_password=False)
        monkeypatch.setenv("CLOUD_INTEGRATIONS_DATABASE_URL", given)
        return _checks(run("doctor", *JSON))["idle transactions"]

    found = look(never)
    assert found["result"] == "warning"
    assert found["advice"] == f"Set {setting} to 60 s in the database."
    found = look(limited)
    assert (found["result"], found["message"]) == ("ok", "are ended by the database")


def test_doctor_says_nothing_of_idle_transactions_where_no_server_holds_them(run, home):
    assert "idle transactions" not in _checks(run("doctor", *JSON))


def test_doctor_tells_a_limit_that_cannot_be_read(run, home, monkeypatch):
    monkeypatch.setattr(SQLite, "idle_limit", MariaDB.idle_limit)
    ran = run("doctor", *JSON)
    assert ran.code == 0
    assert _checks(ran)["idle transactions"]["message"] == "their limit could not be read"


def test_doctor_counts_a_password_of_the_proxy_as_a_secret(run, home):
    file = home / "cloud-integrations.toml"
    file.write_text("proxy = 'http://user:fake-secret@127.0.0.1:3128'\n")
    file.chmod(0o644)
    found = _checks(run("doctor", *JSON))["settings"]
    assert (found["result"], "others may read it" in found["message"]) == ("problem", True)
    file.write_text("proxy = 'http://127.0.0.1:3128'\n")
    assert _checks(run("doctor", *JSON))["settings"]["result"] != "problem"
