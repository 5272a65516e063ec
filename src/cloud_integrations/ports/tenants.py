"""Ask the host whether a tenant exists."""

from __future__ import annotations

from typing import Protocol

from cloud_integrations.domain.identifiers import TenantId


class AsyncTenants(Protocol):
    """Knows the host's tenants.  `Tenants` is the same, blocking."""

    async def require(self, tenant_id: TenantId, /) -> None:
        """Check that the tenant exists.  Raises `TenantNotFoundError` if it does not."""
        ...


class Tenants(Protocol):
    """The blocking form of `AsyncTenants`."""

    def require(self, tenant_id: TenantId, /) -> None: ...
