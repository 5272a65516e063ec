"""Values that a provider's URLs and requests need, and the templates that name them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from cloud_integrations.errors import ValidationFailedError

from .base import FileTable, check_pattern

_VARIABLE = re.compile(r"\{([a-z0-9_]+)\}")


class Variable(FileTable):
    """A value that URLs or requests need: from the tenant, the operator or a token answer."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9_]+$")]
    """How templates and callers name it: `{name}`."""
    pattern: str | None = None
    """A regular expression that the whole value must match.  This or `choices` is needed."""
    choices: tuple[str, ...] = ()
    """The only values allowed."""
    default: str | None = None
    """The value where nobody gives one."""
    required: bool = True
    """Whether connecting fails without it."""
    in_host: bool = False
    """Whether it may be part of a host name.  Then `pattern` should end in the provider's own domain."""
    source: Literal["input", "token_reply", "application"] = "input"
    """Who gives it: the tenant (`input`), the token answer (`token_reply`), or the operator alone, never a tenant (`application`)."""
    label: str = ""
    """What a person calls it."""
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
        """Return *value*, or raise `ValidationFailedError` that names the variable and never repeats the value."""
        if not value.isprintable() or len(value) > 255:
            raise ValidationFailedError(field=f"variables.{self.name}", problem="must be at most 255 visible characters")
        if self.choices and value not in self.choices:
            raise ValidationFailedError(field=f"variables.{self.name}", problem=f"must be one of {', '.join(self.choices)}")
        if self.pattern and not re.fullmatch(self.pattern, value):
            raise ValidationFailedError(field=f"variables.{self.name}", problem="does not have the form this provider asks for")
        return value


def fill(template: str, values: Mapping[str, str], /) -> str:
    """Put *values* into the `{places}` of a URL template; a place without a value is a `KeyError`."""
    return _VARIABLE.sub(lambda place: values[place.group(1)], template)


def places(template: str, /) -> tuple[str, ...]:
    """Return the names of the `{places}` in a template, in order."""
    return tuple(_VARIABLE.findall(template))
