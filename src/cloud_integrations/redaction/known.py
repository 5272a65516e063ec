"""Find the keys and tokens whose form is published."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import cache
from typing import Final

from cloud_integrations.protocol.builtin_formats import BUILTIN
from cloud_integrations.protocol.foreign_formats import ELSEWHERE, FormatRow

Span = tuple[int, int, str]
"""Where a secret begins and ends, and what to call it."""
Forms = tuple[tuple[int, re.Pattern[str], str], ...]
"""The lengths of prefixes, the expressions of what follows them, and words."""
_TELLING: Final = 4
_TAIL: Final = re.compile(r"[\w-]*+", re.ASCII)
# A key may follow a line break that is written out, or an encoded sign of a URL.
_NOT_INSIDE: Final = re.compile(r"(?<![A-Za-z0-9])|(?<=\\[nrt])|(?<=%[0-9A-Fa-f][0-9A-Fa-f])")
_ALNUM: Final = re.compile("[A-Za-z0-9]")


def find_known(text: str, /) -> Iterator[Span]:
    """Yield each key of a known form, in order, and none twice."""
    spans = sorted((*_with_prefix(text), *_without_prefix(text)))
    end = 0
    for span in spans:
        if span[0] >= end:
            yield span
            end = span[1]


def _with_prefix(text: str) -> Iterator[Span]:
    prefixes, forms = _prefixes()
    found = prefixes.search(text)
    while found is not None:
        at = found.start()
        end, words = _end_of(text, at, found[0], forms[found[0]])
        if words:
            yield at, end, words
        found = prefixes.search(text, end if words else at + 1)


def _end_of(text: str, at: int, prefix: str, forms: Forms) -> tuple[int, str]:
    """Return where the longest key that begins at *at* ends, and its words; no words: there is none."""
    end, words = at, ""
    inside = not _NOT_INSIDE.match(text, at)
    for length, rest, name in forms:
        alone = _stands_alone(prefix[:length])
        if (inside and alone) or (found := rest.match(text, at + length)) is None:
            continue
        # Letters go on in base64, which has each prefix somewhere.
        if alone and _ALNUM.match(text, found.end()):
            continue
        after = found.end() if alone else (_TAIL.match(text, found.end()) or found).end()
        if after > end:
            end, words = after, name
    return end, words


def _stands_alone(prefix: str) -> bool:
    """Return whether such a key is one only if no letter or digit is next to it."""
    return len(prefix) < _TELLING or prefix[-1].isalnum()


def _without_prefix(text: str) -> Iterator[Span]:
    expression, names = _wholes()
    for found in expression.finditer(text):
        yield found.start(), found.end(), names[found.lastgroup or ""]


@cache
def _prefixes() -> tuple[re.Pattern[str], dict[str, Forms]]:
    rows = [(prefix, row) for row in (*BUILTIN, *ELSEWHERE) for prefix in row.prefixes]
    compiled = {row.rest: re.compile(row.rest, re.ASCII) for _, row in rows}
    forms = {
        prefix: tuple((len(other), compiled[row.rest], _words(row)) for other, row in rows if prefix.startswith(other))
        for prefix in {prefix for prefix, _ in rows}
    }
    return re.compile(_tree(forms)), forms


@cache
def _wholes() -> tuple[re.Pattern[str], dict[str, str]]:
    rows = [row for row in (*BUILTIN, *ELSEWHERE) if not row.prefixes]
    wholes = "|".join(f"(?P<f{number}>{row.rest})" for number, row in enumerate(rows))
    expression = re.compile(rf"(?<![\w~.+/=-])(?:{wholes})(?![A-Za-z0-9])", re.ASCII)
    return expression, {f"f{number}": _words(row) for number, row in enumerate(rows)}


def _words(row: FormatRow) -> str:
    return f"{row.owner} {row.name}"


def _tree(words: Iterable[str]) -> str:
    """Return an expression for the longest of *words*, which looks at each character once."""
    branches: dict[str, list[str]] = {}
    for word in words:
        if word:
            branches.setdefault(word[0], []).append(word[1:])
    parts = [re.escape(first) + _tree(rests) for first, rests in sorted(branches.items())]
    if not parts:
        return ""
    return f"(?:{'|'.join(parts)}){'?' if '' in words else ''}"
