"""Ask whether a person has consented to a device code, and store the grant (RFC 8628 §3.4, §3.5)."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from typing import NoReturn
from uuid import UUID

from cloud_integrations.domain.arguments import read_id
from cloud_integrations.domain.audit import Caller
from cloud_integrations.domain.device import DevicePending, Polling, backed_off, longer
from cloud_integrations.domain.dpop import DPOP_KEY
from cloud_integrations.domain.events import Subject
from cloud_integrations.domain.identifiers import IntegrationId, TenantId
from cloud_integrations.domain.outcome import Granted, Misconfigured, NotProcessed, TokenOutcome, Unknown
from cloud_integrations.domain.pending import Connected, PendingAuthorization
from cloud_integrations.domain.secret import Secret
from cloud_integrations.errors import GrantRefusedError, IntegrationExistsError, StaleWriteError
from cloud_integrations.flows.shared.client_secrets import Answer, ask, outcome_of, token_answer
from cloud_integrations.flows.shared.events import apply, failures_recorded, record_denied
from cloud_integrations.flows.shared.lookup import known_tenant
from cloud_integrations.flows.shared.measuring import measured
from cloud_integrations.flows.shared.sending import key_to_bind, send
from cloud_integrations.flows.shared.server_metadata import located
from cloud_integrations.flows.shared.wiring import Wiring
from cloud_integrations.ports.store import BeginPoll, EndPoll
from cloud_integrations.protocol.client import Client
from cloud_integrations.protocol.device import Ended, Waiting, build_poll, read_wait
from cloud_integrations.protocol.http import HttpRequest

from .begin_device import DEVICE_CODE, hash_of_id
from .complete_oauth import check_pending
from .exchange import NewGrant, granted, refusal
from .grants import store_grant

_SOON = timedelta(seconds=1)


async def poll_device(wiring: Wiring, tenant: str, authorization_id: UUID | str, /, *, caller: Caller) -> Connected | DevicePending:
    """Ask the provider once, unless it is too early or another process asks; return what was connected, or how long to wait.

    Once the provider was asked, cancelling or interrupting the caller does not end the work.  Raises `GrantRefusedError` with the
    reason `access_denied` (the person refused), `expired_token` (nobody decided in time) or another one, `IntegrationExistsError`,
    `AppMisconfiguredError` or `ProviderUnavailableError`.
    """
    tenant_id = await known_tenant(wiring, tenant)
    read = read_id("authorizationId", authorization_id)
    pending = await wiring.store.find_pending(hash_of_id(read))
    if pending is None:
        return await _closed(wiring, tenant_id, read, caller)
    subject = Subject.named_by(pending)
    if (pending.tenant_id, pending.actor) != (tenant_id, caller.actor):
        await record_denied(wiring, "authorization.denied", subject, caller, reason="session_mismatch")
        raise GrantRefusedError(reason="state_not_valid")

    async def work() -> Connected | DevicePending:
        return await _poll(wiring, pending, subject, caller)

    return await wiring.single_flight.shield(work)


async def wait_for_device(wiring: Wiring, tenant: str, authorization_id: UUID | str, /, *, caller: Caller) -> Connected:
    """Poll until the person has decided or the code has ended.  Raises as `poll_device`."""
    while isinstance(polled := await poll_device(wiring, tenant, authorization_id, caller=caller), DevicePending):
        await wiring.pause.pause(polled.wait.total_seconds())
    return polled


async def _closed(wiring: Wiring, tenant_id: TenantId, authorization_id: UUID, caller: Caller) -> Connected:
    """Return the new integration if an earlier poll has connected it; otherwise raise `GrantRefusedError`."""
    connected = await wiring.store.find_integration(tenant_id, IntegrationId(authorization_id))
    if connected is not None:
        return Connected(integration=connected.facts)
    closed = await wiring.store.find_closed(hash_of_id(authorization_id))
    own = closed is not None and (closed.tenant_id, closed.actor) == (tenant_id, caller.actor)
    raise GrantRefusedError(reason="expired_token" if own and closed is not None and closed.consumed_at is None else "state_not_valid")


async def _poll(wiring: Wiring, pending: PendingAuthorization, subject: Subject, caller: Caller) -> Connected | DevicePending:
    begun_under = await wiring.data_keys.id_at_start(pending.tenant_id)
    try:
        client, stored = await check_pending(wiring, pending)
    except IntegrationExistsError:
        # Another poll of this authorization may have connected it just now.
        connected = await wiring.store.find_integration(pending.tenant_id, pending.integration_id)
        if connected is None:
            raise
        return Connected(integration=connected.facts)
    client = await located(wiring, pending.tenant_id, client)
    parts = await wiring.sealer.open_pending(pending)
    code, dpop_key = parts[DEVICE_CODE], key_to_bind(wiring, client, parts.get(DPOP_KEY))
    # Fetched before the provider is asked: if the key service fails now, no grant is lost.
    await wiring.data_keys.active(pending.tenant_id)
    await wiring.data_keys.index()
    polling = _polling_of(pending)
    hold = max(polling.interval, wiring.settings.lease)
    try:
        await apply(wiring, BeginPoll(state_hash=pending.state_hash, count=polling.count, hold=hold))
    except StaleWriteError:
        left = polling.next_at - wiring.clock.now()
        return DevicePending(wait=min(max(left, _SOON), hold), expires_at=pending.expires_at)
    wanted = NewGrant.of(pending, client, stored, begun_under=begun_under)
    answer = await _ask(wiring, wanted, code, dpop_key)
    outcome = outcome_of(answer)
    if isinstance(outcome, Granted):
        outcome = replace(outcome, grant=replace(outcome.grant, dpop_key=dpop_key))
    match outcome:
        case Waiting():
            interval = longer(polling.interval, outcome.interval, slow_down=outcome.slow_down)
            return await _waits(wiring, pending, interval, interval)
        case NotProcessed() | Unknown():
            # RFC 8628 §3.5: after a time-out, ask less often.  The person may still decide, so the authorization goes on.
            refusal(wiring, client, subject, outcome, request=answer.request, hidden=(code,))
            interval = backed_off(polling.interval)
            return await _waits(wiring, pending, interval, max(interval, outcome.retry_after or interval))
        case Misconfigured():
            await _waits(wiring, pending, polling.interval, polling.interval)
            raise refusal(wiring, client, subject, outcome, request=answer.request, hidden=(code,))
        case _:
            async with failures_recorded(wiring, "authorization.not_completed", subject, caller):
                return await _finish(wiring, pending, wanted, outcome, request=answer.request, code=code, caller=caller)


async def _finish(
    wiring: Wiring,
    pending: PendingAuthorization,
    wanted: NewGrant,
    outcome: Ended | TokenOutcome,
    *,
    request: HttpRequest,
    code: Secret,
    caller: Caller,
) -> Connected:
    """Store the grant, or close the authorization and raise why there is none."""
    with measured(wiring, "connect", pending.tenant_id, pending.provider_id):
        try:
            if isinstance(outcome, Ended):
                _refuse(outcome)
            grant = await granted(wiring, wanted, outcome, request=request, hidden=(code,), caller=caller)
        except GrantRefusedError:
            await wiring.store.take_pending(pending.state_hash)
            raise
        # Storing it deletes the authorization.
        return await store_grant(wiring, wanted, grant, caller=caller)


def _refuse(outcome: Ended) -> NoReturn:
    raise GrantRefusedError(reason=outcome.reason)


async def _ask(wiring: Wiring, wanted: NewGrant, code: Secret, dpop_key: Secret | None) -> Answer[Waiting | Ended | TokenOutcome]:
    def build(client: Client) -> HttpRequest:
        return build_poll(client, device_code=code)

    async def sent(client: Client, request: HttpRequest, deadline: timedelta) -> Answer[Waiting | Ended | TokenOutcome]:
        response = await send(wiring, request, deadline=deadline, dpop_key=dpop_key)
        if isinstance(response, NotProcessed | Unknown):
            return Answer(result=response, request=request)
        waits = read_wait(client, response)
        if waits is not None:
            return Answer(result=waits, request=request, is_accepted=True)
        outcome = client.backend.read_grant(client, response, requested_scopes=wanted.scopes, now=wiring.clock.now())
        known = token_answer(request, response, outcome)
        return Answer(result=outcome, request=request, is_refused=known.is_refused, is_accepted=known.is_accepted)

    client, deadline = wanted.client, wiring.settings.deadline
    return await ask(wiring, client, build(client), tenant_id=wanted.tenant_id, deadline=deadline, build=build, send=sent)


async def _waits(wiring: Wiring, pending: PendingAuthorization, interval: timedelta, wait: timedelta) -> DevicePending:
    # If another connection of this slot has closed the authorization meanwhile, the next poll says so.
    with suppress(StaleWriteError):
        count = _polling_of(pending).count + 1
        await apply(wiring, EndPoll(state_hash=pending.state_hash, count=count, interval=interval, wait=wait))
    return DevicePending(wait=wait, expires_at=pending.expires_at)


def _polling_of(pending: PendingAuthorization) -> Polling:
    assert pending.polling is not None  # noqa: S101  # it awaits the answer to a device code
    return pending.polling
