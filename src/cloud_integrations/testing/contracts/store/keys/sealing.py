"""What a store promises about what is sealed under which key."""

from __future__ import annotations

from dataclasses import replace
from uuid import UUID, uuid4

import pytest

from cloud_integrations.domain.envelope import KeyState
from cloud_integrations.domain.identifiers import TenantId
from cloud_integrations.domain.integration import Integration
from cloud_integrations.errors import IntegrationNotFoundError, KeyRetiredError, StaleWriteError
from cloud_integrations.ports.store import (
    AddEntry,
    AddIntegration,
    AddKey,
    AddPending,
    Change,
    DestroyKey,
    EraseIntegration,
    EraseTenant,
    Record,
    RefuseKeys,
    ReplaceCredential,
    Reseal,
)
from cloud_integrations.testing.clock import START
from cloud_integrations.testing.contracts.store.base import BlockingStore, Contract, everything, refused
from cloud_integrations.testing.contracts.store.values import (
    ACME,
    GLOBEX,
    NEWCOMER,
    NEXT_KEY,
    OTHER_PROVIDER,
    SEALING_KEY,
    SECOND,
    a_credential,
    a_key,
    a_pending,
    add_sealing_keys,
    an_entry,
    an_event,
    an_integration,
    applying,
    lease,
    renewed,
    resealed,
    rotated,
    row_of,
)

SEALED_ROWS = ("an integration", "an authorization", "a revocation")
"""The kinds of row that hold sealed values, one for each table."""
SEALING = ("an integration", "a reconnect", "a renewal", "an authorization", "a revocation")
"""The changes that write sealed values."""


def sealing(what: str, facts: Integration, key_id: UUID) -> Change:
    """Return the change *what* (one of `SEALING`), sealed under the data key *key_id*; *facts* must have a lease."""
    first, second = (replace(a_credential(generation, b"sealed"), key_id=key_id) for generation in (1, 2))
    match what:
        case "an integration":
            return AddIntegration(facts=an_integration(facts.tenant_id, OTHER_PROVIDER), credential=first)
        case "a reconnect":
            return ReplaceCredential(facts=facts, credential=second, expected_generation=1)
        case "a renewal":
            return renewed(facts, credential=second)
        case "an authorization":
            return AddPending(pending=a_pending(facts.tenant_id, key_id=key_id))
        case _:
            return AddEntry(entry=an_entry(facts.tenant_id, key_id=key_id))


def destroying(tenant_id: TenantId = ACME, key_id: UUID = SEALING_KEY) -> DestroyKey:
    """Return the change that destroys the first data key of the tenant."""
    return DestroyKey(tenant_id=tenant_id, key_id=key_id, destroyed_at=START + 2 * SECOND)


