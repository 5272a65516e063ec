"""Sessions of agents: what an agent may use on behalf of a person, and until when."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Literal

from .audit import Actor
from .identifiers import IntegrationId, ProviderId, SessionId, TenantId
from .serialisation import Serialisable

AGENT: Final = "agent"
"""The type of an actor that uses a session."""
PERSON: Final = "user"
"""The type of an actor on whose behalf an agent acts."""
USUAL_SESSION: Final = timedelta(hours=1)
LONGEST_SESSION: Final = timedelta(days=1)
KEPT_SESSION: Final = timedelta(days=1)
"""How long a session can still be listed after its end."""
MOST_HOSTS: Final = 50
"""The most hosts of one session."""
READING_METHODS: Final = ("GET", "HEAD")
HTTP_METHODS: Final = ("GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE")
"""The HTTP methods that a session may allow (RFC 9110 §9, RFC 5789)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionAccess:
    """One integration that a session may use, and the hosts to which its credential may be sent.

    `name` is the provider's slug, or the integration's id where the session was opened with that.
    A host is a name or an IP address, with its port unless that is 443; `*.example.com` means every name below `example.com`.
    """

    name: str
    provider_id: ProviderId
    integration_id: IntegrationId
    hosts: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentSession(Serialisable):
    """A session of an agent; it has no secret.

    `needs_approval`: each use waits until an approver has said yes.  It has ended at the instant `expires_at`.
    """

    id: SessionId
    tenant_id: TenantId
    agent: Actor
    on_behalf_of: Actor
    access: tuple[SessionAccess, ...]
    methods: tuple[str, ...]
    needs_approval: bool
    opened_at: datetime
    expires_at: datetime
    revoked_at: datetime | None = None

    @property
    def providers(self) -> tuple[str, ...]:
        """What the session may use: slugs of providers, or ids of integrations."""
        return tuple(access.name for access in self.access)

    @property
    def hosts(self) -> Mapping[str, tuple[str, ...]]:
        """The hosts to which a credential may be sent, by the names in `providers`."""
        return {access.name: access.hosts for access in self.access}

    def over(self, now: datetime, /) -> Literal["revoked", "ended"] | None:
        """Return why the session cannot be used any more; None: it can."""
        if self.revoked_at is not None:
            return "revoked"
        return "ended" if self.expires_at <= now else None


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredSession:
    """A session as its row has it: `fingerprint` shows that its facts are those that it was opened with."""

    facts: AgentSession
    fingerprint: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class ApprovalRequest:
    """What an approver is asked: whether an agent may send one request with the credential of a provider.

    `provider` is a name in `AgentSession.providers`; `host` has its port unless that is 443.
    """

    tenant_id: TenantId
    session_id: SessionId
    agent: Actor
    on_behalf_of: Actor
    provider: str
    host: str
    http_method: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Approval:
    """The answer of an approver.

    `until` (an aware datetime) allows requests of the same method to the same host of the same provider until then, without asking
    again; None: this request only.
    """

    approved: bool
    until: datetime | None = None
