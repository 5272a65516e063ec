"""A token is renewed: once, by one worker, and what the provider gave is never thrown away.

The protocol: a lease with a fencing number in the store's clock (T1); a mark that the request is
about to leave (T2); one request, with a deadline shorter than the lease and no transaction open;
then a success under "the newest lease wins" (T3), or a failure only with lease and generation.
What may follow a lost answer depends on what the provider does with a spent refresh token.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from cloud_integrations.domain.audit import Caller, Outcome
from cloud_integrations.domain.credential import Grant
from cloud_integrations.domain.freshness import (
    attempt_wait,
    due_at,
    is_unresolved,
    lease_and_deadline,
    reconnect_before,
    refused_since,
    takeover_delay,
)
from cloud_integrations.domain.identifiers import IntegrationId, TenantId, uuid7
from cloud_integrations.domain.integration import APPLICATION_REASONS, Integration, Phase, State, StoredIntegration
from cloud_integrations.domain.provider import RefreshTokenFacts
from cloud_integrations.domain.secret import Secret
from cloud_integrations.errors import (
    AnswerLostError,
    AppMisconfiguredError,
    CloudIntegrationsError,
    CommitUnknownError,
    IntegrationInactiveError,
    IntegrationNotFoundError,
    KeyRetiredError,
    ProviderUnavailableError,
    ProviderUnreachableError,
    ReconnectRequiredError,
    RefreshInProgressError,
    StaleWriteError,
    StorageUnavailableError,
    ValidationFailedError,
)
from cloud_integrations.flows.operate.applications import granting_client, redirect_uri_of
from cloud_integrations.flows.shared.auditing import first_today, recorded, resource_of, tell_of, tell_unread
from cloud_integrations.flows.shared.revocation import Source, Tokens, give_back, tokens_of
from cloud_integrations.flows.shared.sealing import active_key, forget_key, index_key, open_field, seal_grant
from cloud_integrations.flows.use.edit_integration import SWITCHED_OFF
from cloud_integrations.ports.store import MarkSent, SaveRenewal, SettleAttempt, TakeLease
from cloud_integrations.ports.wiring import Wiring
from cloud_integrations.protocol.client import Client
from cloud_integrations.protocol.error_text import clean_prose
from cloud_integrations.protocol.http import HttpRequest
from cloud_integrations.protocol.oauth_backend import oauth_backend_of
from cloud_integrations.protocol.outcome import Granted, Misconfigured, NotProcessed, Refused, Rejected, TokenOutcome, Unknown, Unusable

_SEND_RESERVE = timedelta(seconds=5)
_BACKOFF_CAP = timedelta(minutes=5)
_WARN_BEFORE = timedelta(days=14)
_BACKGROUND_CAP = timedelta(hours=1)
_MISCONFIGURED_REST = timedelta(minutes=5)
"""When the worker looks again at a grant whose application was refused."""
_NO_ACCESS = "no_access_token"
_NO_ACCESS_REST = timedelta(minutes=5)
"""When to ask again a provider that gave a refresh token alone twice in a row."""
_OUTAGE = {"unreachable", "answer_lost", "server_error"}
_ASKS_FOR_THE_USER = {"consent_required", "login_required", "interaction_required", "account_selection_required"}
_SOON = 3
"""How many replays follow each other quickly inside a grace period."""
_FIRST_LOOK = 0.005
_LONGEST_LOOK = 0.25


@dataclass(frozen=True, slots=True, kw_only=True)
class _Wish:
    """What somebody who wants a renewal knows and accepts."""

    seen_generation: int
    caller: Caller
    patience: timedelta
    forced: bool
    access_is_dead: bool
    asks_again: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class _Attempt:
    """One lease: who, on what, and the request to send under it."""

    client: Client
    stored: StoredIntegration
    """The row with the lease in it."""
    read_at: float
    """When the row was read, on this process's monotonic clock."""
    request: HttpRequest
    deadline: timedelta
    attempt_id: str
    refresh_token: Secret
    unresolved_before: bool
    """An earlier request went out and nobody knows how it ended."""
    access_is_dead: bool
    """The provider refused the held access token."""
    follows: bool
    """It follows at once on one that brought a refresh token alone."""
    alone: bool = False
    """It brought a refresh token alone: the access token stays as it is."""
    caller: Caller
    asks_again: bool

    @property
    def tenant_id(self) -> TenantId:
        return self.stored.facts.tenant_id

    @property
    def integration_id(self) -> IntegrationId:
        return self.stored.facts.id

    @property
    def lease(self) -> int:
        return self.stored.marks.lease_token

    @property
    def behaviour(self) -> RefreshTokenFacts:
        return self.client.method.refresh_token

    @property
    def takes_back(self) -> bool:
        """Whether what it was given is good although a later attempt was refused: not where that one's replay has ended the grant."""
        return self.behaviour.replay_kills_family is not True


