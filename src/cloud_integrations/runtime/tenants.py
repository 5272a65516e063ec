"""Tenants when the host has not said which exist."""

from __future__ import annotations

from cloud_integrations.domain.identifiers import TenantId


class AnyTenant:
    """Takes every well-formed tenant id as existing."""

    def require(self, tenant_id: TenantId, /) -> None:
        """Return."""


class AsyncAnyTenant:
    """Takes every well-formed tenant id as existing."""

    async def require(self, tenant_id: TenantId, /) -> None:
        """Return."""
