"""`doctor --production` finds what an installation lacks that serves others."""

from __future__ import annotations

import sqlite3
import ssl
import threading
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from tests.authorities import Authority

from cloud_integrations.backends.sqlalchemy.databases import PostgreSQL, SQLite
from cloud_integrations.domain.work_report import DueCount, OutboxCount, WorkReport
from cloud_integrations.manager.worker import Worker
from cloud_integrations_cli.actions.production import STRICT

JSON = ("--production", "-o", "json")
OURS = {
    *("database connection", "public address", "key age", "record_uses", "rate limits", "tokens that reveal"),
    *("worker", "outbox", "checkpoint", "checkpoint age"),
}


def _checks(ran):
    return {check["name"]: check for check in ran.data()["checks"]}


def _set(home, text):
    """Put settings before the tables of the file, in place of those of the same name."""
    file = home / "cloud-integrations.toml"
    names = tuple(f"{line.partition(' ')[0]} =" for line in text.splitlines())
    file.write_text("\n".join([text, *(line for line in file.read_text().splitlines() if not line.startswith(names))]))


def test_it_checks_all_that_doctor_checks_and_more(run, home):
    usual, more = _checks(run("doctor", "-o", "json")), _checks(run("doctor", *JSON))
    assert usual.keys() <= more.keys()
    assert more.keys() - usual.keys() <= OURS
    assert not usual.keys() & OURS


def test_some_warnings_are_problems_in_production(run, home):
    assert _checks(run("doctor", "-o", "json"))["address"]["result"] == "warning"
    ran = run("doctor", *JSON)
    assert ran.code == 8
    assert _checks(ran)["address"]["result"] == "problem"
    assert not any(check["result"] == "warning" for name, check in _checks(ran).items() if name in STRICT)


def test_settings_that_cannot_be_read_are_told_once(run, home):
    (home / "cloud-integrations.toml").write_text("port = 'x'")
    assert list(_checks(run("doctor", *JSON))) == ["settings"]


def test_sqlite_is_for_one_machine(run, home):
    found = _checks(run("doctor", *JSON))["database connection"]
    assert (found["result"], "PostgreSQL" in found["advice"]) == ("warning", True)


def test_a_connection_on_this_machine_needs_no_encryption(run, home, postgresql_url, monkeypatch):
    monkeypatch.setenv("CLOUD_INTEGRATIONS_DATABASE_URL", postgresql_url)
    assert _checks(run("doctor", *JSON))["database connection"]["message"] in {"leads to this machine", "is encrypted"}


@pytest.mark.parametrize("server", ["postgresql_url", "mariadb_url"])
def test_each_server_says_whether_a_connection_is_encrypted(run, home, monkeypatch, request, server):
    monkeypatch.setenv("CLOUD_INTEGRATIONS_DATABASE_URL", request.getfixturevalue(server))
    monkeypatch.setattr("cloud_integrations_cli.actions.production._LOCAL", set())
    found = _checks(run("doctor", *JSON))["database connection"]
    assert (found["result"], found["message"]) in {("problem", "is not encrypted"), ("ok", "is encrypted")}


def test_a_connection_to_another_machine_must_be_encrypted(run, home, postgresql_url, monkeypatch):
    monkeypatch.setenv("CLOUD_INTEGRATIONS_DATABASE_URL", postgresql_url)
    monkeypatch.setattr("cloud_integrations_cli.actions.production._LOCAL", set())
    for answer, result in (("SELECT false", "problem"), ("SELECT true", "ok")):
        monkeypatch.setattr(PostgreSQL, "encryption", answer)
        found = _checks(run("doctor", *JSON))["database connection"]
        assert found["result"] == result
    monkeypatch.setattr(PostgreSQL, "encryption", "SELECT nothing")
    assert _checks(run("doctor", *JSON))["database connection"]["message"] == "could not be looked at"
    # A database from outside, whose file does not say how to ask.
    monkeypatch.setattr(PostgreSQL, "encryption", SQLite.encryption)
    assert _checks(run("doctor", *JSON))["database connection"]["result"] == "problem"


def test_a_database_that_is_away_is_told_once(run, home, monkeypatch):
    monkeypatch.setenv("CLOUD_INTEGRATIONS_DATABASE_URL", "postgresql+none://127.0.0.1:1/none")
    found = _checks(run("doctor", *JSON))
    assert found["database"]["result"] == "problem"
    assert "database connection" not in found


@pytest.fixture
def served(home):
    """Serve TLS as localhost, with the certificate that a test asks for."""
    servers = []

    def serve(*, days, trusted=True):
        authority = Authority()
        certificate, key = authority.issue("localhost", end=datetime.now(UTC) + timedelta(days=days))
        (home / "server.pem").write_text(certificate + key)
        (home / "ca.pem").write_text(authority.pem if trusted else Authority("Another").pem)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(home / "server.pem")
        server = HTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler)
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        _set(home, f'public_url = "https://localhost:{server.server_port}"\nca_file = "ca.pem"')

    yield serve
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize(("days", "result"), [(90, "ok"), (13, "problem")])
def test_the_certificate_of_the_public_address_must_not_end_soon(run, served, days, result):
    served(days=days)
    found = _checks(run("doctor", *JSON))["public address"]
    assert (found["result"], "ends on 20" in found["message"]) == (result, True)


def test_a_certificate_that_is_not_trusted_is_a_problem(run, served):
    served(days=90, trusted=False)
    found = _checks(run("doctor", *JSON))["public address"]
    assert (found["result"], "not trusted" in found["message"]) == ("problem", True)


def test_an_address_that_is_not_reached_from_here_may_be_reached_by_others(run, home):
    _set(home, 'public_url = "https://localhost:9"')
    assert _checks(run("doctor", *JSON))["public address"]["result"] == "warning"


