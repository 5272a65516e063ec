"""Kubernetes: a client of kubernetes_asyncio, with the credential of an integration.

Sources: https://github.com/tomplus/kubernetes_asyncio, `kubernetes_asyncio/client/api_client.py` (`update_params_for_auth`, `request`) and
`kubernetes_asyncio/client/rest.py` (`RESTClientObject`).
"""

from __future__ import annotations

from ssl import SSLContext
from typing import Any
from uuid import UUID

from kubernetes_asyncio.client import ApiClient, ApiException, Configuration

from .kubernetes_server import connection_of, require_server, show_in, shown_in
from .source import REFUSED, AsyncCredentialSource, AsyncManager, Named


async def async_kubernetes_client(
    manager: AsyncManager,
    tenant_id: str,
    provider: str | UUID = "kubernetes",
    *,
    slot: str = "",
    server: str | None = None,
    ssl_context: SSLContext | None = None,
    configuration: Configuration | None = None,
) -> AsyncKubernetesClient:
    """Return an `ApiClient` of kubernetes_asyncio for a tenant's cluster, with the credential of an integration, renewed by itself.

    *manager* is an `AsyncIntegrationManager`; *provider* and *slot* are as in its `credential`.  The API server, its certificate authority
    and a client certificate are those that the tenant entered; a private key is on no disk.  For a cluster that takes the tokens of another
    provider (GKE those of Google Cloud, AKS those of Azure), *server* is its address and *ssl_context* trusts its authority.
    *configuration* is one of your own, for timeouts, proxies and the like; its host is replaced.

    Each request asks for a token, so a watch that begins again shows the renewed one.  A 401 is answered once with another token.
    Requests raise as `AsyncIntegrationManager.credential` and `replace_refused`, and `ConfigurationError` where the tenant has entered
    another server since.
    Raises as `AsyncIntegrationManager.credential` unless *server* is given, and `ValidationFailedError` for a name that cannot be one.
    """
    source = AsyncCredentialSource(manager=manager, tenant_id=tenant_id, integration=provider, slot=slot)
    settings = configuration or Configuration()
    if server is None:
        server, ssl_context = connection_of(await source.credential(), ssl_context)
    settings.host = server
    return AsyncKubernetesClient(source, settings, ssl_context)


class AsyncKubernetesClient(Named, ApiClient):
    """As `KubernetesClient`, for awaiting code.  Made by `async_kubernetes_client`."""

    def __init__(self, source: AsyncCredentialSource, configuration: Configuration, ssl_context: SSLContext | None, /) -> None:
        super().__init__(configuration)
        self._source = source
        if ssl_context is not None:
            rest_client: Any = self.rest_client
            rest_client.pool_manager = _Session(rest_client.pool_manager, ssl_context)

    async def update_params_for_auth(self, headers: dict[str, Any], queries: Any, auth_settings: Any, request_auth: Any = None) -> None:
        """Add the credential to *headers*; a request with settings of its own (`_request_auth`) is left as it is."""
        if not auth_settings or request_auth:
            await super().update_params_for_auth(headers, queries, auth_settings, request_auth=request_auth)
            return
        credential = await self._source.credential()
        require_server(credential, self.configuration.host)
        show_in(headers, credential)

    async def request(self, *args: Any, headers: dict[str, Any] | None = None, **options: Any) -> Any:
        """Send a request, and once more with another credential if it is refused."""
        refused = shown_in(headers)
        first = dict(headers or {})
        send: Any = super().request
        try:
            response = await send(*args, headers=dict(first), **options)
        except ApiException as error:
            if error.status != REFUSED or refused is None:
                raise
        else:
            if response.status != REFUSED or refused is None:
                return response
            # The connection is free for the next request, whatever comes of the renewal.
            response.release()
        show_in(first, await self._source.replace_refused(refused))
        return await send(*args, headers=first, **options)


class _Session:
    """Sends requests of a session of aiohttp with a TLS context; the package itself takes certificates and keys from files alone."""

    def __init__(self, session: Any, ssl_context: SSLContext) -> None:
        self._session = session
        self._ssl_context = ssl_context

    def request(self, **options: Any) -> Any:
        return self._session.request(**options, ssl=self._ssl_context)

    async def close(self) -> None:
        await self._session.close()
