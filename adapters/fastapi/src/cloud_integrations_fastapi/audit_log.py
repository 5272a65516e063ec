"""The endpoints of the audit log."""

from __future__ import annotations

from typing import Any

from fastapi import Request, Response

from cloud_integrations import Actor, AsyncIntegrationManager
from cloud_integrations.documents import AuditOut

from .answers import Many, as_json
from .parameters import Before, ByActor, ByActorType, EverPath, Limit, OfAction, OfProvider, Since, TenantPath, Until
from .reading import read_integration_id
from .route import Call


class AuditEndpoints:
    """The endpoints: each calls the manager once, and renders."""

    def __init__(self, manager: AsyncIntegrationManager) -> None:
        self._manager = manager

    async def list_audit(
        self,
        request: Request,
        tenant_id: TenantPath,
        integration_id: EverPath,
        *,
        actor: ByActor = None,
        actor_type: ByActorType = "user",
        action: OfAction = None,
        since: Since = None,
        until: Until = None,
        before: Before = None,
        limit: Limit = 100,
    ) -> Response:
        """List the audit events of an integration, newest first, also after it was deleted."""
        asked = {"action": action, "since": since, "until": until, "before": before, "limit": limit}
        return await self._list(request, tenant_id, integration=read_integration_id(integration_id), by=_actor(actor_type, actor), **asked)

    async def list_tenant_audit(
        self,
        request: Request,
        tenant_id: TenantPath,
        *,
        actor: ByActor = None,
        actor_type: ByActorType = "user",
        action: OfAction = None,
        provider: OfProvider = None,
        since: Since = None,
        until: Until = None,
        before: Before = None,
        limit: Limit = 100,
    ) -> Response:
        """List the audit events of a tenant, newest first: those that agree with every parameter that is given."""
        asked = {"action": action, "since": since, "until": until, "before": before, "limit": limit}
        return await self._list(request, tenant_id, provider=provider, by=_actor(actor_type, actor), **asked)

    async def _list(self, request: Request, tenant_id: str, **asked: Any) -> Response:
        call = Call.of(request)
        acting = self._manager.acting_as(call.actor, request_id=call.request_id)
        records = await acting.audit.list(tenant_id, **asked)
        return as_json(Many[AuditOut](data=tuple(map(AuditOut.of, records))))


def _actor(type_: str, actor: str | None) -> Actor | None:
    return None if actor is None else Actor(type=type_, id=actor)
