"""Before the request: read the row, take the lease, and note in the row if the provider cannot be asked now."""

from __future__ import annotations

from contextlib import suppress
from datetime import timedelta

from cloud_integrations.domain.audit import Caller
from cloud_integrations.domain.dpop import DPOP_KEY
from cloud_integrations.domain.events import Subject
from cloud_integrations.domain.freshness import attempt_wait, is_unresolved, lease_and_deadline, takeover_delay
from cloud_integrations.domain.identifiers import IntegrationId, TenantId
from cloud_integrations.domain.integration import APPLICATION_REASONS, State, StoredIntegration, reconnect_reason
from cloud_integrations.domain.replacement import replacement_wait
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
from cloud_integrations.flows.shared.applications import redirect_uri_of
from cloud_integrations.flows.shared.clients import granting_client
from cloud_integrations.flows.shared.events import apply, happened, tell_of
from cloud_integrations.flows.shared.sending import key_to_bind
from cloud_integrations.flows.shared.server_metadata import located
from cloud_integrations.flows.shared.wiring import Wiring
from cloud_integrations.ports.store import MarkSent, TakeLease
from cloud_integrations.protocol.client import Client
from cloud_integrations.protocol.http import HttpRequest

_SEND_RESERVE = timedelta(seconds=5)
_METADATA_REST = timedelta(minutes=1)
_SHORTEST_REST = timedelta(seconds=1)


def is_over(wiring: Wiring, stored: StoredIntegration) -> bool:
    """Return whether the row's access token has expired: a newer row may be newer in its refresh token alone."""
    return stored.facts.expires_at is not None and stored.facts.expires_at <= wiring.clock.now()


def is_too_early(wiring: Wiring, stored: StoredIntegration) -> bool:
    """Return whether the row's access token, which the provider refused, waits to be replaced.  One that has expired does not wait."""
    return replacement_wait(stored.marks.replacement, now=stored.read_at) > timedelta() and not is_over(wiring, stored)


async def load_renewable(wiring: Wiring, tenant_id: TenantId, integration_id: IntegrationId, *, asks_again: bool) -> StoredIntegration:
    """Return the row of an integration that can be renewed.

    Raises `IntegrationNotFoundError`, `IntegrationInactiveError`, `ReconnectRequiredError` (unless *asks_again* and a refresh token
    is stored), or `ValidationFailedError` if no refresh token is stored.
    """
    stored = await wiring.store.find_integration(tenant_id, integration_id)
    if stored is None:
        raise IntegrationNotFoundError
    if stored.facts.state is State.DISABLED:
        raise IntegrationInactiveError(integration_id=str(integration_id))
    if stored.facts.state is State.NEEDS_REAUTH and not (asks_again and stored.facts.renewable):
        raise ReconnectRequiredError(integration_id=str(integration_id), reason=reconnect_reason(stored.facts.reason))
    if not stored.facts.renewable:
        raise ValidationFailedError(field="integration", problem="has nothing to renew: the provider gave no refresh token")
    return stored


async def begin(wiring: Wiring, stored: StoredIntegration, wanted: RenewalRequest, *, follows: bool) -> RenewalAttempt | None:
    """Take the lease and mark the request as sent; return None if another process holds the lease or the time to send is over.

    Raises `AppMisconfiguredError` or `ProviderUnavailableError` if the provider must not be asked now, and `OAuthBackendError` if the
    request cannot be built.
    """
    client = await _find_client(wiring, stored, wanted.caller)
    behaviour = client.method.refresh_token
    lease, deadline = lease_and_deadline(behaviour, lease=wiring.settings.lease, deadline=wiring.settings.deadline)
    wait = attempt_wait(stored, behaviour, now=wiring.clock.now(), forced=wanted.forced, access_is_dead=wanted.access_is_dead)
    if wait > timedelta():
        provider_id = str(stored.facts.provider_id)
        if (refused := APPLICATION_REASONS.get(stored.facts.reason or "")) is not None:
            raise AppMisconfiguredError(provider_id=provider_id, reason=refused)
        reason = stored.marks.last_error or stored.facts.reason or "retry_later"
        raise ProviderUnavailableError(provider_id=provider_id, reason=reason, retry_after=wait)
    if stored.marks.lease_until is not None and stored.marks.lease_until >= stored.read_at:
        # The row shows the lease of another process; an attempt to take it would cost a transaction at each look.
        return None
    client = await _located(wiring, stored, client, wanted.caller)
    # Asked last, because the answer may make this caller the one that probes the server.
    await _ask_breaker(wiring, stored, client, wanted.caller)
    parts = await wiring.sealer.open_column(stored, "renewal")
    # It is there: `load_renewable` has seen it.
    refresh_token = parts["refresh_token"]
    request = await _build_request(wiring, stored, client, refresh_token, wanted.caller)
    # REF-14: the keys that seal the new tokens are fetched before the request is sent.
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
        dpop_key=key_to_bind(wiring, client, parts.get(DPOP_KEY)),
        unresolved_before=is_unresolved(leased),
        access_is_dead=wanted.access_is_dead,
        follows=follows,
        caller=wanted.caller,
        asks_again=wanted.asks_again,
    )
    if attempt_wait(leased, behaviour, now=wiring.clock.now(), forced=wanted.forced, access_is_dead=wanted.access_is_dead) > timedelta():
        # Since the row was read, another process has asked and lost the answer: to ask again now could end a token that works.
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
        # Too little of the lease is left to send the request, or the integration has changed.
        await record_end(wiring, attempt.stored.facts, attempt.caller, attempt.attempt_id, reason="not_sent")
        return None
    if wiring.clock.monotonic() > send_until:
        # Delayed since: the lease could end before the answer comes, and another process could ask meanwhile.
        await let_go(wiring, attempt, next_at=None, due_at=store_now(wiring, attempt))
        return None
    if behaviour.ends_old_access:
        # From now on it is not known whether the stored access token works.
        wiring.tokens.drop(attempt.tenant_id)
    return attempt


