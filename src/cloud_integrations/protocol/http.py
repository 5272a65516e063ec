"""HTTP requests and answers as values, and reading JSON bodies; nothing is sent here."""

from __future__ import annotations

import codecs
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from cloud_integrations.domain.json_paths import find_all
from cloud_integrations.domain.secret import Secret

MAX_BODY: Final = 64 * 1024
"""The longest answer that is read, in bytes after decompression, unless the request says otherwise."""
MAX_TOKEN_BODY: Final = 256 * 1024
"""The longest answer of a token endpoint; it is larger, because an answer may have a large `id_token` and its tokens must not be lost."""
MAX_DEPTH: Final = 64
_LONGEST_INTEGER = 1000
_AROUND = " \t\r\n\f\v\0\ufeff"
"""Characters that are removed around a JSON text: white space, a byte order mark, the zero byte of a C string."""
_CHARSETS = frozenset({"utf-8", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "iso8859-1", "iso8859-15", "cp1252", "ascii"})
"""The charsets that an answer may declare, by Python's names; any other is read as UTF-8."""


class _Unreadable:
    """The class of `UNREADABLE`, which is no text, no number and no list, and is true."""

    def __repr__(self) -> str:
        return "UNREADABLE"


UNREADABLE: Final = _Unreadable()
"""The value of what cannot be read in a JSON object: a member with two different values, NaN, Infinity, or a far too long integer."""


class UnusableBodyError(ValueError):
    """The body is no JSON object, or is too long or too deep; the text never repeats the body."""


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
    """Whether plain http to a loopback address is allowed (simulated providers)."""
    private_host: bool = False
    """Whether a private address is allowed, because the operator named this host; never set from a tenant's input."""
    tenant_server: bool = False
    """Whether a tenant named the server; then its host may be an IP address too, which must be public unless `private_host` is true."""
    certificate: Secret | None = None
    """The client certificate to show, with its private key, in PEM; None: none."""
    trust: Secret | None = None
    """The authorities that the server's certificate is checked against, in PEM; None: the usual ones."""
    max_body: int = MAX_BODY
    """The longest answer that is read, in bytes after decompression."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpResponse:
    """One complete answer; header names are lower case, and `repr` shows only the status."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: bytes = field(default=b"", repr=False)
    sent_at: datetime | None = field(default=None, repr=False)
    """When the request was sent, from which lifetimes count; None: not known."""

    @property
    def content_type(self) -> str:
        """The media type without its parameters, in lower case."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamedResponse:
    """An answer whose body is still to come; `repr` shows only the status."""

    status: int
    headers: tuple[tuple[bytes, bytes], ...] = field(default=(), repr=False)
    """Names and values in their order, as they came."""
    parts: Iterable[bytes] = field(repr=False)
    """The body, as it is compressed; to be read once, while the exchange is open."""


def read_json_object(body: bytes, /, *, content_type: str = "", limit: int = MAX_BODY) -> dict[str, Any]:
    """Return the JSON object in *body*, of at most *limit* bytes and 64 levels.

    A byte order mark and the charset in *content_type* (the whole header) are honoured; bytes that cannot be decoded become lone
    surrogates.  A member that cannot be read has the value `UNREADABLE`, and the others are kept.

    Raises `UnusableBodyError` for any other body.
    """
    value = read_json(body, content_type=content_type, limit=limit)
    if not isinstance(value, dict):
        raise UnusableBodyError("the answer is not a JSON object")
    return value


def read_json(body: bytes, /, *, content_type: str = "", limit: int = MAX_BODY) -> Any:
    """Return the JSON value in *body*, read as by `read_json_object`.  Raises `UnusableBodyError` if there is none."""
    if len(body) > limit:
        raise UnusableBodyError("the answer is too long")
    text = read_text(body, content_type=content_type)
    try:
        _check_depth(text)
        # Not strict: a raw line break in one member must not lose the others.
        return json.loads(text, strict=False, object_pairs_hook=join_members, parse_constant=lambda _: UNREADABLE, parse_int=_read_integer)
    except (ValueError, RecursionError) as error:
        reason = str(error) if isinstance(error, UnusableBodyError) else "the answer is not JSON"
        raise UnusableBodyError(reason) from None


def find_json_object(body: bytes, /) -> dict[str, Any] | None:
    """Return the JSON object in *body*, of at most 64 KiB and 64 levels; None if there is none."""
    try:
        return read_json_object(body)
    except UnusableBodyError:
        return None


def find_json_members(body: bytes, /) -> dict[str, Any] | None:
    """Return the JSON object in *body*, as `find_json_object`; a list is given as an object whose names are the positions (`0`)."""
    try:
        value = read_json(body)
    except UnusableBodyError:
        return None
    if isinstance(value, list):
        return {str(position): member for position, member in enumerate(value)}
    return value if isinstance(value, dict) else None


def read_text(body: bytes, /, *, content_type: str = "") -> str:
    """Return *body* as text, decoded by its byte order mark, else by the charset in *content_type*, else as UTF-8; never raises.

    White space, a byte order mark and zero bytes around the text are removed.
    """
    for encoding in (_marked(body), _declared(content_type)):
        if encoding is not None:
            try:
                return body.decode(encoding).strip(_AROUND)
            except ValueError:
                continue
    # Each byte that is no UTF-8 becomes a surrogate of its own, which no token or name contains.
    return body.decode("utf-8", "surrogateescape").strip(_AROUND)


def find_path(value: Any, path: str, /) -> Any:
    """Return the first value at a dotted path (see `find_all`); None if there is none."""
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
    """Return *pairs* as a dictionary; a name with two different values has `UNREADABLE`, because either may be meant."""
    found: dict[str, Any] = {}
    for name, value in pairs:
        known = found.setdefault(name, value)
        if known is not value and (type(known) is not type(value) or known != value):
            found[name] = UNREADABLE
    return found


def _read_integer(text: str) -> Any:
    return int(text) if len(text) <= _LONGEST_INTEGER else UNREADABLE


def _check_depth(text: str) -> None:
    # Checked before parsing, so that a hostile body cannot exhaust the parser's stack.
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
    """Return the headers of all groups; of headers with the same name, in any letter case, the last one is used."""
    merged: dict[str, tuple[str, str]] = {}
    for group in groups:
        merged.update({name.lower(): (name, value) for name, value in group.items()})
    return dict(merged.values())
