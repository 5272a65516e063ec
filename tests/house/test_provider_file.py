"""Every field of a provider file is read by somebody, and is in the reference."""

from __future__ import annotations

import ast
import os
import sys
import tomllib
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from mypy.build import build
from mypy.modulefinder import BuildSource
from mypy.nodes import AssignmentStmt, MemberExpr, NameExpr, TypeInfo
from mypy.options import Options
from mypy.types import Instance, Type, UnionType, get_proper_type
from pydantic import BaseModel, TypeAdapter

from cloud_integrations.domain import provider as schema

SCHEMA = "cloud_integrations.domain.provider"
WAYS_TO_READ = ("domain", "protocol", "kinds", "flows", "providers", "clients")
OUTSIDE = ("", "")
DECLARATION = ("", "<module>")
SHIFT = 10_000
"""mypy's expressions know their line and not their module: each file of the schema begins where no other file has a line."""

Member = tuple[str, str]
"""A table and one of its attributes; a function of the module has no table."""


def _schema_texts() -> dict[str, str]:
    """Return the schema's modules with their text."""
    folder = Path(schema.__file__).parent
    return {f"{SCHEMA}.{file.stem}": file.read_text(encoding="utf-8") for file in sorted(folder.glob("*.py")) if file.stem != "__init__"}


def _unread(root: Path, texts: dict[str, str]) -> set[str]:
    """Return the fields of the schema, which has these *texts*, that no code reads, as `Table.field`.

    Types say whose attribute is read, so another attribute of that name does not count.  A reader outside the schema counts;
    inside it a method or a function counts as far as somebody outside calls it.  A validator alone reads nothing: to check
    a value is not to use it.
    """
    shifted = {module: "\n" * SHIFT * number + text for number, (module, text) in enumerate(texts.items(), start=1)}
    result = _typed(root, shifted)
    places = {line: place for text in shifted.values() for line, place in _places(text).items()}
    reads: dict[Member, set[Member]] = defaultdict(set)
    for node in result.types:
        place = places.get(node.line, DECLARATION) if node.line > SHIFT else OUTSIDE
        if isinstance(node, NameExpr) and node.fullname.rpartition(".")[0] in texts:
            reads[place].add(("", node.name))
        elif isinstance(node, MemberExpr) and node.expr in result.types:
            reads[place].update((owner.name, node.name) for owner in _owners(result.types[node.expr], node.name))
    return {".".join(field) for field in _fields(result, texts) - _reached(reads)}


def _typed(root: Path, texts: dict[str, str]) -> Any:
    options = Options()
    options.export_types = options.preserve_asts = True
    options.incremental = False
    options.follow_imports = "skip"
    options.python_version = sys.version_info[:2]
    options.cache_dir = os.devnull
    rooms = [root / "src", *(root / "adapters").glob("*/src")]
    sources = []
    for source, file in [(room, file) for room in rooms for file in sorted(room.rglob("*.py"))]:
        parts = file.relative_to(source).with_suffix("").parts
        if parts[0] != "cloud_integrations" or (len(parts) > 1 and parts[1] in WAYS_TO_READ):
            module = ".".join(parts).removesuffix(".__init__")
            sources.append(BuildSource(str(file), module, texts.get(module)))
    return build(sources, options)


def _places(text: str) -> dict[int, Member]:
    """Return line → the method or function around it.  What stands in none of them is a declaration, and reads nothing."""
    places: dict[int, Member] = {}
    for outer in ast.parse(text).body:
        for inner in outer.body if isinstance(outer, ast.ClassDef) else [outer]:
            if isinstance(inner, ast.FunctionDef):
                table = outer.name if isinstance(outer, ast.ClassDef) else ""
                places.update(dict.fromkeys(range(inner.lineno, (inner.end_lineno or 0) + 1), (table, inner.name)))
    return places


def _owners(kind: Type, name: str) -> Iterator[TypeInfo]:
    """Return the tables among the types of an expression that declare the attribute *name*."""
    proper = get_proper_type(kind)
    for one in proper.items if isinstance(proper, UnionType) else [proper]:
        instance = get_proper_type(one)
        owner = instance.type.get_containing_type_info(name) if isinstance(instance, Instance) else None
        if owner is not None and owner.module_name.startswith(f"{SCHEMA}."):
            yield owner


