"""Azure's SDK: token credentials of azure-core, blocking and awaiting.

Source: https://learn.microsoft.com/python/api/azure-core/azure.core.credentials.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from threading import current_thread
from typing import Any, Final, Self
from urllib.parse import urlsplit
from uuid import UUID
from weakref import WeakKeyDictionary

from azure.core.credentials import AccessToken, AccessTokenInfo, TokenRequestOptions

from cloud_integrations.domain.credential import Credential
from cloud_integrations.errors import ValidationFailedError

from .source import AsyncCredentialSource, AsyncManager, CredentialSource, Manager, Named

_MANAGEMENT: Final = "https://management.azure.com"
_UNKNOWN_LIFE: Final = timedelta(minutes=5)
"""How long a token is cached whose end is unknown; azure-core asks again for each request in the last five minutes."""


def azure_credential(
    manager: Manager, tenant_id: str, provider: str | UUID, *, slot: str = "", audience: str = _MANAGEMENT
) -> AzureCredential:
    """Return a credential for `credential=` of Azure's clients, with the access token of an integration, renewed by itself.

    *provider* and *slot* are as in `IntegrationManager.credential`.  *audience* is the resource that the token is for, where its scopes
    do not say it; in Azure Government it is `https://management.usgovcloudapi.net`.
    Raises `ValidationFailedError` for a name that cannot be one.
    """
    source = CredentialSource(manager=manager, tenant_id=tenant_id, integration=provider, slot=slot)
    return AzureCredential(source=source, audience=audience)


def async_azure_credential(
    manager: AsyncManager, tenant_id: str, provider: str | UUID, *, slot: str = "", audience: str = _MANAGEMENT
) -> AsyncAzureCredential:
    """Return a credential for the awaiting clients of Azure's SDK; see `azure_credential`."""
    source = AsyncCredentialSource(manager=manager, tenant_id=tenant_id, integration=provider, slot=slot)
    return AsyncAzureCredential(source=source, audience=audience)


class _HandedOut:
    """What was handed out last, and the claims that it answers: azure-core refuses a token without saying which.

    It is the caller's own (a thread, a task), for others may have a newer one already; else anybody's, for threads share a client.
    """

    def __init__(self) -> None:
        self._last: tuple[Credential | None, str | None] = (None, None)
        self._own: WeakKeyDictionary[object, tuple[Credential, str | None]] = WeakKeyDictionary()

    def refused(self, caller: object, claims: str | None) -> Credential | None:
        """Return the credential that *claims* refuse; None: none is refused, or it was replaced for these claims."""
        credential, answered = self._own.get(caller, self._last)
        if credential is not None and credential.expires_at is not None and credential.expires_at <= datetime.now(UTC):
            credential, answered = self._last
        return None if claims is None or claims == answered else credential

    def hand_out(self, caller: object, credential: Credential, claims: str | None) -> Credential:
        before, answered = self._last
        same = before is not None and before.generation == credential.generation
        self._last = self._own[caller] = (credential, claims or (answered if same else None))
        return credential


@dataclass(frozen=True, slots=True, kw_only=True)
class AzureCredential(Named):
    """A `TokenCredential` of azure-core with the token of an integration.  Made by `azure_credential`."""

    source: CredentialSource
    audience: str
    _handed_out: _HandedOut = field(default_factory=_HandedOut, init=False, repr=False, compare=False)

    def get_token(self, *scopes: str, claims: str | None = None, **_options: Any) -> AccessToken:
        """Return a token for *scopes*; with *claims* another one than before.

        Raises as `IntegrationManager.credential`, and `ValidationFailedError` for scopes of another resource than the token's.
        """
        return _token(self._credential(scopes, claims))

    def get_token_info(self, *scopes: str, options: TokenRequestOptions | None = None) -> AccessTokenInfo:
        """Return a token as `get_token` does, with what azure-core wants to know of it."""
        return _token_info(self._credential(scopes, (options or {}).get("claims")))

    def _credential(self, scopes: tuple[str, ...], claims: str | None) -> Credential:
        caller = current_thread()
        refused = self._handed_out.refused(caller, claims)
        credential = self.source.credential() if refused is None else self.source.replace_refused(refused)
        _require_audience(credential, scopes, self.audience)
        return self._handed_out.hand_out(caller, credential, claims)

    def close(self) -> None:
        """Do nothing: the manager is the host's."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


@dataclass(frozen=True, slots=True, kw_only=True)
class AsyncAzureCredential(Named):
    """An `AsyncTokenCredential` of azure-core with the token of an integration.  Made by `async_azure_credential`."""

    source: AsyncCredentialSource
    audience: str
    _handed_out: _HandedOut = field(default_factory=_HandedOut, init=False, repr=False, compare=False)

    async def get_token(self, *scopes: str, claims: str | None = None, **_options: Any) -> AccessToken:
        """Return a token for *scopes*; with *claims* another one than before.

        Raises as `AsyncIntegrationManager.credential`, and `ValidationFailedError` for scopes of another resource than the token's.
        """
        return _token(await self._credential(scopes, claims))

    async def get_token_info(self, *scopes: str, options: TokenRequestOptions | None = None) -> AccessTokenInfo:
        """Return a token as `get_token` does, with what azure-core wants to know of it."""
        return _token_info(await self._credential(scopes, (options or {}).get("claims")))

    async def _credential(self, scopes: tuple[str, ...], claims: str | None) -> Credential:
        caller = asyncio.current_task()
        refused = self._handed_out.refused(caller, claims)
        credential = await (self.source.credential() if refused is None else self.source.replace_refused(refused))
        _require_audience(credential, scopes, self.audience)
        return self._handed_out.hand_out(caller, credential, claims)

    async def close(self) -> None:
        """Do nothing: the manager is the host's."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()


def _token(credential: Credential) -> AccessToken:
    return AccessToken(credential.value.reveal(), _expires_on(credential))


def _token_info(credential: Credential) -> AccessTokenInfo:
    return AccessTokenInfo(credential.value.reveal(), _expires_on(credential))


def _expires_on(credential: Credential) -> int:
    return int((credential.expires_at or datetime.now(UTC) + _UNKNOWN_LIFE).timestamp())


def _require_audience(credential: Credential, scopes: tuple[str, ...], audience: str) -> None:
    """Raise `ValidationFailedError` where *scopes* name another resource than the one that the token is for."""
    granted = {resource for scope in credential.scopes if (resource := _resource_of(scope))} or {_resource_of(f"{audience}/.default")}
    wanted = {_resource_of(scope) for scope in scopes}
    if not wanted <= granted:
        named = [" ".join(sorted(resource or "none" for resource in resources)) for resources in (wanted, granted)]
        raise ValidationFailedError(field="scopes", problem=f"name the resource {named[0]}, but the token is for {named[1]}")


def _resource_of(scope: str) -> str:
    """Return the resource that *scope* belongs to, such as `https://management.azure.com`; empty for a scope that names none."""
    parts = urlsplit(scope)
    # A resource may end with a slash: `https://management.core.windows.net//.default`.
    return scope.rpartition("/")[0].rstrip("/").lower() if parts.scheme and parts.netloc else ""
