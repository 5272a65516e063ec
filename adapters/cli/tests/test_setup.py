"""Settings, keys, tokens, the database, `init` and `doctor`."""

from __future__ import annotations

import hashlib
import re
import socket
import stat
import tomllib
from pathlib import Path

import pytest
from sqlalchemy import make_url

from cloud_integrations import LocalKeyring
from cloud_integrations.errors import ConfigurationError
from cloud_integrations_cli import doctor
from cloud_integrations_cli.settings import load

JSON = ("-o", "json")


@pytest.fixture
def folder(tmp_path, monkeypatch, run):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    return tmp_path


@pytest.mark.requirement("ISO-20")
def test_init_writes_files_that_nobody_else_may_read(run, folder):
    ran = run("init", *JSON)
    assert ran.code == 0
    assert len(ran.data()["files"]) == 3
    for file in folder.iterdir():
        assert stat.S_IMODE(file.stat().st_mode) == 0o600, file
    assert run("doctor").code == 0


def test_init_overwrites_nothing(run, folder):
    (folder / "keyring").write_text("mine")
    ran = run("init")
    assert ran.code == 8
    assert "exists already" in ran.err
    assert sorted(file.name for file in folder.iterdir()) == ["keyring"]
    assert (folder / "keyring").read_text() == "mine"


def test_init_in_another_folder_gives_settings_that_work_from_anywhere(run, folder):
    assert run("init", "there").code == 0
    assert run("--config", "there/cloud-integrations.toml", "db", "current").out == "0001\n"


def test_without_settings_the_way_out_is_shown(run, folder):
    ran = run("integrations", "list", "-t", "acme")
    assert ran.code == 8
    assert "cloud-integrations init" in ran.err


def test_the_environment_wins_over_the_file(run, folder, monkeypatch):
    run("init")
    monkeypatch.setenv(
        "CLOUD_INTEGRATIONS_KEYS", f"{LocalKeyring.generate_key('one').reveal()} {LocalKeyring.generate_key('two').reveal()}"
    )
    assert run("keys", "list", *JSON).data() == [{"uri": "local:one", "primary": True}, {"uri": "local:two", "primary": False}]
    monkeypatch.setenv("CLOUD_INTEGRATIONS_LIMITS__TOKEN_CACHE", "5")
    assert load().library_settings().token_cache.total_seconds() == 5


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("port = 'fake-secret'", "port is wrong"),
        ("prot = 1", "prot is wrong"),
        ("port =", "is not TOML"),
        ("file = 'x'", "is not a setting"),
        ("public_url = 'http://example.com'", "must be an https address"),
        ("public_url = 'ftp://fake-secret'", "must be an http or https address"),
        ("[[applications]]\nprovider = 'github'\nclient_id = 'x'\nclient_secret = 'fake-secret'\nclient_secret_file = 'y'", "not both"),
        ("[[tokens]]\nsha256 = 'fake-secret'\nactor = 'a:b'\ntenants = '*'\npermissions = []", "tokens.0.sha256"),
    ],
)
def test_a_wrong_setting_is_named_and_its_value_is_not_repeated(folder, text, says):
    (folder / "cloud-integrations.toml").write_text(text)
    with pytest.raises(ConfigurationError) as caught:
        load()
    assert says in str(caught.value)
    assert "fake-secret" not in str(caught.value)


def test_a_wrong_environment_is_named(folder, monkeypatch):
    monkeypatch.setenv("CLOUD_INTEGRATIONS_APPLICATIONS", "fake-secret")
    with pytest.raises(ConfigurationError, match="CLOUD_INTEGRATIONS_APPLICATIONS is not JSON"):
        load()


@pytest.mark.parametrize("name", ["missing.toml", "."])
def test_a_settings_file_that_is_named_must_be_readable(run, folder, name):
    assert run("--config", name, "keys", "list").code == 8


def test_settings_are_found_in_the_users_folder(folder, monkeypatch):
    (folder / "config/cloud-integrations").mkdir(parents=True)
    (folder / "config/cloud-integrations/cloud-integrations.toml").write_text("port = 1234")
    assert load().port == 1234


def test_secrets_of_the_settings_have_no_repr(folder):
    (folder / "cloud-integrations.toml").write_text(
        "database_url = 'postgresql://u:fake-secret@h/d'\n"
        "[[applications]]\nprovider = 'github'\nclient_id = 'x'\nclient_secret = 'fake-secret'"
    )
    configuration = load()
    assert "fake-secret" not in repr(configuration) + str(configuration.model_dump()) + configuration.model_dump_json()
    assert configuration.find_database_url() == "postgresql://u:fake-secret@h/d"


def test_a_missing_client_secret_file_is_named(folder):
    (folder / "cloud-integrations.toml").write_text("[[applications]]\nprovider = 'github'\nclient_id = 'x'\nclient_secret_file = 'none'")
    with pytest.raises(ConfigurationError, match="client_secret_file of github cannot be read"):
        load().oauth_applications()


def test_a_key_is_printed_or_put_in_front_of_a_file(run, folder):
    printed = run("keys", "generate", "--kid", "2026a")
    assert printed.out.startswith("2026a:")
    LocalKeyring([printed.out.strip()])
    for kid in ("one", "two"):
        done = run("keys", "generate", "--kid", kid, "--file", "ring", *JSON)
        assert done.data() == {"kid": kid, "file": "ring"}
    assert LocalKeyring.from_file("ring").kids == ("two", "one")
    assert stat.S_IMODE((folder / "ring").stat().st_mode) == 0o600
    assert run("keys", "generate", "--kid", "one", "--file", "ring").code == 2
    assert run("keys", "generate", "--kid", "not a kid").code == 8


