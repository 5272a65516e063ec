"""A pattern of a provider file takes a time in proportion to the text, whatever the text is, or the file is refused."""

from __future__ import annotations

import random
import re
import time

import pytest

from cloud_integrations.domain.provider.patterns import LONGEST_MATCHED, find_slowness
from cloud_integrations.domain.provider.predicates import passes

SLOW = {
    r"(a+)+$": "itself repeats",
    r"(?:a{1,50}){1,50}b": "itself repeats",
    r"(\w+\s?)*$": "itself repeats",
    r"(?>a+)+b": "itself repeats",
    r"(?:\d+|[a-z]+)*x": "itself repeats",
    r"(a*)*b": "may be empty",
    r"(a?){30}a{30}": "may be empty",
    r"(?:^)*a": "may be empty",
    r"(a|a)*b": "two alternatives",
    r"(?:x|)(?:|)y": "two alternatives",
    r"(a|ab|b)*c": "in two ways",
    r"(?i)(?:ax|AX)*b": "in two ways",
    r"(?:(?i:ax)|AX)*b": "in two ways",
    r"(x+x+)+y": "in two ways",
    r"(?:aa?)*b": "in two ways",
    r"(?s)(?:.|\n)*x": "in two ways",
    r"(?:[^x]|\d)*x": "in two ways",
    r"[a-z]*[a-z]*x": "one after the other",
    r".*foo.*bar": "one after the other",
    r"[^a]*[^b]*c": "one after the other",
    r"\w*\d*$": "one after the other",
    r"^x(?=a*a*b)": "one after the other",
    r"(?:y(?!a*a*b))": "one after the other",
    r"(?:x(?=a*a*b)|y)": "one after the other",
    "a?" * 30 + "a" * 30: "too many ways",
    r"(a)\1*": "refers back",
    r"(a)?(?(1)b|c)": "refers back",
    r"(?:(?=a*)a)*": "looks ahead",
    "[ab]" * 700: "too large",
    r"(?:" * 900 + "a" + ")" * 900: "too large",
    "(?:" + "|".join(f"{chr(0x4E00 + place)}x*" for place in range(250)) + ")*": "too large",
}
QUICK = [
    r"^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?)*$",
    r"^[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$",
    r"^(?![a-z0-9-]*-admin\.)[a-z0-9-]{1,63}\.(?:okta\.com|okta\.mil)$",
    r"^AT[A-Z]{2,3}[A-Za-z0-9+/=_-]+$",
    r"^(?:us|eu|ap)-[a-z]+-\d$",
    r"(?:[^,]+,)*[^,]+",
    r"(?:.|\n)*x",
    r"^\d+\D+$",
    r"(?i)(?:revoked|expired)",
    r"(a)(?:b){3}c{0}d??",
    r"(?:ab{0,3})*",
    r"x{0,8}x{0,4}",
    r"\bword\b|[^\s]",
    "",
]


@pytest.mark.parametrize("pattern", SLOW, ids=range(len(SLOW)))
def test_a_pattern_that_some_text_keeps_busy_is_refused_with_the_reason(pattern: str) -> None:
    assert SLOW[pattern] in (find_slowness(pattern) or "")


@pytest.mark.parametrize("pattern", QUICK)
def test_a_pattern_that_takes_its_time_from_the_length_alone_is_taken(pattern: str) -> None:
    assert find_slowness(pattern) is None


def _made(chance: random.Random, depth: int) -> str:
    kind = chance.random()
    if depth == 0 or kind < 0.3:
        return chance.choice(["a", "b", "[ab]", ".", "ab", "[^a]"])
    if kind < 0.5:
        return _made(chance, depth - 1) + _made(chance, depth - 1)
    if kind < 0.65:
        return f"(?:{_made(chance, depth - 1)}|{_made(chance, depth - 1)})"
    return f"(?:{_made(chance, depth - 1)})" + chance.choice(["*", "+", "?", "{2}", "{1,3}", "{0,20}", "*?", "{3,}"])


@pytest.mark.parametrize("seed", range(4))
def test_no_pattern_that_is_taken_takes_long(seed: int) -> None:
    chance = random.Random(seed)
    texts = [text * times + "c" for text in ("a", "b", "ab", "ba", "aab") for times in (13, 25, 1_300)]
    taken = [pattern for pattern in (_made(chance, 4) for _ in range(400)) if find_slowness(pattern) is None]
    assert len(taken) > 100
    for pattern in taken:
        compiled = re.compile(f"{pattern}!")
        began = time.process_time()
        for text in texts:
            compiled.match(text)
        # Exponential time would be hours.
        assert time.process_time() - began < 1, pattern


def test_a_pattern_is_searched_for_in_the_first_characters_alone() -> None:
    assert passes("-" * (LONGEST_MATCHED - 1) + "x", equals=None, matches="x")
    assert not passes("-" * LONGEST_MATCHED + "x", equals=None, matches="x")
