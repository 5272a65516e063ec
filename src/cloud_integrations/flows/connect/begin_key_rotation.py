"""A new key is checked and stored beside the one that is handed out."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

from cloud_integrations.domain.arguments import read_duration, read_flag
from cloud_integrations.domain.audit import Caller
from cloud_integrations.domain.entered import Entered
from cloud_integrations.domain.envelope import DataKey
from cloud_integrations.domain.events import Event, Subject
from cloud_integrations.domain.integration import StoredIntegration
from cloud_integrations.domain.key_rotation import STAGED_FOR, KeyRotation, StoredRotation
from cloud_integrations.domain.parts import Parts
from cloud_integrations.errors import ValidationFailedError
from cloud_integrations.flows.shared.entered import accept
from cloud_integrations.flows.shared.events import happened
from cloud_integrations.flows.shared.key_rotation import (
    accept_same_account,
    entered_parts,
    find_parts,
    find_readable,
    identified,
    in_the_way,
    require_rotatable,
    seal_key,
    shown_rotation,
)
from cloud_integrations.flows.shared.lookup import known_tenant, load, load_named
from cloud_integrations.flows.shared.setups import read_next
from cloud_integrations.flows.shared.stale_writes import again, apply_sealed
from cloud_integrations.flows.shared.wiring import Wiring
from cloud_integrations.ports.store import AddEntry, Change


async def begin_key_rotation(
    wiring: Wiring,
    tenant: str,
    integration: UUID | str,
    /,
    *,
    slot: str,
    entered: Entered,
    overlap: timedelta | float,
    revoke_key: bool,
    caller: Caller,
) -> KeyRotation:
    """Check a new key with the provider and store it beside the one that is handed out, which stays so until the rotation is finished.

    If a rotation with this very key is open and not finished, it is returned.  Raises `IntegrationNotFoundError`,
    `IntegrationInactiveError`, `KeyRotationError` if another rotation is open, `GrantRefusedError` if the key belongs to another
    account, `ValidationFailedError` if it is the stored one, and what `add` raises for values that are not accepted.
    """
    overlap, revoke_key = read_duration("overlap", overlap), read_flag("revokeKey", revoke_key)
    tenant_id = await known_tenant(wiring, tenant)
    stored = await load_named(wiring, tenant_id, integration, slot=slot)
    require_rotatable(stored)
    read = await read_next(wiring, stored, entered)
    # Looked up before the provider is asked, so that a repeated attempt sends its key nowhere.
    found = await _find_same(wiring, stored, read.parts)
    if found is not None:
        return found
    if await entered_parts(wiring, stored) == dict(read.parts):
        raise ValidationFailedError(field="credentials", problem="are those that are stored already")
    accepted = await accept(wiring, read, failure="key_rotation.not_begun", subject=Subject.of(stored.facts), caller=caller)
    await accept_same_account(wiring, stored.facts, accepted, read.method, failure="key_rotation.not_begun", caller=caller)
    now = wiring.clock.now()
    rotation_id = wiring.new_id()
    until = now + STAGED_FOR
    said = {"provider": read.provider.id, "until": until.isoformat(), "verified": str(accepted.is_verified).lower()}

    async def write() -> KeyRotation:
        row = await load(wiring, tenant_id, stored.facts.id)
        require_rotatable(row)
        found = await _find_same(wiring, row, read.parts)
        if found is not None:
            return found

        def changes(key: DataKey) -> list[Change | Event]:
            rotation = StoredRotation(
                id=rotation_id,
                tenant_id=tenant_id,
                integration_id=row.facts.id,
                provider_id=row.facts.provider_id,
                state="staged",
                method_id=read.method.id,
                new_key="entered",
                variables=identified({**row.facts.variables, **read.told}, accepted.account),
                revoke_key=revoke_key,
                overlap=overlap,
                begun_at=now,
                ends_at=until,
                key_ends_at=accepted.reconnect_before,
                sealed_parts=seal_key(wiring, key, row.facts.id, read.parts),
                key_id=key.key_id,
            )
            begun.append(rotation)
            event = happened(wiring, "key_rotation.begun", Subject.of(row.facts), caller, **said)
            return [AddEntry(entry=rotation.entry, expected_generation=row.credential.generation), event]

        begun: list[StoredRotation] = []
        await apply_sealed(wiring, tenant_id, changes)
        return shown_rotation(wiring, begun[-1])

    return await again(write, subject="integration")


async def _find_same(wiring: Wiring, stored: StoredIntegration, parts: Parts) -> KeyRotation | None:
    """Return the open rotation, if it is staged and *parts* are its new key; None if none is open; otherwise raise `KeyRotationError`."""
    found = await find_readable(wiring, stored.facts.tenant_id, stored.facts.id)
    if found is None:
        return None
    if found.state != "staged" or await find_parts(wiring, found) != dict(parts):
        raise in_the_way(found)
    return shown_rotation(wiring, found)
