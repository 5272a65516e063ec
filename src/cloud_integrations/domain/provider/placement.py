"""Where a secret goes in a request."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from .base import FileTable


class Placement(FileTable):
    """Where a credential goes in a request."""

    in_: Annotated[Literal["header", "query", "basic_user", "basic_password"], Field(alias="in")] = "header"
    """A header, a parameter of the query, or a half of HTTP Basic (RFC 7617)."""
    name: str = "Authorization"
    """The header or parameter."""
    prefix: str = "Bearer "
    """Text before the value."""
    template: str = "{value}"
    """`{value}` is the token or the method's first secret input; inputs and variables go by their names."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    @property
    def target(self) -> tuple[str, str]:
        """The place itself, of which a request has one."""
        if self.in_ == "query":
            return "query", self.name
        if self.in_ == "basic_password":
            return "basic_password", ""
        # The user name of HTTP Basic makes the header.
        return "header", "authorization" if self.in_ == "basic_user" else self.name.lower()
