"""The parts and options that a signature needs, and reading them."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from cloud_integrations.domain.secret import Secret
from cloud_integrations.errors import ConfigurationError


@dataclass(frozen=True, slots=True, kw_only=True)
class Needs:
    """The parts and options of the signature *name*.

    An option with the name of a part is used in place of that part, so a provider file can compose a part or give it another name.
    """

    name: str
    parts: tuple[str, ...]
    optional_parts: tuple[str, ...] = ()
    options: tuple[str, ...] = ()
    optional_options: tuple[str, ...] = ()

    def problems(self, options: Mapping[str, str], parts: Collection[str], /) -> Iterator[str]:
        """Return what is missing and what is never read, as sentences that go on from `present.options`."""
        for name in self.options:
            if name not in options:
                yield f"must have {name}, which the signature {self.name} needs"
        for name in self.parts:
            if name not in options and name not in parts:
                yield f"must have {name}, or the method an input of this name, which the signature {self.name} needs"
        for name in options:
            if name not in {*self.parts, *self.optional_parts, *self.options, *self.optional_options}:
                yield f"must not have {name}, which the signature {self.name} does not read"

    def read(self, options: Mapping[str, str], parts: Mapping[str, Secret], /) -> dict[str, str]:
        """Return the text of every part and option, by its name; what is optional and missing is empty.

        Raises `ConfigurationError` if a part or an option is missing.
        """
        values = {name: options.get(name, "") for name in (*self.options, *self.optional_options)}
        for name in (*self.parts, *self.optional_parts):
            values[name] = options[name] if name in options else parts[name].reveal() if name in parts else ""
        for name in (*self.options, *self.parts):
            if not values[name]:
                raise ConfigurationError(setting=f"the signature {self.name}", problem=f"needs {name}, which is missing")
        return values
