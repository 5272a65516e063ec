"""Every data key was replaced, and all rows are sealed anew while somebody reads: rows per second, memory, and what the readers notice.

The limit is the bare driver, which reads the same bytes and writes them back, 200 rows a transaction, without opening anything.
What readers notice is shown beside what they notice of the bare driver, when it writes the same rows as fast as we did.
Times are printed and decide nothing; the exit code says whether no row was left under an old key and every one opens.
"""

from __future__ import annotations

import argparse
import multiprocessing
import random
import statistics
import sys
import time
from array import array
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from tempfile import TemporaryDirectory
from typing import Any

from bench.mariadb import throwaway_mariadb
from bench.memory import resident
from bench.postgresql import NoServerError, throwaway_database
from bench.resealing import BATCH, Table, Task, open_engine, opened_manager, tenant_of
from sqlalchemy import URL, make_url

MOST_READS = 1_000_000
PAUSE = 0.005
"""Seconds between two reads, so that the reader leaves the sweep a processor."""
SPAWN = multiprocessing.get_context("spawn")


@dataclass(frozen=True, slots=True, kw_only=True)
class Swept:
    """How the sweep went; memory in MiB after a tenth of the rows, and at the most."""

    changed: int
    failures: int
    seconds: float
    warm: float
    most: float


# The processes


def _sweep(task: Task, line: Any) -> None:
    engine = open_engine(task.database)
    sizes: list[float] = []
    with opened_manager(engine, task.keyring_entry) as manager:
        line.send("ready")
        line.recv()
        began = time.perf_counter()
        run = manager.keys.reseal(share=task.share, progress=lambda _: sizes.append(resident()))
        seconds = time.perf_counter() - began
    warm = sizes[len(sizes) // 10]
    line.send(Swept(changed=run.changed, failures=len(run.failures), seconds=seconds, warm=warm, most=max(sizes)))
    engine.dispose()


def _write_back(task: Task, line: Any) -> None:
    """Read every row with the bare driver and write it back, as fast as the sweep was."""
    engine = open_engine(task.database)
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
    engine = open_engine(task.database)
    chance = random.Random(1)  # noqa: S311  # who is read next, not a secret
    with opened_manager(engine, task.keyring_entry) as manager:

        def read(count: int, stop: Callable[[], bool]) -> array[float]:
            seconds = array("d")
            for _ in range(count):
                tenant = tenant_of(chance.randrange(task.tenants))
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
