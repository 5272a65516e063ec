"""SDKs that take a function in the place of a key, such as `api_key=` of openai: a call gives the key or the access token of now.

Source: https://github.com/openai/openai-python (`api_key` of `OpenAI` and `AsyncOpenAI`).
"""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from .source import AsyncCredentialSource, AsyncManager, CredentialSource, Manager, Named


def api_key(manager: Manager, tenant_id: str, provider: str | UUID, *, slot: str = "") -> ApiKey:
    """Return a function for `api_key=` of `openai.OpenAI` and the like, which gives the key or access token of an integration as text.

    The SDK calls it for each attempt, and each call is a use in the audit log.  The SDK tells it nothing of a 401; a client of httpx2 with
    `IntegrationManager.auth` answers one.  *provider* and *slot* are as in `IntegrationManager.credential`, and the calls raise as there.
    Raises `ValidationFailedError` for a name that cannot be one.
    """
    return ApiKey(source=CredentialSource(manager=manager, tenant_id=tenant_id, integration=provider, slot=slot))


def async_api_key(manager: AsyncManager, tenant_id: str, provider: str | UUID, *, slot: str = "") -> AsyncApiKey:
    """Return a function for `api_key=` of `openai.AsyncOpenAI` and the like; see `api_key`."""
    return AsyncApiKey(source=AsyncCredentialSource(manager=manager, tenant_id=tenant_id, integration=provider, slot=slot))


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiKey(Named):
    """Gives the key or access token of an integration.  Made by `api_key`."""

    source: CredentialSource

    def __call__(self) -> str:
        """Return the text, in the open.  Raises as `IntegrationManager.credential`, and `ConfigurationError` inside an event loop."""
        return self.source.credential().value.reveal()


@dataclass(frozen=True, slots=True, kw_only=True)
class AsyncApiKey(Named):
    """As `ApiKey`, for awaiting clients.  Made by `async_api_key`."""

    source: AsyncCredentialSource

    async def __call__(self) -> str:
        """Return the text, in the open.  Raises as `AsyncIntegrationManager.credential`."""
        return (await self.source.credential()).value.reveal()
