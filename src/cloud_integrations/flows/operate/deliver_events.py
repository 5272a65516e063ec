"""Deliver events: find the receivers of each, bring it to them one after another, and announce what ends soon."""

from __future__ import annotations

from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import partial
from typing import Final

from cloud_integrations.domain.arguments import read_count
from cloud_integrations.domain.audit import Caller
from cloud_integrations.domain.event_message import DELIVERY, EVENT, GIVEN_UP, Delivery, DeliveryRun, EventMessage, delivery_of, wait_after
from cloud_integrations.domain.events import Event, Subject
from cloud_integrations.domain.integration import StoredIntegration
from cloud_integrations.domain.outbox import OutboxEntry
from cloud_integrations.errors import StaleWriteError
from cloud_integrations.flows.renew.refresh_due import MOST_AT_ONCE
from cloud_integrations.flows.shared.events import WARN_BEFORE, apply, ends_soon, happened
from cloud_integrations.flows.shared.lookup import read_entry, tell_damaged
from cloud_integrations.flows.shared.receivers import (
    HANDLER,
    Absence,
    OpenWebhook,
    find_webhook,
    give,
    note,
    receivers_of,
    rest,
    rests,
    send,
    wake,
)
from cloud_integrations.flows.shared.wiring import Wiring
from cloud_integrations.ports.store import AddEntry, DamagedRow, DelayEntry, FinishEntry
from cloud_integrations.protocol.webhook import Untaken

_BATCH: Final = 50
_AT_ONCE: Final = 8
"""Deliveries to one receiver at the same time, in this process."""
_MOST_RECEIVERS: Final = 1_000


async def deliver_events(wiring: Wiring, /, *, limit: int, caller: Caller) -> DeliveryRun:
    """Announce what ends soon, find the receivers of up to *limit* events, bring each receiver up to *limit* of them; return the counts.

    Any number of processes may do so at once.  A receiver that does not take one gets no other in this round, rests for a while in
    this process, and holds up no other receiver.  Raises `ValidationFailedError` for *limit*.
    """
    limit = read_count("limit", limit, most=MOST_AT_ONCE)
    counts: Counter[str] = Counter()
    await _announce_ends(wiring, limit=limit, caller=caller)
    await _find_receivers(wiring, limit=limit, counts=counts)
    known = [
        key
        for key in await wiring.store.list_due_keys(DELIVERY, limit=_MOST_RECEIVERS)
        # A handler that only another process has gets its events there.
        if not rests(wiring, key) and (not key.startswith(HANDLER) or key.removeprefix(HANDLER) in wiring.handlers)
    ]

    async def serve(receiver: str) -> None:
        await _Line(wiring=wiring, receiver=receiver, counts=counts).serve(limit)

    await wiring.concurrency.for_each(known, serve, key=lambda receiver: receiver, at_once=1)
    return DeliveryRun(**counts)


async def _announce_ends(wiring: Wiring, *, limit: int, caller: Caller) -> None:
    """Announce which integrations end soon or have ended, also of those that nobody uses."""
    for stored in await wiring.store.list_ending(within=WARN_BEFORE, limit=limit):
        if isinstance(stored, DamagedRow):
            tell_damaged(wiring, stored)
            continue
        event = _ending(wiring, stored, caller)
        announced = replace(event.announced, expected_generation=stored.credential.generation) if event.announced else None
        # The observer is told by those who use it or renew it.
        await apply(wiring, replace(event, fact=None, announced=announced))


def _ending(wiring: Wiring, stored: StoredIntegration, caller: Caller) -> Event:
    facts, now = stored.facts, stored.read_at
    if facts.renewal_rule == "reconnect" and facts.expires_at is not None and facts.expires_at <= now:
        return happened(wiring, "credential.ended", Subject.of(facts), caller, reason="expired")
    assert facts.reconnect_before is not None  # noqa: S101  # the store has looked
    return ends_soon(wiring, facts, facts.reconnect_before)


async def _find_receivers(wiring: Wiring, *, limit: int, counts: Counter[str]) -> None:
    """Write a delivery for each receiver of each event, in the transaction that finishes the event."""
    left = limit
    while left > 0:
        claimed = await wiring.store.claim_entries(EVENT, limit=min(left, _BATCH), hold=wiring.settings.lease, in_order=True)
        if not claimed:
            return
        left -= len(claimed)
        for entry in claimed:
            message = read_entry(entry, EventMessage.of)
            if isinstance(message, DamagedRow):
                tell_damaged(wiring, message)
                continue
            assert isinstance(entry, OutboxEntry)  # noqa: S101  # a damaged one gives no message
            receivers = await receivers_of(wiring, message)
            deliveries = [delivery_of(message, receiver, entry_id=wiring.new_id(), due=wiring.clock.now()) for receiver in receivers]
            # Another process may have done the same, if this one was slow.
            with suppress(StaleWriteError):
                await apply(wiring, _finish(entry), *(AddEntry(entry=delivery) for delivery in deliveries))
                counts["events"] += 1


