"""What a store promises about refused and erased keys."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cloud_integrations.domain.envelope import KeyState
from cloud_integrations.domain.integration import Integration
from cloud_integrations.errors import KeyRetiredError, StaleWriteError
from cloud_integrations.ports.store import AddEntry, AddIntegration, AddKey, AddPending, EraseTenant, Record, RefuseKeys, RotateKey
from cloud_integrations.testing.clock import START
from cloud_integrations.testing.contracts.store.base import BlockingStore, Contract, everything
from cloud_integrations.testing.contracts.store.values import (
    ACME,
    GLOBEX,
    NEWCOMER,
    NEXT_KEY,
    SEALING_KEY,
    SECOND,
    a_credential,
    a_key,
    a_pending,
    an_entry,
    an_event,
    an_integration,
    rotated,
)


class ErasureContract(Contract):
    """Refusing a tenant's keys, and erasing a tenant."""

    def test_refused_keys_are_not_found_until_that_is_taken_back(self, blocking: BlockingStore) -> None:
        old = blocking.find_active_key(ACME)
        blocking.apply(RefuseKeys(tenant_id=ACME, min_version=2))
        assert blocking.find_key(ACME, old.key_id) is None
        assert blocking.find_active_key(ACME) is None
        assert blocking.find_active_key(GLOBEX) is not None
        change = rotated()
        blocking.apply(change)
        assert blocking.find_active_key(ACME) == blocking.find_key(ACME, NEXT_KEY) == change.key
        assert blocking.find_key(ACME, old.key_id) is None
        assert blocking.find_keys([ACME]) == (change.key,)
        # The key is still listed, so that it can be rewrapped and counted.
        assert [key.version for key in blocking.list_keys(tenant_id=ACME, limit=10)] == [1, 2]
        blocking.apply(RefuseKeys(tenant_id=ACME, min_version=1))
        assert blocking.find_key(ACME, old.key_id).version == 1

    @pytest.mark.requirement("ENC-14")
    def test_what_an_erased_tenant_had_is_gone_and_others_keep_theirs(self, blocking: BlockingStore) -> None:
        pending, twin = a_pending(), a_pending(GLOBEX)
        blocking.apply(Record(event=an_event()), AddPending(pending=pending), AddPending(pending=twin))
        blocking.apply(AddEntry(entry=an_entry()), AddEntry(entry=an_entry(GLOBEX)), rotated())
        blocking.apply(AddIntegration(facts=an_integration(GLOBEX), credential=a_credential()))
        blocking.apply(EraseTenant(tenant_id=ACME, erased_at=START + SECOND))
        assert blocking.find_active_key(ACME) is None
        assert [blocking.find_key(ACME, key_id) for key_id in (SEALING_KEY, NEXT_KEY)] == [None, None]
        assert [key.tenant_id for key in blocking.find_keys([ACME, GLOBEX])] == [GLOBEX]
        assert blocking.list_keys(tenant_id=ACME, limit=10) == ()
        assert blocking.list_key_usage(tenant_id=ACME) == ()
        assert blocking.list_returned_keys(limit=10) == ()
        assert [blocking.list_destroyed_keys(tenant_id) for tenant_id in (ACME, GLOBEX)] == [(SEALING_KEY, NEXT_KEY), ()]
        assert blocking.find_pending(pending.state_hash) is None
        assert len(blocking.list_audit(ACME)) == 1
        assert blocking.find_active_key(GLOBEX) is not None
        assert blocking.find_pending(twin.state_hash) == twin
        assert [revocation.tenant_id for revocation in blocking.claim_entries("revocation", limit=10, hold=SECOND)] == [GLOBEX]
        assert len(blocking.list_integrations(GLOBEX)) == 1

    def test_a_tenant_with_an_integration_is_not_erased(self, blocking: BlockingStore, facts: Integration) -> None:
        pending = a_pending()
        blocking.apply(AddPending(pending=pending), AddEntry(entry=an_entry()))
        before = everything(blocking)
        with pytest.raises(StaleWriteError):
            blocking.apply(EraseTenant(tenant_id=ACME, erased_at=START))
        assert everything(blocking) == before
        assert blocking.find_integration(ACME, facts.id) is not None

    @pytest.mark.requirement("ENC-14")
    def test_erased_versions_never_come_back(self, blocking: BlockingStore) -> None:
        blocking.apply(rotated())
        blocking.apply(EraseTenant(tenant_id=ACME, erased_at=START))
        assert blocking.last_key_version(ACME) == 2
        for version in (1, 2):
            with pytest.raises(StaleWriteError):
                blocking.apply(AddKey(key=a_key(version=version)))
        third = a_key(version=3)
        blocking.apply(AddKey(key=third))
        assert blocking.find_active_key(ACME) == third
        blocking.apply(AddIntegration(facts=an_integration(), credential=replace(a_credential(), key_id=third.key_id)))

    def test_who_is_erased_again_keeps_the_highest_version(self, blocking: BlockingStore) -> None:
        erase = EraseTenant(tenant_id=ACME, erased_at=START)
        blocking.apply(erase)
        blocking.apply(erase)
        blocking.apply(AddKey(key=a_key(version=4)))
        blocking.apply(erase)
        assert blocking.last_key_version(ACME) == 4
        fifth = a_key(version=5)
        blocking.apply(AddKey(key=fifth))
        with pytest.raises(StaleWriteError):
            blocking.apply(RotateKey(key=a_key(version=3), replaces=fifth.key_id))
        # Refusing keys, and ending the refusal, does not change the highest version.
        blocking.apply(RefuseKeys(tenant_id=ACME, min_version=9))
        blocking.apply(RefuseKeys(tenant_id=ACME, min_version=1))
        assert blocking.last_key_version(ACME) == 5
        with pytest.raises(StaleWriteError):
            blocking.apply(AddKey(key=a_key(version=4, state=KeyState.DECRYPT_ONLY)))

    def test_a_tenant_that_never_was_can_be_erased(self, blocking: BlockingStore) -> None:
        blocking.apply(EraseTenant(tenant_id=NEWCOMER, erased_at=START), Record(event=an_event(NEWCOMER)))
        assert blocking.last_key_version(NEWCOMER) == 0
        blocking.apply(AddKey(key=a_key(NEWCOMER)))

    def test_what_waits_for_an_erasure_is_told(self, blocking: BlockingStore) -> None:
        blocking.apply(EraseTenant(tenant_id=ACME, erased_at=START))
        with pytest.raises(KeyRetiredError):
            blocking.apply(AddIntegration(facts=an_integration(), credential=a_credential()))
        with pytest.raises(StaleWriteError):
            blocking.apply(rotated())
