"""The request by which a provider itself makes a new key in the place of one that a tenant entered."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, Literal, Self

from pydantic import Field, JsonValue, field_validator, model_validator

from cloud_integrations.domain.key_rotation import KeyMaking

from .base import FileTable, Headers, Seconds
from .inputs import Name
from .variables import places, texts_in

TOLD_TO_MAKER: Final = frozenset({"ends_at", "ends_in", "ends_on", "made_at", "product"})
"""Names that the library fills in `fields` of a rotation."""


class NewKey(FileTable):
    """The request by which the provider makes a new key, authorized by the key that is stored (`rotation`).

    It is sent once and never repeated, because each one makes a key.
    """

    does: KeyMaking
    """`create`: there is another key, which works beside the old one.  `roll`: the key has a new value, and the old value ends at once."""
    method: Literal["POST", "PUT"] = "POST"
    """The HTTP method."""
    url: str
    """The URL; a template.  It may begin with an input of the form `origin`, and name the `identity` that the check found."""
    options: dict[str, str] = Field(default_factory=dict)
    """What the credential's signature needs to know of this request; see `options` of `present`."""
    headers: Headers = Field(default_factory=dict)
    """Further headers."""
    body: Literal["form", "json", "none"] = "none"
    """How `fields` are sent; `none`: there is no body.  JSON without fields is an empty object."""
    fields: dict[str, JsonValue] = Field(default_factory=dict)
    """The parameters of the request; every text in them is a template of variables and of inputs that are no secrets.

    Further names: `product`, of the settings; `made_at`, the time in digits, such as 20260131T235900Z; and from `lifetime` the end of
    the new key, as a date (`ends_on`), as a time (`ends_at`, RFC 3339) or in seconds from now (`ends_in`).
    """
    lifetime: Seconds | None = None
    """How long the new key shall live, where the provider asks for that."""
    format: Literal["json", "xml"] = "json"
    """How the answer is written; see `format` of a check."""
    at: str = ""
    """Dotted path to the object in which the other paths begin.  Left out: the whole answer."""
    gives: dict[Name, str]
    """Input → dotted path of its new value.  Inputs that are no secrets stay as they are if they are not named here; a secret that is
    not named does not belong to the new key.
    """
    encodings: dict[Name, Literal["base64"]] = Field(default_factory=dict)
    """Input → how its value in the answer is encoded, if it is."""
    never_with: tuple[Name, ...] = ()
    """Inputs with which a key is temporary, and makes no other: that would outlive it."""
    identity: str | None = None
    """Dotted path of the new key's id, where the request that ends a key names it (`identity`)."""
    statuses: tuple[int, ...] = (200, 201)
    """The statuses of a success.  An answer that reports an error, or is a web page, is no success in any case."""

    @field_validator("gives")
    @classmethod
    def _gives_something(cls, gives: dict[str, str]) -> dict[str, str]:
        if not gives:
            raise ValueError("must name at least one input")
        return gives

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        if self.fields and self.body == "none":
            raise ValueError("fields need a body")
        if self.body == "form" and not all(isinstance(value, str) for value in self.fields.values()):
            raise ValueError("the fields of a form are text")
        if unknown := sorted(self.encodings.keys() - self.gives.keys()):
            raise ValueError(f"encodings names {', '.join(unknown)}, which is not in gives")
        asked = {place for _, text in self.templates() for place in places(text)} & {"ends_at", "ends_in", "ends_on"}
        if bool(asked) != (self.lifetime is not None):
            raise ValueError("lifetime goes with ends_at, ends_in or ends_on in fields")
        return self

    def templates(self) -> Iterator[tuple[str, str]]:
        """Return the templates of the request but for its URL, by their places."""
        yield from texts_in("fields", self.fields)

    def path_of(self, path: str, /) -> str:
        """Return the path of something in the whole answer, where *path* is its path below `at`."""
        return f"{self.at}.{path}" if self.at else path
