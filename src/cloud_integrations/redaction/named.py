"""Find the values whose names say that they are secret: of headers, form fields, JSON members, URL parameters and variables."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from typing import Final

from .known import Span

_LONGEST: Final = 16 * 1024
"""How far the end of a quoted value is looked for, where its quotes are escaped."""
_LONG: Final = 20
"""What is so long is no word of a sentence."""
_NAMES: Final = (
    ("header", "authorization"),
    ("cookie", "cookie"),
    ("password", r"passw(?:or)?d|passphrase|pwd"),
    # Tokens of pages are no secrets.
    ("token", r"(?<!page)(?<!page[_-])(?<!next)(?<!next[_-])token|jwt|samlresponse|(?<![a-z])(?:client[_-]?)?assertion"),
    ("secret", r"secret|x-ovh-consumer|code[_-]?verifier|device[_-]?code"),
    (
        "key",
        r"(?:api|secret|private|access|account|auth|application|encryption|signing|subscription|fastly|license)[_-]?key|awsaccesskeyid",
    ),
    ("signature", r"signature|(?<=[?&])sig|x-(?:amz|goog)-credential"),
    ("code", r"(?<![\w.-])code|(?<=%26)code|(?<=%3f)code"),
)
_SIMPLE: Final = r"bearer|basic|token|apikey|api-key|key|ssws|bot|negotiate|flyv1|aivenv1|dpop"
_NOTHING: Final = re.compile(r"(?:true|false|null|none|nil|undefined|\$\w*+|%s|%\(\w++\)s|\*++|\.++|…)", re.IGNORECASE)
"""Values that are none, and places for values."""
_OPENED: Final = re.compile(r"[bu]?(\\{0,3}[\"'])", re.IGNORECASE)
_BODIES: Final = {'"': re.compile(r'(?:[^"\\\r\n]|\\.)*+'), "'": re.compile(r"(?:[^'\\\r\n]|\\.)*+")}
_OPEN: Final = re.compile(r"[^\s&;,\"'<>()\[\]{}\\]++")
_ENCODED: Final = re.compile(r"(?:(?!%26)[^\s&;,\"'<>()\[\]{}\\])++")
_CODE: Final = re.compile(r"(?:(?!%3[Dd])[^\s&;,\"'<>()\[\]{}\\=:])++")
_COOKIES: Final = re.compile(r"[\w.-]{1,100}=[^\s;,\"']*+(?:;[ ]?[\w.-]++(?:=[^\s;,\"']*+)?+)*+")
_CREDENTIALS: Final = re.compile(rf"((?:{_SIMPLE})[ \t]{{1,9}})?([^\s\"',;\\\[]++)", re.IGNORECASE)
_WITH_PARAMETERS: Final = re.compile(r"[\w-]{1,40}[ \t]{1,9}(?=[\w-]{1,40}=)[^\r\n]*+")


def find_named(text: str, /) -> Iterator[Span]:
    """Yield each value with a secret name, in order."""
    names = _names()
    found = names.search(text)
    while found is not None:
        span = _value_of(text, found)
        if span is not None:
            yield span
        found = names.search(text, found.end() if span is None else span[1])


def secret_name(name: str, /) -> str | None:
    """Return the word for a value of this name; None: the name does not say that it is secret."""
    found = _names().fullmatch(name[-100:] + "=") or _names().search(name[-100:] + "=")
    kind = None if found is None or found.end() != len(name[-100:]) + 1 else found.lastgroup
    return None if kind in {None, "code", "bearer"} else kind


@cache
def _names() -> re.Pattern[str]:
    kinds = "|".join(f"(?P<{kind}>{names})" for kind, names in _NAMES)
    separator = r"(?:\\{0,3}[\"']?[ \t]{0,4}(?:=>|[:=]|%3d)[ \t]{0,4}|[\"'],[ ]{0,2}(?=[bu]?[\"']))"
    return re.compile(rf"(?:{kinds}){separator}|(?P<bearer>(?<!\w)bearer)[ \t]{{1,9}}", re.IGNORECASE | re.ASCII)


def _value_of(text: str, found: re.Match[str]) -> Span | None:
    kind, at = found.lastgroup or "", found.end()
    opened = _OPENED.match(text, at) if kind != "bearer" else None
    if opened is not None:
        start, end = opened.end(), _end_of_quoted(text, opened.end(), opened[1])
        return _quoted(text, start, end, kind)
    match kind:
        case "header":
            return _header(text, at)
        case "cookie":
            cookies = _COOKIES.match(text, at)
            return None if cookies is None else (at, cookies.end(), "cookie")
        case _:
            value = _open_value(text, found, kind)
            if value is None or not _is_secret(text, found, value[0], kind):
                return None
            return at, value.end(), "token" if kind == "bearer" else kind


def _open_value(text: str, found: re.Match[str], kind: str) -> re.Match[str] | None:
    if found[0].lower().endswith("%3d"):
        return _ENCODED.match(text, found.end())
    # One that may turn out to be no code ends before the next name, so that nothing is read again.
    return (_CODE if kind == "code" and not _is_parameter(text, found) else _OPEN).match(text, found.end())


def _is_parameter(text: str, found: re.Match[str]) -> bool:
    """Return whether the name stands where a parameter of a URL does."""
    return text[found.start() - 1 : found.start()] in {"?", "&"} or found[0].lower().endswith("%3d")


def _end_of_quoted(text: str, start: int, quote: str) -> int:
    body = _BODIES.get(quote)
    if body is not None:
        found = body.match(text, start)
        return start if found is None else found.end()
    end = text.find(quote, start, start + _LONGEST)
    return min(len(text), start + _LONGEST) if end < 0 else end


def _quoted(text: str, start: int, end: int, kind: str) -> Span | None:
    value = text[start:end]
    if kind == "header":
        scheme = _CREDENTIALS.match(text, start, end)
        kept = scheme.start(2) if scheme is not None and scheme[1] else start
        return None if "[removed: " in value[:80] or not value.strip() else (kept, end, "Authorization")
    if "[removed: " in value[:20] or not value or _NOTHING.fullmatch(value):
        return None
    if kind == "code" and not (len(value) >= 16 and _has_digit(value) and re.search("[A-Za-z]", value)):
        return None
    return start, end, kind


def _header(text: str, at: int) -> Span | None:
    """Return the credentials of an `Authorization` header without quotes; the scheme stays."""
    found = _CREDENTIALS.match(text, at)
    if found is None:
        return None
    if found[1] is None and (long := _WITH_PARAMETERS.match(text, at)) is not None:
        return at, long.end(), "Authorization"
    enough = 8 if found[1] else 16
    return (found.start(2), found.end(), "Authorization") if len(found[2]) >= enough or _has_digit(found[2]) else None


def _is_secret(text: str, found: re.Match[str], value: str, kind: str) -> bool:
    """Return whether *value*, without quotes, is one: not a word of a sentence, a number, or a place for a value."""
    if _NOTHING.fullmatch(value):
        return False
    in_sentence = found[0].endswith((": ", ":\t"))
    match kind:
        case "bearer":
            return len(value) >= _LONG or (len(value) >= 8 and _has_digit(value))
        case "password":
            words = in_sentence and value.isalpha() and text[found.end() + len(value) :][:1] == " "
            return not words
        case "code":
            end = found.end() + len(value)
            return (_is_parameter(text, found) or text[end : end + 1] == "&") and not in_sentence and len(value) >= 4
        case _ if in_sentence:
            return len(value) >= _LONG or (len(value) >= 8 and _has_digit(value))
        case _:
            return len(value) >= 6 and not (value.isdigit() and len(value) < 10)


def _has_digit(value: str) -> bool:
    return any(map(str.isdigit, value))
