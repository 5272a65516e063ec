"""What the tests of format CI1 share: the published vectors, and the program that writes them.

That program shares no code with the product, so the tests hold the product against it.
"""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from types import ModuleType
from typing import Any

ROOT = Path(__file__).parents[1]
REFERENCE = ROOT / "docs/reference"
VECTORS: dict[str, Any] = json.loads((REFERENCE / "ci1-vectors.json").read_text(encoding="utf-8"))


def program(name: str, /) -> ModuleType:
    """Import `tools/<name>.py`, which is a program and no package."""
    spec = importlib.util.spec_from_file_location(f"tool_{name}", ROOT / f"tools/{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


WRITER: Any = program("ci1_vectors")


def pairs_of(vector: dict[str, Any], /) -> list[tuple[str, str]]:
    return [(key, value) for key, value in vector["context"]]


def bytes_of(vector: dict[str, Any], /, *names: str) -> list[bytes]:
    return [bytes.fromhex(vector[name]) for name in names]
