"""The base of all documents."""

from __future__ import annotations

from dataclasses import fields
from functools import cache
from typing import Any, ClassVar, Self

from cloud_integrations.domain.serialisation import Serialisable, to_camel


class Document(Serialisable):
    """The base of all documents: a dataclass, not frozen and no pydantic model, because either would double the time of a long list."""

    __slots__ = ()
    __pydantic_config__: ClassVar = {"alias_generator": to_camel, "extra": "forbid"}

    @classmethod
    def _shown(cls, value: object, /, **others: object) -> Self:
        """Return a document with the fields of *value* that have the same names, and with *others*."""
        kind: type = cls
        return cls(**{name: getattr(value, name) for name in _names(kind) if name not in others}, **others)


@cache
def _names(kind: Any) -> tuple[str, ...]:
    return tuple(each.name for each in fields(kind))
