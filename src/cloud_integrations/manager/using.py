"""Using an integration: list, hand out, check, renew, edit, remove."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Literal
from uuid import UUID

from cloud_integrations import flows
from cloud_integrations.domain.audit import SYSTEM, Actor, Caller
from cloud_integrations.domain.check import CheckReport
from cloud_integrations.domain.integration import Integration, Status
from cloud_integrations.domain.rekeying import Erasure
from cloud_integrations.domain.removal import Removal

from .parts import AsyncPart, Part

if TYPE_CHECKING:
    from cloud_integrations.domain.credential import Credential

    from .parts import AsyncFlowRunner, FlowRunner


class Using(Part):
    """The methods of `IntegrationManager` that use an integration."""

    def __init__(self, runner: FlowRunner, caller: Caller | None = None, /) -> None:
        super().__init__(runner, caller)
        self._tokens_by_tenant = self._wiring.tokens.by_tenant
        self._monotonic = self._wiring.clock.monotonic
        self._as_system = caller is None or caller.actor is SYSTEM

    def list_integrations(self, tenant_id: str) -> tuple[Integration, ...]:
        """Return the tenant's integrations, oldest first; at most one per provider.

        Raises `TenantNotFoundError`.
        """
        return self._run(flows.list_integrations(self._wiring, tenant_id))

    def get_integration(self, tenant_id: str, integration: UUID | str) -> Integration:
        """Return one integration, named by its id, or by its provider's slug or UUID, as in every method that means one.

        Raises `IntegrationNotFoundError`, also when it is another tenant's.
        """
        return self._run(flows.get_integration(self._wiring, tenant_id, integration))

    def credential(
        self,
        tenant_id: str,
        provider: str | UUID,
        *,
        min_ttl: timedelta | float | None = None,
        scopes: Sequence[str] = (),
        actor: Actor | str | None = None,
        request_id: str | UUID | None = None,
    ) -> Credential:
        """Return a credential that works, for this tenant; *provider* is a slug or UUID, or the id of one integration.

        From memory, else from one row, else after a refresh (RFC 6749 §6) that every caller in every process shares.  *min_ttl* is
        the life it must still have; *scopes* are compared with those granted (`missing_scopes`).  While a token still works, a
        provider's outage only adds a `warning`.  Without an actor the use is recorded as `SYSTEM`'s.
        Raises `IntegrationNotFoundError`, `ReconnectRequiredError`, `IntegrationInactiveError`, `RefreshInProgressError`,
        `ProviderUnavailableError` or `AppMisconfiguredError`.
        """
        if self._as_system and actor is None and request_id is None and min_ttl is None and scopes == () and isinstance(tenant_id, str):
            # The way most calls go, so it is kept short: no lock, no await, no call but the clock's.
            tenant_tokens = self._tokens_by_tenant.get(tenant_id)
            if tenant_tokens is not None and isinstance(provider, str | UUID):
                entry = tenant_tokens.get(provider)
                if entry is not None and entry[0] > self._monotonic():
                    return entry[1]
        return self._run(
            flows.get_token(
                self._wiring, tenant_id, provider, min_ttl=min_ttl, scopes=scopes, caller=self._acting_or_system(actor, request_id)
            )
        )

    def replace_refused(
        self,
        tenant_id: str,
        token: Credential,
        *,
        actor: Actor | str | None = None,
        request_id: str | UUID | None = None,
    ) -> Credential:
        """Return another credential in the place of one that the provider refused (RFC 6750 §3.1 `invalid_token`).

        Renews at most once for each generation of the credential, whoever asks.  Raises as `credential`.
        """
        return self._run(flows.replace_refused(self._wiring, tenant_id, token, caller=self._acting_or_system(actor, request_id)))

    def verify(
        self,
        tenant_id: str,
        integration: UUID | str,
        *,
        actor: Actor | str | None = None,
        request_id: str | UUID | None = None,
    ) -> CheckReport:
        """Ask the provider whether the held credential works, by its cheapest read-only request.

        Raises as `credential`, and `ProviderInactiveError` where its provider is not in the catalogue any more.
        """
        return self._run(flows.verify(self._wiring, tenant_id, integration, caller=self._acting(actor, request_id)))

    def refresh(
        self,
        tenant_id: str,
        integration: UUID | str,
        *,
        actor: Actor | str | None = None,
        request_id: str | UUID | None = None,
    ) -> Integration:
        """Renew the access token now, whatever life it has left.

        Raises `ValidationFailedError` where nothing can be renewed, else as `credential`.
        """
        return self._run(flows.force_refresh(self._wiring, tenant_id, integration, caller=self._acting(actor, request_id)))

    def edit_integration(
        self,
        tenant_id: str,
        integration: UUID | str,
        *,
        name: str | None = None,
        status: Status | Literal["active", "inactive"] | None = None,
        actor: Actor | str | None = None,
        request_id: str | UUID | None = None,
    ) -> Integration:
        """Rename an integration, or switch it off (`inactive`) or on again (`active`).

        Raises `IntegrationNotFoundError`, `ValidationFailedError`, or `ReconnectRequiredError` when it cannot be switched on because
        the tenant must reconnect.
        """
        return self._run(
            flows.edit_integration(self._wiring, tenant_id, integration, name=name, status=status, caller=self._acting(actor, request_id))
        )

    def delete(
        self,
        tenant_id: str,
        integration: UUID | str,
        *,
        actor: Actor | str | None = None,
        request_id: str | UUID | None = None,
    ) -> Removal:
        """Delete the integration and revoke its tokens at the provider (RFC 7009 or its own request).

        The local secret is gone whatever the provider does; what could not be revoked is kept sealed and retried.
        Raises `IntegrationNotFoundError`.
        """
        return self._run(flows.disconnect(self._wiring, tenant_id, integration, caller=self._acting(actor, request_id)))

    def erase_tenant(
        self,
        tenant_id: str,
        *,
        actor: Actor | str | None = None,
        request_id: str | UUID | None = None,
    ) -> Erasure:
        """Remove and revoke everything of a tenant and destroy its data keys; the audit log stays.

        Returns the receipt.  Tokens that a provider does not take back at once are given up and counted there.
        """
        return self._run(flows.erase_tenant(self._wiring, tenant_id, caller=self._acting(actor, request_id)))


class AsyncUsing(AsyncPart):
    """The methods of `AsyncIntegrationManager` that use an integration."""

    def __init__(self, runner: AsyncFlowRunner, caller: Caller | None = None, /) -> None:
        super().__init__(runner, caller)
        self._tokens_by_tenant = self._wiring.tokens.by_tenant
        self._monotonic = self._wiring.clock.monotonic
        self._as_system = caller is None or caller.actor is SYSTEM

    async def list_integrations(self, tenant_id: str) -> tuple[Integration, ...]:
        """Return the tenant's integrations, oldest first; at most one per provider."""
        return await self._run(flows.list_integrations(self._wiring, tenant_id))

    async def get_integration(self, tenant_id: str, integration: UUID | str) -> Integration:
        """Return one integration, named by its id, or by its provider's slug or UUID, as in every method that means one."""
        return await self._run(flows.get_integration(self._wiring, tenant_id, integration))

    async def credential(
        self,
        tenant_id: str,
        provider: str | UUID,
        *,
        min_ttl: timedelta | float | None = None,
        scopes: Sequence[str] = (),
        actor: Actor | str | None = None,
        request_id: str | UUID | None = None,
    ) -> Credential:
        """Return a credential that works, for this tenant; *provider* is a slug or UUID, or the id of one integration."""
        if self._as_system and actor is None and request_id is None and min_ttl is None and scopes == () and isinstance(tenant_id, str):
            # The way most calls go, so it is kept short: no lock, no await, no call but the clock's.
            tenant_tokens = self._tokens_by_tenant.get(tenant_id)
            if tenant_tokens is not None and isinstance(provider, str | UUID):
                entry = tenant_tokens.get(provider)
                if entry is not None and entry[0] > self._monotonic():
                    return entry[1]
        return await self._run(
            flows.get_token(
                self._wiring, tenant_id, provider, min_ttl=min_ttl, scopes=scopes, caller=self._acting_or_system(actor, request_id)
            )
        )

    async def replace_refused(
        self,
        tenant_id: str,
        token: Credential,
        *,
        actor: Actor | str | None = None,
        request_id: str | UUID | None = None,
    ) -> Credential:
        """Return another credential in the place of one that the provider refused (RFC 6750 §3.1 `invalid_token`)."""
        return await self._run(flows.replace_refused(self._wiring, tenant_id, token, caller=self._acting_or_system(actor, request_id)))

    async def verify(
        self,
        tenant_id: str,
        integration: UUID | str,
        *,
        actor: Actor | str | None = None,
        request_id: str | UUID | None = None,
    ) -> CheckReport:
        """Ask the provider whether the held credential works, by its cheapest read-only request."""
        return await self._run(flows.verify(self._wiring, tenant_id, integration, caller=self._acting(actor, request_id)))

    async def refresh(
        self,
        tenant_id: str,
        integration: UUID | str,
        *,
        actor: Actor | str | None = None,
        request_id: str | UUID | None = None,
    ) -> Integration:
        """Renew the access token now, whatever life it has left."""
        return await self._run(flows.force_refresh(self._wiring, tenant_id, integration, caller=self._acting(actor, request_id)))

    async def edit_integration(
        self,
        tenant_id: str,
        integration: UUID | str,
        *,
        name: str | None = None,
        status: Status | Literal["active", "inactive"] | None = None,
        actor: Actor | str | None = None,
        request_id: str | UUID | None = None,
    ) -> Integration:
        """Rename an integration, or switch it off (`inactive`) or on again (`active`)."""
        return await self._run(
            flows.edit_integration(self._wiring, tenant_id, integration, name=name, status=status, caller=self._acting(actor, request_id))
        )

    async def delete(
        self,
        tenant_id: str,
        integration: UUID | str,
        *,
        actor: Actor | str | None = None,
        request_id: str | UUID | None = None,
    ) -> Removal:
        """Delete the integration and revoke its tokens at the provider (RFC 7009 or its own request)."""
        return await self._run(flows.disconnect(self._wiring, tenant_id, integration, caller=self._acting(actor, request_id)))

    async def erase_tenant(
        self,
        tenant_id: str,
        *,
        actor: Actor | str | None = None,
        request_id: str | UUID | None = None,
    ) -> Erasure:
        """Remove and revoke everything of a tenant and destroy its data keys; the audit log stays.

        Returns the receipt.  Tokens that a provider does not take back at once are given up and counted there.
        """
        return await self._run(flows.erase_tenant(self._wiring, tenant_id, caller=self._acting(actor, request_id)))