async def renew(
    wiring: Wiring,
    tenant_id: TenantId,
    integration_id: IntegrationId,
    /,
    *,
    seen_generation: int,
    caller: Caller,
    patience: timedelta,
    forced: bool = False,
    access_is_dead: bool = False,
    asks_again: bool = False,
) -> StoredIntegration:
    """Return the row with a credential newer than *seen_generation*.

    Whoever asks for the same integration meanwhile shares the work; no caller's cancellation reaches
    it.  *patience* is how long to wait for another process; *forced* passes over the back-off;
    *access_is_dead* says that the provider refused the held access token; *asks_again* that an operator wants the provider
    asked once more although it said that the grant has ended.  Raises `ReconnectRequiredError`,
    `IntegrationInactiveError`, `RefreshInProgressError`, `ProviderUnavailableError`,
    `AppMisconfiguredError`, `IntegrationNotFoundError` or `StorageUnavailableError`.
    """
    wish = _Wish(
        seen_generation=seen_generation,
        caller=caller,
        patience=patience,
        forced=forced,
        access_is_dead=access_is_dead,
        asks_again=asks_again,
    )
    # Who only takes the verdict's word shares nothing with somebody who has it asked for again.
    work = (tenant_id, integration_id, asks_again)
    while True:
        renewed = await wiring.single_flight.run(work, lambda: _renew(wiring, tenant_id, integration_id, wish))
        if renewed.credential.generation > seen_generation:
            return renewed
        # The shared work was begun by somebody who had seen less, and gave what we have already.


async def _renew(wiring: Wiring, tenant_id: TenantId, integration_id: IntegrationId, wish: _Wish) -> StoredIntegration:
    give_up = wiring.clock.monotonic() + wish.patience.total_seconds()
    look = _FIRST_LOOK
    follows = too_late = False
    while True:
        stored = await _load_renewable(wiring, tenant_id, integration_id, asks_again=wish.asks_again)
        if stored.credential.generation > wish.seen_generation and not _is_over(wiring, stored):
            return stored
        if too_late:
            raise RefreshInProgressError(integration_id=str(integration_id), retry_after=timedelta(seconds=1))
        attempt = await _begin(wiring, stored, wish, follows=follows)
        if attempt is not None:
            if (renewed := await _send(wiring, attempt)) is not None:
                return renewed
            # Somebody else has moved the row on, or only a refresh token came: look again.
            follows = True
            continue
        # The last word is the row's: who waited, or was held up, may find there what somebody else has stored meanwhile.
        too_late = wiring.clock.monotonic() >= give_up
        if not too_late:
            await wiring.pause.pause(look * (0.75 + wiring.entropy.fraction() / 2))
            look = min(look * 1.25, _LONGEST_LOOK)


def _is_over(wiring: Wiring, stored: StoredIntegration) -> bool:
    """Whether the row is newer only in its refresh token: its access token has ended."""
    return stored.facts.expires_at is not None and stored.facts.expires_at <= wiring.clock.now()


async def _load_renewable(wiring: Wiring, tenant_id: TenantId, integration_id: IntegrationId, *, asks_again: bool) -> StoredIntegration:
    stored = await wiring.store.find_integration(tenant_id, integration_id)
    if stored is None:
        raise IntegrationNotFoundError
    if stored.facts.state is State.DISABLED:
        raise IntegrationInactiveError(integration_id=str(integration_id))
    if stored.facts.state is State.NEEDS_REAUTH and not (asks_again and stored.credential.can_refresh):
        raise ReconnectRequiredError(integration_id=str(integration_id), reason=stored.facts.reason or "revoked")
    if not stored.credential.can_refresh:
        raise ValidationFailedError(field="integrationId", problem="has nothing to renew: the provider gave no refresh token")
    return stored


async def _begin(wiring: Wiring, stored: StoredIntegration, wish: _Wish, *, follows: bool) -> _Attempt | None:
    """Take the lease and mark the request as leaving; None if somebody else holds it."""
    client = await _find_client(wiring, stored, wish.caller)
    behaviour = client.method.refresh_token
    lease, deadline = lease_and_deadline(behaviour, lease=wiring.settings.lease, deadline=wiring.settings.deadline)
    wait = attempt_wait(stored, behaviour, now=wiring.clock.now(), forced=wish.forced, access_is_dead=wish.access_is_dead)
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
    await _ask_breaker(wiring, stored, client, wish.caller)
    refresh_token = await open_field(wiring, stored, "refresh_token")
    assert refresh_token is not None  # noqa: S101  # _load_renewable has seen it
    request = oauth_backend_of(client.provider).build_refresh(
        client, refresh_token=refresh_token, redirect_uri=redirect_uri_of(wiring, client)
    )
    # REF-14: everything that sealing the new tokens needs is fetched before the request leaves.
    await active_key(wiring, stored.facts.tenant_id)
    await index_key(wiring)
    attempt_id = uuid7(wiring.clock.now(), wiring.entropy.bytes(10)).hex
    delay = takeover_delay(stored, behaviour, now=wiring.clock.now(), lease=lease, access_is_dead=wish.access_is_dead)
    leased = await _take_lease(wiring, stored, wish, attempt_id=attempt_id, length=lease, takeover_delay=delay)
    if leased is None:
        return None
    attempt = _Attempt(
        client=client,
        stored=leased,
        read_at=wiring.clock.monotonic(),
        request=request,
        deadline=deadline,
        attempt_id=attempt_id,
        refresh_token=refresh_token,
        unresolved_before=is_unresolved(leased),
        access_is_dead=wish.access_is_dead,
        follows=follows,
        caller=wish.caller,
        asks_again=wish.asks_again,
    )
    if attempt_wait(leased, behaviour, now=wiring.clock.now(), forced=wish.forced, access_is_dead=wish.access_is_dead) > timedelta():
        # Since the row was read, somebody asked and the answer was lost: to ask again now could end a token that works.
        await _let_go(wiring, attempt, next_at=leased.marks.next_attempt_at, due_at=leased.marks.due_at)
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
        await _record_outcome(wiring, attempt.stored.facts, attempt.caller, attempt.attempt_id, Outcome.FAILURE, reason="not_sent")
        return None
    if wiring.clock.monotonic() > send_until:
        # Held up since: the lease could end before the answer is there, and somebody else may be asking by then.
        await _let_go(wiring, attempt, next_at=None, due_at=_store_now(wiring, attempt))
        return None
    if behaviour.ends_old_access:
        # From now on nobody knows whether the held access token works.
        wiring.tokens.drop(attempt.tenant_id)
    return attempt


