"""Connecting an account: by OAuth2."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from uuid import UUID

from cloud_integrations import flows
from cloud_integrations.domain.arguments import CallbackParameters
from cloud_integrations.domain.audit import Actor
from cloud_integrations.domain.guides.values import Guide
from cloud_integrations.domain.integration import Integration
from cloud_integrations.domain.pending import Authorization, Connected, PendingAuthorization
from cloud_integrations.domain.secret import Secret

from .parts import AsyncPart, Part


class Connecting(Part):
    """The methods of `IntegrationManager` that connect an account by a consent at its provider, and tell what to do there before."""

    def guide(
        self,
        provider: str | UUID,
        *,
        method: str | None = None,
        tenant_id: str | None = None,
        variables: Mapping[str, str] | None = None,
        inputs: Mapping[str, str] | None = None,
    ) -> Guide:
        """Return what a person does at *provider* so that a method can be connected: steps, links, documents, and how to undo it.

        *method* is the id of a method; left out, it is the first one that has a guide.  *tenant_id* is the tenant for whom the guide is:
        the subject of our own issuer's tokens differs for each.  *variables* are values of the provider's
        variables, *inputs* those of the method's inputs that are no secrets, as far as they are known; what is not known stands as
        `<NAME>`, and `Guide.missing` lists it.  The permissions are those of `Settings.policies`.
        Raises `ProviderNotFoundError`, `ProviderInactiveError` (the guide shows permissions, and the settings have none for it) or
        `ValidationFailedError` (there is no guide, or a value is not valid).  Nothing is asked of the store or the host's `Tenants`.
        """
        return flows.guide(self._wiring, provider, method=method, tenant=tenant_id, variables=variables, inputs=inputs)

    def begin_oauth(
        self,
        tenant_id: str,
        provider: str | UUID,
        *,
        name: str,
        scopes: Sequence[str] = (),
        return_to: str | None = None,
        method: str | None = None,
        variables: Mapping[str, str] | None = None,
        slot: str = "",
        actor: Actor | str | None = None,
        request_id: str | UUID | None = None,
    ) -> Authorization:
        """Begin an authorization code flow with PKCE (RFC 6749 §4.1, RFC 7636); open the returned URL in the actor's browser.

        *return_to* is an absolute path on the host's own site, for after the callback.  *method* is the id of the method for which the
        operator has an application; another one is refused.  *variables* are values that the provider's addresses need.
        *slot* is the slot of the new integration, as in `add`; the authorization keeps it.
        Raises `ValidationFailedError`, `ProviderNotFoundError`, `ProviderInactiveError` or `IntegrationExistsError`.
        """
        return self._run(
            flows.begin_oauth(
                self._wiring,
                tenant_id,
                provider,
                name=name,
                slot=slot,
                scopes=scopes,
                return_to=return_to,
                method=method,
                variables=variables,
                caller=self._acting(actor, request_id),
            )
        )

    def begin_reconnect(
        self,
        tenant_id: str,
        integration: UUID | str,
        *,
        slot: str = "",
        scopes: Sequence[str] = (),
        return_to: str | None = None,
        method: str | None = None,
        actor: Actor | str | None = None,
        request_id: str | UUID | None = None,
    ) -> Authorization:
        """Begin an authorization for an existing OAuth2 integration; its credential stays until the new one is stored.

        Raises `IntegrationNotFoundError`, `IntegrationInactiveError`, `ProviderNotFoundError`, `ProviderInactiveError` or
        `ValidationFailedError` (an API key has no authorization).
        """
        return self._run(
            flows.begin_reconnect(
                self._wiring,
                tenant_id,
                integration,
                slot=slot,
                scopes=scopes,
                return_to=return_to,
                method=method,
                caller=self._acting(actor, request_id),
            )
        )

    def find_authorization(
        self,
        state: Secret | str,
        *,
        actor: Actor | str | None = None,
        request_id: str | UUID | None = None,
    ) -> PendingAuthorization | None:
        """Return the pending authorization with this *state* if the actor began it, else None."""
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
        """Finish an authorization with the callback's query parameters, in their order; return what was connected.

        The actor must be the one who began; *browser_token* is the value kept in that browser; *context_id* is the last part of the
        callback's path.  All is checked before the provider is asked for tokens (RFC 9700 §4.7, RFC 9207).
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
        method: str | None = None,
        variables: Mapping[str, str] | None = None,
        slot: str = "",
        actor: Actor | str | None = None,
        request_id: str | UUID | None = None,
    ) -> Integration:
        """Finish an authorization whose code the host's own front end received.

        With *state*, the actor must have begun that authorization here, for this *slot*.  Without it the code is unbound: it is accepted
        only with an allowed redirect URI, while nothing is pending for this tenant, provider and slot, and without
        `Settings.require_state`; the audit log says that it was unbound.
        Raises as `complete_oauth`, and `ValidationFailedError`.
        """
        return self._run(
            flows.add_oauth_code(
                self._wiring,
                tenant_id,
                provider,
                name=name,
                slot=slot,
                code=code,
                redirect_uri=redirect_uri,
                state=state,
                method=method,
                variables=variables,
                caller=self._acting(actor, request_id),
            )
        )


