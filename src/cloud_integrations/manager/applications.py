"""OAuth applications that tenants registered themselves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from uuid import UUID

from cloud_integrations import flows
from cloud_integrations.domain.application import ClientAuth
from cloud_integrations.domain.audit import Actor
from cloud_integrations.domain.secret import Secret
from cloud_integrations.domain.tenant_application import TenantApplication

from .parts import AsyncPart, Part


class Applications(Part):
    """Tenants' own OAuth applications: `manager.applications`."""

    def save(
        self,
        tenant_id: str,
        provider: str | UUID,
        *,
        client_id: str,
        client_secret: Secret | str | Sequence[Secret | str] | None = None,
        method: str | None = None,
        scopes: Sequence[str] = (),
        variables: Mapping[str, str] | None = None,
        client_auth: ClientAuth | None = None,
        issuer: str | None = None,
        actor: Actor | str | None = None,
        request_id: str | UUID | None = None,
    ) -> TenantApplication:
        """Seal and store an OAuth application that the tenant registered at *provider* itself.

        The tenant's new authorizations use it in place of the operator's; grants that exist keep the application they were issued to.
        With the same *client_id* and the same *variables* it replaces the stored one, for example to change its secret.  While a secret
        is rotated, *client_secret* is a list of at most five, the new one first; None for a public client.  *variables* choose the
        provider's endpoints, which alone the secret is sent to: an authorization with other variables uses the operator's
        application, if there is one.

        Register the `redirect_uri` of the answer at the provider.  Raises `TenantNotFoundError`, `ProviderNotFoundError`,
        `ProviderInactiveError` or `ValidationFailedError`.
        """
        return self._run(
            flows.save_application(
                self._wiring,
                tenant_id,
                provider,
                client_id=client_id,
                client_secret=client_secret,
                method=method,
                scopes=scopes,
                variables=variables,
                client_auth=client_auth,
                issuer=issuer,
                caller=self._acting(actor, request_id),
            )
        )

    def list(self, tenant_id: str) -> tuple[TenantApplication, ...]:
        """Return the applications of a tenant, the one that was added last first, without their secrets.

        Raises `TenantNotFoundError` or `ValidationFailedError`.
        """
        return self._run(flows.list_applications(self._wiring, tenant_id))

    def remove(
        self, tenant_id: str, application_id: UUID | str, *, actor: Actor | str | None = None, request_id: str | UUID | None = None
    ) -> None:
        """Delete a tenant's application, named by its id, with its secrets.  Nothing changes at the provider.

        Raises `ApplicationNotFoundError`, or `ApplicationInUseError` while an integration has a grant that was issued to it, or a token
        of one waits for its revocation.
        """
        self._run(flows.remove_application(self._wiring, tenant_id, application_id, caller=self._acting(actor, request_id)))


class AsyncApplications(AsyncPart):
    """Tenants' own OAuth applications: `manager.applications`."""

    async def save(
        self,
        tenant_id: str,
        provider: str | UUID,
        *,
        client_id: str,
        client_secret: Secret | str | Sequence[Secret | str] | None = None,
        method: str | None = None,
        scopes: Sequence[str] = (),
        variables: Mapping[str, str] | None = None,
        client_auth: ClientAuth | None = None,
        issuer: str | None = None,
        actor: Actor | str | None = None,
        request_id: str | UUID | None = None,
    ) -> TenantApplication:
        """Seal and store an OAuth application that the tenant registered at *provider* itself.

        The tenant's new authorizations use it in place of the operator's; grants that exist keep the application they were issued to.
        With the same *client_id* and the same *variables* it replaces the stored one, for example to change its secret.  While a secret
        is rotated, *client_secret* is a list of at most five, the new one first; None for a public client.  *variables* choose the
        provider's endpoints, which alone the secret is sent to: an authorization with other variables uses the operator's
        application, if there is one.

        Register the `redirect_uri` of the answer at the provider.  Raises `TenantNotFoundError`, `ProviderNotFoundError`,
        `ProviderInactiveError` or `ValidationFailedError`.
        """
        return await self._run(
            flows.save_application(
                self._wiring,
                tenant_id,
                provider,
                client_id=client_id,
                client_secret=client_secret,
                method=method,
                scopes=scopes,
                variables=variables,
                client_auth=client_auth,
                issuer=issuer,
                caller=self._acting(actor, request_id),
            )
        )

    async def list(self, tenant_id: str) -> tuple[TenantApplication, ...]:
        """Return the applications of a tenant, the one that was added last first, without their secrets.

        Raises `TenantNotFoundError` or `ValidationFailedError`.
        """
        return await self._run(flows.list_applications(self._wiring, tenant_id))

    async def remove(
        self, tenant_id: str, application_id: UUID | str, *, actor: Actor | str | None = None, request_id: str | UUID | None = None
    ) -> None:
        """Delete a tenant's application, named by its id, with its secrets.  Nothing changes at the provider.

        Raises `ApplicationNotFoundError`, or `ApplicationInUseError` while an integration has a grant that was issued to it, or a token
        of one waits for its revocation.
        """
        await self._run(flows.remove_application(self._wiring, tenant_id, application_id, caller=self._acting(actor, request_id)))
