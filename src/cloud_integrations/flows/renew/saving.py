"""Store the tokens that a renewal brought, even if another process has taken the lease since."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from cloud_integrations.domain.audit import AuditFilter, Outcome
from cloud_integrations.domain.credential import Grant
from cloud_integrations.domain.event_names import EventName
from cloud_integrations.domain.events import Event, Subject
from cloud_integrations.domain.freshness import due_at, reconnect_before
from cloud_integrations.domain.integration import SWITCHED_OFF, Integration, Phase, State, StoredIntegration, reconnect_reason
from cloud_integrations.domain.replacement import Replacement, replaced
from cloud_integrations.domain.secret import Secret
from cloud_integrations.errors import (
    CommitUnknownError,
    IntegrationInactiveError,
    IntegrationNotFoundError,
    KeyRetiredError,
    ProviderUnavailableError,
    ReconnectRequiredError,
    StaleWriteError,
)
from cloud_integrations.flows.renew.attempt import RenewalAttempt, RenewalRequest, record_end, store_now
from cloud_integrations.flows.renew.leases import is_over, take_lease
from cloud_integrations.flows.renew.settling import application_of, state_since
from cloud_integrations.flows.shared.events import apply, forecast, happened, recovery, tell, tell_unread
from cloud_integrations.flows.shared.keep_trying import keep_trying
from cloud_integrations.flows.shared.revocation import Source, Tokens, give_back, tokens_of
from cloud_integrations.flows.shared.wiring import Wiring
from cloud_integrations.ports.store import SaveRenewal

_NO_ACCESS = "no_access_token"
_NO_ACCESS_REST = timedelta(minutes=5)
"""When to ask again a provider that gave a refresh token alone twice in a row."""


async def save(wiring: Wiring, attempt: RenewalAttempt, grant: Grant) -> StoredIntegration:
    """Store the new tokens (T3) and return the row, or the row of a newer lease or of a reconnect that wrote first.

    While the store cannot be used, it is tried again until the setting `persist_limit` is over; then the store's error is raised.
    Raises `IntegrationNotFoundError` if the integration was removed, `ReconnectRequiredError` if a later attempt was refused, and
    `IntegrationInactiveError` if the integration was disabled (the tokens are stored).
    """
    stored = attempt.stored
    events: list[Event] = []

    async def store() -> StoredIntegration:
        nonlocal stored
        while True:
            written = await _write(wiring, attempt, stored, grant, events)
            if written is not None:
                return written
            # The write was refused, or the outcome of its commit is unknown: the row shows which.
            found = await wiring.store.find_integration(attempt.tenant_id, attempt.integration_id)
            written = await _written_by_others(wiring, attempt, found, grant, events)
            if written is not None:
                return written
            assert found is not None  # noqa: S101  # `_written_by_others` has looked
            stored = found

    ends, subject = (IntegrationNotFoundError, ReconnectRequiredError), Subject.of(attempt.stored.facts)
    written = await keep_trying(wiring, store, since=attempt.read_at, subject=subject, ends=ends)
    wiring.tokens.drop(attempt.tenant_id)
    forecast(wiring, written.facts, written.facts.reconnect_before)
    if written.facts.state is State.DISABLED:
        raise IntegrationInactiveError(integration_id=str(attempt.integration_id))
    return written


async def save_refresh_token(
    wiring: Wiring, attempt: RenewalAttempt, refresh_token: Secret, refresh_expires_at: datetime | None, /, *, reason: str
) -> None:
    """Store a refresh token that came without a usable access token, because the one that was sent may no longer work.

    The caller then reads the row again: the stored access token is used until it expires, then the new refresh token is used at once.
    Raises `ProviderUnavailableError` if the attempt before brought no access token either and the stored one has expired.
    """
    tell_unread(wiring, attempt.tenant_id, attempt.integration_id, attempt.client, ("access_token",))
    access_token = await wiring.sealer.open_token(attempt.stored, "access")
    assert access_token is not None  # noqa: S101  # every grant has one
    alone = replace(attempt, alone=True, alone_because=reason)
    grant = Grant(access_token=access_token, refresh_token=refresh_token, refresh_expires_at=refresh_expires_at)
    written = await save(wiring, alone, grant)
    if attempt.follows and is_over(wiring, written):
        raise ProviderUnavailableError(provider_id=str(attempt.stored.facts.provider_id), reason=reason, retry_after=_NO_ACCESS_REST)


async def _written_by_others(
    wiring: Wiring, attempt: RenewalAttempt, found: StoredIntegration | None, grant: Grant, events: list[Event]
) -> StoredIntegration | None:
    """Return the row if a newer lease has written it, or if our own write was committed; None if ours must be written again.

    If the integration was removed or reconnected, our tokens came too late and are revoked.  Raises `IntegrationNotFoundError` if it
    was removed, `ReconnectRequiredError` if a later attempt was refused.
    """
    if found is not None and found.marks.writer_lease < attempt.lease:
        if found.facts.state is not State.NEEDS_REAUTH or _takes_back(attempt, grant) or found.marks.attempt_id == attempt.attempt_id:
            return None
        # A later attempt was refused: its request has ended the grant, or our tokens bring no other refresh token than the refused one.
        await record_end(wiring, attempt.stored.facts, attempt.caller, attempt.attempt_id, reason="superseded")
        raise ReconnectRequiredError(integration_id=str(attempt.integration_id), reason=reconnect_reason(found.facts.reason))
    ours = found is not None and found.marks.writer_lease == attempt.lease and await _is_ours(wiring, attempt, found, grant)
    # If our tokens were stored, they are not revoked here: the process that wrote or removed the row since has dealt with them.
    if ours or await _is_recorded(wiring, attempt):
        tell(wiring, *events)
    else:
        # Tokens of the grant that is still stored are not revoked, because that could end the grant (RFC 7009 §2.1).
        if found is None or found.facts.granted_at != attempt.stored.facts.granted_at:
            succeeded = None if found is None else await succeed_kept(wiring, attempt, found, grant)
            if succeeded is None:
                await _give_back(wiring, attempt, grant)
            found = succeeded or found
        reason = "closed_meanwhile" if found is None else "superseded"
        await record_end(wiring, attempt.stored.facts, attempt.caller, attempt.attempt_id, reason=reason)
    if found is None:
        raise IntegrationNotFoundError
    return found


def _takes_back(attempt: RenewalAttempt, grant: Grant) -> bool:
    """Whether what came is good although a later attempt was refused: a new refresh token came, which no replay has ended."""
    came = grant.refresh_token is not None and grant.refresh_token != attempt.refresh_token
    return came and attempt.behaviour.replay_kills_family is not True


async def _is_recorded(wiring: Wiring, attempt: RenewalAttempt) -> bool:
    """Whether the audit log holds how this attempt ended, which is written with the tokens."""
    newest = await wiring.store.list_audit_newest(
        attempt.tenant_id, matching=AuditFilter(resource=Subject.of(attempt.stored.facts).resource)
    )
    ends = [record.event for record in newest if record.event.outcome is not Outcome.STARTED]
    return any(event.details.get("attempt") == attempt.attempt_id for event in ends)


async def succeed_kept(wiring: Wiring, attempt: RenewalAttempt, found: StoredIntegration, grant: Grant) -> StoredIntegration | None:
    """Store the refresh token that came for the one in the row *found*; None where the row has another one.

    The stored one was sent by this attempt, so what came for it takes its place; the row's access token stays.  Raises `StaleWriteError`
    while another process is using it, and what `save` raises.
    """
    if grant.refresh_token is None or found.facts.state is State.DISABLED:
        return None
    if await wiring.sealer.open_token(found, "refresh") != attempt.refresh_token or grant.refresh_token == attempt.refresh_token:
        return None
    wanted = RenewalRequest(
        seen_generation=found.credential.generation,
        caller=attempt.caller,
        patience=timedelta(),
        forced=True,
        access_is_dead=False,
        asks_again=True,
        scheduled=False,
    )
    attempt_id = wiring.new_id().hex
    leased = await take_lease(wiring, found, wanted, attempt_id=attempt_id, length=wiring.settings.lease, takeover_delay=timedelta())
    if leased is None:
        # Another process is using the refresh token: wait for its result.
        raise StaleWriteError
    alone = replace(
        attempt, stored=leased, read_at=wiring.clock.monotonic(), attempt_id=attempt_id, access_is_dead=False, follows=False, alone=True
    )
    return await save(wiring, alone, grant)


async def _give_back(wiring: Wiring, attempt: RenewalAttempt, grant: Grant) -> None:
    # With a refresh token that came alone, the access token is the stored one, which callers may still use.
    came: Tokens = [(kind, token) for kind, token in tokens_of(grant) if kind == "refresh" or not attempt.alone]
    await give_back(wiring, Source.of_stored(attempt.client, attempt.stored), came, caller=attempt.caller)


async def _is_ours(wiring: Wiring, attempt: RenewalAttempt, found: StoredIntegration, grant: Grant) -> bool:
    """Return whether the row holds the tokens of *grant*.

    The lease number does not prove it, because a restored database gives a number twice.  Neither does the attempt id in the row,
    which may be that of a later lease.
    """
    stored = await wiring.sealer.open_token(found, "refresh" if attempt.alone else "access")
    return stored == (grant.refresh_token if attempt.alone else grant.access_token)


async def _write(
    wiring: Wiring, attempt: RenewalAttempt, stored: StoredIntegration, grant: Grant, events: list[Event]
) -> StoredIntegration | None:
    """Write the new tokens over *stored*; return None if the row has changed or the outcome of the commit is unknown.

    *events* receives the events of the write, so that the caller can tell them if the commit turns out to have succeeded.
    """
    now = wiring.clock.now()
    grant = replace(grant, dpop_key=attempt.dpop_key)
    generation = stored.credential.generation + 1
    moved = stored.credential.generation != attempt.stored.credential.generation
    # RFC 6749 §6: without a new refresh token the stored one stays valid, which may be another one than we sent.
    kept = await wiring.sealer.open_token(stored, "refresh") if moved else attempt.refresh_token
    if attempt.alone:
        grant = await _with_held_access_token(wiring, attempt, stored, grant)
    data_key = await wiring.data_keys.active(attempt.tenant_id)
    scopes = stored.facts.scopes if grant.scopes is None else grant.scopes
    state, reason = _state_with_tokens(attempt, stored, grant)
    facts = replace(
        stored.facts,
        state=state,
        state_since=state_since(stored.facts, state=state, reason=reason, now=now),
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
    index, application = await wiring.data_keys.index(), attempt.client.id_for(None)
    credential = wiring.sealer.seal_grant(data_key, index, facts, grant, generation=generation, application=application, kept=kept)
    due = due_at(expires_at=grant.expires_at, now=now, chance=wiring.entropy.fraction(), idle=attempt.behaviour.idle)
    next_attempt_at = None
    if attempt.alone and attempt.follows:
        # The second time in a row: another request at once would bring no access token either.
        next_attempt_at = due = store_now(wiring, attempt) + _NO_ACCESS_REST
    replacement = _replacement(wiring, attempt, stored)
    events[:] = _events(wiring, attempt, stored, facts, rotated=grant.refresh_token is not None)
    try:
        await apply(
            wiring,
            SaveRenewal(
                facts=facts,
                credential=credential,
                lease_token=attempt.lease,
                attempt_id=attempt.attempt_id,
                takes_back=_takes_back(attempt, grant),
                refreshed_at=now,
                due_at=due,
                next_attempt_at=next_attempt_at,
                replacement=replacement,
                variables=facts.variables if grant.variables else None,
            ),
            *events,
        )
    except (StaleWriteError, IntegrationNotFoundError, CommitUnknownError):
        return None
    except KeyRetiredError:
        wiring.data_keys.forget(attempt.tenant_id)
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
        replacement=replacement,
        due_at=due,
    )
    return StoredIntegration(facts=facts, credential=credential, marks=marks, read_at=stored.read_at)


def _events(wiring: Wiring, attempt: RenewalAttempt, stored: StoredIntegration, facts: Integration, *, rotated: bool) -> list[Event]:
    subject, caller = Subject.of(facts), attempt.caller
    said = {"attempt": attempt.attempt_id, "rotated": str(rotated).lower()}
    if not attempt.alone:
        return [
            happened(wiring, "credential.refreshed", subject, caller, **said),
            *recovery(wiring, stored.facts, facts, caller),
            happened(wiring, "application.recovered", application_of(attempt.client), caller),
        ]
    name: EventName = "credential.not_refreshed" if attempt.alone_because is None else "credential.refresh_failed"
    return [happened(wiring, name, subject, caller, error=_NO_ACCESS, reason=attempt.alone_because, **said)]


def _replacement(wiring: Wiring, attempt: RenewalAttempt, stored: StoredIntegration) -> Replacement | None:
    """Return what the row says of the access token that is written: whether it takes the place of a refused one."""
    last = stored.marks.replacement
    if attempt.alone:
        return last  # the access token stays
    return replaced(last, now=store_now(wiring, attempt)) if attempt.access_is_dead else None


def _state_with_tokens(attempt: RenewalAttempt, stored: StoredIntegration, grant: Grant) -> tuple[State, str | None]:
    """Return the state of an integration with new tokens, and its reason."""
    if stored.facts.state is State.DISABLED:
        # The new tokens work when it is enabled again, even if the old ones were refused; but not if a later attempt has sent the
        # same refresh token again and so ended the grant.
        heals = _takes_back(attempt, grant) or stored.marks.attempt_id == attempt.attempt_id
        return State.DISABLED, SWITCHED_OFF if heals else stored.facts.reason
    # An integration that did not work is reported as working only once it has an access token.
    is_retried = attempt.alone and (attempt.follows or (stored.facts.state, stored.facts.reason) != (State.ACTIVE, None))
    return (State.RETRY, _NO_ACCESS) if is_retried else (State.ACTIVE, None)


async def _with_held_access_token(wiring: Wiring, attempt: RenewalAttempt, stored: StoredIntegration, grant: Grant) -> Grant:
    """Return *grant* with the row's access token and its expiry, which is now if the token is known not to work."""
    access_token = await wiring.sealer.open_token(stored, "access")
    assert access_token is not None  # noqa: S101  # every grant has one
    moved = stored.credential.generation != attempt.stored.credential.generation
    is_dead = not moved and (attempt.access_is_dead or attempt.behaviour.ends_old_access)
    return replace(grant, access_token=access_token, expires_at=wiring.clock.now() if is_dead else stored.facts.expires_at)
