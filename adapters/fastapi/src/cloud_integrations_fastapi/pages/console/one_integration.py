"""One integration on the console: its state, what it may do, and what happened to it."""

from __future__ import annotations

from typing import Final

from fastapi import Request, Response

from cloud_integrations import Freeze, Integration
from cloud_integrations_fastapi.authorization import Permission
from cloud_integrations_fastapi.reading import read_integration_id

from .asked import number_of
from .desk import Desk
from .verbs import ROW, VERBS

TIMELINE: Final = 25


class OneIntegration:
    """The page of an integration.  It shows no secret, and there is no way to reveal one here."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def show(self, request: Request) -> Response:
        """Show the integration and, to those who may read its tenant's log, its timeline."""
        tenant = request.path_params["tenantId"]
        found = await self._desk.manager.get_integration(tenant, read_integration_id(request.path_params["integrationId"]))
        one = found.as_of(self._desk.shell.now())
        records = None
        if await self._desk.allows(request, Permission.AUDIT, tenant):
            records = await self._desk.acting(request).audit.list(
                tenant, integration=one.id, before=number_of(request.query_params, "before"), limit=TIMELINE
            )
        freezes = await self._desk.manager.incidents.freezes()
        return self._desk.show(
            request,
            "integration",
            section="integrations",
            tenant=tenant,
            one=one,
            renewal=await self._desk.manager.overview.renewal(tenant, one.id),
            provider=self._desk.providers().get(one.provider_id),
            records=records,
            before=records[-1].seq if records and len(records) == TIMELINE else None,
            freezes=[each for each in freezes if _covers(each, one)],
            verbs=[verb for verb in VERBS.values() if verb.misfit(one) is None],
            row=ROW,
        )


def _covers(freeze: Freeze, one: Integration) -> bool:
    return freeze.selection.covers(
        tenant_id=one.tenant_id, provider_id=one.provider_id, application_id=one.context_id, integration_id=one.id
    )
