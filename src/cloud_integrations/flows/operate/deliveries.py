"""Deliveries that wait or were given up: list them, and try them again."""

from __future__ import annotations

from collections.abc import Collection
from contextlib import suppress
from dataclasses import replace
from typing import Final, get_args
from uuid import UUID

from cloud_integrations.domain.arguments import read_count, read_ids, read_text_or_none
from cloud_integrations.domain.audit import Caller
from cloud_integrations.domain.event_message import DELIVERY, GIVEN_UP, Delivery, DeliveryState, EventDelivery
from cloud_integrations.domain.events import Subject
from cloud_integrations.domain.identifiers import TenantId
from cloud_integrations.errors import StaleWriteError, ValidationFailedError
from cloud_integrations.flows.shared.events import apply, happened
from cloud_integrations.flows.shared.lookup import known_tenant, read_entry, tell_damaged
from cloud_integrations.flows.shared.receivers import wake
from cloud_integrations.flows.shared.wiring import Wiring
from cloud_integrations.ports.store import AddEntry, DamagedRow, FinishEntry

_MOST_LISTED: Final = 1_000
_KINDS: Final = {"waiting": DELIVERY, "given_up": GIVEN_UP}


async def list_deliveries(
    wiring: Wiring, tenant: str | None, /, *, state: DeliveryState, receiver: str | None, limit: int
) -> tuple[EventDelivery, ...]:
    """Return deliveries of the tenant's events, or of all (None), the oldest event first.

    Raises `ValidationFailedError` or `TenantNotFoundError`.
    """
    limit = read_count("limit", limit, most=_MOST_LISTED)
    return tuple([_shown(found, state) for found in await _found(wiring, tenant, state, receiver=receiver, limit=limit)])


async def retry_deliveries(
    wiring: Wiring, tenant: str | None, /, *, ids: Collection[UUID | str] | None, receiver: str | None, state: DeliveryState, caller: Caller
) -> int:
    """Make deliveries due now, as if they had not been tried, and return how many; *ids* selects some of them.

    Up to a thousand at a time.  Raises `ValidationFailedError` or `TenantNotFoundError`.
    """
    chosen = None if ids is None else set(read_ids("ids", ids))
    count, owners = 0, set[TenantId]()
    for found in await _found(wiring, tenant, state, receiver=receiver, limit=_MOST_LISTED):
        entry = found.entry
        if chosen is not None and entry.id not in chosen:
            continue
        again = replace(entry, kind=DELIVERY, attempts=0, last_error=None, next_attempt_at=wiring.clock.now())
        finish = FinishEntry(tenant_id=entry.tenant_id, entry_id=entry.id, expected_facts=entry.facts)
        # A worker may have just delivered it.
        with suppress(StaleWriteError):
            await apply(wiring, finish, AddEntry(entry=again))
            wake(wiring, found.receiver)
            count += 1
            owners.add(entry.tenant_id)
    for owner in sorted(owners):
        await apply(wiring, happened(wiring, "event.retried", Subject(tenant_id=owner), caller, count=str(count)))
    return count


async def _found(wiring: Wiring, tenant: str | None, state: DeliveryState, *, receiver: str | None, limit: int) -> list[Delivery]:
    if state not in get_args(DeliveryState):
        raise ValidationFailedError(field="state", problem=f"must be one of {', '.join(get_args(DeliveryState))}")
    key = read_text_or_none("receiver", receiver, most=64)
    tenant_id = None if tenant is None else await known_tenant(wiring, tenant)
    found = []
    for entry in await wiring.store.list_entries(tenant_id, _KINDS[state], index_key=key, limit=limit):
        delivery = read_entry(entry, Delivery.of)
        if isinstance(delivery, DamagedRow):
            tell_damaged(wiring, delivery)
        else:
            found.append(delivery)
    return found


def _shown(delivery: Delivery, state: DeliveryState) -> EventDelivery:
    entry = delivery.entry
    return EventDelivery(
        id=entry.id,
        event=delivery.message,
        receiver=delivery.receiver,
        state=state,
        attempts=entry.attempts,
        due_at=entry.next_attempt_at if state == "waiting" else None,
        given_up_at=entry.next_attempt_at if state == "given_up" else None,
        last_error=entry.last_error,
    )
