"""Every data key was replaced, and all rows are sealed anew while somebody reads: rows per second, memory, and what the readers notice.

The limit is the bare driver, which reads the same bytes and writes them back, 200 rows a transaction, without opening anything.
What readers notice is shown beside what they notice of the bare driver, when it writes the same rows as fast as we did.
Times are printed and decide nothing; the exit code says whether no row was left under an old key and every one opens.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import random
import resource
import statistics
import sys
import time
from array import array
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Self
from urllib.parse import parse_qsl, urlsplit
from uuid import UUID

from bench.mariadb import throwaway_mariadb
from bench.postgresql import NoServerError, throwaway_database
from sqlalchemy import URL, Engine, create_engine, make_url, select

from cloud_integrations import Actor, AesGcmCipher, Catalogue, IntegrationManager, LocalKeyring, Secret, Settings, SqlAlchemyStore
from cloud_integrations.backends.sqlalchemy import migrate, schema, sqlite_engine
from cloud_integrations.domain.envelope import KeyState, SealingContext, WrappedKey
from cloud_integrations.domain.identifiers import TenantId, uuid7
from cloud_integrations.testing import SimulatedProvider, SimulatedTransport

PER_TENANT = 5
BATCH = 200
LENGTH = 1_000
"""Characters of a token; the limit writes as many bytes as we do."""
FIELDS = ("presented", "renewal")
MOST_READS = 1_000_000
PAUSE = 0.005
"""Seconds between two reads, so that the reader leaves the sweep a processor."""
SPAWN = multiprocessing.get_context("spawn")
SETTINGS = Settings(callback_url="https://app.example.com/oauth/callback", use_window=None, token_cache=timedelta())


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """What a process must know.  The keys and tokens are fakes of this run."""

    database: str
    keyring_entry: str
    tenants: int
    share: float = 1.0
    batch_time: float = 0.0
    """Seconds that the bare driver takes for 200 rows: as many as we took."""
    reads: int
    """How many reads are measured before the sweep begins."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Swept:
    """How the sweep went; memory in MiB after a tenth of the rows, and at the most."""

    changed: int
    failures: int
    seconds: float
    warm: float
    most: float


def _open_engine(database: str) -> Engine:
    url = make_url(database)
    return sqlite_engine(url.database or "") if url.drivername == "sqlite" else create_engine(url, hide_parameters=True)


@contextmanager
def _manager(engine: Engine, entry: str) -> Iterator[IntegrationManager]:
    provider = SimulatedProvider()
    with IntegrationManager(
        store=SqlAlchemyStore(engine),
        transport=SimulatedTransport(provider),
        keys=LocalKeyring([Secret(entry)]),
        cipher=AesGcmCipher(),
        providers=Catalogue.of(*provider.catalogue_entries()),
        applications=[provider.application()],
        settings=SETTINGS,
    ) as manager:
        yield manager


# The processes


def _resident() -> float:
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * resource.getpagesize() / 2**20


