"""A request to send and the answer to read; nothing here sends."""

from __future__ import annotations

import codecs
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from cloud_integrations.domain.json_paths import find_all

MAX_BODY: Final = 64 * 1024
"""The longest answer that is read, in bytes after decompression, where the request says nothing else."""
MAX_TOKEN_BODY: Final = 256 * 1024
"""The same for a token endpoint: an answer with a large `id_token` beside its tokens is too precious to lose."""
MAX_DEPTH: Final = 64
_LONGEST_INTEGER = 1000
_AROUND = " \t\r\n\f\v\0\ufeff"
"""What may stand around a JSON text: white space, a byte order mark, the zero byte of a C string."""
_CHARSETS = frozenset({"utf-8", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "iso8859-1", "iso8859-15", "cp1252", "ascii"})
"""The charsets that are read where an answer declares them, by Python's names; every other is taken for UTF-8."""


class _Unreadable:
    """Stands in a JSON value for what cannot be read; it is no text, no number, no list, and not empty."""

    def __repr__(self) -> str:
        return "UNREADABLE"


UNREADABLE: Final = _Unreadable()
"""In the place of a member that came twice with two values, of NaN or Infinity, and of an integer of endless length."""


class UnusableBodyError(ValueError):
    """The body is not the JSON object it should be; the text never repeats the body."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpRequest:
    """One request, complete; `repr` shows neither query, headers nor body."""

    method: str
    url: str = field(repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: bytes = field(default=b"", repr=False)
    provider_id: str
    """The provider's UUID as text, for errors."""
    loopback: bool = False
    """Plain http to a loopback address is meant (simulated providers)."""
    private_host: bool = False
    """The operator named this host, so a private address is meant; never set from a tenant's input."""
    max_body: int = MAX_BODY
    """The longest answer that is read, in bytes after decompression."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpResponse:
    """One answer, whole; header names are lower case, and `repr` shows the status alone."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: bytes = field(default=b"", repr=False)
    sent_at: datetime | None = field(default=None, repr=False)
    """When the request was sent: lifetimes count from here."""

    @property
    def content_type(self) -> str:
        """The media type without its parameters, in lower case."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()


def read_json_object(body: bytes, /, *, content_type: str = "", limit: int = MAX_BODY) -> dict[str, Any]:
    """Read a JSON object of at most *limit* bytes and 64 levels (OAU-037).

    A byte order mark and the charset in *content_type* (the whole header) are honoured; bytes that are not text in it become
    lone surrogates.  What stands in one member does not spoil another: see `UNREADABLE`.  Raises `UnusableBodyError`.
    """
    if len(body) > limit:
        raise UnusableBodyError("the answer is too long")
    text = read_text(body, content_type=content_type)
    try:
        _check_depth(text)
        # Not strict: a raw line break in a foreign member is no reason to lose the others.
        value = json.loads(text, strict=False, object_pairs_hook=join_members, parse_constant=lambda _: UNREADABLE, parse_int=_read_integer)
    except (ValueError, RecursionError) as error:
        reason = str(error) if isinstance(error, UnusableBodyError) else "the answer is not JSON"
        raise UnusableBodyError(reason) from None
    if not isinstance(value, dict):
        raise UnusableBodyError("the answer is not a JSON object")
    return value


def find_json_object(body: bytes, /) -> dict[str, Any] | None:
    """Return the JSON object that *body* is, or None."""
    try:
        return read_json_object(body)
    except UnusableBodyError:
        return None


def read_text(body: bytes, /, *, content_type: str = "") -> str:
    """Decode *body* by its byte order mark, else by the charset in *content_type*, else as UTF-8; never raises.

    What surrounds a text without being part of it (white space, the mark itself) is taken off.
    """
    for encoding in (_marked(body), _declared(content_type)):
        if encoding is not None:
            try:
                return body.decode(encoding).strip(_AROUND)
            except ValueError:
                continue
    # Bytes that are no UTF-8 stay apart from each other, and no token or name holds what becomes of them.
    return body.decode("utf-8", "surrogateescape").strip(_AROUND)


def find_path(value: Any, path: str, /) -> Any:
    """Return the first value at a dotted path (see `find_all`); None where there is none."""
    return next(iter(find_all(value, path)), None)


def _marked(body: bytes) -> str | None:
    if body.startswith((codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)):
        return "utf-32"
    return "utf-16" if body.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) else None


def _declared(content_type: str) -> str | None:
    for parameter in content_type.split(";")[1:]:
        name, _, value = parameter.partition("=")
        if name.strip().lower() == "charset":
            try:
                found = codecs.lookup(value.strip().strip("\"'")).name
            except (LookupError, ValueError):
                return None
            return found if found in _CHARSETS else None
    return None


def join_members(pairs: Iterable[tuple[str, Any]], /) -> dict[str, Any]:
    """Make a dictionary; a name that came with two values has `UNREADABLE`, since nobody knows which was meant."""
    found: dict[str, Any] = {}
    for name, value in pairs:
        known = found.setdefault(name, value)
        if known is not value and (type(known) is not type(value) or known != value):
            found[name] = UNREADABLE
    return found


def _read_integer(text: str) -> Any:
    return int(text) if len(text) <= _LONGEST_INTEGER else UNREADABLE


def _check_depth(text: str) -> None:
    # Counted before parsing, so that a hostile body cannot exhaust the parser's stack.
    depth = 0
    in_string = escaped = False
    for char in text:
        if in_string:
            if escaped:
                escaped = False
            elif char == "\\":
                escaped = True
            elif char == '"':
                in_string = False
        elif char == '"':
            in_string = True
        elif char in "[{":
            depth += 1
            if depth > MAX_DEPTH:
                raise UnusableBodyError("the answer is nested too deeply")
        elif char in "]}":
            depth -= 1


def merge_headers(*groups: Mapping[str, str]) -> dict[str, str]:
    """Join groups of headers; a later one wins, whatever the case of its name."""
    merged: dict[str, tuple[str, str]] = {}
    for group in groups:
        merged.update({name.lower(): (name, value) for name, value in group.items()})
    return dict(merged.values())
