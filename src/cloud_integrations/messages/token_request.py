"""What all token requests share."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlencode

from .client import Client

_RESERVED = frozenset({
    "assertion", "client_assertion", "client_assertion_type", "client_id", "client_secret", "code", "code_verifier",
    "grant_type", "redirect_uri", "refresh_token",
})  # fmt: skip


def extra_params(client: Client, params: Mapping[str, str], /, *, redirect_uri: str | None = None) -> str:
    """Return a provider's own parameters, form-encoded; none of them can stand in for one of the protocol's.

    `redirect_uri` is among them only where the data asks to repeat the one given here.
    """
    own = {name: client.fill(value) for name, value in params.items() if name not in _RESERVED}
    if redirect_uri is not None and "redirect_uri" in params:
        own["redirect_uri"] = redirect_uri
    return urlencode(own)
