"""Several integrations of a tenant with one provider, on the command line."""

from __future__ import annotations

import json

import pytest

T = ("-t", "acme")
JSON = ("-o", "json")


@pytest.fixture
def switched_on(home, monkeypatch):
    monkeypatch.setenv("CLOUD_INTEGRATIONS_SLOTS", "true")
    return home


@pytest.fixture
def add(run, home, provider):
    def add(slot):
        key = provider.issue_api_key().reveal()
        words = ("--slot", slot) if slot else ()
        ran = run(
            "integrations", "add", "simulated_keys", *T, *words, "--name", f"In {slot or 'none'}", "--api-key-stdin", *JSON, given=key
        )
        assert ran.code == 0, ran.err
        return ran.data()["id"], key

    return add


def _id(ran):
    assert ran.code == 0, ran.err
    return ran.data()["id"]


def test_each_command_finds_the_integration_of_a_slot(run, switched_on, add, provider):
    (one, first_key), (two, second_key), (three, third_key) = add("production"), add("staging"), add("")
    keys = {"production": first_key, "staging": second_key, "": third_key}
    for slot, id_ in (("production", one), ("staging", two), ("", three)):
        named = ("simulated_keys", *T, "--slot", slot)
        assert _id(run("integrations", "show", *named, *JSON)) == id_
        assert _id(run("integrations", "rename", "simulated_keys", f"Named {slot or 'none'}", *T, "--slot", slot, *JSON)) == id_
        assert run("integrations", "disable", *named, *JSON).data()["status"] == "inactive"
        assert run("integrations", "enable", *named, *JSON).data()["id"] == id_
        assert run("integrations", "verify", *named, *JSON).data()["works"] is True
        assert run("integrations", "refresh", *named).code == 4  # a key is not renewed
        assert run("token", *named, "--reveal", "--yes", *JSON).data()["value"] == keys[slot]
        assert run("token", *named, *JSON).data()["integrationId"] == id_
        events = run("audit", "list", *T, "--integration", "simulated_keys", "--slot", slot, *JSON).data()
        assert {event["resource"] for event in events} == {f"integration:{id_}"}
        new = provider.issue_api_key().reveal()
        replaced = run("integrations", "reconnect", *named, "--api-key-stdin", *JSON, given=new)
        assert (_id(replaced), replaced.data()["slot"]) == (id_, slot)
    assert run("integrations", "delete", "simulated_keys", *T, "--slot", "production", "--yes").code == 0
    assert {each["id"] for each in run("integrations", "list", *T, *JSON).data()} == {two, three}


def test_a_list_has_the_slot_only_where_slots_are_switched_on(run, home, add, monkeypatch):
    add("")
    columns = run("integrations", "list", *T).out.splitlines()[0].split()
    assert columns == ["ID", "Provider", "Name", "Health", "Expires"]
    assert "slot" not in run("integrations", "list", *T, *JSON).data()[0]
    assert "slot" not in run("integrations", "show", "simulated_keys", *T, *JSON).data()
    assert run("integrations", "list", *T, "--fields", "id,slot").code == 2
    monkeypatch.setenv("CLOUD_INTEGRATIONS_SLOTS", "1")
    add("production")
    rows = [line.split() for line in run("integrations", "list", *T).out.splitlines()]
    assert rows[0] == ["ID", "Provider", "Slot", "Name", "Health", "Expires"]
    assert {row[2] for row in rows[1:]} == {"–", "production"}
    assert {each["slot"] for each in run("integrations", "list", *T, *JSON).data()} == {"", "production"}
    assert [each["slot"] for each in run("integrations", "list", *T, "--slot", "production", *JSON).data()] == ["production"]
    assert [each["slot"] for each in run("integrations", "list", *T, "--slot", "", *JSON).data()] == [""]
    assert {each["slot"] for each in run("integrations", "list", *T, "--fields", "slot", *JSON).data()} == {"", "production"}
    shown = run("integrations", "show", "simulated_keys", *T, "--slot", "production").out
    assert ["Slot", "production"] in [line.split() for line in shown.splitlines()]


