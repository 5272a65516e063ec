"""How the resource that addresses need is found, once an account is connected."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from .base import FileTable, Headers
from .inputs import Name


class AfterConnecting(FileTable):
    """The request that lists what a credential reaches: one of these resources gives a variable, which addresses of the API need.

    Of one resource, its id is taken; of several, the tenant chooses; an account without any is not connected.  A list that cannot be
    read never ends a connection.
    """

    variable: Name
    """The variable that the id of the resource gives; its source is `after_connecting`."""
    url: str
    """The address of the list, which is asked for with GET and the credential itself; a template.  It may begin with an input of the
    form `origin`."""
    headers: Headers = Field(default_factory=dict)
    """Further headers."""
    at: str | None = None
    """Dotted path to the list.  Left out: the answer itself is the list."""
    id: str = "id"
    """Path to the id of a resource, in an entry of the list."""
    label: str | None = None
    """Path to the resource's name for people."""
    link: str | None = None
    """Path to the resource's page, an https address."""
    page: Annotated[int, Field(ge=1)] | None = None
    """How many entries an answer has at most, if the provider sends the list in pages; a list that long may have others."""
    unneeded_by: tuple[str, ...] = ()
    """Scopes that reach no resource: a grant of these and of `scopes.offline` alone is not asked."""
