"""What holds for every command: a new one must take its place here."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cloud_integrations_cli.reference import walk

from .conftest import Run

T = ("-t", "acme")
ID = "01a20516-0ee1-7251-9dd0-36bc92ea1ee1"
WITH_DATABASE: dict[str, tuple[str, ...]] = {
    "serve": ("serve", "--port", "0"),
    "worker": ("worker", "--once"),
    "connect": ("connect", "simulated", *T, "--no-browser", "--port", "0"),
    "token": ("token", "simulated_keys", *T),
    "integrations list": ("integrations", "list", *T),
    "integrations show": ("integrations", "show", ID, *T),
    "integrations add": ("integrations", "add", "simulated_keys", *T, "--api-key-file", "client.secret"),
    "integrations verify": ("integrations", "verify", ID, *T),
    "integrations resources": ("integrations", "resources", ID, *T),
    "integrations choose": ("integrations", "choose", ID, "north", *T),
    "integrations refresh": ("integrations", "refresh", ID, *T),
    "integrations refresh-refused": ("integrations", "refresh-refused", "simulated"),
    "integrations rename": ("integrations", "rename", ID, "Another name", *T),
    "integrations disable": ("integrations", "disable", ID, *T),
    "integrations enable": ("integrations", "enable", ID, *T),
    "integrations reconnect": ("integrations", "reconnect", ID, *T),
    "integrations rotate-key": ("integrations", "rotate-key", ID, *T, "--finish"),
    "integrations delete": ("integrations", "delete", ID, *T, "--yes"),
    "applications list": ("applications", "list", *T),
    "applications save": ("applications", "save", "simulated", *T, "--client-id", "fake-client", "--client-secret-file", "client.secret"),
    "applications remove": ("applications", "remove", ID, *T, "--yes"),
    "sessions open": (
        "sessions",
        "open",
        *T,
        "--agent",
        "bot",
        "--on-behalf-of",
        "ada",
        "--provider",
        "simulated",
        "--host",
        "api.example",
    ),
    "sessions list": ("sessions", "list", *T),
    "sessions revoke": ("sessions", "revoke", ID, *T),
    "connect-sessions create": ("connect-sessions", "create", *T, "--for", "ada", "--at", "https://app.example.com/connect"),
    "connect-sessions list": ("connect-sessions", "list", *T),
    "connect-sessions revoke": ("connect-sessions", "revoke", ID, *T),
    "audit list": ("audit", "list", *T),
    "audit verify": ("audit", "verify", *T),
    "audit checkpoint": ("audit", "checkpoint"),
    "audit export": ("audit", "export", *T),
    "audit prune": ("audit", "prune", "--days", "400", "--yes"),
    "audit erase-actor": ("audit", "erase-actor", "user:nobody", *T, "--yes"),
    "events list": ("events", "list"),
    "events retry": ("events", "retry"),
    "events test": ("events", "test", ID),
    "webhooks list": ("webhooks", "list"),
    "webhooks add": ("webhooks", "add", "https://hooks.example/in"),
    "webhooks enable": ("webhooks", "enable", ID),
    "webhooks disable": ("webhooks", "disable", ID),
    "webhooks rotate-secret": ("webhooks", "rotate-secret", ID),
    "webhooks remove": ("webhooks", "remove", ID, "--yes"),
    "incident scope": ("incident", "scope", *T),
    "incident freeze": ("incident", "freeze", *T, "--reason", "a test", "--yes"),
    "incident freezes": ("incident", "freezes"),
    "incident unfreeze": ("incident", "unfreeze", ID, "--reason", "a test"),
    "incident open": ("incident", "open", *T, "--reason", "a test"),
    "incident list": ("incident", "list"),
    "incident approve": ("incident", "approve", ID, "--reason", "a test"),
    "incident revoke": ("incident", "revoke", ID, "--yes"),
    "incident rotate": ("incident", "rotate", ID, "--yes"),
    "incident report": ("incident", "report", ID),
    "overview report": ("overview", "report"),
    "overview search": ("overview", "search"),
    "overview count": ("overview", "count"),
    "overview renewal": ("overview", "renewal", ID, *T),
    "overview history": ("overview", "history"),
    "overview ends": ("overview", "ends"),
    "overview errors": ("overview", "errors", "simulated"),
    "report compliance": ("report", "compliance"),
    "revocations count": ("revocations", "count"),
    "revocations retry": ("revocations", "retry"),
    "keys status": ("keys", "status"),
    "keys rotate": ("keys", "rotate"),
    "keys reseal": ("keys", "reseal"),
    "keys move": ("keys", "move", "{primary}"),
    "keys refuse": ("keys", "refuse", *T, "--below", "1", "--yes"),
    "exec": ("exec", *T, "--", "no-such-program-here"),
    "credential aws": ("credential", "aws", *T),
    "credential git": ("credential", "git", "get", *T, "--provider", "simulated"),
    "credential docker": ("credential", "docker", "get", *T, "--provider", "simulated"),
    "credential kubernetes": ("credential", "kubernetes", *T),
    "import": ("import", "rows.jsonl", "--no-verify"),
    "tenants erase": ("tenants", "erase", *T, "--yes"),
    "tenants verify-erasure": ("tenants", "verify-erasure", "receipt.json"),
    "db upgrade": ("db", "upgrade"),
    "db current": ("db", "current"),
}
WITHOUT_DATABASE: dict[str, tuple[str, ...]] = {
    "init": ("init", "elsewhere"),
    "providers list": ("providers", "list"),
    "providers guide": ("providers", "guide", "ibm_cloud"),
    "providers lint": ("providers", "lint", "nowhere"),
    "providers doctor": ("providers", "doctor"),
    "providers new": ("providers", "new", "--id", "acme"),
    "providers check": ("providers", "check", "simulated_keys.toml"),
    "providers show": ("providers", "show", "simulated"),
    "keys generate": ("keys", "generate"),
    "keys promote": ("keys", "promote", "none", "--file", "keyring"),
    "keys list": ("keys", "list"),
    "audit new-key": ("audit", "new-key", "--file", "checkpoint-keys.pem"),
    "audit keys": ("audit", "keys"),
    "issuer new-key": ("issuer", "new-key", "--file", "signing-keys.pem"),
    "issuer promote": ("issuer", "promote", "none", "--file", "signing-keys.pem"),
    "issuer show": ("issuer", "show"),
    "tokens generate": ("tokens", "generate", "--actor", "service:backend", *T),
    "db sql": ("db", "sql"),
}
ELSEWHERE = {"demo", "doctor"}
"""`demo` has a database of its own; `doctor` tells in its list, see below."""
LISTINGS = {
    "connect-sessions list": ("connect-sessions", "list", *T),
    "providers list": ("providers", "list"),
    "integrations list": ("integrations", "list", *T),
    "applications list": ("applications", "list", *T),
    "sessions list": ("sessions", "list", *T),
    "audit list": ("audit", "list", *T),
    "audit keys": ("audit", "keys"),
    "keys list": ("keys", "list"),
    "keys status": ("keys", "status"),
    "issuer show": ("issuer", "show"),
    "events list": ("events", "list", "--state", "waiting"),
    "webhooks list": ("webhooks", "list"),
    "incident scope": ("incident", "scope", *T),
    "incident freezes": ("incident", "freezes"),
    "incident list": ("incident", "list"),
    "overview search": ("overview", "search"),
    "report compliance": ("report", "compliance"),
}
INSIDE = {"overview search": "integrations", "keys status": "usage", "report compliance": "facts"}
"""Where a listing stands that is not all of its JSON."""
TOLD_TO_PROGRAMS = {
    "credential git": "quit=1\n",
    "credential docker": "the database 127.0.0.1:1/none cannot be used right now",
}
"""What a program reads on stdout of a failure, as its protocol wants it."""
URL = "postgresql://user:fake-password@127.0.0.1:1/none"


@pytest.fixture
def full(home: Path, run: Run) -> tuple[Path, str]:
    """A folder with every file that the calls name, and the URI of the primary key."""
    (home / "rows.jsonl").write_text(json.dumps({"tenantId": "acme", "provider": "simulated_keys", "name": "A key", "apiKey": "fake"}))
    (home / "receipt.json").write_text(json.dumps({"tenantId": "acme", "keyIds": [ID]}))
    return home, str(run("keys", "list", "-o", "json").data()[0]["uri"])


def test_every_command_is_here():
    commands = {path.removeprefix("cloud-integrations ") for path, command in walk() if not hasattr(command, "commands")}
    assert commands == WITH_DATABASE.keys() | WITHOUT_DATABASE.keys() | ELSEWHERE
    with_fields = {path for path, command in walk() if any("--fields" in parameter.opts for parameter in command.params)}
    assert with_fields == {f"cloud-integrations {name}" for name in LISTINGS}
    assert {name for name in commands if name.endswith("list")} <= LISTINGS.keys()


def test_a_dead_database_is_named_by_every_command(full, run, monkeypatch):
    _, primary = full
    monkeypatch.setenv("CLOUD_INTEGRATIONS_DATABASE_URL", URL)
    for name, words in WITH_DATABASE.items():
        ran = run(*(word.replace("{primary}", primary) for word in words))
        assert ran.code == 7, (name, ran)
        assert "error: the database 127.0.0.1:1/none cannot be used right now (" in ran.err, name
        assert ran.err.endswith("\n  Is the database running, and database_url right?\n"), name
        assert "fake-password" not in ran.err + ran.out, name
        assert ran.out == TOLD_TO_PROGRAMS.get(name, ""), name
    for name, words in WITHOUT_DATABASE.items():
        assert run(*words).code in {0, 2, 4, 7, 8}, name
    told = run("doctor")
    assert told.code == 8
    assert "✗ database" in told.out
    assert "127.0.0.1:1/none" in told.out
    assert "fake-password" not in told.out


def test_no_command_ends_in_a_mistake_of_this_program_or_for_a_character(full, run):
    _, primary = full
    for name, words in {**WITH_DATABASE, **WITHOUT_DATABASE, "doctor": ("doctor",)}.items():
        if name in {"serve", "connect"}:
            continue  # they wait
        ran = run(*(word.replace("{primary}", primary) for word in words), charset="ascii")
        assert ran.code != 1, (name, ran.err)
        assert "Traceback" not in ran.err
        assert (ran.out + ran.err).isascii(), name


def test_what_a_listing_shows_is_in_its_json(added, run, monkeypatch):
    assert run("issuer", "new-key", "--file", "signing-keys.pem").code == 0
    assert run("audit", "new-key", "--file", "checkpoint-keys.pem").code == 0
    monkeypatch.setenv("CLOUD_INTEGRATIONS_CHECKPOINTS", json.dumps({"name": "audit.example", "keys": ["file:checkpoint-keys.pem"]}))
    assert run(*WITH_DATABASE["applications save"][:-1], "client.secret").code == 0
    assert run(*(word.replace("simulated", "simulated_keys") for word in WITH_DATABASE["sessions open"])).code == 0
    assert run(*WITH_DATABASE["connect-sessions create"]).code == 0
    monkeypatch.setenv("CLOUD_INTEGRATIONS_ISSUER", json.dumps({"url": "https://app.example", "keys": ["file:signing-keys.pem"]}))
    # Nothing listens there, so the event waits.
    assert run("webhooks", "add", "https://127.0.0.1:1/in").code == 0
    for words in (
        ("integrations", "disable", added, *T),
        ("integrations", "enable", added, *T),
        ("worker", "--once"),
        WITH_DATABASE["token"],
    ):
        assert run(*words).code == 0
    for words in ("open", "freeze"):
        assert run(*WITH_DATABASE[f"incident {words}"]).code == 0
    for name, words in LISTINGS.items():
        documents = run(*words, "-o", "json").data()
        documents = documents[INSIDE[name]] if name in INSIDE else documents
        fields = run(*words, "--fields", "x").err.partition("There are ")[2].strip().split(", ")
        # Each field is there, and each that is there can be named.
        assert set(fields) == {path for document in documents for path in _paths(document)}, name
        chosen = run(*words, "--fields", ",".join(fields), "-o", "json").data()
        assert (chosen[INSIDE[name]] if name in INSIDE else chosen)[0].keys() == documents[0].keys()
        table = run(*words, "--fields", ",".join(fields)).out.splitlines()
        assert table[0].split() == fields


def _paths(document):
    for name, value in document.items():
        yield name
        # What details and data hold differs from event to event, and a value from fact to fact.
        if isinstance(value, dict) and name not in {"details", "data", "value"}:
            yield from (f"{name}.{below}" for below in value)


def test_a_field_that_is_none_is_refused_with_those_there_are(run, home):
    ran = run("providers", "list", "--fields", "slug,nam")
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith("error: --fields names what is not a field; did you mean name? There are id, slug, ")


def test_an_integration_is_listed_with_its_health_provider_and_expiry(run, added):
    [listed] = run("integrations", "list", *T, "-o", "json").data()
    assert (listed["provider"], listed["health"]["state"], listed["expiresAt"]) == ("simulated_keys", "ok", None)
    assert run("integrations", "list", *T, "-o", "json", "--fields", "id,health.state").data() == [{"id": added, "health": {"state": "ok"}}]


def test_acts_of_a_person_are_recorded_as_theirs(full, added, run, monkeypatch):
    monkeypatch.setenv("LOGNAME", "maria")
    _, primary = full
    for name, words in WITH_DATABASE.items():
        if name not in {"serve", "worker", "connect"}:
            run(*(word.replace("{primary}", primary).replace(ID, added) for word in words))
    # The last: it sees all that the others have done.
    events = run("audit", "list", *T, "--limit", "200", "-o", "json").data()
    assert {event["action"] for event in events} >= {"integration.connected", "tenant.erased", "audit.read"}
    assert {event["actor"]["type"] for event in events} == {"cli"}
    assert "maria" in {event["actor"]["id"] for event in events}


def test_a_tenant_that_is_mistyped_is_unknown_however_often(added, run):
    for _ in range(2):
        for words in (("tenants", "erase", "--yes"), ("audit", "verify"), ("keys", "refuse", "--below", "1", "--yes")):
            ran = run(*words, "-t", "acmee")
            assert (ran.code, ran.out, ran.err.splitlines()[0]) == (3, "", "error: no such tenant")
