"""The commands about integrations, against a real HTTP provider."""

from __future__ import annotations

from pathlib import Path

import pytest

from cloud_integrations.testing import Misbehaviour, SimulatedProvider

T = ("-t", "acme")
JSON = ("-o", "json")
LIST_FIELDS = {"id", "tenantId", "providerId", "name", "status", "authType", "createdAt", "updatedAt"}


def test_an_added_key_is_listed_in_the_shape_of_the_http_api(run, added):
    [listed] = run("integrations", "list", *T, *JSON).data()
    assert listed.keys() >= LIST_FIELDS
    assert (listed["id"], listed["name"], listed["authType"], listed["status"]) == (added, "Simulated (keys)", "apikey", "active")
    assert listed["createdAt"].endswith("Z")


@pytest.mark.parametrize("columns", ["80", "100"])
def test_a_table_cuts_nothing_off(run, added, monkeypatch, columns):
    monkeypatch.setenv("COLUMNS", columns)
    shown = run("integrations", "list", *T).out
    assert added in shown
    assert "…" not in shown


def test_an_integration_is_found_by_id_and_by_the_slug_of_its_provider(run, added):
    by_id = run("integrations", "show", added, *T, *JSON).data()
    assert run("integrations", "show", "simulated_keys", *T, *JSON).data() == by_id
    assert by_id["health"]["state"] == "ok"
    assert "acct-1" in run("integrations", "show", added, *T).out


def test_a_key_comes_from_stdin(run, home, provider):
    ran = run("integrations", "add", "simulated_keys", *T, "--api-key-stdin", "--name", "By pipe", given=provider.valid_api_key.reveal())
    assert ran.code == 0
    assert "By pipe" in ran.out


@pytest.mark.requirement("Q54")
def test_a_key_is_added_and_replaced_with_the_end_that_a_person_says(run, home, key_file):
    key = ("--api-key-file", key_file)
    added = run("integrations", "add", "simulated_keys", *T, *key, "--ends-at", "2099-01-31T12:00:00+0200", *JSON).data()
    assert added["reconnectBefore"] == "2099-01-31T10:00:00Z"
    assert "2099-01-31" in run("integrations", "show", added["id"], *T).out
    replaced = run("integrations", "reconnect", added["id"], *T, "--input", f"key=@{key_file}", "--ends-at", "2099-06-30", *JSON).data()
    assert replaced["reconnectBefore"] == "2099-06-30T00:00:00Z"
    over = run("integrations", "reconnect", added["id"], *T, *key, "--ends-at", "2020-01-01")
    assert (over.code, "--ends-at is in the past" in over.err) == (4, True), over.err


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (("show", "simulated", *T), 3, "no such integration"),
        (("show", "not-an-id", *T), 4, "must be an integration's id"),
        (("show", "01a20516-0ee1-7251-9dd0-36bc92ea1ee1", *T), 3, "no such integration"),
        (("add", "nowhere", *T), 3, "no such provider"),
        (("add", "simulated_keys", *T), 2, "no terminal to ask on"),
        (("add", "simulated_keys", *T, "--api-key-file", "none"), 2, "cannot be read"),
        (("add", "simulated_keys", *T, "--api-key-file", "client.secret", "--api-key-stdin"), 2, "exclude each other"),
        (("add", "simulated_keys", *T, "--variable", "x"), 2, "takes name=value"),
        (("add", "simulated", *T, "--api-key-file", "client.secret"), 4, "takes no API key"),
        (("list",), 2, "tenant"),
        (("list", "-t", "two words"), 4, "--tenant"),
    ],
)
def test_a_mistake_has_its_exit_code_and_one_line(run, home, words, code, says):
    ran = run("integrations", *words)
    assert ran.code == code
    assert says in ran.err
    assert ran.err.startswith("error: ")
    assert len(ran.err.splitlines()) <= 2
    assert ran.out == ""
    assert "Traceback" not in ran.err


def test_an_error_for_programs_has_the_shape_of_the_http_api(run, home):
    import json

    ran = run("integrations", "show", "simulated", *T, *JSON)
    assert json.loads(ran.err) == {
        "success": False,
        "error": {"code": "integration/not-found", "message": "no such integration", "details": {}},
    }


def test_a_refused_key_is_not_stored(run, home: Path, provider: SimulatedProvider):
    (home / "bad.key").write_text(provider.invalid_api_key.reveal())
    ran = run("integrations", "add", "simulated_keys", *T, "--api-key-file", "bad.key")
    assert (ran.code, ran.out) == (5, "")
    assert run("integrations", "list", *T, *JSON).data() == []


