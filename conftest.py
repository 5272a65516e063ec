"""What all tests share: real databases, the quick selection, and the record of which requirements were proved.

It stands at the root so that the tests of the adapters see it too.
"""

from __future__ import annotations

import contextlib
import functools
import gc
import json
import os
import re
import runpy
import secrets
import shutil
import signal
import socket
import subprocess
import time
import zlib
from collections import Counter
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import hypothesis
import pytest

pytest_plugins = ["cloud_integrations.testing.plugin"]

ROOT = Path(__file__).parent
SERVERS = ("postgresql", "mariadb")
DATABASES = ("sqlite", *SERVERS)
MANAGERS = ("blocking", "awaiting")
LEFT_OUT = {
    "integration": "against an authorization server that is not ours; needs PostgreSQL and Node.js with npm",
    "pages": "that use the pages in a browser; needs Chromium and Node.js with npm",
    "coverage": "on another database, with the other manager or more values; needs PostgreSQL, MariaDB, SoftHSM and Node.js",
    "programs": "that start the command line as a program of its own",
    "drivers": "that repeat the store's contract over further drivers and engines; needs PostgreSQL and MariaDB",
    "slow": "that kill processes, remove guards or lead long random lives; needs PostgreSQL and MariaDB",
}
"""What `--quick` leaves out, by the session of nox that runs it."""

# No test depends on the speed or the load of the machine.
for profile, examples in {"quick": 25, "thorough": 100}.items():
    hypothesis.settings.register_profile(
        profile, max_examples=examples, deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
    )


@pytest.fixture(scope="session", autouse=True)
def _private_keys_are_checked_once() -> Iterator[None]:
    """Remember each private key that was read: OpenSSL checks it at each reading, which takes longer than the most of the tests."""
    from cryptography.hazmat.primitives import serialization  # noqa: PLC0415  # not for every session

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(serialization, "load_pem_private_key", functools.cache(serialization.load_pem_private_key))
        yield


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
            # No test cuts the power, so no commit needs to wait for the disk.
            connection.exec_driver_sql(f'ALTER DATABASE "{name}" SET synchronous_commit = off')
    except sqlalchemy.exc.OperationalError as error:
        _without_service("PostgreSQL", "CI_TEST_POSTGRESQL", url.render_as_string(hide_password=True), error)
    try:
        yield url.set(database=name).render_as_string(hide_password=False)
    finally:
        with engine.connect() as connection:
            connection.exec_driver_sql(f'DROP DATABASE "{name}" WITH (FORCE)')


