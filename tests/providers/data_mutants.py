"""Changed copies of a provider file, each with one value or one name changed, as somebody could get it wrong."""

from __future__ import annotations

import re
import types
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any, Literal, get_args, get_origin

from cloud_integrations.domain.check import CheckOutcome
from cloud_integrations.domain.provider.base import FileTable

Path = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Mutant:
    """A changed copy of a file."""

    path: Path
    """What is changed: a value, or a name in a table of free names."""
    change: str
    content: dict[str, Any]


def _tables() -> Iterator[type[FileTable]]:
    waiting = [FileTable]
    while waiting:
        table = waiting.pop()
        waiting += table.__subclasses__()
        yield table


def _literals(annotation: Any) -> Iterator[str]:
    if get_origin(annotation) is Literal:
        yield from (word for word in get_args(annotation) if isinstance(word, str))
    elif get_origin(annotation) is not dict:
        for inner in get_args(annotation):
            yield from _literals(inner)


def _is_free(annotation: Any) -> bool:
    if get_origin(annotation) is types.UnionType:
        return any(map(_is_free, get_args(annotation)))
    return get_origin(annotation) is dict or any(get_origin(inner) is dict for inner in get_args(annotation))


_FIELDS = [(field.alias or name, field.annotation) for table in _tables() for name, field in table.model_fields.items()]
_WORDS = {name: list(dict.fromkeys(word for other, kind in _FIELDS if other == name for word in _literals(kind))) for name, _ in _FIELDS}
_WORDS["status_rules"] = list(get_args(CheckOutcome))
_WORDS["class"] = ["denied", "dead", "platform_config", "retry"]
_FREE = {name for name, kind in _FIELDS if _is_free(kind)}
_REGEX = {"pattern", "patterns", "matches", "rest"}


def name_of(path: Path, /) -> str:
    """Return the name of a fact, without numbers and free names: `methods.revoke.url`."""
    steps: list[str] = []
    free = False
    for index, step in enumerate(path):
        if isinstance(step, int):
            continue
        if free:
            # A table of tables by free names has fields of its own, and headers stand in two of them.
            free = steps[-1] == "headers" and step in {"token", "api"}
            steps += ["*"] if steps[-1] in {"proofs", "narrow"} else []
            continue
        steps.append(step)
        free = step in _FREE and index + 1 < len(path) and isinstance(path[index + 1], str)
    return ".".join(steps)


def mutants_of(content: dict[str, Any], /) -> Iterator[tuple[Path, list[Mutant]]]:
    """Return each fact of a file with changes of it, the most sensible one first."""
    for path, value in _leaves(content, ()):
        yield path, [Mutant(path, f"{value!r} → {other!r}", _with(content, path, other)) for other in _others(path, value, content)]
    for path in _free_names(content, ()):
        table = _at(content, path[:-1])
        renamed = {(_renamed(name) if name == path[-1] else name): value for name, value in table.items()}
        yield path, [Mutant(path, f"name {path[-1]} → {_renamed(str(path[-1]))}", _with(content, path[:-1], renamed))]


def _leaves(value: Any, path: Path) -> Iterator[tuple[Path, Any]]:
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from _leaves(inner, (*path, name))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _leaves(inner, (*path, index))
    else:
        yield path, value


def _free_names(value: Any, path: Path) -> Iterator[Path]:
    if isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _free_names(inner, (*path, index))
    if isinstance(value, dict):
        for name, inner in value.items():
            is_free = path and (path[-1] in _FREE or (len(path) > 1 and path[-2] == "headers"))
            # Headers may stand in two tables, whose names are not free; an empty list says nothing under any name.
            if is_free and inner != [] and not (path[-1] == "headers" and isinstance(inner, dict)):
                yield (*path, name)
            yield from _free_names(inner, (*path, name))


def _renamed(name: str) -> str:
    return str(int(name) + 7) if name.isdigit() else f"{name}x"


def _others(path: Path, value: Any, content: dict[str, Any]) -> Iterator[Any]:
    named = [step for step in path if isinstance(step, str)]
    field = next((name for name in reversed(named) if name in _WORDS), named[-1])
    if isinstance(value, bool):
        yield not value
    elif isinstance(value, int | float):
        yield value + 1
        yield value - 1
        yield value * 2
    elif isinstance(value, date):
        yield value + timedelta(days=1)
    elif isinstance(value, str):
        yield from (word for word in _WORDS.get(field, ()) if word != value)
        if field in {"for_methods", "methods", "sign_in"}:
            yield from (method["id"] for method in content["methods"] if method["id"] != value)
        yield from _other_texts(field, value)


def _other_texts(field: str, value: str) -> Iterator[str]:
    if field in _REGEX:
        flags = re.match(r"(?:\(\?[a-z]+\))?", value)
        assert flags is not None
        yield f"{flags[0]}^x{value.removeprefix(flags[0]).removeprefix('^')}"
        yield f"{value[:-1]}x$" if value.endswith("$") else f"{value}x"
        return
    if value.startswith("https://"):
        address, mark, query = value.partition("?")
        yield f"{address}{'' if address.endswith('/') else '/'}changed{mark}{query}"
    yield f"{value}x"
    yield f"x{value}"
    yield value[:-1] if len(value) > 1 else "x"
    yield "changed"


def _at(content: Any, path: Path) -> Any:
    for step in path:
        content = content[step]
    return content


def _with(content: Any, path: Path, value: Any) -> Any:
    """Return *content* with *value* at *path*; what does not change is shared."""
    if not path:
        return value
    copy: Any = list(content) if isinstance(content, list) else dict(content)
    copy[path[0]] = _with(content[path[0]], path[1:], value)
    return copy


def shortened_of(content: dict[str, Any], /) -> Iterator[Mutant]:
    """Return copies of a file, each without one value, table or member of a list."""
    for path in _places(content, ()):
        container = _at(content, path[:-1])
        rest: Any = [each for index, each in enumerate(container) if index != path[-1]] if isinstance(container, list) else {**container}
        if isinstance(rest, dict):
            del rest[path[-1]]
        yield Mutant(path, "left out", _with(content, path[:-1], rest))


def _places(value: Any, path: Path) -> Iterator[Path]:
    steps: Any = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for step, inner in steps:
        yield (*path, step)
        yield from _places(inner, (*path, step))