def test_a_private_key_is_neither_sent_nor_stored(run, home: Path, provider: SimulatedProvider):
    (home / "id.key").write_text("-----BEGIN OPENSSH PRIVATE KEY-----\nZmFrZQ==\n-----END OPENSSH PRIVATE KEY-----\n")
    ran = run("integrations", "add", "simulated_keys", *T, "--api-key-file", "id.key")
    assert (ran.code, ran.out) == (4, "")
    assert "looks like a private key, and nothing was sent or stored; enter the API key itself" in " ".join(ran.err.split())
    assert "ZmFrZQ" not in ran.err
    assert run("integrations", "list", *T, *JSON).data() == []


def test_a_second_one_is_a_conflict(run, added, key_file):
    assert run("integrations", "add", "simulated_keys", *T, "--api-key-file", key_file).code == 9


def test_a_provider_that_does_not_answer_is_not_a_wrong_key(run, home, provider, key_file):
    provider.misbehave(Misbehaviour.UNAVAILABLE, endpoint="me", times=None)
    assert run("integrations", "add", "simulated_keys", *T, "--api-key-file", key_file).code == 6


def test_verify_asks_the_provider(run, added, provider):
    assert run("integrations", "verify", added, *T, *JSON).data()["works"] is True
    assert "acct-1" in run("integrations", "verify", added, *T).out
    provider.revoke_api_key(provider.valid_api_key)
    ran = run("integrations", "verify", added, *T)
    assert ran.code == 5
    assert "no" in ran.out


def test_switching_off_and_on_again(run, added):
    assert run("integrations", "disable", added, *T, *JSON).data()["status"] == "inactive"
    assert run("token", "simulated_keys", *T).code == 9
    assert run("integrations", "enable", added, *T, *JSON).data()["status"] == "active"


def test_rename(run, added):
    assert run("integrations", "rename", added, "Another name", *T, *JSON).data()["name"] == "Another name"
    assert run("integrations", "rename", added, "no", *T).code == 4


def test_a_key_cannot_be_refreshed(run, added):
    assert run("integrations", "refresh", added, *T).code == 4


def test_reconnecting_with_another_key_keeps_id_and_name(run, added, provider, home):
    (home / "new.key").write_text(provider.issue_api_key().reveal())
    data = run("integrations", "reconnect", added, *T, "--api-key-file", "new.key", *JSON).data()
    assert (data["id"], data["name"]) == (added, "Simulated (keys)")


def test_deleting_asks_first(run, added):
    assert run("integrations", "delete", added, *T).code == 2
    gone = run("integrations", "delete", added, *T, "--yes", *JSON)
    assert gone.json()["success"] is True
    assert (gone.json()["accessToken"], gone.json()["apiKey"]) == ("skipped", "unsupported")
    assert run("integrations", "show", added, *T).code == 3


def test_deleting_a_key_says_that_it_still_works(run, added):
    shown = run("integrations", "delete", added, *T, "--yes")
    assert shown.out == "API key  still works at the provider\n"
    assert "local credential is gone" in shown.err


@pytest.mark.requirement("Q76")
def test_a_key_that_its_provider_cannot_revoke_is_said_to_work_on(run, added):
    shown = run("integrations", "delete", added, *T, "--revoke-key", "--yes")
    assert shown.out == "API key  still works at the provider\n"


@pytest.mark.requirement("ISO-20")
def test_a_token_is_redacted_unless_asked_for_twice(run, added, provider):
    secret = provider.valid_api_key.reveal()
    plain = run("token", "simulated_keys", *T)
    assert plain.code == 0
    assert secret not in plain.out + plain.err
    assert secret not in run("token", "simulated_keys", *T, *JSON).out
    asked = run("token", "simulated_keys", *T, "--reveal")
    assert asked.code == 2
    assert secret not in asked.out
    assert run("token", "simulated_keys", *T, "--reveal", "--yes").out == secret + "\n"
    assert run("token", "simulated_keys", *T, "--reveal", "--yes", *JSON).data()["value"] == secret


@pytest.mark.requirement("ISO-20")
@pytest.mark.parametrize("command", ["list", "show", "add", "verify", "refresh", "rename", "disable", "enable", "delete", "reconnect"])
def test_a_tenant_must_be_named(run, home, command):
    words = {"list": (), "rename": ("simulated", "Other"), "add": ("simulated_keys",)}.get(command, ("simulated",))
    ran = run("integrations", command, *words)
    assert ran.code == 2
    assert "--tenant" in ran.err


def test_the_audit_names_who_typed(run, added):
    import getpass

    run("token", "simulated_keys", *T)
    events = run("audit", "list", *T, *JSON).data()
    assert {(event["actor"]["type"], event["actor"]["id"]) for event in events} == {("cli", getpass.getuser())}
    assert {"integration.connected", "credential.used"} <= {event["action"] for event in events}
    assert "integration.connected" in run("audit", "list", *T, "--integration", added).out


