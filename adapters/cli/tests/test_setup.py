"""Settings, keys, tokens, the database, `init` and `doctor`."""

from __future__ import annotations

import hashlib
import json
import re
import stat
import tomllib

import pytest

from cloud_integrations import LocalKeyring
from cloud_integrations.errors import ConfigurationError
from cloud_integrations_cli.files import append_private, prepend_private, write_private
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
        ("public_url = 'https://example.com:fake-secret'", "must be an http or https address"),
        ("callback_url = 'http://localhost:99999/fake-secret'", "must be an http or https address"),
        ("public_url = 'https://[fake-secret'", "must be an http or https address"),
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
    assert not {"reveal", "use", "operate", "incidents"} & set(everyone["permissions"])
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


def test_a_database_without_tables_says_what_to_run(run, folder, monkeypatch):
    run("init")
    monkeypatch.setenv("CLOUD_INTEGRATIONS_DATABASE_URL", "sqlite:///other.db")
    ran = run("integrations", "list", "-t", "acme")
    assert ran.code == 8
    assert "cloud-integrations db upgrade" in ran.err


def test_providers_are_listed_without_a_database(run, folder):
    listed = {each["slug"]: each for each in run("providers", "list", *JSON).data()}
    assert listed["github"]["authTypes"] == ["apikey"]
    assert set(listed["github"]) == {
        "id",
        "slug",
        "name",
        "category",
        "description",
        "aliases",
        "icon",
        "active",
        "authTypes",
        "documentation",
        "redirectUri",
        "methods",
        "variables",
        "deprecated",
    }
    (way,) = listed["github"]["methods"]
    assert [given["label"] for given in way["inputs"]] == ["Personal access token"]
    assert way["manualUrl"] == "https://github.com/settings/tokens"
    assert "github" in run("providers", "list").out
    assert "[[applications]]" in run("providers", "show", "github").out
    shown = run("providers", "show", "github", *JSON).data()
    assert shown.pop("canConnectBy") == ["oauth2", "apikey"]
    assert [(variable["name"], variable["source"]) for variable in shown.pop("variables")] == [
        ("web_host", "application"),
        ("api_host", "application"),
        ("app_slug", "application"),
    ]
    assert listed["github"].pop("variables") == []
    assert shown.pop("backend") == "standard"
    assert shown.pop("guides") == ["app_installation", "pat"]
    assert shown == listed["github"]
    assert run("providers", "show", "nowhere").code == 3


def test_a_provider_shows_what_it_has_announced_to_end(run, folder):
    shown = run("providers", "show", "zendesk")
    assert "end of api_token" in shown.out
    assert "2027-04-30. Connect by OAuth2." in shown.out
    assert run("providers", "show", "zendesk", *JSON).data()["methods"][0]["deprecated"]["ends"] == "2027-04-30"
    assert run("providers", "show", "equinix_metal", *JSON).data()["deprecated"]["ends"] == "2026-06-30"


def test_a_provider_shows_the_oauth_backend_that_a_package_brings(run, home, monkeypatch):
    monkeypatch.syspath_prepend(str(home))
    package = home / "acme-1.0.dist-info"
    package.mkdir()
    (package / "METADATA").write_text("Metadata-Version: 2.1\nName: acme\nVersion: 1.0\n")
    made = "cloud_integrations.oauth:StandardOAuthBackend"
    (package / "entry_points.txt").write_text(f"[cloud_integrations.oauth_backends]\nacme-http = {made}\n")
    file = home / "simulated.toml"
    file.write_text('backend = "acme-http"\n' + file.read_text())
    assert "OAuth backend" not in run("providers", "show", "github").out
    assert "acme-http" in run("providers", "show", "simulated").out
    assert run("providers", "show", "simulated", *JSON).data()["backend"] == "acme-http"
    assert "the OAuth backend acme-http speaks with it" in run("doctor").out


