"""Store a key that the provider has made, whatever has become of the integration meanwhile."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING

from cloud_integrations.domain.audit import Caller
from cloud_integrations.domain.envelope import DataKey
from cloud_integrations.domain.events import Event, Subject
from cloud_integrations.domain.integration import AccountFacts, State, StoredIntegration
from cloud_integrations.domain.key_rotation import STAGED_FOR, KeyRotation, StoredRotation
from cloud_integrations.domain.parts import Parts
from cloud_integrations.domain.provider import IDENTITY, Method, NewKey, Provider
from cloud_integrations.domain.removal import API_KEY, RevocationOutcome
from cloud_integrations.errors import CloudIntegrationsError, IntegrationNotFoundError, KeyRotationError
from cloud_integrations.flows.shared.entered import Accepted, facts_with, fingerprint_of, replacement
from cloud_integrations.flows.shared.events import happened, tell_of
from cloud_integrations.flows.shared.keep_trying import keep_trying
from cloud_integrations.flows.shared.key_rotation import (
    Ending,
    end,
    entered_parts,
    find_rotation,
    finish,
    revoke_ended,
    shown_rotation,
    with_key,
)
from cloud_integrations.flows.shared.next_check import next_check
from cloud_integrations.flows.shared.stale_writes import apply_sealed
from cloud_integrations.flows.shared.verification import find_account_id, identify
from cloud_integrations.flows.shared.wiring import Wiring
from cloud_integrations.ports.store import AddEntry, Change, SaveFacts
from cloud_integrations.protocol.http import HttpRequest
from cloud_integrations.protocol.new_key import MadeKey

if TYPE_CHECKING:
    from cloud_integrations.domain.credential import Presented
    from cloud_integrations.errors import RotationReason


@dataclass(frozen=True, slots=True, kw_only=True)
class Making:
    """A request for a new key, and what was known before it was sent."""

    stored: StoredIntegration
    provider: Provider
    method: Method
    facts: NewKey
    request: HttpRequest
    presented: Presented
    """The key that shows the request."""
    variables: Mapping[str, str]
    old: Parts = field(repr=False)
    """What is stored of that key."""
    data_key: DataKey = field(repr=False)
    sent: StoredRotation
    """The rotation of state `sent`, which is written before the request leaves."""
    caller: Caller

    @property
    def subject(self) -> Subject:
        """The integration whose key is rotated."""
        return Subject.of(self.stored.facts)

    def error(self, reason: RotationReason, /) -> KeyRotationError:
        """Return the error of this rotation."""
        return KeyRotationError(integration_id=str(self.stored.facts.id), reason=reason)


async def store_made_key(wiring: Wiring, making: Making, made: MadeKey, /) -> KeyRotation:
    """Store a key that the provider has made, and return its rotation.

    While the store cannot be used, it is tried again until the setting `persist_limit` is over; then the store's error is raised.
    Raises `IntegrationNotFoundError` if the integration was removed, and `KeyRotationError` if its key was replaced; a key that was
    created is then revoked.
    """
    store, ends = partial(_store, wiring, making, made), (IntegrationNotFoundError, KeyRotationError)
    return await keep_trying(wiring, store, since=wiring.clock.monotonic(), subject=making.subject, ends=ends)


async def _store(wiring: Wiring, making: Making, made: MadeKey) -> KeyRotation:
    tenant_id, integration_id = making.stored.facts.tenant_id, making.stored.facts.id
    row = await wiring.store.find_integration(tenant_id, integration_id)
    found = await find_rotation(wiring, tenant_id, integration_id)
    ours = isinstance(found, StoredRotation) and found.id == making.sent.id
    mark = [finish(making.sent)] if ours else []
    if row is None:
        await _give_back(wiring, making, made, mark)
        raise IntegrationNotFoundError
    held = await entered_parts(wiring, row)
    rolls = making.facts.does == "roll"
    if rolls and held == dict(made.parts):
        # An earlier write has arrived after all, and nothing that this process remembers of the old value is good any more.
        wiring.tokens.drop(tenant_id)
        return _rolled(wiring, making)
    if isinstance(found, StoredRotation) and ours and found.state != "sent":
        return shown_rotation(wiring, found)
    if held != dict(making.old) or (not rolls and not ours and found is not None):
        await _give_back(wiring, making, made, mark)
        raise making.error("superseded")
    if rolls:
        await _replace(wiring, making, made, row, mark)
        return _rolled(wiring, making)
    return await _stage(wiring, making, made, row, mark)


async def _stage(wiring: Wiring, making: Making, made: MadeKey, row: StoredIntegration, mark: Sequence[Change]) -> KeyRotation:
    """Store a key that was created beside the old one, where it waits to be switched to."""
    rotation = _created(wiring, making, made)
    staged: list[StoredRotation] = []

    def changes(key: DataKey) -> list[Change | Event]:
        staged[:] = [with_key(wiring, key, rotation, made.parts)]
        said = {"provider": making.provider.id, "until": rotation.ends_at.isoformat(), "verified": "false", "made_by": making.facts.does}
        event = happened(wiring, "key_rotation.begun", making.subject, making.caller, **said)
        return [*mark, AddEntry(entry=staged[0].entry, expected_generation=row.credential.generation), event]

    await apply_sealed(wiring, row.facts.tenant_id, changes, fetched=making.data_key)
    return shown_rotation(wiring, staged[0])


def _created(wiring: Wiring, making: Making, made: MadeKey) -> StoredRotation:
    facts = making.stored.facts
    variables = dict(facts.variables) if made.identity is None else {**facts.variables, IDENTITY: made.identity}
    return replace(making.sent, state="staged", variables=variables, ends_at=wiring.clock.now() + STAGED_FOR)


async def _replace(wiring: Wiring, making: Making, made: MadeKey, row: StoredIntegration, mark: Sequence[Change]) -> None:
    """Store the new value of a key that was rolled in the place of the old one, which has ended."""
    now, facts, mints = wiring.clock.now(), row.facts, bool(making.method.mint)
    known = facts.account if find_account_id(facts.account) is not None else AccountFacts()
    accepted = Accepted(
        account=await identify(wiring, facts.tenant_id, making.method, known, next(iter(made.parts.values()))),
        is_verified=False,
        # What was minted before is minted anew when it is used.
        presented={} if mints else made.parts,
        renewal=made.parts if mints else None,
        expires_at=now if mints else facts.expires_at,
        # A new value may end later, and nobody has asked: a reminder that comes too early does no harm.
        reconnect_before=facts.reconnect_before,
        due_at=next_check(wiring, making.method),
    )
    after = facts_with(facts, accepted, making.method, now=now)
    opened: list[Change] = []
    if facts.state is State.DISABLED:
        # No credential is written over a disabled row.  It stays disabled for everybody, because this is one transaction.
        opened = [SaveFacts(facts=after, expected_state=facts.state)]
        after = replace(after, state=facts.state, state_since=facts.state_since, reason=facts.reason)
    fingerprint = await fingerprint_of(wiring, after, accepted)

    def changes(key: DataKey) -> list[Change | Event]:
        change = replacement(wiring, key, row, after, accepted, fingerprint=fingerprint)
        said = {"made_by": making.facts.does, "provider": making.provider.id, "verified": "false"}
        event = happened(wiring, "key_rotation.finished", making.subject, making.caller, **said)
        return [*opened, change, *mark, event]

    await apply_sealed(wiring, facts.tenant_id, changes, fetched=making.data_key)


def _rolled(wiring: Wiring, making: Making) -> KeyRotation:
    now = wiring.clock.now()
    return replace(shown_rotation(wiring, making.sent, state="rolled"), switched_at=now, ends_at=now, key_end="ended", manual_url=None)


async def _give_back(wiring: Wiring, making: Making, made: MadeKey, mark: Sequence[Change]) -> None:
    """Revoke a key that was created and has no place any more.  A rolled one is the tenant's own key, so it is left as it is.

    Raises no error of ours, because the caller is already handling one.
    """
    rotation = _created(wiring, making, made)
    ending: list[Ending] = []

    def changes(key: DataKey) -> list[Change | Event]:
        ending[:] = [end(wiring, key, rotation, made.parts, making.caller, is_new=True)]
        return [*mark, *ending[0].changes]

    try:
        await apply_sealed(wiring, rotation.tenant_id, changes)
    except CloudIntegrationsError:
        # The last resort: the request is sent without an entry in the outbox.
        attempt = await revoke_ended(wiring, end(wiring, making.data_key, rotation, made.parts, making.caller, is_new=True), making.caller)
        if attempt is None or attempt.outcome is not RevocationOutcome.REVOKED:
            reason = "unsupported" if attempt is None else attempt.reason or "failed"
            tell_of(wiring, "token.left_behind", making.subject, token=API_KEY, reason=reason)
        return
    await revoke_ended(wiring, ending[0], making.caller)