async def _let_go(wiring: Wiring, attempt: _Attempt, *, next_at: datetime | None, due_at: datetime | None) -> None:
    """End a lease under which nothing was sent."""
    now = _store_now(wiring, attempt)
    await _settle(
        wiring,
        attempt,
        phase=Phase.IDLE,
        state=State.UNKNOWN if attempt.unresolved_before else attempt.stored.facts.state,
        reason=attempt.stored.facts.reason,
        error="not_sent",
        outcome=Outcome.FAILURE,
        next_in=None if next_at is None else next_at - now,
        due_in=None if due_at is None else due_at - now,
        refused=None,
    )


async def _find_client(wiring: Wiring, stored: StoredIntegration, caller: Caller) -> Client:
    try:
        return granting_client(wiring, stored.facts)
    except AppMisconfiguredError as error:
        await _mark_unasked(wiring, stored, caller, state=stored.facts.state, reason=error.reason, due_in=_MISCONFIGURED_REST)
        raise


async def _ask_breaker(wiring: Wiring, stored: StoredIntegration, client: Client, caller: Caller) -> None:
    """Raise while the breaker of this authorization server is open."""
    wait = wiring.breaker.wait(client.context_id, by=stored.facts.tenant_id)
    if wait is None:
        return
    provider_id = str(client.provider.provider_id)
    refused = wiring.breaker.reason(client.context_id)
    if refused is not None:
        await _mark_unasked(wiring, stored, caller, state=stored.facts.state, reason=refused, due_in=_MISCONFIGURED_REST)
        raise AppMisconfiguredError(provider_id=provider_id, reason=refused)
    wait = max(wait, timedelta(seconds=1))
    await _mark_unasked(wiring, stored, caller, state=State.RETRY, reason="breaker_open", due_in=wait)
    raise ProviderUnavailableError(provider_id=provider_id, reason="breaker_open", retry_after=wait)


async def _mark_unasked(wiring: Wiring, stored: StoredIntegration, caller: Caller, *, state: State, reason: str, due_in: timedelta) -> None:
    """Say in the row why the provider is not asked, so that every process and list says the same as the error; once.

    It is an attempt that ends before it begins.  Where a request may be out, the row says something stronger already.
    """
    facts, marks = stored.facts, stored.marks
    if facts.reason == reason or not facts.state.is_refreshed or is_unresolved(stored) or marks.sent_at is not None:
        return
    attempt_id = uuid7(wiring.clock.now(), wiring.entropy.bytes(10)).hex
    with suppress(StaleWriteError, StorageUnavailableError):
        await wiring.store.apply(
            TakeLease(
                tenant_id=facts.tenant_id,
                integration_id=facts.id,
                expected_generation=stored.credential.generation,
                attempt_id=attempt_id,
                owner=wiring.owner,
                length=timedelta(seconds=1),
                takeover_delay=timedelta(),
            ),
            SettleAttempt(
                tenant_id=facts.tenant_id,
                integration_id=facts.id,
                # Whoever took a lease since has more to say.
                lease_token=marks.lease_token + 1,
                attempt_id=attempt_id,
                generation=stored.credential.generation,
                phase=Phase.IDLE,
                state=state,
                reason=reason,
                state_since=_since(facts, state=state, reason=reason, now=wiring.clock.now()),
                error="breaker_open",
                next_attempt_at=marks.next_attempt_at,
                due_at=stored.read_at + due_in,
                failed_at=stored.read_at,
                refused_since=refused_since(marks, now=stored.read_at, refused=False),
                count_attempt=False,
            ),
            recorded(wiring, facts.tenant_id, caller, "credential.refresh", resource_of(facts.id), outcome=Outcome.FAILURE, reason=reason),
        )


