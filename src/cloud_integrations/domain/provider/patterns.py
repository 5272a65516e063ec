"""Whether a regular expression takes a time that is in proportion to the text, whatever the text is.

`re` tries one way to match after the other.  Where a part that repeats can share the same text with itself, or with a part that repeats
after it, the number of ways grows exponentially or polynomially (Weideman and others, "Analyzing Matching Time Behavior of Backtracking
Regular Expression Matchers by Using Ambiguity of NFA", CIAA 2016).  Texts come from tenants and providers, so such patterns are refused.

The automaton is Glushkov's: each character of the pattern is a state.  A repetition between two bounds counts as one without end.
"""

from __future__ import annotations

import re
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from importlib import import_module
from typing import Any, Final

LONGEST_MATCHED: Final = 4_096
"""The most characters of a text that are looked at by a pattern that is searched for."""
_MOST_STATES: Final = 600
_MOST_FORKS: Final = 12
"""The most states from which a text can be followed in several ways: each may double the number of ways."""
_MOST_STEPS: Final = 200_000
_MOST_COPIES: Final = 64
_MOST_CHOICES: Final = 8
_CHARACTERS: Final = frozenset({"LITERAL", "NOT_LITERAL", "IN", "ANY"})
_TOO_LARGE: Final = "is too large to tell how long it takes"

_parser: Any = import_module("re._parser")
_SAMPLES: Final = "7 z_-\n\u0663\u00e9\u2014"
"""Characters of each category, beside those at the bounds of what the pattern names."""
_CATEGORIES: Final = {"DIGIT": r"\d", "NOT_DIGIT": r"\D", "SPACE": r"\s", "NOT_SPACE": r"\S", "WORD": r"\w", "NOT_WORD": r"\W"}


@lru_cache(maxsize=1_024)
def find_slowness(pattern: str, /) -> str | None:
    """Return why *pattern* may take too long, as the end of a sentence; None if it does not.  Raises `re.error`."""
    try:
        tree = _parser.parse(pattern)
        flags = tree.state.flags | _inner_flags(tree)
        automaton = _Automaton(flags=flags, samples=_samples(tree))
        for _, body in automaton.parts(tree):
            automaton.add(body)
        automaton.require_few_ways()
    except _SlowError as error:
        return str(error)
    except RecursionError:
        return _TOO_LARGE
    return None


class _SlowError(Exception):
    """Why a pattern is refused."""


@dataclass(frozen=True, slots=True)
class _Piece:
    """What a part of the pattern is to its neighbours."""

    is_empty: bool
    """Whether it matches the empty text, too."""
    first: frozenset[int]
    last: frozenset[int]


_NOTHING: Final = _Piece(is_empty=True, first=frozenset(), last=frozenset())


