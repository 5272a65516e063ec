"""A million uses in the audit log, counted by integration: for one actor, one provider, one application, an hour, and all of them.

An operator asks this in an incident: what could a leaked caller have read?  The limit is relative: counting everything takes at most
three times as long as the same statement written by hand, in the same run.  The goal, 2 s for a million uses, is told and decides
nothing, because it depends on the machine.
"""

from __future__ import annotations

import argparse
import sys
import time
from datetime import datetime, timedelta
from uuid import UUID

from bench.postgresql import NoServerError, throwaway_database
from sqlalchemy import BigInteger, Engine, LargeBinary, Uuid, cast, create_engine, func, insert, literal, select, text

from cloud_integrations import SqlAlchemyStore
from cloud_integrations.backends.sqlalchemy import migrate, schema
from cloud_integrations.backends.sqlalchemy.clock import micros
from cloud_integrations.domain.audit import EVERY_EVENT, USED, Actor, AuditFilter, Outcome
from cloud_integrations.domain.identifiers import ContextId, ProviderId
from cloud_integrations.testing.clock import START

TENANTS = 1_000
PER_TENANT = 10
ACTORS = 20
PROVIDERS = 5
LENGTH = timedelta(days=30)
LIMIT = 3.0
"""How often the time of the hand-written statement counting everything may take; it makes no values of the rows."""
GOAL = 2.0
"""Seconds for a million uses."""
RUNS = 3
QUICK = 20_000
BY_HAND = text(
    "SELECT tenant_id, resource, count(*), min(occurred_at), max(occurred_at) FROM ci_audit "
    "WHERE action = :used GROUP BY tenant_id, resource"
)


def _uuid_of(number: object) -> object:
    return cast(func.lpad(func.to_hex(number), 32, "0"), Uuid)


def _fill(engine: Engine, rows: int) -> None:
    """Write *rows* uses by 20 actors of 10,000 integrations of 1,000 tenants with 5 providers, over 30 days."""
    step = LENGTH // timedelta(microseconds=1) // rows
    number = func.generate_series(0, rows - 1).table_valued("n").render_derived("number").c.n
    which = number % (TENANTS * PER_TENANT)
    made = {
        "tenant_id": func.concat("tenant-", which % TENANTS),
        "seq": cast(number / TENANTS + 1, BigInteger),
        "event_id": func.gen_random_uuid(),
        "occurred_at": micros(START) + cast(number, BigInteger) * step,
        "actor_type": literal("service"),
        "actor_id": func.concat("caller-", number * 7 // 3 % ACTORS),
        "action": literal(USED),
        "resource": func.concat("integration:", _uuid_of(which)),
        "outcome": literal(Outcome.SUCCESS.value),
        "provider_id": _uuid_of(which % PROVIDERS),
        "context_id": _uuid_of(which % PROVIDERS),
        "details": literal("{}"),
        "salts": literal("{}"),
        "previous_hash": literal(bytes(32), LargeBinary),
        "hash": literal(bytes(32), LargeBinary),
    }
    with engine.begin() as connection:
        connection.execute(insert(schema.audit).from_select(list(made), select(*made.values())))
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("VACUUM (ANALYZE) ci_audit"))


def _asked(at: datetime) -> dict[str, AuditFilter]:
    actor, one = Actor(type="service", id="caller-3"), UUID(int=3)
    return {
        "everything": EVERY_EVENT,
        "one actor": AuditFilter(actor=actor),
        "one provider": AuditFilter(provider_id=ProviderId(one)),
        "one application": AuditFilter(context_id=ContextId(one)),
        "one day": AuditFilter(since=at, until=at + timedelta(days=1)),
        "one actor and application in one day": AuditFilter(actor=actor, context_id=ContextId(one), since=at, until=at + timedelta(days=1)),
    }


def _by_hand(engine: Engine) -> float:
    """Return the best time of the hand-written statement."""
    times = []
    for _ in range(RUNS):
        began = time.perf_counter()
        with engine.connect() as connection:
            connection.execute(BY_HAND, {"used": USED}).all()
        times.append(time.perf_counter() - began)
    return min(times)


def main() -> None:
    """Measure and print; the exit code says whether all uses were counted, and within the limit."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--quick", action="store_true", help="few rows, and no limit: shows only that it runs and counts right")
    arguments = parser.parse_args()
    rows = min(arguments.rows, QUICK) if arguments.quick else arguments.rows
    right, slowest, everything = True, 0.0, 0.0
    try:
        with throwaway_database() as url:
            engine = create_engine(url)
            migrate.upgrade(engine)
            _fill(engine, rows)
            store = SqlAlchemyStore(engine)
            for name, matching in _asked(START + timedelta(days=10)).items():
                for tenant in (None, "tenant-3"):
                    times = []
                    for _ in range(RUNS):
                        began = time.perf_counter()
                        found = store.count_uses(matching, tenant_id=tenant)
                        times.append(time.perf_counter() - began)
                    seconds = min(times)
                    slowest = max(slowest, seconds)
                    if matching == EVERY_EVENT and tenant is None:
                        everything = seconds
                    uses = sum(use.records for use in found)
                    right &= matching != EVERY_EVENT or tenant is not None or uses == rows
                    whose = "all tenants" if tenant is None else "one tenant"
                    print(f"{name:40} {whose:12} {seconds * 1000:>8.1f} ms  {uses:>9,} uses of {len(found):>6,} integrations", flush=True)
            by_hand = _by_hand(engine)
            ratio = everything / by_hand
            right &= arguments.quick or ratio <= LIMIT
            told = f"{by_hand * 1000:>8.1f} ms, so ours takes {ratio:.2f} times that; limit {LIMIT}"
            print(f"{'everything, by hand':40} {'all tenants':12} {told}")
            met = "met" if slowest <= GOAL else "NOT met"
            print(f"slowest: {slowest:.2f} s for {rows:,} uses; the goal for a million is {GOAL} s: {met}")
            engine.dispose()
    except NoServerError as error:
        print(f"not measured: {error}")
    sys.exit(not right)


if __name__ == "__main__":
    main()
