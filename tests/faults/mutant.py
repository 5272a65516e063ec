"""A guard of the product, taken away."""

from __future__ import annotations

from dataclasses import dataclass

STORE = "tests/backends/test_sqlalchemy_store.py::TestOnSqlite::"


@dataclass(frozen=True, kw_only=True)
class Mutant:
    """A guard that is taken out of the source, and the test that must notice."""

    file: str
    guard: str
    without: str
    noticed_by: str
