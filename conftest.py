"""What all tests share: real databases, and the record of which requirements were proved.

It stands at the root so that the tests of the adapters see it too.
"""

from __future__ import annotations

import json
import os
import secrets
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest_plugins = ["cloud_integrations.testing.plugin"]


@pytest.fixture(scope="session")
def postgresql_url(worker_id: str) -> Iterator[str]:
    """Give this worker a PostgreSQL database of its own, dropped at the end; it is shared by the worker's tests.

    `CI_TEST_POSTGRESQL` says where the server is (an SQLAlchemy URL whose user may create databases).
    """
    sqlalchemy = pytest.importorskip("sqlalchemy")
    url = sqlalchemy.make_url(os.environ.get("CI_TEST_POSTGRESQL", "postgresql+psycopg://root@127.0.0.1:5432/test"))
    name = f"ci_test_{worker_id}_{secrets.token_hex(4)}"
    engine = sqlalchemy.create_engine(url, isolation_level="AUTOCOMMIT", poolclass=sqlalchemy.NullPool, connect_args={"connect_timeout": 5})
    try:
        with engine.connect() as connection:
            connection.exec_driver_sql(f'CREATE DATABASE "{name}"')
    except sqlalchemy.exc.OperationalError as error:
        _without_service("PostgreSQL", "CI_TEST_POSTGRESQL", url.render_as_string(hide_password=True), error)
    try:
        yield url.set(database=name).render_as_string(hide_password=False)
    finally:
        with engine.connect() as connection:
            connection.exec_driver_sql(f'DROP DATABASE "{name}" WITH (FORCE)')


@pytest.fixture(scope="session")
def mariadb_url(worker_id: str) -> Iterator[str]:
    """Give this worker a MariaDB database of its own, dropped at the end; it is shared by the worker's tests.

    `CI_TEST_MARIADB` says where the server is (an SQLAlchemy URL whose user may create databases).
    """
    sqlalchemy = pytest.importorskip("sqlalchemy")
    url = sqlalchemy.make_url(os.environ.get("CI_TEST_MARIADB", "mariadb+pymysql://root@127.0.0.1:3306/test"))
    name = f"ci_test_{worker_id}_{secrets.token_hex(4)}"
    engine = sqlalchemy.create_engine(url, isolation_level="AUTOCOMMIT", poolclass=sqlalchemy.NullPool, connect_args={"connect_timeout": 5})
    try:
        with engine.connect() as connection:
            # A default that ignores case: the tables must not depend on it.
            connection.exec_driver_sql(f"CREATE DATABASE `{name}` CHARACTER SET latin1 COLLATE latin1_swedish_ci")
    except sqlalchemy.exc.OperationalError as error:
        _without_service("MariaDB", "CI_TEST_MARIADB", url.render_as_string(hide_password=True), error)
    try:
        yield url.set(database=name).render_as_string(hide_password=False)
    finally:
        with engine.connect() as connection:
            connection.exec_driver_sql(f"DROP DATABASE `{name}`")


def _without_service(service: str, variable: str, url: str, error: Exception) -> None:
    """Fail where CI is set, so that no proof goes missing unseen; elsewhere skip and say how to start the service."""
    if os.environ.get("CI"):
        pytest.fail(f"{service} does not answer at {url} ({type(error).__name__}); set {variable}", pytrace=False)
    pytest.skip(f"{service} does not answer at {url}; start it (its URL goes in {variable})")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--requirements-report", metavar="FILE", help="write which requirement each test proves, and its result, as JSON")


def pytest_configure(config: pytest.Config) -> None:
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        # A shell that starts the tests in its background has them ignore Ctrl-C, and so would the programs that tests interrupt.
        signal.signal(signal.SIGINT, signal.default_int_handler)
    target = config.getoption("requirements_report")
    if target and not hasattr(config, "workerinput"):  # xdist's workers report to the controller, which writes
        config.pluginmanager.register(_RequirementsReport(Path(target).resolve()))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        item.user_properties += [("requirement", name) for mark in item.iter_markers("requirement") for name in mark.args]


class _RequirementsReport:
    """Collects, from every phase of every test, the worst result."""

    _ORDER = ("passed", "skipped", "failed")

    def __init__(self, target: Path) -> None:
        self._target = target
        self._tests: dict[str, dict[str, Any]] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        names = sorted({str(value) for key, value in report.user_properties if key == "requirement"})
        if not names:
            return
        test = self._tests.setdefault(report.nodeid, {"requirements": names, "result": "passed"})
        test["result"] = max(test["result"], report.outcome, key=self._ORDER.index)

    def pytest_sessionfinish(self) -> None:
        self._target.parent.mkdir(parents=True, exist_ok=True)
        self._target.write_text(json.dumps(self._tests, indent=1, sort_keys=True) + "\n", encoding="utf-8")
