"""Four workers share out what is due: the time of a claim by the size of the table, memory, and whether anything came twice.

In each table a few integrations are real: connected to a provider that listens, renewed by `refresh_due` in four processes at once, and
counted by that provider.  The others are copies of their rows.  Then all are due, and four processes claim them batch after batch.
Times are printed and decide nothing; the exit code says whether every row was claimed once and every token renewed once.
"""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing
import statistics
import sys
import time
from array import array
from collections import Counter
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Self
from urllib.parse import parse_qsl, urlsplit

from bench.mariadb import throwaway_mariadb
from bench.memory import resident
from bench.postgresql import NoServerError, throwaway_database
from sqlalchemy import Connection, Engine, NullPool, create_engine, event, func, literal_column, select, text, true, update

from cloud_integrations import (
    AesGcmCipher,
    AsyncIntegrationManager,
    AsyncSqlAlchemyStore,
    Catalogue,
    IntegrationManager,
    LocalKeyring,
    OAuthApplication,
    Secret,
    Settings,
    SqlAlchemyStore,
)
from cloud_integrations.backends.sqlalchemy import migrate, schema
from cloud_integrations.backends.transport.httpx_transport import AsyncHttpxTransport
from cloud_integrations.runtime.clock import SystemClock
from cloud_integrations.testing import FixedClock, ProviderServer, SimulatedProvider, SimulatedTransport

