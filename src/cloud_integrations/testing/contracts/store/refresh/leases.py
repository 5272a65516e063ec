"""What a store promises about leases and the sent mark."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from uuid import uuid4

import pytest

from cloud_integrations.domain.identifiers import IntegrationId
from cloud_integrations.domain.integration import Integration, Phase, State
from cloud_integrations.errors import StaleWriteError
from cloud_integrations.ports.store import ReplaceCredential, SaveFacts
from cloud_integrations.testing.clock import START, FixedClock
from cloud_integrations.testing.contracts.store.base import BlockingStore, Contract, refused
from cloud_integrations.testing.contracts.store.values import (
    ACME,
    INSTANT,
    LEASE,
    PROVIDER,
    SECOND,
    a_credential,
    applying,
    lease,
    renewed,
    sent,
    settled,
)


class LeasesContract(Contract):
    """Taking a lease and marking a request as sent."""

    def test_an_operator_may_have_a_refused_grant_asked_again_but_not_a_closed_one(
        self, blocking: BlockingStore, facts: Integration
    ) -> None:
        refused_grant = replace(facts, state=State.NEEDS_REAUTH, reason="revoked")
        blocking.apply(SaveFacts(facts=refused_grant, expected_state=State.ACTIVE))
        with pytest.raises(StaleWriteError):
            blocking.apply(lease(facts))
        blocking.apply(lease(facts, asks_again=True))
        with pytest.raises(StaleWriteError):
            blocking.apply(sent(facts))
        blocking.apply(sent(facts, asks_again=True))
        stored = blocking.find_integration(ACME, facts.id)
        assert (stored.facts.state, stored.facts.reason, stored.marks.phase) == (State.NEEDS_REAUTH, "revoked", Phase.SENT)
        blocking.apply(renewed(facts))
        stored = blocking.find_integration(ACME, facts.id)
        assert (stored.facts.state, stored.facts.reason) == (State.ACTIVE, None)
        assert stored.marks.due_at == START + timedelta(minutes=100)

    def test_what_is_switched_off_is_not_asked_again_by_anybody(self, blocking: BlockingStore, facts: Integration) -> None:
        blocking.apply(lease(facts))
        blocking.apply(SaveFacts(facts=replace(facts, state=State.DISABLED), expected_state=State.ACTIVE))
        for change in (lease(facts, attempt_id="attempt-2", asks_again=True), sent(facts, asks_again=True)):
            with pytest.raises(StaleWriteError):
                blocking.apply(change)

    def test_failures_say_since_when_until_tokens_come(self, blocking: BlockingStore, facts: Integration) -> None:
        blocking.apply(lease(facts))
        blocking.apply(settled(facts, failed_at=START + SECOND, refused_since=START))
        marks = blocking.find_integration(ACME, facts.id).marks
        assert (marks.failed_at, marks.refused_since) == (START + SECOND, START)
        blocking.apply(lease(facts, attempt_id="attempt-2"))
        marks = blocking.find_integration(ACME, facts.id).marks
        assert (marks.failed_at, marks.refused_since) == (START + SECOND, START)
        blocking.apply(renewed(facts, lease_token=2, attempt_id="attempt-2"))
        marks = blocking.find_integration(ACME, facts.id).marks
        assert (marks.failed_at, marks.refused_since) == (None, None)

    def test_switching_off_and_on_begins_the_count_of_refusals_anew(self, blocking: BlockingStore, facts: Integration) -> None:
        blocking.apply(lease(facts))
        blocking.apply(settled(facts, failed_at=START, refused_since=START))
        for state, before in ((State.DISABLED, State.RETRY), (State.RETRY, State.DISABLED)):
            blocking.apply(SaveFacts(facts=replace(facts, state=state), expected_state=before))
        marks = blocking.find_integration(ACME, facts.id).marks
        assert (marks.failed_at, marks.refused_since) == (START, None)

    def test_a_reconnect_forgets_failures(self, blocking: BlockingStore, facts: Integration) -> None:
        blocking.apply(lease(facts))
        blocking.apply(settled(facts, failed_at=START, refused_since=START))
        blocking.apply(ReplaceCredential(facts=facts, credential=a_credential(2), expected_generation=1))
        marks = blocking.find_integration(ACME, facts.id).marks
        assert (marks.failed_at, marks.refused_since, marks.last_error) == (None, None, None)

    def test_the_narrow_read_says_whether_a_request_is_out_or_its_outcome_unknown(
        self, blocking: BlockingStore, facts: Integration
    ) -> None:
        seen = [blocking.find_credential(ACME, PROVIDER).in_doubt]
        for change in (
            lease(facts),
            sent(facts),
            settled(facts, state=State.UNKNOWN),
            lease(facts, attempt_id="attempt-2"),
            renewed(facts, lease_token=2, attempt_id="attempt-2"),
        ):
            blocking.apply(change)
            seen.append(blocking.find_credential(ACME, PROVIDER).in_doubt)
        assert seen == [False, False, True, True, True, False]

    def test_a_lease_says_who_has_it_and_until_when(self, blocking: BlockingStore, facts: Integration, clock: FixedClock) -> None:
        blocking.apply(lease(facts))
        marks = blocking.find_integration(ACME, facts.id).marks
        assert (marks.lease_token, marks.lease_owner, marks.attempt_id, marks.phase) == (1, "worker-1", "attempt-1", Phase.LEASED)
        assert marks.lease_until == clock.now() + LEASE
        assert marks.writer_lease == 0

    def test_one_of_sixteen_gets_the_lease(self, blocking: BlockingStore, facts: Integration) -> None:
        changes = [lease(facts, attempt_id=f"attempt-{number}") for number in range(16)]
        answers = blocking.together([applying(change) for change in changes])
        assert [type(error) for error in refused(answers)] == [StaleWriteError] * 15
        marks = blocking.find_integration(ACME, facts.id).marks
        assert (marks.lease_token, marks.attempt_id) == (1, f"attempt-{answers.index(None)}")

    def test_a_running_lease_is_not_taken(self, blocking: BlockingStore, facts: Integration, clock: FixedClock) -> None:
        blocking.apply(lease(facts))
        clock.advance(LEASE)
        with pytest.raises(StaleWriteError):
            blocking.apply(lease(facts))
        clock.advance(INSTANT)
        blocking.apply(lease(facts, attempt_id="attempt-2"))
        marks = blocking.find_integration(ACME, facts.id).marks
        assert (marks.lease_token, marks.attempt_id, marks.lease_until) == (2, "attempt-2", clock.now() + LEASE)

    def test_without_a_request_in_flight_there_is_no_delay(self, blocking: BlockingStore, facts: Integration, clock: FixedClock) -> None:
        blocking.apply(lease(facts))
        clock.advance(LEASE + INSTANT)
        blocking.apply(lease(facts, takeover_delay=timedelta(minutes=15)))

    @pytest.mark.parametrize("phase", [Phase.SENT, Phase.UNKNOWN])
    def test_a_request_in_flight_delays_the_takeover(
        self, blocking: BlockingStore, facts: Integration, clock: FixedClock, phase: Phase
    ) -> None:
        blocking.apply(lease(facts))
        blocking.apply(sent(facts))
        if phase is Phase.UNKNOWN:
            blocking.apply(settled(facts, phase=Phase.UNKNOWN, state=State.UNKNOWN))
        clock.advance(LEASE + 2 * SECOND)
        with pytest.raises(StaleWriteError):
            blocking.apply(lease(facts, takeover_delay=2 * SECOND))
        clock.advance(INSTANT)
        blocking.apply(lease(facts, takeover_delay=2 * SECOND))

    @pytest.mark.parametrize("state", list(State))
    def test_only_what_may_be_refreshed_is_leased(self, blocking: BlockingStore, facts: Integration, state: State) -> None:
        blocking.apply(SaveFacts(facts=replace(facts, state=state), expected_state=State.ACTIVE))
        if state in {State.ACTIVE, State.RETRY, State.UNKNOWN}:
            blocking.apply(lease(facts))
        else:
            with pytest.raises(StaleWriteError):
                blocking.apply(lease(facts))

    def test_another_generation_or_no_integration_is_not_leased(self, blocking: BlockingStore, facts: Integration) -> None:
        for change in (lease(facts, expected_generation=2), lease(facts, integration_id=IntegrationId(uuid4()))):
            with pytest.raises(StaleWriteError):
                blocking.apply(change)
        assert blocking.find_integration(ACME, facts.id).marks.lease_token == 0

    def test_the_sent_mark_needs_time_left(self, blocking: BlockingStore, facts: Integration, clock: FixedClock) -> None:
        blocking.apply(lease(facts))
        clock.advance(LEASE - 8 * SECOND)
        with pytest.raises(StaleWriteError):
            blocking.apply(sent(facts))
        blocking.apply(sent(facts, needed=8 * SECOND - INSTANT))
        marks = blocking.find_integration(ACME, facts.id).marks
        assert (marks.phase, marks.sent_at) == (Phase.SENT, clock.now())

    @pytest.mark.parametrize("state", [State.DISABLED, State.NEEDS_REAUTH])
    def test_what_was_switched_off_since_the_lease_is_not_asked_for(
        self, blocking: BlockingStore, facts: Integration, state: State
    ) -> None:
        blocking.apply(lease(facts))
        blocking.apply(SaveFacts(facts=replace(facts, state=state), expected_state=State.ACTIVE))
        before = blocking.find_integration(ACME, facts.id)
        with pytest.raises(StaleWriteError):
            blocking.apply(sent(facts))
        assert blocking.find_integration(ACME, facts.id) == before

    def test_the_sent_mark_needs_lease_and_generation(self, blocking: BlockingStore, facts: Integration) -> None:
        with pytest.raises(StaleWriteError):
            blocking.apply(sent(facts, lease_token=0))
        blocking.apply(lease(facts))
        for change in (
            sent(facts, lease_token=2),
            sent(facts, attempt_id="attempt-2"),
            sent(facts, generation=2),
            sent(facts, integration_id=IntegrationId(uuid4())),
        ):
            with pytest.raises(StaleWriteError):
                blocking.apply(change)
        assert blocking.find_integration(ACME, facts.id).marks.phase is Phase.LEASED

    def test_the_first_request_without_an_outcome_is_remembered(
        self, blocking: BlockingStore, facts: Integration, clock: FixedClock
    ) -> None:
        first = clock.now()
        blocking.apply(lease(facts))
        blocking.apply(sent(facts))
        blocking.apply(settled(facts, state=State.UNKNOWN))
        clock.advance(SECOND)
        # Neither a lease without a request, nor another request, nor disabling and enabling moves this time.
        blocking.apply(lease(facts, length=9 * SECOND))
        clock.advance(10 * SECOND)
        unknown = blocking.find_integration(ACME, facts.id).facts
        off = replace(unknown, state=State.DISABLED)
        blocking.apply(SaveFacts(facts=off, expected_state=State.UNKNOWN))
        blocking.apply(SaveFacts(facts=unknown, expected_state=State.DISABLED))
        blocking.apply(lease(facts, attempt_id="attempt-3"))
        blocking.apply(sent(facts, lease_token=3, attempt_id="attempt-3"))
        assert blocking.find_integration(ACME, facts.id).marks.sent_at == first
        blocking.apply(renewed(facts, lease_token=3, attempt_id="attempt-3"))
        assert blocking.find_integration(ACME, facts.id).marks.sent_at is None

    def test_a_request_whose_outcome_is_known_is_not_remembered(self, blocking: BlockingStore, facts: Integration) -> None:
        blocking.apply(lease(facts))
        blocking.apply(sent(facts))
        blocking.apply(settled(facts, state=State.RETRY))
        assert blocking.find_integration(ACME, facts.id).marks.sent_at is None

    def test_late_tokens_leave_another_request_in_flight(self, blocking: BlockingStore, facts: Integration, clock: FixedClock) -> None:
        blocking.apply(lease(facts))
        blocking.apply(sent(facts))
        clock.advance(LEASE + SECOND)
        blocking.apply(lease(facts, attempt_id="attempt-2"))
        blocking.apply(sent(facts, lease_token=2, attempt_id="attempt-2"))
        blocking.apply(renewed(facts))
        marks = blocking.find_integration(ACME, facts.id).marks
        assert (marks.phase, marks.sent_at) == (Phase.SENT, clock.now() - LEASE - SECOND)

    def test_late_tokens_before_anybody_has_sent_again_leave_nothing_in_doubt(
        self, blocking: BlockingStore, facts: Integration, clock: FixedClock
    ) -> None:
        blocking.apply(lease(facts))
        blocking.apply(sent(facts))
        clock.advance(LEASE + SECOND)
        blocking.apply(lease(facts, attempt_id="attempt-2"))
        blocking.apply(renewed(facts))
        marks = blocking.find_integration(ACME, facts.id).marks
        assert (marks.phase, marks.sent_at) == (Phase.LEASED, None)

    def test_a_number_that_was_given_twice_is_the_lease_of_the_attempt_in_the_row(
        self, blocking: BlockingStore, facts: Integration
    ) -> None:
        # The database was restored while `attempt-1` was under way, and issued its lease number again.
        blocking.apply(lease(facts, attempt_id="attempt-2"))
        before = blocking.find_integration(ACME, facts.id)
        for change in (sent(facts), settled(facts, state=State.NEEDS_REAUTH)):
            with pytest.raises(StaleWriteError):
                blocking.apply(change)
        assert blocking.find_integration(ACME, facts.id) == before
        blocking.apply(renewed(facts))
        marks = blocking.find_integration(ACME, facts.id).marks
        assert (marks.phase, marks.lease_owner, marks.writer_lease) == (Phase.LEASED, "worker-1", 1)
