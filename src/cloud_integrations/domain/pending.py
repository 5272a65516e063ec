"""Authorizations that have begun and are not yet completed."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, TypeVar
from uuid import UUID

from cloud_integrations.domain.audit import Actor
from cloud_integrations.domain.device import Polling
from cloud_integrations.domain.identifiers import ContextId, IntegrationId, ProviderId, TenantId
from cloud_integrations.domain.integration import Integration
from cloud_integrations.domain.secret import Secret

MAX_PENDING = 20
"""The largest number of open authorizations per tenant and actor."""
MAX_PENDING_OF_TENANT = 500
"""The largest number of open authorizations per tenant, of all its actors together."""

PendingKind = Literal["callback", "device", "setup"]
"""What completes an authorization: the browser's callback (`callback`), the provider's answer to a device code (`device`), or what the
tenant enters after a setup at the provider (`setup`)."""
Key = TypeVar("Key", bound=Hashable)


@dataclass(frozen=True, slots=True, kw_only=True)
class PendingAuthorization:
    """An authorization that has begun, with all that its completion is checked against; of `state` only the SHA-256 is stored."""

    state_hash: bytes = field(repr=False)
    awaits: PendingKind = "callback"
    """What completes it; a callback finds only those that await one."""
    tenant_id: TenantId
    provider_id: ProviderId
    slot: str = ""
    """The slot that the new integration will have, or that of the integration to reconnect."""
    method_id: str
    context_id: ContextId | None = None
    """The OAuth application; None: none is used."""
    integration_id: IntegrationId
    """The id that the new integration will have, or the id of the integration to reconnect."""
    reconnects_generation: int | None = None
    """For a reconnect, the credential's generation when it began; None: a new integration."""
    actor: Actor
    browser_hash: bytes | None = field(repr=False)
    """SHA-256 of the value in the browser's cookie; None only if the host itself completes the authorization with a posted code."""
    name: str
    redirect_uri: str | None = None
    """Where the provider sends the browser back; None: nowhere."""
    scopes: tuple[str, ...] = ()
    sealed_parts: bytes | None = field(default=None, repr=False)
    """Named secret parts, sealed as `domain.parts.pack` packs them: `verifier` (PKCE), `device_code`, or what the library made for a
    setup."""
    key_id: UUID | None = None
    """The data key that sealed the parts."""
    issuer: str | None = None
    """The `iss` to expect in the callback (RFC 9207); None: not known."""
    variables: dict[str, str] = field(default_factory=dict)
    return_to: str | None = None
    polling: Polling | None = None
    """When the provider may be asked about a device code; None: there is none."""
    created_at: datetime
    expires_at: datetime
    consumed_at: datetime | None = None

    def __post_init__(self) -> None:
        if self.awaits == "callback" and (self.context_id is None or self.redirect_uri is None):
            raise ValueError("what awaits a callback has an application and a redirect URI")
        if (self.awaits == "device") is (self.polling is None):
            raise ValueError("what awaits the answer to a device code says when the provider may be asked, and nothing else does")


@dataclass(frozen=True, slots=True, kw_only=True)
class Authorization:
    """An authorization that has begun: what the caller needs to send a browser to the provider.

    Open `url` in the browser of the actor.  Store `browser_token` in a cookie of that browser, and pass it on with the callback.
    `state` is for callers that receive the code themselves.  The authorization ends at `expires_at`, an aware UTC datetime.
    """

    url: str = field(repr=False)
    state: Secret
    browser_token: Secret
    context_id: ContextId
    integration_id: IntegrationId
    redirect_uri: str
    expires_at: datetime
    open_before: datetime | None = None
    """Until when `url` may be opened, if the provider says (RFC 9126 §2.2); None: until `expires_at`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountGrants:
    """How many grants of one account a tenant holds, where the provider lets only so many live."""

    held: int
    """How many of the tenant's integrations hold one, by the same application.  Other tenants' are not counted."""
    most: int
    """How many the provider lets live; a further one ends the oldest without notice."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Connected:
    """The result of a completed authorization."""

    integration: Integration
    return_to: str | None = None
    """The address to go on to, as passed when the authorization began."""
    account_changed: bool = False
    """Whether the account of a reconnect is another one than before."""
    shared: bool = False
    """Whether another tenant's integration has the same token (for example a workspace's bot token).

    Removing one of them does not revoke the token.
    """
    grants: AccountGrants | None = None
    """Set if the tenant now holds several grants of this account, and the provider limits their number."""


def most_of_actor(kind: PendingKind, /) -> int:
    """Return the largest number of authorizations of one actor in a tenant; setups count for the tenant alone, and apart from others."""
    return MAX_PENDING_OF_TENANT if kind == "setup" else MAX_PENDING


def surplus(opened: Sequence[tuple[Key, Actor]], begins: Actor, /, *, most: int = MAX_PENDING) -> list[Key]:
    """Return the keys of the open authorizations to delete before the actor *begins* opens another one.

    *opened* are the tenant's open authorizations, newest first.  First go the actor's own oldest, beyond *most*.  While the
    tenant still has `MAX_PENDING_OF_TENANT`, the actor with the most loses its oldest one; among equals, the oldest of all goes.  So a
    single actor can push out only its own.
    """
    by_actor: dict[Actor, list[tuple[int, Key]]] = {begins: []}
    for age, (key, actor) in enumerate(opened):
        by_actor.setdefault(actor, []).append((age, key))
    own = by_actor[begins]
    dropped = [key for _, key in own[most - 1 :]]
    del own[most - 1 :]
    while len(opened) - len(dropped) >= MAX_PENDING_OF_TENANT:
        # The new authorization counts for its actor, too; an actor without another one has none to lose.
        holders = [(len(stored) + (actor == begins), stored[-1][0], stored) for actor, stored in by_actor.items() if stored]
        _, _, largest = max(holders, key=lambda holder: holder[:2])
        dropped.append(largest.pop()[1])
    return dropped