WORKERS = 4
BATCH = 100
REAL_BATCH = 10
"""Small, so that the workers meet each other in the few rows that are real."""
HOLD = timedelta(minutes=5)
SETTINGS = Settings(callback_url="https://app.example.com/oauth/callback", use_window=None)
_NEVER = datetime(1970, 1, 1, tzinfo=UTC)
SPAWN = multiprocessing.get_context("spawn")
_row = schema.integration


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """What a worker must know.  Secrets are fakes of the simulated provider."""

    database: str
    url: str
    client_id: str
    client_secret: str
    keyring_entry: str
    all_due: datetime
    """A time at which every row is due; the database's own clock counts until then."""
    claims: str
    """The file for the ids that this worker claimed: they would be most of its memory."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Drained:
    """What a worker did in its part of the backlog; memory in MiB, when it was warm and at the most."""

    seconds: array[float]
    warm: float
    most: float


# A worker


def _renew(task: Task, engine: Engine) -> int:
    return asyncio.run(_renew_all(task, engine))


async def _renew_all(task: Task, engine: Engine) -> int:
    described = SimulatedProvider(base_url=task.url)
    renewed = 0
    async with AsyncIntegrationManager(
        store=AsyncSqlAlchemyStore(engine),
        transport=AsyncHttpxTransport(),
        keys=LocalKeyring([Secret(task.keyring_entry)]),
        cipher=AesGcmCipher(),
        providers=Catalogue.of(*described.catalogue_entries()),
        applications=[OAuthApplication(provider=described.slug, client_id=task.client_id, client_secret=Secret(task.client_secret))],
        settings=SETTINGS,
    ) as manager:
        while (run := await manager.worker.refresh_due(limit=REAL_BATCH)).claimed:
            renewed += run.renewed
    return renewed


def _drain(task: Task, engine: Engine) -> Drained:
    store = SqlAlchemyStore(engine, clock=FixedClock(task.all_due))
    seconds = array("d")
    warm = most = resident()
    with Path(task.claims).open("wb") as claims:
        while True:
            began = time.perf_counter()
            claimed = store.claim_due(limit=BATCH, hold=HOLD)
            seconds.append(time.perf_counter() - began)
            if not claimed:
                return Drained(seconds=seconds, warm=warm, most=max(most, resident()))
            claims.write(b"".join(each.integration_id.bytes for each in claimed))
            if len(seconds) == 5:  # the connection is open, the statement compiled and prepared
                warm = resident()
            elif len(seconds) % 50 == 0:
                most = max(most, resident())


def _work(task: Task, line: Any) -> None:
    engine = create_engine(task.database, hide_parameters=True)
    for step in (_renew, _drain):
        line.send("ready")
        line.recv()
        line.send(step(task, engine))
    engine.dispose()


# A table


def _connect(provider: SimulatedProvider, keyring: LocalKeyring, engine: Engine, count: int) -> None:
    with IntegrationManager(
        store=SqlAlchemyStore(engine),
        transport=SimulatedTransport(provider),
        keys=keyring,
        cipher=AesGcmCipher(),
        providers=Catalogue.of(*provider.catalogue_entries()),
        applications=[provider.application()],
        settings=SETTINGS,
    ) as opened:
        manager = opened.acting_as("alice")
        for number in range(count):
            begun = manager.begin_oauth(f"real-{number}", provider.slug, name="Production")
            params = parse_qsl(urlsplit(provider.sign_in(begun.url)).query)
            manager.complete_oauth(begun.context_id, params, browser_token=begun.browser_token)


def _copy_rows(connection: Connection, count: int, *, due: datetime) -> None:
    """Fill the table with copies of a row, due within the hour after *due*, in another order than they lie on the disk."""
    if connection.dialect.name == "postgresql":
        numbers, unique = func.generate_series(1, count).table_valued("n").render_derived(), func.gen_random_uuid()
    else:
        numbers, unique = select(literal_column("seq").label("n")).select_from(text(f"seq_1_to_{count}")).subquery(), func.uuid()
    first = int(due.timestamp() * 1_000_000)
    step = 3_600_000_000 // count
    made = {
        "tenant_id": func.concat("tenant-", numbers.c.n),
        "integration_id": unique,
        "due_at": first + numbers.c.n * 2_654_435_761 % count * step,
    }
    rows = (
        select(*(made.get(column.name, column) for column in _row.columns))
        .join_from(_row, numbers, true())
        .where(_row.c.tenant_id == "real-0")
    )
    connection.execute(_row.insert().from_select([column.name for column in _row.columns], rows))


class Table:
    """A table with *rows* integrations, of which *real* are connected to a provider."""

    def __init__(self, opened: AbstractContextManager[Any], *, rows: int, real: int) -> None:
        self._opened, self._rows, self._real = opened, rows, real

    def __enter__(self) -> Self:
        self._stack = ExitStack()
        try:
            self._open()
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def _open(self) -> None:
        url = self._stack.enter_context(self._opened)
        self.engine = create_engine(url, poolclass=NullPool)
        migrate.upgrade(self.engine)
        self.provider = SimulatedProvider(clock=SystemClock())
        server = self._stack.enter_context(ProviderServer(self.provider))
        entry = LocalKeyring.generate_key("bench")
        _connect(self.provider, LocalKeyring([entry]), self.engine, self._real)
        filled = datetime.now(UTC) + timedelta(hours=2)
        with self.engine.begin() as connection:
            _copy_rows(connection, self._rows - self._real, due=filled)
            connection.execute(update(_row).where(_row.c.tenant_id.startswith("real-")).values(due_at=1))
        _look_after(self.engine)
        application = self.provider.application()
        assert application.client_secret is not None
        self.task = Task(
            database=url.render_as_string(hide_password=False),
            url=server.url,
            client_id=application.client_id,
            client_secret=application.client_secret.reveal(),
            keyring_entry=entry.reveal(),
            all_due=filled + timedelta(hours=2),
            claims="",
        )

    def plan(self) -> list[str]:
        """Return how the database would run the statement that finds what is due, in its own words."""
        engine = create_engine(self.task.database, poolclass=NullPool)
        sent: list[tuple[str, Any]] = []
        event.listen(engine, "before_cursor_execute", lambda *given: sent.append(given[2:4]))
        SqlAlchemyStore(engine, clock=FixedClock(_NEVER)).claim_due(limit=BATCH, hold=HOLD)
        statement, parameters = next(each for each in sent if "SKIP LOCKED" in each[0])
        with engine.connect() as connection:
            lines = connection.exec_driver_sql(f"EXPLAIN {statement}", parameters)
            return [" ".join(str(value) for value in line) for line in lines if "ci_integration" in str(line)]

    def share_out(self) -> Outcome:
        """Let the workers renew what is real, then claim everything."""
        with TemporaryDirectory() as folder:
            files = [Path(folder, f"{number}.claims") for number in range(WORKERS)]
            with _crew([replace(self.task, claims=str(file)) for file in files]) as crew:
                renewed = sum(_together(crew))
                blocks = self._index_blocks()
                drained: list[Drained] = _together(crew)
            blocks = self._index_blocks() - blocks
            claims = [file.read_bytes() for file in files]
        asked = [request for request in self.provider.requests if request.grant_type == "refresh_token"]
        ids = [claim[at : at + 16] for claim in claims for at in range(0, len(claim), 16)]
        presented = Counter(request.presented for request in asked)
        return Outcome(
            drained=drained,
            left_out=self._rows - len(set(ids)),
            claimed_twice=len(ids) - len(set(ids)),
            not_renewed=self._real - renewed,
            renewed_twice=sum(request.reused for request in asked) + presented.total() - len(presented),
            blocks=blocks / -(-self._rows // BATCH),
            blocks_after_vacuum=self._blocks_after_vacuum(),
        )

    def _blocks_after_vacuum(self) -> float:
        _look_after(self.engine)
        before, batches = self._index_blocks(), 20
        store = SqlAlchemyStore(self.engine, clock=FixedClock(self.task.all_due + timedelta(hours=1)))
        for _ in range(batches):
            store.claim_due(limit=BATCH, hold=HOLD)
        return (self._index_blocks() - before) / batches

    def _index_blocks(self) -> int:
        """Return how many blocks of the index over due times were looked at so far; a session tells it when it ends."""
        if self.engine.dialect.name != "postgresql":
            return 0
        with self.engine.connect() as connection:
            looked_at = "SELECT idx_blks_hit + idx_blks_read FROM pg_statio_user_indexes WHERE indexrelname = 'ci_integration_due'"
            return int(connection.exec_driver_sql(looked_at).scalar_one())


@contextmanager
def _crew(tasks: list[Task]) -> Iterator[list[Any]]:
    """Give the lines to a process per task, which all take the same two steps."""
    lines, running = [], []
    for task in tasks:
        ours, theirs = SPAWN.Pipe()
        process = SPAWN.Process(target=_work, args=(task, theirs))
        process.start()
        theirs.close()  # so that a process that dies is not waited for
        lines.append(ours)
        running.append(process)
    yield lines
    for process in running:
        process.join()


def _together(crew: list[Any]) -> list[Any]:
    for line in crew:
        line.recv()
    for line in crew:
        line.send("go")
    return [line.recv() for line in crew]


def _look_after(engine: Engine) -> None:
    """Do what the database would do by itself some minutes after so many new rows."""
    statement = "VACUUM (ANALYZE) ci_integration" if engine.dialect.name == "postgresql" else "ANALYZE TABLE ci_integration"
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.exec_driver_sql(statement).close()


# What is shown


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of one table."""

    drained: list[Drained]
    left_out: int
    claimed_twice: int
    not_renewed: int
    renewed_twice: int
    blocks: float
    """Of the index over due times, looked at by a claim; other work on the machine does not move it."""
    blocks_after_vacuum: float

    @property
    def right(self) -> bool:
        """Whether every row was claimed once and every real token renewed once."""
        return not (self.left_out or self.claimed_twice or self.not_renewed or self.renewed_twice)

    def milliseconds(self, part: slice = slice(None), /) -> list[float]:
        """Return the times of the claims that found something, of all workers; *part* is the part of each worker's."""
        return sorted(1000 * seconds for each in self.drained for seconds in each.seconds[:-1][part])