@pytest.fixture
def own_postgresql_url(postgresql_url: str) -> Iterator[str]:
    """Give one test a PostgreSQL database for itself: one that counts rows or connections, or has keys of its own."""
    from tests.databases import own_database  # noqa: PLC0415  # an extra

    with own_database(postgresql_url) as url:
        yield url.render_as_string(hide_password=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class SecuredDatabase:
    """The URLs of one database for three users."""

    superuser: str
    owner: str
    """Of the role that owns the tables."""
    application: str
    """Of a role that may read and write rows, and nothing else."""


@pytest.fixture(scope="session")
def secured_database(postgresql_url: str) -> Iterator[SecuredDatabase]:
    """Give this worker another database of that server, whose tables have policies, with two roles; dropped at the end."""
    import sqlalchemy as sa  # noqa: PLC0415  # an extra

    from cloud_integrations.backends.sqlalchemy import migrate  # noqa: PLC0415  # an extra

    url, mark = sa.make_url(postgresql_url), secrets.token_hex(4)
    name = f"{url.database}_secured"
    roles = {role: url.set(database=name, username=f"ci_test_{role}_{mark}", password=mark) for role in ("owner", "application")}
    owner, application = roles.values()
    server = sa.create_engine(url, isolation_level="AUTOCOMMIT", poolclass=sa.NullPool)
    with server.connect() as connection:
        for role in roles.values():
            connection.exec_driver_sql(f"CREATE ROLE {role.username} LOGIN PASSWORD '{mark}' NOSUPERUSER NOBYPASSRLS")
        connection.exec_driver_sql(f'CREATE DATABASE "{name}" OWNER {owner.username}')
        connection.exec_driver_sql(f'ALTER DATABASE "{name}" SET synchronous_commit = off')
    try:
        tables = sa.create_engine(owner, poolclass=sa.NullPool)
        migrate.upgrade(tables)
        migrate.add_row_security(tables)
        with tables.begin() as connection:
            connection.exec_driver_sql(f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {application.username}")
        yield SecuredDatabase(
            superuser=url.set(database=name).render_as_string(hide_password=False),
            owner=owner.render_as_string(hide_password=False),
            application=application.render_as_string(hide_password=False),
        )
    finally:
        with server.connect() as connection:
            connection.exec_driver_sql(f'DROP DATABASE "{name}" WITH (FORCE)')
            for role in roles.values():
                connection.exec_driver_sql(f"DROP ROLE {role.username}")


@pytest.fixture(scope="session")
def pgbouncer_url(pgbouncer_before: Callable[[str], str], postgresql_url: str) -> str:
    """Give the URL of this worker's PostgreSQL database through a PgBouncer in transaction mode."""
    return pgbouncer_before(postgresql_url)


@pytest.fixture(scope="session")
def pgbouncer_before(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], str]]:
    """Give a function that starts a PgBouncer in transaction mode before the server of a URL, and returns the URL through it.

    It logs in as the user of the URL, and ends with the tests.
    """
    program = shutil.which("pgbouncer") or shutil.which("/usr/sbin/pgbouncer")
    if program is None:
        if os.environ.get("CI"):
            pytest.fail("PgBouncer is not installed (Debian: pgbouncer)", pytrace=False)
        pytest.skip("PgBouncer is not installed; on Debian: apt-get install pgbouncer")
    sqlalchemy = pytest.importorskip("sqlalchemy")
    with contextlib.ExitStack() as started:

        def start(behind: str) -> str:
            url = sqlalchemy.make_url(behind)
            with socket.create_server(("127.0.0.1", 0)) as free:
                port = free.getsockname()[1]
            password = f" password='{url.password}'" if url.password else ""
            server = f"host={url.host or '127.0.0.1'} port={url.port or 5432} user={url.username}{password}"
            settings = tmp_path_factory.mktemp("pgbouncer") / "pgbouncer.ini"
            settings.write_text(
                f"[databases]\n* = {server}\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\n"
                "auth_type = any\npool_mode = transaction\ndefault_pool_size = 8\n",
                encoding="utf-8",
            )
            # PgBouncer refuses to run as root; it reads its settings before it changes the user.
            as_nobody = ["-u", "nobody"] if os.getuid() == 0 else []
            command = [program, "-q", *as_nobody, settings]
            log = started.enter_context((settings.parent / "log").open("wb"))
            process = started.enter_context(subprocess.Popen(command, stdout=log, stderr=log))  # noqa: S603  # ours
            started.callback(process.terminate)
            _wait_for(port, process)
            return str(url.set(host="127.0.0.1", port=port).render_as_string(hide_password=False))

        yield start


def _wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    """Return when somebody listens on *port*; fail when the process that should has ended."""
    while process.poll() is None:
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        time.sleep(0.02)
    pytest.fail(f"PgBouncer ended with {process.returncode}", pytrace=False)


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


@pytest.fixture(scope="session")
def redis_url() -> str:
    """Return where Redis is; `CI_TEST_REDIS` names another.  Tests use keys of their own, which Redis forgets by itself."""
    redis = pytest.importorskip("redis")
    url = os.environ.get("CI_TEST_REDIS", "redis://127.0.0.1:6379")
    try:
        with redis.from_url(url, socket_timeout=5) as client:
            client.ping()
    except redis.RedisError as error:
        _without_service("Redis", "CI_TEST_REDIS", url.rpartition("@")[2], error)
    return url


