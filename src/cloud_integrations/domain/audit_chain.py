"""The hash chain of a tenant's audit log."""

from __future__ import annotations

import hashlib
import struct
from typing import Final

from cloud_integrations.domain.audit import AuditEvent, AuditHead, AuditRecord, persons_in
from cloud_integrations.domain.envelope import encode_context

_LABEL: Final = b"ci-audit/1\x00"
_PERSON_LABEL: Final = b"ci-audit-person/1\x00"
HASH_LENGTH: Final = 32
GENESIS: Final = bytes(HASH_LENGTH)
"""The previous hash of the first event of a chain."""


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


def _pairs(event: AuditEvent) -> list[tuple[str, str]]:
    pairs = [
        ("event_id", str(event.event_id)),
        ("occurred_at", event.occurred_at.isoformat(timespec="microseconds")),
        ("actor_type", event.actor.type),
        ("action", event.action),
        ("resource", event.resource),
        ("outcome", event.outcome.value),
    ]
    # None and "" must differ, so an absent value has no pair.
    if event.reason is not None:
        pairs.append(("reason", event.reason))
    if event.request_id is not None:
        pairs.append(("request_id", event.request_id))
    if event.provider_id is not None:
        pairs.append(("provider_id", str(event.provider_id)))
    if event.context_id is not None:
        pairs.append(("context_id", str(event.context_id)))
    pairs.extend((f"details.{name}", value) for name, value in event.details.items())
    persons = persons_in(event)
    return [
        *(pair for pair in pairs if pair[0] not in persons),
        *((name, person_hash(event, name).hex()) for name in persons),
    ]


def person_hash(event: AuditEvent, name: str, /) -> bytes:
    """Return what goes into the hash of *event* in place of a text that names a person: the text's hash with its salt.

    Without the salt, nobody can tell whether a text is the one.  Raises `SealingError` for text that cannot be encoded.
    """
    salt = event.salts.get(name, b"")
    if len(salt) == HASH_LENGTH:
        return salt
    body = encode_context([("name", name), ("salt", salt.hex()), ("text", persons_in(event)[name])])
    return hashlib.sha256(_PERSON_LABEL + body).digest()


def is_hidden(event: AuditEvent, name: str, /) -> bool:
    """Whether the text of this name, which named a person, is a pseudonym, because the person was erased."""
    return len(event.salts.get(name, b"")) == HASH_LENGTH
