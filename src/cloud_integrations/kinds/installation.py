"""An installation of the operator's application, of which credentials are minted with the application's own key."""

from __future__ import annotations

from collections.abc import Iterator

from cloud_integrations.domain.provider import Installation, Method

from .grant_code import GrantCode, not_in_header
from .unused import unused_fields

_NOT_OURS = (
    "device",
    "metadata",
    "must_fail",
    "par_url",
    "refresh_params",
    "refresh_token",
    "refresh_url",
    "reply",
    "rotation",
    "token_params",
)


class GrantInstallation(GrantCode):
    """A person installs the operator's application at the provider, and proves that by signing in (RFC 6749 §4.1)."""

    name = "installation"

    def problems(self, method: Method, /) -> Iterator[str]:
        """See `Kind.problems`."""
        facts = method.installation
        if facts is None or not (method.authorize_url and method.token_url and method.mint):
            yield " needs authorize_url, token_url, installation and mint"
        else:
            yield from _unconfirmed(method, facts)
        yield from not_in_header(method)
        yield from unused_fields(method, _NOT_OURS)


def _unconfirmed(method: Method, facts: Installation) -> Iterator[str]:
    """Say what keeps an installation from being confirmed, or its credential from being minted."""
    if [(given.name, given.secret) for given in method.inputs] != [(facts.input, False)]:
        yield f".inputs must be {facts.input} alone, and no secret"
    if method.application != "platform":
        yield ".application must be the operator's: it is the one that is installed"
    if (facts.listing is None) != (method.callback.installation_from is None):
        yield " needs installation.listing exactly if callback.installation_from names a parameter"
    if method.callback.installation_from is not None and method.pkce != "off":
        yield ".pkce must be off: the page of an installation takes no code challenge"
