"""Whether a tenant exists: the host knows."""

from __future__ import annotations

from typing import Protocol

from cloud_integrations.domain.identifiers import TenantId


class AsyncTenants(Protocol):
    """Knows the host's tenants.  `Tenants` is the same, blocking."""

    async def require(self, tenant_id: TenantId, /) -> None:
        """Return if the tenant exists, else raise `TenantNotFoundError`."""
        ...


class Tenants(Protocol):
    """The blocking face of `AsyncTenants`."""

    def require(self, tenant_id: TenantId, /) -> None: ...
