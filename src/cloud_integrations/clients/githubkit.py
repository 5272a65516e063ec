"""githubkit: a strategy for `auth` of `githubkit.GitHub`.

Source: https://yanyongyu.github.io/githubkit/usage/authentication/.
"""

from __future__ import annotations

from typing import Any
from uuid import UUID

from githubkit import BaseAuthStrategy

from .http import AsyncHttpAuth, HttpAuth, make_auth
from .source import AsyncCredentialSource, AsyncManager, CredentialSource, Manager, Named


def githubkit_auth(manager: Manager, tenant_id: str, provider: str | UUID, *, slot: str = "") -> GithubkitAuth:
    """Return a strategy for `githubkit.GitHub`, with the credential of an integration, renewed by itself, for the methods that block.

    *provider* and *slot* are as in `IntegrationManager.credential`.  githubkit makes a `RequestError` of what is raised there.
    Raises `ValidationFailedError` for a name that cannot be one.
    """
    source = CredentialSource(manager=manager, tenant_id=tenant_id, integration=provider, slot=slot)
    return GithubkitAuth(make_auth(HttpAuth, {}, source=source))


def async_githubkit_auth(manager: AsyncManager, tenant_id: str, provider: str | UUID, *, slot: str = "") -> GithubkitAuth:
    """Return a strategy for `githubkit.GitHub` for the methods that are awaited; see `githubkit_auth`."""
    source = AsyncCredentialSource(manager=manager, tenant_id=tenant_id, integration=provider, slot=slot)
    return GithubkitAuth(make_auth(AsyncHttpAuth, {}, source=source))


class GithubkitAuth(Named, BaseAuthStrategy):
    """Gives githubkit's clients of httpx their `auth`.  Made by `githubkit_auth` and `async_githubkit_auth`."""

    def __init__(self, auth: HttpAuth | AsyncHttpAuth, /) -> None:
        self._source = auth

    def get_auth_flow(self, github: Any) -> Any:  # noqa: ARG002  # named as githubkit names it
        """Return what `auth=` of httpx takes."""
        return self._source
