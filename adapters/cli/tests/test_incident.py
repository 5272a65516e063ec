"""Incidents, on the command line."""

from __future__ import annotations

import pytest

T = ("-t", "acme")
JSON = ("-o", "json")
ID = "01a20516-0ee1-7251-9dd0-36bc92ea1ee1"
WHY = ("--reason", "a token was found in a log")


@pytest.fixture
def connected(run, home, provider):
    added = run("integrations", "add", "simulated_keys", *T, "--api-key-stdin", given=provider.valid_api_key.reveal())
    assert added.code == 0, added.err


def test_a_freeze_is_begun_listed_and_lifted(run, connected):
    begun = run("incident", "freeze", *T, "--provider", "simulated_keys", *WHY, *JSON)
    assert begun.code == 0, begun.err
    document = begun.data()
    assert (document["selection"]["tenantId"], document["renewals"], document["liftedAt"]) == ("acme", True, None)
    assert document["begunBy"]["type"] == "cli"
    assert run("incident", "freezes", *JSON).data() == [document]
    assert "tenant acme" in run("incident", "freezes").out
    refused = run("token", "simulated_keys", *T)
    assert (refused.code, refused.out) == (9, "")
    assert "frozen" in refused.err
    lifted = run("incident", "unfreeze", document["id"], "--reason", "over", *JSON)
    assert lifted.data()["liftReason"] == "over"
    assert run("token", "simulated_keys", *T).code == 0
    assert "nothing is frozen" in run("incident", "freezes").err
    assert [each["id"] for each in run("incident", "freezes", "--all", *JSON).data()] == [document["id"]]


def test_the_answer_for_a_person_and_for_a_script_is_the_id(run, connected):
    begun = run("incident", "freeze", "--used-by", "service:billing", *WHY)
    assert begun.out.strip() == run("incident", "freezes", *JSON).data()[0]["id"]
    assert "used by service:billing: in other processes after at most 60 seconds" in begun.err
    assert "lifted" in run("incident", "unfreeze", begun.out.strip(), "--reason", "over").err


def test_no_program_gets_what_is_frozen(run, connected):
    assert run("incident", "freeze", *T, "--integration", "simulated_keys", *WHY).code == 0
    for command in (("exec", *T, "--provider", "simulated_keys", "--", "true"), ("credential", "aws", *T, "simulated_keys")):
        refused = run(*command)
        assert refused.code != 0
        assert refused.out == ""


def test_everything_is_frozen_only_if_that_is_said_twice(run, connected):
    assert run("incident", "freeze", *WHY).code == 4
    assert run("incident", "freeze", "--everything", *WHY).code == 2
    assert run("incident", "freezes", *JSON).data() == []
    assert run("incident", "freeze", "--everything", "--yes", "--no-renewals", *WHY, *JSON).data()["renewals"] is False


@pytest.mark.parametrize(
    ("more", "code", "said"),
    [
        (("--provider", "simulatd"), 3, "simulated"),
        (("--application", "x"), 4, "--application"),
        (("--used-by", "user:"), 4, "--used-by"),
        (("--integration", "simulated_keys"), 4, "--tenant"),
        (("-t", "acme", "--integration", ID), 3, "no such integration"),
        (("-t", "ac me"), 4, "--tenant"),
        (("-t", "acme", "--slot", "two"), 4, "--slot"),
        (("--used-by", "user:ada", "--no-renewals"), 4, "--renewals"),
    ],
)
def test_what_freezes_nothing_names_its_option(run, connected, more, code, said):
    refused = run("incident", "freeze", *more, *WHY)
    assert refused.code == code, refused.err
    assert said in refused.err


def test_what_is_not_there_is_not_lifted(run, home):
    refused = run("incident", "unfreeze", ID, "--reason", "over")
    assert refused.code == 3
    assert "incident freezes" in refused.err


