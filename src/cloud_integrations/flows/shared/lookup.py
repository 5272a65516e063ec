"""Finding what a caller means: a tenant, and one of its integrations."""

from __future__ import annotations

from uuid import UUID

from cloud_integrations.domain.arguments import find_id, read_integration
from cloud_integrations.domain.identifiers import IntegrationId, ProviderId, TenantId, tenant_id
from cloud_integrations.domain.integration import StoredIntegration
from cloud_integrations.errors import IntegrationExistsError, IntegrationNotFoundError, ProviderNotFoundError, ValidationFailedError
from cloud_integrations.ports.store import DamagedRow

from .events import tell_of
from .wiring import Wiring


def tell_damaged(wiring: Wiring, row: DamagedRow, /) -> None:
    """Tell the observer of a row that somebody has edited, so that it cannot be read."""
    tell_of(wiring, "storage.damaged_row", None, table=row.table, row=row.row, tenant=row.tenant_id)


async def known_tenant(wiring: Wiring, text: str, /) -> TenantId:
    """Read a tenant id and ask the host, where it can be asked, whether it exists."""
    tenant = tenant_id(text)
    if wiring.tenants is not None:
        await wiring.tenants.require(tenant)
    return tenant


async def require_unconnected(wiring: Wiring, tenant: TenantId, provider_id: ProviderId, /) -> None:
    """Raise `IntegrationExistsError` where the tenant has an integration with this provider; of two at once the store decides."""
    if await wiring.store.find_credential(tenant, provider_id) is not None:
        raise IntegrationExistsError(tenant_id=tenant, provider_id=str(provider_id))


async def find_named(wiring: Wiring, tenant: TenantId, integration: UUID | str, /) -> IntegrationId:
    """Return the id of the integration that is meant by its id, or by its provider's slug or UUID.

    Raises `ValidationFailedError` for text that is neither, `IntegrationNotFoundError` where the tenant has none with this provider.
    """
    try:
        provider = wiring.providers.require(read_integration(integration))
    except ProviderNotFoundError:
        integration_id = find_id(integration)
        if integration_id is None:
            raise ValidationFailedError(
                field="integration", problem="must be an integration's id, or its provider's slug or UUID"
            ) from None
        return IntegrationId(integration_id)
    stored = await wiring.store.find_credential(tenant, provider.provider_id)
    if stored is None:
        raise IntegrationNotFoundError
    return stored.integration_id


async def load_named(wiring: Wiring, tenant: TenantId, integration: UUID | str, /) -> StoredIntegration:
    """Return the stored integration that is meant.  Raises as `find_named`."""
    return await load(wiring, tenant, await find_named(wiring, tenant, integration))


async def load(wiring: Wiring, tenant: TenantId, integration_id: IntegrationId, /) -> StoredIntegration:
    """Return the stored integration, or raise `IntegrationNotFoundError`."""
    stored = await wiring.store.find_integration(tenant, integration_id)
    if stored is None:
        raise IntegrationNotFoundError
    return stored
