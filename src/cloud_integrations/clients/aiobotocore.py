"""aiobotocore: a session whose awaited requests are signed with the credential of an integration.

Sources: `aiobotocore/credentials.py` (`AioRefreshableCredentials`, `AioCredentialResolver`) and `aiobotocore/hooks.py` (handlers of events
may be coroutines).
"""

# Its package is in a session of its own.
# pyright: reportMissingImports=false, reportUnknownParameterType=false
from __future__ import annotations

from typing import Any
from uuid import UUID

from aiobotocore.credentials import AioCredentialResolver, AioRefreshableCredentials
from aiobotocore.session import AioSession
from botocore.credentials import ReadOnlyCredentials
from botocore.tokens import TokenProviderChain

from cloud_integrations.domain.credential import Credential

from .aws_keys import LEAST_LIFE, METHOD, lasts, needs_keys, refused_by, revealed, sign_with
from .source import AsyncCredentialSource, AsyncManager, Named


def aiobotocore_session(
    manager: AsyncManager,
    tenant_id: str,
    provider: str | UUID = "aws",
    *,
    slot: str = "",
    region_name: str | None = None,
    session: AioSession | None = None,
) -> AioSession:
    """Return a session of aiobotocore that signs each request with the credential of an integration, which is renewed by itself.

    *manager* is an `AsyncIntegrationManager`; *provider* and *slot* are as in its `credential`.  *region_name* is the region of the
    clients; without it aiobotocore looks for one as usual.  *session* is one of your own to change, whose credentials are not used; None:
    a new one.  The session and its clients hold no secret, so they may live as long as the application.  Each signature is a use in the
    audit log.  Keys with less than 15 minutes left are renewed first.  When AWS says that it does not know a key, the key is replaced once
    and the request repeated, if its body can be sent again.

    Requests raise as `AsyncIntegrationManager.credential` and `replace_refused`.
    Raises `ValidationFailedError` for a name that cannot be one, and `ConfigurationError` for a blocking manager.
    """
    source = AsyncCredentialSource(manager=manager, tenant_id=tenant_id, integration=provider, slot=slot)
    made = session or AioSession()
    made.register_component("credential_provider", AioCredentialResolver([_Provider(source)]))
    # Otherwise a bearer token of this process would stand in the place of the tenant's keys.
    made.register_component("token_provider", TokenProviderChain())
    healing = _Healing(source)
    made.register("before-sign", healing.sign_with)
    made.register("needs-retry", healing.replace)
    if region_name is not None:
        made.set_config_variable("region", region_name)
    return made


class AsyncManagedCredentials(Named, AioRefreshableCredentials):  # type: ignore[misc]  # aiobotocore ships no types
    """Asks the manager for keys whenever aiobotocore wants some, and holds none.

    So a key that was replaced, and an integration that was switched off, are seen by the next request.  Its properties raise
    `NotImplementedError`, as those of aiobotocore's own class do.
    """

    def __init__(self, source: AsyncCredentialSource, /) -> None:
        # The initialiser of aiobotocore's class stores keys.
        self._source = source
        self.method = METHOD

    async def get_frozen_credentials(self) -> ReadOnlyCredentials:
        """Return keys to sign with now.  Raises as `AsyncCredentialSource.credential`."""
        return await _OneKey(await _keys_of(self._source)).get_frozen_credentials()

    def refresh_needed(self, refresh_in: float | None = None) -> bool:  # noqa: ARG002  # botocore's signature
        """Return False: the manager renews."""
        return False

    async def get_access_key(self) -> str:
        """Return the id of a key; for a signature ask `get_frozen_credentials`, whose parts belong together."""
        return str((await self.get_frozen_credentials()).access_key)

    async def get_secret_key(self) -> str:
        """Return the secret of a key."""
        return str((await self.get_frozen_credentials()).secret_key)

    async def get_token(self) -> str | None:
        """Return the session token of a key; None: it has none."""
        token: str | None = (await self.get_frozen_credentials()).token
        return token

    async def get_account_id(self) -> None:
        """Return None: no endpoint is chosen by the account."""


class _Provider:
    METHOD = CANONICAL_NAME = METHOD

    def __init__(self, source: AsyncCredentialSource) -> None:
        self._source = source

    async def load(self) -> AsyncManagedCredentials:
        return AsyncManagedCredentials(self._source)


class _Healing:
    """Signs the requests of clients, and replaces a key that AWS refused, once for each request."""

    def __init__(self, source: AsyncCredentialSource) -> None:
        self._source = source

    async def sign_with(self, request: Any, signature_version: Any, **_: Any) -> None:
        if needs_keys(signature_version):
            credential = await _keys_of(self._source)
            sign_with(request, credential, _OneKey(credential))

    async def replace(self, response: Any, request_dict: dict[str, Any], **_: Any) -> int | None:
        """Return 0, which repeats the request at once, if AWS refused its key and another one is there."""
        refused = refused_by(response, request_dict)
        if refused is None:
            return None
        await self._source.replace_refused(refused)
        return 0


class _OneKey:
    """The keys of one signature, in the open when aiobotocore asks for them."""

    __slots__ = ("_credential",)

    def __init__(self, credential: Credential) -> None:
        self._credential = credential

    async def get_frozen_credentials(self) -> ReadOnlyCredentials:
        return ReadOnlyCredentials(*revealed(self._credential))


async def _keys_of(source: AsyncCredentialSource) -> Credential:
    credential = await source.credential()
    return credential if lasts(credential) else await source.credential(min_ttl=LEAST_LIFE)
