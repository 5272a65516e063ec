"""The provider gave tokens: they are stored, whoever has the lease by now."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from cloud_integrations.domain.audit import Outcome
from cloud_integrations.domain.credential import Grant
from cloud_integrations.domain.events import Event, EventName, Subject
from cloud_integrations.domain.freshness import due_at, reconnect_before
from cloud_integrations.domain.integration import SWITCHED_OFF, Health, Integration, Phase, State, StoredIntegration
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
from cloud_integrations.flows.renew.settling import state_since
from cloud_integrations.flows.shared.events import apply, first_today, happened, recovery, tell, tell_of, tell_unread
from cloud_integrations.flows.shared.revocation import Source, Tokens, give_back, tokens_of
from cloud_integrations.flows.shared.wiring import Wiring
from cloud_integrations.ports.store import SaveRenewal

_WARN_BEFORE = timedelta(days=14)
_NO_ACCESS = "no_access_token"
_NO_ACCESS_REST = timedelta(minutes=5)
"""When to ask again a provider that gave a refresh token alone twice in a row."""


async def save(wiring: Wiring, attempt: RenewalAttempt, grant: Grant) -> StoredIntegration:
    """Store the new tokens (T3), for as long as it takes, unless a newer lease or the user was faster."""
    stored = attempt.stored
    give_up = attempt.read_at + wiring.settings.persist_limit.total_seconds()
    wait = 0.05
    events: list[Event] = []
    while True:
        try:
            written = await _write(wiring, attempt, stored, grant, events)
            if written is not None:
                break
            # Refused, or nobody knows whether it was committed: the row says which.
            found = await wiring.store.find_integration(attempt.tenant_id, attempt.integration_id)
            written = await _written_by_others(wiring, attempt, found, grant, events)
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
            tell_of(wiring, "credential.unpersisted", Subject.of(attempt.stored.facts))
            await wiring.pause.pause(wait)
            wait = min(wait * 2, 5.0)
    wiring.tokens.drop(attempt.tenant_id)
    _forecast(wiring, written)
    if written.facts.state is State.DISABLED:
        raise IntegrationInactiveError(integration_id=str(attempt.integration_id))
    return written


async def save_refresh_token(
    wiring: Wiring, attempt: RenewalAttempt, refresh_token: Secret, refresh_expires_at: datetime | None, /, *, reason: str
) -> None:
    """Store a refresh token that came without an access token that may be used: the one that was sent may be spent.

    The caller looks at the row again: the held access token is used while it lives, and then the new refresh token, at once.
    Where that brought no access token either, raises `ProviderUnavailableError`.
    """
    tell_unread(wiring, attempt.tenant_id, attempt.integration_id, attempt.client, ("access_token",))
    access_token = await wiring.sealer.open_token(attempt.stored, "access")
    assert access_token is not None  # noqa: S101  # every grant has one
    alone = replace(attempt, alone=True, alone_because=reason)
    grant = Grant(access_token=access_token, refresh_token=refresh_token, refresh_expires_at=refresh_expires_at)
    written = await save(wiring, alone, grant)
    if attempt.follows and is_over(wiring, written):
        raise ProviderUnavailableError(provider_id=str(attempt.stored.facts.provider_id), reason=reason, retry_after=_NO_ACCESS_REST)


def _forecast(wiring: Wiring, stored: StoredIntegration) -> None:
    """Tell, once a day, that the tenant must soon reconnect, because renewing does not move the end."""
    end = stored.facts.reconnect_before
    if end is not None and end - wiring.clock.now() <= _WARN_BEFORE and first_today(wiring, "forecast", stored.facts.id):
        tell_of(wiring, "credential.reconnect_soon", Subject.of(stored.facts), before=end.isoformat())


async def _written_by_others(
    wiring: Wiring, attempt: RenewalAttempt, found: StoredIntegration | None, grant: Grant, events: list[Event]
) -> StoredIntegration | None:
    """Return the row if a newer word than ours stands in it (or our own, whose commit's answer was lost); None to write again.

    Where the user has removed or reconnected it, the tokens that came too late are given back to the provider.
    """
    if found is not None and found.marks.writer_lease < attempt.lease:
        if found.facts.state is not State.NEEDS_REAUTH or _takes_back(attempt, grant) or found.marks.attempt_id == attempt.attempt_id:
            return None
        # A later attempt was refused: what it sent has ended the grant, or the refresh token is still the one that was refused.
        await record_end(wiring, attempt.stored.facts, attempt.caller, attempt.attempt_id, reason="superseded")
        raise ReconnectRequiredError(integration_id=str(attempt.integration_id), reason=found.facts.reason or "revoked")
    ours = found is not None and found.marks.writer_lease == attempt.lease and await _is_ours(wiring, attempt, found, grant)
    # What was stored, and its commit not known of, is not dropped here: whoever wrote or removed the row since has dealt with it.
    if ours or await _is_recorded(wiring, attempt):
        tell(wiring, *events)
    else:
        # Of the same grant, they are left alone: a revocation could end it (RFC 7009 §2.1).
        if found is None or found.facts.granted_at != attempt.stored.facts.granted_at:
            succeeded = None if found is None else await _succeed_kept(wiring, attempt, found, grant)
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
    newest = await wiring.store.list_audit_newest(attempt.tenant_id, resource=Subject.of(attempt.stored.facts).resource)
    ends = [record.event for record in newest if record.event.outcome is not Outcome.STARTED]
    return any(event.details.get("attempt") == attempt.attempt_id for event in ends)


async def _succeed_kept(wiring: Wiring, attempt: RenewalAttempt, found: StoredIntegration, grant: Grant) -> StoredIntegration | None:
    """Store the refresh token that came for one which a reconnect has kept meanwhile; None where it kept none.

    The kept one was spent by this attempt, so what came for it takes its place; the reconnect's access token stays.
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
    )
    attempt_id = wiring.new_id().hex
    leased = await take_lease(wiring, found, wanted, attempt_id=attempt_id, length=wiring.settings.lease, takeover_delay=timedelta())
    if leased is None:
        # Somebody spends it once more: what comes of that is waited for.
        raise StaleWriteError
    alone = replace(
        attempt, stored=leased, read_at=wiring.clock.monotonic(), attempt_id=attempt_id, access_is_dead=False, follows=False, alone=True
    )
    return await save(wiring, alone, grant)


