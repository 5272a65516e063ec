"""Where the house stands."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def root() -> Path:
    return ROOT


@pytest.fixture(scope="session")
def tracked(root: Path) -> list[Path]:
    """Every file of the repository that is text."""
    if not (root / ".git").exists() or not shutil.which("git"):
        pytest.skip("which files belong to the repository is known only in a git checkout; install git and clone it")
    names = subprocess.run(["git", "ls-files", "-z"], cwd=root, check=True, capture_output=True, text=True).stdout.split("\0")
    files = [root / name for name in names if name and (root / name).is_file()]
    return [file for file in files if b"\0" not in file.read_bytes()]


@pytest.fixture(scope="session")
def sources(root: Path) -> list[Path]:
    """Every Python file that we ship."""
    return [file for where in (root, root / "adapters/fastapi", root / "adapters/cli") for file in sorted((where / "src").rglob("*.py"))]


@pytest.fixture(scope="session")
def load_tool(root: Path) -> Callable[[str], ModuleType]:
    """Return a function that loads a program of tools/ by its name."""

    def load(name: str) -> ModuleType:
        spec = importlib.util.spec_from_file_location(f"tool_{name}", root / f"tools/{name}.py")
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    return load
