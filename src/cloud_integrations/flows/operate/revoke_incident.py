"""End the access of every integration of an incident at its provider; each stays, and its tenant can reconnect."""

from __future__ import annotations

from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field, replace
from math import inf
from typing import Final
from uuid import UUID

from cloud_integrations.domain.arguments import Progress, read_count, read_flag, read_listener
from cloud_integrations.domain.audit import Caller
from cloud_integrations.domain.envelope import DataKey
from cloud_integrations.domain.events import Subject
from cloud_integrations.domain.identifiers import ProviderId
from cloud_integrations.domain.incident import OPEN_STATES, IncidentItem, IncidentRun, ItemState
from cloud_integrations.domain.integration import REVOKED_BY_OPERATOR, State, StoredIntegration
from cloud_integrations.domain.interruption import is_interruption
from cloud_integrations.domain.removal import Removal
from cloud_integrations.errors import DamagedRowError, IntegrationNotFoundError, KeyringError, StaleWriteError
from cloud_integrations.flows.renew.refresh_due import AT_ONCE
from cloud_integrations.flows.shared.events import apply, happened, tell_of
from cloud_integrations.flows.shared.wiring import Wiring
from cloud_integrations.flows.use.ending import Close, Closing, end_access
from cloud_integrations.ports.store import DamagedRow, ReplaceCredential, SettleItem

from .approving import require_approval
from .incidents import get_incident, subject_of
from .receipts import has_new_grant, resumed_receipt

_PAGE: Final = 100


class _ChangedError(Exception):
    """The row has another credential than the one that was looked at."""


@dataclass(slots=True)
class _Pace:
    """Lets requests to one provider begin at most *per_second* times a second."""

    wiring: Wiring
    per_second: int
    begins: dict[ProviderId, float] = field(default_factory=dict)

    async def wait(self, provider_id: ProviderId) -> None:
        now = self.wiring.clock.monotonic()
        begins = max(now, self.begins.get(provider_id, now))
        self.begins[provider_id] = begins + 1 / self.per_second
        if begins > now:
            await self.wiring.pause.pause(begins - now)


async def revoke_incident(
    wiring: Wiring,
    incident_id: UUID | str,
    /,
    *,
    dry_run: bool,
    revoke_keys: bool,
    per_second: int,
    at_most: int | None,
    progress: Progress | None,
    caller: Caller,
) -> IncidentRun:
    """End the access of every integration of the incident that is still pending, and return the counts; may be repeated.

    Any number of processes may do so at once, and whoever calls again goes on where another was killed.  An integration that its tenant
    has connected again since is left alone.  *per_second* is how many integrations of one provider are begun in a second, in this
    process.  *at_most* is how many this call looks at, those first about which nothing was done yet.  *progress* is called after each page
    with its number of integrations.
    Raises `IncidentNotFoundError`, `IncidentNotApprovedError` or `ValidationFailedError`.
    """
    dry_run, revoke_keys = read_flag("dryRun", dry_run), read_flag("revokeKeys", revoke_keys)
    pace = _Pace(wiring, read_count("perSecond", per_second))
    more = inf if at_most is None else read_count("atMost", at_most)
    progress = read_listener("progress", progress)
    incident = await get_incident(wiring, incident_id)
    if not dry_run:
        approved = await require_approval(wiring, incident, caller)
        await apply(wiring, happened(wiring, "incident.revocation", subject_of(incident), caller, incident=str(incident.id), **approved))
    counts: Counter[str] = Counter()

    async def one(found: tuple[IncidentItem, StoredIntegration | None]) -> None:
        item, stored = found
        try:
            if dry_run:
                counts[await _foreseen(wiring, item, stored)] += 1
                return
            if stored is not None:
                await pace.wait(stored.facts.provider_id)
            counts[await _end(wiring, item, stored, revoke_keys=revoke_keys, caller=caller)] += 1
        except Exception as error:
            if is_interruption(error):
                raise
            counts["failed"] += 1
            subject = Subject(tenant_id=item.use.tenant_id, other=f"incident:{incident.id}")
            tell_of(wiring, "incident.item_failed", subject, incident=str(incident.id), reason=type(error).__name__)

    for state in OPEN_STATES:
        after = None
        while more > 0 and (page := await wiring.store.list_items(incident.id, state=state, after=after, limit=int(min(_PAGE, more)))):
            more -= len(page)
            items = [_readable(item) for item in page]
            after = items[-1].use.tenant_id, items[-1].use.integration_id
            rows = [(item, await wiring.store.find_integration(item.use.tenant_id, item.use.integration_id)) for item in items]
            await wiring.concurrency.for_each(rows, one, key=_provider_of, at_once=AT_ONCE)
            if progress is not None:
                progress(len(items))
    left = await wiring.store.count_items(incident.id)
    return IncidentRun(
        asked=counts.total(),
        revoked=counts["revoked"],
        not_ended=counts["not_ended"],
        gone=counts["gone"],
        reconnected=counts["reconnected"],
        failed=counts["failed"],
        left=sum(left.get(state, 0) for state in OPEN_STATES),
    )


