"""PyGithub: a value for `auth=` of `github.Github`.

Source: https://pygithub.readthedocs.io/en/stable/examples/Authentication.html.
"""

from __future__ import annotations

from uuid import UUID

from github.Auth import Auth

from .source import CredentialSource, Manager, Named


def github_auth(manager: Manager, tenant_id: str, provider: str | UUID, *, slot: str = "") -> GithubAuth:
    """Return a value for `auth=` of `github.Github`, with the access token of an integration, renewed by itself.

    *provider* and *slot* are as in `IntegrationManager.credential`, and the calls raise as there.
    Raises `ValidationFailedError` for a name that cannot be one.
    """
    return GithubAuth(CredentialSource(manager=manager, tenant_id=tenant_id, integration=provider, slot=slot))


class GithubAuth(Named, Auth):
    """Asks the manager for the token of each request of PyGithub.  Made by `github_auth`."""

    def __init__(self, source: CredentialSource, /) -> None:
        self._source = source

    @property
    def token_type(self) -> str:
        """The scheme of the `Authorization` header."""
        return "Bearer"

    @property
    def token(self) -> str:
        """The access token, in the open.  Raises as `IntegrationManager.credential`."""
        return self._source.credential().value.reveal()