def test_a_provider_with_an_application_shows_its_redirect_uri(run, home):
    assert "http://127.0.0.1:8000/api/v1/oauth/callback/" in run("providers", "show", "simulated").out


SECRET_LISTS = {
    "one": ("client_secret = 'fake-new'", ["fake-new"]),
    "a list": ("client_secret = ['fake-new', 'fake-old']", ["fake-new", "fake-old"]),
    "a file": ("client_secret_file = 'new.secret'", ["fake-new"]),
    "files": ("client_secret_file = ['new.secret', 'old.secret']", ["fake-new", "fake-old"]),
    "none": ("", []),
}


@pytest.mark.parametrize("way", SECRET_LISTS)
def test_an_application_has_one_client_secret_or_a_list_in_the_file(folder, way):
    line, secrets = SECRET_LISTS[way]
    (folder / "new.secret").write_text("fake-new\n")
    (folder / "old.secret").write_text("fake-old\n")
    (folder / "cloud-integrations.toml").write_text(f"[[applications]]\nprovider = 'github'\nclient_id = 'x'\n{line}\n")
    configuration = load()
    (application,) = configuration.oauth_applications()
    assert [secret.reveal() for secret in application.client_secrets] == secrets
    assert configuration.applications[0].secret_count == len(secrets)
    assert "fake-" not in repr(configuration) + str(configuration.model_dump()) + configuration.model_dump_json()


@pytest.mark.parametrize(
    ("value", "secrets"),
    [('"fake-new"', ["fake-new"]), ('["fake-new", "fake-old"]', ["fake-new", "fake-old"]), ("null", [])],
)
def test_an_application_has_one_client_secret_or_a_list_in_the_environment(folder, monkeypatch, value, secrets):
    text = f'[{{"provider": "github", "client_id": "x", "client_secret": {value}}}]'
    monkeypatch.setenv("CLOUD_INTEGRATIONS_APPLICATIONS", text)
    (application,) = load().oauth_applications()
    assert [secret.reveal() for secret in application.client_secrets] == secrets


@pytest.mark.parametrize("line", ["client_secret = []", "client_secret = [5]", "client_secret = ['fake-a', 'fake-a']"])
def test_a_list_of_client_secrets_that_cannot_be_meant_is_refused(folder, line):
    (folder / "cloud-integrations.toml").write_text(f"[[applications]]\nprovider = 'github'\nclient_id = 'x'\n{line}")
    with pytest.raises(ConfigurationError, match="client_secret") as caught:
        load().oauth_applications()
    assert "fake-a" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "found"),
    [
        ("sqlite:///some.db", "sqlite:///{folder}/some.db"),
        ("sqlite+aiosqlite:///some.db", "sqlite+aiosqlite:///{folder}/some.db"),
        ("sqlite+pysqlite:////var/some.db", "sqlite+pysqlite:////var/some.db"),
        ("sqlite+pysqlite:///:memory:", "sqlite+pysqlite:///:memory:"),
    ],
)
def test_a_relative_sqlite_file_is_beside_the_settings_with_every_driver(folder, tmp_path_factory, monkeypatch, url, found):
    (folder / "cloud-integrations.toml").write_text(f"database_url = '{url}'")
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))
    assert load(folder / "cloud-integrations.toml").find_database_url() == found.format(folder=folder)


def test_a_keyring_behind_a_symbolic_link_stays_there(folder):
    target, link = folder / "real" / "keyring", folder / "linked"
    write_private(target, "one\n")
    link.symlink_to(target)
    prepend_private(link, "two\n")
    append_private(link, "three\n")
    assert link.is_symlink()
    assert target.read_text().split() == ["two", "one", "three"]
    assert [file.name for file in target.parent.iterdir()] == ["keyring"]


def test_errors_are_json_also_with_the_format_in_one_word(run, folder):
    assert json.loads(run("integrations", "list", "--tenant", "acme", "-ojson").err)["success"] is False