class SealingContract(Contract):
    """Only the active key seals; a key that seals a row is not destroyed."""

    @pytest.mark.parametrize("what", SEALING)
    def test_nothing_is_sealed_but_under_the_active_key(self, blocking: BlockingStore, facts: Integration, what: str) -> None:
        blocking.apply(lease(facts))
        foreign, newer = uuid4(), uuid4()
        blocking.apply(rotated(), AddKey(key=a_key(ACME, version=3, key_id=newer, state=KeyState.DECRYPT_ONLY)))
        blocking.apply(rotated(GLOBEX, key_id=foreign))
        before = everything(blocking)
        for key_id in (SEALING_KEY, newer, foreign, uuid4()):
            with pytest.raises(KeyRetiredError):
                blocking.apply(Record(event=an_event()), sealing(what, facts, key_id))
            assert everything(blocking) == before
        blocking.apply(sealing(what, facts, NEXT_KEY))
        assert everything(blocking) != before

    @pytest.mark.parametrize("what", SEALING)
    def test_nothing_is_sealed_under_a_key_that_is_refused(self, blocking: BlockingStore, facts: Integration, what: str) -> None:
        blocking.apply(lease(facts))
        blocking.apply(RefuseKeys(tenant_id=ACME, min_version=2))
        before = everything(blocking)
        with pytest.raises(KeyRetiredError):
            blocking.apply(sealing(what, facts, SEALING_KEY))
        assert everything(blocking) == before

    def test_an_authorization_without_a_verifier_needs_no_key(self, blocking: BlockingStore) -> None:
        pending = a_pending(NEWCOMER, sealed_parts=None, key_id=None)
        blocking.apply(AddPending(pending=pending))
        assert blocking.find_pending(pending.state_hash) == pending

    @pytest.mark.requirement("ENC-10")
    def test_who_seals_while_keys_change_seals_under_the_active_one_or_not_at_all(self, blocking: BlockingStore) -> None:
        """Run writers, rotations, removals and an erasure at once: each succeeds or fails with a reason, and every row left opens."""
        tenants = [TenantId(f"tenant-{number}") for number in range(4)]
        add_sealing_keys(blocking, *tenants)
        integrations = [an_integration(tenant_id) for tenant_id in tenants]
        blocking.apply(*[AddIntegration(facts=facts, credential=a_credential()) for facts in integrations])
        blocking.apply(*[lease(facts) for facts in integrations])
        calls = []
        for facts in integrations:
            tenant_id = facts.tenant_id
            record = Record(event=an_event(tenant_id))
            calls += [
                applying(renewed(facts), record),
                applying(rotated(tenant_id), record),
                applying(AddPending(pending=a_pending(tenant_id)), record),
                applying(
                    AddEntry(entry=an_entry(tenant_id)),
                    EraseIntegration(tenant_id=tenant_id, integration_id=facts.id, expected_generation=1),
                    record,
                ),
                applying(EraseTenant(tenant_id=tenant_id, erased_at=START), record),
                applying(Reseal(rows=tuple(resealed(row_of(other)) for other in integrations))),
            ]
        answers = blocking.together(calls)
        assert {type(error) for error in refused(answers)} <= {KeyRetiredError, StaleWriteError, IntegrationNotFoundError}
        for tenant_id in tenants:
            (*_, newest) = blocking.list_keys(tenant_id=tenant_id, limit=10) or (None,)
            for facts in blocking.list_integrations(tenant_id):
                assert newest is not None
                assert blocking.find_key(tenant_id, blocking.find_integration(tenant_id, facts.id).credential.key_id) is not None
        assert blocking.list_returned_keys(limit=10) == ()

    def test_a_destroyed_key_is_not_found_and_its_version_stays_taken(self, blocking: BlockingStore) -> None:
        blocking.apply(rotated(kek_key_id=b"next-kek-16bytes"), rotated(GLOBEX, kek_key_id=b"next-kek-16bytes"))
        blocking.apply(destroying())
        assert blocking.find_key(ACME, SEALING_KEY) is None
        assert [key.version for key in blocking.list_keys(tenant_id=ACME, limit=10)] == [2]
        assert blocking.last_key_version(ACME) == 2
        for again in (AddKey(key=a_key(state=KeyState.DECRYPT_ONLY)), destroying()):
            with pytest.raises(StaleWriteError):
                blocking.apply(again)
        # Only the other tenant's needs the old wrapping key.
        assert b"fake-kek-16bytes" in blocking.list_kek_ids()
        blocking.apply(destroying(GLOBEX))
        assert blocking.list_kek_ids() == (b"next-kek-16bytes",)

    def test_the_last_version_is_remembered_when_it_is_destroyed(self, blocking: BlockingStore) -> None:
        blocking.apply(AddKey(key=a_key(NEWCOMER, version=5, state=KeyState.DESTROYED, destroyed_at=START)))
        assert blocking.last_key_version(NEWCOMER) == 5

    def test_a_key_that_is_active_or_not_there_is_not_destroyed(self, blocking: BlockingStore) -> None:
        before = everything(blocking)
        for change in (destroying(), destroying(ACME, uuid4()), destroying(NEWCOMER)):
            with pytest.raises(StaleWriteError):
                blocking.apply(change)
        assert everything(blocking) == before

    @pytest.mark.parametrize("what", SEALED_ROWS)
    def test_a_key_that_seals_a_row_is_not_destroyed(self, blocking: BlockingStore, what: str) -> None:
        blocking.apply(sealing(what, an_integration(), SEALING_KEY), rotated(), rotated(GLOBEX))
        with pytest.raises(StaleWriteError):
            blocking.apply(destroying())
        assert blocking.find_key(ACME, SEALING_KEY).state is KeyState.DECRYPT_ONLY
        # The other tenant's key has the same id, and seals nothing.
        blocking.apply(destroying(GLOBEX))
        (row,) = blocking.list_sealed([(ACME, SEALING_KEY)], limit=10)
        blocking.apply(Reseal(rows=(resealed(row),)))
        blocking.apply(destroying())