def test_events_are_found_by_actor_action_provider_and_time(run, added):
    run("integrations", "rename", added, "New name", *T)
    [renamed] = run("audit", "list", *T, "--action", "integration.renamed", *JSON).data()
    who = f"{renamed['actor']['type']}:{renamed['actor']['id']}"

    def found(*words):
        return {event["action"] for event in run("audit", "list", *T, *words, *JSON).data()}

    assert found("--actor", who, "--provider", "simulated_keys") == {"integration.connected", "integration.renamed"}
    assert found("--actor", "nobody") == set()
    assert found("--since", "2999-01-01") == set()
    assert found("--until", "2999-01-01T00:00:00+02:00", "--provider", "simulated_keys") >= {"integration.renamed"}
    assert run("audit", "list", *T, "--since", "yesterday").code == 2
    assert run("audit", "list", *T, "--provider", "no_such_provider").code == run("providers", "show", "no_such_provider").code


def test_the_audit_is_verified_and_a_change_is_found(run, added, home):
    import sqlite3

    whole = run("audit", "verify", *T, *JSON)
    assert whole.code == 0
    head = whole.data()["head"]
    checkpoint = f"{head['seq']}:{head['hash']}"
    assert run("audit", "verify", *T, "--checkpoint", checkpoint).code == 0
    assert run("audit", "verify", *T, "--checkpoint", "nonsense").code == 2
    with sqlite3.connect(home / "cloud-integrations.db") as connection:
        connection.execute("UPDATE ci_audit SET actor_id = 'somebody else' WHERE seq = 1")
    connection.close()
    broken = run("audit", "verify", *T)
    assert broken.code == 11
    assert "✗ event 1 was edited: it does not have its hash" in broken.out
    assert run("audit", "verify", *T, *JSON).data()["problems"][0]["kind"] == "changed"
    assert run("audit", "verify").code == 2


def test_revocations_are_counted_and_retried(run, home):
    assert run("revocations", "count", *JSON).data() == {"waiting": 0}
    assert run("revocations", "retry", *JSON).data() == {"revoked": 0, "kept": 0, "delayed": 0, "abandoned": 0, "waiting": 0}
    assert "Waiting" in run("revocations", "count").out
    assert "Revoked" in run("revocations", "retry").out


@pytest.mark.requirement("OAU-081", "ISO-20")
def test_no_secret_appears_in_any_output_or_log(run, home, provider, key_file, caplog):
    import logging

    canaries = [provider.valid_api_key.reveal(), provider.invalid_api_key.reveal(), (home / "client.secret").read_text()]
    canaries += [line.partition(":")[2] for line in (home / "keyring").read_text().splitlines()]
    (home / "bad.key").write_text(provider.invalid_api_key.reveal())
    caplog.set_level(logging.DEBUG)
    commands = [
        ("integrations", "add", "simulated_keys", *T, "--api-key-file", "bad.key"),
        ("integrations", "add", "simulated_keys", *T, "--api-key-file", key_file),
        ("integrations", "show", canaries[0], *T),
        ("integrations", "list", *T, canaries[0]),
        ("integrations", "add", "simulated_keys", *T, "--api-key", canaries[0]),
        ("integrations", "add", canaries[0], *T, "--api-key-file", key_file),
        (canaries[0],),
        ("integrations", "list", *T),
        ("integrations", "show", "simulated_keys", *T),
        ("integrations", "verify", "simulated_keys", *T),
        ("token", "simulated_keys", *T),
        ("keys", "list"),
        ("doctor",),
        ("audit", "list", *T),
        ("integrations", "delete", "simulated_keys", *T, "--yes"),
    ]
    seen = ""
    for words in commands:
        for form in ("table", "json"):
            ran = run("--log-level", "debug", "--output", form, *words)
            seen += ran.out + ran.err
    seen += caplog.text
    assert "simulated" in seen
    assert [canary[:12] for canary in canaries if canary in seen] == []


def test_an_integration_is_named_by_its_id_or_by_its_providers_slug_or_uuid(run, home, provider):
    run("integrations", "add", "simulated_keys", *T, "--api-key-stdin", given=provider.valid_api_key.reveal())
    found = run("integrations", "show", "simulated_keys", *T, *JSON).data()
    for name in (found["id"], "simulated_keys", found["providerId"]):
        assert run("integrations", "show", name, *T, *JSON).data()["id"] == found["id"]
        assert run("integrations", "rename", name, "Another name", *T, *JSON).data()["id"] == found["id"]
        assert run("token", name, *T, *JSON).data()["integrationId"] == found["id"]
        assert run("audit", "list", *T, "--integration", name, *JSON).data()
    assert run("token", found["id"], *T, "--reveal", "--yes").out.strip() == provider.valid_api_key.reveal()
    nowhere = run("token", "simulated_key", *T)
    assert (nowhere.code, "did you mean simulated_keys" in nowhere.err) == (3, True)
