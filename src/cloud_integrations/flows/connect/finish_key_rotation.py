"""The two keys of a rotation change places: the new one is handed out, or the old one again."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

from cloud_integrations.domain.arguments import read_flag
from cloud_integrations.domain.audit import Caller
from cloud_integrations.domain.envelope import DataKey
from cloud_integrations.domain.event_names import RecordedName
from cloud_integrations.domain.events import Event, Subject
from cloud_integrations.domain.identifiers import IntegrationId, TenantId
from cloud_integrations.domain.integration import Integration, StoredIntegration
from cloud_integrations.domain.key_rotation import KeyRotation, StoredRotation
from cloud_integrations.domain.parts import Parts
from cloud_integrations.errors import KeyRotationError, ProviderInactiveError
from cloud_integrations.flows.shared.applications import find_method, operator_variables
from cloud_integrations.flows.shared.entered import Accepted, ReadInputs, accept, facts_with, fingerprint_of, replacement
from cloud_integrations.flows.shared.events import apply, happened, recovery
from cloud_integrations.flows.shared.freezing import require_unfrozen_actor
from cloud_integrations.flows.shared.key_rotation import (
    Ending,
    accept_same_account,
    end,
    entered_parts,
    find_parts,
    find_readable,
    finish,
    identified,
    in_the_way,
    key_end_of,
    open_parts,
    require_rotatable,
    require_rotation,
    revoke_ended,
    shown_rotation,
    unsettled,
    variables_of,
    with_key,
)
from cloud_integrations.flows.shared.lookup import find_named, known_tenant, load
from cloud_integrations.flows.shared.stale_writes import again, apply_sealed
from cloud_integrations.flows.shared.wiring import Wiring
from cloud_integrations.ports.store import AddEntry, Change


async def find_key_rotation(wiring: Wiring, tenant: str, integration: UUID | str, /, *, slot: str) -> KeyRotation | None:
    """Return the open rotation of an integration's key, or None.  Raises `IntegrationNotFoundError`."""
    tenant_id = await known_tenant(wiring, tenant)
    integration_id = await find_named(wiring, tenant_id, integration, slot=slot)
    found = await find_readable(wiring, tenant_id, integration_id)
    if found is None:
        await load(wiring, tenant_id, integration_id)
        return None
    return shown_rotation(wiring, found)


async def finish_key_rotation(
    wiring: Wiring, tenant: str, integration: UUID | str, /, *, slot: str, now: bool, caller: Caller
) -> KeyRotation:
    """Hand out the new key, once the provider has accepted it again; the old one is stored until the overlap ends.

    A rotation that has come so far already is returned as it is.  With *now*, the overlap is as short as possible.
    Raises `IntegrationNotFoundError`, `IntegrationInactiveError`, `KeyRotationError`, and what `begin_key_rotation` raises for a key
    that is not accepted.
    """
    now = read_flag("now", now)
    tenant_id = await known_tenant(wiring, tenant)
    integration_id = await find_named(wiring, tenant_id, integration, slot=slot)

    async def attempt() -> StoredRotation:
        rotation = await require_rotation(wiring, tenant_id, integration_id)
        if rotation.state == "sent":
            raise in_the_way(rotation)
        if rotation.state == "staged":
            return await _switch(wiring, rotation, hurry=now, caller=caller)
        return await _hasten(wiring, rotation) if now else rotation

    return shown_rotation(wiring, await again(attempt, subject="integration"))


async def cancel_key_rotation(wiring: Wiring, tenant: str, integration: UUID | str, /, *, slot: str, caller: Caller) -> KeyRotation:
    """Forget a new key that was not handed out yet, or hand out the old key again, once the provider has accepted it.

    Raises `IntegrationNotFoundError`, `IntegrationInactiveError`, `KeyRotationError`, and what `begin_key_rotation` raises for a key
    that is not accepted.
    """
    tenant_id = await known_tenant(wiring, tenant)
    integration_id = await find_named(wiring, tenant_id, integration, slot=slot)
    return await again(lambda: _cancel(wiring, tenant_id, integration_id, caller), subject="integration")


async def _switch(wiring: Wiring, rotation: StoredRotation, *, hurry: bool, caller: Caller) -> StoredRotation:
    swap = await _swap(wiring, rotation, failure="key_rotation.not_finished", caller=caller)
    # For so long, processes may hand out the old key from memory.
    overlap = wiring.settings.token_cache if hurry else max(rotation.overlap, wiring.settings.token_cache)
    other = replace(swap.other, ends_at=swap.at + overlap)
    said = {"until": other.ends_at.isoformat(), "verified": str(swap.accepted.is_verified).lower()}

    def changes(key: DataKey) -> list[Change | Event]:
        event = happened(wiring, "key_rotation.finished", Subject.of(swap.after), caller, **said)
        return [*swap.changes(wiring, key, caller), AddEntry(entry=with_key(wiring, key, other, swap.parts).entry), event]

    await apply_sealed(wiring, rotation.tenant_id, changes)
    return other


