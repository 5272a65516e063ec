"""The check that finds every break in the chain of a tenant's audit log."""

from __future__ import annotations

import hashlib
from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final, Literal

from cloud_integrations.domain.audit import AuditEvent, AuditHead, AuditRecord, persons_in
from cloud_integrations.domain.audit_chain import GENESIS, HASH_LENGTH, chain_hash, is_hidden
from cloud_integrations.domain.identifiers import TenantId
from cloud_integrations.domain.serialisation import Serialisable
from cloud_integrations.errors import SealingError

ERASED: Final = "actor.erased"
"""The action of the event that accounts for the pseudonyms of an erased person."""
MOST_PROBLEMS: Final = 1_000
"""The most breaks that a report lists; a chain that is wholly forged has as many as events."""

ChainBreak = Literal[
    "changed",
    "gap",
    "inserted",
    "foreign",
    "truncated",
    "head_mismatch",
    "checkpoint_mismatch",
    "unproven_cut",
    "unproven_erasure",
    "not_gone",
]
"""What is wrong with a chain.

`changed`: an event does not have its hash.  `gap`: a number is missing.  `inserted`: an event does not follow the one before it.
`foreign`: it names another tenant.  `truncated`: the chain ends before its stored head or the checkpoint.  `head_mismatch`: its end
is not the stored head.  `checkpoint_mismatch`: the event of the checkpoint has another hash.  `unproven_cut`: the events before it
are gone, and no signed statement says so.  `unproven_erasure`: it has a pseudonym for a person, and no signed event accounts for it.
`not_gone`: it is there, and a signed statement says that it was removed.
"""

_SENTENCES: Final[Mapping[ChainBreak, str]] = MappingProxyType({
    "changed": "event {seq} was edited: it does not have its hash",
    "gap": "event {seq} is missing",
    "inserted": "event {seq} does not follow the one before it: an event was put in between, or the one before was written anew",
    "foreign": "event {seq} is of another tenant",
    "truncated": "event {seq} was there and is gone, with all that followed: the end was cut off, or an older copy of the database is back",
    "head_mismatch": "the log does not end as its head says, from event {seq} on: events were added, or the head was edited",
    "checkpoint_mismatch": "event {seq} is another one than at the time of the checkpoint: the log was written anew",
    "unproven_cut": "the events before event {seq} are gone, and no statement that a trusted key has signed says so",
    "unproven_erasure": "event {seq} hides who acted behind a pseudonym, and no signed erasure in the log accounts for it",
    "not_gone": "event {seq} is there although a signed statement says that it was removed: somebody has put it back or made it up",
})  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditProblem(Serialisable):
    """One break in a chain: its kind, and the number of the event where it is."""

    seq: int
    kind: ChainBreak

    @property
    def meaning(self) -> str:
        """The break as a sentence for people."""
        return _SENTENCES[self.kind].format(seq=self.seq)


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditReport(Serialisable):
    """The result of walking a tenant's chain."""

    tenant_id: TenantId
    checked: int
    head: AuditHead | None
    problems: tuple[AuditProblem, ...] = ()
    """The first breaks, at most `MOST_PROBLEMS`."""
    unlisted: int = 0
    """How many more breaks there are."""
    begins_after: int = 0
    """The number of the last event that was pruned, as a signed statement says; 0: none was."""

    @property
    def whole(self) -> bool:
        """Whether nothing is missing, added, moved or changed."""
        return not self.problems


@dataclass(frozen=True, slots=True, kw_only=True)
class HiddenEvents:
    """Events with one pseudonym: how many texts, the number of the first, and a hash over which they are."""

    first: int
    count: int = 0
    proof: bytes = bytes(HASH_LENGTH)

    def and_(self, seq: int, name: str, /) -> HiddenEvents:
        """Return these and the text of this name in event *seq*, which comes after them."""
        proof = hashlib.sha256(self.proof + seq.to_bytes(8, "big") + name.encode()).digest()
        return HiddenEvents(first=self.first, count=self.count + 1, proof=proof)


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditCut:
    """Where a pruned chain begins: the number and hash of its last event that is gone.

    `hidden` are pseudonyms in events that are gone, of whose erasure a later event speaks.
    """

    tenant_id: TenantId
    seq: int
    hash: bytes
    hidden: Mapping[str, HiddenEvents] = field(default_factory=dict)


