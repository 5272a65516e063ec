"""Connect sessions: a link by which one browser may connect accounts for a tenant, without the host's own sign-in."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from .audit import Actor
from .identifiers import ConnectSessionId, TenantId
from .secret import Secret
from .serialisation import Serialisable

LINK_LIFE: Final = timedelta(minutes=30)
"""How long a link can be opened."""
VISIT_LIFE: Final = timedelta(minutes=30)
"""How long the browser that opened a link may go on."""
HAND_OVER_LIFE: Final = timedelta(minutes=10)
"""How long another window of that browser can join the visit by a token that the visit was given for it."""
MOST_CONNECT_SESSIONS: Final = 50
"""The most connect sessions of one tenant that have not ended."""
MOST_NAMED: Final = 50
"""The most providers that one session may name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectSession(Serialisable):
    """What a browser may connect, for which tenant and in whose name; it has no secret, and has ended at the instant `expires_at`."""

    id: ConnectSessionId
    tenant_id: TenantId
    actor: Actor
    """Who connects: the audit log names this actor."""
    providers: tuple[str, ...] = ()
    """The slugs of the providers that may be connected; empty: all."""
    slot: str = ""
    locale: str | None = None
    """The language of the pages, as a tag such as `de`; None: that of the browser."""
    return_to: str | None = None
    """Where the pages lead back to: a path of the host's, or an https URL; None: nowhere."""
    origin: str | None = None
    """The site that shows the pages in a frame or opened their window, and is told what happened; None: none is."""
    created_at: datetime
    expires_at: datetime
    opened_at: datetime | None = None
    """When a browser opened the link, which cannot be opened again; None: none has."""

    def allows(self, provider: str, slot: str, /) -> bool:
        """Return whether the session is for the provider with this slug, in this slot."""
        return slot == self.slot and (not self.providers or provider in self.providers)


@dataclass(frozen=True, slots=True, kw_only=True)
class NewConnectSession:
    """A connect session that was just created, with the token of its link, which is stored as a hash only."""

    session: ConnectSession
    link_token: Secret


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenedConnectSession:
    """A connect session that was just opened, with the token by which its browser is known; that is stored as a hash only."""

    session: ConnectSession
    browser_token: Secret


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredConnectSession:
    """A connect session as its row has it.

    `token_hash` is that of the link until it is opened, then that of the browser: so a link that was opened is found no more.
    `fingerprint` shows that nobody edited the row.
    """

    facts: ConnectSession
    token_hash: bytes
    fingerprint: bytes
