"""The picker: every provider that the tenant can connect or has connected."""

from __future__ import annotations

from typing import Final

from fastapi import Request, Response

from cloud_integrations import AsyncIntegrationManager
from cloud_integrations_fastapi.pages.shell import Shell, session_of

from .cards import cards_of

_LONGEST_SEARCH: Final = 100


class Picking:
    """The page that a tenant sees first."""

    def __init__(self, manager: AsyncIntegrationManager, shell: Shell) -> None:
        self._manager = manager
        self._shell = shell

    async def show(self, request: Request) -> Response:
        """Show the providers, or those that fit `?q=`."""
        tenant_id = request.path_params["tenantId"]
        wanted = request.query_params.get("q", "")[:_LONGEST_SEARCH]
        session = session_of(request)
        integrations = await self._manager.list_integrations(tenant_id, slot=None if session is None else session.slot)
        providers = self._manager.list_providers(search=wanted)
        cards = cards_of(
            [each for each in providers if session is None or session.allows(each.slug, session.slot)],
            integrations,
            now=self._shell.now(),
            slots=self._manager.settings.slots and session is None,
            ranked=not wanted.strip(),
        )
        return self._shell.render(request, "connect/picker.html", tenant=tenant_id, cards=cards, wanted=wanted)
