"""Where placeholders stand in the texts of a guide, and whether a value can be quoted there."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final, Literal

from .names import PERMISSIONS
from .values import DocumentForm

_PLACE: Final = re.compile(r"\{\{([a-z][a-z0-9_]*(?:\.[A-Za-z0-9_]+)?)\}\}")
_OPENING: Final = "{{"
_HOST: Final = re.compile(r"https://[^/?#\\]*")
_WHOLE_SCALAR: Final = re.compile(r"[ ]*(?:- )*(?:[\w./-]+: +)?\Z")
_BLOCK_SCALAR: Final = re.compile(r"(?:^|[:\s-])[|>][-+0-9]*[ ]*(?:#.*)?$", re.MULTILINE)
_BEFORE_VALUE: Final = re.compile(r"[A-Za-z0-9_@%+=:./,\s;&|()-]")
_AFTER_VALUE: Final = re.compile(r"[A-Za-z0-9_@%+=:./,\s;&|()-]|\Z")
_COMMAND_ENDS: Final = "\n;&|("
_HCL: Final = re.compile(
    r"""(?P<comment>(?:\#|//)[^\n]*|/\*.*?(?:\*/|\Z))
    |(?P<text>"(?:[^"\\$%]|\\.|\$\$\{|%%\{|[$%](?!\{)|[$%]\{[^{}"]*\})*")
    |(?P<place>\{\{[a-z][A-Za-z0-9_.]*\}\})
    |(?P<refused>"|<<)
    |(?P<other>.)""",
    re.DOTALL | re.VERBOSE,
)
_SHELL: Final = re.compile(
    r"""(?P<comment>(?:(?<=[\s;&|()<>])|\A)\#[^\n]*)
    |(?P<place>\{\{[a-z][A-Za-z0-9_.]*\}\})
    |(?P<refused>`|<<|\$[{'"]|'(?![^']*')|"(?!(?:[^"\\`$]|\\.|\$(?![({]))*"))
    |(?P<joined>\\\n)
    |(?P<end>[\s;&|()<>])
    |(?P<word>'[^']*'|"(?:[^"\\`$]|\\.|\$(?![({]))*"|\\.|[^'"])""",
    re.DOTALL | re.VERBOSE,
)

Context = Literal["value", "inside"]
"""How a value is written: as a value of the language of its own (`value`), or inside a text that the document has begun (`inside`)."""


@dataclass(frozen=True, slots=True)
class Place:
    """One placeholder in a text."""

    start: int
    end: int
    name: str
    context: Context = "inside"
    begins_word: bool = False
    """Whether a word of a shell begins with it: a value that begins with `-` would be an option there."""


def find_names(text: str, /) -> tuple[str, ...]:
    """Return the names of the placeholders in *text*, in order."""
    return tuple(found[1] for found in _PLACE.finditer(text))


def document_names(form: DocumentForm, text: str, /) -> tuple[str, ...]:
    """Return the names of the placeholders of a document, in order; in JSON they may be written with escapes."""
    if form != "json":
        return find_names(text)
    return tuple(name for part in json_texts(read_json(text)) for name in find_names(part))


def url_host(url: str, /) -> str:
    """Return the beginning of an https URL with placeholders, up to the end of its host."""
    found = _HOST.match(url)
    return "" if found is None else found[0]


def is_document(name: str, /) -> bool:
    """Return whether *name* stands for the host's permissions or a member of them, which may be any JSON value."""
    return name.partition(".")[0] == PERMISSIONS


def find_places(form: DocumentForm, text: str, /) -> tuple[Place, ...]:
    """Return the placeholders of a document that is not JSON.

    Raises `ValueError` for one that stands where no value can be quoted; the text begins with a verb and repeats no content.
    """
    places = tuple(_plain_places(text))
    match form:
        case "shell":
            return tuple(_shell_places(text, places))
        case "hcl":
            return tuple(_hcl_places(text, places))
        case "yaml":
            return tuple(_yaml_places(text, places))
        case _:
            if any(place.name == PERMISSIONS for place in places):
                raise ValueError(f"has {PERMISSIONS} in plain text; name a member of it")
            return places


def read_json(text: str, /) -> Any:
    """Return the content of a JSON document with placeholders.  Raises `ValueError` if it is no JSON, or has a member twice."""
    try:
        return json.loads(text, object_pairs_hook=_each_once)
    except RecursionError:
        raise ValueError("is too deep") from None
    except json.JSONDecodeError as error:
        raise ValueError(f"is not JSON (at line {error.lineno}, column {error.colno})") from None


def json_texts(value: Any, /) -> Iterator[str]:
    """Return every text in the content of a JSON document, the names of members too."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for name, member in value.items():
            yield name
            yield from json_texts(member)
    elif isinstance(value, list):
        for member in value:
            yield from json_texts(member)


def check_json(value: Any, /) -> None:
    """Raise `ValueError` for a placeholder that a JSON document cannot have where it stands."""
    for text in json_texts(value):
        places = tuple(_plain_places(text))
        if any(is_document(place.name) and (place.start, place.end) != (0, len(text)) for place in places):
            raise ValueError(f"has {PERMISSIONS} inside a longer text; it must be the whole text")


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(dict(pairs)) != len(pairs):
        raise ValueError("has a member twice")
    if any(is_document(place) for name, _ in pairs for place in find_names(name)):
        raise ValueError(f"has {PERMISSIONS} in the name of a member")
    return dict(pairs)


def _plain_places(text: str) -> Iterator[Place]:
    found = {match.start(): match for match in _PLACE.finditer(text)}
    begin = text.find(_OPENING)
    while begin >= 0:
        match = found.get(begin)
        if match is None:
            raise ValueError("has {{ that begins no placeholder such as {{product}}")
        yield Place(match.start(), match.end(), match[1])
        begin = text.find(_OPENING, match.end())


def _yaml_places(text: str, places: tuple[Place, ...]) -> Iterator[Place]:
    if places and _BLOCK_SCALAR.search(text):
        raise ValueError("has a block scalar (| or >) beside placeholders")
    for place in places:
        begin = text.rfind("\n", 0, place.start) + 1
        end = text.find("\n", place.end)
        rest = text[place.end : len(text) if end < 0 else end]
        if not _WHOLE_SCALAR.match(text[begin : place.start]) or rest.strip():
            raise ValueError(f"has the placeholder {place.name} inside a longer value; in YAML it must be the whole value")
        yield Place(place.start, place.end, place.name, "value")


def _hcl_places(text: str, places: tuple[Place, ...]) -> Iterator[Place]:
    contexts: dict[int, Context] = {}
    for token in _HCL.finditer(text):
        if token.lastgroup == "refused":
            raise ValueError("has a heredoc (<<), a text without its closing quote, or an interpolation with braces or quotes in it")
        if token.lastgroup == "place":
            contexts[token.start()] = "value"
        elif token.lastgroup == "text":
            contexts |= dict.fromkeys(range(token.start(), token.end()), "inside")
    for place in places:
        context = contexts.get(place.start)
        if context is None:
            raise ValueError(f"has the placeholder {place.name} in a comment, where no value can be quoted")
        if context == "inside" and place.name == PERMISSIONS:
            raise ValueError(f"has {PERMISSIONS} inside a text")
        if context == "inside" and text[place.start - 1] in "$%":
            raise ValueError(f"has the placeholder {place.name} after {text[place.start - 1]}, which may begin an interpolation")
        yield Place(place.start, place.end, place.name, context)


def _shell_places(text: str, places: tuple[Place, ...]) -> Iterator[Place]:
    left = {place.start: place for place in places}
    word_begun = command_begun = False
    for token in _SHELL.finditer(text):
        match token.lastgroup:
            case "refused":
                raise ValueError("has a here-document, a backquote, ${…}, a quote after $, or quotes that are open or hold a substitution")
            case "place":
                place = left.pop(token.start())
                _check_shell_place(text, place, is_command=not (word_begun or command_begun))
                yield Place(place.start, place.end, place.name, "value", begins_word=not word_begun)
                word_begun = True
            case "end":
                command_begun = token[0] not in _COMMAND_ENDS and (command_begun or word_begun)
                word_begun = False
            case "word":
                word_begun = True
            case _:
                pass
    if left:
        raise ValueError(f"has the placeholder {next(iter(left.values())).name} inside quotes or a comment; values bring their own quotes")


def _check_shell_place(text: str, place: Place, *, is_command: bool) -> None:
    where = f"has the placeholder {place.name}"
    if is_command:
        raise ValueError(f"{where} as the name of a command")
    if place.name == PERMISSIONS:
        raise ValueError(f"{where} in a command; put it into a document of its own")
    if not (_BEFORE_VALUE.match(text, place.start - 1) and _AFTER_VALUE.match(text, place.end)):
        raise ValueError(f"{where} beside a character that means something to a shell")
