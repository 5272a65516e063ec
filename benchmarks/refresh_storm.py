"""Fifty callers, and four times fifty, want one token that has ended: requests sent, failed callers, whether the grant lives, the wait.

The provider replaces refresh tokens and takes 50 ms to answer.  `strict`: a spent one is refused; `family`: it also ends the grant.
Peers stand beside us where they are installed; they have no store of their own, so each process has what it read at the start.
Two floors say what the machine itself takes: as many callers that read one row, and as many that wait while one thread sleeps 50 ms.
"""

from __future__ import annotations

import argparse
import multiprocessing
import statistics
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Self
from urllib.parse import parse_qsl, urlsplit

from bench.mariadb import throwaway_mariadb
from bench.postgresql import NoServerError, throwaway_database
from bench.storm import CALLERS, Result, Storm, Task, in_threads
from bench.storm_peers import PEERS, is_installed
from sqlalchemy import Engine, NullPool, create_engine, make_url, text

from cloud_integrations import (
    SYSTEM,
    AesGcmCipher,
    Catalogue,
    IntegrationManager,
    LocalKeyring,
    OAuthApplication,
    Secret,
    Settings,
    SqlAlchemyStore,
)
from cloud_integrations.backends.sqlalchemy import migrate, sqlite_engine
from cloud_integrations.backends.transport.httpx_transport import HttpxTransport
from cloud_integrations.protocol.http import HttpRequest, HttpResponse
from cloud_integrations.runtime.sync import run_inline
from cloud_integrations.testing import FixedClock, Misbehaviour, ProviderServer, SimulatedProvider, SimulatedTransport

TENANT = "acme"
LATENCY = timedelta(milliseconds=50)
OURS = "IntegrationManager.credential"
DEADLY = "IntegrationManager.credential, to be killed"
ONE_ROW = "floor: read one row"
ONE_WAIT = "floor: wait while one sleeps"
PATIENCE = 120.0
"""Seconds after which a caller that has not come back is said to hang: far more than any wait that the settings allow."""
# A process that is forked knows the modules already; started from nothing, each of hundreds would load them first.
PROCESSES: Any = multiprocessing.get_context("forkserver" if "forkserver" in multiprocessing.get_all_start_methods() else "spawn")
PRELOADED = [
    "cloud_integrations.backends.aes_gcm",
    "cloud_integrations.backends.transport.httpx_transport",
    "cloud_integrations.backends.keys.local",
    "cloud_integrations.backends.sqlalchemy",
    "cloud_integrations.manager",
    "cloud_integrations.testing",
    "psycopg",
    "sqlalchemy.dialects.mysql",
    "sqlalchemy.dialects.postgresql",
    "msal",
    "requests_oauthlib",
    "google.auth.transport.requests",
    "google.oauth2.credentials",
]


# In a process of callers


class _TellingTransport:
    """Says when the answer is there, and waits for the end."""

    def __init__(self, transport: HttpxTransport, line: Any) -> None:
        self._transport, self._line = transport, line

    def send(self, request: HttpRequest, /, *, deadline: timedelta) -> HttpResponse:
        response = self._transport.send(request, deadline=deadline)
        self._line.send("answered")
        threading.Event().wait(PATIENCE)
        return response

    def close(self) -> None:
        self._transport.close()


def _engine(database: str) -> Engine:
    url = make_url(database)
    return sqlite_engine(url.database or "") if url.drivername == "sqlite" else create_engine(url, pool_size=10, max_overflow=0)


