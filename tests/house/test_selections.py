"""What `--quick` leaves out runs with `--again`, and the other way round: together they are all tests."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
# Tests over both managers, over every database, over both, with more values, and of one form.
FILES = (
    "tests/backends/test_sqlalchemy_migrations.py",
    "tests/domain/test_freshness.py",
    "tests/flows/test_refusals.py",
    "tests/flows/test_single_flight.py",
)


def collected(*options: str) -> set[str]:
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", "--collect-only", "-q", "-m", "not slow", *options, *FILES],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return {line for line in ran.stdout.splitlines() if "::" in line}


def test_each_test_is_in_one_of_two_selections_and_in_both_only_where_it_has_one_form() -> None:
    everything, quick, again = collected(), collected("--quick"), collected("--again")
    assert quick | again == everything
    assert quick < everything
    assert again < everything

    def whatever_runs_it(test: str) -> str:
        return re.sub("blocking|awaiting|sqlite|postgresql|mariadb", "", test)

    assert {*map(whatever_runs_it, quick & again)}.isdisjoint(map(whatever_runs_it, everything - quick))
    assert {*map(whatever_runs_it, quick)} >= {whatever_runs_it(test) for test in again if "[" not in test}
