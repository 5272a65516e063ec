"""Audit events and the chain that shows whether any is missing or changed."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import ClassVar, Literal
from uuid import UUID

from cloud_integrations.domain.envelope import encode_context
from cloud_integrations.domain.identifiers import TenantId
from cloud_integrations.domain.serialisation import Serialisable
from cloud_integrations.errors import SealingError

_LABEL = b"ci-audit/1\x00"
_BYTES_IN_HEX = {"ser_json_bytes": "hex", "val_json_bytes": "hex"}
GENESIS = bytes(32)
"""The previous hash of the first event of a chain."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Actor:
    """The person or program that acts: a type (`user`, `service`, `system`, …) and an id that the host understands."""

    type: str = "user"
    id: str

    def __str__(self) -> str:
        return f"{self.type}:{self.id}"


SYSTEM = Actor(type="system", id="cloud-integrations")
"""The library itself; also the actor of scheduled work, behind which there is no user."""


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
    details: Mapping[str, str] = field(default_factory=dict)


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


ChainBreak = Literal["changed", "gap", "inserted", "foreign", "truncated", "head_mismatch", "checkpoint_mismatch"]
"""What is wrong with a chain.

`changed`: an event does not have its hash.  `gap`: a number is missing.  `inserted`: an event does not follow the one before it.
`foreign`: it names another tenant.  `truncated`: the chain ends before its stored head or the checkpoint.  `head_mismatch`: its end
is not the stored head.  `checkpoint_mismatch`: the event of the checkpoint has another hash.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditProblem:
    """One break in a chain: its kind, and the number of the event where it is."""

    seq: int
    kind: ChainBreak
    """`changed`, `gap`, `inserted`, `foreign` (another tenant's), `truncated`, `head_mismatch` or `checkpoint_mismatch`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditReport(Serialisable):
    """The result of walking a tenant's chain."""

    tenant_id: TenantId
    checked: int
    head: AuditHead | None
    problems: tuple[AuditProblem, ...] = ()

    @property
    def whole(self) -> bool:
        """Whether nothing is missing, added, moved or changed."""
        return not self.problems


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


def chain_hash(event: AuditEvent, /, *, seq: int, previous_hash: bytes) -> bytes:
    """Return the hash of an event: SHA-256 over a label, the tenant, *seq*, *previous_hash* and the event's canonical form.

    Raises `SealingError` for text that cannot be encoded.
    """
    tenant = event.tenant_id.encode()
    body = encode_context(_pairs(event))
    parts = (_LABEL, struct.pack(">I", len(tenant)), tenant, struct.pack(">Q", seq), previous_hash, struct.pack(">I", len(body)), body)
    return hashlib.sha256(b"".join(parts)).digest()


def chained(event: AuditEvent, head: AuditHead | None, /) -> AuditRecord:
    """Return *event* as the next record after *head*; None: it is the first of its chain."""
    seq = 1 if head is None else head.seq + 1
    previous = GENESIS if head is None else head.hash
    return AuditRecord(event=event, seq=seq, previous_hash=previous, hash=chain_hash(event, seq=seq, previous_hash=previous))


class ChainCheck:
    """Checks a tenant's records, in order of `seq`, and collects every break of the chain.

    The records are passed page by page, so that a long chain needs little memory.
    """

    def __init__(self, tenant_id: TenantId, /, *, checkpoint: AuditHead | None = None) -> None:
        self._tenant_id = tenant_id
        self._checkpoint = checkpoint
        self._seq = 0
        self._hash = GENESIS
        self._checked = 0
        self._problems: list[AuditProblem] = []

    def feed(self, records: Iterable[AuditRecord], /) -> None:
        """Check the next records."""
        for record in records:
            self._checked += 1
            if record.seq != self._seq + 1:
                self._note(self._seq + 1, "gap")
            elif record.previous_hash != self._hash:
                self._note(record.seq, "inserted")
            if record.event.tenant_id != self._tenant_id:
                self._note(record.seq, "foreign")
            if not _is_as_written(record):
                self._note(record.seq, "changed")
            if self._checkpoint is not None and record.seq == self._checkpoint.seq and record.hash != self._checkpoint.hash:
                self._note(record.seq, "checkpoint_mismatch")
            self._seq, self._hash = record.seq, record.hash

    def finish(self, head: AuditHead | None, /) -> AuditReport:
        """Compare the end with the stored head and with the checkpoint, and return the report."""
        stored = (head.seq, head.hash) if head is not None else (0, GENESIS)
        if stored != (self._seq, self._hash):
            self._note(min(stored[0], self._seq) + 1, "truncated" if stored[0] > self._seq else "head_mismatch")
        if self._checkpoint is not None and self._checkpoint.seq > self._seq:
            self._note(self._seq + 1, "truncated")
        return AuditReport(tenant_id=self._tenant_id, checked=self._checked, head=head, problems=tuple(dict.fromkeys(self._problems)))

    def _note(self, seq: int, kind: ChainBreak) -> None:
        self._problems.append(AuditProblem(seq=seq, kind=kind))


def _is_as_written(record: AuditRecord) -> bool:
    # Numbers begin at 1, so a lower number is never written, and `chain_hash` cannot pack a negative one.
    if not record.readable or record.seq < 1:
        return False
    try:
        return record.hash == chain_hash(record.event, seq=record.seq, previous_hash=record.previous_hash)
    except SealingError:
        # The text cannot be encoded, so this library has not written the event.
        return False


def _pairs(event: AuditEvent) -> list[tuple[str, str]]:
    pairs = [
        ("event_id", str(event.event_id)),
        ("occurred_at", event.occurred_at.isoformat(timespec="microseconds")),
        ("actor_type", event.actor.type),
        ("actor_id", event.actor.id),
        ("action", event.action),
        ("resource", event.resource),
        ("outcome", event.outcome.value),
    ]
    # None and "" must differ, so an absent value has no pair.
    if event.reason is not None:
        pairs.append(("reason", event.reason))
    if event.request_id is not None:
        pairs.append(("request_id", event.request_id))
    pairs.extend((f"details.{name}", value) for name, value in event.details.items())
    return pairs


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """The actor for whom a flow runs, and the request id that its audit events carry."""

    actor: Actor = SYSTEM
    request_id: str | None = None
