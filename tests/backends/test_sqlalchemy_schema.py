"""The store's clock, its tables, its plans, and what it asks of the host's engine."""

from __future__ import annotations

import contextlib
import re
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import pytest
import sqlalchemy as sa

from cloud_integrations.backends.sqlalchemy import SqlAlchemyStore, schema, sqlite_engine
from cloud_integrations.backends.sqlalchemy.db_errors import is_unstorable
from cloud_integrations.domain.audit import REFRESH
from cloud_integrations.domain.identifiers import TenantId
from cloud_integrations.domain.integration import Health
from cloud_integrations.domain.overview import IntegrationFilter
from cloud_integrations.errors import IntegrationNotFoundError, SchemaError
from cloud_integrations.ports.store import MAX_COUNTED, AddIntegration, AddKey, EraseIntegration, Record, Reseal, RotateKey
from cloud_integrations.testing.clock import START
from cloud_integrations.testing.contracts.store import ACME, PROVIDER, a_credential, a_key, an_event, an_integration, lease, resealed
from cloud_integrations.testing.contracts.store.values import OTHER_PROVIDER

from .conftest import opened

SOURCES = Path(__file__).parents[2] / "src"


class TestTheClock:
    def test_the_databases_clock_is_used(self, engine, store):
        facts = an_integration()
        store.apply(AddIntegration(facts=facts, credential=a_credential()))
        before = datetime.now(UTC) - timedelta(milliseconds=2)  # SQLite tells milliseconds
        store.apply(lease(facts, length=timedelta(seconds=15)))
        found = store.find_integration(ACME, facts.id)
        after = datetime.now(UTC)
        assert before <= found.marks.lease_until - timedelta(seconds=15) <= after
        assert before <= found.read_at <= after
        assert found.read_at.tzinfo is UTC

    def test_a_naive_time_is_refused(self, store):
        with pytest.raises(TypeError):
            store.apply(AddIntegration(facts=an_integration(created_at=START.replace(tzinfo=None)), credential=a_credential()))


class TestTheSchema:
    @pytest.mark.requirement("ISO-02")
    def test_every_key_and_index_names_the_tenant(self):
        without = {
            constraint.name
            for table in schema.metadata.tables.values()
            for constraint in (*table.constraints, *table.indexes)
            if isinstance(constraint, sa.PrimaryKeyConstraint | sa.UniqueConstraint | sa.ForeignKeyConstraint | sa.Index)
            and "tenant_id" not in constraint.columns
        }
        # A state's hash is what a callback learns its tenant from, and a token's hash what a connect session is found by;
        # check values, freezes and incidents belong to the installation.
        assert without == {"ci_authorization_state", "ci_connect_session_token", "ci_freeze_pk", "ci_incident_pk", "ci_key_check_pk"}

    @pytest.mark.parametrize(
        "columns",
        [
            {"presented": None},
            {"renewal": None},
            {"renewal_rule": "keep"},
            {"renewal_rule": "reconnect"},
            {"renewal_rule": "mint", "renewal": None},
            {"renewal_rule": "another"},
        ],
    )
    def test_the_database_holds_what_the_rule_of_renewal_needs_and_no_more(self, engine, store, columns):
        facts = an_integration()
        store.apply(AddIntegration(facts=facts, credential=a_credential()))
        with pytest.raises(sa.exc.DBAPIError) as caught, engine.begin() as connection:
            connection.execute(sa.update(schema.integration).values(**columns))
        assert is_unstorable(caught.value)

    def test_a_store_without_tables_says_so(self, tmp_path, postgresql):
        bare = sqlite_engine(tmp_path / "bare.db")
        with pytest.raises(SchemaError) as caught:
            SqlAlchemyStore(bare).prepare()
        assert "not there" in str(caught.value)
        assert SqlAlchemyStore(bare).report().schema is None
        bare.dispose()

    def test_a_store_of_another_version_says_so(self, engine, store):
        with engine.begin() as connection:
            connection.execute(sa.update(schema.version).values(version_num="9999"))
        try:
            with pytest.raises(SchemaError) as caught:
                store.prepare()
            assert caught.value.details == {"found": "9999", "expected": schema.VERSION}
        finally:
            with engine.begin() as connection:
                connection.execute(sa.update(schema.version).values(version_num=schema.VERSION))

    def test_the_report_names_database_and_schema(self, store, engine):
        report = store.report()
        assert (report.kind, report.schema) == (f"sqlalchemy+{engine.dialect.name}", schema.VERSION)


