"""End rotations of keys whose time has come."""

from __future__ import annotations

from cloud_integrations.domain.audit import Caller
from cloud_integrations.domain.envelope import DataKey
from cloud_integrations.domain.events import Event, Subject
from cloud_integrations.domain.key_rotation import KEY_ROTATION, StoredRotation
from cloud_integrations.errors import DecryptError, KeyringError, KeyServiceUnavailableError, StaleWriteError
from cloud_integrations.flows.shared.events import apply, happened
from cloud_integrations.flows.shared.key_rotation import end, find_parts, finish, key_end_of, unsettled
from cloud_integrations.flows.shared.lookup import read_entry, tell_damaged
from cloud_integrations.flows.shared.stale_writes import apply_sealed
from cloud_integrations.flows.shared.wiring import Wiring
from cloud_integrations.ports.store import Change, DamagedRow


async def end_key_rotations(wiring: Wiring, /, *, limit: int, caller: Caller) -> None:
    """End up to *limit* rotations of any tenant: forget a new key that nobody switched to, or revoke the old one after the overlap.

    A request for a new key whose answer was not stored is given up.

    A key that is to be revoked is put into the outbox as a revocation that is due.  Raises `StorageUnavailableError`.
    """
    for _ in range(limit):
        claimed = await wiring.store.claim_entries(KEY_ROTATION, limit=1, hold=wiring.settings.lease)
        if not claimed:
            return
        rotation = read_entry(claimed[0], StoredRotation.of)
        if isinstance(rotation, DamagedRow):
            tell_damaged(wiring, rotation)
            continue
        try:
            await _end(wiring, rotation, caller)
        except (KeyServiceUnavailableError, StaleWriteError):
            # It stays as it is, or somebody has just changed it: looked at again when the hold is over.
            continue


async def _end(wiring: Wiring, rotation: StoredRotation, caller: Caller) -> None:
    if rotation.state == "sent":
        await apply(wiring, *unsettled(wiring, rotation, caller, reason="interrupted"))
        return
    cancelled: list[Event] = []
    if rotation.state == "staged":
        cancelled = [happened(wiring, "key_rotation.cancelled", Subject.named_by(rotation), caller, reason="expired")]

    def changes(key: DataKey | None) -> list[Change | Event]:
        ending = end(wiring, key, rotation, parts, caller, is_new=rotation.is_new, due_at=wiring.clock.now())
        return [finish(rotation), *cancelled, *ending.changes]

    parts = await find_parts(wiring, rotation) if key_end_of(wiring, rotation) == "revoke" else None
    if parts is None:
        await apply(wiring, *changes(None))
        return
    try:
        await apply_sealed(wiring, rotation.tenant_id, changes)
    except (DecryptError, KeyringError):
        # The tenant has no key that could seal it for the outbox.
        await apply(wiring, *changes(None))
