"""What a store promises about how an attempt ends."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from uuid import uuid4

import pytest

from cloud_integrations.domain.identifiers import IntegrationId
from cloud_integrations.domain.integration import Integration, Phase, State
from cloud_integrations.domain.replacement import Replacement
from cloud_integrations.errors import IntegrationNotFoundError, StaleWriteError
from cloud_integrations.ports.store import EraseIntegration, ReplaceCredential, SaveFacts
from cloud_integrations.testing.clock import START, FixedClock
from cloud_integrations.testing.contracts.store.base import BlockingStore, Contract
from cloud_integrations.testing.contracts.store.values import ACME, LEASE, SECOND, a_credential, lease, renewed, sent, settled


class RenewalsContract(Contract):
    """Saving a renewed credential and settling an attempt without tokens."""

    def test_a_renewal_is_written_and_ends_its_lease(self, blocking: BlockingStore, facts: Integration) -> None:
        blocking.apply(lease(facts))
        blocking.apply(settled(facts))
        blocking.apply(lease(facts))
        blocking.apply(sent(facts, lease_token=2))
        change = renewed(facts, lease_token=2, facts=replace(renewed(facts).facts, name="not saved", requested_scopes=()))
        blocking.apply(change)
        found = blocking.find_integration(ACME, facts.id)
        assert found.facts == renewed(facts).facts
        assert found.credential == a_credential(2, b"renewed")
        marks = found.marks
        assert (marks.phase, marks.lease_token, marks.writer_lease, marks.lease_until) == (Phase.IDLE, 2, 2, None)
        assert (marks.attempts, marks.next_attempt_at, marks.last_error) == (0, None, None)
        assert (marks.refreshed_at, marks.due_at) == (change.refreshed_at, change.due_at)

    def test_a_renewal_may_say_when_to_ask_again(self, blocking: BlockingStore, facts: Integration) -> None:
        blocking.apply(lease(facts))
        blocking.apply(sent(facts))
        blocking.apply(renewed(facts, next_attempt_at=START + LEASE))
        assert blocking.find_integration(ACME, facts.id).marks.next_attempt_at == START + LEASE

    def test_a_credential_says_whether_it_took_the_place_of_a_refused_one(self, blocking: BlockingStore, facts: Integration) -> None:
        replacement = Replacement(since=START, at=START + SECOND)
        assert blocking.find_integration(ACME, facts.id).marks.replacement is None
        blocking.apply(lease(facts))
        blocking.apply(renewed(facts, replacement=replacement))
        assert blocking.find_integration(ACME, facts.id).marks.replacement == replacement
        # A failure, and what a person changes, leave it.
        blocking.apply(lease(facts, expected_generation=2, attempt_id="attempt-2"))
        blocking.apply(settled(facts, lease_token=2, attempt_id="attempt-2", generation=2))
        blocking.apply(SaveFacts(facts=replace(facts, name="Other name"), expected_state=State.RETRY))
        assert blocking.find_integration(ACME, facts.id).marks.replacement == replacement
        blocking.apply(lease(facts, expected_generation=2, attempt_id="attempt-3"))
        blocking.apply(renewed(facts, credential=a_credential(3), lease_token=3, attempt_id="attempt-3"))
        assert blocking.find_integration(ACME, facts.id).marks.replacement is None
        for generation, last in ((4, replacement), (5, None)):
            change = ReplaceCredential(facts=facts, credential=a_credential(generation), expected_generation=generation - 1)
            blocking.apply(replace(change, replacement=last))
            assert blocking.find_integration(ACME, facts.id).marks.replacement == last

    def test_good_tokens_are_kept_when_the_lease_was_lost(self, blocking: BlockingStore, facts: Integration, clock: FixedClock) -> None:
        blocking.apply(lease(facts))
        clock.advance(LEASE + SECOND)
        blocking.apply(lease(facts, owner="worker-2"))
        blocking.apply(renewed(facts))
        found = blocking.find_integration(ACME, facts.id)
        assert found.credential == a_credential(2, b"renewed")
        # The lease and the attempt of the other worker go on.
        assert found.marks.phase is Phase.LEASED
        assert (found.marks.writer_lease, found.marks.lease_token, found.marks.lease_owner) == (1, 2, "worker-2")
        assert found.marks.lease_until == clock.now() + LEASE

    def test_the_newest_lease_wins(self, blocking: BlockingStore, facts: Integration, clock: FixedClock) -> None:
        blocking.apply(lease(facts))
        clock.advance(LEASE + SECOND)
        blocking.apply(lease(facts))
        blocking.apply(renewed(facts, lease_token=2, credential=a_credential(2, b"newest")))
        for late in (
            renewed(facts),
            renewed(facts, credential=a_credential(3, b"late")),
            renewed(facts, lease_token=2, credential=a_credential(3)),
        ):
            with pytest.raises(StaleWriteError):
                blocking.apply(late)
        assert blocking.find_integration(ACME, facts.id).credential == a_credential(2, b"newest")

    def test_a_renewal_takes_back_what_a_later_attempt_gave_up(
        self, blocking: BlockingStore, facts: Integration, clock: FixedClock
    ) -> None:
        blocking.apply(lease(facts))
        clock.advance(LEASE + SECOND)
        blocking.apply(lease(facts))
        blocking.apply(settled(facts, lease_token=2, state=State.NEEDS_REAUTH, reason="revoked"))
        blocking.apply(renewed(facts))
        found = blocking.find_integration(ACME, facts.id)
        assert (found.facts.state, found.facts.reason) == (State.ACTIVE, None)

    def test_a_renewal_under_its_own_lease_is_written_though_the_row_is_refused(self, blocking: BlockingStore, facts: Integration) -> None:
        blocking.apply(SaveFacts(facts=replace(facts, state=State.NEEDS_REAUTH, reason="revoked"), expected_state=State.ACTIVE))
        blocking.apply(lease(facts, asks_again=True))
        # A lease number that a restored database issued twice belongs to another attempt.
        with pytest.raises(StaleWriteError):
            blocking.apply(renewed(facts, attempt_id="attempt-0", takes_back=False))
        blocking.apply(renewed(facts, takes_back=False))
        found = blocking.find_integration(ACME, facts.id)
        assert (found.facts.state, found.facts.reason, found.credential.generation) == (State.ACTIVE, None, 2)

    def test_a_renewal_that_a_replay_has_killed_takes_nothing_back(
        self, blocking: BlockingStore, facts: Integration, clock: FixedClock
    ) -> None:
        blocking.apply(lease(facts))
        clock.advance(LEASE + SECOND)
        blocking.apply(lease(facts, attempt_id="attempt-2"))
        blocking.apply(settled(facts, lease_token=2, attempt_id="attempt-2", state=State.NEEDS_REAUTH, reason="rotation_lost"))
        before = blocking.find_integration(ACME, facts.id)
        with pytest.raises(StaleWriteError):
            blocking.apply(renewed(facts, takes_back=False))
        assert blocking.find_integration(ACME, facts.id) == before

    def test_a_renewal_takes_back_what_somebody_else_gave_up_where_nobody_sent_after_it(
        self, blocking: BlockingStore, facts: Integration
    ) -> None:
        blocking.apply(lease(facts))
        blocking.apply(sent(facts))
        # A check found the old access token dead while the new one was on its way.
        blocking.apply(SaveFacts(facts=replace(facts, state=State.NEEDS_REAUTH, reason="refused"), expected_state=State.ACTIVE))
        blocking.apply(renewed(facts, takes_back=False))
        assert blocking.find_integration(ACME, facts.id).facts.state is State.ACTIVE

    def test_a_renewal_does_not_switch_on_what_the_user_switched_off(self, blocking: BlockingStore, facts: Integration) -> None:
        blocking.apply(lease(facts))
        off = replace(facts, state=State.DISABLED)
        blocking.apply(SaveFacts(facts=off, expected_state=State.ACTIVE))
        for change in (renewed(facts), settled(facts)):
            with pytest.raises(StaleWriteError):
                blocking.apply(change)
        assert blocking.find_integration(ACME, facts.id).facts == off

    def test_a_renewal_is_kept_for_what_was_switched_off_meanwhile(self, blocking: BlockingStore, facts: Integration) -> None:
        blocking.apply(lease(facts))
        off = replace(facts, state=State.DISABLED, state_since=START + SECOND, reason="revoked")
        blocking.apply(SaveFacts(facts=off, expected_state=State.ACTIVE))
        blocking.apply(renewed(replace(off, state_since=START, reason="switched_off")))
        stored = blocking.find_integration(ACME, facts.id)
        assert (stored.facts.state, stored.facts.state_since, stored.facts.reason) == (State.DISABLED, START + SECOND, "switched_off")
        assert stored.credential == a_credential(2, b"renewed")
        assert (stored.marks.writer_lease, stored.marks.lease_until, stored.marks.due_at) == (1, None, None)

    def test_a_renewal_says_whether_it_brought_what_can_be_used(self, blocking: BlockingStore, facts: Integration) -> None:
        blocking.apply(lease(facts))
        blocking.apply(renewed(replace(facts, state=State.RETRY, state_since=START + SECOND, reason="no_access_token")))
        found = blocking.find_integration(ACME, facts.id).facts
        assert (found.state, found.state_since, found.reason) == (State.RETRY, START + SECOND, "no_access_token")

    def test_a_renewal_for_what_was_switched_off_is_not_written_where_it_is_on_again(
        self, blocking: BlockingStore, facts: Integration
    ) -> None:
        blocking.apply(lease(facts))
        with pytest.raises(StaleWriteError):
            blocking.apply(renewed(replace(facts, state=State.DISABLED)))

    def test_a_renewal_of_what_is_gone_says_so(self, blocking: BlockingStore, facts: Integration) -> None:
        blocking.apply(lease(facts))
        blocking.apply(EraseIntegration(tenant_id=ACME, integration_id=facts.id, expected_generation=1))
        with pytest.raises(IntegrationNotFoundError):
            blocking.apply(renewed(facts))

    def test_a_reconnect_beats_a_refresh_that_is_under_way(self, blocking: BlockingStore, facts: Integration) -> None:
        blocking.apply(lease(facts))
        blocking.apply(sent(facts))
        blocking.apply(ReplaceCredential(facts=facts, credential=a_credential(2, b"reconnected"), expected_generation=1))
        before = blocking.find_integration(ACME, facts.id)
        assert (before.marks.lease_token, before.marks.writer_lease, before.marks.lease_until) == (2, 2, None)
        assert before.marks.phase is Phase.IDLE
        for late in (renewed(facts), renewed(facts, credential=a_credential(3)), settled(facts), settled(facts, generation=2)):
            with pytest.raises(StaleWriteError):
                blocking.apply(late)
        assert blocking.find_integration(ACME, facts.id) == before
        blocking.apply(lease(facts, expected_generation=2))

    def test_saving_facts_does_not_disturb_a_refresh(self, blocking: BlockingStore, facts: Integration) -> None:
        blocking.apply(lease(facts))
        blocking.apply(sent(facts))
        blocking.apply(SaveFacts(facts=replace(facts, name="Other name"), expected_state=State.ACTIVE))
        blocking.apply(renewed(facts))
        found = blocking.find_integration(ACME, facts.id)
        assert (found.facts.name, found.credential.generation) == ("Other name", 2)

    def test_an_attempt_without_tokens_is_settled(self, blocking: BlockingStore, facts: Integration) -> None:
        blocking.apply(lease(facts))
        blocking.apply(sent(facts))
        blocking.apply(settled(facts))
        found = blocking.find_integration(ACME, facts.id)
        assert (found.facts.state, found.facts.reason, found.facts.state_since) == (State.RETRY, "provider_unavailable", START + SECOND)
        marks = found.marks
        assert (marks.phase, marks.lease_until, marks.attempts, marks.last_error) == (Phase.IDLE, None, 1, "unusable_answer")
        assert marks.next_attempt_at == START + timedelta(minutes=1)
        assert found.credential == a_credential()
        blocking.apply(lease(facts))
        blocking.apply(settled(facts, lease_token=2, count_attempt=False))
        assert blocking.find_integration(ACME, facts.id).marks.attempts == 1

    def test_after_an_unknown_outcome_the_lease_runs_on(self, blocking: BlockingStore, facts: Integration, clock: FixedClock) -> None:
        blocking.apply(lease(facts))
        blocking.apply(settled(facts, phase=Phase.UNKNOWN, state=State.UNKNOWN))
        marks = blocking.find_integration(ACME, facts.id).marks
        assert (marks.phase, marks.lease_until) == (Phase.UNKNOWN, clock.now() + LEASE)
        with pytest.raises(StaleWriteError):
            blocking.apply(lease(facts))

    def test_a_fenced_loser_cannot_settle(self, blocking: BlockingStore, facts: Integration, clock: FixedClock) -> None:
        blocking.apply(lease(facts))
        clock.advance(LEASE + SECOND)
        blocking.apply(lease(facts))
        before = blocking.find_integration(ACME, facts.id)
        dead = settled(facts, state=State.NEEDS_REAUTH)
        for change in (dead, replace(dead, lease_token=2, generation=2), replace(dead, integration_id=IntegrationId(uuid4()))):
            with pytest.raises(StaleWriteError):
                blocking.apply(change)
        assert blocking.find_integration(ACME, facts.id) == before