class ChainCheck:
    """Checks a tenant's records, in order of `seq`, and collects every break of the chain.

    The records are passed page by page, so that a long chain needs little memory.  *start* is where a pruned chain begins.
    """

    def __init__(self, tenant_id: TenantId, /, *, checkpoint: AuditHead | None = None, start: AuditCut | None = None) -> None:
        self._tenant_id = tenant_id
        self._checkpoint = checkpoint
        self._start = 0 if start is None else start.seq
        self._seq = self._start
        self._hash = GENESIS if start is None else start.hash
        self._hidden: dict[str, HiddenEvents] = {} if start is None else dict(start.hidden)
        self._checked = 0
        self._problems: dict[AuditProblem, None] = {}
        self._unlisted = 0
        if checkpoint is not None:
            self._compare(self._seq, self._hash, checkpoint)

    @property
    def is_whole(self) -> bool:
        """Whether no break was found so far."""
        return not self._problems

    def feed(self, records: Iterable[AuditRecord], /, *, signed: Container[int] = frozenset()) -> None:
        """Check the next records; *signed* are the numbers of the erasures among them whose statement a trusted key has signed."""
        for record in records:
            self._checked += 1
            if record.seq != self._seq + 1:
                self._note(self._seq + 1, "gap")
            elif record.previous_hash != self._hash:
                self._note(record.seq, "inserted")
            if record.event.tenant_id != self._tenant_id:
                self._note(record.seq, "foreign")
            if _is_as_written(record):
                self._follow_erasures(record, is_signed=record.seq in signed)
            else:
                self._note(record.seq, "changed")
            if self._checkpoint is not None:
                self._compare(record.seq, record.hash, self._checkpoint)
            self._seq, self._hash = record.seq, record.hash

    def refuse_cut(self, seq: int, /) -> None:
        """Note that the events before *seq* are gone and no valid statement says so."""
        self._note(seq, "unproven_cut")

    def find_revived(self, first: int, /) -> None:
        """Note if *first*, the lowest number that is there, belongs to an event that was removed."""
        if self._start and first <= self._start:
            self._note(first, "not_gone")

    def cut(self) -> AuditCut:
        """Return where a chain begins that has lost what was fed so far."""
        return AuditCut(tenant_id=self._tenant_id, seq=self._seq, hash=self._hash, hidden=dict(self._hidden))

    def finish(self, head: AuditHead | None, /) -> AuditReport:
        """Compare the end with the stored head and with the checkpoint, and return the report."""
        stored = (head.seq, head.hash) if head is not None else (0, GENESIS)
        if stored != (self._seq, self._hash):
            self._note(min(stored[0], self._seq) + 1, "truncated" if stored[0] > self._seq else "head_mismatch")
        if self._checkpoint is not None and self._checkpoint.seq > self._seq:
            self._note(self._seq + 1, "truncated")
        for hidden in self._hidden.values():
            self._note(hidden.first, "unproven_erasure")
        return AuditReport(
            tenant_id=self._tenant_id,
            checked=self._checked,
            head=head,
            problems=tuple(self._problems),
            unlisted=self._unlisted,
            begins_after=self._start,
        )

    def _compare(self, seq: int, digest: bytes, checkpoint: AuditHead) -> None:
        if seq == checkpoint.seq and digest != checkpoint.hash:
            self._note(seq, "checkpoint_mismatch")

    def _follow_erasures(self, record: AuditRecord, *, is_signed: bool) -> None:
        for pseudonym, name in hidden_in(record.event):
            before = self._hidden.get(pseudonym, HiddenEvents(first=record.seq))
            self._hidden[pseudonym] = before.and_(record.seq, name)
        if record.event.action == ERASED and is_signed:
            told = record.event.details
            hidden = self._hidden.get(told.get("pseudonym", ""))
            if hidden is not None and (told.get("events"), told.get("proof")) == (str(hidden.count), hidden.proof.hex()):
                del self._hidden[told["pseudonym"]]

    def _note(self, seq: int, kind: ChainBreak) -> None:
        if len(self._problems) < MOST_PROBLEMS:
            self._problems[AuditProblem(seq=seq, kind=kind)] = None
        else:
            self._unlisted += 1


def hidden_in(event: AuditEvent, /) -> list[tuple[str, str]]:
    """Return the pseudonyms of erased persons in *event*, each as `type:id` with the name of its part."""
    return [(str(event.actor) if name == "actor_id" else text, name) for name, text in persons_in(event).items() if is_hidden(event, name)]


def _is_as_written(record: AuditRecord) -> bool:
    # Numbers begin at 1, so a lower number is never written, and `chain_hash` cannot pack a negative one.
    if not record.readable or record.seq < 1:
        return False
    try:
        return record.hash == chain_hash(record.event, seq=record.seq, previous_hash=record.previous_hash)
    except SealingError:
        # The text cannot be encoded, so this library has not written the event.
        return False
