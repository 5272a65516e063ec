"""The events of the audit log, and who causes them; `audit_chain` has the chain that shows whether any is missing or changed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import ClassVar, Literal, get_args
from uuid import UUID

from cloud_integrations.domain.identifiers import ContextId, IntegrationId, ProviderId, SessionId, TenantId
from cloud_integrations.domain.serialisation import Serialisable

_BYTES_IN_HEX = {"ser_json_bytes": "hex", "val_json_bytes": "hex"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Actor:
    """The person or program that acts: a type (`user`, `agent`, `service`, `system`, …) and an id that the host understands."""

    type: str = "user"
    id: str

    def __str__(self) -> str:
        return f"{self.type}:{self.id}"


SYSTEM = Actor(type="system", id="cloud-integrations")
"""The library itself; also the actor of scheduled work, behind which there is no user."""


OPERATOR = TenantId("the operator")
"""Whose audit log has what concerns no tenant, or several: a name with a space, so it is no tenant's."""


class Outcome(StrEnum):
    """How the recorded operation ended.

    `denied`: the host or the provider's user did not allow it.  `started`: it has begun and a later event has its outcome.  `unknown`:
    its outcome is not known.
    """

    SUCCESS = "success"
    FAILURE = "failure"
    DENIED = "denied"
    STARTED = "started"
    """Written before a request whose answer may be lost; a later event with the same attempt id has the outcome."""
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEvent:
    """One event of the audit log.  `details` has facts and the names of changed fields, never a secret value."""

    event_id: UUID
    tenant_id: TenantId
    occurred_at: datetime
    actor: Actor
    action: str
    resource: str
    outcome: Outcome = Outcome.SUCCESS
    reason: str | None = None
    request_id: str | None = None
    provider_id: ProviderId | None = None
    """The provider that the event concerns; None: it concerns none."""
    context_id: ContextId | None = None
    """The OAuth application that obtained the access, for events about a stored integration; None: there is none."""
    details: Mapping[str, str] = field(default_factory=dict)
    salts: Mapping[str, bytes] = field(default_factory=dict, repr=False)
    """By the name of each part that names a person (see `persons_in`): 16 random bytes, with which its text goes into the hash.

    Once the person was erased, the 32 bytes that went into the hash stand here, and the text is a pseudonym.
    """


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditFilter:
    """Which events are meant: those that agree with every field that is not None."""

    resource: str | None = None
    actor: Actor | None = None
    action: str | None = None
    provider_id: ProviderId | None = None
    context_id: ContextId | None = None
    since: datetime | None = None
    """Events of this time or later."""
    until: datetime | None = None
    """Events before this time."""

    def admits(self, event: AuditEvent, /) -> bool:
        """Whether *event* is one of them."""
        return (
            self.resource in {None, event.resource}
            and self.actor in {None, event.actor}
            and self.action in {None, event.action}
            and self.provider_id in {None, event.provider_id}
            and self.context_id in {None, event.context_id}
            and (self.since is None or event.occurred_at >= self.since)
            and (self.until is None or event.occurred_at < self.until)
        )


PERSONAL_DETAILS = frozenset({"on_behalf_of", "opened_by"})
"""The details that name a person, as `type:id`."""
SALT_LENGTH = 16
_DETAIL = "details."


def persons_in(event: AuditEvent, /) -> dict[str, str]:
    """Return the texts of *event* that name a person, by the names of their parts, such as `actor_id`."""
    named = {f"{_DETAIL}{name}": text for name, text in event.details.items() if name in PERSONAL_DETAILS}
    return {"actor_id": event.actor.id, **named}


EVERY_EVENT = AuditFilter()
"""The filter that admits every event."""
STATED_REASON = "stated_reason"
"""The detail, of any event, that says why its actor did it."""
USED = "credential.used"
"""The action of an event that records that a credential was handed out."""
REFRESH = "credential.refresh"
"""The action of the events of a renewal: that it began, and how it ended."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UseCount:
    """How often the credential of one integration was handed out, as far as the asked events say."""

    tenant_id: TenantId
    integration_id: IntegrationId
    records: int
    """The number of events; one speaks for all uses of an actor in `Settings.use_window`."""
    first_at: datetime
    last_at: datetime


ExportFormat = Literal["json", "cloudevents", "ocsf"]
"""How an event is exported: as the HTTP API shows it, with its tenant and all of its chain; as a CloudEvent; as an OCSF event."""
EXPORT_FORMATS: tuple[str, ...] = get_args(ExportFormat)


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditExport:
    """Events of a tenant in order, each as a line of text; for the next ones, ask for those after `last`."""

    lines: tuple[str, ...]
    last: int
    """The number of the last event here, or of the one after which was asked, if there is no newer one."""
    behind: int
    """How many events there are after `last`; those that are written meanwhile are not counted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PruneRun(Serialisable):
    """What a removal of old events has done."""

    events: int
    tenants: int
    broken: tuple[str, ...] = ()
    """The tenants whose old events stay, because their chain is broken there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ActorErasure(Serialisable):
    """The erasure of a person from a tenant's audit log."""

    tenant_id: TenantId
    events: int
    pseudonyms: tuple[str, ...]
    """What stands in the person's place, as `type:id`; several only for very many events, and none if there was no event."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditRecord:
    """An event with its number and its hash in the tenant's chain."""

    __pydantic_config__: ClassVar = _BYTES_IN_HEX

    event: AuditEvent
    seq: int
    previous_hash: bytes
    hash: bytes
    readable: bool = True
    """False: the row was edited and cannot be read; `event` is then the placeholder of `unreadable_event`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditHead:
    """The number and hash of the newest event of a tenant's chain; stored outside the database, it is a checkpoint."""

    __pydantic_config__: ClassVar = _BYTES_IN_HEX

    tenant_id: TenantId
    seq: int
    hash: bytes


def unreadable_event(tenant_id: TenantId, /) -> AuditEvent:
    """Return the placeholder for an event that cannot be read: action `unreadable`, outcome `unknown`, at the start of 1970."""
    return AuditEvent(
        event_id=UUID(int=0),
        tenant_id=tenant_id,
        occurred_at=datetime.fromtimestamp(0, UTC),
        actor=Actor(type="unknown", id="?"),
        action="unreadable",
        resource="?",
        outcome=Outcome.UNKNOWN,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """The actor for whom a flow runs, with what its audit events carry beside: request id, stated reason, and a session of an agent."""

    actor: Actor = SYSTEM
    request_id: str | None = None
    reason: str | None = None
    """Why the actor does it, in their own words; None: they did not say."""
    on_behalf_of: Actor | None = None
    """The person for whom an agent acts in a session; None outside of one."""
    session_id: SessionId | None = None
