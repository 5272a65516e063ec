"""A minted credential has ended: another one is minted from the stored inputs, and stored for the other processes.

Minting spends nothing, so it takes no lease: one process asks once for all its callers.  Of what several processes mint at the same
moment, the one that ends last stays stored.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

from cloud_integrations.domain.envelope import DataKey
from cloud_integrations.domain.event_names import EventName
from cloud_integrations.domain.events import Event, Subject
from cloud_integrations.domain.freshness import outlives
from cloud_integrations.domain.integration import (
    Integration,
    RefreshMarks,
    SealedCredential,
    State,
    StoredIntegration,
    reconnect_reason,
)
from cloud_integrations.domain.parts import Parts
from cloud_integrations.domain.replacement import Replacement, replaced
from cloud_integrations.domain.settlement import Settlement, mint_settlement
from cloud_integrations.errors import (
    CloudIntegrationsError,
    CommitUnknownError,
    ProviderInactiveError,
    ReconnectRequiredError,
    StaleWriteError,
    StorageUnavailableError,
)
from cloud_integrations.flows.renew.attempt import RenewalRequest
from cloud_integrations.flows.renew.settling import attempted, settle_attempt, state_since, trouble
from cloud_integrations.flows.shared.applications import find_method, known_variables
from cloud_integrations.flows.shared.clients import granting_client
from cloud_integrations.flows.shared.events import apply, happened, recovery
from cloud_integrations.flows.shared.measuring import measured
from cloud_integrations.flows.shared.minting import FailedMint, MintedCredential, mint, minting_failed, rest_after
from cloud_integrations.flows.shared.stale_writes import apply_sealed
from cloud_integrations.flows.shared.trust import next_trust_check
from cloud_integrations.flows.shared.wiring import Wiring
from cloud_integrations.ports.store import Change, ReplaceCredential, TakeLease

if TYPE_CHECKING:
    from cloud_integrations.domain.provider import Method

_COUNTED_EACH: Final = timedelta(minutes=1)
_TRIES: Final = 5
"""How often what was minted is written, while other processes write theirs."""


async def mint_again(wiring: Wiring, stored: StoredIntegration, wanted: RenewalRequest, /) -> StoredIntegration | None:
    """Return the row with a credential minted now; None if the row was changed meanwhile, so that it must be read again.

    After a failure this process does not ask for the same integration again for a few seconds, or for as long as the provider wants.
    Raises `ReconnectRequiredError`, `ProviderUnavailableError`, `AppMisconfiguredError`, `ProviderInactiveError`, or
    `StorageUnavailableError`: if it is a `KeyServiceUnavailableError`, nothing was asked of the provider.
    """
    facts = stored.facts
    rest = ("failed mint", facts.id)
    failed: _Failed | None = wiring.uses.find(rest)
    # For a credential that was refused, the provider is asked once in spite of a failure before.
    if failed is not None and not (wanted.forced or wanted.asks_again) and (failed.access_is_dead or not wanted.access_is_dead):
        raise _error(facts, failed.minted)
    with measured(wiring, "renew", facts.tenant_id, facts.provider_id) as running:
        minted = await _mint(wiring, stored, wanted)
        running.outcome = "superseded" if minted is None else "ok"
        return minted


async def _mint(wiring: Wiring, stored: StoredIntegration, wanted: RenewalRequest) -> StoredIntegration | None:
    facts = stored.facts
    rest = ("failed mint", facts.id)
    found = find_method(wiring, facts.provider_id, facts.method_id)
    if found is None or not found[1].mint:
        raise ProviderInactiveError(provider_id=str(facts.provider_id), problem="has no such method any more")
    provider, method = found
    if facts.context_id is not None:
        # With another application's key, every installation of this one would look as if it had been removed.
        await granting_client(wiring, facts)
    inputs = await wiring.sealer.open_column(stored, "renewal")
    data_key = await wiring.data_keys.at_start(facts.tenant_id)
    variables = known_variables(wiring, provider, facts.variables)
    began = wiring.clock.monotonic()
    minted = await mint(wiring, provider, method, inputs, variables=variables, subject=Subject.of(facts))
    store_now = stored.read_at + timedelta(seconds=wiring.clock.monotonic() - began)
    if isinstance(minted, MintedCredential):
        wiring.uses.drop(rest)
        replacement = replaced(stored.marks.replacement, now=store_now) if wanted.access_is_dead else None
        fresh = _Fresh(minted=minted, inputs=inputs, data_key=data_key, replacement=replacement)
        return await _save(wiring, stored, method, fresh, wanted)
    known = await attempted(wiring, stored, minted.failure, behaviour=method.refresh_token, store_now=store_now)
    settled = mint_settlement(minted.failure, known)
    await _write_failure(wiring, stored, settled, minted, wanted, store_now=store_now)
    if settled.verdict != "reconnect":
        failed = _Failed(minted=minted, access_is_dead=wanted.access_is_dead)
        wiring.uses.put(rest, failed, seconds=rest_after(minted.failure).total_seconds())
    raise _error(facts, minted, settled)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Failed:
    """A mint that failed a moment ago, and whether it was for a credential that the provider had refused."""

    minted: FailedMint
    access_is_dead: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class _Fresh:
    """A credential to store, what it was minted from, and the key to seal it with."""

    minted: MintedCredential
    inputs: Parts = field(repr=False)
    data_key: DataKey = field(repr=False)
    replacement: Replacement | None


async def _save(
    wiring: Wiring, stored: StoredIntegration, method: Method, fresh: _Fresh, wanted: RenewalRequest
) -> StoredIntegration | None:
    """Store the credential, and again over one that another process has minted meanwhile and that ends earlier.

    None: the row has a later one, or somebody has changed more than that.  Raises `StorageUnavailableError` after five attempts.
    """
    row = stored
    for _ in range(_TRIES):
        if (written := await _write(wiring, row, method, fresh, wanted)) is not None:
            return written
        # Another process was faster, or the commit's outcome is unknown: the row shows which.
        found = await wiring.store.find_integration(stored.facts.tenant_id, stored.facts.id)
        if found is None or not await _gives_way(wiring, found, stored, fresh):
            return None
        row = found
    raise StorageUnavailableError("the integration kept changing")


async def _gives_way(wiring: Wiring, found: StoredIntegration, stored: StoredIntegration, fresh: _Fresh) -> bool:
    """Whether the row that is stored now is to be written over: it has no other inputs, and nothing that lives longer.

    A reconnect brings other inputs, and a person may have switched the integration off.
    """
    now, before = found.facts, stored.facts
    if not now.state.is_refreshed or (now.method_id, now.variables) != (before.method_id, before.variables):
        return False
    if found.credential.generation == stored.credential.generation:
        return True
    ends_later = outlives(fresh.minted.expires_at, now.expires_at, now=wiring.clock.now())
    return ends_later and await wiring.sealer.open_column(found, "renewal") == fresh.inputs


async def _write(wiring: Wiring, row: StoredIntegration, method: Method, fresh: _Fresh, wanted: RenewalRequest) -> StoredIntegration | None:
    """Write the credential over *row*; None if the row has changed or the outcome of the commit is unknown."""
    before, generation, caller = row.facts, row.credential.generation, wanted.caller
    now = wiring.clock.now()
    facts = replace(
        before,
        state=State.ACTIVE,
        reason=None,
        state_since=state_since(before, state=State.ACTIVE, reason=None, now=now),
        updated_at=now,
        expires_at=fresh.minted.expires_at,
        variables={**before.variables, **fresh.minted.variables},
    )
    due_at = next_trust_check(wiring, method)
    if due_at is not None and not wanted.scheduled:
        due_at = row.marks.due_at or due_at
    written: list[SealedCredential] = []

    def changes(data_key: DataKey) -> list[Change | Event]:
        written[:] = [wiring.sealer.seal_parts(data_key, facts.id, fresh.minted.parts, fresh.inputs, generation=generation + 1)]
        change = ReplaceCredential(
            facts=facts, credential=written[0], expected_generation=generation, due_at=due_at, replacement=fresh.replacement
        )
        return [change, happened(wiring, "credential.refreshed", Subject.of(facts), caller), *recovery(wiring, before, facts, caller)]

    try:
        await apply_sealed(wiring, before.tenant_id, changes, fetched=fresh.data_key)
    except (StaleWriteError, CommitUnknownError):
        return None
    return replace(row, facts=facts, credential=written[0])


async def _write_failure(
    wiring: Wiring, stored: StoredIntegration, settled: Settlement, failed: FailedMint, wanted: RenewalRequest, *, store_now: datetime
) -> None:
    """Write what a failure means for the row; record it once: a failure like the last one is no news.

    It is written as an attempt that ends when it begins, because the marks of attempts say since when the provider refuses.
    """
    before, marks = stored.facts, stored.marks
    is_news = (settled.state, settled.reason) != (before.state, before.reason)
    lasting = trouble(wiring, before, settled, wanted.caller, client=None)
    if not is_news and not _says_more(settled, marks, store_now=store_now):
        if wiring.delivers:
            await apply(wiring, *lasting)
        return
    attempt_id = wiring.new_id().hex
    lease = TakeLease(
        tenant_id=before.tenant_id,
        integration_id=before.id,
        expected_generation=stored.credential.generation,
        attempt_id=attempt_id,
        owner=wiring.owner,
        length=timedelta(seconds=1),
        takeover_delay=timedelta(),
        asks_again=wanted.asks_again,
    )
    end = settle_attempt(stored, settled, lease=marks.lease_token + 1, attempt_id=attempt_id, now=wiring.clock.now(), store_now=store_now)
    name: EventName = "credential.refused" if settled.verdict == "reconnect" else "credential.refresh_failed"
    said = {"reason": settled.reason, "error": settled.error, "error_description": failed.said}
    news = [happened(wiring, name, Subject.of(before), wanted.caller, **said)] if is_news else []
    # A change that was made meanwhile has more to say.
    with suppress(StaleWriteError):
        await apply(wiring, lease, end, *news, *lasting)


def _says_more(settled: Settlement, marks: RefreshMarks, *, store_now: datetime) -> bool:
    """Say whether a failure like the last one is written for the count of refusals: the first refusal, and then one a minute."""
    if marks.refused_since is None:
        return bool(settled.refused)
    return marks.failed_at is None or store_now - marks.failed_at >= _COUNTED_EACH


def _error(facts: Integration, failed: FailedMint, settled: Settlement | None = None) -> CloudIntegrationsError:
    if settled is not None and settled.verdict == "reconnect":
        reason = reconnect_reason(settled.reason)
        return ReconnectRequiredError(integration_id=str(facts.id), reason=reason, error_description=failed.said)
    return minting_failed(str(facts.provider_id), failed)