def _manager(task: Task, line: Any = None) -> IntegrationManager:
    described = SimulatedProvider(reuse=task.mode, base_url=task.url)
    transport = HttpxTransport()
    return IntegrationManager(
        store=SqlAlchemyStore(_engine(task.database)),
        transport=transport if line is None else _TellingTransport(transport, line),
        keys=LocalKeyring([Secret(task.keyring_entry)]),
        cipher=AesGcmCipher(),
        providers=Catalogue.of(*described.catalogue_entries()),
        applications=[OAuthApplication(provider=described.slug, client_id=task.client_id, client_secret=Secret(task.client_secret))],
        settings=Settings(
            callback_url="https://app.example.com/oauth/callback",
            lease=timedelta(seconds=task.lease),
            deadline=timedelta(seconds=task.deadline),
        ),
    ).acting_as(SYSTEM)


def _ours(task: Task) -> Storm:
    manager = _manager(task)
    manager.start()
    if task.warm:
        # As a server that has served: statements are compiled, certificates read.  The token asked for so is not kept in memory.
        (integration,) = manager.list_integrations(TENANT)
        manager.refresh(TENANT, integration.id)
        manager.credential(TENANT, "simulated", min_ttl=timedelta(seconds=31))
    return lambda: (in_threads(lambda: manager.credential(TENANT, "simulated")), "")


def _read_one_row(task: Task) -> Storm:
    engine = _engine(task.database)
    statement = text("SELECT state, expires_at, presented FROM ci_integration WHERE tenant_id = :tenant")

    def read() -> None:
        with engine.connect() as connection:
            connection.execute(statement, {"tenant": TENANT}).first()

    read()
    return lambda: (in_threads(read), "")


def _wait_while_one_sleeps(task: Task) -> Storm:  # noqa: ARG001  # as the others
    lock, slept = threading.Lock(), threading.Event()

    def wait() -> None:
        if lock.acquire(blocking=False):
            time.sleep(LATENCY.total_seconds())
            slept.set()
        slept.wait()

    return lambda: (in_threads(wait), "")


CONTESTANTS: dict[str, Callable[[Task], Storm]] = {**PEERS, ONE_ROW: _read_one_row, ONE_WAIT: _wait_while_one_sleeps, OURS: _ours}


def _process(name: str, task: Task, line: Any) -> None:
    if name == DEADLY:
        manager = _manager(task, line)
        manager.start()
        line.send("ready")
        line.recv()
        manager.credential(TENANT, "simulated")
        return
    storm = CONTESTANTS[name](task)
    line.send("ready")
    line.recv()
    line.send(storm())


def _begin(name: str, task: Task) -> tuple[Any, Any]:
    """Start a process and return it with the line to it."""
    ours, theirs = PROCESSES.Pipe()
    process = PROCESSES.Process(target=_process, args=(name, task, theirs))
    process.start()
    theirs.close()
    return process, ours


# One run


