"""The one entry to everything that checks this project: `nox -s <session>`, `nox -l` for the list."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

import nox

nox.needs_version = ">=2025.5.1"
nox.options.default_venv_backend = "uv|virtualenv"
nox.options.sessions = ["tests", "lint", "types", "house"]
nox.options.error_on_missing_interpreters = bool(os.environ.get("CI"))

# uv, like pip, trusts the certificates that the machine trusts.
os.environ.setdefault("UV_SYSTEM_CERTS", "1")
# Tests start several hundred programs; without stored bytecode each would compile all that it imports.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

DISTRIBUTIONS = (".", "adapters/fastapi", "adapters/cli")
REPORTS = Path(".cache/requirements")
# All tests but those that install a server or a driver of a browser of their own.
EVERYTHING = ("--ignore=tests/integration", "--ignore=tests/pages")
# Where our code meets what is installed: databases, SDKs, key services, cryptography, the router, and the command line by its widest tests.
OF_DEPENDENCIES = (
    *(
        "adapters/fastapi/tests",
        "tests/backends",
        "tests/clients",
        "tests/documents",
        "tests/journeys",
        "tests/protocol/signing",
        "tests/testing",
    ),
    *(
        f"adapters/cli/tests/test_{name}.py"
        for name in ("every_command", "characters", "doctor", "help", "inputs", "installation", "integrations")
    ),
)
# What covers no line that nothing else covers, and runs in sessions of its own.
COVERS_NOTHING_NEW = ("--ignore=tests/house", "--ignore=tests/flows/test_refresh_simulation.py")
OF_SQLALCHEMY = (
    "sqlalchemy_fence",
    "sqlalchemy_migrations",
    "sqlalchemy_schema",
    "sqlalchemy_store",
    "sqlalchemy_transactions",
    "host_engines",
    "foreign_errors",
)
# Extras that are too large for every session; `clients` installs them on top of `dev`.
LARGE = ("githubkit", "kubernetes", "kubernetes-asyncio", "slack")
# Extras that hold others back; a session of its own installs each on top of `dev`.
APART = ("aiobotocore",)
# What sends by httpx or httpx2, beside the transport.
OF_HTTPX = ("every_client", "extras", "http", "injector", "injector_answers", "injector_server", "narrowed", "sessions")
OF_LARGE_CLIENTS = ("ai_clients", "every_client", "extras", "githubkit", "kubernetes", "slack")
# Versions must be seven days old, so that a stolen release has time to be noticed.
LOCKING = (
    "--quiet --universal --exclude-newer P7D --python-version 3.11 --generate-hashes --no-strip-extras --no-annotate --no-header"
    " --no-emit-index-url --no-emit-package cloud-integrations --no-emit-package cloud-integrations-fastapi"
)

# An entry with an extra. The pip of Python 3.11 needs one pin for requirements with the extra, and one for those without.
EXTRAS = re.compile(r"^(?P<name>[\w.-]+)\[[\w, -]+\](?P<rest>==.*\n(?: +--hash.*\n)+)", re.MULTILINE)


def install(session: nox.Session, lock: str = "dev", /) -> None:
    """Install a lock file by its hashes, then our three distributions and nothing more."""
    session.install("--require-hashes", "-r", f"requirements/{lock}.txt")
    session.install("--no-deps", "--no-build-isolation", *(part for where in DISTRIBUTIONS for part in ("-e", where)))


def pytest(session: nox.Session, *arguments: str) -> None:
    """Run pytest and keep which requirements its tests proved."""
    report = REPORTS / f"{session.name}.json"
    session.run("pytest", f"--requirements-report={report}", *arguments, *session.posargs)


def on_both_cores(session: nox.Session, *selection: str) -> None:
    """Run a selection of the tests on both cores of a small machine; arguments are another selection."""
    pytest(session, "-n", "2", "--dist", "worksteal", *(() if session.posargs else selection))


@nox.session
def tests(session: nox.Session) -> None:
    """Show every promise once with this Python; list at the end what was skipped and what other sessions run."""
    install(session)
    on_both_cores(session, "--quick")


@nox.session(python="3.11", download_python="never")
def coverage(session: nox.Session) -> None:
    """Run what `tests` leaves out, on every database, with what it runs once, and check the coverage; a missing service is a failure."""
    install(session)
    session.env["CI"] = "true"
    others = ("--again", *COVERS_NOTHING_NEW, "-m", "not slow and not drivers and not programs")
    on_both_cores(session, *EVERYTHING, *others, "--cov", "--cov-report=term", "--cov-report=json")
    if not session.posargs:
        session.run("python", "tools/check_coverage.py", ".cache/coverage.json")


@nox.session
def drivers(session: nox.Session) -> None:
    """Run the store's contract over drivers that no other lock has, and engines that few hosts have; needs a compiler and headers."""
    install(session)
    session.install("--require-hashes", "-r", "requirements/drivers.txt")
    session.env["CI"] = "true"
    on_both_cores(session, "tests/backends", "-m", "drivers")


