"""Find the secrets in a text, and put words in their place.

Each step reads the text once, from left to right.  A repetition in an expression has an end, or never gives back what it has read, so the
time grows with the length of the text and no faster.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import cache
from typing import Final

from .known import Span, find_known
from .named import find_named

FAILED: Final = "[removed: text that could not be read]"
_WORDS: Final = {"pem": "private key", "jwt": "JSON Web Token", "userinfo": "user name and password"}
_MARKS: Final = ("-----BEGIN ", "eyJ", "://", "AGE-SECRET-KEY-1")


def redact(text: str, /) -> str:
    """Return *text* with words such as `[removed: GitHub token]` in the place of each key and token that has a known form or name.

    Known are the forms of the built-in providers' keys, private keys in PEM, JWTs, user names with passwords in URLs, and the values of
    headers, form fields, JSON members and URL parameters whose names say that they are secret.  It never raises: a text that cannot be
    read is removed as a whole.  The time grows with the length of the text and no faster.
    """
    try:
        for find in (_find_marked, find_known, find_named):
            text = _replaced(text, find)
    except Exception:  # noqa: BLE001  # logging must go on, and without a secret
        return FAILED
    return text


def _replaced(text: str, find: Callable[[str], Iterator[Span]]) -> str:
    parts: list[str] = []
    at = 0
    for start, end, words in find(text):
        parts += (text[at:start], "[removed: ", words, "]")
        at = end
    return "".join((*parts, text[at:])) if parts else text


def _find_marked(text: str) -> Iterator[Span]:
    if any(mark in text for mark in _MARKS):
        for found in _marked().finditer(text):
            yield found.start(), found.end(), _WORDS[found.lastgroup or ""]


@cache
def _marked() -> re.Pattern[str]:
    """Return the expression for private keys (RFC 7468, age), JWTs (RFC 7515 and 7516 §7.1) and user information in URLs (RFC 3986 §3.2.1).

    The line breaks of a private key may be written out; one without an end goes on to the end of the text.
    """
    pem = r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----(?:[^-]|-(?!----))*+(?:-----(?:END [A-Z0-9 ]{0,40}-----)?)?"
    jwt = r"(?<![\w.-])eyJ[\w-]{8,}+(?:\.[\w-]*+){2,4}+"
    before = r"[^\s/?#@\"'<>\\:]"
    userinfo = rf"(?<=://)(?:{before}{{0,256}}:[^\s/?#\"'<>]{{0,512}}|{before}{{20,256}})(?=@)"
    return re.compile(rf"(?P<pem>{pem}|AGE-SECRET-KEY-1[A-Z0-9]{{40,80}})|(?P<jwt>{jwt})|(?P<userinfo>{userinfo})", re.ASCII)
