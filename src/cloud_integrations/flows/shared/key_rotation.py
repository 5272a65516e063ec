"""The rotation of an integration's key: the key that is not handed out, beside the one that is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from cloud_integrations.domain.audit import Caller
from cloud_integrations.domain.envelope import DataKey
from cloud_integrations.domain.event_names import RecordedName
from cloud_integrations.domain.events import Event, Subject
from cloud_integrations.domain.identifiers import IntegrationId, TenantId
from cloud_integrations.domain.integration import AccountFacts, Integration, State, StoredIntegration
from cloud_integrations.domain.key_rotation import KEY_ROTATION, KeyEnd, KeyRotation, RotationState, StoredRotation
from cloud_integrations.domain.outbox import OUTBOX_TABLE
from cloud_integrations.domain.parts import Parts, pack, unpack
from cloud_integrations.domain.provider import IDENTITY, Method, places
from cloud_integrations.domain.removal import API_KEY, Revocation
from cloud_integrations.domain.secret import Secret
from cloud_integrations.errors import (
    DamagedRowError,
    DecryptError,
    GrantRefusedError,
    IntegrationInactiveError,
    KeyringError,
    KeyRotationError,
    ValidationFailedError,
)
from cloud_integrations.kinds import by_consent
from cloud_integrations.ports.store import AddEntry, Change, DamagedRow, FinishEntry

from .applications import find_method, known_variables
from .entered import Accepted
from .events import happened, record_failure
from .key_revocation import attempt_key_revocation
from .lookup import read_entry
from .revocation import Attempt, settle_now
from .revocation_entries import new_entry
from .verification import find_account_id, is_other_account
from .wiring import Wiring


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """The end of the key that is not handed out: what is written, and what is to be revoked after that."""

    changes: tuple[Change | Event, ...]
    key_end: KeyEnd
    to_revoke: tuple[Revocation, Secret] | None = None


def require_rotatable(stored: StoredIntegration, /) -> None:
    """Raise `ValidationFailedError` for a consent, `IntegrationInactiveError` for an integration that is disabled."""
    if by_consent(stored.facts.auth_type):
        raise ValidationFailedError(field="integration", problem="was connected by a consent; only keys are rotated")
    if stored.facts.state is State.DISABLED:
        raise IntegrationInactiveError(integration_id=str(stored.facts.id))


async def find_rotation(wiring: Wiring, tenant_id: TenantId, integration_id: IntegrationId, /) -> StoredRotation | DamagedRow | None:
    """Return the open rotation of an integration's key, or None."""
    entries = await wiring.store.list_entries(tenant_id, KEY_ROTATION, index_key=str(integration_id), limit=1)
    return read_entry(entries[0], StoredRotation.of) if entries else None


async def find_readable(wiring: Wiring, tenant_id: TenantId, integration_id: IntegrationId, /) -> StoredRotation | None:
    """Do as `find_rotation`, and raise `DamagedRowError` for a rotation that cannot be read."""
    found = await find_rotation(wiring, tenant_id, integration_id)
    if isinstance(found, DamagedRow):
        raise DamagedRowError(table=found.table, row=found.row)
    return found


def in_the_way(rotation: StoredRotation, /) -> KeyRotationError:
    """Return the error of a call that an open rotation keeps from being carried out."""
    return KeyRotationError(integration_id=str(rotation.integration_id), reason="sent" if rotation.state == "sent" else "open")


async def require_rotation(wiring: Wiring, tenant_id: TenantId, integration_id: IntegrationId, /) -> StoredRotation:
    """Return the open rotation of an integration's key.  Raises `KeyRotationError` or `DamagedRowError`."""
    found = await find_readable(wiring, tenant_id, integration_id)
    if found is None:
        raise KeyRotationError(integration_id=str(integration_id), reason="none")
    return found


def shown_rotation(wiring: Wiring, rotation: StoredRotation, /, *, state: RotationState | None = None) -> KeyRotation:
    """Return a rotation as callers see it; *state* takes the place of the stored one."""
    key_end = key_end_of(wiring, rotation)
    return KeyRotation(
        id=rotation.id,
        tenant_id=rotation.tenant_id,
        integration_id=rotation.integration_id,
        provider_id=rotation.provider_id,
        state=state or rotation.state,
        begun_at=rotation.begun_at,
        switched_at=rotation.switched_at,
        ends_at=rotation.ends_at,
        key_end=key_end,
        manual_url=_manual_url(wiring, rotation, key_end),
    )


