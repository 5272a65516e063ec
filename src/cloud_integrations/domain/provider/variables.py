"""Values that a provider's URLs and requests need, and the templates that name them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from cloud_integrations.errors import ValidationFailedError

from .base import FileTable, check_pattern

_PLACE = re.compile(r"\{((?:proof:)?[a-z0-9_]+(?:\.[a-z0-9_]+)?)\}")


_ORIGIN = re.compile(r"\{([a-z0-9_]+)\}(?=/)")


class Variable(FileTable):
    """A value that URLs or requests need: from the tenant, the operator or a token answer."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9_]+$")]
    """Its name for callers, and in templates as `{name}`."""
    pattern: str | None = None
    """A regular expression that the whole value must match.  This or `choices` must be set."""
    choices: tuple[str, ...] = ()
    """The only values allowed."""
    default: str | None = None
    """The value if none is given."""
    required: bool = True
    """Whether connecting fails without a value."""
    in_host: bool = False
    """Whether it may be part of a host name.  Then `pattern` should end in the provider's own domain."""
    source: Literal["input", "token_reply", "application"] = "input"
    """Where the value comes from: the tenant (`input`), the token answer (`token_reply`), or only the operator (`application`)."""
    label: str = ""
    """Its name for people."""
    hint: str = ""
    """What a person should know when entering it."""

    @model_validator(mode="after")
    def _has_a_form(self) -> Self:
        if self.pattern is not None:
            check_pattern(self.pattern)
        elif not self.choices:
            raise ValueError("give choices or a pattern")
        return self

    def check(self, value: str, /) -> str:
        """Return *value* if it is valid.

        Raises `ValidationFailedError`, which names the variable and never repeats the value.
        """
        if not value.isprintable() or len(value) > 255:
            raise ValidationFailedError(field=f"variables.{self.name}", problem="must be at most 255 visible characters")
        if self.choices and value not in self.choices:
            raise ValidationFailedError(field=f"variables.{self.name}", problem=f"must be one of {', '.join(self.choices)}")
        if self.pattern and not re.fullmatch(self.pattern, value):
            raise ValidationFailedError(field=f"variables.{self.name}", problem="does not have the form this provider asks for")
        return value


def fill(template: str, values: Mapping[str, str], /) -> str:
    """Return *template* with each `{name}` replaced by its value.  Raises `KeyError` for a name without a value.

    A name may also be `proof:name`, a proof, or `name.fact`, something that is read from a value; *values* has it under that text.
    """
    return _PLACE.sub(lambda place: values[place.group(1)], template)


def find_origin(template: str, /) -> str | None:
    """Return the name that a URL template begins with, which stands for a whole origin; None if it begins with a scheme."""
    found = _ORIGIN.match(template)
    return None if found is None else found[1]


def places(template: str, /) -> tuple[str, ...]:
    """Return the names in braces in *template*, in order."""
    return tuple(_PLACE.findall(template))
