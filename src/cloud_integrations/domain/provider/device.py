"""The device authorization endpoint of a method (RFC 8628)."""

from __future__ import annotations

from typing import Literal

from .base import FileTable


class Device(FileTable):
    """How a person who sits at another device consents: with a short code, on a page of the provider (RFC 8628)."""

    url: str | None = None
    """The device authorization endpoint (RFC 8628 §3.1); a template.  Left out only with `metadata`, which has it."""
    client_auth: Literal["client", "none"] = "client"
    """How the application authenticates in this flow: as at the token endpoint (`client`), or by its client id alone (`none`)."""
