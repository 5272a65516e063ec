"""A process that forks after it has used the database: two processes on one connection would read each other's answers."""

from __future__ import annotations

import os
import traceback

import pytest
import sqlalchemy as sa

from cloud_integrations.backends.sqlalchemy import SqlAlchemyStore
from cloud_integrations.testing.contracts.store import ACME

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork"),
    pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning"),
]


def driver_connection(engine):
    with engine.connect() as connection:
        return connection.connection.dbapi_connection


def in_a_child(work):
    """Do *work* in a forked process; return whether it ended well."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            work()
            code = 0
        except BaseException:  # noqa: BLE001  # the child must never come back into the test run
            traceback.print_exc()
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status) == 0


def test_a_forked_child_leaves_its_parents_connections_alone(engine):
    store = SqlAlchemyStore(engine)
    store.report()
    parents = driver_connection(engine)

    def work():
        for _ in range(3):
            assert store.list_integrations(ACME) == ()
        assert driver_connection(engine) is not parents

    assert in_a_child(work)
    assert driver_connection(engine) is parents
    assert store.list_integrations(ACME) == ()


def test_connections_of_another_process_are_neither_used_nor_closed(sqlite, monkeypatch):
    store = SqlAlchemyStore(sqlite)
    store.report()
    parents = driver_connection(sqlite)
    with monkeypatch.context() as forked:
        forked.setattr(os, "getpid", lambda: -1)
        store.report()
        own = driver_connection(sqlite)
        assert own is not parents
        store.report()
        assert driver_connection(sqlite) is own
    assert parents.execute("SELECT 1").fetchone() == (1,)
    for left_open in (parents, own):
        left_open.close()


def test_a_forked_child_keeps_a_database_in_memory():
    engine = sa.create_engine("sqlite://", poolclass=sa.pool.StaticPool)
    store = SqlAlchemyStore(engine)
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE kept (id INTEGER)")

    def work():
        store.report()
        with engine.connect() as connection:
            assert sa.inspect(connection).has_table("kept")

    assert in_a_child(work)
    engine.dispose()
