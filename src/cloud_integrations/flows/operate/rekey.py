"""Keys are changed while everything goes on: new data keys, another wrapping key, rows sealed anew.

Nothing here remembers how far it came: what is left to do stands in the rows themselves, and each is changed on the condition
that it is still as it was read.  So a run may be killed anywhere and begun again, and any number of processes may run at once.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import TypeVar
from uuid import UUID

from cloud_integrations.domain.arguments import Progress, read_count, read_listener, read_moment, read_share
from cloud_integrations.domain.audit import Caller
from cloud_integrations.domain.envelope import KeyState, WrappedKey
from cloud_integrations.domain.events import Subject
from cloud_integrations.domain.identifiers import TenantId
from cloud_integrations.domain.rekeying import KeyReport, RekeyFailure, RekeyRun, SealedRow
from cloud_integrations.errors import (
    CloudIntegrationsError,
    DecryptError,
    KeyringError,
    KeyServiceUnavailableError,
    SealingError,
    StaleWriteError,
    ValidationFailedError,
)
from cloud_integrations.flows.shared.data_keys import INDEX_SCOPE
from cloud_integrations.flows.shared.events import apply, happened
from cloud_integrations.flows.shared.lookup import known_tenant
from cloud_integrations.flows.shared.wiring import Wiring
from cloud_integrations.ports.store import DestroyKey, RefuseKeys, Reseal, RewrapKey, RotateKey

_KEYS_PER_PAGE = 200
_KEYS_PER_BATCH = 200
_ROWS_PER_LIST = 1_000
_ROWS_PER_BATCH = 200
"""Rows written in one transaction: few, because whoever writes to one of them meanwhile waits."""
_MOST_RETURNED = 100
_TRIES = 5
_SILENCES = 3
_LEAST_SHARE = 0.01
READERS_TIME = timedelta(minutes=5)
"""How long a replaced data key is kept at the least: somebody may have read a row just before it was sealed anew."""

_TROUBLE = (SealingError, KeyringError, KeyServiceUnavailableError)
"""What ends the work on one key, and not the run."""
T = TypeVar("T")
_Place = tuple[str, TenantId, str]


async def key_report(wiring: Wiring, /, *, tenant: str | None) -> KeyReport:
    """Count what each wrapping key protects, or each data key of one tenant."""
    tenant_id = None if tenant is None else await known_tenant(wiring, tenant)

    async def look(key: WrappedKey) -> bool:
        return _is_misplaced(wiring, key)

    return KeyReport(
        usage=await wiring.store.list_key_usage(tenant_id=tenant_id),
        primary=wiring.keys.primary(tenant_id or "").kek_uri,
        misplaced=(await _each_key(wiring, tenant_id, look, None)).changed,
        returned=sum(tenant_id in {None, key.tenant_id} for key in await wiring.store.list_returned_keys(limit=_MOST_RETURNED)),
    )


async def rotate_keys(
    wiring: Wiring, /, *, tenant: str | None, created_before: datetime | None, caller: Caller, progress: Progress | None
) -> RekeyRun:
    """Give every tenant (or one) whose active data key is older than *created_before* a new one, which seals from now on.

    Values sealed under the old one still open; `reseal` moves them.
    """
    tenant_id = None if tenant is None else await known_tenant(wiring, tenant)
    # No later than now: a key that this run makes is never older, so each tenant gets one.
    now = wiring.clock.now()
    before = now if created_before is None else min(read_moment("createdBefore", created_before), now)

    async def rotate(key: WrappedKey) -> bool:
        # What the index key has named would be found no more.
        if key.tenant_id == INDEX_SCOPE or key.state is not KeyState.ACTIVE or key.created_at >= before:
            return False
        owner = TenantId(key.tenant_id)
        made = await wiring.data_keys.make(owner)
        event = happened(wiring, "key.rotated", _subject(made), caller, version=str(made.version), kek=made.kek_uri)
        await apply(wiring, RotateKey(key=made, replaces=key.key_id), event)
        wiring.data_keys.forget(owner)
        return True

    return await _each_key(wiring, tenant_id, rotate, progress)


async def rewrap_keys(wiring: Wiring, /, *, tenant: str | None, caller: Caller, progress: Progress | None) -> RekeyRun:
    """Wrap every data key with the key that wraps now, wherever it was wrapped; no sealed value is touched."""
    tenant_id = None if tenant is None else await known_tenant(wiring, tenant)

    async def rewrap(key: WrappedKey) -> bool:
        if not _is_misplaced(wiring, key):
            return False
        data_key = b""
        try:
            data_key = await wiring.keys.unwrap(key)
            kek, wrapped = await wiring.keys.wrap(data_key, tenant_id=key.tenant_id, key_id=key.key_id, version=key.version)
        finally:
            # A traceback may be shown with the local variables of its frames.
            data_key = b""
        change = RewrapKey(before=key, kek_uri=kek.kek_uri, kek_key_id=kek.kek_key_id, wrapped=wrapped)
        said = {"version": str(key.version), "old_kek": key.kek_uri, "kek": kek.kek_uri}
        await apply(wiring, change, happened(wiring, "key.rewrapped", _subject(key), caller, **said))
        return True

    return await _each_key(wiring, tenant_id, rewrap, progress)


async def reseal(wiring: Wiring, /, *, share: float, progress: Progress | None) -> RekeyRun:
    """Seal anew, under its tenant's active data key, every row that is sealed under an older one, in a *share* of the time.

    A row that a refresh writes meanwhile is left to it: that is sealed under the active key anyway.
    """
    share = read_share("share", share, least=_LEAST_SHARE)
    progress = read_listener("progress", progress)
    changed = 0
    failures: dict[TenantId, str] = {}
    services = _Services(wiring)
    after: UUID | None = None
    while page := await wiring.store.list_replaced_keys(after=after, limit=_KEYS_PER_BATCH):
        after = page[-1].key_id
        changed += await _Batch(wiring, page, services, failures, pauses=1 / share - 1).run(progress)
    return RekeyRun(changed=changed, failures=_listed(failures))


async def destroy_keys(wiring: Wiring, /, *, retired_before: datetime, caller: Caller, progress: Progress | None) -> RekeyRun:
    """Overwrite data keys that were replaced before *retired_before* and seal nothing any more.

    A backup older than that can then no longer be opened: choose the time by how long backups are kept.
    """
    retired_before = read_moment("retiredBefore", retired_before)
    if retired_before > wiring.clock.now() - READERS_TIME:
        raise ValidationFailedError(field="retiredBefore", problem="must be five minutes ago or earlier")

    async def destroy(key: WrappedKey) -> bool:
        if key.state is not KeyState.DECRYPT_ONLY or key.retired_at is None or key.retired_at >= retired_before:
            return False
        owner = TenantId(key.tenant_id)
        change = DestroyKey(tenant_id=owner, key_id=key.key_id, destroyed_at=wiring.clock.now())
        try:
            await apply(wiring, change, happened(wiring, "key.destroyed", _subject(key), caller, version=str(key.version)))
        except StaleWriteError:
            # It still seals something.
            return False
        wiring.data_keys.drop(owner, key.key_id)
        return True

    return await _each_key(wiring, None, destroy, progress)


async def refuse_keys(wiring: Wiring, tenant: str, /, *, below: int, caller: Caller) -> None:
    """Refuse the tenant's data keys below version *below*: what they sealed does not open, whatever is found in the database.

    For the case that an old data key may be known to somebody.  Other processes follow when their memory of the key ends.
    `below=1` takes it back.
    """
    tenant_id = await known_tenant(wiring, tenant)
    # Not `data_keys.active`: this works while the key service is away, and another process may have rotated a moment ago.
    active = await wiring.store.find_active_key(tenant_id)
    highest = 1 if active is None else active.version
    if read_count("below", below) > highest:
        raise ValidationFailedError(field="below", problem=f"must be 1 to {highest}, the version of the active key: rotate first")
    event = happened(wiring, "key.refused", Subject(tenant_id=tenant_id), caller, below=str(below))
    await apply(wiring, RefuseKeys(tenant_id=tenant_id, min_version=below), event)
    # The lowest versions come first, so these are all that are refused.
    keys = await wiring.store.list_keys(tenant_id=tenant_id, limit=below)
    wiring.data_keys.forget(tenant_id, [key.key_id for key in keys])
    wiring.tokens.drop(tenant_id)


def _subject(key: WrappedKey) -> Subject:
    return Subject(tenant_id=TenantId(key.tenant_id), other=f"key:{key.key_id}")


def _is_misplaced(wiring: Wiring, key: WrappedKey) -> bool:
    return key.kek_key_id != wiring.keys.primary(key.tenant_id).kek_key_id


async def _each_key(
    wiring: Wiring, tenant_id: TenantId | None, work: Callable[[WrappedKey], Awaitable[bool]], progress: Progress | None
) -> RekeyRun:
    """Do *work* on every data key there is; one tenant's trouble does not end the run for the others."""
    progress = read_listener("progress", progress)
    changed = 0
    failures: dict[TenantId, str] = {}
    services = _Services(wiring)
    after: tuple[TenantId, int] | None = None
    while page := await wiring.store.list_keys(tenant_id=tenant_id, after=after, limit=_KEYS_PER_PAGE):
        for key in page:
            try:
                changed += await services.use(key, work)
            except StaleWriteError:
                # Another process has done it.
                continue
            except _TROUBLE as error:
                failures[TenantId(key.tenant_id)] = _reason(error)
        after = TenantId(page[-1].tenant_id), page[-1].version
        if progress is not None:
            progress(len(page))
    return RekeyRun(changed=changed, failures=_listed(failures))