async def _take_lease(
    wiring: Wiring, stored: StoredIntegration, wish: _Wish, *, attempt_id: str, length: timedelta, takeover_delay: timedelta
) -> StoredIntegration | None:
    """Take the lease (T1) and return the row with it; None if somebody else has it."""
    facts = stored.facts
    try:
        # Where nobody knows whether it was committed, the row says so.
        with suppress(CommitUnknownError):
            await wiring.store.apply(
                TakeLease(
                    tenant_id=facts.tenant_id,
                    integration_id=facts.id,
                    expected_generation=stored.credential.generation,
                    attempt_id=attempt_id,
                    owner=wiring.owner,
                    length=length,
                    takeover_delay=takeover_delay,
                    asks_again=wish.asks_again,
                ),
                recorded(
                    wiring,
                    facts.tenant_id,
                    wish.caller,
                    "credential.refresh",
                    resource_of(facts.id),
                    outcome=Outcome.STARTED,
                    attempt=attempt_id,
                ),
            )
    except StaleWriteError:
        return None
    leased = await wiring.store.find_integration(facts.tenant_id, facts.id)
    if leased is None:
        raise IntegrationNotFoundError
    if leased.marks.attempt_id == attempt_id and leased.credential.generation == stored.credential.generation:
        return leased
    # Held up for longer than the lease: somebody else has gone on.
    await _record_outcome(wiring, facts, wish.caller, attempt_id, Outcome.FAILURE, reason="not_sent")
    return None


async def _send(wiring: Wiring, attempt: _Attempt) -> StoredIntegration | None:
    """Send the request and write what came of it; None if the row has moved on without us."""
    outcome = await _ask(wiring, attempt)
    application = attempt.client.context_id
    if isinstance(outcome, Unusable):
        if outcome.refresh_token is not None:
            wiring.breaker.note(application, ok=True, by=attempt.tenant_id)
            await _save_refresh_token(wiring, attempt, outcome.refresh_token, outcome.refresh_expires_at, reason=outcome.failure.reason)
            return None
        outcome = outcome.failure
    # An answer is an answer, whatever it says: only silence and a server's own errors speak against the server.
    answered = outcome.reason not in _OUTAGE if isinstance(outcome, NotProcessed | Unknown) else True
    wiring.breaker.note(application, ok=answered, by=attempt.tenant_id)
    if isinstance(outcome, Granted):
        wiring.breaker.accept(application)
        tell_unread(wiring, attempt.tenant_id, attempt.integration_id, attempt.client, outcome.unread)
        return await _save(wiring, attempt, outcome.grant)
    said = await _clean(wiring, attempt, outcome.said)
    match outcome:
        case Refused(reason):
            return await _refused(wiring, attempt, reason=reason, said=said)
        case Rejected():
            return await _rejected(wiring, attempt, outcome, said=said)
        case NotProcessed():
            await _not_processed(wiring, attempt, outcome, said=said)
        case Misconfigured(reason):
            return await _misconfigured(wiring, attempt, reason=reason, said=said)
        case unknown:
            await _lost(wiring, attempt, unknown, said=said)
    return None


async def _clean(wiring: Wiring, attempt: _Attempt, said: Secret | None) -> str | None:
    if said is None:
        return None
    secrets = [attempt.refresh_token, attempt.client.application.client_secret]
    with suppress(CloudIntegrationsError):
        # It was not sent, but the provider knows it, too.
        secrets.append(await open_field(wiring, attempt.stored, "access_token"))
    return clean_prose(said, request=attempt.request, secrets=secrets)


async def _ask(wiring: Wiring, attempt: _Attempt) -> TokenOutcome:
    """Send the one request, and say what came of it."""
    sent_at = wiring.clock.now()
    try:
        response = await wiring.transport.send(attempt.request, deadline=attempt.deadline)
    except ProviderUnreachableError:
        return NotProcessed("unreachable")
    except AnswerLostError as lost:
        return Unknown("answer_lost", over=lost.connection_closed)
    except ProviderUnavailableError:
        return Unknown("unusable_body")
    return oauth_backend_of(attempt.client.provider).read_renewal(attempt.client, response, now=sent_at)


async def _save(wiring: Wiring, attempt: _Attempt, grant: Grant) -> StoredIntegration:
    """Store the new tokens (T3), for as long as it takes, unless a newer lease or the user was faster."""
    stored = attempt.stored
    give_up = attempt.read_at + wiring.settings.persist_limit.total_seconds()
    wait = 0.05
    while True:
        try:
            written = await _write(wiring, attempt, stored, grant)
            if written is not None:
                break
            # Refused, or nobody knows whether it was committed: the row says which.
            found = await wiring.store.find_integration(attempt.tenant_id, attempt.integration_id)
            written = await _written_by_others(wiring, attempt, found, grant)
            if written is not None:
                break
            assert found is not None  # noqa: S101  # `_written_by_others` has looked
            stored = found
        except (IntegrationNotFoundError, ReconnectRequiredError):
            raise
        except Exception:
            # The tokens are known to nobody else: whatever keeps them from being stored, they wait here until it is over.
            if wiring.clock.monotonic() >= give_up:
                raise
            tell_of(wiring, "credential.unpersisted", attempt.stored.facts)
            await wiring.pause.pause(wait)
            wait = min(wait * 2, 5.0)
    wiring.tokens.drop(attempt.tenant_id)
    if not attempt.alone:
        tell_of(wiring, "credential.refreshed", written.facts)
    _forecast(wiring, written)
    if written.facts.state is State.DISABLED:
        raise IntegrationInactiveError(integration_id=str(attempt.integration_id))
    return written


