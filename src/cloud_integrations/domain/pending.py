"""An authorization that was begun and has not come back."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeVar
from uuid import UUID

from cloud_integrations.domain.audit import Actor
from cloud_integrations.domain.identifiers import ContextId, IntegrationId, ProviderId, TenantId
from cloud_integrations.domain.integration import Integration
from cloud_integrations.domain.secret import Secret

MAX_PENDING = 20
"""Open authorizations per tenant and actor (OAU-013)."""
MAX_PENDING_OF_TENANT = 500
"""Open authorizations per tenant, of all its actors."""

Key = TypeVar("Key", bound=Hashable)


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


def surplus(opened: Sequence[tuple[Key, Actor]], begins: Actor, /) -> list[Key]:
    """Return which of a tenant's open authorizations, newest first, make room for one that *begins* opens.

    Of the actor's own, the oldest beyond `MAX_PENDING`.  Where the tenant then still has `MAX_PENDING_OF_TENANT`, whoever has the most
    loses the oldest; among equals, the oldest of all goes.  So one actor alone pushes out only its own.
    """
    by_actor: dict[Actor, list[tuple[int, Key]]] = {begins: []}
    for age, (key, actor) in enumerate(opened):
        by_actor.setdefault(actor, []).append((age, key))
    own = by_actor[begins]
    dropped = [key for _, key in own[MAX_PENDING - 1 :]]
    del own[MAX_PENDING - 1 :]
    while len(opened) - len(dropped) >= MAX_PENDING_OF_TENANT:
        # The one that begins counts, too; an actor whose only one it is has nothing to lose.
        holders = [(len(stored) + (actor == begins), stored[-1][0], stored) for actor, stored in by_actor.items() if stored]
        _, _, most = max(holders, key=lambda holder: holder[:2])
        dropped.append(most.pop()[1])
    return dropped
