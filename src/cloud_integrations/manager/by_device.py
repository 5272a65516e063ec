"""Connecting an account by device code (RFC 8628)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from uuid import UUID

from cloud_integrations import flows
from cloud_integrations.domain.audit import Actor
from cloud_integrations.domain.device import DeviceAuthorization, DevicePending
from cloud_integrations.domain.pending import Connected

from .parts import AsyncPart, Part


class DeviceConnecting(Part):
    """The methods of `IntegrationManager` that connect an account by device code."""

    def begin_device(
        self,
        tenant_id: str,
        provider: str | UUID,
        *,
        name: str,
        scopes: Sequence[str] = (),
        method: str | None = None,
        variables: Mapping[str, str] | None = None,
        slot: str = "",
        actor: Actor | str | None = None,
        request_id: str | UUID | None = None,
    ) -> DeviceAuthorization:
        """Begin an authorization by device code (RFC 8628), for a person at another device than the browser that consents.

        Show what it returns to the actor, then call `wait_for_device`, or `poll_device` again and again.  *scopes*, *method*,
        *variables* and *slot* are as in `begin_oauth`.
        Raises `ValidationFailedError` (also if the provider does not work by device code), `ProviderNotFoundError`,
        `ProviderInactiveError`, `IntegrationExistsError`, `GrantRefusedError`, `AppMisconfiguredError` or `ProviderUnavailableError`.
        """
        return self._run(
            flows.begin_device(
                self._wiring,
                tenant_id,
                provider,
                name=name,
                slot=slot,
                scopes=scopes,
                method=method,
                variables=variables,
                caller=self._acting(actor, request_id),
            )
        )

    def begin_device_reconnect(
        self,
        tenant_id: str,
        integration: UUID | str,
        *,
        slot: str = "",
        scopes: Sequence[str] = (),
        method: str | None = None,
        actor: Actor | str | None = None,
        request_id: str | UUID | None = None,
    ) -> DeviceAuthorization:
        """Begin an authorization by device code for an existing OAuth2 integration; its credential stays until the new one is stored.

        Raises as `begin_reconnect` and `begin_device`.
        """
        return self._run(
            flows.begin_device_reconnect(
                self._wiring,
                tenant_id,
                integration,
                slot=slot,
                scopes=scopes,
                method=method,
                caller=self._acting(actor, request_id),
            )
        )

    def poll_device(
        self,
        tenant_id: str,
        authorization_id: UUID | str,
        *,
        actor: Actor | str | None = None,
        request_id: str | UUID | None = None,
    ) -> Connected | DevicePending:
        """Ask the provider once whether the person has consented; return what was connected, or how long to wait.

        A call that comes too early, or while another process asks, sends nothing.  The actor must be the one who began.  After a new
        integration was connected, further calls return it, too.
        Raises `GrantRefusedError` (`reason` is `access_denied` if the person refused, `expired_token` if the code has ended),
        `IntegrationExistsError`, `ProviderUnavailableError` or `AppMisconfiguredError`.
        """
        return self._run(flows.poll_device(self._wiring, tenant_id, authorization_id, caller=self._acting(actor, request_id)))

    def wait_for_device(
        self,
        tenant_id: str,
        authorization_id: UUID | str,
        *,
        actor: Actor | str | None = None,
        request_id: str | UUID | None = None,
    ) -> Connected:
        """Call `poll_device` until the person has decided or the code has ended, with the waits that the provider asks for.

        It may take as long as the code lives, often 15 minutes; it can be interrupted and called again.  Raises as `poll_device`.
        """
        return self._run(flows.wait_for_device(self._wiring, tenant_id, authorization_id, caller=self._acting(actor, request_id)))


class AsyncDeviceConnecting(AsyncPart):
    """The methods of `AsyncIntegrationManager` that connect an account by device code."""

    async def begin_device(
        self,
        tenant_id: str,
        provider: str | UUID,
        *,
        name: str,
        scopes: Sequence[str] = (),
        method: str | None = None,
        variables: Mapping[str, str] | None = None,
        slot: str = "",
        actor: Actor | str | None = None,
        request_id: str | UUID | None = None,
    ) -> DeviceAuthorization:
        """Begin an authorization by device code (RFC 8628), for a person at another device than the browser that consents.

        Show what it returns to the actor, then call `wait_for_device`, or `poll_device` again and again.  *scopes*, *method*,
        *variables* and *slot* are as in `begin_oauth`.
        Raises `ValidationFailedError` (also if the provider does not work by device code), `ProviderNotFoundError`,
        `ProviderInactiveError`, `IntegrationExistsError`, `GrantRefusedError`, `AppMisconfiguredError` or `ProviderUnavailableError`.
        """
        return await self._run(
            flows.begin_device(
                self._wiring,
                tenant_id,
                provider,
                name=name,
                slot=slot,
                scopes=scopes,
                method=method,
                variables=variables,
                caller=self._acting(actor, request_id),
            )
        )

    async def begin_device_reconnect(
        self,
        tenant_id: str,
        integration: UUID | str,
        *,
        slot: str = "",
        scopes: Sequence[str] = (),
        method: str | None = None,
        actor: Actor | str | None = None,
        request_id: str | UUID | None = None,
    ) -> DeviceAuthorization:
        """Begin an authorization by device code for an existing OAuth2 integration; its credential stays until the new one is stored.

        Raises as `begin_reconnect` and `begin_device`.
        """
        return await self._run(
            flows.begin_device_reconnect(
                self._wiring,
                tenant_id,
                integration,
                slot=slot,
                scopes=scopes,
                method=method,
                caller=self._acting(actor, request_id),
            )
        )

    async def poll_device(
        self,
        tenant_id: str,
        authorization_id: UUID | str,
        *,
        actor: Actor | str | None = None,
        request_id: str | UUID | None = None,
    ) -> Connected | DevicePending:
        """Ask the provider once whether the person has consented; return what was connected, or how long to wait.

        A call that comes too early, or while another process asks, sends nothing.  The actor must be the one who began.  After a new
        integration was connected, further calls return it, too.
        Raises `GrantRefusedError` (`reason` is `access_denied` if the person refused, `expired_token` if the code has ended),
        `IntegrationExistsError`, `ProviderUnavailableError` or `AppMisconfiguredError`.
        """
        return await self._run(flows.poll_device(self._wiring, tenant_id, authorization_id, caller=self._acting(actor, request_id)))

    async def wait_for_device(
        self,
        tenant_id: str,
        authorization_id: UUID | str,
        *,
        actor: Actor | str | None = None,
        request_id: str | UUID | None = None,
    ) -> Connected:
        """Call `poll_device` until the person has decided or the code has ended, with the waits that the provider asks for.

        It may take as long as the code lives, often 15 minutes; it can be interrupted and called again.  Raises as `poll_device`.
        """
        return await self._run(flows.wait_for_device(self._wiring, tenant_id, authorization_id, caller=self._acting(actor, request_id)))