class _Services:
    """Who is asked no more in this run: each silence lasts until a time limit, and thousands of tenants may have the same service."""

    def __init__(self, wiring: Wiring, /) -> None:
        self._wiring = wiring
        self._silences: Counter[tuple[bytes, bytes]] = Counter()
        """In a row, by the wrapping key that opens and the one that wraps."""

    async def use(self, key: WrappedKey, work: Callable[[WrappedKey], Awaitable[T]], /) -> T:
        """Do *work* with *key*, or raise `KeyServiceUnavailableError` without asking once more."""
        asked = key.kek_key_id, self._wiring.keys.primary(key.tenant_id).kek_key_id
        if self._silences[asked] >= _SILENCES:
            raise KeyServiceUnavailableError
        try:
            done = await work(key)
        except KeyServiceUnavailableError:
            self._silences[asked] += 1
            raise
        if done:
            self._silences[asked] = 0
        return done


class _Batch:
    """Some replaced data keys, and how far their rows are."""

    def __init__(
        self, wiring: Wiring, keys: Sequence[WrappedKey], services: _Services, failures: dict[TenantId, str], /, *, pauses: float
    ) -> None:
        self._wiring = wiring
        self._pauses = pauses
        """How long to pause for each second of work."""
        self._services = services
        self._keys = {(TenantId(key.tenant_id), key.key_id) for key in keys}
        self._failures = failures
        self._given_up: set[tuple[TenantId, UUID]] = set()
        """Keys that cannot be had."""
        self._tries: Counter[_Place] = Counter()
        self._set_aside: set[_Place] = set()
        """Rows that cannot be moved; the others of their tenant can."""

    async def run(self, progress: Progress | None, /) -> int:
        """Reseal everything under the keys; return how many rows that was."""
        await self._load_keys()
        changed: set[_Place] = set()
        while rows := await self._list():
            # What is listed again was not changed.
            changed -= {_place(row) for row in rows}
            for start in range(0, len(rows), _ROWS_PER_BATCH):
                changed |= await self._write(rows[start : start + _ROWS_PER_BATCH], progress)
        for tenant_id, key_id in self._keys:
            # Nothing is sealed under it now; in a process that serves, keys in use need the room.
            self._wiring.data_keys.drop(tenant_id, key_id)
        return len(changed)

    async def _load_keys(self) -> None:
        """Read all keys that the batch needs at once; a single one is read again only where a row changes meanwhile."""
        tenants = {tenant_id for tenant_id, _ in self._keys}
        for tenant_id in tenants:
            # Another process may have rotated since this one last asked which key is active.
            self._wiring.data_keys.forget(tenant_id)
        for key in await self._wiring.store.find_keys(tenants):
            tenant_id = TenantId(key.tenant_id)
            seals = key.state is KeyState.ACTIVE
            if seals or (tenant_id, key.key_id) in self._keys:
                try:
                    await self._services.use(key, self._wiring.data_keys.keep)
                except _TROUBLE as error:
                    self._given_up |= {
                        place for place in self._keys if place == (tenant_id, key.key_id) or (seals and place[0] == tenant_id)
                    }
                    self._failures[tenant_id] = _reason(error)

    async def _list(self) -> list[SealedRow]:
        wanted = self._keys - self._given_up
        rows = await self._wiring.store.list_sealed(wanted, limit=_ROWS_PER_LIST + len(self._set_aside)) if wanted else ()
        return [row for row in rows if _place(row) not in self._set_aside]

    async def _write(self, rows: Sequence[SealedRow], progress: Progress | None) -> set[_Place]:
        """Seal *rows* anew in one transaction; return which were handed to the store."""
        began = self._wiring.clock.monotonic()
        pairs = [(row, after) for row in rows if (after := await self._resealed(row)) is not None]
        if pairs:
            await self._wiring.store.apply(Reseal(rows=tuple(pairs)))
        if self._pauses:
            await self._wiring.pause.pause((self._wiring.clock.monotonic() - began) * self._pauses)
        if progress is not None:
            progress(sum(self._tries[_place(row)] == 1 for row, _ in pairs))
        return {_place(row) for row, _ in pairs}

    async def _resealed(self, row: SealedRow) -> SealedRow | None:
        """Seal *row* anew, or note why that cannot be done."""
        wiring, place, sealed_by = self._wiring, _place(row), (row.tenant_id, row.key_id)
        self._tries[place] += 1
        if sealed_by in self._given_up:
            return None
        if self._tries[place] > 1:
            # Its key was replaced once more meanwhile.
            wiring.data_keys.forget(row.tenant_id)
        try:
            old, new = await wiring.data_keys.require(*sealed_by), await wiring.data_keys.active(row.tenant_id)
        except _TROUBLE as error:
            self._given_up.add(sealed_by)
            self._failures[row.tenant_id] = _reason(error)
            return None
        try:
            after = wiring.sealer.reseal(row, old=old, new=new)
        except SealingError as error:
            self._set_aside.add(place)
            self._failures[row.tenant_id] = _reason(error)
            return None
        if self._tries[place] > _TRIES:
            self._set_aside.add(place)
            self._failures[row.tenant_id] = "kept_changing"
            return None
        return after


def _place(row: SealedRow) -> _Place:
    return row.table, row.tenant_id, row.row


def _reason(error: CloudIntegrationsError) -> str:
    return "does_not_open" if isinstance(error, DecryptError) else type(error).__name__


def _listed(failures: Mapping[TenantId, str]) -> tuple[RekeyFailure, ...]:
    return tuple(RekeyFailure(tenant_id=tenant_id, reason=reason) for tenant_id, reason in sorted(failures.items()))
