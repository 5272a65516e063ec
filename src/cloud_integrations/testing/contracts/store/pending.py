"""What a store promises about pending authorizations."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from cloud_integrations.domain.audit import Actor
from cloud_integrations.domain.device import Polling
from cloud_integrations.domain.pending import MAX_PENDING, MAX_PENDING_OF_TENANT
from cloud_integrations.errors import StaleWriteError
from cloud_integrations.ports.store import AddPending, BeginPoll, ClosePending, EndPoll
from cloud_integrations.testing.clock import START, FixedClock
from cloud_integrations.testing.contracts.store.base import BlockingStore, Contract, refused
from cloud_integrations.testing.contracts.store.values import ACME, GLOBEX, INSTANT, OTHER_PROVIDER, PROVIDER, a_pending

POLLING = Polling(interval=timedelta(seconds=5), next_at=START + timedelta(seconds=5))


class PendingContract(Contract):
    """Beginning, consuming and sweeping authorizations."""

    def test_what_began_is_found_as_it_was(self, blocking: BlockingStore) -> None:
        pending = a_pending()
        blocking.apply(AddPending(pending=pending))
        assert blocking.find_pending(pending.state_hash) == pending
        assert blocking.has_pending(ACME, PROVIDER)
        assert not blocking.has_pending(ACME, OTHER_PROVIDER)

    def test_what_was_left_empty_stays_empty(self, blocking: BlockingStore) -> None:
        pending = a_pending(
            awaits="setup",
            reconnects_generation=None,
            browser_hash=None,
            scopes=(),
            context_id=None,
            redirect_uri=None,
            sealed_parts=None,
            key_id=None,
            issuer=None,
            variables={},
            return_to=None,
        )
        blocking.apply(AddPending(pending=pending))
        assert blocking.find_pending(pending.state_hash) == pending

    @pytest.mark.requirement("OAU-015", "OAU-016")
    def test_it_is_taken_once(self, blocking: BlockingStore, clock: FixedClock) -> None:
        pending = a_pending()
        blocking.apply(AddPending(pending=pending))
        assert blocking.take_pending(pending.state_hash) == replace(pending, consumed_at=clock.now())
        assert blocking.take_pending(pending.state_hash) is None
        assert blocking.find_pending(pending.state_hash) is None
        assert not blocking.has_pending(ACME, PROVIDER)

    @pytest.mark.requirement("OAU-015")
    def test_one_of_fifty_takes_it(self, blocking: BlockingStore) -> None:
        pending = a_pending()
        blocking.apply(AddPending(pending=pending))

        def take(store: Any) -> Any:
            return store.take_pending(pending.state_hash)

        answers = blocking.together([take] * 50)
        assert refused(answers) == []
        assert len([answer for answer in answers if answer is not None]) == 1

    def test_an_expired_one_is_not_there(self, blocking: BlockingStore, clock: FixedClock) -> None:
        pending = a_pending()
        blocking.apply(AddPending(pending=pending))
        clock.advance(timedelta(minutes=10) - INSTANT)
        assert blocking.find_pending(pending.state_hash) == pending
        clock.advance(INSTANT)
        assert blocking.find_pending(pending.state_hash) is None
        assert blocking.take_pending(pending.state_hash) is None
        assert not blocking.has_pending(ACME, PROVIDER)

    def test_an_unknown_state_is_not_there(self, blocking: BlockingStore) -> None:
        assert blocking.find_pending(bytes(32)) is None
        assert blocking.take_pending(bytes(32)) is None

    def test_a_state_is_added_once(self, blocking: BlockingStore) -> None:
        pending = a_pending()
        blocking.apply(AddPending(pending=pending))
        for twin in (pending, replace(pending, tenant_id=GLOBEX)):
            with pytest.raises(StaleWriteError):
                blocking.apply(AddPending(pending=twin))

    @pytest.mark.requirement("OAU-013")
    def test_the_oldest_beyond_the_limit_go_first(self, blocking: BlockingStore) -> None:
        others = [a_pending(actor=Actor(id="bob")), a_pending(actor=Actor(type="service", id="alice")), a_pending(GLOBEX)]
        mine = [a_pending(created_at=START + number * INSTANT) for number in range(MAX_PENDING + 2)]
        for pending in (*others, *mine):
            blocking.apply(AddPending(pending=pending))
        remaining = [pending for pending in mine if blocking.find_pending(pending.state_hash) is not None]
        assert remaining == mine[2:]
        assert all(blocking.find_pending(pending.state_hash) for pending in others)

    @pytest.mark.requirement("OAU-013", "ISO-11")
    def test_a_tenant_has_a_limit_and_who_has_the_most_makes_room(self, blocking: BlockingStore) -> None:
        honest = [a_pending(actor=Actor(id="bob")), a_pending(GLOBEX)]
        crowd = [
            a_pending(actor=Actor(id=f"mallory-{number % 40}"), created_at=START + number * INSTANT)
            for number in range(1, MAX_PENDING_OF_TENANT + 4)
        ]
        blocking.apply(*[AddPending(pending=pending) for pending in (*honest, *crowd)])
        assert all(blocking.find_pending(pending.state_hash) for pending in honest)
        remaining = [pending for pending in crowd if blocking.find_pending(pending.state_hash) is not None]
        assert len(remaining) == MAX_PENDING_OF_TENANT - 1
        assert crowd[-1] in remaining

    @pytest.mark.requirement("OAU-013")
    def test_consumed_ones_make_room(self, blocking: BlockingStore) -> None:
        consumed, rival = a_pending(), a_pending(actor=Actor(id="bob"))
        blocking.apply(AddPending(pending=consumed), AddPending(pending=rival))
        assert blocking.take_pending(consumed.state_hash) is not None
        blocking.apply(AddPending(pending=a_pending()))
        # Its hash is free, so the row is gone.
        blocking.apply(AddPending(pending=consumed))
        assert blocking.find_pending(rival.state_hash) == rival

    @pytest.mark.requirement("OAU-013")
    def test_expired_ones_of_all_tenants_are_swept_and_open_ones_stay(self, blocking: BlockingStore, clock: FixedClock) -> None:
        late = clock.now() + timedelta(minutes=20)
        expired = [a_pending(), a_pending(GLOBEX), a_pending()]
        opened = a_pending(GLOBEX, expires_at=late, actor=Actor(id="bob"))
        blocking.apply(*[AddPending(pending=pending) for pending in (*expired, opened)])
        assert blocking.take_pending(expired[2].state_hash) is not None
        assert blocking.sweep_pending(limit=10) == 0
        clock.advance(timedelta(minutes=10))
        assert [blocking.sweep_pending(limit=2) for _ in range(3)] == [2, 1, 0]
        assert blocking.find_pending(opened.state_hash) == opened

    @pytest.mark.requirement("OAU-013")
    def test_sweeping_at_once_counts_each_row_once(self, blocking: BlockingStore, clock: FixedClock) -> None:
        blocking.apply(*[AddPending(pending=a_pending(actor=Actor(id=f"actor-{number}"))) for number in range(40)])
        clock.advance(timedelta(minutes=10))

        def sweep(store: Any) -> Any:
            return store.sweep_pending(limit=15)

        answers = blocking.together([sweep] * 6)
        assert refused(answers) == []
        assert sum(answers) + blocking.sweep_pending(limit=40) == 40

    def test_closed_ones_can_no_longer_be_completed(self, blocking: BlockingStore) -> None:
        closed = [a_pending(), a_pending(actor=Actor(id="bob"))]
        others = [a_pending(provider_id=OTHER_PROVIDER), a_pending(GLOBEX)]
        blocking.apply(*[AddPending(pending=pending) for pending in (*closed, *others)])
        blocking.apply(ClosePending(tenant_id=ACME, provider_id=PROVIDER))
        assert [blocking.take_pending(pending.state_hash) for pending in closed] == [None, None]
        assert all(blocking.find_pending(pending.state_hash) for pending in others)

    def test_an_authorization_is_for_its_slot_alone(self, blocking: BlockingStore) -> None:
        slots = ["", "first", "second"]
        opened = {slot: a_pending(slot=slot) for slot in slots}
        blocking.apply(*[AddPending(pending=pending) for slot, pending in opened.items() if slot])
        assert blocking.find_pending(opened["first"].state_hash) == opened["first"]
        assert [blocking.has_pending(ACME, PROVIDER, slot=slot) for slot in slots] == [False, True, True]
        assert not blocking.has_pending(ACME, PROVIDER)
        blocking.apply(AddPending(pending=opened[""]), ClosePending(tenant_id=ACME, provider_id=PROVIDER, slot="first"))
        assert [blocking.has_pending(ACME, PROVIDER, slot=slot) for slot in slots] == [True, False, True]
        blocking.apply(ClosePending(tenant_id=ACME, provider_id=PROVIDER))
        assert [blocking.has_pending(ACME, PROVIDER, slot=slot) for slot in slots] == [False, False, True]
        taken = blocking.take_pending(opened["second"].state_hash)
        assert taken.slot == "second"

    def test_expired_ones_make_room(self, blocking: BlockingStore, clock: FixedClock) -> None:
        blocking.apply(AddPending(pending=a_pending()))
        clock.advance(timedelta(minutes=10))
        fresh = a_pending(created_at=clock.now(), expires_at=clock.now() + timedelta(minutes=10))
        blocking.apply(AddPending(pending=fresh))
        assert blocking.find_pending(fresh.state_hash) == fresh

    def test_setups_and_other_authorizations_do_not_push_each_other_out(self, blocking: BlockingStore) -> None:
        setups = [a_pending(awaits="setup", slot=f"slot-{number}") for number in range(MAX_PENDING + 1)]
        others = [a_pending(awaits="device", polling=POLLING, created_at=START + number * INSTANT) for number in range(MAX_PENDING)]
        blocking.apply(*[AddPending(pending=pending) for pending in (*setups, *others)])
        for pending in (*setups, *others):
            assert blocking.find_pending(pending.state_hash) == pending

    def test_only_one_that_awaits_a_callback_counts_as_pending(self, blocking: BlockingStore) -> None:
        blocking.apply(AddPending(pending=a_pending(awaits="setup")), AddPending(pending=a_pending(awaits="device", polling=POLLING)))
        assert not blocking.has_pending(ACME, PROVIDER)
        blocking.apply(AddPending(pending=a_pending()))
        assert blocking.has_pending(ACME, PROVIDER)

    def test_a_tenant_has_a_limit_of_setups(self, blocking: BlockingStore) -> None:
        setups = [a_pending(awaits="setup", created_at=START + number * INSTANT) for number in range(MAX_PENDING_OF_TENANT + 1)]
        blocking.apply(*[AddPending(pending=pending) for pending in setups])
        remaining = [pending for pending in setups if blocking.find_pending(pending.state_hash) is not None]
        assert remaining == setups[1:]

    def test_a_closed_one_is_found_until_it_is_deleted(self, blocking: BlockingStore, clock: FixedClock) -> None:
        consumed, expired = a_pending(), a_pending()
        blocking.apply(AddPending(pending=consumed), AddPending(pending=expired))
        assert blocking.find_closed(expired.state_hash) is None
        taken = blocking.take_pending(consumed.state_hash)
        assert blocking.find_closed(consumed.state_hash) == taken
        clock.advance(timedelta(minutes=10))
        assert blocking.find_closed(expired.state_hash) == expired
        blocking.sweep_pending(limit=10)
        assert blocking.find_closed(expired.state_hash) is None
        assert blocking.find_closed(consumed.state_hash) is None

    @pytest.mark.requirement("OAU-062")
    def test_one_poller_asks_and_the_next_one_when_its_time_has_come(self, blocking: BlockingStore, clock: FixedClock) -> None:
        pending = a_pending(awaits="device", polling=POLLING)
        key, hold = pending.state_hash, timedelta(seconds=30)
        blocking.apply(AddPending(pending=pending))
        assert blocking.find_pending(key) == pending
        begin = BeginPoll(state_hash=key, count=0, hold=hold)
        with pytest.raises(StaleWriteError):
            blocking.apply(begin)
        clock.advance(timedelta(seconds=5))
        with pytest.raises(StaleWriteError):
            blocking.apply(replace(begin, count=1))
        blocking.apply(begin)
        assert blocking.find_pending(key) == replace(pending, polling=POLLING.begun(clock.now(), hold))
        with pytest.raises(StaleWriteError):
            blocking.apply(begin)
        longer, wait = timedelta(seconds=10), timedelta(seconds=12)
        end = EndPoll(state_hash=key, count=1, interval=longer, wait=wait)
        with pytest.raises(StaleWriteError):
            blocking.apply(replace(end, count=0))
        blocking.apply(end)
        polling = Polling(interval=longer, next_at=clock.now() + wait, count=1)
        assert blocking.find_pending(key) == replace(pending, polling=polling)
        clock.advance(wait)
        blocking.apply(replace(begin, count=1))

    @pytest.mark.requirement("OAU-062")
    def test_one_of_fifty_pollers_asks(self, blocking: BlockingStore, clock: FixedClock) -> None:
        pending = a_pending(awaits="device", polling=POLLING)
        blocking.apply(AddPending(pending=pending))
        clock.advance(timedelta(seconds=5))

        def begin(store: Any) -> Any:
            return store.apply(BeginPoll(state_hash=pending.state_hash, count=0, hold=timedelta(seconds=30)))

        assert len(refused(blocking.together([begin] * 50))) == 49

    @pytest.mark.parametrize("closed", ["taken", "expired", "deleted", "callback"])
    def test_what_is_closed_or_has_no_device_code_is_not_polled(self, blocking: BlockingStore, clock: FixedClock, closed: str) -> None:
        pending = a_pending() if closed == "callback" else a_pending(awaits="device", polling=POLLING)
        blocking.apply(AddPending(pending=pending))
        clock.advance(timedelta(minutes=10) if closed == "expired" else timedelta(seconds=5))
        if closed == "taken":
            blocking.take_pending(pending.state_hash)
        elif closed == "deleted":
            blocking.apply(ClosePending(tenant_id=ACME, provider_id=PROVIDER))
        for change in (
            BeginPoll(state_hash=pending.state_hash, count=0, hold=timedelta(seconds=30)),
            EndPoll(state_hash=pending.state_hash, count=0, interval=timedelta(seconds=5), wait=timedelta(seconds=5)),
        ):
            with pytest.raises(StaleWriteError):
                blocking.apply(change)

    def test_an_expired_one_makes_room_for_its_own_hash(self, blocking: BlockingStore, clock: FixedClock) -> None:
        setup = a_pending(awaits="setup")
        blocking.apply(AddPending(pending=setup))
        clock.advance(timedelta(minutes=10))
        again = replace(setup, expires_at=clock.now() + timedelta(minutes=10))
        blocking.apply(AddPending(pending=again))
        assert blocking.find_pending(setup.state_hash) == again