def key_end_of(wiring: Wiring, rotation: StoredRotation, /) -> KeyEnd:
    """Return what becomes of the key that is not handed out."""
    if rotation.state == "sent":
        return "unknown"
    if rotation.state == "staged" and rotation.new_key == "entered":
        return "unused"
    known = find_method(wiring, rotation.provider_id, rotation.method_id)
    if known is None or known[1].key_revocation is None:
        return "unsupported"
    if IDENTITY in places(known[1].key_revocation.url) and IDENTITY not in rotation.variables:
        return "unsupported"
    if rotation.state == "staged" and rotation.new_key == "roll":
        # It is the tenant's own key, with a new value.
        return "unsupported"
    # Nobody else knows a new key that was made for us, and nobody uses it yet.
    return "revoke" if rotation.revoke_key or rotation.state == "staged" else "not_asked"


def _manual_url(wiring: Wiring, rotation: StoredRotation, key_end: KeyEnd) -> str | None:
    known = find_method(wiring, rotation.provider_id, rotation.method_id)
    if key_end not in {"unsupported", "not_asked", "unknown"} or known is None or known[1].revoke is None:
        return None
    return known[1].revoke.find_manual_url(known_variables(wiring, known[0], rotation.variables))


def seal_key(wiring: Wiring, key: DataKey, integration_id: IntegrationId, parts: Parts, /) -> bytes:
    """Seal what was entered for the key that is not handed out."""
    return wiring.sealer.seal(key, pack(parts), table=OUTBOX_TABLE, row=str(integration_id), field="payload")


def with_key(wiring: Wiring, key: DataKey, rotation: StoredRotation, parts: Parts, /) -> StoredRotation:
    """Return *rotation* with *parts*, sealed under *key*, as the key that is not handed out."""
    return replace(rotation, sealed_parts=seal_key(wiring, key, rotation.integration_id, parts), key_id=key.key_id)


async def open_parts(wiring: Wiring, rotation: StoredRotation, /) -> dict[str, Secret]:
    """Return what was entered for the key that is not handed out."""
    row = str(rotation.integration_id)
    return unpack(await wiring.sealer.open(rotation.tenant_id, rotation.sealed_parts, table=OUTBOX_TABLE, row=row, field="payload"))


async def find_parts(wiring: Wiring, rotation: StoredRotation, /) -> dict[str, Secret] | None:
    """Do as `open_parts`; None if they do not open, which must not keep a rotation from ending."""
    try:
        return await open_parts(wiring, rotation)
    except (DecryptError, KeyringError):
        return None


async def entered_parts(wiring: Wiring, stored: StoredIntegration, /) -> dict[str, Secret]:
    """Return what was entered for the key that is handed out."""
    return await wiring.sealer.open_column(stored, "presented" if stored.credential.renewal is None else "renewal")


def identified(variables: Mapping[str, str], account: AccountFacts, /) -> dict[str, str]:
    """Return an integration's variables, with the id that the check of a key found."""
    account_id = find_account_id(account)
    return dict(variables) if account_id is None else {**variables, IDENTITY: account_id}


def variables_of(rotation: StoredRotation, /) -> dict[str, str]:
    """Return the variables of the integration with the key of *rotation*, without what only the request that ends the key names."""
    return {name: value for name, value in rotation.variables.items() if name != IDENTITY}


