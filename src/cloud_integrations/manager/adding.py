"""Connecting an account with values: those that a tenant enters, or a credential that the application already holds."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from uuid import UUID

from cloud_integrations import flows
from cloud_integrations.domain.audit import Actor
from cloud_integrations.domain.entered import read_inputs, read_key
from cloud_integrations.domain.importing import ImportedGrant, ImportedKey
from cloud_integrations.domain.integration import Integration
from cloud_integrations.domain.secret import Secret

from .parts import AsyncPart, Part


class Adding(Part):
    """The methods of `IntegrationManager` that connect an account with values."""

    def add(
        self,
        tenant_id: str,
        provider: str | UUID,
        *,
        name: str,
        inputs: Mapping[str, Secret | str],
        method: str | None = None,
        ends_at: datetime | None = None,
        variables: Mapping[str, str] | None = None,
        slot: str = "",
        actor: Actor | str | None = None,
        request_id: str | UUID | None = None,
    ) -> Integration:
        """Connect a provider with what a tenant enters: check it with the provider, then store it sealed.

        *provider* is a slug or UUID.  *name* has 3 to 50 characters.  *inputs* are values by the names of the provider's inputs, which
        `list_providers` gives; text is wrapped as `Secret` at once.  *method* is the id of one of the provider's methods; left out, it is
        the first that the inputs fit.  *variables* are values by the names of the provider's variables.  *ends_at* is when the key
        ends, if the person who enters it knows: an aware time to come.  Where the provider says it, that counts.
        *slot* is 1 to 64 of a-z, 0-9, ".", "_" and "-"; it needs `Settings.slots`.  Left out, it is the default slot.

        Raises as `add_api_key`, and `TrustTooOpenError` if the provider's trust in our own issuer takes another tenant's token, too.
        """
        return self._run(
            flows.add(
                self._wiring,
                tenant_id,
                provider,
                name=name,
                slot=slot,
                entered=read_inputs(inputs, method, ends_at),
                variables=variables,
                caller=self._acting(actor, request_id),
            )
        )

    def add_api_key(
        self,
        tenant_id: str,
        provider: str | UUID,
        *,
        name: str,
        api_key: Secret | str,
        secret_key: Secret | str | None = None,
        method: str | None = None,
        ends_at: datetime | None = None,
        variables: Mapping[str, str] | None = None,
        slot: str = "",
        actor: Actor | str | None = None,
        request_id: str | UUID | None = None,
    ) -> Integration:
        """Check a key with the provider and store it sealed.

        *provider* is a slug or UUID; *name* has 3 to 50 characters; *secret_key* is the second half, where the provider has one;
        *method* is the id of one of the provider's methods; left out, it is the first whose key has this form.
        *variables* are values that the provider's addresses need; *ends_at* and *slot* are as in `add`.  Nothing is stored before the
        provider has accepted the key.
        Raises `ValidationFailedError`, `ProviderNotFoundError`, `ProviderInactiveError`, `IntegrationExistsError`,
        `InvalidCredentialsError` (the provider refused the key) or `ProviderUnavailableError` (it could not be asked).
        """
        return self._run(
            flows.add(
                self._wiring,
                tenant_id,
                provider,
                name=name,
                slot=slot,
                entered=read_key(api_key, secret_key, method, ends_at),
                variables=variables,
                caller=self._acting(actor, request_id),
            )
        )

    def reconnect(
        self,
        tenant_id: str,
        integration: UUID | str,
        *,
        slot: str = "",
        inputs: Mapping[str, Secret | str],
        method: str | None = None,
        ends_at: datetime | None = None,
        actor: Actor | str | None = None,
        request_id: str | UUID | None = None,
    ) -> Integration:
        """Check new inputs with the provider and store them in place of the old ones; id and name stay.

        This is for an integration that was connected by `add` or `add_api_key`; a consent is renewed by `begin_reconnect`.  *ends_at* is
        as in `add`, and is said anew for each key.

        Raises as `add`, and `IntegrationNotFoundError`, `IntegrationInactiveError` or `GrantRefusedError` (another account, where
        accounts are pinned).
        """
        return self._run(
            flows.reconnect(
                self._wiring,
                tenant_id,
                integration,
                slot=slot,
                entered=read_inputs(inputs, method, ends_at),
                caller=self._acting(actor, request_id),
            )
        )

    def replace_api_key(
        self,
        tenant_id: str,
        integration: UUID | str,
        *,
        slot: str = "",
        api_key: Secret | str,
        secret_key: Secret | str | None = None,
        method: str | None = None,
        ends_at: datetime | None = None,
        actor: Actor | str | None = None,
        request_id: str | UUID | None = None,
    ) -> Integration:
        """Check a new key with the provider and store it in place of the old one; id and name stay.  *ends_at* is as in `reconnect`.

        Raises as `add_api_key`, and `IntegrationNotFoundError` or `IntegrationInactiveError`.
        """
        return self._run(
            flows.reconnect(
                self._wiring,
                tenant_id,
                integration,
                slot=slot,
                entered=read_key(api_key, secret_key, method, ends_at),
                caller=self._acting(actor, request_id),
            )
        )

    def import_credential(
        self,
        tenant_id: str,
        credential: ImportedGrant | ImportedKey,
        *,
        verify: bool = True,
        dry_run: bool = False,
        actor: Actor | str | None = None,
        request_id: str | UUID | None = None,
    ) -> Integration:
        """Store a credential that the application already holds; return the integration.  With *dry_run*, store nothing.

        With *verify* the provider must accept it first; an access token that has expired is stored without asking.  Raises
        `ValidationFailedError`, `ProviderNotFoundError`, `ProviderInactiveError`, `IntegrationExistsError`,
        `InvalidCredentialsError` or `ProviderUnavailableError`.
        """
        return self._run(
            flows.import_credential(
                self._wiring, tenant_id, credential, verify=verify, dry_run=dry_run, caller=self._acting(actor, request_id)
            )
        )


class AsyncAdding(AsyncPart):
    """The methods of `AsyncIntegrationManager` that connect an account with values."""

    async def add(
        self,
        tenant_id: str,
        provider: str | UUID,
        *,
        name: str,
        inputs: Mapping[str, Secret | str],
        method: str | None = None,
        ends_at: datetime | None = None,
        variables: Mapping[str, str] | None = None,
        slot: str = "",
        actor: Actor | str | None = None,
        request_id: str | UUID | None = None,
    ) -> Integration:
        """Connect a provider with what a tenant enters: check it with the provider, then store it sealed.

        *provider* is a slug or UUID.  *name* has 3 to 50 characters.  *inputs* are values by the names of the provider's inputs, which
        `list_providers` gives; text is wrapped as `Secret` at once.  *method* is the id of one of the provider's methods; left out, it is
        the first that the inputs fit.  *variables* are values by the names of the provider's variables.  *ends_at* is when the key
        ends, if the person who enters it knows: an aware time to come.  Where the provider says it, that counts.
        *slot* is 1 to 64 of a-z, 0-9, ".", "_" and "-"; it needs `Settings.slots`.  Left out, it is the default slot.

        Raises as `add_api_key`, and `TrustTooOpenError` if the provider's trust in our own issuer takes another tenant's token, too.
        """
        return await self._run(
            flows.add(
                self._wiring,
                tenant_id,
                provider,
                name=name,
                slot=slot,
                entered=read_inputs(inputs, method, ends_at),
                variables=variables,
                caller=self._acting(actor, request_id),
            )
        )

    async def add_api_key(
        self,
        tenant_id: str,
        provider: str | UUID,
        *,
        name: str,
        api_key: Secret | str,
        secret_key: Secret | str | None = None,
        method: str | None = None,
        ends_at: datetime | None = None,
        variables: Mapping[str, str] | None = None,
        slot: str = "",
        actor: Actor | str | None = None,
        request_id: str | UUID | None = None,
    ) -> Integration:
        """Check a key with the provider and store it sealed.

        *provider* is a slug or UUID; *name* has 3 to 50 characters; *secret_key* is the second half, where the provider has one;
        *method* is the id of one of the provider's methods; left out, it is the first whose key has this form.
        *variables* are values that the provider's addresses need; *ends_at* and *slot* are as in `add`.  Nothing is stored before the
        provider has accepted the key.
        Raises `ValidationFailedError`, `ProviderNotFoundError`, `ProviderInactiveError`, `IntegrationExistsError`,
        `InvalidCredentialsError` (the provider refused the key) or `ProviderUnavailableError` (it could not be asked).
        """
        return await self._run(
            flows.add(
                self._wiring,
                tenant_id,
                provider,
                name=name,
                slot=slot,
                entered=read_key(api_key, secret_key, method, ends_at),
                variables=variables,
                caller=self._acting(actor, request_id),
            )
        )

    async def reconnect(
        self,
        tenant_id: str,
        integration: UUID | str,
        *,
        slot: str = "",
        inputs: Mapping[str, Secret | str],
        method: str | None = None,
        ends_at: datetime | None = None,
        actor: Actor | str | None = None,
        request_id: str | UUID | None = None,
    ) -> Integration:
        """Check new inputs with the provider and store them in place of the old ones; id and name stay.

        This is for an integration that was connected by `add` or `add_api_key`; a consent is renewed by `begin_reconnect`.  *ends_at* is
        as in `add`, and is said anew for each key.

        Raises as `add`, and `IntegrationNotFoundError`, `IntegrationInactiveError` or `GrantRefusedError` (another account, where
        accounts are pinned).
        """
        return await self._run(
            flows.reconnect(
                self._wiring,
                tenant_id,
                integration,
                slot=slot,
                entered=read_inputs(inputs, method, ends_at),
                caller=self._acting(actor, request_id),
            )
        )

    async def replace_api_key(
        self,
        tenant_id: str,
        integration: UUID | str,
        *,
        slot: str = "",
        api_key: Secret | str,
        secret_key: Secret | str | None = None,
        method: str | None = None,
        ends_at: datetime | None = None,
        actor: Actor | str | None = None,
        request_id: str | UUID | None = None,
    ) -> Integration:
        """Check a new key with the provider and store it in place of the old one; id and name stay.  *ends_at* is as in `reconnect`.

        Raises as `add_api_key`, and `IntegrationNotFoundError` or `IntegrationInactiveError`.
        """
        return await self._run(
            flows.reconnect(
                self._wiring,
                tenant_id,
                integration,
                slot=slot,
                entered=read_key(api_key, secret_key, method, ends_at),
                caller=self._acting(actor, request_id),
            )
        )

    async def import_credential(
        self,
        tenant_id: str,
        credential: ImportedGrant | ImportedKey,
        *,
        verify: bool = True,
        dry_run: bool = False,
        actor: Actor | str | None = None,
        request_id: str | UUID | None = None,
    ) -> Integration:
        """Store a credential that the application already holds; return the integration.  With *dry_run*, store nothing.

        With *verify* the provider must accept it first; an access token that has expired is stored without asking.  Raises
        `ValidationFailedError`, `ProviderNotFoundError`, `ProviderInactiveError`, `IntegrationExistsError`,
        `InvalidCredentialsError` or `ProviderUnavailableError`.
        """
        return await self._run(
            flows.import_credential(
                self._wiring, tenant_id, credential, verify=verify, dry_run=dry_run, caller=self._acting(actor, request_id)
            )
        )
