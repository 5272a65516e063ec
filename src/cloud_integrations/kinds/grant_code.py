"""A person consents at the provider, and an authorization code comes back (RFC 6749 §4.1)."""

from __future__ import annotations

from collections.abc import Iterator

from cloud_integrations.domain.auth_type import AuthType
from cloud_integrations.domain.parts import Parts
from cloud_integrations.domain.provider import Method, Placement

from .unused import unused_fields

_NOT_OURS = ("inputs", "placement")


class GrantCode:
    """The authorization code grant."""

    name = "code"
    auth_type = AuthType.OAUTH2

    def problems(self, method: Method, /) -> Iterator[str]:
        """See `Kind.problems`."""
        if not (method.authorize_url and method.token_url):
            yield " needs authorize_url and token_url"
        yield from unused_fields(method, _NOT_OURS)

    def part_names(self, _: Method, /) -> tuple[str, ...]:
        """See `Kind.part_names`."""
        return ("access_token",)

    def placements(self, method: Method, /) -> tuple[Placement, ...]:
        """See `Kind.placements`."""
        return (method.access_token.placement,)

    def read_inputs(self, _: Method, inputs: Parts, /) -> Parts:
        """See `Kind.read_inputs`."""
        return inputs
