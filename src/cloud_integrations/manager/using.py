"""Using an integration: list, hand out its credential, verify, refresh, edit, delete."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Literal
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

_NAMES = (str, UUID)
"""What names a provider; `str | UUID` in the call would be made anew each time."""
_NO_SCOPES: tuple[str, ...] = ()
"""The one empty tuple of CPython: comparing it by identity takes a third of the time."""


class Using(Part):
    """The methods of `IntegrationManager` that use an integration."""

    def __init__(self, runner: FlowRunner, caller: Caller | None = None, /) -> None:
        super().__init__(runner, caller)
        self._tokens_by_tenant = self._wiring.tokens.by_tenant
        self._monotonic = self._wiring.clock.monotonic
        self._freezes = self._wiring.freezes
        self._as_system = caller is None or caller.actor is SYSTEM

    def list_integrations(self, tenant_id: str, *, slot: str | None = None) -> tuple[Integration, ...]:
        """Return the tenant's integrations, oldest first; at most one per provider and slot.

        *slot* selects those in one slot; the empty text is the default slot.  Raises `TenantNotFoundError` or `ValidationFailedError`.
        """
        return self._run(flows.list_integrations(self._wiring, tenant_id, slot=slot))

    def get_integration(self, tenant_id: str, integration: UUID | str, *, slot: str = "") -> Integration:
        """Return one integration.  *integration* is its id, or its provider's slug or UUID; so it is in every method.

        Beside a provider, *slot* says which of the tenant's integrations with it is meant; left out, the one in the default slot.  Beside
        an id, no slot is given.
        Raises `IntegrationNotFoundError`, also for an integration of another tenant, or `ValidationFailedError`.
        """
        return self._run(flows.get_integration(self._wiring, tenant_id, integration, slot=slot))

    def credential(
        self,
        tenant_id: str,
        provider: str | UUID,
        *,
        slot: str = "",
        min_ttl: timedelta | float | None = None,
        scopes: Sequence[str] = (),
        narrow: Mapping[str, Any] | None = None,
        actor: Actor | str | None = None,
        request_id: str | UUID | None = None,
    ) -> Credential:
        """Return a credential of the tenant that works; *provider* is a slug or UUID, or the id of one integration.

        Where a tenant has several integrations with a provider, *slot* says which one is meant; left out, the one in the default slot.
        It comes from memory, else from one row, else from a refresh (RFC 6749 §6) that all callers in all processes share.  *min_ttl*
        (seconds or a `timedelta`) is the lifetime that it must still have; those of *scopes* that were not granted are in
        `missing_scopes`.  While a token still works, an outage of the provider only adds a `warning`.  Without an actor the use is
        recorded as `SYSTEM`'s.
        *narrow* asks for a credential that can do less: names with JSON values, such as `{"scopes": ["read"]}`; the provider's file says
        which names a method takes.  It is never stored, and what cannot be narrowed is refused.
        Raises `IntegrationNotFoundError`, `ProviderNotFoundError`, `ReconnectRequiredError`, `IntegrationInactiveError`,
        `IntegrationFrozenError`, `RefreshInProgressError`, `ProviderUnavailableError` or `AppMisconfiguredError`; with *narrow* also
        `ValidationFailedError`, and `NotNarrowedError` if the provider gave more than was asked.
        """
        if (
            self._as_system
            and actor is None
            and request_id is None
            and min_ttl is None
            and scopes is _NO_SCOPES
            and narrow is None
            and isinstance(tenant_id, str)
        ):
            # Most calls end here, so this takes no lock, awaits nothing, and calls nothing but the clock.
            tenant_tokens = self._tokens_by_tenant.get(tenant_id)
            if tenant_tokens is not None and (type(provider) is str or isinstance(provider, _NAMES)):
                if slot == "":
                    entry = tenant_tokens.get(provider)
                else:
                    entry = tenant_tokens.get((provider, slot)) if isinstance(slot, str) else None
                if entry is not None and min(entry[0], self._freezes.until) > self._monotonic():
                    return entry[1]
        return self._run(
            flows.get_token(
                self._wiring,
                tenant_id,
                provider,
                slot=slot,
                min_ttl=min_ttl,
                scopes=scopes,
                narrow=narrow,
                caller=self._acting_or_system(actor, request_id),
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
        """Return a new credential in place of *token*, which the provider refused (RFC 6750 §3.1 `invalid_token`).

        However many callers ask, each generation of the credential is renewed at most once.  A narrowed one is replaced by one that is
        narrowed in the same way.  One that was itself made in place of a refused one is replaced after a wait that grows, from 10 seconds
        to 15 minutes; until then it comes back with the `warning` `refused_again`.  Raises as `credential`.
        """
        return self._run(flows.replace_refused(self._wiring, tenant_id, token, caller=self._acting_or_system(actor, request_id)))

    def verify(
        self,
        tenant_id: str,
        integration: UUID | str,
        *,
        slot: str = "",
        actor: Actor | str | None = None,
        request_id: str | UUID | None = None,
    ) -> CheckReport:
        """Ask the provider whether the stored credential works, with its cheapest read-only request.

        A credential that the provider refuses for good needs a reconnect afterwards.  Raises as `credential`, and
        `ProviderInactiveError` where the provider no longer has the integration's method.
        """
        return self._run(flows.verify(self._wiring, tenant_id, integration, slot=slot, caller=self._acting(actor, request_id)))

    def refresh(
        self,
        tenant_id: str,
        integration: UUID | str,
        *,
        slot: str = "",
        actor: Actor | str | None = None,
        request_id: str | UUID | None = None,
    ) -> Integration:
        """Renew the access token now, whatever lifetime it has left.

        A grant that has ended, as the provider said, is tried once more.  Raises as `credential`, and `ValidationFailedError` for an
        API key.
        """
        return self._run(flows.force_refresh(self._wiring, tenant_id, integration, slot=slot, caller=self._acting(actor, request_id)))

    def edit_integration(
        self,
        tenant_id: str,
        integration: UUID | str,
        *,
        slot: str = "",
        name: str | None = None,
        status: Status | Literal["active", "inactive"] | None = None,
        actor: Actor | str | None = None,
        request_id: str | UUID | None = None,
    ) -> Integration:
        """Rename an integration, disable it (`inactive`) or enable it again (`active`).

        Raises `IntegrationNotFoundError`, `ValidationFailedError`, or `ReconnectRequiredError` where it cannot be enabled because the
        tenant must reconnect.
        """
        return self._run(
            flows.edit_integration(
                self._wiring, tenant_id, integration, slot=slot, name=name, status=status, caller=self._acting(actor, request_id)
            )
        )

    def delete(
        self,
        tenant_id: str,
        integration: UUID | str,
        *,
        slot: str = "",
        revoke_key: bool = False,
        actor: Actor | str | None = None,
        request_id: str | UUID | None = None,
    ) -> Removal:
        """Delete the integration and revoke its tokens at the provider (RFC 7009, or the provider's own request).

        A key that the tenant pasted goes on working, because it may serve elsewhere, unless *revoke_key* asks to revoke it as well.
        Returns what became of each token and key.  The stored credential is gone whatever the provider does; what could not be revoked
        is kept sealed, and retried.  Raises `IntegrationNotFoundError`, and `ValidationFailedError` for *revoke_key*.
        """
        caller = self._acting(actor, request_id)
        return self._run(flows.disconnect(self._wiring, tenant_id, integration, slot=slot, revoke_key=revoke_key, caller=caller))

    def erase_tenant(
        self,
        tenant_id: str,
        *,
        actor: Actor | str | None = None,
        request_id: str | UUID | None = None,
    ) -> Erasure:
        """Remove every integration of a tenant, revoke its tokens and destroy its data keys; the audit log stays.

        Returns the receipt.  A token that its provider does not revoke at once is given up and counted there.  May be repeated.
        """
        return self._run(flows.erase_tenant(self._wiring, tenant_id, caller=self._acting(actor, request_id)))


class AsyncUsing(AsyncPart):
    """The methods of `AsyncIntegrationManager` that use an integration."""

    def __init__(self, runner: AsyncFlowRunner, caller: Caller | None = None, /) -> None:
        super().__init__(runner, caller)
        self._tokens_by_tenant = self._wiring.tokens.by_tenant
        self._monotonic = self._wiring.clock.monotonic
        self._freezes = self._wiring.freezes
        self._as_system = caller is None or caller.actor is SYSTEM

    async def list_integrations(self, tenant_id: str, *, slot: str | None = None) -> tuple[Integration, ...]:
        """Return the tenant's integrations, oldest first; at most one per provider and slot.

        *slot* selects those in one slot; the empty text is the default slot.  Raises `TenantNotFoundError` or `ValidationFailedError`.
        """
        return await self._run(flows.list_integrations(self._wiring, tenant_id, slot=slot))

    async def get_integration(self, tenant_id: str, integration: UUID | str, *, slot: str = "") -> Integration:
        """Return one integration.  *integration* is its id, or its provider's slug or UUID; so it is in every method.

        Beside a provider, *slot* says which of the tenant's integrations with it is meant; left out, the one in the default slot.  Beside
        an id, no slot is given.
        Raises `IntegrationNotFoundError`, also for an integration of another tenant, or `ValidationFailedError`.
        """
        return await self._run(flows.get_integration(self._wiring, tenant_id, integration, slot=slot))

    async def credential(
        self,
        tenant_id: str,
        provider: str | UUID,
        *,
        slot: str = "",
        min_ttl: timedelta | float | None = None,
        scopes: Sequence[str] = (),
        narrow: Mapping[str, Any] | None = None,
        actor: Actor | str | None = None,
        request_id: str | UUID | None = None,
    ) -> Credential:
        """Return a credential of the tenant that works; *provider* is a slug or UUID, or the id of one integration.

        Where a tenant has several integrations with a provider, *slot* says which one is meant; left out, the one in the default slot.
        It comes from memory, else from one row, else from a refresh (RFC 6749 §6) that all callers in all processes share.  *min_ttl*
        (seconds or a `timedelta`) is the lifetime that it must still have; those of *scopes* that were not granted are in
        `missing_scopes`.  While a token still works, an outage of the provider only adds a `warning`.  Without an actor the use is
        recorded as `SYSTEM`'s.
        *narrow* asks for a credential that can do less: names with JSON values, such as `{"scopes": ["read"]}`; the provider's file says
        which names a method takes.  It is never stored, and what cannot be narrowed is refused.
        Raises `IntegrationNotFoundError`, `ProviderNotFoundError`, `ReconnectRequiredError`, `IntegrationInactiveError`,
        `IntegrationFrozenError`, `RefreshInProgressError`, `ProviderUnavailableError` or `AppMisconfiguredError`; with *narrow* also
        `ValidationFailedError`, and `NotNarrowedError` if the provider gave more than was asked.
        """
        if (
            self._as_system
            and actor is None
            and request_id is None
            and min_ttl is None
            and scopes is _NO_SCOPES
            and narrow is None
            and isinstance(tenant_id, str)
        ):
            # Most calls end here, so this takes no lock, awaits nothing, and calls nothing but the clock.
            tenant_tokens = self._tokens_by_tenant.get(tenant_id)
            if tenant_tokens is not None and (type(provider) is str or isinstance(provider, _NAMES)):
                if slot == "":
                    entry = tenant_tokens.get(provider)
                else:
                    entry = tenant_tokens.get((provider, slot)) if isinstance(slot, str) else None
                if entry is not None and min(entry[0], self._freezes.until) > self._monotonic():
                    return entry[1]
        return await self._run(
            flows.get_token(
                self._wiring,
                tenant_id,
                provider,
                slot=slot,
                min_ttl=min_ttl,
                scopes=scopes,
                narrow=narrow,
                caller=self._acting_or_system(actor, request_id),
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
        """Return a new credential in place of *token*, which the provider refused (RFC 6750 §3.1 `invalid_token`).

        However many callers ask, each generation of the credential is renewed at most once.  A narrowed one is replaced by one that is
        narrowed in the same way.  One that was itself made in place of a refused one is replaced after a wait that grows, from 10 seconds
        to 15 minutes; until then it comes back with the `warning` `refused_again`.  Raises as `credential`.
        """
        return await self._run(flows.replace_refused(self._wiring, tenant_id, token, caller=self._acting_or_system(actor, request_id)))

    async def verify(
        self,
        tenant_id: str,
        integration: UUID | str,
        *,
        slot: str = "",
        actor: Actor | str | None = None,
        request_id: str | UUID | None = None,
    ) -> CheckReport:
        """Ask the provider whether the stored credential works, with its cheapest read-only request.

        A credential that the provider refuses for good needs a reconnect afterwards.  Raises as `credential`, and
        `ProviderInactiveError` where the provider no longer has the integration's method.
        """
        return await self._run(flows.verify(self._wiring, tenant_id, integration, slot=slot, caller=self._acting(actor, request_id)))

    async def refresh(
        self,
        tenant_id: str,
        integration: UUID | str,
        *,
        slot: str = "",
        actor: Actor | str | None = None,
        request_id: str | UUID | None = None,
    ) -> Integration:
        """Renew the access token now, whatever lifetime it has left.

        A grant that has ended, as the provider said, is tried once more.  Raises as `credential`, and `ValidationFailedError` for an
        API key.
        """
        return await self._run(flows.force_refresh(self._wiring, tenant_id, integration, slot=slot, caller=self._acting(actor, request_id)))

    async def edit_integration(
        self,
        tenant_id: str,
        integration: UUID | str,
        *,
        slot: str = "",
        name: str | None = None,
        status: Status | Literal["active", "inactive"] | None = None,
        actor: Actor | str | None = None,
        request_id: str | UUID | None = None,
    ) -> Integration:
        """Rename an integration, disable it (`inactive`) or enable it again (`active`).

        Raises `IntegrationNotFoundError`, `ValidationFailedError`, or `ReconnectRequiredError` where it cannot be enabled because the
        tenant must reconnect.
        """
        return await self._run(
            flows.edit_integration(
                self._wiring, tenant_id, integration, slot=slot, name=name, status=status, caller=self._acting(actor, request_id)
            )
        )

    async def delete(
        self,
        tenant_id: str,
        integration: UUID | str,
        *,
        slot: str = "",
        revoke_key: bool = False,
        actor: Actor | str | None = None,
        request_id: str | UUID | None = None,
    ) -> Removal:
        """Delete the integration and revoke its tokens at the provider (RFC 7009, or the provider's own request).

        A key that the tenant pasted goes on working, because it may serve elsewhere, unless *revoke_key* asks to revoke it as well.
        Returns what became of each token and key.  The stored credential is gone whatever the provider does; what could not be revoked
        is kept sealed, and retried.  Raises `IntegrationNotFoundError`, and `ValidationFailedError` for *revoke_key*.
        """
        caller = self._acting(actor, request_id)
        return await self._run(flows.disconnect(self._wiring, tenant_id, integration, slot=slot, revoke_key=revoke_key, caller=caller))

    async def erase_tenant(
        self,
        tenant_id: str,
        *,
        actor: Actor | str | None = None,
        request_id: str | UUID | None = None,
    ) -> Erasure:
        """Remove every integration of a tenant, revoke its tokens and destroy its data keys; the audit log stays.

        Returns the receipt.  A token that its provider does not revoke at once is given up and counted there.  May be repeated.
        """
        return await self._run(flows.erase_tenant(self._wiring, tenant_id, caller=self._acting(actor, request_id)))
