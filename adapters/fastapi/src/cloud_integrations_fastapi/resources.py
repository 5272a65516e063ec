"""The endpoints about what a credential reaches."""

from __future__ import annotations

from collections.abc import Callable

from fastapi import Request, Response

from cloud_integrations import AsyncIntegrationManager
from cloud_integrations.documents import ResourcesOut

from .answers import IntegrationAnswers, One, as_json
from .authorization import Permission
from .bodies import ChooseResource
from .parameters import IntegrationPath, TenantPath
from .reading import read_body, read_integration_id
from .route import Call


class ResourceEndpoints:
    """The endpoints: each parses, calls the manager once, and renders."""

    def __init__(self, manager: AsyncIntegrationManager) -> None:
        self._manager = manager
        self._answers = IntegrationAnswers(slots=manager.settings.slots)

    def add_to(self, one: str, get: Callable[..., None], post: Callable[..., None], /) -> None:
        """Add the routes under *one*, the path of an integration; *get* and *post* add one route each."""
        get(f"{one}/resources", self.list_resources, Permission.VERIFY)
        post(f"{one}/resource", self.choose_resource, Permission.UPDATE)

    async def list_resources(self, request: Request, tenant_id: TenantPath, integration_id: IntegrationPath) -> Response:
        """List what the credential reaches at the provider, such as sites, for an integration of which the tenant must choose one."""
        acting = self._acting(request)
        # It asks the provider, as a check does.
        await acting.limits.count("verify", tenant_id)
        found = await acting.resources(tenant_id, read_integration_id(integration_id))
        return as_json(One[ResourcesOut](data=ResourcesOut.of(found)))

    async def choose_resource(self, request: Request, tenant_id: TenantPath, integration_id: IntegrationPath) -> Response:
        """Let the integration be for one of the resources that its credential reaches; it can be chosen anew at any time."""
        acting = self._acting(request)
        await acting.limits.count("verify", tenant_id)
        body = await read_body(request, ChooseResource)
        chosen = await acting.choose_resource(tenant_id, read_integration_id(integration_id), body.resource)
        return self._answers.detail(chosen)

    def _acting(self, request: Request) -> AsyncIntegrationManager:
        call = Call.of(request)
        return self._manager.acting_as(call.actor, request_id=call.request_id)
