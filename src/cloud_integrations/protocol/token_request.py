"""What all token requests share."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlencode

from cloud_integrations.domain.provider import RESERVED_PARAMETERS

from .client import Client


def extra_params(client: Client, params: Mapping[str, str], /, *, redirect_uri: str | None = None) -> str:
    """Return a provider's own parameters, form-encoded; none of them can stand in for one of the protocol's.

    `redirect_uri` is among them only where the data asks to repeat the one given here.
    """
    own = {name: client.fill(value) for name, value in params.items() if name == "scope" or name not in RESERVED_PARAMETERS}
    if redirect_uri is not None and "redirect_uri" in params:
        own["redirect_uri"] = redirect_uri
    return urlencode(own)