async def _save_refresh_token(
    wiring: Wiring, attempt: _Attempt, refresh_token: Secret, refresh_expires_at: datetime | None, /, *, reason: str
) -> None:
    """Store a refresh token that came without an access token that may be used: the one that was sent may be spent.

    The caller looks at the row again: the held access token is used while it lives, and then the new refresh token, at once.
    Where that brought no access token either, raises `ProviderUnavailableError`.
    """
    tell_unread(wiring, attempt.tenant_id, attempt.integration_id, attempt.client, ("access_token",))
    access_token = await open_field(wiring, attempt.stored, "access_token")
    assert access_token is not None  # noqa: S101  # every grant has one
    alone = replace(attempt, alone=True)
    grant = Grant(access_token=access_token, refresh_token=refresh_token, refresh_expires_at=refresh_expires_at)
    written = await _save(wiring, alone, grant)
    tell_of(wiring, "credential.refresh_failed", attempt.stored.facts, reason=reason)
    if attempt.follows and _is_over(wiring, written):
        raise ProviderUnavailableError(provider_id=str(attempt.stored.facts.provider_id), reason=reason, retry_after=_NO_ACCESS_REST)


def _forecast(wiring: Wiring, stored: StoredIntegration) -> None:
    """Tell, once a day, that the tenant must soon reconnect, because renewing does not move the end."""
    end = stored.facts.reconnect_before
    if end is not None and end - wiring.clock.now() <= _WARN_BEFORE and first_today(wiring, "forecast", stored.facts.id):
        tell_of(wiring, "credential.reconnect_soon", stored.facts, before=end.isoformat())


async def _written_by_others(wiring: Wiring, attempt: _Attempt, found: StoredIntegration | None, grant: Grant) -> StoredIntegration | None:
    """Return the row if a newer word than ours stands in it (or our own, whose commit's answer was lost); None to write again.

    Where the user has removed or reconnected it, the tokens that came too late are given back to the provider.
    """
    ours = found is not None and found.marks.writer_lease == attempt.lease and await _is_ours(wiring, attempt, found, grant)
    if found is None:
        await _give_back(wiring, attempt, grant)
        await _record_outcome(wiring, attempt.stored.facts, attempt.caller, attempt.attempt_id, Outcome.FAILURE, reason="closed_meanwhile")
        raise IntegrationNotFoundError
    if found.marks.writer_lease < attempt.lease:
        if found.facts.state is not State.NEEDS_REAUTH or attempt.takes_back or found.marks.attempt_id == attempt.attempt_id:
            return None
        # A later attempt was refused, and what it sent has ended the grant: these tokens are dead, and would heal nothing.
        await _record_outcome(wiring, attempt.stored.facts, attempt.caller, attempt.attempt_id, Outcome.FAILURE, reason="superseded")
        raise ReconnectRequiredError(integration_id=str(attempt.integration_id), reason=found.facts.reason or "revoked")
    if not ours:
        # Of the same grant, they are left alone: a revocation could end it (RFC 7009 §2.1).
        if found.facts.granted_at != attempt.stored.facts.granted_at:
            succeeded = await _succeed_kept(wiring, attempt, found, grant)
            if succeeded is None:
                await _give_back(wiring, attempt, grant)
            found = succeeded or found
        await _record_outcome(wiring, attempt.stored.facts, attempt.caller, attempt.attempt_id, Outcome.FAILURE, reason="superseded")
    return found


async def _succeed_kept(wiring: Wiring, attempt: _Attempt, found: StoredIntegration, grant: Grant) -> StoredIntegration | None:
    """Store the refresh token that came for one which a reconnect has kept meanwhile; None where it kept none.

    The kept one was spent by this attempt, so what came for it takes its place; the reconnect's access token stays.
    """
    if grant.refresh_token is None or found.facts.state is State.DISABLED:
        return None
    if await open_field(wiring, found, "refresh_token") != attempt.refresh_token or grant.refresh_token == attempt.refresh_token:
        return None
    wish = _Wish(
        seen_generation=found.credential.generation,
        caller=attempt.caller,
        patience=timedelta(),
        forced=True,
        access_is_dead=False,
        asks_again=True,
    )
    attempt_id = uuid7(wiring.clock.now(), wiring.entropy.bytes(10)).hex
    leased = await _take_lease(wiring, found, wish, attempt_id=attempt_id, length=wiring.settings.lease, takeover_delay=timedelta())
    if leased is None:
        # Somebody spends it once more: what comes of that is waited for.
        raise StaleWriteError
    alone = replace(
        attempt, stored=leased, read_at=wiring.clock.monotonic(), attempt_id=attempt_id, access_is_dead=False, follows=False, alone=True
    )
    return await _save(wiring, alone, grant)


async def _give_back(wiring: Wiring, attempt: _Attempt, grant: Grant) -> None:
    # Beside a refresh token that came alone stands an access token that callers may still use.
    came: Tokens = [(kind, token) for kind, token in tokens_of(grant) if kind == "refresh" or not attempt.alone]
    await give_back(wiring, Source.of_stored(attempt.client, attempt.stored), came, caller=attempt.caller)


