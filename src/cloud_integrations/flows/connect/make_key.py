"""The provider itself makes a new key: one request is sent, and the key that comes is never thrown away.

The request is marked in the outbox before it leaves, and the mark's primary key keeps a second request from leaving.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import get_args
from uuid import UUID

from cloud_integrations.domain.arguments import read_duration, read_flag
from cloud_integrations.domain.audit import Caller
from cloud_integrations.domain.envelope import DataKey
from cloud_integrations.domain.events import Event
from cloud_integrations.domain.integration import State, StoredIntegration
from cloud_integrations.domain.key_rotation import KeyMaking, KeyRotation, StoredRotation
from cloud_integrations.domain.outcome import NotProcessed, Rejected, Unknown
from cloud_integrations.domain.provider import Method, NewKey, Provider
from cloud_integrations.errors import (
    CloudIntegrationsError,
    ProviderInactiveError,
    ProviderUnavailableError,
    ReconnectRequiredError,
    StaleWriteError,
    ValidationFailedError,
)
from cloud_integrations.flows.shared.applications import find_method, known_variables
from cloud_integrations.flows.shared.events import apply, happened
from cloud_integrations.flows.shared.freezing import require_unfrozen_actor
from cloud_integrations.flows.shared.key_rotation import (
    entered_parts,
    find_readable,
    finish,
    in_the_way,
    require_rotatable,
    shown_rotation,
    unsettled,
    with_key,
)
from cloud_integrations.flows.shared.lookup import known_tenant, load, load_named
from cloud_integrations.flows.shared.sending import send
from cloud_integrations.flows.shared.stale_writes import again, apply_sealed
from cloud_integrations.flows.shared.verification import check_credential, find_account_id
from cloud_integrations.flows.shared.wiring import Wiring
from cloud_integrations.flows.use.handing_out import fresh, opened
from cloud_integrations.kinds import kind_of
from cloud_integrations.ports.store import AddEntry, Change, SaveFacts
from cloud_integrations.protocol.http import HttpResponse
from cloud_integrations.protocol.new_key import MadeKey, build_new_key, read_new_key

from .made_key import Making, store_made_key


async def make_key(
    wiring: Wiring,
    tenant: str,
    integration: UUID | str,
    /,
    *,
    slot: str,
    making: KeyMaking,
    overlap: timedelta | float,
    revoke_key: bool,
    caller: Caller,
) -> KeyRotation:
    """Have the provider make a new key, as its file says, and store it: beside the old one (`create`), or in its place (`roll`).

    If a key that was created waits already, its rotation is returned, and the provider is not asked.  Raises
    `IntegrationNotFoundError`, `IntegrationInactiveError`, `ReconnectRequiredError`, `KeyRotationError`, `ProviderUnavailableError` if
    nothing was made, and `ValidationFailedError` if the provider has no such request or the integration lacks what it needs.
    """
    making = _read_making(making)
    overlap, revoke_key = read_duration("overlap", overlap), read_flag("revokeKey", revoke_key)
    tenant_id = await known_tenant(wiring, tenant)

    async def mark() -> Making | KeyRotation:
        stored = await load_named(wiring, tenant_id, integration, slot=slot)
        await require_unfrozen_actor(wiring, stored.to_use, caller)
        require_rotatable(stored)
        known = _require_request(wiring, stored, making)
        found = await find_readable(wiring, tenant_id, stored.facts.id)
        if found is not None and (found.state, found.new_key) == ("staged", making):
            return shown_rotation(wiring, found)
        if found is not None:
            raise in_the_way(found)
        prepared = await _prepare(wiring, stored, known, overlap=overlap, revoke_key=revoke_key, caller=caller)
        await _mark(wiring, prepared)
        return prepared

    async def work() -> KeyRotation:
        marked = await again(mark, subject="integration")
        return await _ask(wiring, marked) if isinstance(marked, Making) else marked

    return await wiring.single_flight.shield(work)


def _read_making(value: object) -> KeyMaking:
    found = next((known for known in get_args(KeyMaking) if known == value), None)
    if found is None:
        raise ValidationFailedError(field="newKey", problem="must be made by create or roll")
    making: KeyMaking = found
    return making


def _require_request(wiring: Wiring, stored: StoredIntegration, making: KeyMaking) -> tuple[Provider, Method, NewKey]:
    known = find_method(wiring, stored.facts.provider_id, stored.facts.method_id)
    if known is None:
        raise ProviderInactiveError(provider_id=str(stored.facts.provider_id), problem="has no such method any more")
    facts = known[1].rotation
    if facts is None:
        problem = "cannot be made by this provider, which has no request for it: a person makes it there"
        raise ValidationFailedError(field="newKey", problem=problem)
    if facts.does != making:
        raise ValidationFailedError(field="newKey", problem=f"must be made by {facts.does} for this provider and method")
    return *known, facts


async def _prepare(
    wiring: Wiring,
    stored: StoredIntegration,
    known: tuple[Provider, Method, NewKey],
    /,
    *,
    overlap: timedelta,
    revoke_key: bool,
    caller: Caller,
) -> Making:
    """Return the request for a new key, with everything that storing the answer needs: after it was sent, nothing else may fail."""
    provider, method, facts = known
    data_key = await wiring.data_keys.at_start(stored.facts.tenant_id)
    usable, _ = await fresh(wiring, stored.to_use, min_ttl=wiring.settings.min_ttl, caller=caller)
    if usable.generation != stored.credential.generation:
        stored = await load(wiring, stored.facts.tenant_id, stored.facts.id)
    old = await entered_parts(wiring, stored)
    if temporary := next((name for name in facts.never_with if name in old), None):
        problem = f"cannot be made from a temporary one, which has {temporary}"
        raise ValidationFailedError(field="newKey", problem=problem)
    presented = await opened(wiring, stored.to_use)
    variables = known_variables(wiring, provider, stored.facts.variables)
    now = wiring.clock.now()
    request = build_new_key(
        provider,
        method,
        facts,
        presented=presented,
        variables=variables,
        identity=find_account_id(stored.facts.account),
        product=wiring.settings.product,
        now=now,
        private_servers=wiring.settings.private_servers,
    )
    if request is None:
        raise ValidationFailedError(field="integration", problem="has no id of the provider's: verify it first")
    sent = StoredRotation(
        id=wiring.new_id(),
        tenant_id=stored.facts.tenant_id,
        integration_id=stored.facts.id,
        provider_id=stored.facts.provider_id,
        state="sent",
        method_id=method.id,
        new_key=facts.does,
        variables=dict(stored.facts.variables),
        revoke_key=revoke_key,
        overlap=overlap,
        begun_at=now,
        ends_at=now + wiring.settings.lease + wiring.settings.persist_limit,
        sealed_parts=b"",
        key_id=data_key.key_id,
    )
    return Making(
        stored=stored,
        provider=provider,
        method=method,
        facts=facts,
        request=request,
        presented=presented,
        variables=variables,
        old=old,
        data_key=data_key,
        sent=sent,
        caller=caller,
    )


async def _mark(wiring: Wiring, making: Making) -> None:
    """Write that the request leaves now.  If this process then dies, the worker gives the request up when nobody can be at it any more."""

    def changes(key: DataKey) -> list[Change | Event]:
        entry = with_key(wiring, key, making.sent, {}).entry
        event = happened(wiring, "key_rotation.requested", making.subject, making.caller, made_by=making.facts.does)
        return [AddEntry(entry=entry, expected_generation=making.stored.credential.generation), event]

    await apply_sealed(wiring, making.sent.tenant_id, changes, fetched=making.data_key)


async def _ask(wiring: Wiring, making: Making) -> KeyRotation:
    answer = await _answer(wiring, making)
    if isinstance(answer, MadeKey):
        return await store_made_key(wiring, making, answer)
    if isinstance(answer, Unknown):
        raise await _settle(wiring, making, answer.reason)
    await _end(wiring, _not_made(wiring, making, answer.reason))
    if isinstance(answer, Rejected):
        raise making.error("refused")
    raise ProviderUnavailableError(provider_id=str(making.provider.provider_id), reason=answer.reason, retry_after=answer.retry_after)


async def _answer(wiring: Wiring, making: Making) -> MadeKey | Rejected | NotProcessed | Unknown:
    answer = await send(wiring, making.request, deadline=wiring.settings.deadline)
    if not isinstance(answer, HttpResponse):
        return answer
    read = partial(kind_of(making.method).read_inputs, making.method)
    return read_new_key(making.provider, making.method, making.facts, answer, old=making.old, read=read, now=wiring.clock.now())


def _not_made(wiring: Wiring, making: Making, reason: str) -> list[Change | Event]:
    facts = {"made_by": making.facts.does, "provider": making.provider.id}
    return [finish(making.sent), happened(wiring, "key_rotation.not_begun", making.subject, making.caller, reason=reason, **facts)]


async def _end(wiring: Wiring, changes: list[Change | Event]) -> None:
    """Write the end of a request.  Where the worker or an operator has given it up meanwhile, that stays as it was recorded."""
    with suppress(StaleWriteError):
        await apply(wiring, *changes)


async def _settle(wiring: Wiring, making: Making, reason: str) -> CloudIntegrationsError:
    """Write what an answer means that was lost, and return its error.  A key that was to be rolled says itself whether it was."""
    outcome = await _check_old(wiring, making) if making.facts.does == "roll" else "unknown"
    if outcome == "accepted":
        await _end(wiring, _not_made(wiring, making, reason))
        return ProviderUnavailableError(provider_id=str(making.provider.provider_id), reason=reason)
    lost = unsettled(wiring, making.sent, making.caller, reason=reason)
    if outcome != "dead":
        await _end(wiring, lost)
        return making.error("answer_lost")
    facts = making.stored.facts
    closed = replace(facts, state=State.NEEDS_REAUTH, state_since=wiring.clock.now(), reason="rotation_lost", updated_at=wiring.clock.now())
    refused = happened(
        wiring, "integration.refused", making.subject, making.caller, reason="rotation_lost", error="dead", account_changed="false"
    )
    await _end(wiring, [*lost, SaveFacts(facts=closed, expected_state=facts.state), refused])
    return ReconnectRequiredError(integration_id=str(facts.id), reason="rotation_lost")


async def _check_old(wiring: Wiring, making: Making) -> str:
    """Return whether the old value of a key that was to be rolled is `accepted`, is `dead`, or what else is known of it."""
    if making.method.mint:
        # What was minted before goes on working.
        return "unknown"
    try:
        result = await check_credential(wiring, making.provider, making.method, presented=making.presented, variables=making.variables)
    except CloudIntegrationsError:
        return "unknown"
    return "unknown" if result is None else "accepted" if result.accepted else result.outcome
