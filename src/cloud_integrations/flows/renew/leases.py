"""Before the request: the row is read, a lease taken, and whoever cannot be asked now is noted."""

from __future__ import annotations

from contextlib import suppress
from datetime import timedelta

from cloud_integrations.domain.audit import Caller
from cloud_integrations.domain.events import Subject
from cloud_integrations.domain.freshness import attempt_wait, is_unresolved, lease_and_deadline, takeover_delay
from cloud_integrations.domain.identifiers import IntegrationId, TenantId
from cloud_integrations.domain.integration import APPLICATION_REASONS, State, StoredIntegration
from cloud_integrations.domain.secret import Secret
from cloud_integrations.domain.settlement import MISCONFIGURED_REST, Settlement
from cloud_integrations.errors import (
    AppMisconfiguredError,
    CommitUnknownError,
    IntegrationInactiveError,
    IntegrationNotFoundError,
    OAuthBackendError,
    ProviderUnavailableError,
    ReconnectRequiredError,
    StaleWriteError,
    StorageUnavailableError,
    ValidationFailedError,
)
from cloud_integrations.flows.renew.attempt import RenewalAttempt, RenewalRequest, record_end, store_now
from cloud_integrations.flows.renew.settling import let_go, settle_attempt
from cloud_integrations.flows.shared.applications import granting_client, redirect_uri_of
from cloud_integrations.flows.shared.events import apply, happened, tell_of
from cloud_integrations.flows.shared.wiring import Wiring
from cloud_integrations.ports.store import MarkSent, TakeLease
from cloud_integrations.protocol.client import Client
from cloud_integrations.protocol.http import HttpRequest

_SEND_RESERVE = timedelta(seconds=5)


def is_over(wiring: Wiring, stored: StoredIntegration) -> bool:
    """Whether the row is newer only in its refresh token: its access token has ended."""
    return stored.facts.expires_at is not None and stored.facts.expires_at <= wiring.clock.now()


async def load_renewable(wiring: Wiring, tenant_id: TenantId, integration_id: IntegrationId, *, asks_again: bool) -> StoredIntegration:
    """Return the row, or raise why it cannot be renewed."""
    stored = await wiring.store.find_integration(tenant_id, integration_id)
    if stored is None:
        raise IntegrationNotFoundError
    if stored.facts.state is State.DISABLED:
        raise IntegrationInactiveError(integration_id=str(integration_id))
    if stored.facts.state is State.NEEDS_REAUTH and not (asks_again and stored.facts.renewable):
        raise ReconnectRequiredError(integration_id=str(integration_id), reason=stored.facts.reason or "revoked")
    if not stored.facts.renewable:
        raise ValidationFailedError(field="integration", problem="has nothing to renew: the provider gave no refresh token")
    return stored


async def begin(wiring: Wiring, stored: StoredIntegration, wanted: RenewalRequest, *, follows: bool) -> RenewalAttempt | None:
    """Take the lease and mark the request as leaving; None if somebody else holds it."""
    client = await _find_client(wiring, stored, wanted.caller)
    behaviour = client.method.refresh_token
    lease, deadline = lease_and_deadline(behaviour, lease=wiring.settings.lease, deadline=wiring.settings.deadline)
    wait = attempt_wait(stored, behaviour, now=wiring.clock.now(), forced=wanted.forced, access_is_dead=wanted.access_is_dead)
    if wait > timedelta():
        provider_id = str(stored.facts.provider_id)
        if stored.facts.reason in APPLICATION_REASONS:
            raise AppMisconfiguredError(provider_id=provider_id, reason=stored.facts.reason)
        reason = stored.marks.last_error or stored.facts.reason or "retry_later"
        raise ProviderUnavailableError(provider_id=provider_id, reason=reason, retry_after=wait)
    if stored.marks.lease_until is not None and stored.marks.lease_until >= stored.read_at:
        # The row says that somebody holds it; trying all the same would be a transaction for each look.
        return None
    # The last question, because it may make this caller the one who probes.
    await _ask_breaker(wiring, stored, client, wanted.caller)
    refresh_token = await wiring.sealer.open_token(stored, "refresh")
    assert refresh_token is not None  # noqa: S101  # load_renewable has seen it
    request = await _build_request(wiring, stored, client, refresh_token, wanted.caller)
    # REF-14: everything that sealing the new tokens needs is fetched before the request leaves.
    await wiring.data_keys.active(stored.facts.tenant_id)
    await wiring.data_keys.index()
    attempt_id = wiring.new_id().hex
    delay = takeover_delay(stored, behaviour, now=wiring.clock.now(), lease=lease, access_is_dead=wanted.access_is_dead)
    leased = await take_lease(wiring, stored, wanted, attempt_id=attempt_id, length=lease, takeover_delay=delay)
    if leased is None:
        return None
    attempt = RenewalAttempt(
        client=client,
        stored=leased,
        read_at=wiring.clock.monotonic(),
        request=request,
        deadline=deadline,
        attempt_id=attempt_id,
        refresh_token=refresh_token,
        unresolved_before=is_unresolved(leased),
        access_is_dead=wanted.access_is_dead,
        follows=follows,
        caller=wanted.caller,
        asks_again=wanted.asks_again,
    )
    if attempt_wait(leased, behaviour, now=wiring.clock.now(), forced=wanted.forced, access_is_dead=wanted.access_is_dead) > timedelta():
        # Since the row was read, somebody asked and the answer was lost: to ask again now could end a token that works.
        await let_go(wiring, attempt, next_at=leased.marks.next_attempt_at, due_at=leased.marks.due_at)
        return None
    reserve = min(_SEND_RESERVE, (lease - deadline) / 2)
    send_until = wiring.clock.monotonic() + reserve.total_seconds()
    try:
        await wiring.store.apply(
            MarkSent(
                tenant_id=attempt.tenant_id,
                integration_id=attempt.integration_id,
                lease_token=attempt.lease,
                attempt_id=attempt.attempt_id,
                generation=leased.credential.generation,
                needed=deadline + reserve,
                asks_again=attempt.asks_again,
            )
        )
    except StaleWriteError:
        # Held up for so long that there is no time to send, or the user was faster.
        await record_end(wiring, attempt.stored.facts, attempt.caller, attempt.attempt_id, reason="not_sent")
        return None
    if wiring.clock.monotonic() > send_until:
        # Held up since: the lease could end before the answer is there, and somebody else may be asking by then.
        await let_go(wiring, attempt, next_at=None, due_at=store_now(wiring, attempt))
        return None
    if behaviour.ends_old_access:
        # From now on nobody knows whether the held access token works.
        wiring.tokens.drop(attempt.tenant_id)
    return attempt