class AsyncConnecting(AsyncPart):
    """The methods of `AsyncIntegrationManager` that connect an account by a consent at its provider, and tell what to do there before."""

    def guide(
        self,
        provider: str | UUID,
        *,
        method: str | None = None,
        tenant_id: str | None = None,
        variables: Mapping[str, str] | None = None,
        inputs: Mapping[str, str] | None = None,
    ) -> Guide:
        """Return what a person does at *provider* so that a method can be connected: steps, links, documents, and how to undo it.

        *method* is the id of a method; left out, it is the first one that has a guide.  *tenant_id* is the tenant for whom the guide is:
        the subject of our own issuer's tokens differs for each.  *variables* are values of the provider's
        variables, *inputs* those of the method's inputs that are no secrets, as far as they are known; what is not known stands as
        `<NAME>`, and `Guide.missing` lists it.  The permissions are those of `Settings.policies`.
        Raises `ProviderNotFoundError`, `ProviderInactiveError` (the guide shows permissions, and the settings have none for it) or
        `ValidationFailedError` (there is no guide, or a value is not valid).  Nothing is asked of the store or the host's `Tenants`.
        """
        return flows.guide(self._wiring, provider, method=method, tenant=tenant_id, variables=variables, inputs=inputs)

    async def begin_oauth(
        self,
        tenant_id: str,
        provider: str | UUID,
        *,
        name: str,
        scopes: Sequence[str] = (),
        return_to: str | None = None,
        method: str | None = None,
        variables: Mapping[str, str] | None = None,
        slot: str = "",
        actor: Actor | str | None = None,
        request_id: str | UUID | None = None,
    ) -> Authorization:
        """Begin an authorization code flow with PKCE (RFC 6749 §4.1, RFC 7636); open the returned URL in the actor's browser.

        *return_to* is an absolute path on the host's own site, for after the callback.  *method* is the id of the method for which the
        operator has an application; another one is refused.  *variables* are values that the provider's addresses need.
        *slot* is the slot of the new integration, as in `add`; the authorization keeps it.
        Raises `ValidationFailedError`, `ProviderNotFoundError`, `ProviderInactiveError` or `IntegrationExistsError`.
        """
        return await self._run(
            flows.begin_oauth(
                self._wiring,
                tenant_id,
                provider,
                name=name,
                slot=slot,
                scopes=scopes,
                return_to=return_to,
                method=method,
                variables=variables,
                caller=self._acting(actor, request_id),
            )
        )

    async def begin_reconnect(
        self,
        tenant_id: str,
        integration: UUID | str,
        *,
        slot: str = "",
        scopes: Sequence[str] = (),
        return_to: str | None = None,
        method: str | None = None,
        actor: Actor | str | None = None,
        request_id: str | UUID | None = None,
    ) -> Authorization:
        """Begin an authorization for an existing OAuth2 integration; its credential stays until the new one is stored.

        Raises `IntegrationNotFoundError`, `IntegrationInactiveError`, `ProviderNotFoundError`, `ProviderInactiveError` or
        `ValidationFailedError` (an API key has no authorization).
        """
        return await self._run(
            flows.begin_reconnect(
                self._wiring,
                tenant_id,
                integration,
                slot=slot,
                scopes=scopes,
                return_to=return_to,
                method=method,
                caller=self._acting(actor, request_id),
            )
        )

    async def find_authorization(
        self,
        state: Secret | str,
        *,
        actor: Actor | str | None = None,
        request_id: str | UUID | None = None,
    ) -> PendingAuthorization | None:
        """Return the pending authorization with this *state* if the actor began it, else None."""
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
        """Finish an authorization with the callback's query parameters, in their order; return what was connected.

        The actor must be the one who began; *browser_token* is the value kept in that browser; *context_id* is the last part of the
        callback's path.  All is checked before the provider is asked for tokens (RFC 9700 §4.7, RFC 9207).
        Raises `GrantRefusedError`, `IntegrationExistsError`, `ProviderUnavailableError` or `AppMisconfiguredError`.
        """
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
        method: str | None = None,
        variables: Mapping[str, str] | None = None,
        slot: str = "",
        actor: Actor | str | None = None,
        request_id: str | UUID | None = None,
    ) -> Integration:
        """Finish an authorization whose code the host's own front end received.

        With *state*, the actor must have begun that authorization here, for this *slot*.  Without it the code is unbound: it is accepted
        only with an allowed redirect URI, while nothing is pending for this tenant, provider and slot, and without
        `Settings.require_state`; the audit log says that it was unbound.
        Raises as `complete_oauth`, and `ValidationFailedError`.
        """
        return await self._run(
            flows.add_oauth_code(
                self._wiring,
                tenant_id,
                provider,
                name=name,
                slot=slot,
                code=code,
                redirect_uri=redirect_uri,
                state=state,
                method=method,
                variables=variables,
                caller=self._acting(actor, request_id),
            )
        )