@nox.session(python="3.13", download_python="never")
def sqlalchemy_2_0(session: nox.Session) -> None:
    """Run store and migrations on every database with the older SQLAlchemy of the two that are supported, on the newest Python."""
    install(session)
    session.install("--require-hashes", "-r", "requirements/sqlalchemy-2.0.txt")
    session.env["CI"] = "true"
    on_both_cores(
        session,
        *(f"tests/backends/test_{name}.py" for name in OF_SQLALCHEMY),
        # The contract once for each database and each kind of engine.
        *("-m", "not slow", "-k", "not (Behind or InMemory or TestOnPostgresql) or PostgresqlAwaited"),
    )


@nox.session
def httpx(session: nox.Session) -> None:
    """Run the transport and the clients' values where httpx is installed and httpx2 is not."""
    install(session, "httpx")
    on_both_cores(session, "tests/backends/httpx_transport", *(f"tests/clients/test_{name}.py" for name in OF_HTTPX))


@nox.session
def httpx2(session: nox.Session) -> None:
    """Run the transport and the clients' values where httpx2 is installed and httpx is not."""
    install(session, "httpx2")
    on_both_cores(session, "tests/backends/httpx_transport", *(f"tests/clients/test_{name}.py" for name in OF_HTTPX))


@nox.session
def clients(session: nox.Session) -> None:
    """Run the clients' values with every client that they are for; a missing one is an error, and other sessions leave out the large."""
    install(session)
    session.install("--require-hashes", "-r", "requirements/clients.txt")
    session.env["CI_ALL_CLIENTS"] = "true"
    on_both_cores(session, *(f"tests/clients/test_{name}.py" for name in OF_LARGE_CLIENTS))


@nox.session
def aiobotocore(session: nox.Session) -> None:
    """Run the clients for AWS with aiobotocore and the older botocore that it wants."""
    install(session)
    session.install("--require-hashes", "-r", "requirements/aiobotocore.txt")
    on_both_cores(session, *(f"tests/clients/test_{name}.py" for name in ("aiobotocore", "aws", "every_client")))


@nox.session(python="3.13", download_python="never")
def programs(session: nox.Session) -> None:
    """Start the command line as a program, on the newest Python: its servers, its worker, its terminal."""
    install(session)
    on_both_cores(session, "adapters/cli/tests", "-m", "programs and not slow")


@nox.session
def slow(session: nox.Session) -> None:
    """Kill and stop processes, take databases away, remove guards, lead long random lives."""
    install(session)
    on_both_cores(session, *EVERYTHING, "-m", "slow")


@nox.session(python="3.13", download_python="never")
def bare(session: nox.Session) -> None:
    """Run the README's two commands in fresh clones of the last commit, with the newest Python and nothing else in reach."""
    session.run("python", "tools/bare.py")


@nox.session(venv_backend="none")
def pip(session: nox.Session) -> None:
    """Resolve `dev.txt` with the pip that this Python brings, by its hashes: pip is older than uv, and stricter."""
    with tempfile.TemporaryDirectory() as environment:
        session.run(sys.executable, "-m", "venv", environment, external=True)
        program = next(Path(environment).glob("*/pip*"))
        session.run(str(program), "install", "--quiet", "--dry-run", "--require-hashes", "-r", "requirements/dev.txt", external=True)


@nox.session(python=["3.11", "3.12", "3.13"], download_python="never")
def versions(session: nox.Session) -> None:
    """Run what `tests` runs with each supported Python; a missing one is skipped, and an error where CI is set."""
    install(session)
    on_both_cores(session, "--quick")


@nox.session(python="3.12", download_python="never")
def lowest(session: nox.Session) -> None:
    """Run what meets our dependencies with the oldest versions that we declare, on the Python between oldest and newest."""
    install(session, "lowest")
    on_both_cores(session, "--quick", *OF_DEPENDENCIES)


@nox.session
def lint(session: nox.Session) -> None:
    """Check style and common mistakes with ruff."""
    install(session)
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")


@nox.session
def types(session: nox.Session) -> None:
    """Check types with mypy and pyright."""
    install(session)
    session.install("--require-hashes", "-r", "requirements/clients.txt")
    session.run("mypy", "src", "adapters/fastapi/src", "adapters/cli/src", "tests/typing")
    session.run("pyright")


@nox.session
def house(session: nox.Session) -> None:
    """Check the import rules, the public names, the pairs of classes and the content of the wheels."""
    install(session)
    session.run("lint-imports")
    on_both_cores(session, "tests/house", "-m", "not slow")


@nox.session
def integration(session: nox.Session) -> None:
    """Run OAuth against a real authorization server that is not ours; needs Node.js with npm."""
    install(session)
    pytest(session, "tests/integration")


@nox.session(python="3.11", download_python="never")
def mutation(session: nox.Session) -> None:
    """Change the code that guards access in some thousand small ways, and have its tests notice; arguments are rooms of tests/mutation."""
    install(session)
    session.install("--require-hashes", "-r", "requirements/mutation.txt")
    session.run("python", "tools/mutation.py", *session.posargs)


