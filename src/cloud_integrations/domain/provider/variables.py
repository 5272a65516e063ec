"""Values that a provider's URLs and requests need, and the templates that name them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Annotated, Literal, Self

from pydantic import Field, JsonValue, ValidationInfo, model_validator

from cloud_integrations.errors import ValidationFailedError

from .base import BUILT_IN, FileTable, check_pattern

_PLACE = re.compile(r"\{((?:proof:)?[a-z0-9_]+(?:\.[a-z0-9_]+)?)\}")


_HOST = re.compile(r"(?=.{1,253}\Z)(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z](?:[a-z0-9-]{0,61}[a-z0-9])?")
"""A host name in ASCII: no IP address, whose last label is a number, and no dot at the end."""
_ORIGIN = re.compile(r"\{([a-z0-9_]+)\}(?=/)")


class Variable(FileTable):
    """A value that URLs or requests need: from the tenant, the operator or a token answer."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9_]+$")]
    """Its name for callers, and in templates as `{name}`."""
    pattern: str | None = None
    """A regular expression that the whole value must match.  This, `choices` or `domains` must be set.

    A pattern that some text could keep busy for long is refused, here and in every other place of a file: where a part that repeats can
    match the same text as itself or as a part that repeats after it (`(a+)+`, `[a-z]*[a-z]*`).
    """
    choices: tuple[str, ...] = ()
    """The only values allowed."""
    domains: tuple[Annotated[str, Field(pattern=r"^[a-z0-9-]+(?:\.[a-z0-9-]+)+$")], ...] = ()
    """The value is a host that an answer of the provider names: one of these domains, or a host under one of them.

    The answer may also have it as an origin, `https://host`.  A host anywhere else is not used, and neither is one with a port, a user
    name or a path; what the answer gave besides is stored.
    """
    default: str | None = None
    """The value if none is given."""
    required: bool = True
    """Whether connecting fails without a value."""
    in_host: bool = False
    """Whether it may be part of a host name.  Then `pattern` should end in the provider's own domain."""
    source: Literal["input", "token_reply", "after_connecting", "application"] = "input"
    """Where the value comes from: the tenant (`input`), the token answer (`token_reply`), a list of what the account reaches
    (`after_connecting`; the tenant may name it, too), or only the operator (`application`).
    """
    label: str = ""
    """Its name for people."""
    hint: str = ""
    """What a person should know when entering it."""

    @model_validator(mode="after")
    def _has_a_form(self, info: ValidationInfo) -> Self:
        if self.pattern is not None:
            check_pattern(self.pattern, info)
        elif not self.choices and not self.domains:
            raise ValueError("give choices, a pattern or domains")
        if self.domains and (self.source != "token_reply" or not self.in_host or self.choices or self.pattern is not None):
            raise ValueError("domains are for a host of the source token_reply, without choices and pattern: mark it in_host")
        if self.source == "after_connecting" and (self.in_host or self.default is not None or not self.required):
            raise ValueError("what is found after connecting has no default, is not optional, and is not part of a host")
        if self.default is not None and info.context is not BUILT_IN:
            try:
                self.check(self.default)
            except ValidationFailedError as error:
                raise ValueError(f"default {error.problem}") from None
        return self

    def check(self, value: str, /) -> str:
        """Return *value* if it is valid.

        Raises `ValidationFailedError`, which names the variable and never repeats the value.
        """
        if not value.isprintable() or len(value) > 255:
            raise ValidationFailedError(field=f"variables.{self.name}", problem="must be at most 255 visible characters")
        if self.choices and value not in self.choices:
            raise ValidationFailedError(field=f"variables.{self.name}", problem=f"must be one of {', '.join(self.choices)}")
        if self.domains and not (_HOST.fullmatch(value) and any(f".{value}".endswith(f".{domain}") for domain in self.domains)):
            raise ValidationFailedError(field=f"variables.{self.name}", problem="is no host of this provider")
        if self.pattern and not re.fullmatch(self.pattern, value):
            raise ValidationFailedError(field=f"variables.{self.name}", problem="does not have the form this provider asks for")
        if not value:
            # The empty value stands for a resource that is still to be chosen.
            raise ValidationFailedError(field=f"variables.{self.name}", problem="must not be empty")
        return value

    def read(self, value: str, /) -> str:
        """Return what an answer of the provider says, as `check` does; of an origin with a host of `domains`, the host."""
        if not self.domains:
            return self.check(value)
        host = value.lower() if value.isascii() else value
        return self.check(host.removeprefix("https://").removesuffix("/"))


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


def fill_all(value: JsonValue, values: Mapping[str, str], /) -> JsonValue:
    """Return *value* with every text in it filled; see `fill`."""
    if isinstance(value, str):
        return fill(value, values)
    if isinstance(value, dict):
        return {name: fill_all(inner, values) for name, inner in value.items()}
    return [fill_all(inner, values) for inner in value] if isinstance(value, list) else value


def texts_in(where: str, value: JsonValue, /) -> Iterator[tuple[str, str]]:
    """Return every text in *value*, which stands at *where*, each with its own place."""
    if isinstance(value, str):
        yield where, value
    elif isinstance(value, dict):
        for name, inner in value.items():
            yield from texts_in(f"{where}.{name}", inner)
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from texts_in(f"{where}[{index}]", inner)