def _sweep(task: Task, line: Any) -> None:
    engine = _open_engine(task.database)
    sizes: list[float] = []
    with _manager(engine, task.keyring_entry) as manager:
        line.send("ready")
        line.recv()
        began = time.perf_counter()
        run = manager.keys.reseal(share=task.share, progress=lambda _: sizes.append(_resident()))
        seconds = time.perf_counter() - began
    warm = sizes[len(sizes) // 10]
    line.send(Swept(changed=run.changed, failures=len(run.failures), seconds=seconds, warm=warm, most=max(sizes)))
    engine.dispose()


def _write_back(task: Task, line: Any) -> None:
    """Read every row with the bare driver and write it back, as fast as the sweep was."""
    engine = _open_engine(task.database)
    driver = engine.raw_connection()
    cursor = driver.cursor()
    mark = "?" if engine.dialect.paramstyle == "qmark" else "%s"
    place = "tenant_id, integration_id"
    page = f"SELECT {place}, presented, renewal FROM ci_integration WHERE tenant_id > ? OR tenant_id = ? AND integration_id > ?"  # noqa: S608  # names and marks of ours
    page = f"{page} ORDER BY {place} LIMIT {BATCH}".replace("?", mark)
    change = "UPDATE ci_integration SET presented = ?, renewal = ? WHERE tenant_id = ? AND integration_id = ?".replace("?", mark)
    cursor.execute(f"SELECT {place} FROM ci_integration ORDER BY {place} LIMIT 1")  # noqa: S608  # as above
    after = cursor.fetchone()
    driver.commit()
    line.send("ready")
    line.recv()
    while True:
        began = time.perf_counter()
        cursor.execute(page, (after[0], *after))
        rows = cursor.fetchall()
        if not rows:
            break
        after = rows[-1][:2]
        cursor.executemany(change, [(access, refresh, *where) for *where, access, refresh in rows])
        driver.commit()
        time.sleep(max(0.0, task.batch_time - (time.perf_counter() - began)))
    line.send("done")
    driver.close()
    engine.dispose()


def _read(task: Task, line: Any) -> None:
    """Read tokens of tenants by chance: so many before the sweep, then until it has ended."""
    engine = _open_engine(task.database)
    chance = random.Random(1)  # noqa: S311  # who is read next, not a secret
    with _manager(engine, task.keyring_entry) as manager:

        def read(count: int, stop: Callable[[], bool]) -> array[float]:
            seconds = array("d")
            for _ in range(count):
                tenant = _tenant(chance.randrange(task.tenants))
                began = time.perf_counter()
                manager.credential(tenant, "simulated")
                seconds.append(time.perf_counter() - began)
                time.sleep(PAUSE)
                if stop():
                    break
            return seconds

        read(task.reads // 4, lambda: False)
        before = read(task.reads, lambda: False)
        line.send("ready")
        line.recv()
        during = read(MOST_READS, line.poll)
        line.send((before, during))
    engine.dispose()


# The rows


def _tenant(number: int) -> str:
    return f"tenant-{number}"


def _text(row: str, field: str) -> bytes:
    return f"fake-{field}-{row}-".ljust(LENGTH, "x").encode()


def _context(tenant: str, row: str, field: str) -> tuple[tuple[str, str], ...]:
    return SealingContext(tenant=tenant, table="ci_integration", row=row, field=field, gen=1).pairs()


class Table:
    """A database with *rows* integrations, all sealed under keys that were replaced."""

    def __init__(self, opened: AbstractContextManager[URL], *, rows: int, reads: int) -> None:
        self._opened, self.rows, self._reads = opened, rows, reads

    def __enter__(self) -> Self:
        self._stack = ExitStack()
        try:
            url = self._stack.enter_context(self._opened)
            entry = LocalKeyring.generate_key("bench").reveal()
            tenants = self.rows // PER_TENANT
            self.task = Task(database=url.render_as_string(hide_password=False), keyring_entry=entry, tenants=tenants, reads=self._reads)
            self.engine = _open_engine(self.task.database)
            self._stack.callback(self.engine.dispose)
            migrate.upgrade(self.engine)
            self._fill()
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def _fill(self) -> None:
        template = self._template()
        keyring, cipher, provider_ids = LocalKeyring([Secret(self.task.keyring_entry)]), AesGcmCipher(), [template["provider_id"]]
        provider_ids += [UUID(int=number) for number in range(1, PER_TENANT)]
        now = datetime.now(UTC)

        def key(tenant: str, version: int) -> tuple[bytes, dict[str, Any]]:
            data_key, key_id = os.urandom(32), uuid7(now, os.urandom(10))
            kek, wrapped = keyring.wrap(data_key, tenant_id=tenant, key_id=key_id, version=version)
            row = {
                "tenant_id": tenant,
                "key_id": key_id,
                "version": version,
                "state": "active" if version == 2 else "decrypt_only",
                "active_marker": 1 if version == 2 else None,
                "suite": 1,
                "kek_uri": kek.kek_uri,
                "kek_key_id": kek.kek_key_id,
                "wrapped": wrapped,
                "created_at": 1,
                "retired_at": None if version == 2 else 2,
                "destroyed_at": None,
            }
            return data_key, row

        for numbers in _batched(self.task.tenants):
            keys, rows = [], []
            for number in numbers:
                tenant = _tenant(number)
                data_key, old = key(tenant, 1)
                keys += [old, key(tenant, 2)[1]]
                for provider_id in provider_ids:
                    row = uuid7(now, os.urandom(10))
                    sealed = {
                        field: cipher.seal(
                            _text(str(row), field), key=data_key, key_id=old["key_id"].bytes, context=_context(tenant, str(row), field)
                        )
                        for field in FIELDS
                    }
                    about = {"tenant_id": tenant, "integration_id": row, "provider_id": provider_id, "key_id": old["key_id"]}
                    rows.append({**template, **about, **sealed, "generation": 1})
            with self.engine.begin() as connection:
                connection.execute(schema.key.insert(), keys)
                connection.execute(schema.integration.insert(), rows)

    def _template(self) -> dict[str, Any]:
        """Return a row as the library writes it, and leave the tables empty."""
        provider = SimulatedProvider()
        manager = IntegrationManager(
            store=SqlAlchemyStore(self.engine),
            transport=SimulatedTransport(provider),
            keys=LocalKeyring([Secret(self.task.keyring_entry)]),
            cipher=AesGcmCipher(),
            providers=Catalogue.of(*provider.catalogue_entries()),
            applications=[provider.application()],
            settings=SETTINGS,
        )
        begun = manager.begin_oauth("first", provider.slug, name="Production", actor=Actor(id="alice"))
        params = parse_qsl(urlsplit(provider.sign_in(begun.url)).query)
        manager.complete_oauth(begun.context_id, params, browser_token=begun.browser_token, actor=Actor(id="alice"))
        with self.engine.begin() as connection:
            row = connection.execute(select(schema.integration)).mappings().one()
            for table in (schema.integration, schema.authorization, schema.key):
                connection.execute(table.delete())
        return {**row, "expires_at": None, "due_at": None}

    def bare(self) -> float:
        """Return the rows a second that the bare driver reads and writes back, in a table with the same bytes."""
        driver = self.engine.raw_connection()
        mark = "?" if self.engine.dialect.paramstyle == "qmark" else "%s"
        cursor = driver.cursor()
        kind = {"postgresql": "BYTEA", "sqlite": "BLOB"}.get(self.engine.dialect.name, "LONGBLOB")
        cursor.execute(f"CREATE TABLE bench_bare (n INTEGER PRIMARY KEY, key_id INTEGER, a {kind}, r {kind})")
        sealed = os.urandom(LENGTH + 101)
        count = min(self.rows, 20_000)
        insert = "INSERT INTO bench_bare VALUES (?, 1, ?, ?)".replace("?", mark)
        page = f"SELECT n, a, r FROM bench_bare WHERE n > ? ORDER BY n LIMIT {BATCH}".replace("?", mark)  # noqa: S608  # numbers and marks of ours
        change = "UPDATE bench_bare SET key_id = ?, a = ?, r = ? WHERE n = ? AND key_id = ?".replace("?", mark)
        cursor.executemany(insert, [(n, sealed, sealed) for n in range(count)])
        driver.commit()
        began = time.perf_counter()
        after = -1
        while True:
            cursor.execute(page, (after,))
            rows = cursor.fetchall()
            if not rows:
                break
            after = rows[-1][0]
            cursor.executemany(change, [(2, a, r, n, 1) for n, a, r in rows])
            driver.commit()
        seconds = time.perf_counter() - began
        cursor.execute("DROP TABLE bench_bare")
        driver.commit()
        driver.close()
        return count / seconds

    def left(self) -> int:
        """Return how many rows are still sealed under a replaced key."""
        return sum(usage.rows for usage in SqlAlchemyStore(self.engine).list_key_usage() if usage.state is KeyState.DECRYPT_ONLY)

    def opened(self) -> int:
        """Return how many rows open, under the active key, to what they were."""
        store, keyring, cipher = SqlAlchemyStore(self.engine), LocalKeyring([Secret(self.task.keyring_entry)]), AesGcmCipher()
        right = 0
        after: tuple[TenantId, int] | None = None
        while page := store.list_keys(after=after, limit=500):
            after = TenantId(page[-1].tenant_id), page[-1].version
            active: dict[UUID, WrappedKey] = {key.key_id: key for key in page if key.state is KeyState.ACTIVE}
            keys = {key_id: keyring.unwrap(key) for key_id, key in active.items()}
            for row in store.list_sealed([(TenantId(key.tenant_id), key.key_id) for key in active.values()], limit=self.rows):
                right += all(
                    cipher.open(
                        row.sealed[field], key=keys[row.key_id], key_id=row.key_id.bytes, context=_context(row.tenant_id, row.row, field)
                    )
                    == _text(row.row, field)
                    for field in FIELDS
                )
        return right


def _batched(count: int) -> Iterator[range]:
    return (range(start, min(start + 500, count)) for start in range(0, count, 500))


def _beside_a_reader(task: Task, work: Callable[[Task, Any], None]) -> tuple[Any, array[float], array[float]]:
    """Do *work* in a process while another reads; return what came of it, and the seconds of each read before and meanwhile."""
    lines, running = [], []
    for each in (work, _read):
        ours, theirs = SPAWN.Pipe()
        process = SPAWN.Process(target=each, args=(task, theirs))
        process.start()
        theirs.close()  # so that a process that dies is not waited for
        lines.append(ours)
        running.append(process)
    worker, reader = lines
    for line in (reader, worker):
        line.recv()
    for line in (reader, worker):
        line.send("go")
    done = worker.recv()
    reader.send("stop")
    before, during = reader.recv()
    for process in running:
        process.join()
    return done, before, during


# What is shown


def _p99(seconds: array[float]) -> float:
    return 1000 * sorted(seconds)[len(seconds) * 99 // 100]


def _measure(place: str, opened: AbstractContextManager[URL], *, rows: int, reads: int, share: float) -> bool:
    with Table(opened, rows=rows, reads=reads) as table:
        bare = table.bare()
        swept: Swept
        swept, before, during = _beside_a_reader(replace(table.task, share=share), _sweep)
        left, right = table.left(), table.opened()
        a_second = swept.changed / swept.seconds
        _, calm, beside = _beside_a_reader(replace(table.task, batch_time=BATCH / a_second), _write_back)
    print(
        f"{place:10} {rows:>9,} rows  {a_second:8,.0f} rows/s  bare driver {bare:8,.0f} rows/s: {a_second / bare:.2f} of it"
        f"  memory {swept.warm:.1f}→{swept.most:.1f} MiB: {swept.most / swept.warm:.2f} ×\n"
        f"{'':21}reads, p50 {1000 * statistics.median(before):.2f} → {1000 * statistics.median(during):.2f} ms,"
        f" p99 {_p99(before):.2f} → {_p99(during):.2f} ms: {_p99(during) / _p99(before):.1f} × ({len(during):,} reads during the sweep)\n"
        f"{'':21}the same beside the bare driver, p99 {_p99(calm):.2f} → {_p99(beside):.2f} ms: {_p99(beside) / _p99(calm):.1f} ×\n"
        f"{'':21}changed {swept.changed:,}, failures {swept.failures}, left under an old key {left}, open {right:,}",
        flush=True,
    )
    return (swept.changed, swept.failures, left, right) == (rows, 0, 0, rows)


@contextmanager
def _sqlite() -> Iterator[URL]:
    with TemporaryDirectory() as folder:
        yield make_url(f"sqlite:///{folder}/reseal.db")


def main() -> None:
    """Measure and print; the exit code says whether every row was moved and opens, however long it took."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="600 rows and 100 reads")
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--share", type=float, default=1.0, help="the part of the time that the sweep works")
    options = parser.parse_args()
    rows, reads = (600, 100) if options.quick else (options.rows, 2_000)
    right = True
    for place, opened in (("SQLite", _sqlite), ("PostgreSQL", throwaway_database), ("MariaDB", throwaway_mariadb)):
        try:
            right &= _measure(place, opened(), rows=rows, reads=reads, share=options.share)
        except NoServerError as error:
            print(f"{place:10} not measured: {error}")
    sys.exit(not right)


if __name__ == "__main__":
    main()
