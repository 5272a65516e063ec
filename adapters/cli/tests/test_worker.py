"""`worker` as operators run it: real processes on one database, and a provider that counts."""

from __future__ import annotations

import asyncio
import json
import re
import signal
import sqlite3
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx
import pytest
import sqlalchemy

from cloud_integrations import RenewalRun, RoundFailed
from cloud_integrations.errors import StorageUnavailableError
from cloud_integrations.testing import Misbehaviour, SimulatedProvider
from cloud_integrations_cli import wiring
from cloud_integrations_cli.actions import worker
from cloud_integrations_cli.engines import open_engine
from cloud_integrations_cli.render import Output, Screen
from cloud_integrations_cli.settings import load

from .conftest import PATIENCE, start

pytestmark = pytest.mark.programs

COUNTS = [
    "rounds",
    "claimed",
    "renewed",
    "postponed",
    "reconnectRequired",
    "gone",
    "failed",
    "revoked",
    "abandoned",
    "waitingRevocations",
    "delivered",
    "givenUp",
]


def connect(home: Path, provider: SimulatedProvider, count: int, *, due: bool = True) -> None:
    """Connect tenants by OAuth2; *due* moves the time of their renewal into the past."""
    with wiring.open_manager(load(home / "cloud-integrations.toml")) as opened:
        manager = opened.acting_as("grace")
        for number in range(count):
            tenant = f"tenant-{number}"
            begun = manager.begin_oauth(tenant, "simulated", name="Cloud account")
            answer = parse_qsl(urlsplit(provider.sign_in(begun.url)).query)
            manager.complete_oauth(begun.context_id, answer, browser_token=begun.browser_token)
    if due:
        make_due(home)


def make_due(home: Path) -> None:
    execute(home, "UPDATE ci_integration SET due_at = 1")


def execute(home: Path, statement: str) -> None:
    [database] = home.glob("*.db")
    with closing(sqlite3.connect(database, timeout=PATIENCE)) as connection, connection:
        connection.execute(statement)


def until(condition: Callable[[], Any], what: str) -> None:
    """Look again and again until *condition* holds; fail when it never does."""
    give_up = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > give_up:
            pytest.fail(f"did not happen: {what}")
        time.sleep(0.002)


def wait_for_a_request(provider: SimulatedProvider) -> None:
    until(lambda: provider.refresh_count, "a refresh request")


