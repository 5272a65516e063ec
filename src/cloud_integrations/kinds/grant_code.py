"""The authorization code grant (RFC 6749 §4.1)."""

from __future__ import annotations

from collections.abc import Iterator

from cloud_integrations.domain.auth_type import AuthType
from cloud_integrations.domain.dpop import DPOP, DPOP_KEY
from cloud_integrations.domain.parts import Parts
from cloud_integrations.domain.provider import Method, Present

from .unused import unused_fields

_NOT_OURS = ("inputs", "installation", "rotation")


class GrantCode:
    """A person consents at the provider, which returns an authorization code (RFC 6749 §4.1)."""

    name = "code"
    auth_type = AuthType.OAUTH2

    def problems(self, method: Method, /) -> Iterator[str]:
        """See `Kind.problems`."""
        if method.metadata is None and not (method.authorize_url and method.token_url):
            yield " needs authorize_url and token_url, or metadata"
        if method.callback.installation_from is not None or method.callback.requested:
            yield ".callback has no installation_from and no requested for this kind"
        yield from not_in_header(method)
        yield from unused_fields(method, _NOT_OURS)

    def part_names(self, method: Method, /) -> tuple[str, ...]:
        """See `Kind.part_names`."""
        return ("access_token", DPOP_KEY) if method.uses_dpop else ("access_token",)

    def present(self, method: Method, /) -> Present:
        """See `Kind.present`."""
        return method.present

    def read_inputs(self, _: Method, inputs: Parts, /) -> Parts:
        """See `Kind.read_inputs`."""
        return inputs


def not_in_header(method: Method, /) -> Iterator[str]:
    """Say whether an access token of *method* would be shown anywhere but in a header.

    RFC 9700 §4.3.2: in a URL it ends up in logs and referrers.
    """
    if method.uses_dpop:
        if method.present != Present(sign=DPOP):
            yield ".present: with the signature dpop, which shows the token itself, there is nothing else"
        if method.revoke is not None and method.revoke.auth == "bearer":
            yield ".revoke.auth: a token that is bound to a key is no bearer token"
    elif not method.present.headers or method.present != Present(headers=method.present.headers):
        yield ".present: an access token goes in a header, and nowhere else"