def test_certificates_that_cannot_be_read_are_told_once(run, home):
    _set(home, 'public_url = "https://localhost:9"\nca_file = "nothing.pem"')
    found = _checks(run("doctor", *JSON))
    assert found["certificates"]["result"] == "problem"
    assert "public address" not in found


@pytest.mark.parametrize(("days", "result"), [(1, "ok"), (366, "warning")])
def test_a_key_that_is_older_than_a_year_is_told(run, home, days, result):
    made = datetime.now(UTC) - timedelta(days=days)
    keyring = home / "keyring"
    keyring.write_text(f"{made:%Y%m%d}-ab12:{keyring.read_text().splitlines()[0].partition(':')[2]}\n")
    found = _checks(run("doctor", *JSON))["key age"]
    assert (found["result"], f"{made:%Y-%m-%d}" in found["message"]) == (result, True)


def test_a_key_without_a_date_says_nothing_of_its_age(run, home):
    keyring = home / "keyring"
    keyring.write_text(f"mine:{keyring.read_text().splitlines()[0].partition(':')[2]}\n")
    found = _checks(run("doctor", *JSON))["key age"]
    assert (found["result"], found["message"]) == ("ok", "local:mine does not say when it was made")


def test_keys_that_are_missing_are_told_once(run, home):
    (home / "keyring").unlink()
    found = _checks(run("doctor", *JSON))
    assert found["keys"]["result"] == "problem"
    assert "key age" not in found


def test_uses_without_a_trace_are_a_problem(run, home):
    _set(home, "record_uses = false")
    assert _checks(run("doctor", *JSON))["record_uses"]["result"] == "problem"


def test_limits_that_are_off_and_tokens_for_everything_are_told(run, home):
    file = home / "cloud-integrations.toml"
    file.write_text(
        file.read_text()
        + "\n[rate_limits]\nverify_per_minute = 0\n"
        + f'[[tokens]]\nsha256 = "{"0" * 64}"\nactor = "service:all"\ntenants = "*"\npermissions = ["reveal"]\n'
    )
    found = _checks(run("doctor", *JSON))
    assert found["rate limits"]["message"] == "verify_per_minute: no limit"
    assert found["tokens that reveal"]["message"] == "service:all may read the credentials of every tenant"


@pytest.mark.parametrize("wrong", ["proxy.example", "10.0.0.0/33", "*"])
def test_a_proxy_that_is_no_network_is_refused_and_not_repeated(run, home, wrong):
    _set(home, f'trusted_proxies = ["{wrong}"]')
    found = _checks(run("doctor", *JSON))["settings"]
    assert "must be addresses or networks" in found["message"]
    assert wrong not in found["message"]


@pytest.mark.parametrize(("minutes", "result"), [(1, "ok"), (11, "problem")])
def test_what_is_due_and_unclaimed_shows_that_no_worker_works(run, added, home, minutes, result):
    due = datetime.now(UTC) - timedelta(minutes=minutes)
    with sqlite3.connect(home / "cloud-integrations.db") as connection:
        connection.execute("UPDATE ci_integration SET due_at = ?", (int(due.timestamp() * 1_000_000),))
    connection.close()
    found = _checks(run("doctor", *JSON))["worker"]
    assert (found["result"], "1 renewals since" in found["message"]) == (result, result == "problem")


def test_entries_that_nobody_delivers_are_told(run, home, monkeypatch):
    ago = datetime.now(UTC) - timedelta(days=2)
    entries = OutboxCount(kind="revocation", count=3, since=ago, due_since=ago)
    monkeypatch.setattr(Worker, "report", lambda _self: WorkReport(due=DueCount(count=0), outbox=(entries,)))
    found = _checks(run("doctor", *JSON))
    assert (found["worker"]["result"], "3 entries of kind revocation since" in found["worker"]["message"]) == ("problem", True)
    assert (found["outbox"]["result"], f"{ago:%Y-%m-%d}" in found["outbox"]["message"]) == ("warning", True)


def test_without_a_database_nothing_is_said_of_the_worker(run, home):
    (home / "keyring").unlink()
    assert "worker" not in _checks(run("doctor", *JSON))


def test_checkpoints_are_asked_for(run, home):
    assert _checks(run("doctor", *JSON))["checkpoint"]["result"] == "warning"
    with (home / "cloud-integrations.toml").open("a") as file:
        file.write('\n[checkpoints]\nname = "audit.example.com"\n')
    assert "checkpoint" not in _checks(run("doctor", *JSON))


@pytest.mark.parametrize(("days", "result"), [(1, "ok"), (8, "problem")])
def test_an_old_checkpoint_is_a_problem(run, home, days, result):
    taken = datetime.now(UTC) - timedelta(days=days)
    (home / "note").write_text(f"title\ntime {taken.isoformat(timespec='microseconds')}\n")
    found = _checks(run("doctor", *JSON, "--checkpoint", home / "note"))["checkpoint age"]
    assert (found["result"], f"{taken:%Y-%m-%d}" in found["message"]) == (result, True)


@pytest.mark.parametrize(
    "text", [None, "", "time 2026-11-29T20:00:00.000000+99:00", "time yesterday", "time 2026-11-29T20:00:00.000000000000"]
)
def test_a_file_that_is_no_checkpoint_is_told(run, home, text):
    if text is not None:
        (home / "note").write_text(text)
    assert _checks(run("doctor", *JSON, "--checkpoint", home / "note"))["checkpoint age"]["result"] == "problem"


def test_a_checkpoint_is_looked_at_in_production_alone(run, home):
    assert run("doctor", "--checkpoint", home / "note").code == 2