async def _is_ours(wiring: Wiring, attempt: _Attempt, found: StoredIntegration, grant: Grant) -> bool:
    """Whether the row holds the tokens of *grant*: a restored database gives a lease number twice, so the number does not say it.

    Nor does the attempt in the row, which is that of the lease after ours, if there was one.
    """
    stored = await open_field(wiring, found, "refresh_token" if attempt.alone else "access_token")
    return stored == (grant.refresh_token if attempt.alone else grant.access_token)


async def _write(wiring: Wiring, attempt: _Attempt, stored: StoredIntegration, grant: Grant) -> StoredIntegration | None:
    """Write the new tokens over *held*; None if the row is no longer so, or the commit's outcome is unknown."""
    now = wiring.clock.now()
    generation = stored.credential.generation + 1
    moved = stored.credential.generation != attempt.stored.credential.generation
    # RFC 6749 §6: without a new refresh token the held one stays good, which may be another than we sent.
    kept = await open_field(wiring, stored, "refresh_token") if moved else attempt.refresh_token
    if attempt.alone:
        grant = await _with_held_access_token(wiring, attempt, stored, grant)
    data_key = await active_key(wiring, attempt.tenant_id)
    scopes = stored.facts.scopes if grant.scopes is None else grant.scopes
    state, reason = _state_with_tokens(attempt, stored)
    facts = replace(
        stored.facts,
        state=state,
        state_since=_since(stored.facts, state=state, reason=reason, now=now),
        reason=reason,
        updated_at=now,
        scopes=scopes,
        missing_scopes=attempt.client.method.scopes.missing(requested=stored.facts.requested_scopes, granted=scopes),
        expires_at=grant.expires_at,
        reconnect_before=reconnect_before(
            attempt.behaviour,
            granted_at=stored.facts.granted_at or stored.facts.created_at,
            now=now,
            told=grant.refresh_expires_at,
            before=stored.facts.reconnect_before,
        ),
        variables={**stored.facts.variables, **grant.variables},
    )
    credential = seal_grant(wiring, data_key, await index_key(wiring), facts, grant, generation=generation, kept=kept)
    due = due_at(expires_at=grant.expires_at, now=now, chance=wiring.entropy.fraction(), idle=attempt.behaviour.idle)
    next_attempt_at = None
    if attempt.alone and attempt.follows:
        # Twice in a row: asking on and on would bring no more.
        next_attempt_at = due = _store_now(wiring, attempt) + _NO_ACCESS_REST
    try:
        await wiring.store.apply(
            SaveRenewal(
                facts=facts,
                credential=credential,
                lease_token=attempt.lease,
                attempt_id=attempt.attempt_id,
                takes_back=attempt.takes_back,
                refreshed_at=now,
                due_at=due,
                next_attempt_at=next_attempt_at,
            ),
            recorded(
                wiring,
                attempt.tenant_id,
                attempt.caller,
                "credential.refresh",
                resource_of(attempt.integration_id),
                outcome=Outcome.FAILURE if attempt.alone else Outcome.SUCCESS,
                reason=_NO_ACCESS if attempt.alone else None,
                attempt=attempt.attempt_id,
                rotated=str(grant.refresh_token is not None).lower(),
            ),
        )
    except (StaleWriteError, IntegrationNotFoundError, CommitUnknownError):
        return None
    except KeyRetiredError:
        forget_key(wiring, attempt.tenant_id)
        return None
    marks = replace(
        stored.marks,
        phase=Phase.IDLE,
        sent_at=None,
        writer_lease=attempt.lease,
        attempts=0,
        next_attempt_at=next_attempt_at,
        last_error=None,
        failed_at=None,
        refused_since=None,
        refreshed_at=now,
        due_at=due,
    )
    return StoredIntegration(facts=facts, credential=credential, marks=marks, read_at=stored.read_at)


def _state_with_tokens(attempt: _Attempt, stored: StoredIntegration) -> tuple[State, str | None]:
    """Return what an integration is that has new tokens, and the reason."""
    if stored.facts.state is State.DISABLED:
        # What came is what works when it is switched on again, also where it was dead before; not where a later attempt's
        # replay has ended the grant since.
        heals = attempt.takes_back or stored.marks.attempt_id == attempt.attempt_id
        return State.DISABLED, SWITCHED_OFF if heals else stored.facts.reason
    return (State.RETRY, _NO_ACCESS) if attempt.alone and attempt.follows else (State.ACTIVE, None)


async def _with_held_access_token(wiring: Wiring, attempt: _Attempt, stored: StoredIntegration, grant: Grant) -> Grant:
    """Put the row's own access token into *grant*, with its end; where it is known to be dead, that is now."""
    access_token = await open_field(wiring, stored, "access_token")
    assert access_token is not None  # noqa: S101  # every grant has one
    moved = stored.credential.generation != attempt.stored.credential.generation
    is_dead = not moved and (attempt.access_is_dead or attempt.behaviour.ends_old_access)
    return replace(grant, access_token=access_token, expires_at=wiring.clock.now() if is_dead else stored.facts.expires_at)


