"""`report compliance` shows facts by controls, and the page about compliance names commands that exist."""

from __future__ import annotations

import json
import re
import sqlite3
from pathlib import Path

import pytest
import typer
from sqlalchemy.exc import OperationalError

from cloud_integrations.errors import KeyServiceUnavailableError
from cloud_integrations.manager.audit import AuditLog
from cloud_integrations_cli.actions import production
from cloud_integrations_cli.app import app
from cloud_integrations_cli.controls import CONTROLS

PAGE = (Path(__file__).parents[3] / "docs/explanation/compliance.md").read_text(encoding="utf-8")
ROW = re.compile(r"^\| (?P<name>[^|:]+): (?P<about>[^|]+) \| [^|]+ \| (?P<commands>[^|]+) \| (?P<yours>[^|]+) \|$", re.MULTILINE)
COMMAND = re.compile(r"`cloud-integrations ([^`]+)`|^\$ cloud-integrations (.+)$", re.MULTILINE)
REPORT = ("report", "compliance", "-o", "json")
UNKNOWN = {"tenantLogs", "retention"}
"""What is never known."""


def _facts(ran):
    return {fact["name"]: fact for fact in ran.data()["facts"]}


def _parse(words):
    """Parse a command line as it would be, and run nothing."""
    command = typer.main.get_command(app)
    while hasattr(command, "commands"):
        name, *words = words
        assert name in command.commands, f"no such command: {name}"
        command = command.commands[name]
    with command.make_context("page", list(words)) as context:
        return context.params


def test_each_command_on_the_page_exists_with_its_options():
    named = [first or second for first, second in COMMAND.findall(PAGE)]
    assert len(named) > len(CONTROLS)
    for line in named:
        assert _parse(line.split()) is not None, line


@pytest.mark.parametrize("line", ["keys statuz", "keys status --nonsense", "audit verify --tenant", "incident approve"])
def test_a_command_that_is_not_there_would_be_found(line):
    with pytest.raises((AssertionError, Exception), match=r"(?i)no such|requires|missing"):
        _parse(line.split())


def test_the_page_and_the_report_have_the_same_controls_and_commands():
    rows = {row["name"]: (row["about"], tuple(re.findall(r"`cloud-integrations ([^`]+)`", row["commands"]))) for row in ROW.finditer(PAGE)}
    assert rows == {control.name: (control.about, control.commands) for control in CONTROLS}
    assert {re.match(r"SOC 2 CC\d|ISO 27001 A\.\d+\.\d+|GDPR \d+|DORA \d+", name)[0] for name in rows} == {
        *("SOC 2 CC6", "SOC 2 CC7", "ISO 27001 A.5.17", "ISO 27001 A.8.15", "ISO 27001 A.8.24"),
        *("GDPR 17", "GDPR 30", "GDPR 32", "DORA 9", "DORA 28"),
    }


def test_the_page_claims_no_certificate_and_says_what_remains_the_hosts_work():
    assert "It is **no certificate**" in PAGE
    assert "## What remains yours" in PAGE
    assert all(row["yours"].strip() for row in ROW.finditer(PAGE))


def test_an_empty_installation_has_every_fact(run, home):
    ran = run(*REPORT)
    assert ran.code == 0
    facts = _facts(ran)
    assert {name for control in CONTROLS for name in control.facts} == facts.keys()
    assert {name for name, fact in facts.items() if not fact["known"]} == UNKNOWN
    assert all("not known" in facts[name]["found"] for name in UNKNOWN)
    assert facts["integrations"]["value"] == {"count": 0, "byProvider": []}
    assert (facts["integrations"]["found"], facts["dataKeys"]["value"]["rows"]) == ("none", 0)
    assert facts["operatorLog"]["value"]["whole"] is True
    assert facts["sealing"]["value"] == {"format": "CI1", "suite": 1}
    assert facts["checkpointKeys"]["value"] == {"signs": False, "keys": []}
    assert (facts["events"]["found"], facts["fourEyes"]["found"]) == ("on", "off")
    assert facts["database"]["value"]["connection"] == "file"
    assert facts["rowSecurity"]["value"] == {"on": False, "possible": False}
    assert facts["limits"]["value"]["perMinute"]["begin_per_minute"] == 10
    [key] = facts["wrappingKeys"]["value"]["keys"]
    assert (key["primary"], f"made on {key['madeOn']}" in facts["wrappingKeys"]["found"]) == (True, True)
    assert [control["name"] for control in ran.data()["controls"]] == [control.name for control in CONTROLS]


def test_people_see_both_tables_and_that_it_is_no_certificate(run, home):
    ran = run("report", "compliance")
    assert ran.code == 0
    assert re.search(r"^Sealing format +CI1, suite 1: .* SOC 2 CC6\.1, ", ran.out, re.MULTILINE)
    assert re.search(r"^GDPR 17 +right to erasure +cloud-integrations tenants erase", ran.out, re.MULTILINE)
    assert "no certificate" in ran.err
    assert "Control " not in run("report", "compliance", "--fields", "name,known").out


