"""What a store promises about the outbox."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from cloud_integrations.domain.identifiers import TenantId
from cloud_integrations.errors import StaleWriteError
from cloud_integrations.ports.store import AddRevocation, DelayRevocation, FinishRevocation
from cloud_integrations.testing.clock import START, FixedClock
from cloud_integrations.testing.contracts.store.base import BlockingStore, Contract, refused
from cloud_integrations.testing.contracts.store.values import (
    ACME,
    GLOBEX,
    INSTANT,
    OTHER_PROVIDER,
    PROVIDER,
    SECOND,
    a_revocation,
    add_sealing_keys,
)


class OutboxContract(Contract):
    """Claiming, delaying and finishing revocations."""

    def test_what_waits_for_a_tenant_and_provider_is_listed_due_or_not_the_oldest_first(self, blocking: BlockingStore) -> None:
        later = a_revocation(created_at=START + SECOND, next_attempt_at=START + timedelta(days=1), account_fingerprint=None)
        revocations = [later, a_revocation(), a_revocation(GLOBEX), a_revocation(provider_id=OTHER_PROVIDER, created_at=START + INSTANT)]
        blocking.apply(*[AddRevocation(revocation=revocation) for revocation in revocations])
        assert blocking.list_revocations(ACME, provider_id=PROVIDER, limit=10) == (revocations[1], later)
        assert blocking.list_revocations(ACME, limit=10) == (revocations[1], revocations[3], later)
        assert blocking.list_revocations(ACME, provider_id=PROVIDER, limit=1) == (revocations[1],)

    def test_what_is_due_is_claimed_and_held(self, blocking: BlockingStore, clock: FixedClock) -> None:
        revocation = a_revocation()
        later = a_revocation(next_attempt_at=START + timedelta(minutes=5))
        blocking.apply(AddRevocation(revocation=revocation), AddRevocation(revocation=later))
        assert blocking.count_revocations() == 2
        hold = timedelta(minutes=1)
        assert blocking.claim_revocations(limit=10, hold=hold) == (replace(revocation, next_attempt_at=START + hold),)
        assert blocking.claim_revocations(limit=10, hold=hold) == ()
        clock.advance(hold)
        assert [claimed.id for claimed in blocking.claim_revocations(limit=10, hold=hold)] == [revocation.id]

    def test_what_is_claimed_comes_as_it_is_then_stored_and_a_claim_is_no_attempt(self, blocking: BlockingStore, clock: FixedClock) -> None:
        revocation = a_revocation(next_attempt_at=START + SECOND)
        blocking.apply(AddRevocation(revocation=revocation))
        clock.advance(SECOND - INSTANT)
        assert blocking.claim_revocations(limit=1, hold=SECOND) == ()
        clock.advance(INSTANT)
        for _ in range(2):
            claimed = blocking.claim_revocations(limit=1, hold=SECOND)
            assert claimed == (replace(revocation, next_attempt_at=clock.now() + SECOND),)
            assert claimed == blocking.list_revocations(ACME, limit=1)
            clock.advance(SECOND)

    def test_a_time_long_past_is_held_from_now_on(self, blocking: BlockingStore, clock: FixedClock) -> None:
        blocking.apply(AddRevocation(revocation=a_revocation(context_id=None, variables={})))
        clock.advance(timedelta(days=1))
        assert len(blocking.claim_revocations(limit=1, hold=SECOND)) == 1
        assert blocking.claim_revocations(limit=1, hold=SECOND) == ()

    def test_the_oldest_come_first(self, blocking: BlockingStore, clock: FixedClock) -> None:
        revocations = [a_revocation(TenantId(f"tenant-{number}"), next_attempt_at=START + number * SECOND) for number in range(4)]
        add_sealing_keys(blocking, *(revocation.tenant_id for revocation in revocations))
        blocking.apply(*[AddRevocation(revocation=revocation) for revocation in reversed(revocations)])
        clock.advance(timedelta(minutes=1))
        assert [claimed.id for claimed in blocking.claim_revocations(limit=3, hold=SECOND)] == [
            revocation.id for revocation in revocations[:3]
        ]

    def test_parallel_claimers_share_nothing(self, blocking: BlockingStore) -> None:
        revocations = [a_revocation() for _ in range(40)]
        blocking.apply(*[AddRevocation(revocation=revocation) for revocation in revocations])

        def claim(store: Any) -> Any:
            return store.claim_revocations(limit=10, hold=timedelta(minutes=1))

        answers = blocking.together([claim] * 8)
        assert refused(answers) == []
        claimed = [revocation.id for batch in answers for revocation in batch]
        assert len(claimed) == len(set(claimed))
        claimed += [revocation.id for revocation in blocking.claim_revocations(limit=40, hold=timedelta(minutes=1))]
        assert sorted(claimed) == sorted(revocation.id for revocation in revocations)

    def test_a_failed_attempt_is_counted_and_delayed(self, blocking: BlockingStore, clock: FixedClock) -> None:
        revocation = a_revocation()
        blocking.apply(AddRevocation(revocation=revocation))
        until = START + timedelta(minutes=1)
        blocking.apply(DelayRevocation(tenant_id=ACME, revocation_id=revocation.id, next_attempt_at=until, error="unreachable"))
        assert blocking.claim_revocations(limit=1, hold=SECOND) == ()
        clock.advance(timedelta(minutes=1))
        (claimed,) = blocking.claim_revocations(limit=1, hold=SECOND)
        assert (claimed.attempts, claimed.last_error) == (1, "unreachable")

    def test_what_is_finished_or_gone_is_no_error(self, blocking: BlockingStore) -> None:
        revocation = a_revocation()
        blocking.apply(AddRevocation(revocation=revocation))
        with pytest.raises(StaleWriteError):
            blocking.apply(AddRevocation(revocation=revocation))
        for _ in range(2):
            blocking.apply(FinishRevocation(tenant_id=ACME, revocation_id=revocation.id))
        blocking.apply(DelayRevocation(tenant_id=ACME, revocation_id=revocation.id, next_attempt_at=START, error="unreachable"))
        assert blocking.count_revocations() == 0
