"""Change keys during normal operation: rotate and rewrap data keys, reseal rows, destroy or refuse old keys.

No run stores its progress: the rows themselves show what is left to do, and each is changed only if it is still as it was read.
So a run may be stopped at any time and started again, and any number of processes may run at once.
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
"""Rows written in one transaction: few, because other writers of these rows wait for it."""
_MOST_RETURNED = 100
_TRIES = 5
_SILENCES = 3
_LEAST_SHARE = 0.01
READERS_TIME = timedelta(minutes=5)
"""How long a replaced data key is kept at least, because another process may have read a row just before it was resealed."""

_TROUBLE = (SealingError, KeyringError, KeyServiceUnavailableError)
"""Errors that end the work on one key, but not the run."""
T = TypeVar("T")
_RowName = tuple[str, TenantId, str]


async def key_report(wiring: Wiring, /, *, tenant: str | None) -> KeyReport:
    """Return how many keys and rows each wrapping key protects, or how many rows each data key of one tenant seals."""
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
    """Make a new active data key for every tenant (or one) whose active key is older than *created_before*.

    Values sealed under the old key still open; `reseal` seals them under the new one.  *progress* is called after each page with its
    number of keys.  A tenant whose key cannot be replaced is in the returned failures.  Raises `ValidationFailedError`.
    """
    tenant_id = None if tenant is None else await known_tenant(wiring, tenant)
    # At most now: a key that this run makes is not older than that, so each tenant gets one key.
    now = wiring.clock.now()
    before = now if created_before is None else min(read_moment("createdBefore", created_before), now)

    async def rotate(key: WrappedKey) -> bool:
        # A new key for fingerprints would make the stored fingerprints useless.
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
    """Wrap every data key that is not wrapped by its current primary wrapping key with that one; sealed values stay as they are.

    *progress* is called after each page with its number of keys; failures are returned by tenant.
    """
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
    """Seal every row that is sealed under a replaced data key again, under its tenant's active key.

    *share*, up to 1, is the part of the time in which the run works; it pauses for the rest.  A row that a refresh writes in the
    meantime is skipped, because the refresh seals it under the active key.  *progress* is called with the number of rows of each
    batch; failures are returned by tenant.  Raises `ValidationFailedError`.
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
    """Overwrite data keys that were replaced before *retired_before* and no longer seal any row.

    The values in a backup that is older than that can then no longer be opened, so choose the time by how long backups are kept.
    Raises `ValidationFailedError` for a time less than five minutes ago.
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
            # It still seals a row.
            return False
        wiring.data_keys.drop(owner, key.key_id)
        return True

    return await _each_key(wiring, None, destroy, progress)


async def refuse_keys(wiring: Wiring, tenant: str, /, *, below: int, caller: Caller) -> None:
    """Refuse the tenant's data keys with a version below *below*: values sealed under them no longer open.

    Use it if an old data key may have become known, so that values forged with it are not accepted.  Other processes follow when
    their cached keys expire.  `below=1` undoes it.  Raises `ValidationFailedError` for a version above the active key's.
    """
    tenant_id = await known_tenant(wiring, tenant)
    # Not `data_keys.active`: this must work while the key service is unavailable, and see a rotation by another process.
    active = await wiring.store.find_active_key(tenant_id)
    highest = 1 if active is None else active.version
    if read_count("below", below) > highest:
        raise ValidationFailedError(field="below", problem=f"must be 1 to {highest}, the version of the active key: rotate first")
    event = happened(wiring, "key.refused", Subject(tenant_id=tenant_id), caller, below=str(below))
    await apply(wiring, RefuseKeys(tenant_id=tenant_id, min_version=below), event)
    # The lowest versions come first, so these include all that are refused.
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
    """Do *work* on every data key (of one tenant); an error for one tenant is noted and does not end the run for the others."""
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
                # Another process has changed this key first.
                continue
            except _TROUBLE as error:
                failures[TenantId(key.tenant_id)] = _reason(error)
        after = TenantId(page[-1].tenant_id), page[-1].version
        if progress is not None:
            progress(len(page))
    return RekeyRun(changed=changed, failures=_listed(failures))


class _Services:
    """Stops asking a key service that has not answered three times in a row.

    Each request without an answer takes a whole time limit, and thousands of tenants may have keys of the same service.
    """

    def __init__(self, wiring: Wiring, /) -> None:
        self._wiring = wiring
        self._silences: Counter[tuple[bytes, bytes]] = Counter()
        """Requests without an answer in a row, by the wrapping key that unwraps and the one that wraps."""

    async def use(self, key: WrappedKey, work: Callable[[WrappedKey], Awaitable[T]], /) -> T:
        """Do *work* with *key*; raise `KeyServiceUnavailableError` without asking if its services have stopped answering."""
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
    """Reseals the rows of some replaced data keys."""

    def __init__(
        self, wiring: Wiring, keys: Sequence[WrappedKey], services: _Services, failures: dict[TenantId, str], /, *, pauses: float
    ) -> None:
        self._wiring = wiring
        self._pauses = pauses
        """Seconds to pause for each second of work."""
        self._services = services
        self._keys = {(TenantId(key.tenant_id), key.key_id) for key in keys}
        self._failures = failures
        self._given_up: set[tuple[TenantId, UUID]] = set()
        """Keys that cannot be unwrapped in this run."""
        self._tries: Counter[_RowName] = Counter()
        self._set_aside: set[_RowName] = set()
        """Rows that cannot be resealed; other rows of their tenants can."""

    async def run(self, progress: Progress | None, /) -> int:
        """Reseal every row that these keys seal; return how many rows were resealed."""
        await self._load_keys()
        changed: set[_RowName] = set()
        while rows := await self._list():
            # A row that is listed again was not changed.
            changed -= {_row_name(row) for row in rows}
            for start in range(0, len(rows), _ROWS_PER_BATCH):
                changed |= await self._write(rows[start : start + _ROWS_PER_BATCH], progress)
        for tenant_id, key_id in self._keys:
            # It seals nothing now, and the cache has room for the keys in use.
            self._wiring.data_keys.drop(tenant_id, key_id)
        return len(changed)

    async def _load_keys(self) -> None:
        """Read all keys that the batch needs in one query; later a key is read singly only if a row changes in the meantime."""
        tenants = {tenant_id for tenant_id, _ in self._keys}
        for tenant_id in tenants:
            # Another process may have rotated the key since this process last read which one is active.
            self._wiring.data_keys.forget(tenant_id)
        for key in await self._wiring.store.find_keys(tenants):
            tenant_id = TenantId(key.tenant_id)
            seals = key.state is KeyState.ACTIVE
            if seals or (tenant_id, key.key_id) in self._keys:
                try:
                    await self._services.use(key, self._wiring.data_keys.keep)
                except _TROUBLE as error:
                    self._given_up |= {pair for pair in self._keys if pair == (tenant_id, key.key_id) or (seals and pair[0] == tenant_id)}
                    self._failures[tenant_id] = _reason(error)

    async def _list(self) -> list[SealedRow]:
        wanted = self._keys - self._given_up
        rows = await self._wiring.store.list_sealed(wanted, limit=_ROWS_PER_LIST + len(self._set_aside)) if wanted else ()
        return [row for row in rows if _row_name(row) not in self._set_aside]

    async def _write(self, rows: Sequence[SealedRow], progress: Progress | None) -> set[_RowName]:
        """Reseal *rows* in one transaction; return those that were passed to the store."""
        began = self._wiring.clock.monotonic()
        pairs = [(row, after) for row in rows if (after := await self._resealed(row)) is not None]
        if pairs:
            await self._wiring.store.apply(Reseal(rows=tuple(pairs)))
        if self._pauses:
            await self._wiring.pause.pause((self._wiring.clock.monotonic() - began) * self._pauses)
        if progress is not None:
            progress(sum(self._tries[_row_name(row)] == 1 for row, _ in pairs))
        return {_row_name(row) for row, _ in pairs}

    async def _resealed(self, row: SealedRow) -> SealedRow | None:
        """Return *row* resealed, or None after noting why that is not possible."""
        wiring, row_name, sealed_by = self._wiring, _row_name(row), (row.tenant_id, row.key_id)
        self._tries[row_name] += 1
        if sealed_by in self._given_up:
            return None
        if self._tries[row_name] > 1:
            # The active key was replaced again in the meantime.
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
            self._set_aside.add(row_name)
            self._failures[row.tenant_id] = _reason(error)
            return None
        if self._tries[row_name] > _TRIES:
            self._set_aside.add(row_name)
            self._failures[row.tenant_id] = "kept_changing"
            return None
        return after


def _row_name(row: SealedRow) -> _RowName:
    return row.table, row.tenant_id, row.row


def _reason(error: CloudIntegrationsError) -> str:
    return "does_not_open" if isinstance(error, DecryptError) else type(error).__name__


def _listed(failures: Mapping[TenantId, str]) -> tuple[RekeyFailure, ...]:
    return tuple(RekeyFailure(tenant_id=tenant_id, reason=reason) for tenant_id, reason in sorted(failures.items()))
