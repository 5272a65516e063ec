"""Connecting an access that the tenant sets up at the provider, with values that the library makes first."""

from __future__ import annotations

from collections.abc import Mapping
from uuid import UUID

from cloud_integrations import flows
from cloud_integrations.domain.audit import Actor
from cloud_integrations.domain.entered import read_inputs
from cloud_integrations.domain.integration import Integration
from cloud_integrations.domain.secret import Secret
from cloud_integrations.domain.setup import Setup

from .parts import AsyncPart, Part


class SettingUp(Part):
    """The methods of `IntegrationManager` that connect an access which the tenant sets up at the provider."""

    def begin_setup(
        self,
        tenant_id: str,
        provider: str | UUID,
        *,
        name: str,
        method: str | None = None,
        variables: Mapping[str, str] | None = None,
        slot: str = "",
        actor: Actor | str | None = None,
        request_id: str | UUID | None = None,
    ) -> Setup:
        """Make what the tenant needs before it can set the access up, such as the external id of a role; see `Setup`.

        *provider* is a slug or UUID; *name* has 3 to 50 characters; *method* is the id of a method with something to set up; left out, the
        provider's first one.  *variables* and *slot* are as in `add`.  While the setup is open (`Settings.setup_lifetime`), every call for
        the same tenant, provider, method and slot returns the same values.
        Raises `ValidationFailedError`, `ProviderNotFoundError`, `ProviderInactiveError`, `IntegrationExistsError`, or
        `AppMisconfiguredError` if the operator has no credential of its own at the provider.
        """
        return self._run(
            flows.begin_setup(
                self._wiring,
                tenant_id,
                provider,
                name=name,
                slot=slot,
                method=method,
                variables=variables,
                caller=self._acting(actor, request_id),
            )
        )

    def complete_setup(
        self,
        tenant_id: str,
        provider: str | UUID,
        *,
        inputs: Mapping[str, Secret | str],
        method: str | None = None,
        name: str | None = None,
        variables: Mapping[str, str] | None = None,
        slot: str = "",
        actor: Actor | str | None = None,
        request_id: str | UUID | None = None,
    ) -> Integration:
        """Complete a setup with what the provider has shown the tenant, such as the ARN of a role; any actor of the tenant may.

        *inputs* are values by the names in `Setup.inputs`; *name* and *variables* replace those that the setup began with.  While the
        provider refuses the new access, it is asked again for about a minute (`Settings.setup_patience`).  Then the proof: the provider
        must refuse the access without what the library made, and with another value.
        Raises as `add`, and `TrustTooOpenError`, which says what the tenant must correct, if the provider does not refuse it.
        """
        return self._run(
            flows.add(
                self._wiring,
                tenant_id,
                provider,
                name=name,
                slot=slot,
                entered=read_inputs(inputs, method),
                variables=variables,
                caller=self._acting(actor, request_id),
            )
        )


class AsyncSettingUp(AsyncPart):
    """The methods of `AsyncIntegrationManager` that connect an access which the tenant sets up at the provider."""

    async def begin_setup(
        self,
        tenant_id: str,
        provider: str | UUID,
        *,
        name: str,
        method: str | None = None,
        variables: Mapping[str, str] | None = None,
        slot: str = "",
        actor: Actor | str | None = None,
        request_id: str | UUID | None = None,
    ) -> Setup:
        """Make what the tenant needs before it can set the access up, such as the external id of a role; see `Setup`.

        *provider* is a slug or UUID; *name* has 3 to 50 characters; *method* is the id of a method with something to set up; left out, the
        provider's first one.  *variables* and *slot* are as in `add`.  While the setup is open (`Settings.setup_lifetime`), every call for
        the same tenant, provider, method and slot returns the same values.
        Raises `ValidationFailedError`, `ProviderNotFoundError`, `ProviderInactiveError`, `IntegrationExistsError`, or
        `AppMisconfiguredError` if the operator has no credential of its own at the provider.
        """
        return await self._run(
            flows.begin_setup(
                self._wiring,
                tenant_id,
                provider,
                name=name,
                slot=slot,
                method=method,
                variables=variables,
                caller=self._acting(actor, request_id),
            )
        )

    async def complete_setup(
        self,
        tenant_id: str,
        provider: str | UUID,
        *,
        inputs: Mapping[str, Secret | str],
        method: str | None = None,
        name: str | None = None,
        variables: Mapping[str, str] | None = None,
        slot: str = "",
        actor: Actor | str | None = None,
        request_id: str | UUID | None = None,
    ) -> Integration:
        """Complete a setup with what the provider has shown the tenant, such as the ARN of a role; any actor of the tenant may.

        *inputs* are values by the names in `Setup.inputs`; *name* and *variables* replace those that the setup began with.  While the
        provider refuses the new access, it is asked again for about a minute (`Settings.setup_patience`).  Then the proof: the provider
        must refuse the access without what the library made, and with another value.
        Raises as `add`, and `TrustTooOpenError`, which says what the tenant must correct, if the provider does not refuse it.
        """
        return await self._run(
            flows.add(
                self._wiring,
                tenant_id,
                provider,
                name=name,
                slot=slot,
                entered=read_inputs(inputs, method),
                variables=variables,
                caller=self._acting(actor, request_id),
            )
        )