@dataclass(slots=True)
class _Automaton:
    flags: int
    samples: tuple[str, ...]
    letters: list[frozenset[int]] = field(default_factory=list)
    """State → the samples that lead into it."""
    after: list[Counter[int]] = field(default_factory=list)
    """State → the states that may come next, each with the number of ways."""
    starts: list[frozenset[int]] = field(default_factory=list)
    steps: int = 0

    def parts(self, tree: Any) -> Iterator[tuple[str, Any]]:
        """Give the pattern, and the body of each look-around in it: each is matched by itself."""
        yield "whole", tree
        for name, value in tree:
            if name.name in {"ASSERT", "ASSERT_NOT"}:
                yield from self.parts(value[1])
            elif name.name == "SUBPATTERN":
                yield from list(self.parts(value[3]))[1:]
            elif name.name == "BRANCH":
                for each in value[1]:
                    yield from list(self.parts(each))[1:]

    def add(self, tree: Any) -> None:
        self.starts.append(self.sequence(tree).first)

    def sequence(self, tree: Any) -> _Piece:
        whole = _NOTHING
        for name, value in tree:
            whole = self.join(whole, self.piece(name.name, value))
        return whole

    def join(self, left: _Piece, right: _Piece) -> _Piece:
        self.connect(left.last, right.first)
        return _Piece(
            is_empty=left.is_empty and right.is_empty,
            first=left.first | (right.first if left.is_empty else frozenset()),
            last=right.last | (left.last if right.is_empty else frozenset()),
        )

    def connect(self, befores: Iterable[int], afters: Iterable[int]) -> None:
        found = list(afters)
        for state in befores:
            self.after[state].update(found)

    def piece(self, name: str, value: Any) -> _Piece:
        match name:
            case "AT" | "ASSERT" | "ASSERT_NOT":
                return _NOTHING
            case "SUBPATTERN":
                return self.sequence(value[3])
            case "ATOMIC_GROUP":
                return self.sequence(value)
            case "BRANCH":
                found = [self.sequence(each) for each in value[1]]
                if sum(each.is_empty for each in found) > 1:
                    # `re` writes `a|a` so.
                    raise _SlowError("has two alternatives that match the same text")
                return _Piece(
                    is_empty=any(each.is_empty for each in found),
                    first=frozenset().union(*(each.first for each in found)),
                    last=frozenset().union(*(each.last for each in found)),
                )
            case "MAX_REPEAT" | "MIN_REPEAT" | "POSSESSIVE_REPEAT":
                return self.repeat(*value)
            case "GROUPREF" | "GROUPREF_EXISTS":
                raise _SlowError("refers back to a group, which takes a time that cannot be told")
            case _:
                return self.character(name, value)

    def repeat(self, least: int, most: Any, body: Any) -> _Piece:
        if most == 0:
            return _NOTHING
        if any(name.name in {"ASSERT", "ASSERT_NOT"} for name, _ in body):
            raise _SlowError("looks ahead or behind in a part that repeats")
        piece = self.sequence(body)
        if most != 1:
            if piece.is_empty:
                raise _SlowError("repeats a part that may be empty")
            is_short = most <= _MOST_CHOICES or (least == most and most <= _MOST_COPIES)
            if is_short and len(body) == 1 and body[0][0].name in _CHARACTERS:
                return self.copies(piece, least, most, body)
            self.connect(piece.last, piece.first)
        return _Piece(is_empty=least == 0, first=piece.first, last=piece.last)

    def copies(self, piece: _Piece, least: int, most: int, body: Any) -> _Piece:
        """Write a character that repeats a few times out."""
        rest = _NOTHING
        for _ in range(most - max(least, 1)):
            longer = self.join(self.sequence(body), rest)
            rest = _Piece(is_empty=True, first=longer.first, last=longer.last)
        for _ in range(least - 1):
            rest = self.join(self.sequence(body), rest)
        whole = self.join(piece, rest)
        return _Piece(is_empty=least == 0, first=whole.first, last=whole.last)

    def character(self, name: str, value: Any) -> _Piece:
        if len(self.letters) >= _MOST_STATES:
            raise _SlowError(_TOO_LARGE)
        takes = _reader(name, value, is_dotall=bool(self.flags & re.DOTALL))
        is_folded = bool(self.flags & re.IGNORECASE)

        def is_taken(sample: str) -> bool:
            return any(map(takes, {sample, sample.lower()[:1], sample.upper()[:1]})) if is_folded else takes(sample)

        self.letters.append(frozenset(place for place, sample in enumerate(self.samples) if is_taken(sample)))
        self.after.append(Counter())
        state = frozenset({len(self.letters) - 1})
        return _Piece(is_empty=False, first=state, last=state)

    # What may take long

    def require_few_ways(self) -> None:
        """Raise `_SlowError` if the number of ways to match grows with the text, or is large."""
        choices = [*self.starts, *(counted.keys() for counted in self.after)]
        if sum(self.forks(states) for states in choices) > _MOST_FORKS:
            raise _SlowError("can match the same text in too many ways")
        cycles = self.cycles()
        for cycle in cycles:
            if any(ways > 1 and after in cycle for state in cycle for after, ways in self.after[state].items()):
                raise _SlowError("repeats a part that itself repeats")
            if any(self.returns_in_two_ways(state, cycle) for state in cycle):
                raise _SlowError("repeats a part that can match the same text in two ways")
        for first in cycles:
            for second in cycles:
                if first is not second and any(self.shares(one, other, first, second) for one in first for other in second):
                    raise _SlowError("repeats two parts, one after the other, that can match the same text")

    def forks(self, states: Iterable[int]) -> bool:
        seen: set[int] = set()
        for state in states:
            if seen & self.letters[state]:
                return True
            seen |= self.letters[state]
        return False

    def cycles(self) -> list[frozenset[int]]:
        """Return the sets of states that reach each other."""
        reached = [self.reach(state) for state in range(len(self.after))]
        found: list[frozenset[int]] = []
        for state, there in enumerate(reached):
            if state in there and not any(state in cycle for cycle in found):
                found.append(frozenset(other for other in there if state in reached[other]))
        return found

    def reach(self, state: int) -> set[int]:
        seen: set[int] = set()
        waiting = deque([state])
        while waiting:
            for after in self.after[waiting.popleft()]:
                self.count()
                if after not in seen:
                    seen.add(after)
                    waiting.append(after)
        return seen

    def returns_in_two_ways(self, state: int, cycle: frozenset[int]) -> bool:
        """Whether one text leads from *state* back to it by two ways."""
        start = (state, state)
        apart = {pair for pair in self.follow([start], [cycle, cycle]) if pair[0] != pair[1]}
        return bool(apart) and start in self.follow(apart, [cycle, cycle])

    def shares(self, one: int, other: int, first: frozenset[int], second: frozenset[int]) -> bool:
        """Whether one text leads from *one* to itself, to *other*, and from *other* to itself."""
        return (one, other, other) in self.follow([(one, one, other)], [first, None, second])

    def follow(self, starts: Iterable[tuple[int, ...]], within: list[frozenset[int] | None]) -> set[tuple[int, ...]]:
        """Return the states in which several walkers can be together after one text or another, each *within* its states."""
        seen: set[tuple[int, ...]] = set()
        waiting = deque(starts)
        while waiting:
            for place in self.together(waiting.popleft(), within):
                if place not in seen:
                    seen.add(place)
                    waiting.append(place)
        return seen

    def together(self, place: tuple[int, ...], within: list[frozenset[int] | None]) -> Iterator[tuple[int, ...]]:
        found: list[tuple[tuple[int, ...], frozenset[int]]] = [((), frozenset(range(len(self.samples))))]
        for state, inside in zip(place, within, strict=True):
            found = [
                ((*path, after), shared)
                for path, letters in found
                for after in self.after[state]
                if (inside is None or after in inside) and (shared := letters & self.letters[after])
            ]
            self.count(len(found))
        for path, _ in found:
            yield path

    def count(self, steps: int = 1) -> None:
        self.steps += steps
        if self.steps > _MOST_STEPS:
            raise _SlowError(_TOO_LARGE)


