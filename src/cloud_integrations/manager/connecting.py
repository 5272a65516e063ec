"""Connecting an account: by a key, by OAuth2, or by a credential that the application already has."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from uuid import UUID

from cloud_integrations import flows
from cloud_integrations.domain.arguments import CallbackParameters
from cloud_integrations.domain.audit import Actor
from cloud_integrations.domain.importing import ImportedGrant, ImportedKey
from cloud_integrations.domain.integration import Integration
from cloud_integrations.domain.pending import Authorization, Connected, PendingAuthorization
from cloud_integrations.domain.secret import Secret

from .parts import AsyncPart, Part


class Connecting(Part):
    """The methods of `IntegrationManager` that connect an account."""

    def add_api_key(
        self,
        tenant_id: str,
        provider: str | UUID,
        *,
        name: str,
        api_key: Secret | str,
        secret_key: Secret | str | None = None,
        variables: Mapping[str, str] | None = None,
        actor: Actor | str | None = None,
        request_id: str | UUID | None = None,
    ) -> Integration:
        """Check a key with the provider and store it sealed.

        *provider* is a slug or UUID; *name* has 3 to 50 characters.  Nothing is stored before the provider has accepted the key.
        Raises `ValidationFailedError`, `ProviderNotFoundError`, `ProviderInactiveError`, `IntegrationExistsError`,
        `InvalidCredentialsError` (the provider refused it) or `ProviderUnavailableError` (it could not be asked).
        """
        return self._run(
            flows.add_api_key(
                self._wiring,
                tenant_id,
                provider,
                name=name,
                api_key=api_key,
                secret_key=secret_key,
                variables=variables,
                caller=self._acting(actor, request_id),
            )
        )

    def replace_api_key(
        self,
        tenant_id: str,
        integration: UUID | str,
        *,
        api_key: Secret | str,
        secret_key: Secret | str | None = None,
        actor: Actor | str | None = None,
        request_id: str | UUID | None = None,
    ) -> Integration:
        """Check a new key with the provider and put it in the place of the old one; id and name stay.

        Raises as `add_api_key`, and `IntegrationNotFoundError` or `IntegrationInactiveError`.
        """
        return self._run(
            flows.replace_api_key(
                self._wiring, tenant_id, integration, api_key=api_key, secret_key=secret_key, caller=self._acting(actor, request_id)
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
        """Take over a credential that the application already holds; return what is stored, or would be (*dry_run*).

        With *verify* the provider must accept it first; an access token that has ended is stored without asking.  Raises
        `ValidationFailedError`, `ProviderNotFoundError`, `ProviderInactiveError`, `IntegrationExistsError`,
        `InvalidCredentialsError` or `ProviderUnavailableError`.
        """
        return self._run(
            flows.import_credential(
                self._wiring, tenant_id, credential, verify=verify, dry_run=dry_run, caller=self._acting(actor, request_id)
            )
        )

    def begin_oauth(
        self,
        tenant_id: str,
        provider: str | UUID,
        *,
        name: str,
        scopes: Sequence[str] = (),
        return_to: str | None = None,
        variables: Mapping[str, str] | None = None,
        actor: Actor | str | None = None,
        request_id: str | UUID | None = None,
    ) -> Authorization:
        """Begin an authorization code flow with PKCE (RFC 6749 §4.1, RFC 7636); open the URL it gives in the actor's browser.

        *return_to* is a same-origin absolute path for after the callback.  Raises `ValidationFailedError`, `ProviderNotFoundError`,
        `ProviderInactiveError` or `IntegrationExistsError`.
        """
        return self._run(
            flows.begin_oauth(
                self._wiring,
                tenant_id,
                provider,
                name=name,
                scopes=scopes,
                return_to=return_to,
                variables=variables,
                caller=self._acting(actor, request_id),
            )
        )

    def begin_reconnect(
        self,
        tenant_id: str,
        integration: UUID | str,
        *,
        scopes: Sequence[str] = (),
        return_to: str | None = None,
        actor: Actor | str | None = None,
        request_id: str | UUID | None = None,
    ) -> Authorization:
        """Begin an authorization for an existing OAuth2 integration; the held credential stays until the new one is stored.

        Raises `IntegrationNotFoundError`, `IntegrationInactiveError`, `ProviderNotFoundError`, `ProviderInactiveError` or
        `ValidationFailedError` (an API key has no authorization).
        """
        return self._run(
            flows.begin_reconnect(
                self._wiring, tenant_id, integration, scopes=scopes, return_to=return_to, caller=self._acting(actor, request_id)
            )
        )

    def find_authorization(
        self,
        state: Secret | str,
        *,
        actor: Actor | str | None = None,
        request_id: str | UUID | None = None,
    ) -> PendingAuthorization | None:
        """Return the open authorization with this state, if the actor began it; None otherwise."""
        return self._run(flows.find_authorization(self._wiring, state, caller=self._acting(actor, request_id)))

    def complete_oauth(
        self,
        context_id: UUID | str,
        params: CallbackParameters,
        *,
        browser_token: Secret | str | None,
        actor: Actor | str | None = None,
        request_id: str | UUID | None = None,
    ) -> Connected:
        """Finish an authorization with what the provider brought to the callback: its query parameters, in order.

        The actor must be the one who began it, *browser_token* the value kept in that browser, *context_id* the last part of the
        callback's path; all is checked before the provider is asked for tokens (RFC 9700 §4.7, RFC 9207).
        Raises `GrantRefusedError`, `IntegrationExistsError`, `ProviderUnavailableError` or `AppMisconfiguredError`.
        """
        return self._run(
            flows.complete_oauth(self._wiring, context_id, params, browser_token=browser_token, caller=self._acting(actor, request_id))
        )

    def add_oauth_code(
        self,
        tenant_id: str,
        provider: str | UUID,
        *,
        name: str,
        code: Secret | str,
        redirect_uri: str,
        state: Secret | str | None = None,
        variables: Mapping[str, str] | None = None,
        actor: Actor | str | None = None,
        request_id: str | UUID | None = None,
    ) -> Integration:
        """Finish an authorization whose code the host's own front end received.

        With *state* it must be one that the actor began here.  Without, the code is unbound: accepted only with an allowed redirect
        URI and while nothing is pending for this tenant and provider, never with `Settings.require_state`, and audited as unbound.
        Raises as `complete_oauth`, and `ValidationFailedError`.
        """
        return self._run(
            flows.add_oauth_code(
                self._wiring,
                tenant_id,
                provider,
                name=name,
                code=code,
                redirect_uri=redirect_uri,
                state=state,
                variables=variables,
                caller=self._acting(actor, request_id),
            )
        )


class AsyncConnecting(AsyncPart):
    """The methods of `AsyncIntegrationManager` that connect an account."""

    async def add_api_key(
        self,
        tenant_id: str,
        provider: str | UUID,
        *,
        name: str,
        api_key: Secret | str,
        secret_key: Secret | str | None = None,
        variables: Mapping[str, str] | None = None,
        actor: Actor | str | None = None,
        request_id: str | UUID | None = None,
    ) -> Integration:
        """Check a key with the provider and store it sealed."""
        return await self._run(
            flows.add_api_key(
                self._wiring,
                tenant_id,
                provider,
                name=name,
                api_key=api_key,
                secret_key=secret_key,
                variables=variables,
                caller=self._acting(actor, request_id),
            )
        )

    async def replace_api_key(
        self,
        tenant_id: str,
        integration: UUID | str,
        *,
        api_key: Secret | str,
        secret_key: Secret | str | None = None,
        actor: Actor | str | None = None,
        request_id: str | UUID | None = None,
    ) -> Integration:
        """Check a new key with the provider and put it in the place of the old one; id and name stay."""
        return await self._run(
            flows.replace_api_key(
                self._wiring, tenant_id, integration, api_key=api_key, secret_key=secret_key, caller=self._acting(actor, request_id)
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
        """Take over a credential that the application already holds; return what is stored, or would be (*dry_run*).

        With *verify* the provider must accept it first; an access token that has ended is stored without asking.  Raises
        `ValidationFailedError`, `ProviderNotFoundError`, `ProviderInactiveError`, `IntegrationExistsError`,
        `InvalidCredentialsError` or `ProviderUnavailableError`.
        """
        return await self._run(
            flows.import_credential(
                self._wiring, tenant_id, credential, verify=verify, dry_run=dry_run, caller=self._acting(actor, request_id)
            )
        )

    async def begin_oauth(
        self,
        tenant_id: str,
        provider: str | UUID,
        *,
        name: str,
        scopes: Sequence[str] = (),
        return_to: str | None = None,
        variables: Mapping[str, str] | None = None,
        actor: Actor | str | None = None,
        request_id: str | UUID | None = None,
    ) -> Authorization:
        """Begin an authorization code flow with PKCE (RFC 6749 §4.1, RFC 7636); open the URL it gives in the actor's browser."""
        return await self._run(
            flows.begin_oauth(
                self._wiring,
                tenant_id,
                provider,
                name=name,
                scopes=scopes,
                return_to=return_to,
                variables=variables,
                caller=self._acting(actor, request_id),
            )
        )

    async def begin_reconnect(
        self,
        tenant_id: str,
        integration: UUID | str,
        *,
        scopes: Sequence[str] = (),
        return_to: str | None = None,
        actor: Actor | str | None = None,
        request_id: str | UUID | None = None,
    ) -> Authorization:
        """Begin an authorization for an existing OAuth2 integration; the held credential stays until the new one is stored."""
        return await self._run(
            flows.begin_reconnect(
                self._wiring, tenant_id, integration, scopes=scopes, return_to=return_to, caller=self._acting(actor, request_id)
            )
        )

    async def find_authorization(
        self,
        state: Secret | str,
        *,
        actor: Actor | str | None = None,
        request_id: str | UUID | None = None,
    ) -> PendingAuthorization | None:
        """Return the open authorization with this state, if the actor began it; None otherwise."""
        return await self._run(flows.find_authorization(self._wiring, state, caller=self._acting(actor, request_id)))

    async def complete_oauth(
        self,
        context_id: UUID | str,
        params: CallbackParameters,
        *,
        browser_token: Secret | str | None,
        actor: Actor | str | None = None,
        request_id: str | UUID | None = None,
    ) -> Connected:
        """Finish an authorization with what the provider brought to the callback: its query parameters, in order."""
        return await self._run(
            flows.complete_oauth(self._wiring, context_id, params, browser_token=browser_token, caller=self._acting(actor, request_id))
        )

    async def add_oauth_code(
        self,
        tenant_id: str,
        provider: str | UUID,
        *,
        name: str,
        code: Secret | str,
        redirect_uri: str,
        state: Secret | str | None = None,
        variables: Mapping[str, str] | None = None,
        actor: Actor | str | None = None,
        request_id: str | UUID | None = None,
    ) -> Integration:
        """Finish an authorization whose code the host's own front end received."""
        return await self._run(
            flows.add_oauth_code(
                self._wiring,
                tenant_id,
                provider,
                name=name,
                code=code,
                redirect_uri=redirect_uri,
                state=state,
                variables=variables,
                caller=self._acting(actor, request_id),
            )
        )
