"""Google's libraries: credentials of google-auth, blocking and awaiting.

Sources: https://googleapis.dev/python/google-auth/latest/reference/google.auth.credentials.html,
https://googleapis.dev/python/google-auth/latest/reference/google.auth.aio.credentials.html.
"""

from __future__ import annotations

import threading
from collections.abc import MutableMapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal
from uuid import UUID
from weakref import WeakKeyDictionary

from google.auth import credentials as blocking
from google.auth.aio import credentials as awaiting
from google.auth.exceptions import RefreshError

from cloud_integrations.domain.credential import Credential

from .source import AsyncCredentialSource, AsyncManager, CredentialSource, Manager, Named


def google_credentials(
    manager: Manager, tenant_id: str, provider: str | UUID, *, slot: str = "", quota_project_id: str | None = None
) -> GoogleCredentials:
    """Return credentials for `credentials=` of Google's libraries, with the access token of an integration, renewed by itself.

    *provider* and *slot* are as in `IntegrationManager.credential`.  *quota_project_id* is the project that pays for the calls; None: the
    token's own.  The calls raise as `IntegrationManager.credential`.
    Raises `ValidationFailedError` for a name that cannot be one.
    """
    source = CredentialSource(manager=manager, tenant_id=tenant_id, integration=provider, slot=slot)
    return GoogleCredentials(source, quota_project_id=quota_project_id)


def async_google_credentials(
    manager: AsyncManager, tenant_id: str, provider: str | UUID, *, slot: str = "", quota_project_id: str | None = None
) -> AsyncGoogleCredentials:
    """Return credentials for the awaiting clients of Google's libraries; see `google_credentials`."""
    source = AsyncCredentialSource(manager=manager, tenant_id=tenant_id, integration=provider, slot=slot)
    return AsyncGoogleCredentials(source, quota_project_id=quota_project_id)


@dataclass(slots=True)
class _Sent:
    """What was last sent, so that a refusal can name it."""

    credential: Credential | None = None
    repeats: bool = False
    """Whether it was sent after a refusal: the sessions of google-auth refresh twice, and a second renewal would not help."""
    replaced: bool = False

    def send(self, credential: Credential) -> Credential:
        self.credential, self.repeats, self.replaced = credential, self.replaced, False
        return credential

    def refuse(self) -> Credential | None:
        """Return the credential to replace; None: there is none."""
        refused, self.replaced = None if self.repeats else self.credential, True
        return refused


class GoogleCredentials(Named, blocking.CredentialsWithQuotaProject):
    """The access token of an integration for Google's libraries, renewed by itself.  Made by `google_credentials`.

    It is never a reason to refresh: it is `valid`, has no `expiry` of its own, and asks the manager for each request.  `token` is the
    token that works now.  The scopes are those of the grant, so the libraries do not change them.
    """

    def __init__(self, source: CredentialSource, /, *, quota_project_id: str | None = None) -> None:
        super().__init__()
        self._source = source
        self._quota_project_id = quota_project_id
        self._sent = _OfThread()

    @property
    def token(self) -> str:
        """The access token, in the open.  Raises as `IntegrationManager.credential`."""
        return self._source.credential().value.reveal()

    @token.setter
    def token(self, token: str | None) -> None:
        if token is not None:
            raise AttributeError("the token is the manager's")

    @property
    def expiry(self) -> datetime | None:
        """When the token ends, in UTC and without a zone, as google-auth has it; None: unknown."""
        expires_at = self._source.credential().expires_at
        return None if expires_at is None else expires_at.replace(tzinfo=None)

    @expiry.setter
    def expiry(self, expiry: datetime | None) -> None:
        if expiry is not None:
            raise AttributeError("the expiry is the manager's")

    @property
    def valid(self) -> bool:
        """True: the manager gives a token that works, or raises."""
        return True

    @property
    def expired(self) -> Literal[False]:
        """False: the manager gives a token that works, or raises."""
        return False

    @property
    def token_state(self) -> blocking.TokenState:
        """Fresh: the manager gives a token that works, or raises."""
        return blocking.TokenState.FRESH

    def before_request(self, request: Any, method: str, url: str, headers: MutableMapping[str, str]) -> None:  # noqa: ARG002
        """Add the token to *headers*.  Raises as `IntegrationManager.credential`."""
        self.apply(headers, self._sent.last.send(self._source.credential()).value.reveal())

    def refresh(self, request: Any) -> None:  # noqa: ARG002  # named as google-auth names it
        """Replace the token that this thread sent last, once for each request.  Raises as `IntegrationManager.replace_refused`."""
        refused = self._sent.last.refuse()
        if refused is not None:
            self._source.replace_refused(refused)

    def with_quota_project(self, quota_project_id: str) -> GoogleCredentials:
        """Return credentials of the same integration, with another project that pays."""
        return GoogleCredentials(self._source, quota_project_id=quota_project_id)


class _OfThread(threading.local):
    def __init__(self) -> None:
        self.last = _Sent()


class AsyncGoogleCredentials(Named, awaiting.Credentials):
    """As `GoogleCredentials`, for awaiting clients; `token` is None, because it would have to be awaited.

    Made by `async_google_credentials`.
    """

    def __init__(self, source: AsyncCredentialSource, /, *, quota_project_id: str | None = None) -> None:
        super().__init__()
        self._source = source
        self._quota_project_id = quota_project_id
        # A session hands over the same object each time; its tasks are not those that call here.
        self._sent: WeakKeyDictionary[Any, _Sent] = WeakKeyDictionary()

    async def before_request(self, request: Any, method: str, url: str, headers: MutableMapping[str, str]) -> None:  # noqa: ARG002
        """Add the token to *headers*.  Raises as `AsyncIntegrationManager.credential`."""
        credential = self._sent.setdefault(request, _Sent()).send(await self._source.credential())
        await self.apply(headers, credential.value.reveal())
        if self._quota_project_id is not None:
            headers["x-goog-user-project"] = self._quota_project_id

    async def refresh(self, request: Any) -> None:
        """Replace the token that the session sent last.  Raises as `AsyncIntegrationManager.replace_refused`.

        Where that token was a replacement, it raises `RefreshError`, for which the session returns the 401.  Our errors reach the caller.
        """
        sent = self._sent.setdefault(request, _Sent())
        if sent.repeats:
            raise RefreshError("the token was replaced, and its replacement is refused, too")
        if (refused := sent.refuse()) is not None:
            await self._source.replace_refused(refused)
