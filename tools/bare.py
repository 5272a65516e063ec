"""Run the README's two commands in fresh clones, on a machine that has Python and nothing else: `bare.py`.

The clone holds the last commit. What the tests could use beside Python is put out of reach: no program is on PATH but
Python, the databases are said to be where nobody listens, and SoftHSM where no file is.
"""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[1]
DEMO = re.compile(r"^python3 .*cloud-integrations demo$", re.MULTILINE)
TESTS = re.compile(r"^python3 .*nox -s tests$", re.MULTILINE)
# What the closing lines must name: each thing that is missing, and each session that something is left to.
SESSIONS = ("coverage", "programs", "slow", "integration")
NAMED = ("no PostgreSQL answers", "no MariaDB answers", "SoftHSM", "Node", *(f"nox -s {name}" for name in SESSIONS))


def main() -> int:
    """Return 0 when the demonstration ran, and the tests passed and said what they lacked."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    commands = {"demo": DEMO.findall(readme), "tests": TESTS.findall(readme)}
    for name, found in commands.items():
        if len(found) != 1:
            print(f"README.md does not name one command for: {name}")
            return 1
    with tempfile.TemporaryDirectory() as folder, _nobody_listens() as port:
        programs = Path(folder, "bin")
        programs.mkdir()
        # A script and no link: Python finds its library beside its real place.
        (programs / "python3").write_text(f'#!/bin/sh\nexec "{Path(sys.executable).resolve()}" "$@"\n', encoding="utf-8")
        (programs / "python3").chmod(0o755)
        env = {name: value for name, value in os.environ.items() if name not in {"CI", "NOXSESSION", "VIRTUAL_ENV"}} | {
            "PATH": str(programs),
            "CI_TEST_POSTGRESQL": f"postgresql+psycopg://nobody@127.0.0.1:{port}/test",
            "CI_TEST_MARIADB": f"mariadb+pymysql://nobody@127.0.0.1:{port}/test",
            "CI_TEST_SOFTHSM": str(Path(folder, "no-softhsm.so")),
        }
        demo, _ = _run(commands["demo"][0], Path(folder, "demo"), env)
        code, shown = _run(commands["tests"][0], Path(folder, "tests"), env)
        _keep_report(Path(folder, "tests"))
    unnamed = [name for name in NAMED if not any(name in line for line in shown)]
    for name in unnamed:
        print(f"the closing lines do not name: {name}")
    return demo or code or int(bool(unnamed))


def _run(command: str, clone: Path, env: dict[str, str]) -> tuple[int, list[str]]:
    """Run a command in a fresh clone; return its exit code and what it printed."""
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(clone)], check=True)
    ran = subprocess.Popen(
        ["/bin/sh", "-c", command],
        cwd=clone,
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    shown = list(_shown(ran))
    return ran.wait(), shown


def _keep_report(clone: Path) -> None:
    """Keep which requirements the clone's tests proved and which of them failed, beside the reports of the other sessions."""
    report = clone / ".cache/requirements/tests.json"
    if report.exists():
        kept = ROOT / ".cache/requirements/bare.json"
        kept.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(report, kept)


@contextmanager
def _nobody_listens() -> Iterator[int]:
    """Give a port that stays taken, so that nobody else can begin to listen there."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]


def _shown(ran: subprocess.Popen[str]) -> Iterator[str]:
    """Print each line as it comes, and hand it on."""
    assert ran.stdout is not None  # noqa: S101  # it was asked for
    for line in ran.stdout:
        print(line, end="", flush=True)
        yield line


if __name__ == "__main__":
    sys.exit(main())