def _fields(result: Any, texts: dict[str, str]) -> set[Member]:
    fields = {
        (info.name, target.name)
        for module in texts
        for info in (symbol.node for symbol in result.files[module].names.values())
        if isinstance(info, TypeInfo) and info.module_name == module and info.has_base(f"{SCHEMA}.base.FileTable")
        for statement in info.defn.defs.body
        if isinstance(statement, AssignmentStmt) and statement.unanalyzed_type is not None
        for target in statement.lvalues
        if isinstance(target, NameExpr)
    }
    assert {table for table, _ in fields} >= {"Provider", "Method", "Predicate", "RateLimit"}
    return fields


def _reached(reads: dict[Member, set[Member]]) -> set[Member]:
    seen: set[Member] = set()
    ahead = [OUTSIDE]
    while ahead:
        new = reads[ahead.pop()] - seen
        seen |= new
        ahead += new
    return seen


def test_every_field_of_a_provider_file_has_a_reader(root: Path) -> None:
    unread = sorted(_unread(root, _schema_texts()))
    assert not unread, (
        f"{', '.join(unread)}: no code reads this, so whoever sets it is deceived. Read it in protocol, kinds, flows, providers, clients "
        "or an adapter (a validator does not count, nor the testing package), or take it out of domain/provider/ and the files and "
        "put the facts into evidence/."
    )


@pytest.mark.slow
def test_a_field_without_a_reader_is_found(root: Path) -> None:
    texts = _schema_texts()
    # `hostname` is read of other things; `unread` of this one by a validator and by a method that nobody calls.
    added = """    hostname: str = ""
    unread: str = ""
    used: str = ""

    @model_validator(mode="after")
    def _checked(self) -> Self:
        return self if self.unread == self._private() else self

    def _private(self) -> str:
        return self.unread

    def uncalled(self) -> str:
        return self.unread

    @property
    def wait_path(self) -> str:
        return self.used
"""
    line = "    wait_path: str | None = None\n"
    text = texts[f"{SCHEMA}.error_rules"]
    assert text.count(line) == 1
    assert _unread(root, {**texts, f"{SCHEMA}.error_rules": text.replace(line, added)}) == {"RateLimit.hostname", "RateLimit.unread"}


def _page(tool: Any) -> str:
    return str(tool.build_page())


@pytest.fixture
def tool(load_tool: Any) -> Any:
    return load_tool("provider_file")


def test_the_reference_of_the_provider_file_is_the_one_that_the_schema_gives(root: Path, tool: Any) -> None:
    page = (root / "docs/reference/provider-file.md").read_text(encoding="utf-8")
    assert page == _page(tool), "run `python tools/provider_file.py`"


def test_every_field_is_in_the_reference_with_words_and_an_example_that_loads(tool: Any) -> None:
    page = _page(tool)
    tables = [table for table in vars(schema).values() if isinstance(table, type) and issubclass(table, BaseModel) and table.model_fields]
    assert len(tables) > 12
    for table in tables:
        for name, field in table.model_fields.items():
            key = field.alias or name
            rows = [line for line in page.splitlines() if line.startswith(f"| `{key}` |")]
            assert rows, f"{table.__name__}.{name} is not in the reference"
            assert tool.find_docstring(table, name)
            for row in rows:
                example = row.rpartition(" | ")[2].removesuffix(" |").strip("`").replace("\\|", "|")
                if not example.startswith("see "):
                    assert key in tomllib.loads(example)


@pytest.mark.parametrize("table", [schema.Predicate, schema.ErrorRule, schema.Present, schema.RefreshTokenFacts, schema.Reply])
def test_an_example_is_a_value_that_the_field_accepts(tool: Any, table: type[BaseModel]) -> None:
    found = tool._builtin_values()
    for name, field in table.model_fields.items():
        if not tool._models(field.annotation):
            example = tomllib.loads(f"it = {tool._toml(tool._example(table, name, field, found))}")["it"]
            TypeAdapter(field.annotation).validate_python(example)