async def _find_client(wiring: Wiring, stored: StoredIntegration, caller: Caller) -> Client:
    try:
        return await granting_client(wiring, stored.facts)
    except AppMisconfiguredError as error:
        await _mark_unasked(wiring, stored, caller, state=stored.facts.state, reason=error.reason, due_in=MISCONFIGURED_REST)
        raise


async def _located(wiring: Wiring, stored: StoredIntegration, client: Client, caller: Caller) -> Client:
    try:
        return await located(wiring, stored.facts.tenant_id, client)
    except AppMisconfiguredError as error:
        await _mark_unasked(wiring, stored, caller, state=stored.facts.state, reason=error.reason, due_in=MISCONFIGURED_REST)
        raise
    except ProviderUnavailableError as error:
        reason, wait = error.reason, error.retry_after or _METADATA_REST
        await _mark_unasked(wiring, stored, caller, state=State.RETRY, reason=reason, error=reason, due_in=wait)
        raise


async def _ask_breaker(wiring: Wiring, stored: StoredIntegration, client: Client, caller: Caller) -> None:
    """Raise `ProviderUnavailableError` or `AppMisconfiguredError` while the breaker of this authorization server is open."""
    closed = closed_by_breaker(wiring, stored, client)
    if closed is None:
        return
    if isinstance(closed, AppMisconfiguredError):
        await _mark_unasked(wiring, stored, caller, state=stored.facts.state, reason=closed.reason, due_in=MISCONFIGURED_REST)
    else:
        await _mark_unasked(wiring, stored, caller, state=State.RETRY, reason=closed.reason, due_in=closed.retry_after or _SHORTEST_REST)
    raise closed


def closed_by_breaker(
    wiring: Wiring, stored: StoredIntegration, client: Client, /
) -> AppMisconfiguredError | ProviderUnavailableError | None:
    """Return the error of a renewal while the breaker of this authorization server is open; None: it may be asked."""
    wait = wiring.breaker.wait(client.context_id, by=stored.facts.tenant_id)
    if wait is None:
        return None
    provider_id = str(client.provider.provider_id)
    refused = wiring.breaker.reason(client.context_id)
    if refused is not None:
        return AppMisconfiguredError(provider_id=provider_id, reason=refused)
    return ProviderUnavailableError(provider_id=provider_id, reason="breaker_open", retry_after=max(wait, _SHORTEST_REST))


def build_request(wiring: Wiring, client: Client, refresh_token: Secret) -> HttpRequest:
    """Return the request of a renewal.  Raises `OAuthBackendError`."""
    return client.backend.build_refresh(client, refresh_token=refresh_token, redirect_uri=redirect_uri_of(wiring, client))


async def _build_request(wiring: Wiring, stored: StoredIntegration, client: Client, refresh_token: Secret, caller: Caller) -> HttpRequest:
    try:
        return build_request(wiring, client, refresh_token)
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
    """Write into the row why the provider is not asked, unless the row says so already.

    So every process and every list shows the same reason as the error.  It is written as an attempt that ends before it begins.
    Nothing is written if an earlier request may still be open, because that is the more important state.
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
            # Refused if another process has taken a lease since: its result matters more.
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
    """Take the lease (T1) and return the row with it; None if another process has it."""
    facts = stored.facts
    try:
        # If the outcome of the commit is unknown, the row is read below and shows it.
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
    # Delayed for longer than the lease: another process has taken it.
    await record_end(wiring, facts, wanted.caller, attempt_id, reason="not_sent")
    return None