def _measure(place: str, opened: AbstractContextManager[Any], *, rows: int, real: int) -> Outcome:
    with Table(opened, rows=rows, real=real) as table:
        for line in table.plan() if rows >= 10_000 else ():
            print(f"{place:10} {rows:>9,} plan: {line.strip()}")
        outcome = table.share_out()
    taken = outcome.milliseconds()
    tenth = max(len(taken) // WORKERS // 10, 1)
    first, last = (statistics.median(outcome.milliseconds(part)) for part in (slice(tenth), slice(-tenth, None)))
    index = (
        f"{'':20}  blocks of the index a claim {outcome.blocks:.0f}, after a vacuum {outcome.blocks_after_vacuum:.0f}\n"
        if outcome.blocks
        else ""
    )
    memory = " ".join(f"{each.warm:.1f}→{each.most:.1f}" for each in outcome.drained)
    print(
        f"{place:10} {rows:>9,}  {len(taken):>6,} batches of {BATCH}"
        f"  p50 {statistics.median(taken):.2f} ms  p95 {taken[len(taken) * 95 // 100]:.2f} ms"
        f"  first tenth {first:.2f} ms, last {last:.2f} ms  memory MiB {memory}\n"
        f"{index}"
        f"{'':20}  claimed twice {outcome.claimed_twice}, left out {outcome.left_out};"
        f" of {real} tokens renewed twice {outcome.renewed_twice}, not renewed {outcome.not_renewed}",
        flush=True,
    )
    return outcome


def main() -> None:
    """Measure and print; the exit code says whether every row was claimed once and every token renewed once, however long it took."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="2,000 and 20,000 rows, without MariaDB")
    quick = parser.parse_args().quick
    real = 60 if quick else 100
    sizes = [2_000, 20_000] if quick else [10_000, 100_000, 1_000_000]
    right = True
    try:
        outcomes = [_measure("PostgreSQL", throwaway_database(), rows=rows, real=real) for rows in sizes]
        right = all(outcome.right for outcome in outcomes)
        smallest, largest = (statistics.median(outcome.milliseconds()) for outcome in (outcomes[0], outcomes[-1]))
        grown = max(each.most / each.warm for each in outcomes[-1].drained)
        print(
            f"{sizes[-1]:,} rows to {sizes[0]:,}: time of a claim × {largest / smallest:.2f};"
            f" memory of a worker over its {sizes[-1]:,} × {grown:.2f}"
        )
    except NoServerError as error:
        print(f"PostgreSQL: not measured: {error}")
    if not quick:
        try:
            right &= _measure("MariaDB", throwaway_mariadb(), rows=100_000, real=real).right
        except NoServerError as error:
            print(f"MariaDB: not measured: {error}")
    print("every row claimed once, every token renewed once: " + ("always" if right else "NOT ALWAYS"))
    sys.exit(not right)


if __name__ == "__main__":
    main()
