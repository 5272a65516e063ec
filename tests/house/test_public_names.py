"""What users can name is a promise, so it is written down twice."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from types import FunctionType, ModuleType
from typing import get_type_hints

import pytest

PUBLIC_MODULES = (
    "cloud_integrations",
    "cloud_integrations.clients",
    "cloud_integrations.backends.sqlalchemy",
    "cloud_integrations.backends.sqlalchemy.databases",
    "cloud_integrations.documents",
    "cloud_integrations.domain.events",
    "cloud_integrations.errors",
    "cloud_integrations.kinds",
    "cloud_integrations.oauth",
    "cloud_integrations.redaction",
    "cloud_integrations.signing",
    "cloud_integrations.ports",
    "cloud_integrations.testing",
    *(
        f"cloud_integrations.testing.contracts.{port}"
        for port in (
            "approver",
            "checkpoint_keys",
            "cipher",
            "key_service",
            "oauth_backend",
            "rate_limiter",
            "signing_keys",
            "store",
            "transport",
        )
    ),
)
# The others are what they are made of: a database's module, a suite of tests.
PINNED_MODULES = [module for module in PUBLIC_MODULES if ".backends." not in module and ".contracts." not in module]
PINNED = pytest.mark.parametrize("module", PINNED_MODULES)

HEAVY = {
    *("alembic", "asyncio", "asyncpg", "authlib", "boto3", "fastapi", "httpx", "joserfc", "psycopg"),
    *("pydantic_settings", "rich", "sqlalchemy", "starlette", "typer", "uvicorn"),
}


def _public_names(module: str) -> set[str]:
    loaded = import_module(module)
    # Written down and not in `__all__` are those whose package is missing here.
    return {*(getattr(loaded, "__all__", None) or (name for name in vars(loaded) if not name.startswith("_"))), *_written(module)}


def _written(module: str) -> list[str]:
    lines = Path(__file__).with_name("public_names.txt").read_text().split()
    return [line.split(".")[-1] for line in lines if line.rpartition(".")[0] == module]


@PINNED
def test_public_names_are_the_ones_written_down(module: str) -> None:
    loaded = import_module(module)
    # Of a client whose package is missing here, the name is known and cannot be loaded.
    assert loaded.__all__ == [name for name in _written(module) if hasattr(loaded, name) or name not in dir(loaded)], (
        "a change of the public names is a change for users: write it into public_names.txt too"
    )


def test_the_signatures_of_public_names_are_the_ones_written_down(root: Path, load_tool: Callable[[str], ModuleType]) -> None:
    written = (root / "tests/house/public_signatures.txt").read_text(encoding="utf-8").splitlines()
    found = load_tool("public_signatures").text().splitlines()
    gone, new = sorted({*written} - {*found})[:20], sorted({*found} - {*written})[:20]
    assert (gone, new) == ([], []), "users call these: write the change into CHANGELOG.md, and run tools/public_signatures.py"
    assert written == found


def test_a_changed_signature_is_seen(load_tool: Callable[[str], ModuleType], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tool = load_tool("public_signatures")
    package = tmp_path / "src/cloud_integrations"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("from .deep import Thing as Named\nfrom .deep import act\n")
    (package / "above.py").write_text("class Above:\n    kept: int = 1\n    def go(self, /, *, fast: bool = True) -> None: ...\n")
    (package / "deep.py").write_text(
        "from .above import Above\n\nclass Thing(Above):\n    _hidden: int\n    async def go(self) -> str: ...\n\n"
        "def act(a: int, /, *b, c=2): ...\n"
    )
    monkeypatch.setattr(tool, "SOURCE", tmp_path / "src")
    assert list(tool.signatures("cloud_integrations.Named")) == [
        "cloud_integrations.Named: class(Above)",
        "cloud_integrations.Named.async go(self) -> str",
        "cloud_integrations.Named.kept: int = 1",
    ]
    assert list(tool.signatures("cloud_integrations.act")) == ["cloud_integrations.act(a: int, /, *b, c=2)"]
    with pytest.raises(LookupError):
        list(tool.signatures("cloud_integrations.gone"))


@PINNED
def test_public_names_are_sorted_and_exist(module: str) -> None:
    loaded = import_module(module)
    # Constants first, as ruff sorts them.
    assert loaded.__all__ == sorted(set(loaded.__all__), key=lambda name: (not name.isupper(), name))
    assert [name for name in loaded.__all__ if not hasattr(loaded, name)] == []


def test_each_public_name_has_one_home_beside_the_front() -> None:
    # Two modules have a function `register`, each for its own things.
    named = [(name, id(getattr(import_module(module), name))) for module in PINNED_MODULES[1:] for name in import_module(module).__all__]
    assert [name for (name, _), count in Counter(named).items() if count > 1] == []


@pytest.mark.parametrize("module", ["cloud_integrations.errors", "cloud_integrations.ports"])
def test_what_may_be_caught_or_implemented_is_all_named(module: str) -> None:
    loaded = import_module(module)
    ours = {name for name, value in vars(loaded).items() if not name.startswith("_") and _is_ours(value)}
    assert ours <= set(loaded.__all__)


def _is_ours(value: object) -> bool:
    return isinstance(value, type | FunctionType) and value.__module__.startswith("cloud_integrations.")


def test_type_checkers_see_the_names_that_are_loaded_later(root: Path) -> None:
    import cloud_integrations

    tree = ast.parse((root / "src/cloud_integrations/__init__.py").read_text(encoding="utf-8"))
    imported = [node for block in tree.body if isinstance(block, ast.If) for node in block.body if isinstance(node, ast.ImportFrom)]
    seen = {alias.name: f"{node.module}" for node in imported for alias in node.names}
    assert seen == {name: f"cloud_integrations.{home}" for name, home in cloud_integrations._HOMES.items()}


def _loaded_by(statement: str, root: Path) -> set[str]:
    program = f"import sys; {statement}; print(*sys.modules)"
    command = [sys.executable, "-W", "error", "-c", program]
    return set(subprocess.run(command, cwd=root / "src", check=True, capture_output=True, text=True).stdout.split())


def test_importing_the_library_loads_nothing_heavy(root: Path) -> None:
    assert HEAVY.intersection(_loaded_by("import cloud_integrations", root)) == set()


def test_importing_a_manager_loads_neither_models_nor_protocols(root: Path) -> None:
    loaded = _loaded_by("from cloud_integrations import IntegrationManager", root)
    ours = {
        "cloud_integrations.flows.use",
        "cloud_integrations.flows.shared",
        "cloud_integrations.domain.provider",
        "cloud_integrations.backends",
    }
    assert (HEAVY - {"asyncio"} | {"cryptography", "pydantic", "pydantic_core"} | ours).intersection(loaded) == set()


def test_building_a_manager_loads_its_flows_so_that_no_request_waits_for_them(root: Path) -> None:
    build = "from cloud_integrations.testing.plugin import ci_manager; built = ci_manager._fixture_function"
    use = "from cloud_integrations.testing import FixedClock, SimulatedProvider; clock = FixedClock()"
    fixture = f"{build}; {use}; made = built(clock, SimulatedProvider(clock=clock)); next(made)"
    assert {"cloud_integrations.flows.renew.renew", "cloud_integrations.flows.connect.add"} <= _loaded_by(fixture, root)


def test_the_types_of_a_managers_parts_can_be_read() -> None:
    from cloud_integrations import AsyncIntegrationManager, IntegrationManager

    for door in (IntegrationManager, AsyncIntegrationManager):
        assert {"store", "transport", "keys", "cipher", "providers"} <= get_type_hints(door.__init__).keys()


def test_type_checkers_see_the_list_of_public_names(root: Path) -> None:
    import cloud_integrations

    tree = ast.parse((root / "src/cloud_integrations/__init__.py").read_text(encoding="utf-8"))
    (written,) = [node.value for node in ast.walk(tree) if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__"]
    assert ast.literal_eval(written) == list(cloud_integrations._HOMES)


# Everything that an extra brings; the base dependencies stay.
EXTRAS = (
    "alembic",
    "azure",
    "boto3",
    "botocore",
    "google",
    "httpcore",
    "httpcore2",
    "httpx",
    "httpx2",
    "keyring",
    "pkcs11",
    "pytest",
    "sqlalchemy",
)

WITHOUT_EXTRAS = f"""
import importlib, inspect, pkgutil, pydoc, sys