def _readable(item: IncidentItem | DamagedRow) -> IncidentItem:
    if isinstance(item, DamagedRow):
        raise DamagedRowError(table=item.table, row=item.row)
    return item


def _provider_of(found: tuple[IncidentItem, StoredIntegration | None]) -> ProviderId | None:
    return None if found[1] is None else found[1].facts.provider_id


async def _foreseen(wiring: Wiring, item: IncidentItem, stored: StoredIntegration | None) -> str:
    """Return what would be done about an item."""
    if stored is None or (item.state == "pending" and stored.facts.reason == REVOKED_BY_OPERATOR):
        return "gone"
    return "reconnected" if item.state == "pending" and await has_new_grant(wiring, item) else "foreseen"


async def _end(wiring: Wiring, item: IncidentItem, stored: StoredIntegration | None, *, revoke_keys: bool, caller: Caller) -> str:
    """End the access of one integration, and return the name of a count."""
    if item.state == "ended":
        # Whoever ended it was killed before its tokens were revoked, or is doing that now: a second request does no harm.
        return await _settle(wiring, item, await resumed_receipt(wiring, item, caller))
    while True:
        if stored is None or stored.facts.reason == REVOKED_BY_OPERATOR:
            return await _skip(wiring, item, "gone")
        if await has_new_grant(wiring, item):
            return await _skip(wiring, item, "reconnected")
        try:
            receipt = await end_access(
                wiring,
                item.use.tenant_id,
                item.use.integration_id,
                revoke_key=revoke_keys,
                close=_closing(wiring, item, stored, caller),
                caller=caller,
            )
        except IntegrationNotFoundError:
            stored = None
        except _ChangedError:
            # A renewal, or the tenant's reconnect: look again which.
            stored = await wiring.store.find_integration(item.use.tenant_id, item.use.integration_id)
        else:
            wiring.tokens.drop(item.use.tenant_id)
            return await _settle(wiring, replace(item, state="ended"), receipt)


def _closing(wiring: Wiring, item: IncidentItem, seen: StoredIntegration, caller: Caller) -> Close:
    """Return what takes the secrets out of the row, if it is still the one that was looked at."""

    def close(stored: StoredIntegration, key: DataKey | None, stays: dict[str, str]) -> Closing:
        generation = stored.credential.generation
        if generation != seen.credential.generation:
            raise _ChangedError
        if key is None:
            # Nothing can be written in place of what is stored.
            raise KeyringError(key_id=str(stored.credential.key_id), problem="cannot be used")
        now, was = wiring.clock.now(), stored.facts
        state = State.DISABLED if was.state is State.DISABLED else State.NEEDS_REAUTH
        facts = replace(
            was, state=state, state_since=now, reason=REVOKED_BY_OPERATOR, renewal_rule="reconnect", expires_at=None, updated_at=now
        )
        empty = wiring.sealer.seal_parts(key, was.id, {}, generation=generation + 1)
        event = happened(
            wiring,
            "integration.revoked",
            Subject.of(facts),
            caller,
            incident=str(item.incident_id),
            reason=REVOKED_BY_OPERATOR,
            **stays,
        )
        return Closing(
            sealed=[ReplaceCredential(facts=facts, credential=empty, expected_generation=generation, while_disabled=True)],
            others=[_settled(wiring, item, "pending", "ended", None), event],
        )

    return close


async def _skip(wiring: Wiring, item: IncidentItem, state: ItemState) -> str:
    with suppress(StaleWriteError):  # another operator was first
        await apply(wiring, _settled(wiring, item, "pending", state, None))
    return state


async def _settle(wiring: Wiring, item: IncidentItem, receipt: Removal) -> str:
    with suppress(StaleWriteError):  # as above
        await apply(wiring, _settled(wiring, item, "ended", "settled", receipt))
    return "not_ended" if replace(item, receipt=receipt).works_on else "revoked"


def _settled(wiring: Wiring, item: IncidentItem, expected: ItemState, state: ItemState, receipt: Removal | None) -> SettleItem:
    return SettleItem(
        incident_id=item.incident_id,
        tenant_id=item.use.tenant_id,
        integration_id=item.use.integration_id,
        expected=expected,
        state=state,
        settled_at=wiring.clock.now(),
        receipt=receipt,
    )
