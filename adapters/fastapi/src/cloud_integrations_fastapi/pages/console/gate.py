"""Who may use the console: operators, and for each verb only those who may do it in its tenant."""

from __future__ import annotations

from fastapi import Request

from cloud_integrations import Actor
from cloud_integrations.errors import ForbiddenError
from cloud_integrations_fastapi.authorization import Gate, Permission


class ConsoleGate(Gate):
    """Asks for `operate` first, whatever the page; then for the page's own permission in the tenant that its path names."""

    async def admit(self, request: Request, permission: Permission, tenant_id: str | None, /, *, request_id: str) -> Actor:
        """Return the actor.  Raises `ForbiddenError`."""
        actor = await super().admit(request, Permission.OPERATE, None, request_id=request_id)
        if permission is Permission.OPERATE:
            return actor
        return await super().admit(request, permission, tenant_id, request_id=request_id)

    async def allows(self, request: Request, permission: Permission, tenant_id: str | None, /) -> bool:
        """Say whether the page's actor has another permission, too; nothing is recorded, because nobody tried anything."""
        try:
            return isinstance(await self._ask(request, permission, tenant_id), Actor)
        except ForbiddenError:
            return False
