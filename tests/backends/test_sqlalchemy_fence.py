"""Nothing is sealed under a key that somebody replaces or destroys meanwhile."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from uuid import UUID, uuid4

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import create_async_engine

from cloud_integrations.backends.sqlalchemy import AsyncSqlAlchemyStore, SqlAlchemyStore, schema
from cloud_integrations.backends.sqlalchemy.db_errors import was_refused
from cloud_integrations.backends.sqlalchemy.tables import keys as key_table
from cloud_integrations.errors import IntegrationExistsError, KeyRetiredError, StaleWriteError
from cloud_integrations.ports.store import (
    AddEntry,
    AddIntegration,
    AddKey,
    AddPending,
    ClosePending,
    DestroyKey,
    EraseIntegration,
    EraseTenant,
    Record,
    RefuseKeys,
    ReplaceCredential,
    Reseal,
    RotateKey,
)
from cloud_integrations.testing.clock import START
from cloud_integrations.testing.contracts.store import (
    ACME,
    GLOBEX,
    NEXT_KEY,
    PROVIDER,
    SEALING,
    SEALING_KEY,
    BlockingStore,
    a_credential,
    a_key,
    a_pending,
    an_entry,
    an_event,
    an_integration,
    applying,
    lease,
    resealed,
    rotated,
    row_of,
    sealing,
    verified,
)

from .conftest import opened

LOWEST_ID, HIGHEST_ID = UUID("00000000-0000-7000-8000-000000000000"), UUID("ffffffff-ffff-7fff-bfff-ffffffffffff")
WAITING = {
    "postgresql": "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'",
    "mariadb": (
        "SELECT count(*) FROM information_schema.innodb_trx JOIN information_schema.processlist ON id = trx_mysql_thread_id"
        " WHERE trx_state = 'LOCK WAIT' AND db = DATABASE()"
    ),
}


def until_somebody_waits(engine):
    """Return when the server says that a transaction in this database waits for a lock."""
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        for _ in range(2_000):
            if connection.exec_driver_sql(WAITING[engine.dialect.name]).scalar():
                return
            # MariaDB looks again only when nobody has asked for a tenth of a second.
            threading.Event().wait(0.15)
    raise AssertionError("nobody waits")


def apply_while_open(server, first, second):
    """Make *first*; before its commit *second* begins on another connection and waits.  Return what *second* raised, or None."""
    engine = sa.create_engine(server.url)
    with ThreadPoolExecutor(1) as threads:
        seconds = []

        def begin_the_second(connection):
            seconds.append(threads.submit(SqlAlchemyStore(server).apply, *second))
            until_somebody_waits(server)
            assert not seconds[0].done()

        sa.event.listen(engine, "commit", begin_the_second, once=True)
        SqlAlchemyStore(engine).apply(*first)
        engine.dispose()
        return seconds[0].exception()


class TestTheFence:
    @pytest.mark.requirement("ENC-10")
    @pytest.mark.parametrize("what", SEALING)
    def test_a_rotation_waits_for_who_writes_under_the_old_key_and_then_nobody_does(self, server, what):
        store = opened(server)
        facts = an_integration()
        store.apply(AddIntegration(facts=facts, credential=a_credential()), lease(facts))
        store.apply(Record(event=an_event()))
        writing = (sealing(what, facts, SEALING_KEY), Record(event=an_event()))
        assert apply_while_open(server, writing, (rotated(), Record(event=an_event()))) is None
        assert len(store.list_sealed([(ACME, SEALING_KEY)], limit=10)) == (1 if what in {"a reconnect", "a renewal"} else 2)
        assert store.find_active_key(ACME).key_id == NEXT_KEY
        with pytest.raises(KeyRetiredError):
            store.apply(AddEntry(entry=an_entry()))

    @pytest.mark.parametrize("what", SEALING)
    def test_who_comes_while_a_key_is_being_replaced_is_told(self, server, what):
        store = opened(server)
        facts = an_integration()
        store.apply(AddIntegration(facts=facts, credential=a_credential()), lease(facts))
        before = store.find_integration(ACME, facts.id)
        error = apply_while_open(server, (rotated(),), (sealing(what, facts, SEALING_KEY), Record(event=an_event())))
        assert isinstance(error, KeyRetiredError)
        assert [row.row for row in store.list_sealed([(ACME, SEALING_KEY), (ACME, NEXT_KEY)], limit=10)] == [str(facts.id)]
        assert store.find_integration(ACME, facts.id).credential == before.credential
        assert store.list_audit(ACME) == ()

    def test_what_is_resealed_while_its_new_key_is_being_replaced_is_left(self, server):
        store = opened(server)
        facts = an_integration()
        store.apply(AddIntegration(facts=facts, credential=a_credential()), rotated())
        third = RotateKey(key=a_key(version=3), replaces=NEXT_KEY)
        assert apply_while_open(server, (third,), (Reseal(rows=(resealed(row_of(facts)),)),)) is None
        assert store.find_integration(ACME, facts.id).credential == a_credential()

    @pytest.mark.requirement("ENC-14")
    def test_an_erasure_waits_for_what_is_being_connected_and_refuses(self, server):
        store = opened(server)
        connecting = AddIntegration(facts=an_integration(), credential=a_credential())
        error = apply_while_open(server, (connecting,), (EraseTenant(tenant_id=ACME, erased_at=START),))
        assert isinstance(error, StaleWriteError)
        assert store.find_key(ACME, SEALING_KEY) is not None
        assert len(store.list_integrations(ACME)) == 1

    @pytest.mark.requirement("ENC-14")
    def test_an_erasure_takes_the_key_that_a_rotation_has_just_brought(self, server):
        store = opened(server)
        # Before and behind the old one, in the order of ids.
        for tenant_id, key_id in ((ACME, LOWEST_ID), (GLOBEX, HIGHEST_ID)):
            change = rotated(tenant_id, key_id=key_id)
            assert apply_while_open(server, (change,), (EraseTenant(tenant_id=tenant_id, erased_at=START),)) is None
            assert store.list_keys(tenant_id=tenant_id, limit=10) == ()
            assert store.last_key_version(tenant_id) == 2
            with pytest.raises(StaleWriteError):
                store.apply(AddKey(key=a_key(tenant_id, version=2)))

    def test_a_tenant_whose_keys_do_not_end_is_not_erased(self, engine, store, monkeypatch):
        monkeypatch.setattr(key_table, "_PASSES", 1)
        with pytest.raises(StaleWriteError):
            store.apply(EraseTenant(tenant_id=ACME, erased_at=START))
        assert store.find_key(ACME, SEALING_KEY) is not None

    def test_a_key_of_a_new_life_is_not_erased_with_the_old_one(self, server):
        store = opened(server)
        store.apply(EraseTenant(tenant_id=ACME, erased_at=START))
        second = a_key(version=2)
        engine = sa.create_engine(server.url)

        def begin_anew(connection, cursor, statement, parameters, context, executemany):
            if "DELETE FROM ci_outbox" in statement:
                store.apply(AddKey(key=second))

        sa.event.listen(engine, "before_cursor_execute", begin_anew)
        SqlAlchemyStore(engine).apply(EraseTenant(tenant_id=ACME, erased_at=START))
        engine.dispose()
        assert store.find_active_key(ACME) == second
        assert store.list_returned_keys(limit=10) == ()

    @pytest.mark.parametrize("awaited", [False, True], ids=["blocking", "awaited"])
    def test_nobody_waits_in_a_circle(self, server, awaited):
        """Writers, rotations, erasures and resealings of few tenants at once; trying again hides no deadlock."""
        engine = server
        if awaited:
            drivername = {"postgresql": "postgresql+asyncpg", "mariadb": "mariadb+asyncmy"}[server.dialect.name]
            engine = create_async_engine(server.url.set(drivername=drivername), pool_size=16)
        deadlocks = []

        def note(context):
            if was_refused(context.sqlalchemy_exception):
                deadlocks.append((context.statement, context.original_exception))

        sa.event.listen(engine.sync_engine if awaited else engine, "handle_error", note)
        store = opened(server)
        held = [an_integration(tenant_id) for tenant_id in (ACME, GLOBEX)]
        with asyncio.Runner() as runner:
            blocking = BlockingStore(AsyncSqlAlchemyStore(engine) if awaited else store, runner)
            for round_ in range(3):
                keys = [store.find_active_key(facts.tenant_id) or a_key(facts.tenant_id, version=2 * round_ + 2) for facts in held]
                for facts, key in zip(held, keys, strict=True):
                    with contextlib.suppress(StaleWriteError):
                        store.apply(AddKey(key=key))
                    with contextlib.suppress(IntegrationExistsError):
                        store.apply(AddIntegration(facts=facts, credential=replace(a_credential(), key_id=key.key_id)))
                blocking.together(
                    [call for facts, key in zip(held, keys, strict=True) for call in everything_at_once(facts, key, version=2 * round_ + 3)]
                )
            if awaited:
                runner.run(engine.dispose())
        # MariaDB locks the gap where a tenant's first floor goes, for two erasures at once; the store tries again.
        assert [statement for statement, _ in deadlocks if "INTO ci_key_floor" not in statement] == []
        for tenant_id in (ACME, GLOBEX):
            assert verified(store, tenant_id).whole


def everything_at_once(facts, key, *, version):
    """Return calls that lock the same rows of one tenant, each several times."""
    tenant_id = facts.tenant_id
    record = Record(event=an_event(tenant_id))
    entry = an_entry(tenant_id, key_id=key.key_id)
    rows = [replace(row_of(facts), key_id=uuid4()), row_of(facts)]
    erasing = EraseIntegration(tenant_id=tenant_id, integration_id=facts.id, expected_generation=1)
    units = [
        (ReplaceCredential(facts=facts, credential=replace(a_credential(1), key_id=key.key_id), expected_generation=1), record),
        (RotateKey(key=a_key(tenant_id, version=version), replaces=key.key_id), record),
        (AddPending(pending=a_pending(tenant_id, key_id=key.key_id)), record),
        (AddEntry(entry=entry), erasing, ClosePending(tenant_id=tenant_id, provider_id=PROVIDER), record),
        (Reseal(rows=tuple(resealed(row, key.key_id) for row in rows)),),
        (EraseTenant(tenant_id=tenant_id, erased_at=START), record),
        (RefuseKeys(tenant_id=tenant_id, min_version=1), record),
    ]
    return [applying(*unit) for unit in units * 2]


class TestDestroyedKeys:
    def test_the_wrapped_bytes_are_overwritten(self, engine, store):
        store.apply(rotated(), DestroyKey(tenant_id=ACME, key_id=SEALING_KEY, destroyed_at=START))
        store.apply(rotated(GLOBEX), EraseTenant(tenant_id=GLOBEX, erased_at=START))
        with engine.connect() as connection:
            rows = connection.execute(sa.select(schema.key.c.tenant_id, schema.key.c.version, schema.key.c.wrapped))
            left = {(row.tenant_id, row.version): row.wrapped for row in rows}
        assert left == {(ACME, 1): b"", (ACME, 2): a_key().wrapped, (GLOBEX, 1): b"", (GLOBEX, 2): b""}

    @pytest.mark.requirement("ENC-14")
    def test_a_key_that_a_backup_brings_back_is_found_out_and_of_no_use(self, engine, store):
        key = store.find_active_key(ACME)
        with engine.connect() as connection:
            row = connection.execute(sa.select(schema.key).where(schema.key.c.tenant_id == ACME)).one()._asdict()
        store.apply(EraseTenant(tenant_id=ACME, erased_at=START))
        with engine.begin() as connection:
            connection.execute(sa.delete(schema.key).where(schema.key.c.tenant_id == ACME))
            assert store.last_key_version(ACME) == 1
            connection.execute(sa.insert(schema.key).values(**row))
        assert store.list_returned_keys(limit=10) == (key,)
        assert store.list_keys(tenant_id=ACME, limit=10) == (key,)
        assert store.find_key(ACME, SEALING_KEY) is None
        assert store.find_active_key(ACME) is None
        with pytest.raises(KeyRetiredError):
            store.apply(AddEntry(entry=an_entry()))
        # Erasing again mends it.
        store.apply(EraseTenant(tenant_id=ACME, erased_at=START))
        assert store.list_returned_keys(limit=10) == ()
        store.apply(AddKey(key=a_key(version=2)))
        assert store.find_active_key(ACME).version == 2
