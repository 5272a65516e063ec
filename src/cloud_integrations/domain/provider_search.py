"""Find providers by what a person types."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from enum import IntEnum

from cloud_integrations.domain.provider import Provider

_WORD = re.compile(r"[^\W_]+")
_SHORTEST_WITH_TYPO = 5
"""The shortest word in which a typo is forgiven, in letters: in a shorter one, it makes too many other words."""


class Match(IntEnum):
    """How well a provider fits what was typed: the lower, the better."""

    EXACT = 0
    """It is the slug, the name or an alias."""
    PREFIX = 1
    """The slug, the name or an alias begins with it."""
    NAME_WORD = 2
    """Words of these begin with its words."""
    WORD = 3
    """So do words of the description or the category."""
    PART = 4
    """It is inside the slug, the name or an alias."""
    TYPO = 5
    """One letter is wrong, missing or too many, or two are exchanged."""


def search_providers(text: str, providers: Iterable[Provider], /) -> tuple[Provider, ...]:
    """Return the providers that fit what a person typed, the best first; equal ones stay in order, and blank text fits all.

    Case, accents, spaces and punctuation do not matter.  Of several words, each must fit.
    """
    if not text.strip():
        return tuple(providers)
    matches = [(match, provider) for provider in providers if (match := find_match(text, provider)) is not None]
    return tuple(provider for _, provider in sorted(matches, key=lambda found: found[0]))


def find_match(text: str, provider: Provider, /) -> Match | None:
    """Return how well a provider fits what a person typed; None: not at all."""
    words = _words(text)
    if not words:
        return None
    names = [_words(name) for name in (provider.id, provider.name, *provider.aliases)]
    joined = ["".join(name) for name in names]
    whole = "".join(words)
    if whole in joined:
        return Match.EXACT
    if any(name.startswith(whole) for name in joined):
        return Match.PREFIX
    in_names = [*joined, *(word for name in names for word in name)]
    others = [*_words(provider.description), *_words(provider.category)]
    matches = [_match_word(word, in_names, others) for word in words]
    return None if None in matches else max(match for match in matches if match is not None)


def _match_word(word: str, names: list[str], others: list[str]) -> Match | None:
    if any(name.startswith(word) for name in names):
        return Match.NAME_WORD
    if any(other.startswith(word) for other in others):
        return Match.WORD
    if any(word in name for name in names):
        return Match.PART
    if len(word) >= _SHORTEST_WITH_TYPO and any(within_one_edit(word, name) for name in names):
        return Match.TYPO
    return None


def within_one_edit(one: str, other: str, /) -> bool:
    """Return whether at most one letter is replaced, missing or added, or two neighbours are exchanged."""
    same = next((place for place, (left, right) in enumerate(zip(one, other, strict=False)) if left != right), min(len(one), len(other)))
    left, right = one[same:], other[same:]
    return left[1:] == right[1:] or left[1:] == right or left == right[1:] or (left[1::-1] == right[:2] and left[2:] == right[2:])


def _words(text: str) -> tuple[str, ...]:
    """Return the words of a text without case and accents."""
    apart = unicodedata.normalize("NFKD", text.casefold())
    return tuple(_WORD.findall("".join(letter for letter in apart if not unicodedata.combining(letter))))
