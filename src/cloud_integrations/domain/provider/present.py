"""Where the parts of a credential go in a request."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Self

from pydantic import AfterValidator, Field, model_validator

from .base import FileTable, check_headers
from .variables import places

VALUE = "value"
"""What a template calls the first part: the token, or the first secret input."""


def _one_case(headers: Mapping[str, str]) -> Mapping[str, str]:
    if len({name.lower() for name in headers}) != len(headers):
        raise ValueError("names one header twice")
    return headers


class Basic(FileTable):
    """User name and password for HTTP Basic (RFC 7617)."""

    user: str = ""
    """The user name; a template."""
    password: str = ""
    """The password; a template."""

    @model_validator(mode="after")
    def _has_a_half(self) -> Self:
        if not (self.user or self.password):
            raise ValueError("give user, password, or both")
        return self


class Digest(FileTable):
    """User name and password for HTTP Digest (RFC 7616): the server asks, and the answer holds no password."""

    user: str
    """The user name; a template."""
    password: str
    """The password; a template."""


class Present(FileTable):
    """Where the parts of a credential go in a request.

    Each value is a template: parts and variables go by their names, `{value}` is the token or the method's first secret input, and
    `{proof:name}` is a proof, which is made anew whenever the credential is handed out.
    """

    headers: Annotated[dict[str, str], AfterValidator(check_headers), AfterValidator(_one_case)] = Field(default_factory=dict)
    """Name of a header → its value."""
    query: dict[str, str] = Field(default_factory=dict)
    """Name of a query parameter → its value.  Only for keys that a provider accepts nowhere else: URLs are written into logs."""
    basic: Basic | None = None
    """HTTP Basic."""
    digest: Digest | None = None
    """HTTP Digest."""
    certificate: Annotated[str, Field(pattern=r"^(?:\{[a-z0-9_]+\}){1,2}$")] | None = None
    """The client certificate of the TLS connection (RFC 8446 §4.4.2) and its private key: an input in PEM that holds both, or one with the
    certificate and one with the key.
    """
    trust: Annotated[str, Field(pattern=r"^\{[a-z0-9_]+\}$")] | None = None
    """The input, in PEM, with the authorities that the server's certificate is checked against instead of the usual ones.  Where nothing
    is entered, the usual ones count.
    """
    sign: Annotated[str, Field(pattern=r"^[a-z0-9_]{1,64}$")] | None = None
    """The request signature, by its name; beside it, headers and query say what else is sent.

    `dpop` binds the tokens of a grant to a key of the connection (RFC 9449), and stands alone.
    """
    options: dict[str, str] = Field(default_factory=dict)
    """What the signature needs beside the parts; templates."""
    clock: str | None = None
    """The URL at which the provider tells its time to anybody, in seconds since 1970; signatures are made for that time.  Left out: they
    are made for our time, which the `Date` of answers to checks corrects.
    """

    @model_validator(mode="after")
    def _has_one_authorization(self) -> Self:
        named = any(name.lower() == "authorization" for name in self.headers)
        setters = {"headers": named, "basic": self.basic is not None, "digest": self.digest is not None}
        if len(twice := [name for name, sets in setters.items() if sets]) > 1:
            raise ValueError(f"{' and '.join(twice)} set Authorization twice")
        if self.digest is not None and self.sign is not None:
            raise ValueError("give digest or sign, not both")
        if self.sign is None and (self.options or self.clock is not None):
            raise ValueError("options and clock are for a signature: give sign")
        return self

    def templates(self) -> Iterator[tuple[str, str]]:
        """Return every template with where it stands, such as `headers.X-Key`."""
        yield from ((f"headers.{name}", template) for name, template in self.headers.items())
        yield from ((f"query.{name}", template) for name, template in self.query.items())
        if self.basic is not None:
            yield from (("basic.user", self.basic.user), ("basic.password", self.basic.password))
        if self.digest is not None:
            yield from (("digest.user", self.digest.user), ("digest.password", self.digest.password))
        if self.certificate is not None:
            yield "certificate", self.certificate
        yield from ((f"options.{name}", template) for name, template in self.options.items())

    def names(self) -> tuple[str, ...]:
        """Return the names in all templates, each once."""
        return tuple(dict.fromkeys(name for _, template in self.templates() for name in places(template)))


BEARER = Present(headers={"Authorization": f"Bearer {{{VALUE}}}"})
"""A bearer token (RFC 6750 §2.1)."""