def test_the_switch_is_in_the_settings_file_too(run, home, add):
    settings = home / "cloud-integrations.toml"
    assert "\nslots = false\n" in settings.read_text()
    settings.write_text(settings.read_text().replace("slots = false", "slots = true"))
    add("production")
    assert run("integrations", "list", *T, *JSON).data()[0]["slot"] == "production"


@pytest.mark.parametrize(
    "words",
    [
        ("integrations", "show", "simulated_keys"),
        ("integrations", "list"),
        ("integrations", "delete", "simulated_keys", "--yes"),
        ("integrations", "add", "simulated_keys", "--api-key-stdin"),
        ("connect", "simulated", "--no-browser", "--port", "0"),
        ("token", "simulated_keys"),
        ("audit", "list", "--integration", "simulated_keys"),
    ],
)
def test_without_the_switch_a_slot_is_refused(run, home, provider, words):
    ran = run(*words, *T, "--slot", "production", given=provider.valid_api_key.reveal())
    assert (ran.code, ran.out) == (4, "")
    assert "--slot cannot be given: this installation allows one integration with each provider" in ran.err


def test_a_slot_that_means_nothing_is_refused(run, switched_on, add):
    id_, _ = add("production")
    beside_an_id = run("integrations", "show", id_, *T, "--slot", "production")
    assert beside_an_id.code == 4
    assert "--slot cannot be given beside an integration's id" in beside_an_id.err
    assert run("audit", "list", *T, "--slot", "production").code == 4
    wrong = run("integrations", "show", "simulated_keys", *T, "--slot", "Production")
    assert wrong.code == 4
    assert "--slot must be 1 to 64 of the characters" in wrong.err
    assert run("integrations", "show", "simulated_keys", *T).code == 3  # not "the only one"
    taken = run("integrations", "add", "simulated_keys", *T, "--slot", "production", "--api-key-stdin", given="fake")
    assert taken.code != 0


def test_an_import_fills_slots(run, switched_on, provider):
    lines = [
        {"tenantId": "acme", "provider": "simulated_keys", "slot": slot, "apiKey": provider.issue_api_key().reveal()}
        for slot in ("one", "two", "")
    ]
    grant = provider.issue_grant()
    lines.append({"tenantId": "acme", "provider": "simulated", "slot": "one", "accessToken": grant.access.reveal()})
    lines.append({"tenantId": "acme", "provider": "simulated_keys", "slot": "No", "apiKey": "fake"})
    (switched_on / "held.jsonl").write_text("\n".join(map(json.dumps, lines)))
    ran = run("import", "held.jsonl", *JSON)
    assert {name: ran.data()[name] for name in ("imported", "exists", "failed")} == {"imported": 4, "exists": 0, "failed": 1}
    (problem,) = ran.data()["problems"]
    assert problem["line"] == 5
    assert problem["problem"].startswith("slot must be")
    listed = run("integrations", "list", *T, *JSON).data()
    assert sorted((each["provider"], each["slot"]) for each in listed) == [
        ("simulated", "one"),
        ("simulated_keys", ""),
        ("simulated_keys", "one"),
        ("simulated_keys", "two"),
    ]
    assert run("import", "held.jsonl", *JSON).data()["exists"] == 4


def test_an_import_without_the_switch_stores_nothing_in_a_slot(run, home, provider):
    line = {"tenantId": "acme", "provider": "simulated_keys", "slot": "one", "apiKey": provider.valid_api_key.reveal()}
    (home / "held.jsonl").write_text(json.dumps(line))
    ran = run("import", "held.jsonl", *JSON)
    assert (ran.data()["imported"], ran.data()["failed"]) == (0, 1)
    assert "this installation allows one integration" in ran.data()["problems"][0]["problem"]
