"""Statements about the audit log, as texts of signed notes: checkpoints, and what was pruned.

A checkpoint says how far the chains of tenants went at a time:

    cloud-integrations audit checkpoint 1
    time 2026-11-29T20:00:00.000000+00:00
    head acme 1234 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08

There is one line `head` for each tenant: its id, the number of its newest event, and that event's hash in hexadecimal.

A cut stands in place of the oldest events of one tenant: it names the last of them.

    cloud-integrations audit cut 1
    time 2026-11-29T20:00:00.000000+00:00
    cut acme 1000 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
    hidden 17 3 60303ae22b998861bce3b28f33eec1be758a213c86c93c076dbe9f558c11c752 user:erased-5f3a9c

There is one line `hidden` for each pseudonym in the events that are gone if a later event speaks of that person's erasure: the number
of the first event, the number of texts, the hash over which events they are (`HiddenEvents`), and the pseudonym.

An erasure says which texts of a tenant's events became a pseudonym, by the same number and hash; it stands in the event `actor.erased`.

    cloud-integrations audit erasure 1
    erased acme 3 60303ae22b998861bce3b28f33eec1be758a213c86c93c076dbe9f558c11c752 user:erased-5f3a9c
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from cloud_integrations.errors import ValidationFailedError

from .audit import AuditHead
from .audit_check import AuditCut, HiddenEvents
from .identifiers import TenantId

_TITLE = "cloud-integrations audit checkpoint 1"
_CUT_TITLE = "cloud-integrations audit cut 1"
_TIME = re.compile(r"time (\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}\+00:00)")
_HEAD = re.compile(r"head (\S{1,255}) ([1-9][0-9]{0,18}) ([0-9a-f]{64})")
_CUT = re.compile(r"cut (\S{1,255}) ([1-9][0-9]{0,18}) ([0-9a-f]{64})")
_HIDDEN = re.compile(r"hidden ([1-9][0-9]{0,18}) ([1-9][0-9]{0,18}) ([0-9a-f]{64}) (.{1,300})")


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditCheckpoint:
    """The ends of the chains of tenants at a time."""

    taken_at: datetime
    heads: tuple[AuditHead, ...]


def write_checkpoint(taken_at: datetime, heads: Sequence[AuditHead], /) -> str:
    """Return the text of a checkpoint, to be signed."""
    lines = [_TITLE, f"time {taken_at.astimezone(UTC).isoformat(timespec='microseconds')}"]
    lines += [f"head {head.tenant_id} {head.seq} {head.hash.hex()}" for head in heads]
    return "".join(f"{line}\n" for line in lines)


def read_checkpoint_text(field: str, text: str, /) -> AuditCheckpoint:
    """Return the checkpoint of a text.  Raises `ValidationFailedError` for any other text; it names *field*."""
    title, *lines = text.removesuffix("\n").split("\n")
    time = _TIME.fullmatch(lines[0]) if lines else None
    heads = [_HEAD.fullmatch(line) for line in lines[1:]]
    try:
        if title == _TITLE and time is not None:
            taken_at = datetime.fromisoformat(time[1])
            return AuditCheckpoint(taken_at=taken_at, heads=tuple([_head(found) for found in heads]))
    except ValueError:
        pass
    raise ValidationFailedError(field=field, problem="is a note about something else than the audit log")


def write_cut(made_at: datetime, cut: AuditCut, /) -> str:
    """Return the text of the statement that stands in place of pruned events, to be signed."""
    lines = [_CUT_TITLE, f"time {made_at.astimezone(UTC).isoformat(timespec='microseconds')}"]
    lines.append(f"cut {cut.tenant_id} {cut.seq} {cut.hash.hex()}")
    lines += [f"hidden {hidden.first} {hidden.count} {hidden.proof.hex()} {name}" for name, hidden in cut.hidden.items()]
    return "".join(f"{line}\n" for line in lines)


def write_erasure(tenant_id: TenantId, told: Mapping[str, str], /) -> str:
    """Return the text of the statement about an erasure, to be signed; *told* are the details of its event."""
    return f"cloud-integrations audit erasure 1\nerased {tenant_id} {told['events']} {told['proof']} {told['pseudonym']}\n"


def find_cut(text: str, /) -> AuditCut | None:
    """Return the cut that a text states; None for any other text."""
    title, *lines = text.removesuffix("\n").split("\n")
    if title != _CUT_TITLE or len(lines) < 2 or not _TIME.fullmatch(lines[0]):
        return None
    cut = _CUT.fullmatch(lines[1])
    hidden = [_HIDDEN.fullmatch(line) for line in lines[2:]]
    if cut is None or None in hidden:
        return None
    return AuditCut(
        tenant_id=TenantId(cut[1]),
        seq=int(cut[2]),
        hash=bytes.fromhex(cut[3]),
        hidden={each[4]: HiddenEvents(first=int(each[1]), count=int(each[2]), proof=bytes.fromhex(each[3])) for each in hidden if each},
    )


def _head(found: re.Match[str] | None) -> AuditHead:
    if found is None:
        raise ValueError
    return AuditHead(tenant_id=TenantId(found[1]), seq=int(found[2]), hash=bytes.fromhex(found[3]))