class Stage:
    """A provider that listens, and an account at it whose access token has ended."""

    def __init__(self, mode: Any, database: str = "") -> None:
        self.provider = SimulatedProvider(clock=FixedClock(datetime.now(UTC) - timedelta(hours=2)), reuse=mode)
        self._mode, self._database = mode, database

    def __enter__(self) -> Self:
        self._server = ProviderServer(self.provider)
        self._server.__enter__()
        application = self.provider.application()
        assert application.client_secret is not None
        entry = LocalKeyring.generate_key("bench").reveal()
        self.task = Task(
            mode=self._mode,
            url=self._server.url,
            client_id=application.client_id,
            client_secret=application.client_secret.reveal(),
            refresh_token=self.provider.issue_grant().refresh.reveal(),
            database=self._database,
            keyring_entry=entry,
        )
        if self._database:
            self._connect()
        self.provider.misbehave(Misbehaviour.SLOW, times=None, endpoint="refresh", delay=LATENCY)
        return self

    def __exit__(self, *_: object) -> None:
        self._server.__exit__(None, None, None)

    def _connect(self) -> None:
        self._engine = create_engine(make_url(self._database), poolclass=NullPool)
        self.manager = IntegrationManager(
            store=SqlAlchemyStore(self._engine),
            transport=SimulatedTransport(self.provider),
            keys=LocalKeyring([Secret(self.task.keyring_entry)]),
            cipher=AesGcmCipher(),
            providers=Catalogue.of(*self.provider.catalogue_entries()),
            applications=[self.provider.application()],
            settings=Settings(callback_url="https://app.example.com/oauth/callback"),
        ).acting_as("alice")
        with self._engine.begin() as connection:
            for table in ("integration", "audit", "audit_head", "key", "key_check"):
                connection.exec_driver_sql(f"DELETE FROM ci_{table}")  # noqa: S608  # names from the line above
        begun = self.manager.begin_oauth(TENANT, self.provider.slug, name="Production")
        params = parse_qsl(urlsplit(self.provider.sign_in(begun.url)).query)
        self.manager.complete_oauth(begun.context_id, params, browser_token=begun.browser_token)

    def _end_access(self) -> None:
        with self._engine.begin() as connection:
            connection.exec_driver_sql(
                "UPDATE ci_integration SET expires_at = expires_at - 7200000000, refreshed_at = refreshed_at - 7200000000"
            )

    def held(self) -> Secret:
        """Return the refresh token in the database."""
        wiring = self.manager._wiring  # noqa: SLF001  # no public door shows a refresh token
        (integration,) = self.manager.list_integrations(TENANT)
        row = run_inline(wiring.store.find_integration(integration.tenant_id, integration.id))
        assert row is not None
        token = run_inline(wiring.sealer.open_token(row, "refresh"))
        assert token is not None
        return token

    def storm(self, name: str, processes: int, *, beside_a_death: bool = False) -> Result:
        """Let all callers go at once, and wait for them; *beside_a_death*: when a process is killed that has asked and not stored."""
        task = replace(self.task, lease=1.0, deadline=0.5, warm=False) if beside_a_death else self.task
        running = [_begin(name, task) for _ in range(processes)]
        deadly = [_begin(DEADLY, task)] if beside_a_death else []
        for _, line in [*running, *deadly]:
            line.recv()
        if self._database:
            self._end_access()
        before = self.provider.refresh_count
        for _, line in deadly:
            line.send("go")
            line.recv()
        for _, line in running:
            line.send("go")
        for process, _ in deadly:
            process.kill()
        until = time.monotonic() + PATIENCE
        answers = [line.recv() if line.poll(max(until - time.monotonic(), 0)) else None for _, line in running]
        for (process, _), answer in zip(running, answers, strict=True):
            if answer is None:
                process.kill()
            process.join()
        came = [answer for answer in answers if answer is not None]
        held = [self.held()] if self._database else [Secret(token) for _, token in came if token]
        return Result(
            requests=self.provider.refresh_count - before,
            told=[told for tolds, _ in came for told in tolds],
            alive=any(self.provider.is_alive(token) for token in held),
            hanging=len(answers) - len(came),
        )


def _databases(stack: ExitStack, *, quick: bool) -> Iterator[tuple[str, str]]:
    path = Path(stack.enter_context(TemporaryDirectory())) / "storm.db"
    migrate.upgrade(sqlite_engine(path))
    yield "SQLite", f"sqlite:///{path}"
    openers: dict[str, Callable[[], Any]] = {"PostgreSQL": throwaway_database}
    if not quick:
        openers["MariaDB"] = throwaway_mariadb
    for name, opened in openers.items():
        try:
            url = stack.enter_context(opened()).render_as_string(hide_password=False)
        except NoServerError as error:
            print(f"{name}: not measured: {error}")
            continue
        migrate.upgrade(create_engine(url, poolclass=NullPool))
        yield name, url


def _range(values: list[float]) -> str:
    return f"{min(values):.0f}/{statistics.median(values):.0f}/{max(values):.0f}"


