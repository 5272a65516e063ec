"""Values of the form that a provider's file asks for."""

from __future__ import annotations

import base64
import json
import re
import re._constants as ops  # the only reader of patterns in the standard library
import re._parser as parser
from functools import cache
from zlib import crc32

LETTERS = "fakeFAKE0123456789-_abcdefABCDEF"
_CLASSES = {ops.CATEGORY_DIGIT: "0123456789", ops.CATEGORY_WORD: "fakeFAKE0123456789_"}
_MOST = 60


@cache
def sample(*patterns, seed=0, name="value"):
    """Return a text that each of *patterns* matches; another *seed* or *name* gives another one, where there is another."""
    if not patterns:
        return f"fake-{name}-{seed}"
    found = []
    first = crc32(name.encode()) % 1000
    for number in range(first, first + 400):
        text = _Sampler(number).write(parser.parse(patterns[0]))
        if all(re.search(pattern, text) and re.fullmatch(pattern, text) for pattern in patterns) and text not in found:
            found.append(text)
        if len(found) > seed:
            break
    assert found, f"no text is found that matches {patterns}"
    return found[min(seed, len(found) - 1)]


def told(variable):
    """Return what an answer has for *variable*, and the text that is read of it: of an address, its host."""
    if variable.choices:
        return variable.choices[0], variable.choices[0]
    if variable.domains:
        host = f"fake.{variable.domains[0]}"
        return f"https://{host}", host
    text = sample(variable.pattern)
    return text, text


def found_by(pattern):
    """Return a text in which *pattern* is found, as `re.search` finds it."""
    text = _Sampler(0).write(parser.parse(pattern))
    assert re.search(pattern, text), pattern
    return text


def jwt(claims):
    """Return a token with these claims; nobody checks its signature."""
    parts = ({"alg": "RS256"}, claims)
    head, body = (base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode() for part in parts)
    return f"{head}.{body}.fake"


class _Sampler:
    """Writes one text for a pattern; its number decides at each choice."""

    def __init__(self, number):
        self._number = number
        self._steps = 0

    def _pick(self, many):
        # The first choice changes fastest; number 0 takes the first everywhere.
        self._steps += 1
        return many[(self._number * self._steps + self._number // 7) % len(many)]

    def write(self, pattern):
        return "".join(self._one(op, value) for op, value in pattern)

    def _one(self, op, value):
        match op:
            case ops.LITERAL:
                return chr(value)
            case ops.ANY | ops.NOT_LITERAL | ops.IN:
                return self._pick(_members(op, value))
            case ops.BRANCH:
                return self.write(self._pick(value[1]))
            case ops.SUBPATTERN:
                return self.write(value[-1])
            case ops.MAX_REPEAT | ops.MIN_REPEAT:
                return "".join(self.write(value[2]) for _ in range(self._times(*value[:2])))
            case _:
                # Anchors and what must not follow; whether it fits is seen at the end.
                return ""

    def _times(self, least, most):
        if least:
            return least if not self._number % 3 else max(least, min(most, 3))
        return min(most, 3) if self._number % 2 else 0


@cache
def _letters(low, high):
    usual = [letter for letter in LETTERS if low <= ord(letter) <= high]
    return usual or [chr(number) for number in range(low, min(high, low + _MOST) + 1)]


def _members(op, value):
    if op is not ops.IN:
        return [letter for letter in LETTERS if value is None or letter != chr(value)]
    members, negated = [], False
    for kind, inner in value:
        if kind is ops.NEGATE:
            negated = True
        elif kind is ops.LITERAL:
            members.append(chr(inner))
        elif kind is ops.RANGE:
            members += _letters(*inner)
        elif kind is ops.CATEGORY:
            members += _CLASSES.get(inner, "f")
    if negated:
        return [letter for letter in LETTERS if letter not in members]
    # Letters before other signs: a sign may not stand at each place.
    return sorted(members, key=lambda letter: not letter.isalnum())