@dataclass(slots=True, kw_only=True)
class _Line:
    """The deliveries to one receiver, in this round."""

    wiring: Wiring
    receiver: str
    counts: Counter[str]
    webhook: OpenWebhook | Absence | Untaken | None = field(default=None, init=False)
    """The receiver, if it is a webhook and was looked up."""
    took: bool = field(default=False, init=False)
    untaken: Untaken | None = field(default=None, init=False)
    """Why the receiver did not take one; then it gets no other in this round."""

    async def serve(self, limit: int) -> None:
        """Deliver up to *limit* messages: first one, and many at once when that was taken."""
        left, size = limit, 1
        while left > 0 and self.untaken is None:
            size = min(size, left)
            read_at, hold = self.wiring.clock.monotonic(), self.wiring.settings.lease
            claimed = await self.wiring.store.claim_entries(DELIVERY, limit=size, hold=hold, in_order=True, index_key=self.receiver)
            if not claimed:
                break
            left -= len(claimed)
            # What is not begun in time is left: after the hold, another process may have it.
            begun_before = read_at + (hold - self.wiring.settings.deadline).total_seconds()
            one = partial(self._one, begun_before)
            await self.wiring.concurrency.for_each(claimed, one, key=lambda _: self.receiver, at_once=_AT_ONCE)
            size = _BATCH
        # One that is gone is off now: what waits for it is given up in the next round.
        if self.untaken is not None and not self.untaken.gone:
            rest(self.wiring, self.receiver)
        elif self.took:
            wake(self.wiring, self.receiver)
        if isinstance(self.webhook, OpenWebhook) and (self.untaken is not None or self.took):
            await note(self.wiring, self.webhook, None if self.took else self.untaken)

    async def _one(self, begun_before: float, entry: OutboxEntry | DamagedRow) -> None:
        delivery = read_entry(entry, Delivery.of)
        if isinstance(delivery, DamagedRow):
            tell_damaged(self.wiring, delivery)
        elif self.untaken is None and self.wiring.clock.monotonic() <= begun_before:
            self.counts[await self._deliver(delivery)] += 1

    async def _deliver(self, delivery: Delivery) -> str:
        entry = delivery.entry
        untaken = await self._attempt(delivery)
        match untaken:
            case "removed":
                # Nobody waits for it any more.
                await apply(self.wiring, FinishEntry(tenant_id=entry.tenant_id, entry_id=entry.id))
                return "given_up"
            case "off":
                return await self._give_up(entry, reason="off")
            case None:
                self.took = True
                await apply(self.wiring, FinishEntry(tenant_id=entry.tenant_id, entry_id=entry.id))
                return "delivered"
            case Untaken():
                return await self._put_off(entry, untaken)

    async def _put_off(self, entry: OutboxEntry, untaken: Untaken) -> str:
        self.untaken = untaken
        wait = wait_after(entry.attempts + 1, chance=self.wiring.entropy.fraction())
        if wait is None or untaken.gone:
            return await self._give_up(replace(entry, attempts=entry.attempts + 1), reason=untaken.reason)
        until = self.wiring.clock.now() + max(wait, untaken.retry_after or timedelta())
        await apply(self.wiring, DelayEntry(tenant_id=entry.tenant_id, entry_id=entry.id, next_attempt_at=until, error=untaken.reason))
        return "delayed"

    async def _attempt(self, delivery: Delivery) -> Absence | Untaken | None:
        if self.receiver.startswith(HANDLER):
            return await give(self.wiring, self.receiver.removeprefix(HANDLER), delivery.message)
        if self.webhook is None:
            self.webhook = await find_webhook(self.wiring, self.receiver, delivery.message.tenant_id)
        if isinstance(self.webhook, OpenWebhook):
            return await send(self.wiring, self.webhook, delivery.message)
        return self.webhook

    async def _give_up(self, entry: OutboxEntry, *, reason: str) -> str:
        kept = replace(entry, kind=GIVEN_UP, next_attempt_at=self.wiring.clock.now(), last_error=reason)
        # Only who still sees the delivery gives it up, because a slow attempt may have been overtaken.
        with suppress(StaleWriteError):
            await apply(self.wiring, _finish(entry), AddEntry(entry=kept))
        return "given_up"


def _finish(entry: OutboxEntry) -> FinishEntry:
    return FinishEntry(tenant_id=entry.tenant_id, entry_id=entry.id, expected_facts=entry.facts)