def _samples(tree: Any) -> tuple[str, ...]:
    """Return characters that stand for all: those at the bounds of every range, and one of each category."""
    bounds: set[int] = set()

    def collect(node: Any) -> None:
        if isinstance(node, _parser.SubPattern | list | tuple):
            match node:
                case (name, int(code)) if getattr(name, "name", "") in {"LITERAL", "NOT_LITERAL"}:
                    bounds.update({code - 1, code, code + 1})
                case (name, (int(low), int(high))) if getattr(name, "name", "") == "RANGE":
                    bounds.update({low - 1, low, high, high + 1})
                case _:
                    for each in node:
                        collect(each)

    collect(tree)
    named = {chr(code) for code in bounds if 0 <= code <= 0x10FFFF}
    return tuple(sorted({*named, *(each.swapcase()[:1] for each in named), *_SAMPLES}))


def _inner_flags(tree: Any) -> int:
    """Return the flags that parts of the pattern switch on: for a part or for all makes no difference here."""
    flags = 0
    if isinstance(tree, _parser.SubPattern | list | tuple):
        for each in tree:
            flags |= _inner_flags(each)
        match tree:
            case (name, (_, int(added), int(_), _)) if getattr(name, "name", "") == "SUBPATTERN":
                flags |= added
            case _:
                pass
    return flags


def _reader(name: str, value: Any, *, is_dotall: bool = False) -> Callable[[str], bool]:
    """Return what tells whether one character of the pattern takes a character of a text."""
    match name:
        case "LITERAL":
            return lambda c: ord(c) == value
        case "NOT_LITERAL":
            return lambda c: ord(c) != value
        case "RANGE":
            return lambda c: value[0] <= ord(c) <= value[1]
        case "CATEGORY":
            category = re.compile(_CATEGORIES[value.name.removeprefix("CATEGORY_")])
            return lambda c: category.match(c) is not None
        case "IN":
            members = [_reader(each.name, of) for each, of in value if each.name != "NEGATE"]
            is_negated = any(each.name == "NEGATE" for each, _ in value)
            return lambda c: any(member(c) for member in members) is not is_negated
        case _:
            return lambda c: is_dotall or c != "\n"  # ANY
