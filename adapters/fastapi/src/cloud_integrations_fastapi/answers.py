"""What answers are wrapped in; `cloud_integrations.documents` has what stands inside."""

from __future__ import annotations

from typing import Any, Generic, Literal, TypeVar

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel

T = TypeVar("T")


class _Answer(BaseModel):
    """Something we say."""

    model_config = ConfigDict(
        alias_generator=to_camel, populate_by_name=True, frozen=True, extra="forbid", json_schema_serialization_defaults_required=True
    )


class One(_Answer, Generic[T]):
    """One thing."""

    data: T


class Many(_Answer, Generic[T]):
    """A list of things."""

    data: tuple[T, ...]


class Done(_Answer):
    """It is done."""

    success: Literal[True] = True


class ErrorFacts(_Answer):
    """What went wrong."""

    code: str
    message: str
    details: dict[str, Any]


class ErrorOut(_Answer):
    """An error."""

    success: Literal[False]
    error: ErrorFacts