async def _refused(wiring: Wiring, attempt: _Attempt, *, reason: str, said: str | None) -> StoredIntegration | None:
    """`invalid_grant`: look again first, for a sibling may have been faster."""
    found = await wiring.store.find_integration(attempt.tenant_id, attempt.integration_id)
    if found is not None and found.credential.generation > attempt.stored.credential.generation:
        await _record_outcome(wiring, attempt.stored.facts, attempt.caller, attempt.attempt_id, Outcome.FAILURE, reason=reason)
        return found
    why = "rotation_lost" if attempt.unresolved_before else "revoked"
    if reason in _ASKS_FOR_THE_USER:
        why = "interaction_required"
    return await _give_up(wiring, attempt, why=why, error=reason, said=said)


async def _give_up(wiring: Wiring, attempt: _Attempt, *, why: str, error: str, said: str | None) -> StoredIntegration | None:
    """Ask the tenant to reconnect; None if the row has moved on."""
    if attempt.stored.facts.state is State.NEEDS_REAUTH:
        why = attempt.stored.facts.reason or why
    stands = await _settle(
        wiring,
        attempt,
        phase=Phase.IDLE,
        state=State.NEEDS_REAUTH,
        reason=why,
        error=error,
        outcome=Outcome.FAILURE,
        next_in=None,
        due_in=None,
        refused=True,
    )
    if not stands:
        return None
    wiring.tokens.drop(attempt.tenant_id)
    tell_of(wiring, "credential.reconnect_required", attempt.stored.facts, reason=why, error_description=said)
    raise ReconnectRequiredError(integration_id=str(attempt.integration_id), reason=why, error_description=said)


async def _rejected(wiring: Wiring, attempt: _Attempt, rejected: Rejected, *, said: str | None) -> StoredIntegration | None:
    """Refused in words that give no verdict: asked again, until days of nothing else have given it."""
    # Where nobody else was even tried, nothing speaks for the operator's fault.
    if (since := _refused_long_since(wiring, attempt)) is not None and await _others_renewed(wiring, attempt, since) is not False:
        return await _give_up(wiring, attempt, why="refused_for_days", error=rejected.reason, said=said)
    wait = max(_backoff(wiring, attempt), rejected.retry_after or timedelta())
    rest = max(wait, min(timedelta(seconds=1 << min(attempt.stored.marks.attempts, 12)), _BACKGROUND_CAP))
    await _try_later(wiring, attempt, rejected.reason, wait=wait, due_in=rest, refused=True, said=said)
    return None


async def _not_processed(wiring: Wiring, attempt: _Attempt, outcome: NotProcessed, *, said: str | None) -> None:
    wait = max(_backoff(wiring, attempt), outcome.retry_after or timedelta())
    await _try_later(wiring, attempt, outcome.reason, wait=wait, due_in=wait, refused=False, said=said)


async def _try_later(
    wiring: Wiring, attempt: _Attempt, reason: str, *, wait: timedelta, due_in: timedelta, refused: bool, said: str | None
) -> None:
    state = State.UNKNOWN if attempt.unresolved_before else State.RETRY
    if await _settle(
        wiring,
        attempt,
        phase=Phase.IDLE,
        state=state,
        reason=reason,
        error=reason,
        outcome=Outcome.FAILURE,
        next_in=wait,
        due_in=due_in,
        refused=refused,
    ):
        tell_of(wiring, "credential.refresh_failed", attempt.stored.facts, reason=reason, error_description=said)
        raise ProviderUnavailableError(
            provider_id=str(attempt.stored.facts.provider_id), reason=reason, retry_after=wait, error_description=said
        )


async def _lost(wiring: Wiring, attempt: _Attempt, lost: Unknown, *, said: str | None) -> None:
    """The request may have rotated the token, and nobody received the new one: a state of its own."""
    reason = lost.reason
    wait, phase = max(_backoff(wiring, attempt), lost.retry_after or timedelta()), Phase.IDLE
    behaviour = attempt.behaviour
    if behaviour.reuse_rule == "grace" and (not attempt.unresolved_before or attempt.stored.marks.attempts < _SOON):
        # Inside a grace period the replay is the only way back, so it comes soon, whatever a gateway asks for.
        wait = timedelta(seconds=1 + 2 * wiring.entropy.fraction())
    if behaviour.reuse_rule == "strict" and not lost.over:
        # The provider may be at it still, and would punish the replay of a token that it is about to spend: the lease is kept
        # to its end.  Where it is surely done nothing more can come, and nobody need wait.
        phase = Phase.UNKNOWN
        wait = max(wait, (attempt.stored.marks.lease_until or attempt.stored.read_at) - _store_now(wiring, attempt))
    again = wait
    if behaviour.reuse_rule == "strict" and attempt.stored.facts.expires_at is not None and not behaviour.ends_old_access:
        again = max(wait, attempt.stored.facts.expires_at - wiring.clock.now())
    ending, state = Outcome.UNKNOWN, State.UNKNOWN
    if await _settle(
        wiring, attempt, phase=phase, state=state, reason=reason, error=reason, outcome=ending, next_in=wait, due_in=again, refused=False
    ):
        tell_of(wiring, "credential.refresh_failed", attempt.stored.facts, reason=reason, error_description=said)
        raise ProviderUnavailableError(
            provider_id=str(attempt.stored.facts.provider_id), reason=reason, retry_after=again, error_description=said
        )