class Blocked:
    def find_spec(self, name, path, target=None):
        if name.partition(".")[0] in {EXTRAS}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Blocked())
import cloud_integrations

names = ["cloud_integrations"]
names += [found.name for found in pkgutil.walk_packages(cloud_integrations.__path__, "cloud_integrations.", onerror=str) if found.ispkg]
for name in names:
    try:
        module = importlib.import_module(name)
    except ModuleNotFoundError as error:
        print(name, "needs", error.name)
        continue
    assert not hasattr(module, "no_such_name"), name
    inspect.getmembers(module)
    assert pydoc.render_doc(module)
    starred = {{}}
    exec(f"from {{name}} import *", starred)
    print(name, *sorted(known for known in dir(module) if not hasattr(module, known)), "|", *sorted(starred))
"""

NEED_AN_EXTRA = {
    "AsyncHttpxTransport": "httpx",
    "AsyncSqlAlchemyStore": "sqlalchemy",
    "AwsKmsKeys": "aws-kms",
    "AwsKmsSigningKeys": "aws-kms",
    "AzureKeyVaultKeys": "azure-kv",
    "GcpKmsKeys": "gcp-kms",
    "HttpxTransport": "httpx",
    "Pkcs11Keys": "pkcs11",
    "SqlAlchemyStore": "sqlalchemy",
}


def _without_extras(program: str, root: Path) -> str:
    command = [sys.executable, "-W", "error", "-c", program]
    return subprocess.run(command, cwd=root / "src", check=True, capture_output=True, text=True).stdout


def test_every_package_can_be_looked_into_without_the_extras(root: Path) -> None:
    import cloud_integrations

    seen = dict(line.split(" ", 1) for line in _without_extras(WITHOUT_EXTRAS, root).splitlines())
    missing, _, starred = seen["cloud_integrations"].partition("|")
    assert missing.split() == sorted(NEED_AN_EXTRA)
    assert set(starred.split()) - {"__builtins__"} == set(cloud_integrations._HOMES) - NEED_AN_EXTRA.keys()
    assert seen["cloud_integrations.testing"].startswith("| ")
    assert seen["cloud_integrations.backends.sqlalchemy"].startswith("needs ")


def test_a_name_whose_extra_is_missing_says_which_to_install(root: Path) -> None:
    blocked = WITHOUT_EXTRAS.partition("names = ")[0]
    tries = "\n".join(
        f"try:\n    {statement}\nexcept {error} as problem:\n    print(problem)"
        for name in NEED_AN_EXTRA
        for statement, error in (
            (f"from cloud_integrations import {name}", "ImportError"),
            (f"cloud_integrations.{name}", "AttributeError"),
        )
    )
    said = _without_extras(blocked + tries, root).splitlines()
    assert len(said) == 2 * len(NEED_AN_EXTRA)
    for number, (name, extra) in enumerate(NEED_AN_EXTRA.items()):
        for line in said[2 * number : 2 * number + 2]:
            assert line == f"{name} needs the extra {extra}: pip install 'cloud-integrations[{extra}]'"


def test_migrations_are_an_attribute_of_their_package(root: Path) -> None:
    program = "import cloud_integrations.backends.sqlalchemy as ours; assert callable(ours.migrate.upgrade); assert not hasattr(ours, 'x')"
    assert "alembic" in _loaded_by(program, root)
    assert "alembic" not in _loaded_by("import cloud_integrations.backends.sqlalchemy", root)


def test_adapters_use_only_public_names(root: Path) -> None:
    files = [file for adapter in ("fastapi", "cli") for file in sorted((root / "adapters" / adapter / "src").rglob("*.py"))]
    strangers = [f"{file.relative_to(root)}: {found}" for file in files for found in _private_imports(file)]
    assert strangers == []


def test_examples_use_only_public_names(root: Path) -> None:
    files = sorted((root / "examples").rglob("*.py"))
    strangers = [f"{file.relative_to(root)}: {found}" for file in files for found in _private_imports(file)]
    assert strangers == []


def test_pages_use_only_public_names(root: Path) -> None:
    blocks = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
    pages = {
        page: blocks.findall(page.read_text(encoding="utf-8")) for page in [root / "README.md", *sorted((root / "docs").rglob("*.md"))]
    }
    strangers = [f"{page.relative_to(root)}: {found}" for page, texts in pages.items() for text in texts for found in _private_names(text)]
    assert strangers == []


def _private_imports(file: Path) -> list[str]:
    return _private_names(file.read_text(encoding="utf-8"))


def _private_names(source: str) -> list[str]:
    found: list[str] = []
    for node in ast.walk(compile(source, "source", "exec", ast.PyCF_ONLY_AST | ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)):
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