def used(run):
    """Hand the credential out once, as the command line, and return who that was."""
    assert run("token", "simulated_keys", *T).code == 0
    event = next(each for each in run("audit", "list", *T, *JSON).data() if each["action"] == "credential.used")
    return f"{event['actor']['type']}:{event['actor']['id']}"


def test_a_leak_is_scoped_opened_revoked_rotated_and_reported(run, connected):
    actor = used(run)
    scope = run("incident", "scope", "--used-by", actor, *JSON)
    assert scope.code == 0, scope.err
    assert [(use["tenantId"], use["records"]) for use in scope.data()] == [("acme", 1)]
    assert "1 uses of 1 integrations of 1 tenants" in run("incident", "scope", "--used-by", actor).err
    opened = run("incident", "open", "--used-by", actor, *WHY)
    incident = opened.out.strip()
    assert incident == run("incident", "list", *JSON).data()[0]["id"]
    assert "1 would be ended" in run("incident", "revoke", incident, "--dry-run").err
    assert run("incident", "revoke", incident).code == 2
    assert "nothing was done yet" in run("incident", "report", incident).out
    revoked = run("incident", "revoke", incident, "--yes", *JSON)
    assert revoked.code == 0, revoked.err
    assert (revoked.data()["notEnded"], revoked.data()["left"]) == (1, 0)
    assert run("token", "simulated_keys", *T).code == 5
    assert run("incident", "rotate", incident, "--yes", *JSON).data()["changed"] in {0, 1}
    report = run("incident", "report", incident, *JSON).data()
    assert (report["states"], report["stillWorks"]) == ({"settled": 1}, 1)
    told = run("incident", "report", incident, "--markdown").out
    assert told.startswith(f"# Incident {incident}")
    assert "key unsupported" in told


def test_an_incident_that_is_not_there_is_not_found(run, home):
    for command in ("revoke", "rotate", "report"):
        refused = run("incident", command, ID)
        assert refused.code == 3
        assert "incident list" in refused.err


def test_with_four_eyes_another_person_must_approve(run, connected, home, monkeypatch):
    settings = home / "cloud-integrations.toml"
    settings.write_text(f"four_eyes = true\n{settings.read_text(encoding='utf-8')}", encoding="utf-8")
    used_by = used(run)
    incident = run("incident", "open", "--used-by", used_by, *WHY).out.strip()
    refused = run("incident", "revoke", incident, "--yes")
    assert (refused.code, "incident approve" in refused.err) == (10, True), refused.err
    assert run("incident", "approve", incident, *WHY).code == 0
    assert run("incident", "revoke", incident, "--yes").code == 10
    with monkeypatch.context() as other:
        other.setenv("LOGNAME", "another-person")
        assert run("incident", "approve", incident, *WHY, *JSON).data()["id"] == incident
    assert run("incident", "revoke", incident, "--yes", "--keep-keys").code == 0


def test_the_operators_own_log_is_listed_exported_and_verified(run, connected):
    assert run("incident", "freeze", "--provider", "simulated_keys", *WHY).code == 0
    listed = run("audit", "list", "--operator", *JSON).data()
    assert [(each["action"], each["reason"]) for each in listed] == [("freeze.begun", WHY[1])]
    assert '"freeze.begun"' in run("audit", "export", "--operator").out
    whole = run("audit", "verify", "--operator", *JSON)
    assert (whole.code, whole.data()["whole"], whole.data()["tenantId"]) == (0, True, "the operator")
    head = f"{whole.data()['head']['seq']}:{whole.data()['head']['hash']}"
    assert run("audit", "verify", "--operator", "--checkpoint", head).code == 0
    assert run("audit", "verify", "--operator", "--checkpoint", f"99:{'0' * 64}").code == 11
    for words in (("list",), ("list", "--operator", *T), ("export",), ("verify",), ("verify", "--operator", *T)):
        refused = run("audit", *words)
        assert (refused.code, "--operator" in refused.err) == (2, True), refused.err
