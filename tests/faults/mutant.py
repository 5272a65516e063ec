"""A guard of the product, taken away."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
# Not pytest's own codes: a process of multiprocessing that fails in another way ends with 1, too.
PASSED, FAILED = 100, 101
STORE = "tests/backends/test_sqlalchemy_store.py::TestOnSqlite::"


@dataclass(frozen=True, kw_only=True)
class Mutant:
    """A guard that is taken out of the source, and the test that must notice."""

    file: str
    guard: str
    without: str
    noticed_by: str


def end_with_tests(copy, tests, shown):
    """Run *tests* against the source in *copy*, write what pytest says to *shown*, and end this process with `PASSED` or `FAILED`."""
    with shown.open("wb") as file:
        for descriptor in (1, 2):
            os.dup2(file.fileno(), descriptor)
    os.chdir(ROOT)
    # The copies are not the source whose coverage is measured.
    for name in [name for name in os.environ if name.startswith("COV")]:
        del os.environ[name]
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    sys.dont_write_bytecode = True
    few = ("-p", "pytest_asyncio.plugin", "-p", "pytest_timeout", "-p", "no:cacheprovider")
    code = pytest.main(["-x", "-q", "--no-header", "--tb=short", "-o", f"pythonpath={copy}", *few, *tests])
    sys.exit({pytest.ExitCode.OK: PASSED, pytest.ExitCode.TESTS_FAILED: FAILED}.get(code, code))