async def _hasten(wiring: Wiring, rotation: StoredRotation) -> StoredRotation:
    """Let the old key end as soon as no process can hand it out from memory."""
    assert rotation.switched_at is not None  # noqa: S101  # it has been switched
    soon = replace(rotation, ends_at=min(rotation.ends_at, rotation.switched_at + wiring.settings.token_cache))
    parts = await open_parts(wiring, rotation)

    def changes(key: DataKey) -> list[Change | Event]:
        return [finish(rotation), AddEntry(entry=with_key(wiring, key, soon, parts).entry)]

    await apply_sealed(wiring, rotation.tenant_id, changes)
    return soon


async def _cancel(wiring: Wiring, tenant_id: TenantId, integration_id: IntegrationId, caller: Caller) -> KeyRotation:
    rotation = await require_rotation(wiring, tenant_id, integration_id)
    if rotation.state == "replaced":
        raise KeyRotationError(integration_id=str(integration_id), reason="replaced")
    event = happened(wiring, "key_rotation.cancelled", Subject.named_by(rotation), caller)
    if rotation.state == "sent":
        await apply(wiring, *unsettled(wiring, rotation, caller, reason="cancelled"), event)
        return shown_rotation(wiring, rotation, state="cancelled")
    if rotation.state == "staged":
        await _forget(wiring, rotation, event, caller)
        return shown_rotation(wiring, rotation, state="cancelled")
    swap = await _swap(wiring, rotation, failure="key_rotation.not_cancelled", caller=caller)

    def changes(key: DataKey) -> list[Change | Event]:
        # For so long, processes may hand out the new key from memory.
        due_at = swap.at + wiring.settings.token_cache
        ending = end(wiring, key, swap.other, swap.parts, caller, is_new=True, due_at=due_at)
        return [*swap.changes(wiring, key, caller), event, *ending.changes]

    await apply_sealed(wiring, tenant_id, changes)
    return shown_rotation(wiring, swap.other, state="cancelled")


async def _forget(wiring: Wiring, rotation: StoredRotation, event: Event, caller: Caller) -> None:
    """Forget a new key that was not handed out; if the provider made it for us, revoke it at once."""
    ending: list[Ending] = []

    def changes(key: DataKey | None) -> list[Change | Event]:
        ending[:] = [end(wiring, key, rotation, parts, caller, is_new=True)]
        return [finish(rotation), event, *ending[0].changes]

    parts = await find_parts(wiring, rotation) if key_end_of(wiring, rotation) == "revoke" else None
    if parts is None:
        await apply(wiring, *changes(None))
        return
    await apply_sealed(wiring, rotation.tenant_id, changes)
    await revoke_ended(wiring, ending[0], caller)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Swap:
    """The two keys of a rotation in the moment in which they change places."""

    at: datetime
    before: StoredIntegration
    after: Integration
    accepted: Accepted
    fingerprint: bytes | None
    rotation: StoredRotation
    other: StoredRotation
    """The rotation afterwards, with the key that was handed out; `parts` are still to be sealed for it."""
    parts: Parts

    def changes(self, wiring: Wiring, key: DataKey, caller: Caller, /) -> list[Change | Event]:
        """Return the changes that hand out the other key and take the rotation out of the outbox."""
        change = replacement(wiring, key, self.before, self.after, self.accepted, fingerprint=self.fingerprint)
        return [change, finish(self.rotation), *recovery(wiring, self.before.facts, self.after, caller)]


async def _swap(wiring: Wiring, rotation: StoredRotation, *, failure: RecordedName, caller: Caller) -> _Swap:
    """Have the provider check the key that is not handed out, and return both keys as they are when that one is handed out."""
    stored = await load(wiring, rotation.tenant_id, rotation.integration_id)
    await require_unfrozen_actor(wiring, stored.to_use, caller)
    require_rotatable(stored)
    known = find_method(wiring, rotation.provider_id, rotation.method_id)
    if known is None:
        raise ProviderInactiveError(provider_id=str(rotation.provider_id), problem="has no such method any more")
    provider, method = known
    # The other key may be one for another region.
    own = variables_of(rotation)
    variables = provider.fill_variables(own, operator=operator_variables(wiring, provider))
    read = ReadInputs(
        provider=provider, method=method, parts=await open_parts(wiring, rotation), variables=variables, ends_at=rotation.key_ends_at
    )
    accepted = await accept(wiring, read, failure=failure, subject=Subject.of(stored.facts), caller=caller)
    await accept_same_account(wiring, stored.facts, accepted, method, failure=failure, caller=caller)
    now = wiring.clock.now()
    facts = stored.facts
    after = facts_with(facts, accepted, method, now=now, told=own)
    other = replace(
        rotation,
        state="switched",
        method_id=facts.method_id,
        variables=identified(facts.variables, facts.account),
        switched_at=now,
        key_ends_at=facts.reconnect_before,
    )
    return _Swap(
        at=now,
        before=stored,
        after=after,
        accepted=accepted,
        fingerprint=await fingerprint_of(wiring, after, accepted),
        rotation=rotation,
        other=other,
        parts=await entered_parts(wiring, stored),
    )
