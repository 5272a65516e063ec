"""Find the endpoints of an authorization server in its metadata, where its provider file has none."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from cloud_integrations.domain.identifiers import TenantId
from cloud_integrations.domain.provider import places
from cloud_integrations.errors import ProviderUnavailableError
from cloud_integrations.protocol.client import Client
from cloud_integrations.protocol.server_metadata import UNAVAILABLE, ServerMetadata, build_metadata_request, locate, read_metadata

from .wiring import Wiring

_REMEMBERED: Final = timedelta(hours=24)


async def located(wiring: Wiring, tenant_id: TenantId, client: Client, /) -> Client:
    """Return *client* with its endpoints; metadata is fetched once at a time, and used for at most 24 hours.

    Raises `ProviderUnavailableError` if there is none to be had now, and `AppMisconfiguredError` if it may not be used.
    """
    url = client.metadata_url
    if url is None or not client.lacks_endpoints:
        return client
    # Of an issuer that a tenant named, nothing is told to another tenant.
    tls = client.client_auth == "tls"  # has addresses of its own (RFC 8705 §5)
    key = (url, client.issuer, client.method.has_page, tls, tenant_id if _is_named_by_tenant(client) else None)

    async def fetch() -> ServerMetadata:
        try:
            response = await wiring.transport.send(build_metadata_request(client, url), deadline=wiring.settings.deadline)
        except ProviderUnavailableError as error:
            raise ProviderUnavailableError(
                provider_id=str(client.provider.provider_id), reason=UNAVAILABLE, retry_after=error.retry_after
            ) from None
        metadata = read_metadata(client, response)
        wiring.server_metadata.put(key, metadata, seconds=_REMEMBERED.total_seconds())
        return metadata

    metadata: ServerMetadata | None = wiring.server_metadata.find(key)
    if metadata is None:
        metadata = await wiring.single_flight.share(("server_metadata", key), fetch)
    return locate(client, metadata)


def _is_named_by_tenant(client: Client) -> bool:
    operators = {variable.name for variable in client.provider.variables if variable.source == "application"}
    return not operators.issuperset(places(client.method.issuer or ""))