def test_integrations_are_counted_and_no_secret_is_shown(run, added, home, monkeypatch):
    assert run("audit", "new-key", "--file", "checkpoint-keys.pem").code == 0
    monkeypatch.setenv("CLOUD_INTEGRATIONS_CHECKPOINTS", json.dumps({"name": "audit.example", "keys": ["file:checkpoint-keys.pem"]}))
    ran = run(*REPORT)
    facts = _facts(ran)
    assert facts["integrations"]["value"] == {"count": 1, "byProvider": [{"provider": "simulated_keys", "health": "ok", "count": 1}]}
    # The key of the tenant, and the index key of all.
    assert facts["dataKeys"]["value"]["byState"] == {"active": 2}
    assert facts["checkpointKeys"]["found"] == "1 as audit.example; the first signs"
    shown = ran.out + ran.err + run("report", "compliance").out
    secrets = [(home / "client.secret").read_text(), (home / "keyring").read_text().splitlines()[0].partition(":")[2]]
    secrets += [line for line in (home / "checkpoint-keys.pem").read_text().splitlines() if not line.startswith("-")]
    assert all(secret for secret in secrets)
    assert [secret for secret in secrets if secret in shown] == []


def test_what_the_settings_choose_is_shown(run, home, monkeypatch):
    settings = {"EVENTS": "false", "FOUR_EYES": "true", "RECORD_USES": "false", "RATE_LIMITS": '{"verify_per_minute": 0}'}
    token = {"sha256": "0" * 64, "actor": "service:all", "tenants": "*", "permissions": ["reveal"]}
    for name, value in {**settings, "TOKENS": json.dumps([token])}.items():
        monkeypatch.setenv(f"CLOUD_INTEGRATIONS_{name}", value)
    facts = _facts(run(*REPORT))
    assert [facts[name]["found"] for name in ("events", "fourEyes", "uses")] == ["off", "on", "not recorded"]
    assert "verify without limit" in facts["limits"]["found"]
    assert facts["tokens"]["value"] == {"count": 1, "revealAll": ["service:all"]}


@pytest.mark.parametrize("name", ["mine", "20261399-ab12"])
def test_a_key_whose_name_has_no_day_has_an_age_that_is_not_known(run, home, name):
    keyring = home / "keyring"
    keyring.write_text(f"{name}:{keyring.read_text().splitlines()[0].partition(':')[2]}\n")
    # The key has another name now, and nothing is sealed under the old one.
    fact = _facts(run(*REPORT))["wrappingKeys"]
    assert (fact["known"], fact["value"]["keys"][0]["madeOn"]) == (False, None)
    assert "age not known" in fact["found"]


def test_keys_of_checkpoints_that_do_not_answer_are_not_known(run, home, monkeypatch):
    def fail(_):
        raise KeyServiceUnavailableError

    assert run("audit", "new-key", "--file", "checkpoint-keys.pem").code == 0
    monkeypatch.setenv("CLOUD_INTEGRATIONS_CHECKPOINTS", json.dumps({"name": "audit.example", "keys": ["file:checkpoint-keys.pem"]}))
    monkeypatch.setattr(AuditLog, "checkpoint_keys", fail)
    fact = _facts(run(*REPORT))["checkpointKeys"]
    assert (fact["known"], fact["value"], fact["found"].startswith("not known: ")) == (False, None, True)


def test_a_connection_that_does_not_say_whether_it_is_encrypted_is_not_known(run, home, monkeypatch):
    def fail(_):
        raise OperationalError("SELECT", {}, Exception("fake"))

    monkeypatch.setattr("cloud_integrations_cli.actions.report.find_encryption", fail)
    fact = _facts(run(*REPORT))["database"]
    assert (fact["known"], fact["value"]["connection"]) == (False, None)


def test_an_operators_log_that_is_broken_is_told_and_has_its_exit_code(run, home):
    assert run("incident", "freeze", "--provider", "simulated_keys", "--reason", "a test", "--yes").code == 0
    assert run(*REPORT).code == 0
    with sqlite3.connect(home / "cloud-integrations.db") as connection:
        changed = connection.execute("UPDATE ci_audit SET action = 'freeze.ended' WHERE action = 'freeze.begun'").rowcount
    connection.close()
    assert changed
    ran = run(*REPORT)
    assert ran.code == 11
    assert "BROKEN" in _facts(ran)["operatorLog"]["found"]


def test_a_server_says_how_it_is_reached_and_whether_rows_are_hidden(run, home, own_postgresql_url, monkeypatch):
    monkeypatch.setenv("CLOUD_INTEGRATIONS_DATABASE_URL", own_postgresql_url)
    assert run("db", "upgrade").code == 0
    facts = _facts(run(*REPORT))
    assert facts["database"]["value"]["connection"] in {"local", "encrypted"}
    assert facts["rowSecurity"] | {"controls": []} == {
        "name": "rowSecurity",
        "title": "Row security",
        "known": True,
        "found": production.NO_ROW_SECURITY,
        "value": {"on": False, "possible": True},
        "controls": [],
    }
