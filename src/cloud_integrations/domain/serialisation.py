"""Values that can be written as JSON, fields and properties."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from datetime import UTC, date, datetime
from enum import Enum
from typing import TYPE_CHECKING, Any, get_type_hints
from uuid import UUID

if TYPE_CHECKING:
    from pydantic import GetCoreSchemaHandler
    from pydantic_core import CoreSchema


class Serialisable:
    """A dataclass without secrets that is written with its properties: by `as_dict`, `as_json`, pydantic and so by FastAPI.

    `dataclasses.asdict` would write the fields only.
    """

    __slots__ = ()

    def as_dict(self) -> dict[str, Any]:
        """Return fields and properties, ready for JSON: ids as text, times in ISO 8601 ending in `Z`, days without a time, bytes in hex."""
        shown: dict[str, Any] = _plain(self, str)
        return shown

    def as_json(self) -> dict[str, Any]:
        """Return the same as `as_dict`, with names in camelCase, as in the HTTP API."""
        shown: dict[str, Any] = _plain(self, to_camel)
        return shown

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Let pydantic write the properties too; it reads the fields only."""
        from pydantic_core import core_schema  # noqa: PLC0415  # called by pydantic only, which is then loaded

        schema = handler(source)
        inner: Any = handler.resolve_ref_schema(schema)
        inner["schema"]["computed_fields"] = [
            core_schema.computed_field(name, handler.generate_schema(get_type_hints(getter)["return"]))
            for name, getter in _getters(cls).items()
        ]
        return schema


def _getters(kind: type, /) -> dict[str, Any]:
    """Return the functions behind the properties of a class."""
    return {name: member.fget for name, member in vars(kind).items() if isinstance(member, property)}


def to_camel(name: str, /) -> str:
    """Return a Python name as a JSON name: `expires_at` as `expiresAt`."""
    first, *others = name.split("_")
    return first + "".join(map(str.capitalize, others))


def _plain(value: Any, named: Callable[[str], str], /) -> Any:
    for kind, convert in _PLAIN:
        if isinstance(value, kind):
            return convert(value)
    if isinstance(value, Mapping):
        return {name: _plain(inner, named) for name, inner in value.items()}
    if isinstance(value, tuple):
        return [_plain(member, named) for member in value]
    if is_dataclass(value):
        names = [*(field.name for field in fields(value)), *_getters(type(value))]
        return {named(name): _plain(getattr(value, name), named) for name in names}
    return value


_PLAIN: tuple[tuple[type, Callable[[Any], Any]], ...] = (
    (Enum, lambda word: word.value),
    (UUID, str),
    (datetime, lambda at: at.astimezone(UTC).isoformat().replace("+00:00", "Z")),
    (date, date.isoformat),
    (bytes, bytes.hex),
)
