"""How an installation is known: its id, and whose it is."""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator

from .base import FileTable, Headers
from .inputs import Name


class Listing(FileTable):
    """The request that lists the installations of the person who came back, with that person's own token."""

    url: str
    """The address of the list; a template.  `page` is added, the number of a page from 1; pages are read until one is empty."""
    headers: Headers = Field(default_factory=dict)
    """Further headers."""
    at: str
    """Dotted path to the list."""
    id: str = "id"
    """Path to the id of an installation, in an entry of the list."""
    account: str
    """Path to the id of the account that has the installation."""
    label: str | None = None
    """Path to the account's name for people."""
    permissions: str | None = None
    """Path to an object with what the installation may do: `{"contents": "read"}` is the scope `contents:read`."""


class Installation(FileTable):
    """An installation: an account of the provider lets the operator's application in, and the mint is from its id.

    Whoever sends the browser chooses what the callback says, so the id is believed only if the person who came back has proved it:
    it stands in that person's own list (`listing`), or in that person's own access token (`claim`).
    """

    sign_in: str
    """The method whose token endpoint takes the code of the callback, for the person's own token; that method's `revoke` ends it."""
    input: Name
    """The input of the mint that is the id."""
    listing: Listing | None = None
    """The list in which the id of the callback (`installation_from`) must stand.  This or `claim`."""
    claim: str | None = None
    """The claim of the person's access token, a JWT, that is the id; no callback needs to name it."""

    @model_validator(mode="after")
    def _is_proved_once(self) -> Self:
        if (self.listing is None) == (self.claim is None):
            raise ValueError("give listing or claim")
        return self
