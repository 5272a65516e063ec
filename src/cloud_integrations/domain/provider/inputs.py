"""The values that a tenant enters."""

from __future__ import annotations

import re
from typing import Annotated, Literal, Self

from pydantic import Field, ValidationInfo, field_validator, model_validator

from cloud_integrations.domain.entered import InputForm

from .base import BUILT_IN, FileTable, JsonScalar, check_pattern

Name = Annotated[str, Field(pattern=r"^[a-z0-9_]{1,64}$")]


class Derivation(FileTable):
    """What the form of a value tells of a variable, which then need not be named."""

    variable: Name
    """The variable that is told."""
    pattern: str
    """A regular expression of the whole value, with one group: the text that tells.  A value that does not match it tells nothing."""
    path: str | None = None
    """Dotted path to the text, if the group is a JSON object in base64 (RFC 4648 §4 or §5).  Left out: the group is the text."""
    values: dict[str, str] = Field(default_factory=dict)
    """Text → value of the variable; a text that is not listed tells nothing.  Left out: the text is the value, if the variable takes it."""
    fits_all: tuple[str, ...] = ()
    """Values of the variable that serve every key, so that they may be named whatever a key tells."""

    @field_validator("pattern")
    @classmethod
    def _has_one_group(cls, pattern: str, info: ValidationInfo) -> str:
        check_pattern(pattern, info)
        if info.context is not BUILT_IN and re.compile(pattern).groups != 1:
            raise ValueError("must have one group")
        return pattern


class Input(FileTable):
    """One value that the tenant enters."""

    name: Name
    """The name in templates and in calls."""
    secret: bool = True
    """Whether the value is sealed and never shown."""
    form: InputForm = "text"
    """What the value is: one line of visible ASCII (`text`), keys or certificates in PEM (`pem`, RFC 7468), or a JSON document, such
    as the file of a service account (`json`), or the address of the tenant's own server (`origin`): https, host and port.  A private key
    or a JSON document is refused in any other input.
    """
    parts: dict[Name, str] = Field(default_factory=dict)
    """Of a JSON document: name of a part → dotted path to its text.  Only the parts are stored; without any, the document is."""
    must: dict[str, JsonScalar] = Field(default_factory=dict)
    """Of a JSON document: dotted path → the value that stands there, by which the wrong file is told from the right one."""
    public: tuple[Name, ...] = ()
    """Of a JSON document: the parts that are no secrets.  They may stand in URLs and in the account's id."""
    one_of: str | None = None
    """A word that several inputs share.  At most one of them is entered; exactly one, if one of them is `required`."""
    patterns: tuple[str, ...] = ()
    """Regular expressions, one of which should match the whole value.  A value that matches none gets a warning and is accepted."""
    derives: tuple[Derivation, ...] = ()
    """What the form of the value tells of variables (`text`): a region, a mode, an organization.  Of those for one variable, the first
    that tells counts.
    """
    required: bool = True
    """Whether the value must be given."""
    made_by: Literal["us"] | None = None
    """`us`: the library makes the value, 128 random bits, when the setup begins, and nobody enters it.  It stays until the integration
    is removed.  `must_fail` of the method proves that the provider asks for it.
    """
    normalise: tuple[Literal["strip", "unwrap", "upper", "lower"], ...] = ("strip", "unwrap")
    """`strip`: remove white space and a pair of quotes around the pasted value.  `unwrap`: remove `Bearer`, the name of a header,
    `token=`, `export NAME=` and similar text before it.  `upper`, `lower`: change its letter case.  For a password: none.
    """
    spaces: bool = False
    """Whether the value may contain spaces (a password); otherwise white space inside it refuses it."""
    label: str = ""
    """The name that people see."""
    hint: str = ""
    """What people should know when they enter the value."""

    @field_validator("patterns")
    @classmethod
    def _compile(cls, patterns: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        for pattern in patterns:
            check_pattern(pattern, info)
        return patterns

    @model_validator(mode="after")
    def _parts_are_of_a_document(self) -> Self:
        if self.form != "json" and (self.parts or self.must):
            raise ValueError("parts and must are for the form json")
        if unknown := sorted(set(self.public) - self.parts.keys()):
            raise ValueError(f"public names {', '.join(unknown)}, which is no part")
        return self

    @model_validator(mode="after")
    def _a_line_tells(self) -> Self:
        if self.form != "text" and self.derives:
            raise ValueError("derives is for the form text")
        return self

    @model_validator(mode="after")
    def _an_origin_is_open(self) -> Self:
        if self.form == "origin" and self.secret:
            raise ValueError("an origin is no secret: URLs are written into logs")
        return self

    @model_validator(mode="after")
    def _is_made_or_entered(self) -> Self:
        entered = {"derives", "form", "one_of", "patterns", "required", "normalise", "spaces"}
        if self.made_by is not None and (unread := sorted(self.model_fields_set & entered)):
            raise ValueError(f"an input with made_by has no {', '.join(unread)}")
        return self

    @property
    def part_names(self) -> tuple[str, ...]:
        """The names of the parts that are stored of it."""
        return tuple(self.parts) or (self.name,)

    @property
    def public_names(self) -> tuple[str, ...]:
        """The names of the parts that are no secrets."""
        return self.public if self.secret else self.part_names

    def looks_right(self, text: str, /) -> bool:
        """Return whether *text* matches one of the patterns; True if there are none."""
        return not self.patterns or any(re.fullmatch(pattern, text) for pattern in self.patterns)