def _without_service(service: str, variable: str, url: str, error: Exception) -> None:
    """Fail where CI is set, so that no test is skipped unnoticed; elsewhere skip, and say how to run the test."""
    if os.environ.get("CI"):
        pytest.fail(f"{service} does not answer at {url} ({type(error).__name__}); set {variable}", pytrace=False)
    pytest.skip(f"no {service} answers at {url}; start one there, or name another in {variable}")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--quick", action="store_true", help="show every promise once: leave out slow tests and repetitions on other databases"
    )
    parser.addoption(
        "--again", action="store_true", help="leave out what --quick ran on another database or with the other manager, and run the rest"
    )
    parser.addoption("--requirements-report", metavar="FILE", help="write which requirement each test proves, and its result, as JSON")


def pytest_configure(config: pytest.Config) -> None:
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        # A shell that starts the tests in its background has them ignore Ctrl-C, and so would the programs that tests interrupt.
        signal.signal(signal.SIGINT, signal.default_int_handler)
    hypothesis.settings.load_profile("quick" if config.getoption("quick") else "thorough")
    if hasattr(config, "workerinput"):  # xdist's workers report to the controller, which writes
        return
    config.pluginmanager.register(_Closing(config))
    if target := config.getoption("requirements_report"):
        config.pluginmanager.register(_RequirementsReport(Path(target).resolve()))


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    # Some ten thousand tests are some million objects, which live until the end: no collection of garbage need look through them.
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    known = runpy.run_path(str(ROOT / "tools/requirements.py"))["KNOWN"]
    for item in items:
        names = [name for mark in item.iter_markers("requirement") for name in mark.args]
        if unknown := sorted({*names} - known):
            raise pytest.UsageError(f"{item.nodeid} names {', '.join(unknown)}, which is no requirement, quirk or class of bugs")
        item.user_properties += [("requirement", name) for name in names]
        if item.nodeid.startswith("tests/faults/"):
            item.add_marker("slow")
    if config.getoption("quick"):
        kept, left_out = _chosen(items)
        config.stash[_LEFT_OUT] = {session: len(some) for session, some in left_out.items()}
        _keep(config, items, kept)
    elif config.getoption("again"):
        kept, left_out = _chosen(items)
        repeated = {_whatever_runs_it(item) for item in left_out["coverage"]}
        ran_before = {item for item in kept if _whatever_runs_it(item) in repeated}
        _keep(config, items, [item for item in items if item not in ran_before])


def _keep(config: pytest.Config, items: list[pytest.Item], kept: list[pytest.Item]) -> None:
    config.hook.pytest_deselected(items=sorted({*items} - {*kept}, key=lambda item: item.nodeid))
    items[:] = kept


def _whatever_runs_it(item: pytest.Item) -> str:
    """Return the name of a test without its database and without its manager."""
    return re.sub(rf"(?<=[\[-])({'|'.join((*DATABASES, *MANAGERS))})(?=[]-])", "", item.nodeid)


def _chosen(items: list[pytest.Item]) -> tuple[list[pytest.Item], dict[str, list[pytest.Item]]]:
    """Return what `--quick` runs, and what it leaves to each session."""
    everything = {item.nodeid for item in items}
    nearest: dict[tuple[object, ...], int] = {}
    found = [_on_a_database(item) for item in items]
    for what, distance in found:
        nearest[what] = min(distance, nearest.get(what, distance))
    kept: list[pytest.Item] = []
    left_out: dict[str, list[pytest.Item]] = {session: [] for session in LEFT_OUT}
    for item, (what, distance) in zip(items, found, strict=True):
        if item.nodeid.startswith("tests/integration/"):
            left_out["integration"].append(item)
        elif item.nodeid.startswith("tests/pages/"):
            left_out["pages"].append(item)
        elif session := next((name for name in ("slow", "programs", "drivers") if item.get_closest_marker(name)), None):
            left_out[session].append(item)
        elif (
            distance > nearest[what]
            or _is_contract_on_a_server(item)
            or item.get_closest_marker("repeats")
            or _is_left_to_the_other_manager(item, everything)
        ):
            left_out["coverage"].append(item)
        else:
            kept.append(item)
    return kept, left_out


