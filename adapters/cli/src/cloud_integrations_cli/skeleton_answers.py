"""What a person knows of a new provider."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal["api_key", "basic", "client_credentials", "oauth2"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """What is known of a provider; an empty text is not known."""

    slug: str
    name: str
    kind: Kind
    documentation: str = ""
    category: str = "other"
    place: str = ""
    """Where a key goes: `bearer`, `header:NAME` or `query:NAME`."""
    authorize_url: str = ""
    token_url: str = ""
    rotates: str = ""
    check_url: str = ""
    account: str = ""
    """The path of the account's id, as in `identity`."""
    dead_status: str = ""
    pattern: str = ""
    revoke_page: str = ""

    def url(self, field: str, path: str, /) -> str:
        """Return the URL in *field*; one that leads nowhere where it is not known (RFC 2606 §3)."""
        return getattr(self, field) or f"https://{self.slug.replace('_', '-')}.example/{path}"
