"""An OAuth application that a tenant registered itself at a provider."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from cloud_integrations.domain.application import ClientAuth
from cloud_integrations.domain.identifiers import ContextId, ProviderId, TenantId


@dataclass(frozen=True, slots=True, kw_only=True)
class TenantApplication:
    """A tenant's own OAuth application at a provider, without its secret.

    New authorizations of this tenant use it in place of the operator's.  A grant is renewed and revoked with the application that it
    was issued to.
    """

    id: ContextId
    """Made from the provider, its endpoints and the client id: the secret is sent to these endpoints and to no others."""
    tenant_id: TenantId
    provider_id: ProviderId
    method_id: str
    client_id: str
    secrets: int = 1
    """How many client secrets are stored; 0 for a public client."""
    scopes: tuple[str, ...] = ()
    """The scopes to ask for when the caller names none; empty: the provider's default."""
    client_auth: ClientAuth | None = None
    """How it authenticates; None: the first way of the provider that fits."""
    issuer: str | None = None
    """The `iss` to expect in the callback (RFC 9207); None: the issuer of the catalogue, where it has one."""
    variables: Mapping[str, str] = field(default_factory=dict)
    """The variables that the endpoints were made from."""
    redirect_uri: str | None = None
    """The address to register at the provider, as this installation is configured now; it is not stored."""
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredApplication:
    """A tenant's application with its sealed secrets, which are parts in the order in which they are tried."""

    facts: TenantApplication
    generation: int
    """One more with every change; part of the sealing context."""
    key_id: UUID
    sealed_secrets: bytes = field(repr=False)