def end(
    wiring: Wiring,
    key: DataKey | None,
    rotation: StoredRotation,
    parts: Parts | None,
    caller: Caller,
    /,
    *,
    is_new: bool,
    due_at: datetime | None = None,
    revoke_key: bool | None = None,
) -> Ending:
    """Return the end of the key that is not handed out; *is_new* says which of the two it is.

    *parts* are its parts, None if they do not open, and *key* is the data key with which they are sealed for the outbox; None: there is
    none.  *due_at* is when it is revoked, at the earliest; left out, at once.  *revoke_key* takes the place of what the rotation says.
    """
    asked = rotation if revoke_key is None else replace(rotation, revoke_key=rotation.revoke_key or revoke_key)
    key_end = key_end_of(wiring, asked)
    if key_end == "revoke" and (key is None or parts is None):
        key_end = "unsupported"
    event = happened(
        wiring,
        "key_rotation.ended",
        Subject.named_by(rotation),
        caller,
        key="new" if is_new else "old",
        then=key_end,
        manual_url=_manual_url(wiring, rotation, key_end),
    )
    if key is None or parts is None or key_end != "revoke":
        return Ending(changes=(event,), key_end=key_end)
    packed = pack(parts)
    entry = new_entry(
        wiring,
        key,
        API_KEY,
        packed,
        tenant_id=rotation.tenant_id,
        integration_id=rotation.integration_id,
        provider_id=rotation.provider_id,
        method_id=rotation.method_id,
        variables=rotation.variables,
    )
    if due_at is not None:
        entry = replace(entry, next_attempt_at=due_at)
    return Ending(changes=(AddEntry(entry=entry.entry), event), key_end=key_end, to_revoke=(entry, packed))


async def revoke_ended(wiring: Wiring, ending: Ending, caller: Caller, /) -> Attempt | None:
    """Try at once to revoke the key that has ended; None if the provider is not asked."""
    if ending.to_revoke is None:
        return None
    entry, packed = ending.to_revoke
    attempt = await attempt_key_revocation(wiring, entry, packed)
    await settle_now(wiring, entry, attempt, caller=caller)
    return attempt


async def replaced(
    wiring: Wiring, tenant_id: TenantId, integration_id: IntegrationId, caller: Caller, /
) -> Callable[[DataKey], list[Change | Event]]:
    """Return the changes by which a reconnect, which replaces the key that is handed out, ends an open rotation.

    A new key that was not handed out is forgotten, or revoked if the provider made it for us.  An old one waits for its end, and there
    is no way back to it.
    """
    rotation = await find_rotation(wiring, tenant_id, integration_id)
    if not isinstance(rotation, StoredRotation) or rotation.state == "replaced":
        return lambda _: []
    if rotation.state == "sent":
        return lambda _: unsettled(wiring, rotation, caller, reason="reconnected")
    parts = await find_parts(wiring, rotation)
    if rotation.state == "staged":
        cancelled = happened(wiring, "key_rotation.cancelled", Subject.named_by(rotation), caller, reason="reconnected")
        now = wiring.clock.now()
        return lambda key: [finish(rotation), cancelled, *end(wiring, key, rotation, parts, caller, is_new=True, due_at=now).changes]
    if parts is None:
        return lambda _: [finish(rotation), *end(wiring, None, rotation, None, caller, is_new=False).changes]
    after = replace(rotation, state="replaced")
    return lambda key: [finish(rotation), AddEntry(entry=with_key(wiring, key, after, parts).entry)]


def unsettled(wiring: Wiring, rotation: StoredRotation, caller: Caller, /, *, reason: str) -> list[Change | Event]:
    """Return the changes that give up a request for a new key whose answer is not known."""
    event = happened(
        wiring,
        "key_rotation.unsettled",
        Subject.named_by(rotation),
        caller,
        reason=reason,
        made_by=rotation.new_key,
        manual_url=_manual_url(wiring, rotation, "unknown"),
    )
    return [finish(rotation), event]


def finish(rotation: StoredRotation, /) -> FinishEntry:
    """Return the change that takes a rotation out of the outbox, if it is still as it was read."""
    return FinishEntry(tenant_id=rotation.tenant_id, entry_id=rotation.integration_id, expected_facts=rotation.entry.facts)


def require_same_account(before: AccountFacts, after: AccountFacts, method: Method, /) -> None:
    """Raise `GrantRefusedError` if two keys belong to two accounts, as far as the provider says."""
    revocation = method.key_revocation
    if revocation is not None and IDENTITY in places(revocation.url):
        # The provider names the key, and not its account.
        return
    if is_other_account(before, after):
        raise GrantRefusedError(reason="other_account")


async def accept_same_account(
    wiring: Wiring, facts: Integration, accepted: Accepted, method: Method, /, *, failure: RecordedName, caller: Caller
) -> None:
    """Do as `require_same_account`, and record it if it raises."""
    try:
        require_same_account(facts.account, accepted.account, method)
    except GrantRefusedError as error:
        await record_failure(wiring, failure, Subject.of(facts), caller, error=error)
        raise