@nox.session
def pages(session: nox.Session) -> None:
    """Use the pages in Chromium: each screen, by keyboard, small and large, embedded, offline; `-- --screenshots` makes their pictures."""
    install(session)
    session.install("--require-hashes", "-r", "requirements/pages.txt")
    session.run("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--prefix", "tests/pages", external=True)
    session.env["CI"] = "true"
    pytest(session, "tests/pages", "-n", "2", "--dist", "worksteal")


@nox.session
def simulation(session: nox.Session) -> None:
    """Play the seeded simulation of the refresh protocol 10,000 times; a seed that fails is printed and can be played again."""
    install(session)
    session.env["CI_SEEDS"] = "10000"
    pytest(session, "-n", "2", "tests/flows/test_refresh_simulation.py")


@nox.session
def docs(session: nox.Session) -> None:
    """Run the Python of every page and follow every relative link."""
    install(session)
    pytest(session, "tests/house/test_docs.py")


@nox.session
def examples(session: nox.Session) -> None:
    """Run every example to its end."""
    install(session, "examples")
    for program in sorted(Path("examples").glob("*.py")):
        session.run("python", str(program))


@nox.session(venv_backend="none")
def howto(session: nox.Session) -> None:
    """Do what each how-to page says: a new environment with its install line alone, then its programs; arguments are pages."""
    session.run(sys.executable, "tools/howto.py", *session.posargs, external=True)


@nox.session
def demo(session: nox.Session) -> None:
    """Run the demonstration with nothing installed but what the command line declares."""
    install(session, "demo")
    session.run("cloud-integrations", "demo")


@nox.session
def bench(session: nox.Session) -> None:
    """Run every benchmark in its quick form, or as told by the arguments."""
    install(session)
    for program in sorted(Path("benchmarks").glob("*.py")):
        session.run("python", str(program), *(session.posargs or ["--quick"]))


@nox.session
def requirements(session: nox.Session) -> None:
    """Print id, tests and result from the last runs; run the tests first where there was none."""
    if not any(REPORTS.glob("*.json")):
        install(session)
        on_both_cores(session, *EVERYTHING)
    session.run("python", "tools/requirements.py", *map(str, sorted(REPORTS.glob("*.json"))))


@nox.session
def release(session: nox.Session) -> None:
    """Build a release twice from its tag and compare the bytes, with bills of materials; arguments are a folder, and `--untagged`."""
    install(session)
    session.run("python", "tools/release.py", *(session.posargs or ["--untagged", ".cache/release"]))


@nox.session(venv_backend="none")
def advisories(session: nox.Session) -> None:
    """Ask OSV for known weaknesses of every locked version; skipped, and not green, where the service does not answer."""
    done = subprocess.run([sys.executable, "tools/advisories.py", *session.posargs], check=False)  # our own program
    if done.returncode == 3:
        session.skip("api.osv.dev does not answer from here: run this session where it does, before a release")
    if done.returncode:
        session.error("a locked version has a known weakness")


@nox.session(venv_backend="none")
def lock(session: nox.Session) -> None:
    """Write the lock files again (`-- --upgrade` for new versions); they hold versions and hashes, no index."""
    ours = [str(Path(where, "pyproject.toml")) for where in DISTRIBUTIONS]
    extras = tomllib.loads(Path(ours[0]).read_text(encoding="utf-8"))["project"]["optional-dependencies"].keys() - {*LARGE, *APART, "all"}
    everything_but_large = [*ours, *(f"--extra={extra}" for extra in ("host", "pages", *sorted(extras))), "requirements/tools.in"]
    for name, sources in {
        "dev": everything_but_large,
        "lowest": [*everything_but_large, "--resolution", "lowest-direct"],
        "demo": [ours[-1], "requirements/build.in"],
        "examples": [*ours, "--all-extras", "requirements/build.in", "requirements/clients.in", "requirements/examples.in"],
        "nox": ["requirements/nox.in"],
        "aiobotocore": ["requirements/aiobotocore.in"],
        "drivers": ["requirements/drivers.in"],
        "mutation": ["requirements/mutation.in", "-c", "requirements/dev.txt"],
        "clients": [ours[0], *(f"--extra={extra}" for extra in LARGE), "requirements/clients.in", "-c", "requirements/dev.txt"],
        "pages": ["requirements/pages.in", "-c", "requirements/dev.txt"],
        "sqlalchemy-2.0": ["requirements/sqlalchemy-2.0.in"],
        **{library: [ours[0], f"--extra={library}", "--extra=sqlalchemy", "requirements/transport.in"] for library in ("httpx", "httpx2")},
    }.items():
        compiling = (sys.executable, "-m", "uv", "pip", "compile", *LOCKING.split(), *sources, "-o", f"requirements/{name}.txt")
        session.run(*compiling, *session.posargs, external=True)
        written = Path(f"requirements/{name}.txt")
        written.write_text(EXTRAS.sub(_with_and_without, written.read_text(encoding="utf-8")), encoding="utf-8")


def _with_and_without(entry: re.Match[str]) -> str:
    return f"{entry['name']}{entry['rest']}{entry[0]}"
