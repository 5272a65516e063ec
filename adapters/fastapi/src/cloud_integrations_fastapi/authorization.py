"""Authorization: the host decides who may do what, and nothing happens without its permission."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import StrEnum
from http import HTTPStatus

from fastapi import Request
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException

from cloud_integrations import Actor, AsyncIntegrationManager
from cloud_integrations.errors import CloudIntegrationsError, ForbiddenError, TenantNotFoundError, ValidationFailedError

from .reading import read_id

_log = logging.getLogger("cloud_integrations.http")


class Permission(StrEnum):
    """What an actor may do; each route needs exactly one."""

    LIST = "list"
    READ = "read"
    CONNECT = "connect"
    UPDATE = "update"
    USE = "use"
    """No route of the router needs it: it is for the host's own routes that use a tenant's credential."""
    VERIFY = "verify"
    DELETE = "delete"
    AUDIT = "audit"
    APPLICATIONS = "applications"
    """List, save and remove the OAuth applications that the tenant registered itself."""
    WEBHOOKS = "webhooks"
    """List, add, change, test and remove the tenant's webhooks."""
    REVEAL = "reveal"
    PROVIDERS = "providers"
    OPERATE = "operate"
    """See what concerns the whole installation, such as how many integrations all tenants have: for operators, never for a tenant."""
    INCIDENTS = "incidents"
    """Freeze the use of credentials, open incidents, and end the access in them, of all tenants: for operators, too."""


@dataclass(frozen=True, slots=True)
class Denied:
    """The host knows the actor and denies the request: the attempt is recorded in the tenant's audit log."""

    actor: Actor


Verdict = Actor | Denied | None
Authorize = Callable[[Request, Permission, str | None], Verdict | Awaitable[Verdict]]
"""The host's function `authorize(request, permission, tenant_id)`, called before anything else of a request is read.

It returns the `Actor` to allow the request.  To refuse it, it returns `Denied(actor)` or None, or raises `ForbiddenError`,
`PermissionError` or an `HTTPException` with 403.  Any other `HTTPException` is the host's own answer and is passed on unchanged: 401 with
`WWW-Authenticate`, 429 with `Retry-After`.  *tenant_id* is that of the path, as the caller wrote it; None where the path has none.
"""


class Gate:
    """Asks the host, and admits only requests for which it names an actor."""

    def __init__(self, manager: AsyncIntegrationManager, authorize: Authorize, /) -> None:
        if not callable(authorize):
            raise TypeError("authorize must be a function that says who may do what")
        self._manager = manager
        self._authorize = authorize
        self._awaits = inspect.iscoroutinefunction(authorize) or inspect.iscoroutinefunction(type(authorize).__call__)

    async def count_address(self, request: Request, /) -> None:
        """Count the request by the address of its client.  Raises `TooManyRequestsError`.

        Behind a proxy, the address is what the server takes from the headers of proxies that it trusts.
        """
        await self._manager.limits.count_address((request.client.host or None) if request.client else None)

    async def admit(self, request: Request, permission: Permission, tenant_id: str | None, /, *, request_id: str) -> Actor:
        """Return the actor, or raise `ForbiddenError`; a `Denied` attempt is recorded.  An `HTTPException` of the host passes."""
        verdict = await self._ask(request, permission, tenant_id)
        if isinstance(verdict, Actor):
            return verdict
        if isinstance(verdict, Denied) and tenant_id is not None:
            await self._record(request, permission, tenant_id, actor=verdict.actor, request_id=request_id)
        raise ForbiddenError

    async def _ask(self, request: Request, permission: Permission, tenant_id: str | None) -> object:
        try:
            if self._awaits:
                verdict = self._authorize(request, permission, tenant_id)
            else:
                # A plain function may block, for example on a database, so it does not run in the event loop's thread.
                verdict = await run_in_threadpool(self._authorize, request, permission, tenant_id)
            return await verdict if inspect.isawaitable(verdict) else verdict
        except PermissionError:
            raise ForbiddenError from None
        except HTTPException as error:
            if error.status_code == HTTPStatus.FORBIDDEN:
                raise ForbiddenError from None
            raise  # the host's own answer: not authenticated (401), too many requests (429)

    async def _record(self, request: Request, permission: Permission, tenant_id: str, *, actor: Actor, request_id: str) -> None:
        named = request.path_params.get("integrationId")
        resource = "integrations" if named is None else f"integration:{read_id(named)}"
        action = f"integration.{permission}"
        try:
            acting = self._manager.acting_as(actor, request_id=request_id)
            await acting.audit.record_denied(tenant_id, action=action, resource=resource)
        except (TenantNotFoundError, ValidationFailedError):
            pass  # There is no such log; and a caller without permission learns nothing about tenants.
        except CloudIntegrationsError as error:
            _log.error("request %s: a denied attempt could not be recorded: %s", request_id, type(error).__name__)
