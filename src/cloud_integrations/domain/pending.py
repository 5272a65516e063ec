"""An authorization that was begun and has not come back."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from cloud_integrations.domain.audit import Actor
from cloud_integrations.domain.identifiers import ContextId, IntegrationId, ProviderId, TenantId
from cloud_integrations.domain.integration import Integration
from cloud_integrations.domain.secret import Secret


@dataclass(frozen=True, slots=True, kw_only=True)
class PendingAuthorization:
    """What was fixed when an authorization began; `state` itself is kept only as its SHA-256."""

    state_hash: bytes = field(repr=False)
    tenant_id: TenantId
    provider_id: ProviderId
    method_id: str
    context_id: ContextId
    integration_id: IntegrationId
    """The id the new integration will have, or the one being reconnected."""
    reconnects_generation: int | None = None
    """Set when reconnecting: the credential's generation at the start."""
    actor: Actor
    browser_hash: bytes | None = field(repr=False)
    """SHA-256 of the value kept in the browser's cookie; None only where the host completes it itself (posted code)."""
    name: str
    redirect_uri: str
    scopes: tuple[str, ...] = ()
    sealed_verifier: bytes | None = field(default=None, repr=False)
    key_id: UUID | None = None
    """The data key that sealed the verifier."""
    issuer: str | None = None
    variables: dict[str, str] = field(default_factory=dict)
    return_to: str | None = None
    created_at: datetime
    expires_at: datetime
    consumed_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Authorization:
    """What the caller needs to send a browser on its way.

    Open `url` in the browser of `actor`; keep `browser_token` in that browser (a cookie) and give
    it back with the callback.  `state` is for callers that receive the code themselves.
    """

    url: str = field(repr=False)
    state: Secret
    browser_token: Secret
    context_id: ContextId
    integration_id: IntegrationId
    redirect_uri: str
    expires_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Connected:
    """What a finished authorization gave."""

    integration: Integration
    return_to: str | None = None
    account_changed: bool = False
    """A reconnect answered as another account than before."""
    shared: bool = False
    """Another tenant's integration holds the same token, a workspace's bot token, say: removing one does not revoke it."""
