"""Which of the things that a credential reaches an integration is for."""

from __future__ import annotations

from uuid import UUID

from cloud_integrations import flows
from cloud_integrations.domain.audit import Actor
from cloud_integrations.domain.integration import Integration
from cloud_integrations.domain.resources import ResourceList

from .parts import AsyncPart, Part


class Choosing(Part):
    """The methods of `IntegrationManager` that show what a credential reaches, and choose of it."""

    def resources(
        self,
        tenant_id: str,
        integration: UUID | str,
        *,
        slot: str = "",
        actor: Actor | str | None = None,
        request_id: str | UUID | None = None,
    ) -> ResourceList:
        """Return what the integration's credential reaches, such as sites or workspaces, as the provider lists it now.

        An integration whose `health` is `choose_resource` is for one of them that the tenant must choose.  A list that is not whole
        (`is_complete`) may lack some.  Raises as `credential`, and `ValidationFailedError` where there is nothing to choose.
        """
        return self._run(flows.list_resources(self._wiring, tenant_id, integration, slot=slot, caller=self._acting(actor, request_id)))

    def choose_resource(
        self,
        tenant_id: str,
        integration: UUID | str,
        resource: str,
        *,
        slot: str = "",
        actor: Actor | str | None = None,
        request_id: str | UUID | None = None,
    ) -> Integration:
        """Let the integration be for *resource*, the id of one that `resources` lists; the provider is asked once more.

        It becomes a variable of the integration, and so a part of `Credential.base_url`.  It can be chosen anew at any time.
        Raises as `resources`, and `ValidationFailedError` for an id that is not in a whole list.
        """
        caller = self._acting(actor, request_id)
        return self._run(flows.choose_resource(self._wiring, tenant_id, integration, resource, slot=slot, caller=caller))


class AsyncChoosing(AsyncPart):
    """The methods of `AsyncIntegrationManager` that show what a credential reaches, and choose of it."""

    async def resources(
        self,
        tenant_id: str,
        integration: UUID | str,
        *,
        slot: str = "",
        actor: Actor | str | None = None,
        request_id: str | UUID | None = None,
    ) -> ResourceList:
        """Return what the integration's credential reaches, such as sites or workspaces, as the provider lists it now.

        An integration whose `health` is `choose_resource` is for one of them that the tenant must choose.  A list that is not whole
        (`is_complete`) may lack some.  Raises as `credential`, and `ValidationFailedError` where there is nothing to choose.
        """
        return await self._run(
            flows.list_resources(self._wiring, tenant_id, integration, slot=slot, caller=self._acting(actor, request_id))
        )

    async def choose_resource(
        self,
        tenant_id: str,
        integration: UUID | str,
        resource: str,
        *,
        slot: str = "",
        actor: Actor | str | None = None,
        request_id: str | UUID | None = None,
    ) -> Integration:
        """Let the integration be for *resource*, the id of one that `resources` lists; the provider is asked once more.

        It becomes a variable of the integration, and so a part of `Credential.base_url`.  It can be chosen anew at any time.
        Raises as `resources`, and `ValidationFailedError` for an id that is not in a whole list.
        """
        caller = self._acting(actor, request_id)
        return await self._run(flows.choose_resource(self._wiring, tenant_id, integration, resource, slot=slot, caller=caller))