async def _find_client(wiring: Wiring, stored: StoredIntegration, caller: Caller) -> Client:
    try:
        return granting_client(wiring, stored.facts)
    except AppMisconfiguredError as error:
        await _mark_unasked(wiring, stored, caller, state=stored.facts.state, reason=error.reason, due_in=MISCONFIGURED_REST)
        raise


async def _ask_breaker(wiring: Wiring, stored: StoredIntegration, client: Client, caller: Caller) -> None:
    """Raise while the breaker of this authorization server is open."""
    wait = wiring.breaker.wait(client.context_id, by=stored.facts.tenant_id)
    if wait is None:
        return
    provider_id = str(client.provider.provider_id)
    refused = wiring.breaker.reason(client.context_id)
    if refused is not None:
        await _mark_unasked(wiring, stored, caller, state=stored.facts.state, reason=refused, due_in=MISCONFIGURED_REST)
        raise AppMisconfiguredError(provider_id=provider_id, reason=refused)
    wait = max(wait, timedelta(seconds=1))
    await _mark_unasked(wiring, stored, caller, state=State.RETRY, reason="breaker_open", due_in=wait)
    raise ProviderUnavailableError(provider_id=provider_id, reason="breaker_open", retry_after=wait)


async def _build_request(wiring: Wiring, stored: StoredIntegration, client: Client, refresh_token: Secret, caller: Caller) -> HttpRequest:
    try:
        return client.backend.build_refresh(client, refresh_token=refresh_token, redirect_uri=redirect_uri_of(wiring, client))
    except OAuthBackendError as error:
        reason = error.reason
        await _mark_unasked(wiring, stored, caller, state=State.RETRY, reason=reason, error=reason, due_in=MISCONFIGURED_REST)
        said = error.error_description
        tell_of(wiring, "credential.refresh_broken_off", Subject.of(stored.facts), reason=reason, error_description=said)
        raise


async def _mark_unasked(
    wiring: Wiring,
    stored: StoredIntegration,
    caller: Caller,
    *,
    state: State,
    reason: str,
    error: str = "breaker_open",
    due_in: timedelta,
) -> None:
    """Say in the row why the provider is not asked, so that every process and list says the same as the error; once.

    It is an attempt that ends before it begins.  Where a request may be out, the row says something stronger already.
    """
    facts, marks = stored.facts, stored.marks
    if facts.reason == reason or not facts.state.is_refreshed or is_unresolved(stored) or marks.sent_at is not None:
        return
    attempt_id = wiring.new_id().hex
    wait = None if marks.next_attempt_at is None else marks.next_attempt_at - stored.read_at
    settled = Settlement(state=state, reason=reason, error=error, verdict="unavailable", refused=False, wait=wait, due_in=due_in)
    with suppress(StaleWriteError, StorageUnavailableError):
        await apply(
            wiring,
            TakeLease(
                tenant_id=facts.tenant_id,
                integration_id=facts.id,
                expected_generation=stored.credential.generation,
                attempt_id=attempt_id,
                owner=wiring.owner,
                length=timedelta(seconds=1),
                takeover_delay=timedelta(),
            ),
            # Whoever took a lease since has more to say.
            settle_attempt(
                stored,
                settled,
                lease=marks.lease_token + 1,
                attempt_id=attempt_id,
                now=wiring.clock.now(),
                store_now=stored.read_at,
                is_counted=False,
            ),
            happened(wiring, "credential.not_refreshed", Subject.of(facts), caller, reason=reason),
        )


async def take_lease(
    wiring: Wiring, stored: StoredIntegration, wanted: RenewalRequest, *, attempt_id: str, length: timedelta, takeover_delay: timedelta
) -> StoredIntegration | None:
    """Take the lease (T1) and return the row with it; None if somebody else has it."""
    facts = stored.facts
    try:
        # Where nobody knows whether it was committed, the row says so.
        with suppress(CommitUnknownError):
            await apply(
                wiring,
                TakeLease(
                    tenant_id=facts.tenant_id,
                    integration_id=facts.id,
                    expected_generation=stored.credential.generation,
                    attempt_id=attempt_id,
                    owner=wiring.owner,
                    length=length,
                    takeover_delay=takeover_delay,
                    asks_again=wanted.asks_again,
                ),
                happened(wiring, "credential.refresh_started", Subject.of(facts), wanted.caller, attempt=attempt_id),
            )
    except StaleWriteError:
        return None
    leased = await wiring.store.find_integration(facts.tenant_id, facts.id)
    if leased is None:
        raise IntegrationNotFoundError
    if leased.marks.attempt_id == attempt_id and leased.credential.generation == stored.credential.generation:
        return leased
    # Held up for longer than the lease: somebody else has gone on.
    await record_end(wiring, facts, wanted.caller, attempt_id, reason="not_sent")
    return None
