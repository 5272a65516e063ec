"""What users can name is a promise, so it is written down twice."""

from __future__ import annotations

import ast
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

# `cloud_integrations.errors` has no list of its own: every public class in it may be caught.
PUBLIC_MODULES = ("cloud_integrations", "cloud_integrations.backends.sqlalchemy", "cloud_integrations.errors", "cloud_integrations.testing")

HEAVY = {
    *("alembic", "asyncio", "asyncpg", "authlib", "boto3", "fastapi", "httpx", "joserfc", "psycopg"),
    *("pydantic_settings", "rich", "sqlalchemy", "starlette", "typer", "uvicorn"),
}


def _public_names(module: str) -> set[str]:
    loaded = import_module(module)
    return set(getattr(loaded, "__all__", None) or (name for name in vars(loaded) if not name.startswith("_")))


@pytest.mark.parametrize("module", ["cloud_integrations", "cloud_integrations.testing"])
def test_public_names_are_the_ones_written_down(module: str, root: Path) -> None:
    written = [
        line.split(".")[-1] for line in (root / "tests/house/public_names.txt").read_text().split() if line.rpartition(".")[0] == module
    ]
    assert sorted(import_module(module).__all__) == written, (
        "a change of the public names is a change for users: write it into public_names.txt too"
    )


@pytest.mark.parametrize("module", ["cloud_integrations", "cloud_integrations.testing"])
def test_public_names_are_sorted_and_exist(module: str) -> None:
    loaded = import_module(module)
    assert list(loaded.__all__) == sorted(set(loaded.__all__))
    assert [name for name in loaded.__all__ if not hasattr(loaded, name)] == []


def test_type_checkers_see_the_names_that_are_loaded_later(root: Path) -> None:
    import cloud_integrations

    tree = ast.parse((root / "src/cloud_integrations/__init__.py").read_text(encoding="utf-8"))
    imported = [node for block in tree.body if isinstance(block, ast.If) for node in block.body if isinstance(node, ast.ImportFrom)]
    seen = {alias.name: f"{node.module}" for node in imported for alias in node.names}
    assert seen == {name: f"cloud_integrations.{home}" for name, home in cloud_integrations._HOMES.items()}


def test_importing_the_library_loads_nothing_heavy(root: Path) -> None:
    program = "import sys, cloud_integrations; print(*sorted({name.partition('.')[0] for name in sys.modules}))"
    command = [sys.executable, "-W", "error", "-c", program]
    loaded = subprocess.run(command, cwd=root / "src", check=True, capture_output=True, text=True).stdout.split()
    assert HEAVY.intersection(loaded) == set()


def test_adapters_use_only_public_names(root: Path) -> None:
    files = [file for adapter in ("fastapi", "cli") for file in sorted((root / "adapters" / adapter / "src").rglob("*.py"))]
    strangers = [f"{file.relative_to(root)}: {found}" for file in files for found in _private_imports(file)]
    assert strangers == []


def test_examples_use_only_public_names(root: Path) -> None:
    files = sorted((root / "examples").rglob("*.py"))
    strangers = [f"{file.relative_to(root)}: {found}" for file in files for found in _private_imports(file)]
    assert strangers == []


def _private_imports(file: Path) -> list[str]:
    found: list[str] = []
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found += [
                alias.name for alias in node.names if alias.name.startswith("cloud_integrations.") and alias.name not in PUBLIC_MODULES
            ]
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and (node.module or "").partition(".")[0] == "cloud_integrations":
            module = node.module or ""
            found += [
                f"{module}.{alias.name}" for alias in node.names if module not in PUBLIC_MODULES or alias.name not in _public_names(module)
            ]
    return found
