"""What a store promises about due times and claims."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest

from cloud_integrations.domain.identifiers import IntegrationId, ProviderId, TenantId
from cloud_integrations.domain.integration import DueIntegration, Integration, RenewalRule, SealedCredential, State
from cloud_integrations.domain.work_report import DueCount
from cloud_integrations.errors import StaleWriteError
from cloud_integrations.ports.store import AddIntegration, ReplaceCredential, SaveFacts, SetDue
from cloud_integrations.testing.clock import START, FixedClock
from cloud_integrations.testing.contracts.store.base import BlockingStore, Contract, refused
from cloud_integrations.testing.contracts.store.values import (
    ACME,
    GLOBEX,
    INSTANT,
    NEWCOMER,
    PROVIDER,
    SEALING_KEY,
    SECOND,
    a_credential,
    add_sealing_keys,
    an_integration,
    lease,
    renewed,
    settled,
)

HOLD = timedelta(minutes=5)


def due(facts: Integration, generation: int = 1) -> DueIntegration:
    """Return what a claim gives a worker for *facts*."""
    return DueIntegration(
        tenant_id=facts.tenant_id, integration_id=facts.id, provider_id=facts.provider_id, generation=generation, renewable=facts.renewable
    )


def everyone_due(blocking: Any, number: int) -> list[Integration]:
    """Store *number* integrations, each of a tenant of its own and due one second after the one before."""
    added = [an_integration(TenantId(f"tenant-{n}")) for n in range(number)]
    add_sealing_keys(blocking, *(facts.tenant_id for facts in added))
    blocking.apply(*[AddIntegration(facts=facts, credential=a_credential(), due_at=START + n * SECOND) for n, facts in enumerate(added)])
    return added


class DueContract(Contract):
    """Claiming what is due; whether other integrations of the same application were renewed."""

    def test_an_integration_that_is_due_is_claimed_and_held(self, blocking: BlockingStore, facts: Integration, clock: FixedClock) -> None:
        clock.advance(timedelta(minutes=48) - INSTANT)
        assert (blocking.count_due().count, blocking.claim_due(limit=10, hold=HOLD)) == (0, ())
        clock.advance(INSTANT)
        assert (blocking.count_due().count, blocking.claim_due(limit=10, hold=HOLD)) == (1, (due(facts),))
        found = blocking.find_integration(ACME, facts.id)
        assert (found.facts, found.credential, found.marks.due_at) == (facts, a_credential(), clock.now() + HOLD)
        clock.advance(HOLD - INSTANT)
        assert (blocking.count_due().count, blocking.claim_due(limit=10, hold=HOLD)) == (0, ())
        clock.advance(INSTANT)
        assert blocking.claim_due(limit=10, hold=HOLD) == (due(facts),)

    @pytest.mark.parametrize("rule", ["keep", "reconnect"])
    def test_what_is_not_renewed_is_due_when_it_was_said_to_be(self, blocking: BlockingStore, clock: FixedClock, rule: RenewalRule) -> None:
        facts = an_integration(renewal_rule=rule, expires_at=None)
        credential = SealedCredential(generation=1, key_id=SEALING_KEY, presented=b"fake")
        blocking.apply(AddIntegration(facts=facts, credential=credential, due_at=START))
        assert blocking.claim_due(limit=10, hold=HOLD) == (due(facts),)
        assert not due(facts).renewable
        at = START + timedelta(days=30)
        before = blocking.find_integration(ACME, facts.id)
        blocking.apply(SetDue(tenant_id=ACME, integration_id=facts.id, expected_generation=1, due_at=at))
        assert blocking.find_integration(ACME, facts.id) == replace(before, marks=replace(before.marks, due_at=at))
        clock.advance(timedelta(days=30))
        assert blocking.claim_due(limit=10, hold=HOLD) == (due(facts),)

    @pytest.mark.parametrize("state", [State.DISABLED, State.NEEDS_REAUTH])
    def test_nothing_is_due_in_a_state_in_which_nothing_is(self, blocking: BlockingStore, facts: Integration, state: State) -> None:
        blocking.apply(SaveFacts(facts=replace(facts, state=state), expected_state=State.ACTIVE))
        with pytest.raises(StaleWriteError):
            blocking.apply(SetDue(tenant_id=ACME, integration_id=facts.id, expected_generation=1, due_at=START))
        assert blocking.find_integration(ACME, facts.id).marks.due_at is None

    def test_who_does_not_know_the_stored_credential_does_not_say_when_it_is_due(self, blocking: BlockingStore, facts: Integration) -> None:
        before = blocking.find_integration(ACME, facts.id)
        for tenant_id, integration_id, generation in ((ACME, facts.id, 2), (GLOBEX, facts.id, 1), (ACME, IntegrationId(uuid4()), 1)):
            with pytest.raises(StaleWriteError):
                blocking.apply(SetDue(tenant_id=tenant_id, integration_id=integration_id, expected_generation=generation, due_at=START))
        assert blocking.find_integration(ACME, facts.id) == before

    def test_the_oldest_are_claimed_first(self, blocking: BlockingStore, clock: FixedClock) -> None:
        added = everyone_due(blocking, 7)
        clock.advance(timedelta(hours=1))
        assert blocking.count_due() == DueCount(count=7, since=START)
        for expected in (added[:3], added[3:6], added[6:], []):
            claimed = blocking.claim_due(limit=3, hold=HOLD)
            assert len(claimed) == len(expected)
            assert {*claimed} == {due(facts) for facts in expected}
        assert blocking.count_due() == DueCount(count=0), "those that are held are not counted"

    @pytest.mark.parametrize("backlog", [3, 30])
    def test_what_was_due_before_the_last_claim_is_not_forgotten(self, blocking: BlockingStore, clock: FixedClock, backlog: int) -> None:
        everyone_due(blocking, backlog)
        clock.advance(timedelta(hours=1))
        assert len(blocking.claim_due(limit=2, hold=HOLD)) == 2
        # As if a clock was set back, or a claim ended without a commit.
        late = an_integration(NEWCOMER)
        add_sealing_keys(blocking, NEWCOMER)
        blocking.apply(AddIntegration(facts=late, credential=a_credential(), due_at=START - SECOND))
        claimed = [one for _ in range(20) for one in blocking.claim_due(limit=1, hold=HOLD)]
        assert len(claimed) == len({*claimed}) == min(backlog - 1, 20)
        assert due(late) in claimed

    @pytest.mark.parametrize("state", list(State))
    def test_only_what_is_refreshed_is_due(self, blocking: BlockingStore, facts: Integration, clock: FixedClock, state: State) -> None:
        later = START + timedelta(minutes=50)
        added = an_integration(GLOBEX, state=state)
        reconnected = an_integration(NEWCOMER)
        add_sealing_keys(blocking, NEWCOMER)
        blocking.apply(
            SaveFacts(facts=replace(facts, state=state), expected_state=State.ACTIVE),
            AddIntegration(facts=added, credential=a_credential(), due_at=later),
            AddIntegration(facts=reconnected, credential=a_credential()),
            ReplaceCredential(facts=replace(reconnected, state=state), credential=a_credential(2), expected_generation=1, due_at=later),
        )
        clock.advance(timedelta(minutes=50))
        expected = {due(facts), due(added), due(reconnected, 2)} if state.is_refreshed else set()
        assert blocking.count_due() == DueCount(count=len(expected), since=START + timedelta(minutes=48) if expected else None)
        assert {*blocking.claim_due(limit=10, hold=HOLD)} == expected

    def test_a_settled_attempt_says_when_it_is_due_again(self, blocking: BlockingStore, facts: Integration, clock: FixedClock) -> None:
        until = START + timedelta(minutes=2)
        blocking.apply(lease(facts))
        blocking.apply(settled(facts, due_at=until))
        assert blocking.find_integration(ACME, facts.id).marks.due_at == until
        blocking.apply(lease(facts))
        blocking.apply(settled(facts, lease_token=2, state=State.NEEDS_REAUTH, due_at=until))
        assert blocking.find_integration(ACME, facts.id).marks.due_at is None
        clock.advance(timedelta(days=1))
        assert blocking.claim_due(limit=10, hold=HOLD) == ()

    def test_what_is_switched_on_again_is_due_when_its_token_ends(self, blocking: BlockingStore, facts: Integration) -> None:
        off = replace(facts, state=State.DISABLED)
        blocking.apply(SaveFacts(facts=off, expected_state=State.ACTIVE))
        blocking.apply(SaveFacts(facts=replace(off, name="Other name"), expected_state=State.DISABLED))
        assert blocking.find_integration(ACME, facts.id).marks.due_at is None
        blocking.apply(SaveFacts(facts=facts, expected_state=State.DISABLED))
        assert blocking.find_integration(ACME, facts.id).marks.due_at == facts.expires_at

    def test_a_change_of_name_does_not_move_the_due_time(self, blocking: BlockingStore, facts: Integration) -> None:
        blocking.apply(SaveFacts(facts=replace(facts, name="Other name"), expected_state=State.ACTIVE))
        assert blocking.find_integration(ACME, facts.id).marks.due_at == START + timedelta(minutes=48)

    def test_what_cannot_be_refreshed_is_not_due_when_switched_on(self, blocking: BlockingStore) -> None:
        facts = an_integration(state=State.DISABLED, renewal_rule="reconnect")
        blocking.apply(AddIntegration(facts=facts, credential=SealedCredential(generation=1, key_id=SEALING_KEY, presented=b"fake")))
        blocking.apply(SaveFacts(facts=replace(facts, state=State.ACTIVE), expected_state=State.DISABLED))
        assert blocking.find_integration(ACME, facts.id).marks.due_at is None

    def test_a_claim_does_not_disturb_a_refresh(self, blocking: BlockingStore, facts: Integration, clock: FixedClock) -> None:
        clock.advance(timedelta(minutes=48))
        blocking.apply(lease(facts))
        assert blocking.claim_due(limit=1, hold=HOLD) == (due(facts),)
        blocking.apply(renewed(facts))
        assert blocking.find_integration(ACME, facts.id).marks.due_at == START + timedelta(minutes=100)

    def test_parallel_workers_share_no_integration(self, blocking: BlockingStore, clock: FixedClock) -> None:
        added = everyone_due(blocking, 60)
        clock.advance(timedelta(hours=1))

        def claim(store: Any) -> Any:
            return store.claim_due(limit=10, hold=HOLD)

        answers = blocking.together([claim] * 8)
        assert refused(answers) == []
        claimed = [one for batch in answers for one in batch]
        assert len(claimed) == len({*claimed})
        # A worker that claimed while rows were locked got fewer; the rest is left for the next round.
        claimed += blocking.claim_due(limit=60, hold=HOLD)
        assert len(claimed) == len(added)
        assert {*claimed} == {due(facts) for facts in added}

    def test_the_others_of_an_application_were_renewed_or_tried_or_neither(self, blocking: BlockingStore, facts: Integration) -> None:
        since = START + timedelta(minutes=1)

        def others(of: IntegrationId = facts.id, **changes: Any) -> bool | None:
            asked = {"provider_id": PROVIDER, "context_id": facts.context_id, "since": since, **changes}
            answer: bool | None = blocking.others_renewed(asked["provider_id"], asked["context_id"], since=asked["since"], but=of)
            return answer

        assert others() is None
        other = an_integration(GLOBEX)
        blocking.apply(AddIntegration(facts=other, credential=a_credential()))
        assert others() is None
        assert others(since=START) is True
        blocking.apply(lease(other))
        blocking.apply(settled(other, failed_at=since))
        assert others() is False
        assert others(other.id) is None
        blocking.apply(lease(other, attempt_id="attempt-2"))
        blocking.apply(renewed(other, lease_token=2, attempt_id="attempt-2", refreshed_at=since))
        assert others() is True
        assert others(since=since + INSTANT) is None
        assert others(context_id=uuid4()) is None
        assert others(context_id=None) is None
        assert others(provider_id=ProviderId(uuid4())) is None

    def test_an_application_without_an_id_is_its_providers(self, blocking: BlockingStore, facts: Integration) -> None:
        other = an_integration(GLOBEX, context_id=None)
        blocking.apply(AddIntegration(facts=other, credential=a_credential()))
        assert blocking.others_renewed(PROVIDER, None, since=START, but=facts.id) is True
        assert blocking.others_renewed(PROVIDER, facts.context_id, since=START, but=facts.id) is None

    def test_what_waits_for_a_reconnect_and_could_be_renewed_is_listed_tenant_by_tenant(self, blocking: BlockingStore) -> None:
        tenants = [TenantId(f"tenant-{number}") for number in range(6)]
        add_sealing_keys(blocking, *tenants)
        rows = [an_integration(tenant_id) for tenant_id in tenants]
        without = replace(a_credential(), renewal=None, renewal_fingerprint=None)
        for row, state, reason in zip(
            rows,
            [State.NEEDS_REAUTH, State.NEEDS_REAUTH, State.NEEDS_REAUTH, State.DISABLED, State.RETRY, State.NEEDS_REAUTH],
            ["revoked", "refused_for_days", "revoked", None, None, "expired"],
            strict=True,
        ):
            rule: RenewalRule = "reconnect" if reason == "expired" else "refresh"
            blocking.apply(
                AddIntegration(
                    facts=replace(row, state=state, reason=reason, renewal_rule=rule),
                    credential=without if reason == "expired" else a_credential(),
                )
            )
        wanted = [due(row) for row in rows[:3]]
        listed = blocking.list_unrenewed(PROVIDER, limit=10)
        assert sorted(listed, key=lambda each: each.tenant_id) == wanted
        assert [each.tenant_id for each in blocking.list_unrenewed(PROVIDER, reason="revoked", limit=10)] == ["tenant-0", "tenant-2"]
        pages = []
        after = None
        while page := blocking.list_unrenewed(PROVIDER, after=after, limit=1):
            pages += page
            after = (page[0].tenant_id, page[0].integration_id)
        assert tuple(pages) == listed
        assert blocking.list_unrenewed(ProviderId(uuid4()), limit=10) == ()
