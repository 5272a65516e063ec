"""What a store promises about integrations and their credentials."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest

from cloud_integrations.domain.auth_type import AuthType
from cloud_integrations.domain.identifiers import IntegrationId, ProviderId
from cloud_integrations.domain.integration import AccountFacts, Health, Integration, Phase, RenewalRule, SealedCredential, State
from cloud_integrations.domain.readiness import IntegrationCount
from cloud_integrations.errors import IntegrationExistsError, IntegrationNotFoundError, StaleWriteError, UnstorableValueError
from cloud_integrations.ports.store import (
    MAX_HOLDERS,
    RECONNECT_OWNER,
    AddIntegration,
    EraseIntegration,
    Record,
    ReplaceCredential,
    SaveFacts,
    SaveVariables,
)
from cloud_integrations.testing.clock import START, FixedClock
from cloud_integrations.testing.contracts.store.audit import verified
from cloud_integrations.testing.contracts.store.base import BlockingStore, Contract, refused
from cloud_integrations.testing.contracts.store.values import (
    ACME,
    GLOBEX,
    INSTANT,
    OTHER_PROVIDER,
    PROVIDER,
    SEALING_KEY,
    SECOND,
    a_credential,
    a_fingerprint,
    add_sealing_keys,
    an_event,
    an_integration,
    applying,
    lease,
    renewed,
)


class IntegrationsContract(Contract):
    """Adding, reading, changing, counting and erasing integrations."""

    def test_what_was_added_is_found_as_it_was(self, blocking: BlockingStore, facts: Integration, clock: FixedClock) -> None:
        found = blocking.find_integration(ACME, facts.id)
        assert (found.facts, found.credential) == (facts, a_credential())
        assert (found.marks.lease_token, found.marks.writer_lease, found.marks.attempts, found.marks.phase) == (0, 0, 0, Phase.IDLE)
        assert (found.marks.due_at, found.marks.refreshed_at) == (START + timedelta(minutes=48), facts.updated_at)
        assert found.read_at == clock.now()
        assert blocking.find_credential(ACME, PROVIDER) == found.to_use

    def test_integrations_of_all_tenants_are_counted_by_provider_and_health(self, blocking: BlockingStore, clock: FixedClock) -> None:
        assert blocking.count_integrations() == {}
        key = SealedCredential(generation=1, key_id=SEALING_KEY, presented=b"fake\x00key")
        ends: dict[str, Any] = {"renewal_rule": "reconnect", "expires_at": START + SECOND}
        stored = [
            (an_integration(), a_credential()),
            (an_integration(GLOBEX), a_credential()),
            (an_integration(slot="retried", state=State.RETRY, reason="server_error"), a_credential()),
            (an_integration(slot="refused", state=State.RETRY, reason="invalid_client"), a_credential()),
            (an_integration(slot="unchosen", variables={"region": "eu", "project": ""}), a_credential()),
            (an_integration(slot="chosen", variables={"a": ': ""', "b": ": "}), a_credential()),
            (an_integration(slot="off", state=State.DISABLED, reason="invalid_client"), a_credential()),
            (an_integration(provider_id=OTHER_PROVIDER, slot="again", state=State.NEEDS_REAUTH, reason="revoked"), a_credential()),
            (an_integration(provider_id=OTHER_PROVIDER, slot="ends", **ends), key),
            (an_integration(provider_id=OTHER_PROVIDER, slot="ends-off", state=State.DISABLED, **ends), key),
        ]
        blocking.apply(*[AddIntegration(facts=facts, credential=credential) for facts, credential in stored])
        clock.advance(SECOND - INSTANT)
        counts = {
            (PROVIDER, Health.OK): 3,
            (PROVIDER, Health.CHOOSE_RESOURCE): 1,
            (PROVIDER, Health.RETRYING): 1,
            (PROVIDER, Health.APPLICATION_REFUSED): 1,
            (PROVIDER, Health.DISABLED): 1,
            (OTHER_PROVIDER, Health.OK): 1,
            (OTHER_PROVIDER, Health.RECONNECT_REQUIRED): 1,
            (OTHER_PROVIDER, Health.DISABLED): 1,
        }
        assert blocking.count_integrations() == counts
        clock.advance(INSTANT)
        del counts[OTHER_PROVIDER, Health.OK]
        counts[OTHER_PROVIDER, Health.RECONNECT_REQUIRED] = 2
        assert blocking.count_integrations() == counts, "what has ended and cannot be renewed needs a reconnect"

    def test_what_is_empty_stays_empty(self, blocking: BlockingStore) -> None:
        facts = an_integration(
            auth_type=AuthType.API_KEY,
            scopes=(),
            requested_scopes=(),
            expires_at=None,
            renewal_rule="keep",
            reconnect_before=None,
            account=AccountFacts(),
            variables={},
            context_id=None,
            reason="a word",
            state=State.NEEDS_REAUTH,
        )
        credential = SealedCredential(generation=1, key_id=SEALING_KEY, presented=b"fake\x00key")
        blocking.apply(AddIntegration(facts=facts, credential=credential))
        found = blocking.find_integration(ACME, facts.id)
        assert (found.facts, found.credential, found.marks.due_at) == (facts, credential, None)
        assert blocking.find_credential(ACME, PROVIDER) == found.to_use

    def test_long_parts_are_kept_whole(self, blocking: BlockingStore) -> None:
        # As long as several inputs and tokens of the greatest length, each character of which takes six in JSON.
        parts = bytes(range(256)) * 2400
        credential = replace(a_credential(), presented=parts, renewal=parts)
        facts = an_integration()
        blocking.apply(AddIntegration(facts=facts, credential=credential))
        assert blocking.find_integration(ACME, facts.id).credential == credential

    def test_what_is_not_there_is_none(self, blocking: BlockingStore) -> None:
        assert blocking.find_integration(ACME, IntegrationId(uuid4())) is None
        assert blocking.find_credential(ACME, PROVIDER) is None
        assert blocking.list_integrations(ACME) == ()

    def test_a_second_one_with_the_same_provider_is_refused(self, blocking: BlockingStore, facts: Integration) -> None:
        with pytest.raises(IntegrationExistsError) as caught:
            blocking.apply(AddIntegration(facts=an_integration(), credential=a_credential()))
        assert caught.value.details == {"tenantId": ACME, "providerId": str(PROVIDER)}
        assert blocking.list_integrations(ACME) == (facts,)

    def test_a_slot_has_an_integration_of_its_own(self, blocking: BlockingStore, facts: Integration) -> None:
        second = an_integration(slot="second")
        blocking.apply(AddIntegration(facts=second, credential=a_credential(mark=b"second")))
        assert {found.id for found in blocking.list_integrations(ACME)} == {facts.id, second.id}
        assert blocking.find_credential(ACME, PROVIDER).integration_id == facts.id
        assert blocking.find_credential(ACME, PROVIDER, slot="second").integration_id == second.id
        assert blocking.find_credential(ACME, PROVIDER, slot="third") is None
        with pytest.raises(IntegrationExistsError) as caught:
            blocking.apply(AddIntegration(facts=an_integration(slot="second"), credential=a_credential()))
        assert caught.value.details == {"tenantId": ACME, "providerId": str(PROVIDER), "slot": "second"}
        assert blocking.find_integration(ACME, second.id).facts == second

    def test_of_many_that_are_added_at_once_to_a_slot_one_is_stored(self, blocking: BlockingStore) -> None:
        slots = ["", "first", "second"]

        def adding(slot: str) -> Callable[[Any], Any]:
            change = AddIntegration(facts=an_integration(slot=slot), credential=a_credential())

            def add(store: Any) -> Any:
                return store.apply(change)

            return add

        answers = blocking.together([adding(slot) for slot in slots for _ in range(8)])
        assert [type(answer) for answer in refused(answers)] == [IntegrationExistsError] * 21
        assert sorted(found.slot for found in blocking.list_integrations(ACME)) == slots

    def test_slots_differ_by_every_character(self, blocking: BlockingStore) -> None:
        slots = ["a", "a.", "a-", "a_", "a.b", "b", "0", "00", "x" * 64]
        added = {slot: an_integration(slot=slot) for slot in slots}
        blocking.apply(*[AddIntegration(facts=facts, credential=a_credential()) for facts in added.values()])
        for slot, facts in added.items():
            assert blocking.find_credential(ACME, PROVIDER, slot=slot).integration_id == facts.id

    def test_a_removed_integration_frees_its_own_slot_alone(self, blocking: BlockingStore, facts: Integration) -> None:
        second = an_integration(slot="second")
        blocking.apply(
            AddIntegration(facts=second, credential=a_credential()),
            EraseIntegration(tenant_id=ACME, integration_id=second.id, expected_generation=1),
        )
        assert blocking.list_integrations(ACME) == (facts,)
        blocking.apply(AddIntegration(facts=an_integration(slot="second"), credential=a_credential()))
        with pytest.raises(IntegrationExistsError):
            blocking.apply(AddIntegration(facts=an_integration(), credential=a_credential()))

    def test_the_integrations_with_one_provider_are_listed(self, blocking: BlockingStore, facts: Integration) -> None:
        second, other = an_integration(slot="second", created_at=START + SECOND), an_integration(provider_id=OTHER_PROVIDER)
        for added in (second, other, an_integration(GLOBEX)):
            blocking.apply(AddIntegration(facts=added, credential=a_credential()))
        assert blocking.list_integrations(ACME, provider_id=PROVIDER) == (facts, second)
        assert blocking.list_integrations(ACME, provider_id=OTHER_PROVIDER) == (other,)
        assert blocking.list_integrations(ACME, provider_id=ProviderId(uuid4())) == ()

    def test_what_other_tenants_hold_is_found_however_many_slots_a_tenant_has(self, blocking: BlockingStore) -> None:
        own = [an_integration(slot=f"slot-{number}") for number in range(MAX_HOLDERS + 2)]
        blocking.apply(*[AddIntegration(facts=facts, credential=a_credential()) for facts in own])
        other = an_integration(GLOBEX)
        assert blocking.find_holders(PROVIDER, a_fingerprint(b"fakeaccess"), but=ACME) == ()
        blocking.apply(AddIntegration(facts=other, credential=a_credential()))
        for of in (b"fakeaccess", b"fakerefresh", b"account"):
            assert blocking.find_holders(PROVIDER, a_fingerprint(of), but=ACME) == ((GLOBEX, other.id),)

    def test_a_new_credential_leaves_the_slot_as_it_is(self, blocking: BlockingStore, facts: Integration) -> None:
        blocking.apply(ReplaceCredential(facts=replace(facts, slot="other"), credential=a_credential(2), expected_generation=1))
        assert blocking.find_integration(ACME, facts.id).facts.slot == ""

    @pytest.mark.parametrize(("rule", "renewal"), [("refresh", None), ("mint", None), ("keep", b"fake"), ("reconnect", b"fake")])
    def test_a_credential_without_what_its_rule_renews_it_from_is_not_stored(
        self, blocking: BlockingStore, rule: RenewalRule, renewal: bytes | None
    ) -> None:
        credential = SealedCredential(generation=1, key_id=SEALING_KEY, presented=b"fake", renewal=renewal)
        with pytest.raises(UnstorableValueError):
            blocking.apply(AddIntegration(facts=an_integration(renewal_rule=rule), credential=credential))
        assert blocking.list_integrations(ACME) == ()

    def test_a_credential_is_not_replaced_by_one_that_its_rule_cannot_renew(self, blocking: BlockingStore, facts: Integration) -> None:
        before = blocking.find_integration(ACME, facts.id)
        strange = SealedCredential(generation=2, key_id=SEALING_KEY, presented=b"fake")
        blocking.apply(lease(facts))
        for change in (ReplaceCredential(facts=facts, credential=strange, expected_generation=1), renewed(facts, credential=strange)):
            with pytest.raises(UnstorableValueError):
                blocking.apply(change)
        assert blocking.find_integration(ACME, facts.id).credential == before.credential

    @pytest.mark.parametrize(
        ("what", "value"),
        [("name", "a" * 51), ("method_id", "m" * 65), ("reason", "é" * 256), ("tenant_id", "t" * 256), ("name", "fake\x00name")],
        ids=["name", "method", "reason", "tenant", "a zero byte"],
    )
    def test_what_does_not_fit_is_kept_whole_or_refused_for_good(self, blocking: BlockingStore, what: str, value: str) -> None:
        changed: dict[str, Any] = {what: value}
        facts = an_integration(**changed)
        try:
            if facts.tenant_id != ACME:
                add_sealing_keys(blocking, facts.tenant_id)
            blocking.apply(AddIntegration(facts=facts, credential=a_credential()))
        except UnstorableValueError:
            expected: tuple[Integration, ...] = ()
        else:
            expected = (facts,)
        assert blocking.list_integrations(facts.tenant_id) == expected

    def test_one_of_fifty_creations_at_once_wins(self, blocking: BlockingStore) -> None:
        creations = [AddIntegration(facts=an_integration(name=f"Fake {number}"), credential=a_credential()) for number in range(50)]
        answers = blocking.together([applying(creation, Record(event=an_event())) for creation in creations])
        assert sorted(type(error).__name__ for error in refused(answers)) == ["IntegrationExistsError"] * 49
        assert len(blocking.list_integrations(ACME)) == 1
        assert len(blocking.list_audit(ACME)) == 1
        assert verified(blocking).whole

    def test_the_list_is_in_order_of_age(self, blocking: BlockingStore) -> None:
        newer = an_integration(created_at=START + SECOND)
        older = an_integration(provider_id=OTHER_PROVIDER)
        for facts in (newer, older):
            blocking.apply(AddIntegration(facts=facts, credential=a_credential()))
        assert blocking.list_integrations(ACME) == (older, newer)

    def test_facts_are_saved_and_the_credential_is_not_touched(self, blocking: BlockingStore, facts: Integration) -> None:
        before = blocking.find_integration(ACME, facts.id)
        changed = replace(
            facts, name="Other name", state=State.DISABLED, state_since=START + SECOND, reason="by_user", updated_at=START + SECOND
        )
        # Other fields of the facts are not saved.
        blocking.apply(
            SaveFacts(facts=replace(changed, scopes=("other",), expires_at=None, account=AccountFacts()), expected_state=State.ACTIVE)
        )
        assert blocking.find_integration(ACME, facts.id) == replace(before, facts=changed, marks=replace(before.marks, due_at=None))

    def test_facts_in_another_state_are_not_overwritten(self, blocking: BlockingStore, facts: Integration) -> None:
        with pytest.raises(StaleWriteError):
            blocking.apply(SaveFacts(facts=replace(facts, name="Other name"), expected_state=State.RETRY))
        assert blocking.list_integrations(ACME) == (facts,)

    def test_facts_of_an_integration_that_is_gone_are_not_saved(self, blocking: BlockingStore) -> None:
        with pytest.raises(IntegrationNotFoundError):
            blocking.apply(SaveFacts(facts=an_integration(), expected_state=State.ACTIVE))

    @pytest.mark.requirement("Q05")
    def test_variables_are_saved_alone(self, blocking: BlockingStore, facts: Integration) -> None:
        before = blocking.find_integration(ACME, facts.id)
        changed = replace(facts, variables={"site": "north"}, state_since=START + SECOND, updated_at=START + SECOND)
        # Other fields of the facts are not saved.
        other = replace(changed, name="Other name", scopes=("other",), expires_at=None, account=AccountFacts())
        blocking.apply(SaveVariables(facts=other, expected_generation=1))
        assert blocking.find_integration(ACME, facts.id) == replace(before, facts=changed)
        assert blocking.find_credential(ACME, PROVIDER).variables == {"site": "north"}

    @pytest.mark.requirement("Q05")
    def test_variables_are_not_saved_for_another_credential_or_in_another_state(self, blocking: BlockingStore, facts: Integration) -> None:
        chosen = replace(facts, variables={"site": "north"})
        for stale in (
            SaveVariables(facts=chosen, expected_generation=2),
            SaveVariables(facts=replace(chosen, state=State.RETRY), expected_generation=1),
        ):
            with pytest.raises(StaleWriteError):
                blocking.apply(stale)
        assert blocking.list_integrations(ACME) == (facts,)
        with pytest.raises(IntegrationNotFoundError):
            blocking.apply(SaveVariables(facts=an_integration(), expected_generation=1))

    @pytest.mark.requirement("Q05")
    def test_a_renewal_leaves_the_variables_unless_it_brings_some(self, blocking: BlockingStore, facts: Integration) -> None:
        blocking.apply(lease(facts))
        blocking.apply(SaveVariables(facts=replace(facts, variables={"site": "north"}), expected_generation=1))
        blocking.apply(renewed(facts))
        assert blocking.find_integration(ACME, facts.id).facts.variables == {"site": "north"}
        blocking.apply(lease(facts, expected_generation=2, attempt_id="attempt-2"))
        change = renewed(facts, credential=a_credential(3), lease_token=2, attempt_id="attempt-2", variables={"site": "south"})
        blocking.apply(change)
        assert blocking.find_integration(ACME, facts.id).facts.variables == {"site": "south"}

    def test_a_replaced_credential_takes_a_lease_number(self, blocking: BlockingStore, facts: Integration) -> None:
        changed = replace(facts, name="New name", scopes=("read",), updated_at=START + SECOND, expires_at=None)
        due = START + timedelta(minutes=5)
        blocking.apply(ReplaceCredential(facts=changed, credential=a_credential(2, b"new"), expected_generation=1, due_at=due))
        found = blocking.find_integration(ACME, facts.id)
        # A name that was changed meanwhile stays.
        assert (found.facts, found.credential) == (replace(changed, name=facts.name), a_credential(2, b"new"))
        assert (found.marks.lease_token, found.marks.writer_lease, found.marks.lease_owner) == (1, 1, RECONNECT_OWNER)
        assert (found.marks.due_at, found.marks.refreshed_at) == (due, changed.updated_at)

    def test_a_reconnect_changes_neither_provider_nor_age(self, blocking: BlockingStore, facts: Integration) -> None:
        strange = replace(facts, provider_id=OTHER_PROVIDER, created_at=START + SECOND)
        blocking.apply(ReplaceCredential(facts=strange, credential=a_credential(2), expected_generation=1))
        assert blocking.find_integration(ACME, facts.id).facts == facts

    def test_a_credential_of_another_generation_is_not_replaced(self, blocking: BlockingStore, facts: Integration) -> None:
        before = blocking.find_integration(ACME, facts.id)
        with pytest.raises(StaleWriteError):
            blocking.apply(ReplaceCredential(facts=facts, credential=a_credential(3), expected_generation=2))
        assert blocking.find_integration(ACME, facts.id) == before

    def test_what_the_user_switched_off_is_not_reconnected(self, blocking: BlockingStore, facts: Integration) -> None:
        off = replace(facts, state=State.DISABLED)
        blocking.apply(SaveFacts(facts=off, expected_state=State.ACTIVE))
        with pytest.raises(StaleWriteError):
            blocking.apply(ReplaceCredential(facts=facts, credential=a_credential(2), expected_generation=1))
        assert blocking.find_integration(ACME, facts.id).facts == off

    def test_a_credential_that_is_gone_is_not_replaced(self, blocking: BlockingStore) -> None:
        with pytest.raises(IntegrationNotFoundError):
            blocking.apply(ReplaceCredential(facts=an_integration(), credential=a_credential(2), expected_generation=1))

    def test_an_erased_integration_is_gone_and_its_place_is_free(self, blocking: BlockingStore, facts: Integration) -> None:
        blocking.apply(EraseIntegration(tenant_id=ACME, integration_id=facts.id, expected_generation=1))
        assert blocking.find_integration(ACME, facts.id) is None
        with pytest.raises(IntegrationNotFoundError):
            blocking.apply(EraseIntegration(tenant_id=ACME, integration_id=facts.id, expected_generation=1))
        blocking.apply(AddIntegration(facts=an_integration(), credential=a_credential()))

    def test_an_integration_of_another_generation_is_not_erased(self, blocking: BlockingStore, facts: Integration) -> None:
        with pytest.raises(StaleWriteError):
            blocking.apply(EraseIntegration(tenant_id=ACME, integration_id=facts.id, expected_generation=2))
        assert blocking.list_integrations(ACME) == (facts,)

    def test_integrations_are_counted_by_provider_and_method_over_all_tenants(self, blocking: BlockingStore) -> None:
        soon = START + timedelta(days=30)
        added = [
            an_integration(reconnect_before=soon - INSTANT),
            an_integration(GLOBEX, reconnect_before=START - SECOND, state=State.UNKNOWN),
            an_integration(slot="at", reconnect_before=soon),
            an_integration(slot="none", reconnect_before=None),
            an_integration(slot="off", reconnect_before=START, state=State.DISABLED),
            an_integration(slot="ended", reconnect_before=START, state=State.NEEDS_REAUTH),
            an_integration(GLOBEX, slot="device", method_id="device", reconnect_before=None),
            an_integration(provider_id=OTHER_PROVIDER, reconnect_before=START, state=State.RETRY),
        ]
        blocking.apply(*[AddIntegration(facts=facts, credential=a_credential()) for facts in added])
        counted = {(found.provider_id, found.method_id): found for found in blocking.count_endings(ending_before=soon)}
        expected = [
            IntegrationCount(provider_id=PROVIDER, method_id="oauth2", total=6, ending=2, first_end=START - SECOND),
            IntegrationCount(provider_id=PROVIDER, method_id="device", total=1, ending=0, first_end=None),
            IntegrationCount(provider_id=OTHER_PROVIDER, method_id="oauth2", total=1, ending=1, first_end=START),
        ]
        assert counted == {(each.provider_id, each.method_id): each for each in expected}

    def test_no_integrations_are_no_counts(self, blocking: BlockingStore) -> None:
        assert blocking.count_endings(ending_before=START) == ()
