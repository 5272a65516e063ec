"""Write tests/house/public_signatures.txt: how every public name is called and what it has.

A line that goes or changes breaks somebody's code; a line that comes does not.  The names are those of tests/house/public_names.txt.
The source is read and not imported, so the file is the same whichever extras are installed.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
NAMES = ROOT / "tests/house/public_names.txt"
TARGET = ROOT / "tests/house/public_signatures.txt"
SOURCE = ROOT / "src"
SPECIAL = {"__init__", "__call__", "__enter__", "__exit__", "__aenter__", "__aexit__", "__iter__", "__aiter__"}
Definition = ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef | ast.Assign | ast.AnnAssign


class Found(NamedTuple):
    """Where a name is defined, and how."""

    module: str
    node: Definition


def main() -> None:
    """Write the file."""
    TARGET.write_text(text(), encoding="utf-8")
    print(TARGET)


def text() -> str:
    """Return what the file must hold."""
    return "".join(f"{line}\n" for name in NAMES.read_text(encoding="utf-8").split() for line in signatures(name))


def signatures(name: str, /) -> Iterator[str]:
    """Yield one line for a function or a constant, and one for each public member of a class.  Raises `LookupError` for no name of ours."""
    module, _, last = name.rpartition(".")
    found = definition(module, last)
    if found is None:
        raise LookupError(name)
    match found.node:
        case ast.ClassDef() as node:
            yield f"{name}: class({', '.join(ast.unparse(base) for base in node.bases)})"
            yield from sorted(f"{name}.{line}" for line in _members(found.module, node).values())
        case ast.FunctionDef() | ast.AsyncFunctionDef() as node:
            yield f"{name}{_called(node)}"
        case ast.AnnAssign() as node:
            yield f"{name}: {ast.unparse(node.annotation)}"
        case ast.Assign() as node:
            yield f"{name} = {ast.unparse(node.value)[:100]}"


@cache
def definition(module: str, name: str, /) -> Found | None:
    """Return the definition of *name* in *module*, or in the module of ours that it is imported from; None: it is not ours."""
    for node in _statements(_tree(module)):
        match node:
            case ast.ClassDef(name=found) | ast.FunctionDef(name=found) | ast.AsyncFunctionDef(name=found) if found == name:
                return Found(module, node)
            case ast.Assign(targets=[ast.Name(id=found)]) | ast.AnnAssign(target=ast.Name(id=found)) if found == name:
                return Found(module, node)
            case ast.ImportFrom(names=names) if any((each.asname or each.name) == name for each in names):
                [original] = [each.name for each in names if (each.asname or each.name) == name]
                home = _absolute(module, node)
                return definition(home, original) if _path(home) is not None else None
    return None


def _members(module: str, of: ast.ClassDef, /) -> dict[str, str]:
    """Return the fields, the properties and the methods that a class has, or has from another class of ours."""
    found: dict[str, str] = {}
    for node in of.body:
        match node:
            case ast.AnnAssign(target=ast.Name(id=name)) if not name.startswith("_"):
                found[name] = f"{name}: {ast.unparse(node.annotation)}" + ("" if node.value is None else f" = {ast.unparse(node.value)}")
            case ast.Assign(targets=[ast.Name(id=name)]) if not name.startswith("_"):
                found[name] = f"{name} = {ast.unparse(node.value)[:100]}"
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) if not name.startswith("_") or name in SPECIAL:
                marks = "".join(f"@{ast.unparse(mark)} " for mark in node.decorator_list)
                found[name] = f"{marks}{'async ' if isinstance(node, ast.AsyncFunctionDef) else ''}{name}{_called(node)}"
    for base in of.bases:
        named = base.value if isinstance(base, ast.Subscript) else base
        above = definition(module, named.id) if isinstance(named, ast.Name) else None
        if above is not None and isinstance(above.node, ast.ClassDef):
            found = _members(above.module, above.node) | found
    return found


def _called(node: ast.FunctionDef | ast.AsyncFunctionDef, /) -> str:
    return f"({ast.unparse(node.args)})" + ("" if node.returns is None else f" -> {ast.unparse(node.returns)}")


def _statements(tree: ast.Module, /) -> Iterator[ast.stmt]:
    """Yield the statements of a module, those for type checkers included."""
    for node in tree.body:
        yield from node.body if isinstance(node, ast.If) else [node]


@cache
def _tree(module: str, /) -> ast.Module:
    path = _path(module)
    if path is None:
        raise LookupError(module)
    return ast.parse(path.read_text(encoding="utf-8"))


def _path(module: str, /) -> Path | None:
    place = SOURCE / module.replace(".", "/")
    return next((path for path in (place.with_suffix(".py"), place / "__init__.py") if path.is_file()), None)


def _absolute(module: str, node: ast.ImportFrom, /) -> str:
    if not node.level:
        return node.module or ""
    path = _path(module)
    parts = module.split(".")
    package = parts if path is not None and path.name == "__init__.py" else parts[:-1]
    return ".".join([*package[: len(package) - node.level + 1], *([node.module] if node.module else [])])


if __name__ == "__main__":
    main()
