"""Remove the oldest events of the audit log, and leave a signed statement in their place, so that the rest can still be verified."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from cloud_integrations.domain.arguments import Progress, read_count, read_listener
from cloud_integrations.domain.audit import AuditHead, AuditRecord, Caller, PruneRun
from cloud_integrations.domain.audit_check import AuditCut, ChainCheck
from cloud_integrations.domain.checkpoint import write_cut
from cloud_integrations.domain.events import Subject
from cloud_integrations.domain.identifiers import tenant_id as read_tenant_id
from cloud_integrations.errors import StaleWriteError
from cloud_integrations.flows.shared.events import apply, happened
from cloud_integrations.flows.shared.lookup import known_tenant
from cloud_integrations.flows.shared.wiring import Wiring
from cloud_integrations.ports.store import CutAudit, StoredCut

from .audit_proof import PAGE, all_heads, find_start, require_checkpoint_keys, signed_erasures

_STEP: Final = 10_000
"""The most events that one transaction removes."""
_MOST_DAYS: Final = 36_500
_PRUNED: Final = "audit.pruned"


async def prune_audit(wiring: Wiring, tenant: str | None, /, *, days: int, progress: Progress | None, caller: Caller) -> PruneRun:
    """Remove the events of all tenants, or of one, that are older than *days*, and return what was done.

    Events are checked before they go: if a chain is broken there, its events stay, as evidence.  The work may be repeated after a crash.
    Raises `ConfigurationError` without keys of checkpoints, `KeyringError` or `KeyServiceUnavailableError` as they do.
    """
    days = read_count("days", days, most=_MOST_DAYS)
    progress = read_listener("progress", progress)
    asked = None if tenant is None else read_tenant_id(tenant)
    require_checkpoint_keys(wiring)
    if asked is None:
        heads = await all_heads(wiring)
    else:
        head = await wiring.store.find_audit_head(await known_tenant(wiring, asked))
        heads = [] if head is None else [head]
    pruning = _Pruning(wiring, days, caller)
    for head in heads:
        while removed := await pruning.step(head):
            if progress is not None:
                progress(removed)
    return PruneRun(events=pruning.events, tenants=len(pruning.tenants), broken=tuple(pruning.broken))


class _Pruning:
    """One run over several tenants."""

    def __init__(self, wiring: Wiring, days: int, caller: Caller) -> None:
        self._wiring = wiring
        self._before = wiring.clock.now() - timedelta(days=days)
        self._caller = caller
        self.events = 0
        self.tenants: set[str] = set()
        self.broken: list[str] = []

    async def step(self, head: AuditHead) -> int:
        """Remove some of a tenant's events, and return how many; 0: there is nothing more to remove."""
        tenant_id = head.tenant_id
        start = await find_start(self._wiring, tenant_id)
        if start is False:
            self.broken.append(tenant_id)
            return 0
        check = ChainCheck(tenant_id, start=start)
        removed, is_worth_it = await self._feed(check, start, head)
        if not check.is_whole:
            self.broken.append(tenant_id)
            return 0
        if not is_worth_it:
            return 0
        try:
            await self._remove(check.cut(), 0 if start is None else start.seq, removed)
        except StaleWriteError:
            # Another process prunes this tenant.
            return 0
        self.events += removed
        self.tenants.add(tenant_id)
        return removed

    async def _feed(self, check: ChainCheck, start: AuditCut | None, head: AuditHead) -> tuple[int, bool]:
        """Check the events that are old, and return how many they are, and whether their removal leaves less than it adds."""
        after: int | None = None if start is None else start.seq
        removed, is_worth_it = 0, False
        while removed < _STEP:
            page = await self._wiring.store.list_audit(head.tenant_id, after=after, limit=PAGE)
            old = [record for record in page if record.seq < head.seq]
            old = old[: next((place for place, record in enumerate(old) if self._is_kept(record)), len(old))]
            check.feed(old, signed=await signed_erasures(self._wiring, old))
            removed += len(old)
            # Each removal is an event: a log in which nothing else happens would be pruned for ever.
            is_worth_it |= any(record.event.action != _PRUNED for record in old)
            if len(old) < PAGE or not check.is_whole:
                break
            after = old[-1].seq
        return removed, is_worth_it

    def _is_kept(self, record: AuditRecord) -> bool:
        return record.readable and record.event.occurred_at >= self._before

    async def _remove(self, cut: AuditCut, expected: int, removed: int) -> None:
        keys = require_checkpoint_keys(self._wiring)
        note = await keys.sign(write_cut(self._wiring.clock.now(), cut))
        subject = Subject(tenant_id=cut.tenant_id, other="audit")
        await apply(
            self._wiring,
            CutAudit(cut=StoredCut(tenant_id=cut.tenant_id, seq=cut.seq, note=note), expected=expected),
            happened(self._wiring, _PRUNED, subject, self._caller, events=str(removed), through=str(cut.seq)),
        )
