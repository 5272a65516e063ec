"""Messages: events as webhooks and handlers get them, and the entries of the outbox that carry them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Final, Literal
from uuid import UUID

from cloud_integrations.domain.audit import OPERATOR
from cloud_integrations.domain.identifiers import IntegrationId, TenantId
from cloud_integrations.domain.outbox import OUTBOX_TABLE, OutboxEntry
from cloud_integrations.domain.serialisation import Serialisable
from cloud_integrations.errors import DamagedRowError

EVENT: Final = "event"
"""The kind of the outbox entries of messages for which no worker has looked for receivers yet."""
DELIVERY: Final = "delivery"
"""The kind of the outbox entries of messages for one receiver."""
GIVEN_UP: Final = "given_up"
"""The kind of the outbox entries of messages that one receiver did not take."""

_WAITS: Final = (
    timedelta(seconds=5),
    timedelta(minutes=5),
    timedelta(minutes=30),
    timedelta(hours=2),
    timedelta(hours=5),
    timedelta(hours=10),
    timedelta(hours=14),
    timedelta(hours=20),
    timedelta(hours=24),
)
"""How long after each failed attempt the next one follows, as Standard Webhooks recommends; after the last one it is given up."""
_SPREAD: Final = 0.2
_DATA: Final = "data."


@dataclass(frozen=True, slots=True, kw_only=True)
class EventMessage(Serialisable):
    """An event as webhooks and handlers get it, without secrets: a name from a closed list, and text by the keys of `MESSAGE_KEYS`.

    The same message may come twice, with the same `id`.  Messages about one integration come in the order of `occurred_at`.
    """

    id: UUID
    """A UUIDv7, which is also the id of the event in the audit log, and the `webhook-id`."""
    name: str
    """A `MessageName`, or the message of an event that was registered."""
    tenant_id: TenantId | None
    """None: it is about the operator's own application."""
    integration_id: IntegrationId | None = None
    """None: it is not about one integration."""
    occurred_at: datetime
    data: Mapping[str, str] = field(default_factory=dict)

    @property
    def entry(self) -> OutboxEntry:
        """The outbox entry of this message, which is due at once."""
        return OutboxEntry(
            id=self.id,
            tenant_id=OPERATOR if self.tenant_id is None else self.tenant_id,
            integration_id=self.integration_id,
            kind=EVENT,
            facts={"message": str(self.id), "name": self.name, **{f"{_DATA}{key}": value for key, value in self.data.items()}},
            next_attempt_at=self.occurred_at,
            created_at=self.occurred_at,
        )

    @classmethod
    def of(cls, entry: OutboxEntry, /) -> EventMessage:
        """Return the message that *entry* carries.  Raises `DamagedRowError` if the entry was edited and cannot be read."""
        facts = entry.facts
        try:
            return cls(
                id=UUID(facts["message"]),
                name=facts["name"],
                tenant_id=None if entry.tenant_id == OPERATOR else entry.tenant_id,
                integration_id=entry.integration_id,
                occurred_at=entry.created_at,
                data={key.removeprefix(_DATA): value for key, value in facts.items() if key.startswith(_DATA)},
            )
        except (LookupError, ValueError):
            raise DamagedRowError(table=OUTBOX_TABLE, row=str(entry.id)) from None


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """A message on its way to one receiver."""

    entry: OutboxEntry
    message: EventMessage

    @classmethod
    def of(cls, entry: OutboxEntry, /) -> Delivery:
        """Return the delivery that *entry* carries.  Raises `DamagedRowError` if the entry was edited and cannot be read."""
        if entry.index_key is None:
            raise DamagedRowError(table=OUTBOX_TABLE, row=str(entry.id))
        return cls(entry=entry, message=EventMessage.of(entry))

    @property
    def receiver(self) -> str:
        """The key of its receiver."""
        return self.entry.index_key or ""


def delivery_of(message: EventMessage, receiver: str, /, *, entry_id: UUID, due: datetime) -> OutboxEntry:
    """Return the outbox entry that brings *message* to *receiver*; it is as old as the message, which is what keeps their order."""
    return replace(message.entry, id=entry_id, kind=DELIVERY, index_key=receiver, next_attempt_at=due)


def wait_after(attempts: int, /, *, chance: float) -> timedelta | None:
    """Return how long to wait after the failed attempt with this number, from 1; None: it was the last one.

    *chance* is a random number from 0 to 1.
    """
    return None if attempts > len(_WAITS) else _WAITS[attempts - 1] * (1 - _SPREAD + 2 * _SPREAD * chance)


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryRun(Serialisable):
    """The result of one round over the messages, in numbers of messages and receivers."""

    events: int = 0
    """Messages whose receivers were looked up, so that each of them has a delivery."""
    delivered: int = 0
    delayed: int = 0
    """The receiver did not take it; it is tried again later."""
    given_up: int = 0
    """Not tried any more: kept for `events list` and `events retry`."""


DeliveryState = Literal["waiting", "given_up"]
"""The state of a delivery that did not arrive yet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EventDelivery(Serialisable):
    """A message that has not arrived at one receiver."""

    id: UUID
    """The id of the delivery, by which it is tried again."""
    event: EventMessage
    receiver: str
    """`handler:<name>`; `webhook:<id>` of a tenant; `operator:<id>` of a webhook of the installation."""
    state: DeliveryState
    attempts: int
    """How often it was tried."""
    due_at: datetime | None
    """When it is tried next, unless one before it waits; None: it is given up."""
    given_up_at: datetime | None
    last_error: str | None
    """Why the last attempt failed: `status_<code>` of the answer, `unreachable`, `answer_lost`, the class of a handler's error …"""