class TestTheHostsEngine:
    def test_a_blocking_host_does_not_load_what_only_an_awaiting_one_needs(self):
        program = (
            "import sys, cloud_integrations.backends.sqlalchemy; "
            "sys.exit({'alembic', 'sqlalchemy.ext.asyncio', 'sqlalchemy.orm'} & {*sys.modules} or 0)"
        )
        finished = subprocess.run(
            [sys.executable, "-c", program], capture_output=True, text=True, env={"PYTHONPATH": str(SOURCES)}, check=False
        )
        assert (finished.returncode, finished.stderr) == (0, "")

    def test_the_hosts_own_connections_stay_as_they_were(self, engine):
        with engine.connect() as connection:
            level = connection.get_isolation_level()
        store = opened(engine)
        store.apply(AddIntegration(facts=an_integration(), credential=a_credential()))
        store.list_integrations(ACME)
        with engine.connect() as connection:
            assert connection.get_isolation_level() == level
            # What the host does in a transaction can still be undone.
            connection.execute(sa.delete(schema.integration))
            connection.rollback()
        assert len(store.list_integrations(ACME)) == 1

    def test_a_host_that_commits_each_statement_has_whole_units_of_work_all_the_same(self, engine):
        store = opened(engine.execution_options(isolation_level="AUTOCOMMIT"))
        gone = EraseIntegration(tenant_id=ACME, integration_id=an_integration().id, expected_generation=1)
        with pytest.raises(IntegrationNotFoundError):
            store.apply(AddIntegration(facts=an_integration(), credential=a_credential()), gone)
        assert store.list_integrations(ACME) == ()
        store.apply(AddIntegration(facts=an_integration(), credential=a_credential()))
        assert len(store.list_integrations(ACME)) == 1

    def test_a_host_may_call_mariadb_mysql(self, mariadb):
        engine = sa.create_engine(mariadb.url.set(drivername="mysql+pymysql"))
        store = opened(engine)
        facts = an_integration()
        store.apply(AddIntegration(facts=facts, credential=a_credential(), due_at=START), Record(event=an_event()))
        assert store.find_integration(ACME, facts.id).facts == facts
        assert [due.integration_id for due in store.claim_due(limit=1, hold=timedelta(minutes=5))] == [facts.id]
        engine.dispose()

    def test_the_hosts_open_transaction_is_not_committed(self, postgresql):
        store = opened(postgresql)
        with postgresql.connect() as connection:
            connection.execute(sa.insert(schema.audit_head).values(tenant_id="host", seq=1, hash=bytes(32)))
            store.apply(AddIntegration(facts=an_integration(), credential=a_credential()))
            connection.rollback()
        assert store.find_audit_head("host") is None

    def test_a_host_that_begins_sqlite_transactions_itself_is_no_hindrance(self, sqlite):
        sa.event.listen(sqlite, "begin", lambda connection: connection.exec_driver_sql("BEGIN"))
        store = opened(sqlite)
        facts = an_integration()
        store.apply(AddIntegration(facts=facts, credential=a_credential()), Record(event=an_event()))
        assert store.list_integrations(ACME) == (facts,)


