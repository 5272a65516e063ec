"""The device authorization grant (RFC 8628)."""

from __future__ import annotations

from collections.abc import Iterator

from cloud_integrations.domain.provider import Method

from .grant_code import GrantCode, not_in_header
from .unused import unused_fields

_NOT_OURS = ("inputs", "installation", "rotation", "authorize_url", "authorize_params", "par_url", "callback", "pkce")


class GrantDevice(GrantCode):
    """A person consents on another device, with a short code (RFC 8628); the grant is then the same as that of a code."""

    name = "device"

    def problems(self, method: Method, /) -> Iterator[str]:
        """See `Kind.problems`."""
        if method.device is None or (method.metadata is None and not method.token_url):
            yield " needs device, and token_url or metadata"
        if method.metadata is None:
            yield from unused_fields(method, ("issuer",))
        yield from not_in_header(method)
        yield from unused_fields(method, _NOT_OURS)