def test_a_key_is_not_put_into_a_file_that_others_may_read(run, folder):
    (folder / "ring").write_text("")
    (folder / "ring").chmod(0o644)
    ran = run("keys", "generate", "--file", "ring")
    assert ran.code == 8
    assert "chmod 600" in ran.err


def test_the_list_of_keys_holds_no_key(run, folder):
    run("init")
    [entry] = (folder / "keyring").read_text().split()
    kid, _, key = entry.partition(":")
    shown = run("keys", "list")
    assert kid in shown.out
    assert key not in shown.out + shown.err


def test_a_token_is_shown_once_and_kept_as_its_hash(run, folder):
    ran = run("tokens", "generate", "--actor", "service:backend", "--tenant", "acme", "--tenant", "globex", "--permission", "list")
    token = ran.out.strip()
    [entry] = tomllib.loads(ran.err.partition("settings file:")[2])["tokens"]
    assert entry == {
        "sha256": hashlib.sha256(token.encode()).hexdigest(),
        "actor": "service:backend",
        "tenants": ["acme", "globex"],
        "permissions": ["list"],
    }
    assert token not in ran.err
    everyone = run("tokens", "generate", "--actor", "service:x", "--tenant", "*", *JSON).data()
    assert everyone["tenants"] == "*"
    assert not {"reveal", "use"} & set(everyone["permissions"])
    assert run("tokens", "generate", "--actor", "nobody", "--tenant", "x").code == 2
    assert run("tokens", "generate", "--actor", "a:b", "--tenant", "x", "--permission", "fly").code == 2


def test_the_database_is_migrated(run, folder, monkeypatch):
    monkeypatch.setenv("CLOUD_INTEGRATIONS_DATABASE_URL", "sqlite:///new.db")
    assert run("db", "current").out == ""
    assert run("db", "current", *JSON).data() == {"revision": None}
    assert run("db", "upgrade", *JSON).data() == {"before": None, "revision": "0001"}
    assert "nothing to do" in run("db", "upgrade").err


@pytest.mark.parametrize("dialect", ["postgresql", "sqlite", "mariadb"])
def test_migrations_are_printed_as_sql(run, folder, dialect):
    assert re.search(r"CREATE TABLE (IF NOT EXISTS )?`?ci_integration", run("db", "sql", dialect).out)


def test_an_unknown_dialect_is_a_mistake_of_usage(run, folder):
    assert run("db", "sql", "oracle").code == 2


@pytest.mark.parametrize(
    ("url", "code"),
    [
        ("nonsense", 8),
        ("postgresql://u:fake-secret@127.0.0.1:1/none", 7),
        ("oracle+nothing://h/d", 8),
        ("mssql+pyodbc://h/d", 8),
        ("postgresql+psycopg://u:fake-secret@h:port/none", 8),
    ],
)
def test_a_database_that_cannot_be_used(run, folder, monkeypatch, url, code):
    run("init")
    monkeypatch.setenv("CLOUD_INTEGRATIONS_DATABASE_URL", url)
    for words in (("db", "current"), ("integrations", "list", "-t", "acme")):
        ran = run(*words)
        assert ran.code == code, ran.err
        assert "fake-secret" not in ran.err


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


def test_a_database_without_tables_says_what_to_run(run, folder, monkeypatch):
    run("init")
    monkeypatch.setenv("CLOUD_INTEGRATIONS_DATABASE_URL", "sqlite:///other.db")
    ran = run("integrations", "list", "-t", "acme")
    assert ran.code == 8
    assert "cloud-integrations db upgrade" in ran.err


def test_providers_are_listed_without_a_database(run, folder):
    listed = {each["slug"]: each for each in run("providers", "list", *JSON).data()}
    assert listed["github"]["authTypes"] == ["apikey"]
    assert set(listed["github"]) == {"id", "slug", "name", "category", "active", "authTypes", "documentation", "redirectUri", "methods"}
    (way,) = listed["github"]["methods"]
    assert [given["label"] for given in way["inputs"]] == ["Personal access token"]
    assert way["manualUrl"] == "https://github.com/settings/tokens"
    assert "github" in run("providers", "list").out
    assert "[[applications]]" in run("providers", "show", "github").out
    shown = run("providers", "show", "github", *JSON).data()
    assert shown.pop("canConnectBy") == ["oauth2", "apikey"]
    assert [variable["name"] for variable in shown.pop("variables")] == ["web_host", "api_host"]
    assert shown == listed["github"]
    assert run("providers", "show", "nowhere").code == 3


def test_a_provider_with_an_application_shows_its_redirect_uri(run, home):
    assert "http://127.0.0.1:8000/api/v1/oauth/callback/" in run("providers", "show", "simulated").out


def _checks(ran):
    return {check["name"]: check for check in ran.data()["checks"]}


def test_doctor_says_which_redirect_uri_to_register(run, home):
    ran = run("doctor", *JSON)
    assert ran.code == 0
    assert ran.data()["ok"] is True
    assert "register the redirect URI http://127.0.0.1:8000/api/v1/oauth/callback/" in _checks(ran)["application simulated"]["message"]
    assert _checks(ran)["clock"]["result"] == "ok"


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


@pytest.mark.parametrize("harm", [_break_settings, _open_settings, _lose_keys, _swap_key, _empty_database, _break_catalogue])
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


def test_doctor_compares_the_clock_of_a_database_server(run, home, postgresql_url, monkeypatch):
    monkeypatch.setenv("CLOUD_INTEGRATIONS_DATABASE_URL", postgresql_url)
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
    monkeypatch.setitem(doctor._IDLE_LIMITS, "sqlite", ("idle_transaction_timeout", "SELECT @@idle_transaction_timeout"))
    ran = run("doctor", *JSON)
    assert ran.code == 0
    assert _checks(ran)["idle transactions"]["message"] == "their limit could not be read"
