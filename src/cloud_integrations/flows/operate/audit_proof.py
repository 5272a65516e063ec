"""Prove that the audit log is whole: walk its chains, and sign checkpoints that are kept elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Literal

from cloud_integrations.domain.arguments import read_checkpoint
from cloud_integrations.domain.audit import AuditEvent, AuditHead, AuditRecord
from cloud_integrations.domain.audit_check import ERASED, AuditCut, AuditReport, ChainCheck
from cloud_integrations.domain.checkpoint import AuditCheckpoint, find_cut, read_checkpoint_text, write_checkpoint, write_erasure
from cloud_integrations.domain.identifiers import TenantId
from cloud_integrations.domain.identifiers import tenant_id as read_tenant_id
from cloud_integrations.domain.signed_note import NoteKey, SignedNote, read_note
from cloud_integrations.errors import ConfigurationError, DamagedRowError, ValidationFailedError
from cloud_integrations.flows.shared.lookup import known_tenant
from cloud_integrations.flows.shared.wiring import Wiring
from cloud_integrations.ports.checkpoint_keys import AsyncCheckpointKeys
from cloud_integrations.ports.store import DamagedRow

from .audit_trail import log_of

PAGE: Final = 1_000
"""How many events are read at once."""
_TRIES: Final = 3
_BY_OTHERS: Final = frozenset({"gap", "unproven_erasure"})
"""The breaks that a walk finds too if the log is pruned, or a person is erased, while it goes on."""
_NOTE: Final = "note"


async def verify_audit(wiring: Wiring, tenant: str | None, /, *, checkpoint: AuditHead | None) -> AuditReport:
    """Check the hash chain of a tenant's audit log (None: the operator's) up to its head at the start, and against a *checkpoint*."""
    return await _walk(wiring, await log_of(wiring, tenant), checkpoint=read_checkpoint(checkpoint))


async def take_checkpoint(wiring: Wiring, tenant: str | None, /) -> str:
    """Return a signed note with the ends of the chains of all tenants, or of one.

    Raises `ConfigurationError` without keys, `KeyringError` or `KeyServiceUnavailableError` as the keys do, and `DamagedRowError` if a
    head cannot be read: what was edited is not signed.
    """
    asked = None if tenant is None else read_tenant_id(tenant)
    keys = require_checkpoint_keys(wiring)
    if asked is None:
        heads = await all_heads(wiring)
    else:
        head = await wiring.store.find_audit_head(await known_tenant(wiring, asked))
        heads = [] if head is None else [head]
    return await keys.sign(write_checkpoint(wiring.clock.now(), [head for head in heads if head.seq > 0]))


async def verify_checkpoint(wiring: Wiring, note: str, /, *, tenant: str | None) -> tuple[AuditReport, ...]:
    """Check the chains of all tenants that a signed checkpoint names, or of one, against it.

    Raises `ValidationFailedError` for a note that no trusted key has signed, or that does not name the tenant, and `ConfigurationError`
    without keys.
    """
    asked, parts = None if tenant is None else read_tenant_id(tenant), read_note(_NOTE, note)
    keys = require_checkpoint_keys(wiring)
    heads = (await _read_checkpoint(keys, parts)).heads
    if asked is not None:
        heads = tuple(head for head in heads if head.tenant_id == asked)
        if not heads:
            raise ValidationFailedError(field=_NOTE, problem="does not name this tenant")
    return tuple([await _walk(wiring, head.tenant_id, checkpoint=head) for head in heads])


async def list_checkpoint_keys(wiring: Wiring, /) -> tuple[NoteKey, ...]:
    """Return the public keys by which checkpoints are verified; the first signs.  Raises as `take_checkpoint` does."""
    return await require_checkpoint_keys(wiring).public_keys()


def require_checkpoint_keys(wiring: Wiring, /) -> AsyncCheckpointKeys:
    """Return the keys of checkpoints.  Raises `ConfigurationError` if the host gave none."""
    if wiring.checkpoint_keys is None:
        raise ConfigurationError(setting="checkpoint_keys", problem="are missing: without them nothing can be signed or verified")
    return wiring.checkpoint_keys


async def _read_checkpoint(keys: AsyncCheckpointKeys, parts: SignedNote) -> AuditCheckpoint:
    if not await keys.is_signed(parts):
        raise ValidationFailedError(field=_NOTE, problem="is not signed by a key that is trusted here, or was edited since")
    return read_checkpoint_text(_NOTE, parts.text)


async def all_heads(wiring: Wiring, /) -> list[AuditHead]:
    """Return the end of the chain of each tenant.  Raises `DamagedRowError` for one that cannot be read."""
    heads: list[AuditHead] = []
    while page := await wiring.store.list_audit_heads(after=heads[-1].tenant_id if heads else None, limit=PAGE):
        for head in page:
            if isinstance(head, DamagedRow):
                raise DamagedRowError(table=head.table, row=head.row)
            heads.append(head)
    return heads


async def _walk(wiring: Wiring, tenant_id: TenantId, *, checkpoint: AuditHead | None) -> AuditReport:
    """Check a chain page by page, so that a long one needs no more memory than a short one."""
    for _ in range(_TRIES - 1):
        report = await _walk_once(wiring, tenant_id, checkpoint=checkpoint)
        if all(problem.kind not in _BY_OTHERS for problem in report.problems) or await _head(wiring, tenant_id) == report.head:
            return report
        # The chain went on meanwhile.  What looks like a break may be a person's erasure or a pruning in the middle of the walk.
    return await _walk_once(wiring, tenant_id, checkpoint=checkpoint)


async def _walk_once(wiring: Wiring, tenant_id: TenantId, *, checkpoint: AuditHead | None) -> AuditReport:
    start = await find_start(wiring, tenant_id)
    check = ChainCheck(tenant_id, checkpoint=checkpoint, start=start if isinstance(start, AuditCut) else None)
    if start is not None:
        first = await _first(wiring, tenant_id)
        if start is False:
            check.refuse_cut(first)
        else:
            check.find_revived(first)
    head = await _head(wiring, tenant_id)
    after: int | None = start.seq if isinstance(start, AuditCut) else None
    while page := await wiring.store.list_audit(tenant_id, after=after, limit=PAGE):
        # Events that are written during this check belong to the next check, unless the head shows that they are forged.
        known = [record for record in page if head is not None and record.seq <= head.seq]
        check.feed(known, signed=await signed_erasures(wiring, known))
        before, after = after, page[-1].seq
        if before is not None and after <= before:
            # The numbers are forged: the check has noted them, and no next page can be read.
            break
        if len(known) < len(page):
            latest = await _head(wiring, tenant_id)
            if latest is not None and head is not None and latest.seq > head.seq:
                break
            check.feed(page[len(known) :], signed=await signed_erasures(wiring, page[len(known) :]))
    return check.finish(head)


async def find_start(wiring: Wiring, tenant_id: TenantId, /) -> AuditCut | Literal[False] | None:
    """Return where the tenant's chain begins, as a signed statement says; None: with its first event.

    False: there is a statement that is not signed by a trusted key, or says something else.
    """
    try:
        stored = await wiring.store.find_audit_cut(tenant_id)
        if stored is None:
            return None
        note = read_note(_NOTE, stored.note)
    except (DamagedRowError, ValidationFailedError):
        return False
    if wiring.checkpoint_keys is None or not await wiring.checkpoint_keys.is_signed(note):
        return False
    cut = find_cut(note.text)
    return cut if cut is not None and (cut.tenant_id, cut.seq) == (tenant_id, stored.seq) else False


async def signed_erasures(wiring: Wiring, records: Sequence[AuditRecord], /) -> frozenset[int]:
    """Return the numbers of the erasures of persons among *records* whose statement a trusted key has signed."""
    keys = wiring.checkpoint_keys
    erased = [record for record in records if record.event.action == ERASED]
    return frozenset() if keys is None else frozenset([record.seq for record in erased if await _is_signed(keys, record.event)])


async def _is_signed(keys: AsyncCheckpointKeys, event: AuditEvent) -> bool:
    try:
        note = read_note(_NOTE, event.details.get("statement"))
        text = write_erasure(event.tenant_id, event.details)
    except (KeyError, ValidationFailedError):
        return False
    return note.text == text and await keys.is_signed(note)


async def _first(wiring: Wiring, tenant_id: TenantId) -> int:
    page = await wiring.store.list_audit(tenant_id, limit=1)
    return page[0].seq if page else 1


async def _head(wiring: Wiring, tenant_id: TenantId) -> AuditHead | None:
    try:
        return await wiring.store.find_audit_head(tenant_id)
    except DamagedRowError:
        # Treated like a missing head: the check reports that the head does not fit the events.
        return None