class TestPlans:
    """Among five thousand tenants, a statement reads what an index leads it to and not a table."""

    @pytest.fixture
    def keys(self, engine, store):
        """The key of each tenant, which seals one integration; the later the tenant, the later it is due."""
        keys = [a_key(TenantId(f"tenant-{number}")) for number in range(5000)]
        first = AddIntegration(
            facts=an_integration(keys[0].tenant_id), credential=replace(a_credential(), key_id=keys[0].key_id), due_at=START
        )
        store.apply(AddKey(key=keys[0]), first)
        with engine.begin() as connection:
            # The others are copies of the first one's rows: through the store they would take ten thousand statements.
            for table in (schema.key, schema.integration):
                found = sa.select(table).where(table.c.tenant_id == keys[0].tenant_id)
                row = dict(connection.execute(found).mappings().one())
                copies = [row | {"tenant_id": key.tenant_id, "key_id": key.key_id} for key in keys]
                if table is schema.integration:
                    copies = [copy | {"due_at": row["due_at"] + number * 1_000_000} for number, copy in enumerate(copies)]
                connection.execute(sa.insert(table), copies[1:])
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            for table in ("ci_integration", "ci_key"):
                connection.exec_driver_sql(f"ANALYZE TABLE {table}" if engine.dialect.name == "mariadb" else f"ANALYZE {table}")
        return keys

    @contextlib.contextmanager
    def statements(self, engine, pattern):
        """Collect the statements that match *pattern*, with their parameters."""
        emitted = []

        def note(connection, cursor, statement, parameters, context, executemany):
            if re.search(pattern, statement):
                emitted.append((statement, parameters))

        sa.event.listen(engine, "before_cursor_execute", note)
        yield emitted
        sa.event.remove(engine, "before_cursor_execute", note)

    @contextlib.contextmanager
    def plans(self, engine, pattern):
        """Collect the plans of the statements that match *pattern*."""
        plans = []
        with self.statements(engine, pattern) as emitted:
            yield plans
        explain = "EXPLAIN QUERY PLAN" if engine.dialect.name == "sqlite" else "EXPLAIN"
        with engine.connect() as connection:
            plans += [
                "\n".join(str(row) for row in connection.exec_driver_sql(f"{explain} {statement}", parameters))
                for statement, parameters in emitted
            ]

    def test_a_claim_reads_the_index_and_not_the_table(self, engine, store, keys):
        with self.plans(engine, "ci_integration") as plans:
            assert len(store.claim_due(limit=10, hold=timedelta(minutes=5))) == 10
            assert store.count_due().count == 4990
        assert len(plans) == (2 if engine.dialect.name == "postgresql" else 3)
        claim, *hold, count = plans
        assert "ci_integration_due" in claim
        assert "ci_integration_due" in count or engine.dialect.name == "postgresql"  # all are due: there it reads the table, which is small
        assert all("PRIMARY" in plan or "USING INDEX" in plan for plan in hold)
        assert "Seq Scan" not in claim
        assert "'ALL'" not in claim.replace("<derived", "")

    def test_a_count_over_all_tenants_reads_the_index_and_no_row(self, engine, store, keys):
        with self.plans(engine, "GROUP BY ci_integration.state") as plans:
            (counted,) = store.count_endings(ending_before=START)
        assert counted.total == 5000
        assert len(plans) == 1
        (plan,) = plans
        if engine.dialect.name == "postgresql":
            # A table of this size is read as fast as its index.
            assert "SubPlan" not in plan
            assert "Join" not in plan
        else:
            assert "ci_integration_states" in plan

    def test_a_page_over_all_tenants_is_read_in_the_order_of_an_index(self, engine, store, keys):
        later = START + timedelta(days=365)
        with engine.begin() as connection:
            for number, key in enumerate(keys[:50]):
                row = sa.update(schema.integration).where(schema.integration.c.tenant_id == key.tenant_id)
                connection.execute(row.values(state=("retry", "needs_reauth")[number % 2], idle_since=number, reconnect_before=number + 1))
        for indexes, named in (
            (("PRIMARY|pk|autoindex|one_per_slot",), {}),
            (("PRIMARY|pk|autoindex|one_per_slot",), {"tenant_id": keys[7].tenant_id}),
            (("states",), {"provider_id": PROVIDER}),
            (("states",), {"health": Health.RETRYING}),
            (("states",), {"health": Health.OK, "provider_id": PROVIDER, "method_id": "oauth2"}),
            (("states", "expires"), {"health": Health.RECONNECT_REQUIRED}),
            (("expires", "ends"), {"ends_before": later}),
            (("idle",), {"unused_since": later, "key_version": 1}),
        ):
            with self.plans(engine, r"\bAS fits\b") as plans:
                page = store.search_integrations(IntegrationFilter(**named), limit=20)
                if page.after is not None:
                    store.search_integrations(IntegrationFilter(**named), after=page.after, limit=20)
            assert all(any(re.search(index, plan) for plan in plans) for index in indexes), (named, plans)
            for plan in plans:
                # PostgreSQL and MariaDB sort where they expect one row; PostgreSQL also the few rows of one tenant (Incremental Sort).
                scans = r"SCAN ci_integration\b(?! USING)|Seq Scan|(?<!Incremental )Sort  \S+ rows=(?!1 )|TEMP B-TREE|'ALL'"
                assert not re.search(scans, plan), (named, plan)

    def test_renewals_of_an_hour_are_counted_by_provider_from_the_index_up_to_a_bound(self, engine, store):
        store.apply(Record(event=an_event(action=REFRESH, occurred_at=START)))
        providers = [OTHER_PROVIDER if number % 4 else PROVIDER for number in range(MAX_COUNTED + 100)]
        with engine.begin() as connection:
            row = dict(connection.execute(sa.select(schema.audit)).mappings().one())
            copies = [
                row | {"seq": number + 1, "event_id": uuid4(), "provider_id": provider_id, "occurred_at": row["occurred_at"] + number}
                for number, provider_id in enumerate(providers)
            ]
            connection.execute(sa.insert(schema.audit), copies[1:])
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.exec_driver_sql("ANALYZE TABLE ci_audit" if engine.dialect.name == "mariadb" else "ANALYZE ci_audit")
        with self.plans(engine, r"ci_audit\.action") as plans:
            before, full = store.count_renewals(since=START - timedelta(hours=1), hours=2)
        assert (before.total.renewed, before.at_least) == (0, False)
        assert (full.renewed, full.at_least) == (Counter(providers[:MAX_COUNTED]), True)
        assert full.of(PROVIDER).at_least
        assert len(plans) == 6
        # PostgreSQL reads the whole table for an hour in which everything happened, and may find an hour by its time alone.
        for plan in plans[:3] if engine.dialect.name == "postgresql" else plans:
            assert re.search(r"ci_audit_(action|time)", plan), plan
            assert not re.search(r"SCAN ci_audit\b(?! USING)|Seq Scan|'ci_audit', 'ALL'", plan), plan

    def test_a_claim_begins_where_the_last_one_ended(self, engine, store, keys):
        with self.statements(engine, "ORDER BY ci_integration.due_at") as statements:
            for _ in range(3):
                assert len(store.claim_due(limit=10, hold=timedelta(minutes=5))) == 10
        times = [int((START + timedelta(seconds=number)).timestamp() * 1_000_000) for number in (9, 19)]
        values = [list(given.values() if isinstance(given, dict) else given) for _, given in statements]
        assert [[time in each for time in times] for each in values] == [[False, False], [True, False], [False, True]]

    @pytest.mark.requirement("ENC-12")
    def test_resealing_reads_the_rows_and_keys_that_it_names(self, engine, store, keys):
        old = keys[::1000]
        new = [replace(key, key_id=uuid4(), version=2) for key in old]
        store.apply(*[RotateKey(key=key, replaces=before.key_id) for before, key in zip(old, new, strict=True)])
        places = [(key.tenant_id, key.key_id) for key in old]
        with self.plans(engine, r"^SELECT[^(]+FROM ci_(integration|key)\b") as plans:
            rows = store.list_sealed(places, limit=10)
            assert len(rows) == 5
            assert len(store.find_keys({key.tenant_id for key in old})) == 10
            active = {key.tenant_id: key.key_id for key in new}
            store.apply(Reseal(rows=tuple(resealed(row, active[row.tenant_id]) for row in rows)))
        assert len(plans) == 3
        for plan in plans:
            assert not re.search(r"SCAN ci_|Seq Scan on ci_(integration|key)\b|'ci_(integration|key)', 'ALL'", plan), plan
        assert store.list_sealed(places, limit=10) == ()