def _on_a_database(item: pytest.Item) -> tuple[tuple[object, ...], int]:
    """Return what identifies a test apart from its database, and the position of its database in `DATABASES`."""
    parameters = getattr(getattr(item, "callspec", None), "params", {})
    databases = {name: value for name, value in parameters.items() if isinstance(value, str) and value in DATABASES}
    if not databases:
        return (item.nodeid,), 0
    others = [f"{name}={value!r}" for name, value in parameters.items() if name not in databases]
    return (item.nodeid.partition("[")[0], *others), max(map(DATABASES.index, databases.values()))


def _is_left_to_the_other_manager(item: pytest.Item, everything: set[str]) -> bool:
    """Whether this test runs with the other manager instead: of two that differ in that alone, a checksum of the name chooses one."""
    own = next((word for word in MANAGERS if re.search(rf"[\[-]{word}[]-]", item.nodeid)), None)
    if own is None:
        return False
    other = "awaiting" if own == "blocking" else "blocking"
    chosen = MANAGERS[zlib.crc32(item.nodeid.replace(own, "manager").encode()) % 2]
    return own != chosen and item.nodeid.replace(own, other) in everything


def _is_contract_on_a_server(item: pytest.Item) -> bool:
    """Whether this is a test of a contract, which runs on SQLite too, on a database that needs a server."""
    inherited = isinstance(item, pytest.Function) and item.cls is not None and item.originalname not in vars(item.cls)
    return inherited and any(f"{server}_url" in item.fixturenames for server in SERVERS)


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["left_out"] = session.config.stash.get(_LEFT_OUT, {})


_LEFT_OUT = pytest.StashKey[dict[str, int]]()


class _Closing:
    """Says at the end what was skipped, what is missing for it, and what was left to other sessions."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._skipped: Counter[str] = Counter()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.skipped and isinstance(report.longrepr, tuple):
            self._skipped[report.longrepr[2].removeprefix("Skipped: ")] += 1

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        # Every worker collects the same.
        self._config.stash[_LEFT_OUT] = getattr(node, "workeroutput", {}).get("left_out", {})

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        left_out = self._config.stash.get(_LEFT_OUT, {})
        lines = [f"{_tests(count)} skipped: {reason}" for reason, count in self._skipped.most_common()]
        lines += [f"{_tests(count)} left to nox -s {session}: those {LEFT_OUT[session]}" for session, count in left_out.items() if count]
        if left_out:
            lines.append("Other Pythons, the oldest dependencies, more seeds of the simulation: CONTRIBUTING.md lists every session.")
        if lines:
            terminalreporter.section("What did not run, and how to run it")
            for line in lines:
                terminalreporter.write_line(line)


def _tests(count: int) -> str:
    return "1 test" if count == 1 else f"{count} tests"


def _reason(text: str) -> str:
    """Why a test failed, in a line: what an assertion says, else every error that is named, for some come as a group."""
    lines = text.splitlines() or ["no reason"]
    asserted = next((line for line in lines if line.startswith("E ")), None)
    named = dict.fromkeys(line.strip(" |") for line in lines if re.match(r"[ |]+[\w.]+(Error|Warning|Exception|Group): ", line))
    return (asserted or "; ".join(named) or lines[-1])[:600]


class _RequirementsReport:
    """Collects, from every phase of every test that names a requirement or fails, the worst result and why it failed."""

    _ORDER = ("passed", "skipped", "failed")

    def __init__(self, target: Path) -> None:
        self._target = target
        self._tests: dict[str, dict[str, Any]] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        names = sorted({str(value) for key, value in report.user_properties if key == "requirement"})
        if not names and not report.failed:
            return
        test = self._tests.setdefault(report.nodeid, {"requirements": names, "result": "passed"})
        test["result"] = max(test["result"], report.outcome, key=self._ORDER.index)
        if report.failed:
            test["reason"] = _reason(report.longreprtext)

    def pytest_sessionfinish(self) -> None:
        self._target.parent.mkdir(parents=True, exist_ok=True)
        self._target.write_text(json.dumps(self._tests, indent=1, sort_keys=True) + "\n", encoding="utf-8")
