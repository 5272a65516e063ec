"""The keys on the console: what each protects, how far a rotation has come, and which erasures there were."""

from __future__ import annotations

from fastapi import Request, Response

from cloud_integrations_fastapi.authorization import Permission

from .asked import text_of
from .desk import Desk


class KeyPages:
    """The pages of all keys, and of one tenant's."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def choose(self, request: Request) -> Response:
        """Go on to the keys of the tenant that was entered."""
        tenant = text_of(request.query_params, "tenant")
        return self._desk.go("keys") if tenant is None else self._desk.go("keys", "tenants", tenant)

    async def show(self, request: Request) -> Response:
        """Show the wrapping keys."""
        return self._desk.show(request, "keys", section="keys", report=await self._desk.manager.keys.report())

    async def show_tenant(self, request: Request) -> Response:
        """Show the data keys of a tenant and, to those who may read its log, the receipts of its erasures."""
        tenant = request.path_params["tenantId"]
        report = await self._desk.manager.keys.report(tenant_id=tenant)
        erasures = None
        if await self._desk.allows(request, Permission.AUDIT, tenant):
            erasures = await self._desk.acting(request).audit.list(tenant, action="tenant.erased")
        return self._desk.show(request, "tenant_keys", section="keys", tenant=tenant, report=report, erasures=erasures)