async def _misconfigured(wiring: Wiring, attempt: _Attempt, *, reason: str, said: str | None) -> StoredIntegration | None:
    """The operator's application is refused: no grant is at fault, unless others of the same application are renewed for days."""
    wiring.breaker.refuse(attempt.client.context_id, reason, by=attempt.tenant_id)
    facts = attempt.stored.facts
    if (since := _refused_long_since(wiring, attempt)) is not None and await _others_renewed(wiring, attempt, since):
        return await _give_up(wiring, attempt, why="refused_for_days", error=reason, said=said)
    if await _settle(
        wiring,
        attempt,
        phase=Phase.IDLE,
        state=State.UNKNOWN if attempt.unresolved_before else facts.state,
        reason=reason,
        error=reason,
        outcome=Outcome.FAILURE,
        next_in=_backoff(wiring, attempt),
        due_in=_MISCONFIGURED_REST,
        refused=True,
    ):
        tell_of(wiring, "credential.refresh_failed", attempt.stored.facts, reason=reason, error_description=said)
        raise AppMisconfiguredError(provider_id=str(facts.provider_id), reason=reason, error_description=said)
    return None


def _refused_long_since(wiring: Wiring, attempt: _Attempt) -> datetime | None:
    """Since when the provider answers nothing but refusals, if that is longer than anybody should believe in a passing trouble."""
    now = _store_now(wiring, attempt)
    since = refused_since(attempt.stored.marks, now=now, refused=True)
    return since if since is not None and now - since >= wiring.settings.refusal_limit else None


async def _others_renewed(wiring: Wiring, attempt: _Attempt, since: datetime) -> bool | None:
    facts = attempt.stored.facts
    return await wiring.store.others_renewed(facts.provider_id, facts.context_id, since=since, but=facts.id)


async def _settle(
    wiring: Wiring,
    attempt: _Attempt,
    *,
    phase: Phase,
    state: State,
    reason: str | None,
    error: str,
    outcome: Outcome,
    next_in: timedelta | None,
    due_in: timedelta | None,
    refused: bool | None,
) -> bool:
    """Write how an attempt without tokens ended; False if somebody with a newer lease, or the user, has written since.

    *refused* says whether the provider's answer was a refusal; None: it was not asked.
    """
    now, at = wiring.clock.now(), _store_now(wiring, attempt)
    before, marks = attempt.stored.facts, attempt.stored.marks
    if before.state is State.NEEDS_REAUTH:
        # An operator had it asked again in vain: the verdict stands.
        state, reason, next_in, due_in = before.state, before.reason, None, None
    try:
        await wiring.store.apply(
            SettleAttempt(
                tenant_id=attempt.tenant_id,
                integration_id=attempt.integration_id,
                lease_token=attempt.lease,
                attempt_id=attempt.attempt_id,
                generation=attempt.stored.credential.generation,
                phase=phase,
                state=state,
                reason=reason,
                state_since=_since(before, state=state, reason=reason, now=now),
                error=error,
                next_attempt_at=None if next_in is None else at + next_in,
                due_at=None if due_in is None else at + due_in,
                failed_at=marks.failed_at if refused is None else at,
                refused_since=marks.refused_since if refused is None else refused_since(marks, now=at, refused=refused),
            ),
            recorded(
                wiring,
                attempt.tenant_id,
                attempt.caller,
                "credential.refresh",
                resource_of(attempt.integration_id),
                outcome=outcome,
                reason=error,
                attempt=attempt.attempt_id,
            ),
        )
    except StaleWriteError:
        await _record_outcome(wiring, attempt.stored.facts, attempt.caller, attempt.attempt_id, outcome, reason=error)
        return False
    except StorageUnavailableError:
        # The lease and the mark in the row say the same to whoever comes next.
        tell_of(wiring, "credential.unpersisted", attempt.stored.facts)
    return True


def _since(before: Integration, /, *, state: State, reason: str | None, now: datetime) -> datetime:
    """Say since when it is as it is: a refused application changes how it is doing (`health`), and leaves its state."""
    return before.state_since if replace(before, state=state, reason=reason).health is before.health else now


async def _record_outcome(wiring: Wiring, facts: Integration, caller: Caller, attempt_id: str, outcome: Outcome, *, reason: str) -> None:
    """Record how an attempt ended that changes nothing in the row."""
    resource = resource_of(facts.id)
    record = recorded(wiring, facts.tenant_id, caller, "credential.refresh", resource, outcome=outcome, reason=reason, attempt=attempt_id)
    try:
        await wiring.store.apply(record)
    except StorageUnavailableError:
        # An intent without an outcome reads as unknown.
        tell_of(wiring, "credential.unpersisted", facts)


def _store_now(wiring: Wiring, attempt: _Attempt) -> datetime:
    """Tell the time by the store's clock, which leases and back-off are kept in."""
    return attempt.stored.read_at + timedelta(seconds=wiring.clock.monotonic() - attempt.read_at)


def _backoff(wiring: Wiring, attempt: _Attempt) -> timedelta:
    """Full jitter over 1 s doubling up to five minutes, never less than half a second."""
    ceiling = min(timedelta(seconds=1 << min(attempt.stored.marks.attempts, 9)), _BACKOFF_CAP)
    return max(ceiling * wiring.entropy.fraction(), timedelta(milliseconds=500))
