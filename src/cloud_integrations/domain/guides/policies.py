"""Read what the operator gives to setup guides: permissions documents, and the addresses of published templates."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlsplit

from cloud_integrations.domain.arguments import LONGEST_URL, read_text
from cloud_integrations.errors import ValidationFailedError

_DEEPEST: Final = 16
_MOST_VALUES: Final = 5_000


def read_policies(field: str, value: object, /) -> dict[str, dict[str, Any]]:
    """Return a copy of permissions documents by provider: objects of plain JSON values.

    Raises `ValidationFailedError` for a document that is empty or has an empty member: it would ask a tenant for nothing, or for
    anything.
    """
    read: dict[str, dict[str, Any]] = {}
    for slug, document in _items(field, value):
        where = f"{field}.{slug}"
        if not isinstance(document, Mapping) or not document:
            raise ValidationFailedError(field=where, problem="must be an object of JSON values that is not empty")
        copied: dict[str, Any] = _plain(where, document, depth=0, count=[0])
        for name, member in copied.items():
            if member in (None, "", [], {}):
                raise ValidationFailedError(field=f"{where}.{name}", problem="is empty")
        read[slug] = copied
    return read


def read_template_urls(field: str, value: object, /) -> dict[str, str]:
    """Return a copy of https URLs by provider.  Raises `ValidationFailedError` for any other URL."""
    read = {}
    for slug, address in _items(field, value):
        url = read_text(f"{field}.{slug}", address, most=LONGEST_URL)
        if not _is_https(url):
            raise ValidationFailedError(field=f"{field}.{slug}", problem="must be an https URL without user name")
        read[slug] = url
    return read


def _is_https(text: str) -> bool:
    try:
        url = urlsplit(text)
        return url.scheme == "https" and bool(url.hostname) and url.port != 0 and "@" not in url.netloc and " " not in text
    except ValueError:
        return False


def _items(field: str, value: object) -> list[tuple[str, object]]:
    if not isinstance(value, Mapping) or not all(isinstance(slug, str) and slug.isprintable() for slug in value):
        raise ValidationFailedError(field=field, problem="must be a mapping of the slugs of providers to values")
    return list(value.items())


def _plain(where: str, value: object, *, depth: int, count: list[int]) -> Any:
    """Return a copy of a JSON value, as dictionaries and lists."""
    count[0] += 1
    if depth > _DEEPEST or count[0] > _MOST_VALUES:
        raise ValidationFailedError(field=where, problem=f"must have at most {_DEEPEST} levels and {_MOST_VALUES} values")
    if isinstance(value, Mapping):
        names = [_text(where, name) for name in value]
        return {name: _plain(where, value[name], depth=depth + 1, count=count) for name in names}
    if isinstance(value, list | tuple):
        return [_plain(where, member, depth=depth + 1, count=count) for member in value]
    if isinstance(value, str):
        return _text(where, value)
    if value is None or isinstance(value, bool | int) or (isinstance(value, float) and math.isfinite(value)):
        return value
    raise ValidationFailedError(field=where, problem="must be made of JSON values: text, numbers, true, false, null, lists, objects")


def _text(where: str, value: object) -> str:
    if not isinstance(value, str) or not all(char.isprintable() or char in "\n\t" for char in value):
        raise ValidationFailedError(field=where, problem="must have printable text, also as the names of members")
    return value
