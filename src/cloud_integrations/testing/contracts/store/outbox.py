"""What a store promises about the outbox."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from cloud_integrations.domain.identifiers import IntegrationId, TenantId
from cloud_integrations.domain.integration import Integration
from cloud_integrations.domain.work_report import OutboxCount
from cloud_integrations.errors import IntegrationNotFoundError, KeyRetiredError, StaleWriteError
from cloud_integrations.ports.store import AddEntry, DelayEntry, EraseIntegration, FinishEntry
from cloud_integrations.testing.clock import START, FixedClock
from cloud_integrations.testing.contracts.store.base import BlockingStore, Contract, refused
from cloud_integrations.testing.contracts.store.values import (
    ACME,
    GLOBEX,
    INSTANT,
    OTHER_PROVIDER,
    PROVIDER,
    SECOND,
    add_sealing_keys,
    an_entry,
)


class OutboxContract(Contract):
    """Claiming, delaying and finishing entries of a kind."""

    def test_what_waits_for_a_tenant_is_listed_due_or_not_the_oldest_first(self, blocking: BlockingStore) -> None:
        later = an_entry(created_at=START + SECOND, next_attempt_at=START + timedelta(days=1))
        entries = [later, an_entry(), an_entry(GLOBEX), an_entry(index_key=str(OTHER_PROVIDER), created_at=START + INSTANT)]
        blocking.apply(*[AddEntry(entry=entry) for entry in entries])
        assert blocking.list_entries(ACME, "revocation", index_key=str(PROVIDER), limit=10) == (entries[1], later)
        assert blocking.list_entries(ACME, "revocation", limit=10) == (entries[1], entries[3], later)
        assert blocking.list_entries(ACME, "revocation", index_key=str(PROVIDER), limit=1) == (entries[1],)
        everyones = blocking.list_entries(None, "revocation", limit=10)
        assert set(map(repr, everyones)) == set(map(repr, entries))
        assert everyones[-1] == later
        assert blocking.list_entries(None, "revocation", index_key=str(OTHER_PROVIDER), limit=10) == (entries[3],)

    def test_what_is_due_is_claimed_and_held(self, blocking: BlockingStore, clock: FixedClock) -> None:
        entry = an_entry()
        later = an_entry(next_attempt_at=START + timedelta(minutes=5))
        blocking.apply(AddEntry(entry=entry), AddEntry(entry=later))
        assert blocking.count_entries("revocation") == 2
        hold = timedelta(minutes=1)
        assert blocking.claim_entries("revocation", limit=10, hold=hold) == (replace(entry, next_attempt_at=START + hold),)
        assert blocking.claim_entries("revocation", limit=10, hold=hold) == ()
        clock.advance(hold)
        assert [claimed.id for claimed in blocking.claim_entries("revocation", limit=10, hold=hold)] == [entry.id]

    def test_what_is_claimed_comes_as_it_is_then_stored_and_a_claim_is_no_attempt(self, blocking: BlockingStore, clock: FixedClock) -> None:
        entry = an_entry(next_attempt_at=START + SECOND)
        blocking.apply(AddEntry(entry=entry))
        clock.advance(SECOND - INSTANT)
        assert blocking.claim_entries("revocation", limit=1, hold=SECOND) == ()
        clock.advance(INSTANT)
        for _ in range(2):
            claimed = blocking.claim_entries("revocation", limit=1, hold=SECOND)
            assert claimed == (replace(entry, next_attempt_at=clock.now() + SECOND),)
            assert claimed == blocking.list_entries(ACME, "revocation", limit=1)
            clock.advance(SECOND)

    def test_a_time_long_past_is_held_from_now_on(self, blocking: BlockingStore, clock: FixedClock) -> None:
        blocking.apply(AddEntry(entry=an_entry()))
        clock.advance(timedelta(days=1))
        assert len(blocking.claim_entries("revocation", limit=1, hold=SECOND)) == 1
        assert blocking.claim_entries("revocation", limit=1, hold=SECOND) == ()

    def test_the_oldest_come_first(self, blocking: BlockingStore, clock: FixedClock) -> None:
        entries = [an_entry(TenantId(f"tenant-{number}"), next_attempt_at=START + number * SECOND) for number in range(4)]
        add_sealing_keys(blocking, *(entry.tenant_id for entry in entries))
        blocking.apply(*[AddEntry(entry=entry) for entry in reversed(entries)])
        clock.advance(timedelta(minutes=1))
        assert [claimed.id for claimed in blocking.claim_entries("revocation", limit=3, hold=SECOND)] == [entry.id for entry in entries[:3]]

    def test_parallel_claimers_share_nothing(self, blocking: BlockingStore) -> None:
        entries = [an_entry() for _ in range(40)]
        blocking.apply(*[AddEntry(entry=entry) for entry in entries])

        def claim(store: Any) -> Any:
            return store.claim_entries("revocation", limit=10, hold=timedelta(minutes=1))

        answers = blocking.together([claim] * 8)
        assert refused(answers) == []
        claimed = [entry.id for batch in answers for entry in batch]
        assert len(claimed) == len(set(claimed))
        claimed += [entry.id for entry in blocking.claim_entries("revocation", limit=40, hold=timedelta(minutes=1))]
        assert sorted(claimed) == sorted(entry.id for entry in entries)

    def test_a_failed_attempt_is_counted_and_delayed(self, blocking: BlockingStore, clock: FixedClock) -> None:
        entry = an_entry()
        blocking.apply(AddEntry(entry=entry))
        until = START + timedelta(minutes=1)
        blocking.apply(DelayEntry(tenant_id=ACME, entry_id=entry.id, next_attempt_at=until, error="unreachable"))
        assert blocking.claim_entries("revocation", limit=1, hold=SECOND) == ()
        clock.advance(timedelta(minutes=1))
        (claimed,) = blocking.claim_entries("revocation", limit=1, hold=SECOND)
        assert (claimed.attempts, claimed.last_error) == (1, "unreachable")

    def test_what_is_finished_or_gone_is_no_error(self, blocking: BlockingStore) -> None:
        entry = an_entry()
        blocking.apply(AddEntry(entry=entry))
        with pytest.raises(StaleWriteError):
            blocking.apply(AddEntry(entry=entry))
        for _ in range(2):
            blocking.apply(FinishEntry(tenant_id=ACME, entry_id=entry.id))
        blocking.apply(DelayEntry(tenant_id=ACME, entry_id=entry.id, next_attempt_at=START, error="unreachable"))
        assert blocking.count_entries("revocation") == 0

    def test_an_entry_is_finished_by_the_one_who_still_sees_its_facts(self, blocking: BlockingStore) -> None:
        entry = an_entry(facts={"state": "staged", "ä": "1"})
        blocking.apply(AddEntry(entry=entry))
        finish = FinishEntry(tenant_id=ACME, entry_id=entry.id, expected_facts=entry.facts)
        for wrong in (
            replace(finish, expected_facts={"state": "staged"}),
            replace(finish, expected_facts={}),
            replace(finish, entry_id=uuid4()),
        ):
            with pytest.raises(StaleWriteError):
                blocking.apply(wrong)
        changed = replace(entry, facts={"state": "switched"})
        blocking.apply(finish, AddEntry(entry=changed))
        with pytest.raises(StaleWriteError):
            blocking.apply(finish)
        assert blocking.list_entries(ACME, "revocation", limit=10) == (changed,)

    def test_of_all_who_finish_an_entry_at_once_one_succeeds(self, blocking: BlockingStore) -> None:
        entry = an_entry()
        blocking.apply(AddEntry(entry=entry))
        finish = FinishEntry(tenant_id=ACME, entry_id=entry.id, expected_facts=entry.facts)

        def apply(store: Any) -> Any:
            return store.apply(finish)

        answers = blocking.together([apply] * 8)
        assert [type(error) for error in refused(answers)] == [StaleWriteError] * 7

    def test_an_entry_can_ask_for_the_generation_of_its_integration(self, blocking: BlockingStore, facts: Integration) -> None:
        entry = an_entry(id=facts.id, integration_id=facts.id)
        with pytest.raises(StaleWriteError):
            blocking.apply(AddEntry(entry=entry, expected_generation=2))
        with pytest.raises(IntegrationNotFoundError):
            blocking.apply(AddEntry(entry=an_entry(), expected_generation=1))
        with pytest.raises(IntegrationNotFoundError):
            blocking.apply(AddEntry(entry=an_entry(GLOBEX, integration_id=facts.id), expected_generation=1))
        blocking.apply(AddEntry(entry=entry, expected_generation=1))
        assert blocking.list_entries(ACME, "revocation", limit=10) == (entry,)

    def test_an_integration_stays_while_it_has_an_entry_of_its_own(self, blocking: BlockingStore, facts: Integration) -> None:
        own, about_it = an_entry(id=facts.id, integration_id=facts.id), an_entry(integration_id=facts.id)
        blocking.apply(AddEntry(entry=own, expected_generation=1), AddEntry(entry=about_it))
        erase = EraseIntegration(tenant_id=ACME, integration_id=facts.id, expected_generation=1)
        with pytest.raises(StaleWriteError):
            blocking.apply(erase)
        blocking.apply(FinishEntry(tenant_id=ACME, entry_id=own.id, expected_facts=own.facts), erase)
        assert blocking.list_integrations(ACME) == ()
        assert blocking.list_entries(ACME, "revocation", limit=10) == (about_it,)

    def test_an_entry_of_its_own_is_never_left_behind_by_an_integration(self, blocking: BlockingStore, facts: Integration) -> None:
        own = an_entry(id=facts.id, integration_id=facts.id)

        def add(store: Any) -> Any:
            return store.apply(AddEntry(entry=own, expected_generation=1))

        def erase(store: Any) -> Any:
            return store.apply(EraseIntegration(tenant_id=ACME, integration_id=facts.id, expected_generation=1))

        answers = blocking.together([add, erase, add, erase])
        assert {type(error) for error in refused(answers)} <= {StaleWriteError, IntegrationNotFoundError}
        assert len(blocking.list_integrations(ACME)) == len(blocking.list_entries(ACME, "revocation", limit=10))

    def test_an_entry_comes_back_as_it_was_put(self, blocking: BlockingStore) -> None:
        entry = an_entry(kind="note", index_key=None, facts={}, sealed_payload=None, key_id=None, attempts=3, last_error="unreachable")
        other = an_entry(kind="note", facts={"a": "1", "b": "\u00e4"}, created_at=START + SECOND)
        blocking.apply(AddEntry(entry=entry), AddEntry(entry=other))
        assert blocking.list_entries(ACME, "note", limit=10) == (entry, other)

    def test_a_payload_in_the_open_needs_no_key(self, blocking: BlockingStore) -> None:
        tenant = TenantId("without-key")
        blocking.apply(AddEntry(entry=an_entry(tenant, kind="note", sealed_payload=None, key_id=None)))
        with pytest.raises(KeyRetiredError):
            blocking.apply(AddEntry(entry=an_entry(tenant, kind="note")))
        assert blocking.count_entries("note") == 1

    def test_entries_of_another_kind_are_left_alone(self, blocking: BlockingStore, clock: FixedClock) -> None:
        known, unknown = an_entry(), an_entry(kind="note")
        blocking.apply(AddEntry(entry=unknown), AddEntry(entry=known))
        clock.advance(timedelta(days=1))
        assert [entry.id for entry in blocking.claim_entries("revocation", limit=10, hold=SECOND)] == [known.id]
        assert (blocking.count_entries("revocation"), blocking.count_entries("note"), blocking.count_entries("other")) == (1, 1, 0)
        assert blocking.list_entries(ACME, "note", limit=10) == (unknown,)
        assert [entry.id for entry in blocking.claim_entries("note", limit=10, hold=SECOND)] == [unknown.id]

    def test_what_waits_is_counted_by_kind_with_its_oldest_and_its_next(self, blocking: BlockingStore) -> None:
        assert blocking.count_outbox() == ()
        oldest = an_entry(GLOBEX, next_attempt_at=START + timedelta(days=2))
        later = an_entry(created_at=START + SECOND, next_attempt_at=START + 5 * SECOND)
        other = an_entry(kind="note", created_at=START + INSTANT, next_attempt_at=START + SECOND)
        blocking.apply(*[AddEntry(entry=entry) for entry in (later, other, oldest)])
        counted = OutboxCount(kind="revocation", count=2, since=START, due_since=START + 5 * SECOND)
        of_other = OutboxCount(kind="note", count=1, since=START + INSTANT, due_since=START + SECOND)
        assert blocking.count_outbox() == (of_other, counted)

    def test_in_order_an_entry_waits_until_those_before_it_are_finished(self, blocking: BlockingStore, clock: FixedClock) -> None:
        integration, other = IntegrationId(uuid4()), IntegrationId(uuid4())
        entries = [an_entry(integration_id=integration, created_at=START + number * SECOND) for number in range(3)]
        elsewhere = an_entry(integration_id=other, created_at=START + 9 * SECOND)
        stranger = an_entry(GLOBEX, integration_id=integration, created_at=START + 9 * SECOND)
        another_kind = an_entry(integration_id=integration, kind="note", created_at=START - SECOND)
        blocking.apply(*[AddEntry(entry=entry) for entry in (*reversed(entries), elsewhere, stranger, another_kind)])

        def claim() -> list[UUID]:
            claimed = blocking.claim_entries("revocation", limit=10, hold=SECOND, in_order=True)
            return [entry.id for entry in claimed if entry.integration_id == integration and entry.tenant_id == ACME]

        assert claim() == [entries[0].id]
        # Held, and then delayed for longer than those behind it.
        assert claim() == []
        until = START + timedelta(hours=1)
        blocking.apply(DelayEntry(tenant_id=ACME, entry_id=entries[0].id, next_attempt_at=until, error="unreachable"))
        clock.advance(timedelta(minutes=1))
        assert claim() == []
        clock.advance(timedelta(hours=1))
        assert claim() == [entries[0].id]
        for number in (1, 2):
            blocking.apply(FinishEntry(tenant_id=ACME, entry_id=entries[number - 1].id))
            assert claim() == [entries[number].id]

    def test_in_order_receivers_do_not_wait_for_each_other(self, blocking: BlockingStore) -> None:
        integration = IntegrationId(uuid4())
        entries = [
            an_entry(integration_id=integration, index_key=key, created_at=START + number * SECOND)
            for number, key in enumerate(("one", "one", "two", "two", None, None))
        ]
        blocking.apply(*[AddEntry(entry=entry) for entry in entries])
        claimed = blocking.claim_entries("revocation", limit=10, hold=SECOND, in_order=True)
        assert {entry.id for entry in claimed} == {entries[0].id, entries[2].id, entries[4].id}

    def test_an_entry_can_follow_those_of_its_integration(self, blocking: BlockingStore) -> None:
        integration, other = IntegrationId(uuid4()), IntegrationId(uuid4())
        first, second, third = [an_entry(integration_id=integration, kind=kind) for kind in ("event", "event", "delivery")]
        early = an_entry(integration_id=integration, created_at=START - SECOND)
        elsewhere, stranger = an_entry(integration_id=other, kind="event"), an_entry(GLOBEX, integration_id=integration, kind="event")
        late = an_entry(integration_id=integration, kind="event", created_at=START + SECOND)
        alone = an_entry(integration_id=None, kind="event")
        blocking.apply(*[AddEntry(entry=entry, follows=True) for entry in (first, second, third, elsewhere, stranger, late, alone)])
        blocking.apply(AddEntry(entry=early))
        kept = {kind: blocking.list_entries(ACME, kind, limit=10) for kind in ("event", "delivery", "revocation")}
        assert {entry.id: entry.created_at for entries in kept.values() for entry in entries} == {
            first.id: START,
            second.id: START + INSTANT,
            third.id: START + 2 * INSTANT,
            elsewhere.id: START,
            late.id: START + SECOND,
            alone.id: START,
            early.id: START - SECOND,
        }
        assert [entry.created_at for entry in blocking.list_entries(GLOBEX, "event", limit=10)] == [START]

    def test_in_order_entries_about_no_integration_wait_for_none(self, blocking: BlockingStore) -> None:
        entries = [an_entry(integration_id=None) for _ in range(3)]
        blocking.apply(*[AddEntry(entry=entry) for entry in entries])
        claimed = blocking.claim_entries("revocation", limit=10, hold=SECOND, in_order=True)
        assert {entry.id for entry in claimed} == {entry.id for entry in entries}
        with pytest.raises(IntegrationNotFoundError):
            blocking.apply(AddEntry(entry=an_entry(integration_id=None), expected_generation=1))

    @pytest.mark.parametrize("in_order", [False, True])
    def test_entries_with_one_key_are_claimed_alone(self, blocking: BlockingStore, *, in_order: bool) -> None:
        entries = [an_entry(index_key=key) for key in ("one", "two", None)]
        blocking.apply(*[AddEntry(entry=entry) for entry in entries])
        claimed = blocking.claim_entries("revocation", limit=10, hold=SECOND, in_order=in_order, index_key="two")
        assert [entry.id for entry in claimed] == [entries[1].id]

    def test_the_keys_of_what_is_due_are_listed_the_first_due_first(self, blocking: BlockingStore, clock: FixedClock) -> None:
        times = {"late": 3 * SECOND, "first": SECOND, "second": 2 * SECOND}
        entries = [an_entry(index_key=key, next_attempt_at=START + after) for key, after in times.items()]
        entries += [an_entry(GLOBEX, index_key="first"), an_entry(index_key=None), an_entry(kind="note", index_key="other")]
        blocking.apply(*[AddEntry(entry=entry) for entry in entries])
        assert blocking.list_due_keys("revocation", limit=10) == ("first",)
        clock.advance(2 * SECOND)
        assert blocking.list_due_keys("revocation", limit=10) == ("first", "second")
        clock.advance(SECOND)
        assert blocking.list_due_keys("revocation", limit=2) == ("first", "second")
        assert blocking.list_due_keys("revocation", limit=3) == ("first", "second", "late")

    def test_entries_of_one_moment_come_one_by_one(self, blocking: BlockingStore) -> None:
        integration = IntegrationId(uuid4())
        entries = [an_entry(integration_id=integration) for _ in range(3)]
        blocking.apply(*[AddEntry(entry=entry) for entry in entries])
        seen = []
        for _ in entries:
            (claimed,) = blocking.claim_entries("revocation", limit=10, hold=SECOND, in_order=True)
            seen.append(claimed.id)
            blocking.apply(FinishEntry(tenant_id=ACME, entry_id=claimed.id))
        assert sorted(seen) == sorted(entry.id for entry in entries)

    def test_without_order_one_that_fails_holds_up_no_other(self, blocking: BlockingStore) -> None:
        integration = IntegrationId(uuid4())
        first, second = [an_entry(integration_id=integration, created_at=START + number * SECOND) for number in range(2)]
        blocking.apply(AddEntry(entry=first), AddEntry(entry=second))
        until = START + timedelta(days=1)
        blocking.apply(DelayEntry(tenant_id=ACME, entry_id=first.id, next_attempt_at=until, error="unreachable"))
        assert [entry.id for entry in blocking.claim_entries("revocation", limit=10, hold=SECOND)] == [second.id]

    def test_parallel_claimers_in_order_share_nothing_and_pass_nobody(self, blocking: BlockingStore) -> None:
        integrations = [IntegrationId(uuid4()) for _ in range(10)]
        entries = [
            an_entry(integration_id=integration, created_at=START + number * SECOND) for number in range(3) for integration in integrations
        ]
        blocking.apply(*[AddEntry(entry=entry) for entry in entries])

        def claim(store: Any) -> Any:
            return store.claim_entries("revocation", limit=4, hold=timedelta(minutes=1), in_order=True)

        answers = blocking.together([claim] * 8)
        assert refused(answers) == []
        claimed = [entry.id for batch in answers for entry in batch]
        # What was passed over because it was locked is left.
        claimed += [entry.id for _ in range(3) for entry in claim(blocking)]
        assert sorted(claimed) == sorted(entry.id for entry in entries[:10])
