"""Kubernetes: a client of the official package, with the credential of an integration.

Sources: https://github.com/kubernetes-client/python, `kubernetes/client/api_client.py` (`update_params_for_auth`, `call_api`) and
`kubernetes/client/rest.py` (`RESTClientObject`).
"""

from __future__ import annotations

from ssl import SSLContext
from typing import Any
from uuid import UUID

from kubernetes.client import ApiClient, Configuration

from .kubernetes_server import connection_of, require_server, show_in, shown_in
from .source import REFUSED, CredentialSource, Manager, Named


def kubernetes_client(
    manager: Manager,
    tenant_id: str,
    provider: str | UUID = "kubernetes",
    *,
    slot: str = "",
    server: str | None = None,
    ssl_context: SSLContext | None = None,
    configuration: Configuration | None = None,
) -> KubernetesClient:
    """Return an `ApiClient` of kubernetes for a tenant's cluster, with the credential of an integration, renewed by itself.

    *manager* is an `IntegrationManager`; *provider* and *slot* are as in its `credential`.  The API server, its certificate authority and
    a client certificate are those that the tenant entered; a private key is on no disk.  For a cluster that takes the tokens of another
    provider (GKE those of Google Cloud, AKS those of Azure), *server* is its address and *ssl_context* trusts its authority.
    *configuration* is one of your own, for timeouts, proxies and the like; its host is replaced.

    Each request asks for a token, so a watch that begins again shows the renewed one.  A 401 is answered once with another token.
    Requests raise as `IntegrationManager.credential` and `replace_refused`, and `ConfigurationError` inside an event loop and where the
    tenant has entered another server since.
    Raises as `IntegrationManager.credential` unless *server* is given, and `ValidationFailedError` for a name that cannot be one.
    """
    source = CredentialSource(manager=manager, tenant_id=tenant_id, integration=provider, slot=slot)
    settings = configuration or Configuration()
    if server is None:
        server, ssl_context = connection_of(source.credential(), ssl_context)
    settings.host = server
    return KubernetesClient(source, settings, ssl_context)


class KubernetesClient(Named, ApiClient):
    """Adds the credential to each request, and answers a 401 once with another one.  Made by `kubernetes_client`."""

    def __init__(self, source: CredentialSource, configuration: Configuration, ssl_context: SSLContext | None, /) -> None:
        super().__init__(configuration)
        self._source = source
        if ssl_context is not None:
            # The package itself takes certificates and keys from files alone.
            self.rest_client.pool_manager.connection_pool_kw["ssl_context"] = ssl_context

    def update_params_for_auth(self, headers: dict[str, Any], queries: Any, auth_settings: Any, *args: Any, **options: Any) -> None:
        """Add the credential to *headers*; a request with settings of its own (`_request_auth`) is left as it is."""
        if not auth_settings or options.get("request_auth"):
            super().update_params_for_auth(headers, queries, auth_settings, *args, **options)
            return
        credential = self._source.credential()
        require_server(credential, self.configuration.host)
        show_in(headers, credential)

    def call_api(self, method: str, url: str, header_params: dict[str, Any] | None = None, *args: Any, **options: Any) -> Any:
        """Send a request, and once more with another credential if it is refused."""
        refused = shown_in(header_params)
        first = dict(header_params or {})
        response: Any = super().call_api(method, url, dict(first), *args, **options)
        if response.status != REFUSED or refused is None:
            return response
        # The connection is free for the next request once the answer is read, whatever comes of the renewal.
        response.read()
        show_in(first, self._source.replace_refused(refused))
        return super().call_api(method, url, first, *args, **options)
