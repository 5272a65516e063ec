"""What a command lists: documents for programs, and rows of the same documents for people."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from .exits import CommandLineError

Document = Mapping[str, Any]
_GAP = 2
_NARROWEST = 6
"""Cells that a column keeps on a terminal that is too narrow for all of them."""


@dataclass(frozen=True, slots=True)
class Column:
    """One column: its heading, and the path of a field (`health.state`) or a function of the whole document."""

    heading: str
    source: str | Callable[[Document], str]

    def cell(self, document: Document, /) -> str:
        """Return the text of this column for *document*."""
        return shown(find(document, self.source)) if isinstance(self.source, str) else self.source(document)


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """What a command lists.  The first column is the key: it is never cut."""

    columns: tuple[Column, ...]
    fields: tuple[str, ...]
    """Every field of a document, those inside others with a dot: what `--fields` takes."""
    empty: str
    """Said where there is nothing to list."""

    def read_fields(self, text: str | None, /) -> tuple[str, ...]:
        """Read the words of `--fields`; none where *text* is None.  Raises `CommandLineError`."""
        if text is None:
            return ()
        names = tuple(name.strip() for name in text.split(","))
        for name in names:
            if name not in self.fields:
                near = get_close_matches(name, self.fields, n=1)
                said = f"did you mean {near[0]}? " if near else ""
                raise CommandLineError(f"--fields names what is not a field; {said}There are {', '.join(self.fields)}")
        return names

    def pick(self, documents: Sequence[Document], fields: Sequence[str], /) -> list[Document]:
        """Return the documents with only *fields*, or whole where none is named."""
        return [_only(document, fields) for document in documents] if fields else list(documents)

    def rows(self, documents: Sequence[Document], fields: Sequence[str], /) -> list[list[str]]:
        """Return the headings, and a row for each document."""
        columns = [Column(name, name) for name in fields] or self.columns
        return [[column.heading for column in columns], *([column.cell(document) for column in columns] for document in documents)]


def find(document: Document, path: str, /) -> Any:
    """Return what stands at *path*, whose steps are joined by dots; None where a step on the way leads to nothing."""
    found: Any = document
    for step in path.split("."):
        found = None if found is None else found[step]
    return found


def shown(value: Any, /) -> str:
    """Write a value of a document for people."""
    match value:
        case None | "" | []:
            return "–"
        case bool():
            return "yes" if value else "no"
        case str():
            return value
        case list():
            return ", ".join(shown(each) for each in value)
        case _:
            return json.dumps(value)


def shown_time(text: str | None, /) -> str:
    """Write a document's time for people: `2026-11-01 08:30:00Z`."""
    return "–" if text is None else f"{text[:10]} {text[11:19]}Z"


def _only(document: Document, fields: Sequence[str]) -> Document:
    picked: dict[str, Any] = {}
    for path in fields:
        parent = path.rpartition(".")[0]
        place = parent if parent and find(document, parent) is None else path
        *above, last = place.split(".")
        inside = picked
        for step in above:
            inside = inside.setdefault(step, {})
        inside[last] = find(document, place)
    return picked


def fit(rows: Sequence[Sequence[str]], width: int | None, /) -> tuple[list[list[str]], bool]:
    """Return *rows* with every cell padded, and cut with … where they are wider than *width* (None: no limit); and whether any is cut.

    The first column is never cut, and no other is cut to fewer cells than can be read: a line may then be longer than *width*.
    """
    widths = [max(_cells(row[place]) for row in rows) for place in range(len(rows[0]))]
    least = [width if place == 0 else min(width, _NARROWEST) for place, width in enumerate(widths)]
    while width is not None and sum(widths) + _GAP * (len(widths) - 1) > width:
        place = max(range(len(widths)), key=lambda place: widths[place] - least[place] and widths[place])
        if widths[place] == least[place]:
            break
        widths[place] -= 1
    is_cut = any(_cells(cell) > widths[place] for row in rows for place, cell in enumerate(row))
    return [[_padded(cell, widths[place]) for place, cell in enumerate(row)] for row in rows], is_cut


def _padded(text: str, width: int) -> str:
    if _cells(text) > width:
        while _cells(text) >= width:
            text = text[:-1]
        text += "…"
    return text + " " * (width - _cells(text))


def _cells(text: str) -> int:
    # Some characters take two places on a terminal, and some none.
    return sum(0 if unicodedata.combining(c) else 1 + (unicodedata.east_asian_width(c) in "WF") for c in text)
