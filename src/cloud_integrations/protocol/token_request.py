"""The parameters that a provider file adds to token requests."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlencode

from cloud_integrations.domain.provider import RESERVED_PARAMETERS

from .client import Client


def extra_params(client: Client, params: Mapping[str, str], /, *, redirect_uri: str | None = None) -> str:
    """Return the provider's own parameters, form-encoded; apart from `scope`, they cannot set a parameter of the protocol.

    *redirect_uri* is added only if the provider file asks for it.
    """
    own = {name: client.fill(value) for name, value in params.items() if name == "scope" or name not in RESERVED_PARAMETERS}
    if redirect_uri is not None and "redirect_uri" in params:
        own["redirect_uri"] = redirect_uri
    return urlencode(own)