async def _give_back(wiring: Wiring, attempt: RenewalAttempt, grant: Grant) -> None:
    # Beside a refresh token that came alone stands an access token that callers may still use.
    came: Tokens = [(kind, token) for kind, token in tokens_of(grant) if kind == "refresh" or not attempt.alone]
    await give_back(wiring, Source.of_stored(attempt.client, attempt.stored), came, caller=attempt.caller)


async def _is_ours(wiring: Wiring, attempt: RenewalAttempt, found: StoredIntegration, grant: Grant) -> bool:
    """Whether the row holds the tokens of *grant*: a restored database gives a lease number twice, so the number does not say it.

    Nor does the attempt in the row, which is that of the lease after ours, if there was one.
    """
    stored = await wiring.sealer.open_token(found, "refresh" if attempt.alone else "access")
    return stored == (grant.refresh_token if attempt.alone else grant.access_token)


async def _write(
    wiring: Wiring, attempt: RenewalAttempt, stored: StoredIntegration, grant: Grant, events: list[Event]
) -> StoredIntegration | None:
    """Write the new tokens over *stored*; None if the row is no longer so, or the commit's outcome is unknown.

    What is told of it is left in *events*.
    """
    now = wiring.clock.now()
    generation = stored.credential.generation + 1
    moved = stored.credential.generation != attempt.stored.credential.generation
    # RFC 6749 §6: without a new refresh token the held one stays good, which may be another than we sent.
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
    credential = wiring.sealer.seal_grant(data_key, await wiring.data_keys.index(), facts, grant, generation=generation, kept=kept)
    due = due_at(expires_at=grant.expires_at, now=now, chance=wiring.entropy.fraction(), idle=attempt.behaviour.idle)
    next_attempt_at = None
    if attempt.alone and attempt.follows:
        # Twice in a row: asking on and on would bring no more.
        next_attempt_at = due = store_now(wiring, attempt) + _NO_ACCESS_REST
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
        due_at=due,
    )
    return StoredIntegration(facts=facts, credential=credential, marks=marks, read_at=stored.read_at)


def _events(wiring: Wiring, attempt: RenewalAttempt, stored: StoredIntegration, facts: Integration, *, rotated: bool) -> list[Event]:
    subject, caller = Subject.of(facts), attempt.caller
    said = {"attempt": attempt.attempt_id, "rotated": str(rotated).lower()}
    if not attempt.alone:
        return [happened(wiring, "credential.refreshed", subject, caller, **said), *recovery(wiring, stored.facts, facts, caller)]
    name: EventName = "credential.not_refreshed" if attempt.alone_because is None else "credential.refresh_failed"
    return [happened(wiring, name, subject, caller, error=_NO_ACCESS, reason=attempt.alone_because, **said)]


def _state_with_tokens(attempt: RenewalAttempt, stored: StoredIntegration, grant: Grant) -> tuple[State, str | None]:
    """Return what an integration is that has new tokens, and the reason."""
    if stored.facts.state is State.DISABLED:
        # What came is what works when it is switched on again, also where it was dead before; not where a later attempt's
        # replay has ended the grant since.
        heals = _takes_back(attempt, grant) or stored.marks.attempt_id == attempt.attempt_id
        return State.DISABLED, SWITCHED_OFF if heals else stored.facts.reason
    # One that did not work is not said to work again before an access token came.
    is_retried = attempt.alone and (attempt.follows or stored.facts.health is not Health.OK)
    return (State.RETRY, _NO_ACCESS) if is_retried else (State.ACTIVE, None)


async def _with_held_access_token(wiring: Wiring, attempt: RenewalAttempt, stored: StoredIntegration, grant: Grant) -> Grant:
    """Put the row's own access token into *grant*, with its end; where it is known to be dead, that is now."""
    access_token = await wiring.sealer.open_token(stored, "access")
    assert access_token is not None  # noqa: S101  # every grant has one
    moved = stored.credential.generation != attempt.stored.credential.generation
    is_dead = not moved and (attempt.access_is_dead or attempt.behaviour.ends_old_access)
    return replace(grant, access_token=access_token, expires_at=wiring.clock.now() if is_dead else stored.facts.expires_at)
