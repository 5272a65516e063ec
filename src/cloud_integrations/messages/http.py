"""A request to send and the answer to read; nothing here sends."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from cloud_integrations.domain.provider import find_all

MAX_BODY = 64 * 1024
"""The longest answer that is read, in bytes after decompression."""
MAX_DEPTH = 16


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


def read_json_object(body: bytes, /) -> dict[str, Any]:
    """Read a JSON object strictly: UTF-8, no duplicate names, no NaN or Infinity, at most 16 levels (OAU-037).

    Raises `UnusableBodyError`.
    """
    if len(body) > MAX_BODY:
        raise UnusableBodyError("the answer is too long")
    try:
        text = body.decode("utf-8")
        _check_depth(text)
        value = json.loads(text, object_pairs_hook=_without_duplicates, parse_constant=_no_constant)
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


def find_path(value: Any, path: str, /) -> Any:
    """Return the first value at a dotted path (see `find_all`); None where there is none."""
    return next(iter(find_all(value, path)), None)


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise UnusableBodyError("the answer names a member twice")
    return found


def _no_constant(_: str) -> Any:
    raise UnusableBodyError("the answer holds a number that is not one")


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
