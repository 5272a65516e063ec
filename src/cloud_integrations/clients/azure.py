"""Azure's SDK: token credentials of azure-core, blocking and awaiting.

Source: https://learn.microsoft.com/python/api/azure-core/azure.core.credentials.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from threading import current_thread
from typing import Any, Final, Self
from uuid import UUID
from weakref import WeakKeyDictionary

from azure.core.credentials import AccessToken, AccessTokenInfo, TokenRequestOptions
from azure.core.pipeline import PipelineRequest, PipelineResponse
from azure.core.pipeline.policies import AsyncHTTPPolicy, HTTPPolicy

from cloud_integrations.domain.credential import Credential
from cloud_integrations.domain.secret import Secret

from .azure_audience import MANAGEMENT, require_audience
from .source import REFUSED, AsyncCredentialSource, AsyncManager, CredentialSource, Manager, Named

_UNKNOWN_LIFE: Final = timedelta(minutes=5)
"""How long a token is cached whose end is unknown; azure-core asks again for each request in the last five minutes."""


def azure_credential(
    manager: Manager, tenant_id: str, provider: str | UUID, *, slot: str = "", audience: str = MANAGEMENT
) -> AzureCredential:
    """Return a credential for `credential=` of Azure's clients, with the access token of an integration, renewed by itself.

    *provider* and *slot* are as in `IntegrationManager.credential`.  *audience* is the resource that the token is for, where its scopes
    do not say it; in Azure Government it is `https://management.usgovcloudapi.net`.
    Raises `ValidationFailedError` for a name that cannot be one.
    """
    source = CredentialSource(manager=manager, tenant_id=tenant_id, integration=provider, slot=slot)
    return AzureCredential(source=source, audience=audience)


def async_azure_credential(
    manager: AsyncManager, tenant_id: str, provider: str | UUID, *, slot: str = "", audience: str = MANAGEMENT
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
        if claims is None:
            return None
        credential, answered = self._own.get(caller, self._last)
        if credential is not None and credential.expires_at is not None and credential.expires_at <= datetime.now(UTC):
            credential, answered = self._last
        return None if claims == answered else credential

    def of(self, caller: object) -> Credential | None:
        return self._own.get(caller, self._last)[0]

    def answered_since(self, caller: object, before: Credential | None) -> bool:
        """Return whether claims were answered with another credential since *before* was the one of *caller*."""
        credential, answered = self._own.get(caller, self._last)
        return answered is not None and (before is None or credential is None or credential.generation != before.generation)

    def sent(self, caller: object, authorization: str | None) -> Credential | None:
        """Return the credential in a header; None: it is an earlier one, which azure-core had kept."""
        shown = (self._own.get(caller, self._last)[0], self._last[0])
        header = Secret(authorization or "")
        return next((one for one in shown if one is not None and Secret(f"Bearer {one.value.reveal()}") == header), None)

    def hand_out(self, caller: object, credential: Credential, claims: str | None) -> Credential:
        before, answered = self._last
        same = before is not None and before.generation == credential.generation
        if credential.warning == "refused_again":
            # It was not replaced for these claims yet.
            claims = None
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
        require_audience(credential, scopes, self.audience)
        return self._handed_out.hand_out(caller, credential, claims)

    def policy(self) -> AzurePolicy:
        """Return a new policy for `per_retry_policies=` of one client, for the 401 without claims, of which azure-core repeats none.

        It renews the token once and repeats the request once, if its body is no stream.  Requests raise as
        `IntegrationManager.replace_refused`.
        """
        return AzurePolicy(self.source, self._handed_out)

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
        require_audience(credential, scopes, self.audience)
        return self._handed_out.hand_out(caller, credential, claims)

    def policy(self) -> AsyncAzurePolicy:
        """Return a new policy for `per_retry_policies=` of one client; see `AzureCredential.policy`."""
        return AsyncAzurePolicy(self.source, self._handed_out)

    async def close(self) -> None:
        """Do nothing: the manager is the host's."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()


class AzurePolicy(Named, HTTPPolicy[Any, Any]):
    """Answers a 401 of Azure without claims once with another token.  Made by `AzureCredential.policy`."""

    def __init__(self, source: CredentialSource, handed_out: _HandedOut, /) -> None:
        super().__init__()
        self._source = source
        self._handed_out = handed_out

    def send(self, request: PipelineRequest[Any]) -> PipelineResponse[Any, Any]:
        """Send *request*, and once more with another token if it is refused."""
        caller = current_thread()
        before = self._handed_out.of(caller)
        response = self.next.send(request)
        if response.http_response.status_code != REFUSED or not _can_repeat(request) or self._handed_out.answered_since(caller, before):
            return response
        refused = self._handed_out.sent(caller, request.http_request.headers.get("Authorization"))
        if refused is not None and self._source.replace_refused(refused).warning == "refused_again":
            return response
        # After a 401, the policy below asks for a token again.
        return self.next.send(request)


class AsyncAzurePolicy(Named, AsyncHTTPPolicy[Any, Any]):
    """As `AzurePolicy`, for the awaiting clients.  Made by `AsyncAzureCredential.policy`."""

    def __init__(self, source: AsyncCredentialSource, handed_out: _HandedOut, /) -> None:
        super().__init__()
        self._source = source
        self._handed_out = handed_out

    async def send(self, request: PipelineRequest[Any]) -> PipelineResponse[Any, Any]:
        """Send *request*, and once more with another token if it is refused."""
        caller = asyncio.current_task()
        before = self._handed_out.of(caller)
        response = await self.next.send(request)
        if response.http_response.status_code != REFUSED or not _can_repeat(request) or self._handed_out.answered_since(caller, before):
            return response
        refused = self._handed_out.sent(caller, request.http_request.headers.get("Authorization"))
        if refused is not None and (await self._source.replace_refused(refused)).warning == "refused_again":
            return response
        # After a 401, the policy below asks for a token again.
        return await self.next.send(request)


def _can_repeat(request: PipelineRequest[Any]) -> bool:
    sent = request.http_request
    # Requests of azure.core.rest and those of azure.core.pipeline.transport.
    parts = (getattr(sent, name, None) for name in ("content", "body", "files"))
    return all(part is None or isinstance(part, bytes | str) for part in parts)


def _token(credential: Credential) -> AccessToken:
    return AccessToken(credential.value.reveal(), _expires_on(credential))


def _token_info(credential: Credential) -> AccessTokenInfo:
    return AccessTokenInfo(credential.value.reveal(), _expires_on(credential))


def _expires_on(credential: Credential) -> int:
    return int((credential.expires_at or datetime.now(UTC) + _UNKNOWN_LIFE).timestamp())