def _measure(name: str, place: str, database: str, *, processes: int, mode: str, repeats: int) -> bool:
    """Print a line; return whether each storm was one request that failed nobody."""
    results = []
    for _ in range(repeats):
        with Stage(mode, database) as stage:
            results.append(stage.storm(name, processes))
    over = statistics.median(result.p95 for result in results) - LATENCY.total_seconds() * 1000
    goal = "" if place != "PostgreSQL" else ", goal 30: reached" if over <= 30 else ", goal 30: MISSED"
    print(
        f"{name:39} {place:10} {processes} × {CALLERS} {mode:6}  requests {_range([r.requests for r in results]):>11}"
        f"  failed {_range([r.failed for r in results]):>11}  alive {sum(r.alive for r in results)}/{repeats}"
        f"  p95 over latency {over:6.0f} ms{goal}",
        flush=True,
    )
    if errors := Counter(told.error for result in results for told in result.told if told.error):
        print(f"{'':39} {dict(errors)}")
    return all(r.requests == 1 and not r.failed and r.alive and not r.hanging for r in results)


def _measure_floor(name: str, place: str, database: str, *, processes: int, repeats: int) -> None:
    results = []
    for _ in range(repeats):
        with Stage("strict", database) as stage:
            results.append(stage.storm(name, processes))
    wait = statistics.median(result.p95 for result in results) - (LATENCY.total_seconds() * 1000 if name == ONE_WAIT else 0)
    print(f"{name:39} {place:10} {processes} × {CALLERS}{'':50} p95 {wait:19.0f} ms", flush=True)


def _measure_death(place: str, database: str, *, modes: tuple[str, ...], repeats: int) -> bool:
    """Kill the lease's holder with the provider's answer in its hands, while others want the token."""
    right = True
    for mode in modes:
        error = None if mode == "grace" else "ReconnectRequiredError"
        results = []
        for _ in range(repeats):
            with Stage(mode, database) as stage:
                results.append(stage.storm(OURS, 2, beside_a_death=True))
        outcomes = {told.error for result in results for told in result.told}
        words = {None: "recovered", "ReconnectRequiredError": "flagged"}
        print(
            f"{'lease holder killed, answer not stored':39} {place:10} 2 × {CALLERS} {mode:6}"
            f"  requests {_range([r.requests for r in results]):>11}  hanging {sum(r.hanging for r in results)}"
            f"  outcome {', '.join(sorted(words.get(outcome, str(outcome)) for outcome in outcomes))}"
            f"  longest wait {max(told.seconds for result in results for told in result.told):.1f} s",
            flush=True,
        )
        right &= outcomes == {error} and not any(result.hanging for result in results)
    return right


def main() -> None:
    """Measure and print; the exit code says whether each of our storms ended as it must, however long it took."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one repeat, without MariaDB, in one mode, and peers in one process")
    quick = parser.parse_args().quick
    repeats = 1 if quick else 5
    modes = ("family",) if quick else ("strict", "family")
    if PROCESSES.get_start_method() == "forkserver":
        PROCESSES.set_forkserver_preload(PRELOADED)
    for name in PEERS:
        if not is_installed(name):
            print(f"{name:39} not installed")
            continue
        for processes in (1,) if quick else (1, 4):
            for mode in modes:
                _measure(name, "none", "", processes=processes, mode=mode, repeats=repeats)
    right = True
    with ExitStack() as stack:
        for place, database in _databases(stack, quick=quick):
            for processes in (4,) if quick else (1, 4):
                for floor in (ONE_ROW, ONE_WAIT):
                    _measure_floor(floor, place, database, processes=processes, repeats=repeats)
                for mode in modes:
                    right &= _measure(OURS, place, database, processes=processes, mode=mode, repeats=repeats)
            right &= _measure_death(place, database, modes=("grace", *modes), repeats=repeats)
    print("1 request, 0 failed, grant alive; after a death recovered or flagged; nobody hangs: " + ("always" if right else "NOT ALWAYS"))
    sys.exit(not right)


if __name__ == "__main__":
    main()
