"""An operator looks through all tenants: the time of each page, by filter, beside that of reading one integration in the same run.

One real integration is connected; the others are copies of its row, for tenants of their own, in every state, with ends and uses over a
year.  Times are printed and decide nothing; the exit code says whether the pages held each integration once, as many as were counted.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import parse_qsl, urlsplit
from uuid import UUID

from bench.postgresql import NoServerError, throwaway_database
from sqlalchemy import BigInteger, Connection, Engine, String, case, cast, create_engine, func, literal, null, select

from cloud_integrations import AesGcmCipher, Catalogue, IntegrationManager, LocalKeyring, Settings, SqlAlchemyStore
from cloud_integrations.backends.sqlalchemy import migrate, schema, sqlite_engine
from cloud_integrations.runtime.clock import SystemClock
from cloud_integrations.testing import SimulatedProvider, SimulatedTransport

PAGES = 20
"""How many pages of each filter are timed; of one that admits few, all."""
LIMIT = 50
RARE = UUID("11111111-1111-5111-8111-111111111111")
"""The provider of one integration in fifty; the catalogue does not have it."""
SETTINGS = Settings(callback_url="https://app.example.com/oauth/callback")
_REAL = "real"
_DAY = 24 * 3_600_000_000


@contextmanager
def _sqlite() -> Iterator[Engine]:
    with TemporaryDirectory() as folder:
        engine = sqlite_engine(Path(folder) / "overview.db")
        yield engine
        engine.dispose()


@contextmanager
def _postgresql() -> Iterator[Engine]:
    with throwaway_database() as url:
        engine = create_engine(url, hide_parameters=True)
        yield engine
        engine.dispose()


def _connect(manager: IntegrationManager, provider: SimulatedProvider) -> UUID:
    acting = manager.acting_as("ada")
    begun = acting.begin_oauth(_REAL, provider.slug, name="Production")
    params = parse_qsl(urlsplit(provider.sign_in(begun.url)).query)
    connected = acting.complete_oauth(begun.context_id, params, browser_token=begun.browser_token)
    return connected.integration.id


def _fill(connection: Connection, count: int, *, now: int) -> None:
    """Copy the integration, its key and its newest event *count* times."""
    base = select(literal(1, BigInteger).label("n")).cte("numbers", recursive=True)
    numbers = base.union_all(select(base.c.n + 1).where(base.c.n < count))
    n = numbers.c.n
    mixed = n * 2_654_435_761 % count  # another order than that of the rows
    on_postgresql = connection.dialect.name == "postgresql"
    unique = func.gen_random_uuid() if on_postgresql else func.lower(func.hex(func.randomblob(16)))
    ends, is_key = now + (mixed - count // 2) * (60 * _DAY // count), n % 10 == 5
    made: dict[str, Any] = {
        "ci_integration": {
            "integration_id": unique,
            "provider_id": lambda real: case((n % 50 == 7, RARE), else_=real),
            "state": case(
                (n % 100 == 1, "retry"),
                (n % 100 == 2, "needs_reauth"),
                (n % 100 == 3, "disabled"),
                (n % 1000 == 4, "unknown"),
                else_="active",
            ),
            "reason": case((n % 100 == 1, "server_error"), (n % 100 == 2, "revoked"), (n % 100 == 3, "switched_off")),
            "last_error": case((n % 100 == 1, "server_error")),
            "state_since": now - mixed * (_DAY // count),
            "renewal_rule": case((is_key, "reconnect"), else_="refresh"),
            "renewal": lambda real: case((is_key, null()), else_=real),
            "expires_at": lambda real: case((is_key, ends), else_=real),
            "reconnect_before": case((n % 3 == 0, now + mixed * (180 * _DAY // count))),
            "idle_since": now + 1 - mixed * (365 * _DAY // count),
            "created_at": literal(now - 400 * _DAY, BigInteger),
        },
        "ci_key": {"version": case((n % 1000 == 0, 2), else_=1)},
        "ci_audit": {
            "seq": literal(1, BigInteger),
            "event_id": unique,
            "action": case((n % 4 == 0, "credential.refresh"), else_="credential.used"),
            "outcome": case((n % 100 == 8, "failure"), else_="success"),
            "occurred_at": now - mixed * (_DAY // count),
        },
    }
    for name, columns in made.items():
        table = schema.metadata.tables[name]
        row = connection.execute(select(table).where(table.c.tenant_id == _REAL).limit(1)).mappings().one()
        values = []
        for column in table.columns:
            real = literal(row[column.name], column.type)
            value = literal("tenant-", String).concat(cast(n, String)) if column.name == "tenant_id" else columns.get(column.name, real)
            values.append((value(real) if callable(value) else value).label(column.name))
        connection.execute(table.insert().from_select([column.name for column in table.columns], select(*values).select_from(numbers)))


def _timed(call: Callable[[], Any]) -> tuple[float, Any]:
    began = time.perf_counter()
    found = call()
    return 1000 * (time.perf_counter() - began), found


def _walk(manager: IntegrationManager, named: dict[str, Any]) -> tuple[list[float], list[UUID], bool]:
    """Return the time of each page, the integrations on them, and whether the last page was reached."""
    times: list[float] = []
    found: list[UUID] = []
    after: str | None = None
    for _ in range(PAGES):
        at = {**named, "after": after, "limit": LIMIT}
        taken, page = _timed(lambda at=at: manager.overview.integrations(**at))
        times.append(taken)
        found += [item.integration.id for item in page.items]
        after = page.after
        if after is None:
            return times, found, True
    return times, found, False


def _look(place: str, manager: IntegrationManager, integration: UUID, *, rows: int, now: datetime) -> bool:
    one = statistics.median(_timed(lambda: manager.get_integration(_REAL, integration))[0] for _ in range(200))
    print(f"{place:10} {rows:>9,}  one integration by its id: {one:.2f} ms")
    right = True
    searches: dict[str, dict[str, Any]] = {
        "all": {},
        "one tenant": {"tenant_id": "tenant-7"},
        "a frequent provider": {"provider": "simulated"},
        "a rare provider": {"provider": RARE},
        "healthy": {"health": "ok"},
        "retrying": {"health": "retrying"},
        "to reconnect": {"health": "reconnect_required"},
        "application refused: none": {"health": "application_refused"},
        "ends within 14 days": {"ends_before": now + timedelta(days=14)},
        "unused for 90 days": {"unused_since": now - timedelta(days=90)},
        "unused for 364 days": {"unused_since": now - timedelta(days=364)},
        "key version 2: rare": {"key_version": 2},
        "a method of none": {"method": "another"},
    }
    slowest = 0.0
    for name, named in searches.items():
        times, found, is_whole = _walk(manager, named)
        taken, counted = _timed(lambda named=named: manager.overview.count(**named))
        right &= len(found) == len(set(found)) and (not is_whole or counted.at_least or counted.number == len(found))
        slowest = max(slowest, *times)
        number = f"{counted.number:,}{'+' if counted.at_least else ''}"
        print(
            f"{'':20}  {name:26} {len(times):>2} pages  p50 {statistics.median(times):6.1f} ms  max {max(times):6.1f} ms"
            f"  × {statistics.median(times) / one:5.1f}   count {number:>8} in {taken:6.1f} ms"
        )
    calls: dict[str, Callable[[], Any]] = {
        "history": manager.overview.history,
        "ends": manager.overview.ends,
        "errors": lambda: manager.overview.errors("simulated"),
        "report": manager.overview.report,
    }
    for name, call in calls.items():
        times = [_timed(call)[0] for _ in range(5)]
        print(
            f"{'':20}  {name:26} p50 {statistics.median(times):6.1f} ms  max {max(times):6.1f} ms  × {statistics.median(times) / one:5.1f}"
        )
    print(f"{'':20}  the slowest page: {slowest:.1f} ms, × {slowest / one:.1f}", flush=True)
    return right


def _measure(place: str, opened: AbstractContextManager[Engine], *, rows: int) -> bool:
    now = datetime.now(UTC)
    with opened as engine:
        migrate.upgrade(engine)
        provider = SimulatedProvider(clock=SystemClock())
        with IntegrationManager(
            store=SqlAlchemyStore(engine),
            transport=SimulatedTransport(provider),
            keys=LocalKeyring([LocalKeyring.generate_key("bench")]),
            cipher=AesGcmCipher(),
            providers=Catalogue.of(*provider.catalogue_entries()),
            applications=[provider.application()],
            settings=SETTINGS,
        ) as manager:
            integration = _connect(manager, provider)
            with engine.begin() as connection:
                _fill(connection, rows, now=int(now.timestamp() * 1_000_000))
            with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
                connection.exec_driver_sql("VACUUM (ANALYZE)" if engine.dialect.name == "postgresql" else "ANALYZE")
            return _look(place, manager, integration, rows=rows, now=now)


def main() -> None:
    """Measure and print; the exit code says whether each integration was found once, however long it took."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="20,000 rows in place of 1,000,000")
    rows = 20_000 if parser.parse_args().quick else 1_000_000
    right = _measure("SQLite", _sqlite(), rows=rows)
    try:
        right &= _measure("PostgreSQL", _postgresql(), rows=rows)
    except NoServerError as error:
        print(f"PostgreSQL: not measured: {error}")
    print("each integration found once, and as many as were counted: " + ("always" if right else "NOT ALWAYS"))
    sys.exit(not right)


if __name__ == "__main__":
    main()
