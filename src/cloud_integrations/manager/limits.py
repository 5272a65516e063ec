"""Limits at the doors of a host: `manager.limits`."""

from __future__ import annotations

from uuid import UUID

from cloud_integrations import flows
from cloud_integrations.domain.audit import Actor
from cloud_integrations.domain.limits import LimitedUse
from cloud_integrations.runtime.sync import run_inline

from .parts import AsyncPart, Part


class Limits(Part):
    """How often a host's doors may be used: `manager.limits`.  The manager's own methods are not limited; the host's routes are.

    Nothing here reads the database.  The numbers are `Settings.begin_per_minute` and its like.
    """

    def count(self, use: LimitedUse, tenant_id: str, *, actor: Actor | str | None = None, request_id: str | UUID | None = None) -> None:
        """Count a use by the actor in a tenant, before it is carried out.

        *use* is `begin` (a sign-in begins), `verify` (a provider is asked whether a credential works) or `reveal` (a credential is
        shown).  Each actor has the number of the settings in each tenant, and all actors of a tenant ten times as many.
        Raises `TooManyRequestsError`, whose `retry_after` says when to try again, and `ValidationFailedError`.
        """
        run_inline(flows.count_use(self._wiring, use, tenant_id, self._acting(actor, request_id)))

    def count_address(self, address: str | None) -> None:
        """Count a browser that comes back from a provider, by its IP address, before anything of its request is read.

        An IPv6 address counts for its network of 64 bits.  None, an address that is not known, is not counted.
        Raises `TooManyRequestsError` and `ValidationFailedError`.
        """
        run_inline(flows.count_address(self._wiring, address))


class AsyncLimits(AsyncPart):
    """How often a host's doors may be used: `manager.limits`.  The manager's own methods are not limited; the host's routes are.

    Nothing here reads the database.  The numbers are `Settings.begin_per_minute` and its like.
    """

    async def count(
        self, use: LimitedUse, tenant_id: str, *, actor: Actor | str | None = None, request_id: str | UUID | None = None
    ) -> None:
        """Count a use by the actor in a tenant, before it is carried out.

        *use* is `begin` (a sign-in begins), `verify` (a provider is asked whether a credential works) or `reveal` (a credential is
        shown).  Each actor has the number of the settings in each tenant, and all actors of a tenant ten times as many.
        Raises `TooManyRequestsError`, whose `retry_after` says when to try again, and `ValidationFailedError`.
        """
        await flows.count_use(self._wiring, use, tenant_id, self._acting(actor, request_id))

    async def count_address(self, address: str | None) -> None:
        """Count a browser that comes back from a provider, by its IP address, before anything of its request is read.

        An IPv6 address counts for its network of 64 bits.  None, an address that is not known, is not counted.
        Raises `TooManyRequestsError` and `ValidationFailedError`.
        """
        await flows.count_address(self._wiring, address)