@pytest.fixture
def held(provider: SimulatedProvider, monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """The provider answers a refresh only when this is set, however fast or slow the machine is."""
    go_on, receive = threading.Event(), provider.receive

    @contextmanager
    def receive_and_wait(method: str, path: str, **named: Any) -> Iterator[Any]:
        with receive(method, path, **named) as answer:
            if provider.refresh_count:
                go_on.wait(PATIENCE)
            yield answer

    monkeypatch.setattr(provider, "receive", receive_and_wait)
    yield go_on
    go_on.set()


class Running:
    """A worker that is a process of its own, telling what it does as lines of JSON."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        assert process.stderr is not None
        self.process = process
        self._lines = process.stderr
        self.told: list[dict[str, Any]] = []

    def until(self, event: str) -> dict[str, Any]:
        """Read until the worker tells *event*."""
        for line in self._lines:
            assert line.startswith("{"), line
            self.told.append(json.loads(line))
            if self.told[-1].get("event") == event:
                return self.told[-1]
        pytest.fail(f"the worker ended before it told {event!r}: {self.told}")

    def heard(self, number: int) -> bool:
        """Whether the worker has begun to stop: it handles each signal only once."""
        status = Path(f"/proc/{self.process.pid}/status").read_text(encoding="utf-8")
        [caught] = re.findall(r"^SigCgt:\s+([0-9a-f]+)$", status, re.MULTILINE)
        return not int(caught, 16) & 1 << (number - 1)

    def stop(self, number: int = signal.SIGTERM) -> dict[str, Any]:
        self.process.send_signal(number)
        return self.ended()

    def ended(self) -> dict[str, Any]:
        stopped = self.until("stopped")
        assert self.process.wait(timeout=PATIENCE) == 0
        return stopped


@pytest.fixture
def working(home: Path) -> Iterator[Any]:
    processes: list[subprocess.Popen[str]] = []

    def begin(*words: str) -> Running:
        processes.append(start("worker", "-o", "json", *words, cwd=home))
        return Running(processes[-1])

    yield begin
    for process in processes:
        process.kill()
        process.communicate()


def test_one_pass_renews_all_that_is_due_and_prints_the_counts(home, provider, run):
    connect(home, provider, 5)
    ran = run("worker", "--once", "--batch", "2", "-o", "json")
    assert ran.code == 0, ran.err
    assert list(ran.data()) == COUNTS
    assert ran.data() == dict.fromkeys(COUNTS, 0) | {"rounds": 3, "claimed": 5, "renewed": 5}
    assert json.loads(ran.err.splitlines()[0]) == {
        "event": "round",
        "claimed": 2,
        "renewed": 2,
        "postponed": 0,
        "reconnectRequired": 0,
        "gone": 0,
        "failed": 0,
    }
    assert provider.refresh_count == 5
    again = run("worker", "--once")
    assert (again.code, again.err) == (0, "")
    assert re.search(r"^Renewed +0$", again.out, re.MULTILINE)
    assert re.search(r"^Waiting revocations +0$", again.out, re.MULTILINE)


def test_what_is_not_due_yet_is_left_alone(home, provider, run):
    connect(home, provider, 1, due=False)
    assert run("worker", "--once", "-o", "json").data()["claimed"] == 0
    assert provider.refresh_count == 0


def test_one_pass_tells_what_could_not_be_renewed(home, provider, run):
    connect(home, provider, 2)
    provider.misbehave(Misbehaviour.UNAVAILABLE)
    provider.revoke_grant()
    ran = run("worker", "--once")
    assert ran.code == 0
    assert "postponed 1" in ran.err
    assert "reconnect required 1" in ran.err


def test_one_pass_revokes_what_waits(home, provider, run):
    connect(home, provider, 1, due=False)
    provider.misbehave(Misbehaviour.UNAVAILABLE, endpoint="revoke", times=2)
    run("integrations", "delete", "simulated", "-t", "tenant-0", "--yes")
    execute(home, "UPDATE ci_outbox SET next_attempt_at = 1")
    data = run("worker", "--once", "-o", "json").data()
    assert (data["revoked"], data["waitingRevocations"]) == (2, 0)


@pytest.mark.requirement("REF-03")
def test_two_workers_at_once_renew_each_token_once(home, provider):
    connect(home, provider, 24)
    words = ("worker", "--once", "--batch", "4", "-o", "json")
    processes = [start(*words, cwd=home) for _ in range(2)]
    ended = [process.communicate(timeout=PATIENCE) for process in processes]
    assert [process.returncode for process in processes] == [0, 0], ended
    done = [json.loads(out)["data"] for out, _ in ended]
    assert sum(each["renewed"] for each in done) == 24, done
    assert (provider.refresh_count, provider.in_flight_max) == (24, 1)
    assert not any(request.reused for request in provider.requests)


@pytest.mark.requirement("REF-03")
@pytest.mark.requirement("REF-10")
@pytest.mark.parametrize("database", ["postgresql", "mariadb"])
def test_one_of_two_workers_is_stopped_in_the_middle_and_the_other_goes_on(home, provider, run, working, request, monkeypatch, database):
    monkeypatch.setenv("CLOUD_INTEGRATIONS_DATABASE_URL", request.getfixturevalue(f"{database}_url"))
    assert run("db", "upgrade").code == 0
    with open_engine(load(home / "cloud-integrations.toml")) as engine:
        empty(engine)  # other tests use this database, too
    connect(home, provider, 12, due=False)
    provider.misbehave(Misbehaviour.SLOW, times=None, delay=timedelta(seconds=0.05), endpoint="refresh")
    with open_engine(load(home / "cloud-integrations.toml")) as engine, engine.begin() as connection:
        connection.exec_driver_sql("UPDATE ci_integration SET due_at = 1")
    workers = [working("--batch", "2", "--interval", "1", "--health-port", "0") for _ in range(2)]
    addresses = [worker.until("ready")["health"] for worker in workers]
    wait_for_a_request(provider)
    stopped = workers[0].stop()
    with httpx.Client(trust_env=False) as client:
        with pytest.raises(httpx.ConnectError):
            client.get(addresses[0])

        def renewed() -> int:
            answer = client.get(addresses[1])
            assert answer.status_code == 200
            return int(answer.json()["renewed"])

        until(lambda: stopped["renewed"] + renewed() == 12, "the other worker has renewed the rest")
    assert stopped["renewed"] + workers[1].stop()["renewed"] == 12
    assert (provider.refresh_count, provider.in_flight_max) == (12, 1)
    assert not any(request.reused for request in provider.requests)
    with open_engine(load(home / "cloud-integrations.toml")) as engine:
        empty(engine)


def empty(engine):
    with engine.begin() as connection:
        for table in sqlalchemy.inspect(engine).get_table_names():
            if table.startswith("ci_") and table != "ci_alembic_version":
                connection.exec_driver_sql(f"DELETE FROM {table}")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_works_until_it_is_asked_to_stop(home, provider, working, number):
    connect(home, provider, 2)
    worker = working()
    assert worker.until("ready")["health"] is None
    assert worker.until("round")["renewed"] == 2
    stopped = worker.stop(number)
    assert (stopped["renewed"], stopped["rounds"]) == (2, 1)


@pytest.mark.requirement("REF-10")
def test_asked_to_stop_it_lets_a_renewal_end_and_begins_no_other(home, provider, run, working, held):
    connect(home, provider, 2)
    worker = working("--batch", "1")
    wait_for_a_request(provider)
    worker.process.send_signal(signal.SIGTERM)
    until(lambda: worker.heard(signal.SIGTERM), "the worker has heard the signal")
    held.set()
    assert worker.ended()["renewed"] == 1
    assert provider.refresh_count == 1
    assert run("worker", "--once", "-o", "json").data()["renewed"] == 1
    assert not any(request.reused for request in provider.requests)


@pytest.mark.requirement("REF-10")
async def test_a_round_that_takes_too_long_is_left_and_what_was_sent_is_still_stored(home, provider, monkeypatch, held):
    monkeypatch.setattr("cloud_integrations.runtime.repetition.GRACE", 0)
    await asyncio.to_thread(connect, home, provider, 1)
    configuration = load(home / "cloud-integrations.toml")
    report, stop = worker.Report(Screen(Output.JSON)), asyncio.Event()
    async with wiring.unstarted_async_manager(configuration) as manager:
        working = asyncio.create_task(manager.worker.run(stop, limit=10, on_round=report.tell))
        await asyncio.to_thread(wait_for_a_request, provider)
        stop.set()
        await working
        assert (report.totals.rounds, report.totals.renewed) == (0, 0)
        held.set()
    make_due(home)
    async with wiring.open_async_manager(configuration) as manager:
        assert (await manager.worker.refresh_due()).renewed == 1
    assert not any(request.reused for request in provider.requests)


def test_the_health_endpoint_shows_counts_and_nobodys_name(home, provider, working):
    connect(home, provider, 1)
    worker = working("--health-port", "0")
    url = worker.until("ready")["health"]
    assert urlsplit(url).hostname == "127.0.0.1"
    worker.until("round")
    with httpx.Client(trust_env=False) as client:
        answer = client.get(url)
        assert answer.status_code == 200
        body = answer.json()
        assert list(body) == [
            "status", "lastRound", "rounds", "renewed", "postponed", "reconnectRequired", "failed", "waitingRevocations"
        ]  # fmt: skip
        assert (body["status"], body["rounds"], body["renewed"], body["failed"]) == ("ok", 1, 1, 0)
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT[\d:.]+Z", body["lastRound"])
        assert "tenant-0" not in answer.text
        assert client.get(url.replace("/health", "/")).status_code == 404
        assert client.post(url).status_code == 405
    worker.stop()


def test_metrics_are_shown_beside_the_health_where_that_is_asked_for(home, provider, working, run):
    connect(home, provider, 1)
    worker = working("--health-port", "0", "--metrics")
    url = worker.until("ready")["health"].replace("/health", "/metrics")
    worker.until("round")
    with httpx.Client(trust_env=False) as client:
        text = client.get(url).text
    worker.stop()
    labels = f'provider="{provider.slug}",outcome="ok"'
    assert f'cloud_integrations_operations_total{{operation="renew",{labels}}} 1' in text
    assert f"cloud_integrations_renewal_duration_seconds_count{{{labels}}} 1" in text
    assert f'cloud_integrations_integrations{{provider="{provider.slug}",health="ok"}} 1' in text
    assert "tenant-0" not in text
    refused = run("worker", "--metrics")
    assert refused.code == 2
    assert "--health-port" in refused.err


def test_a_worker_without_a_round_for_three_intervals_is_stale():
    totals = worker.Totals()
    assert totals.as_health(interval=30)[0] == 200
    totals.seen_at -= 91
    status, body = totals.as_health(interval=30)
    assert (status, body["status"], body["lastRound"]) == (503, "stale", None)
    totals.add_renewals(RenewalRun())
    assert totals.as_health(interval=30)[0] == 200


def test_trouble_is_told_with_the_name_of_the_database_and_the_pause(capsys):
    report = worker.Report(Screen(), database="integrations.db")
    report.tell(RoundFailed(error=StorageUnavailableError(), retry_in=timedelta(seconds=2)))
    report.tell_stopped()
    first, last = capsys.readouterr().err.splitlines()
    assert first.startswith("integrations.db ")
    assert first.endswith("once more in 2.0 s")
    assert last == "stopped; nothing to do"


def test_a_database_that_is_away_is_told_and_waited_for(home, provider, working):
    connect(home, provider, 1)
    database, aside = home / "cloud-integrations.db", home / "aside.db"
    database.rename(aside)
    database.symlink_to(home, target_is_directory=True)
    worker = working("--health-port", "0", "--interval", "1")
    worker.until("ready")
    trouble = worker.until("trouble")
    assert trouble["code"] == "storage/unavailable"
    # In one step: a worker that looked in between would make an empty database of its own.
    aside.replace(database)
    assert worker.until("round")["renewed"] == 1
    worker.stop()


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["--batch", "0"], "--batch"),
        (["--batch", "many"], "--batch"),
        (["--interval", "0"], "--interval"),
        (["--health-port", "70000"], "--health-port"),
        (["--once", "--health-port", "0"], "--health-port"),
    ],
)
def test_a_wrong_option_is_named(home, run, words, named):
    ran = run("worker", *words)
    assert ran.code == 2
    assert named in ran.err


def test_a_missing_schema_is_told_at_once(home, run):
    (home / "cloud-integrations.db").unlink()
    for words in (["worker"], ["worker", "--once"]):
        ran = run(*words)
        assert ran.code == 8, ran.err


def test_a_store_that_failed_in_between_has_its_exit_code(home, run, monkeypatch):
    async def failing(self, stop, *, on_round, **_):
        on_round(RenewalRun(claimed=1, failed=1))

    monkeypatch.setattr("cloud_integrations.manager.worker.AsyncWorker.run", failing)
    ran = run("worker", "--once", "-o", "json")
    assert (ran.code, ran.data()["failed"]) == (7, 1)
