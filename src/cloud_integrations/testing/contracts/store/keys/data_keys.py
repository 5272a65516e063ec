"""What a store promises about data keys and check values."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from uuid import uuid4

import pytest

from cloud_integrations.domain.envelope import KeyCheck, KeyState, WrappedKey
from cloud_integrations.domain.identifiers import TenantId
from cloud_integrations.errors import StaleWriteError
from cloud_integrations.ports.store import AddEntry, AddKey, AddKeyCheck, RewrapKey
from cloud_integrations.testing.clock import START
from cloud_integrations.testing.contracts.store.base import BlockingStore, Contract, everything, refused
from cloud_integrations.testing.contracts.store.values import (
    ACME,
    GLOBEX,
    NEWCOMER,
    SEALING_KEY,
    SECOND,
    a_key,
    an_entry,
    applying,
    rotated,
)


def rewrapped(before: WrappedKey, /, **changes: Any) -> RewrapKey:
    """Return the change that wraps a key with another wrapping key."""
    change = RewrapKey(before=before, kek_uri="local:next", kek_key_id=b"next-kek-16bytes", wrapped=b"fake\x00rewrapped")
    return replace(change, **changes)


class DataKeysContract(Contract):
    """Adding, replacing and rewrapping data keys."""

    def test_a_key_is_found_as_it_was(self, blocking: BlockingStore) -> None:
        key = a_key(NEWCOMER)
        blocking.apply(AddKey(key=key))
        assert blocking.find_key(NEWCOMER, key.key_id) == key
        assert blocking.find_active_key(NEWCOMER) == key
        assert blocking.find_key(NEWCOMER, uuid4()) is None

    def test_a_version_is_there_once(self, blocking: BlockingStore) -> None:
        blocking.apply(AddKey(key=a_key(NEWCOMER, state=KeyState.DECRYPT_ONLY, retired_at=START + SECOND)))
        with pytest.raises(StaleWriteError):
            blocking.apply(AddKey(key=a_key(NEWCOMER)))

    def test_one_key_of_a_tenant_is_active(self, blocking: BlockingStore) -> None:
        first = a_key(NEWCOMER)
        blocking.apply(AddKey(key=first))
        with pytest.raises(StaleWriteError):
            blocking.apply(AddKey(key=a_key(NEWCOMER, version=2)))
        for version, state in ((2, KeyState.DECRYPT_ONLY), (3, KeyState.DECRYPT_ONLY), (4, KeyState.DECRYPT_ONLY)):
            blocking.apply(AddKey(key=a_key(NEWCOMER, version=version, state=state)))
        assert blocking.find_active_key(NEWCOMER) == first

    def test_one_of_sixteen_first_keys_wins(self, blocking: BlockingStore) -> None:
        keys = [a_key(NEWCOMER) for _ in range(16)]
        answers = blocking.together([applying(AddKey(key=key)) for key in keys])
        assert [type(error) for error in refused(answers)] == [StaleWriteError] * 15
        assert blocking.find_active_key(NEWCOMER) == keys[answers.index(None)]

    def test_without_an_active_key_there_is_none(self, blocking: BlockingStore) -> None:
        assert blocking.find_active_key(NEWCOMER) is None
        blocking.apply(AddKey(key=a_key(NEWCOMER, state=KeyState.DESTROYED, destroyed_at=START)))
        assert blocking.find_active_key(NEWCOMER) is None

    def test_the_first_canary_stays(self, blocking: BlockingStore) -> None:
        check = KeyCheck(kek_uri="local:a", kek_key_id=b"fake-kek-a-bytes", canary=b"fake\x00check")
        other = KeyCheck(kek_uri="local:b", kek_key_id=b"fake-kek-b-bytes", canary=b"fake other")
        blocking.apply(AddKeyCheck(check=check), AddKeyCheck(check=other))
        # Later changes of the same unit of work are still made.
        blocking.apply(AddKeyCheck(check=replace(check, canary=b"fake changed")), AddEntry(entry=an_entry()))
        assert sorted(blocking.list_key_checks(), key=lambda found: found.kek_uri) == [check, other]
        assert blocking.count_entries("revocation") == 1

    def test_one_canary_stays_of_many_at_once(self, blocking: BlockingStore) -> None:
        checks = [KeyCheck(kek_uri="local:a", kek_key_id=b"fake-kek-a-bytes", canary=b"fake %d" % number) for number in range(8)]
        assert refused(blocking.together([applying(AddKeyCheck(check=check)) for check in checks])) == []
        assert len(blocking.list_key_checks()) == 1

    def test_the_wrapping_keys_in_use_are_listed_once(self, blocking: BlockingStore) -> None:
        old, new, gone = b"fake-kek-1-bytes", b"fake-kek-2-bytes", b"fake-kek-3-bytes"
        blocking.apply(
            AddKey(key=a_key(NEWCOMER, kek_key_id=old)),
            AddKey(key=a_key(TenantId("hooli"), kek_key_id=old)),
            AddKey(key=a_key(NEWCOMER, version=2, state=KeyState.DECRYPT_ONLY, kek_key_id=new)),
            AddKey(key=a_key(NEWCOMER, version=3, state=KeyState.DESTROYED, kek_key_id=gone)),
        )
        assert sorted(blocking.list_kek_ids()) == sorted([old, new, b"fake-kek-16bytes"])

    def test_a_replaced_key_only_opens_and_the_new_one_seals(self, blocking: BlockingStore) -> None:
        old, other = blocking.find_active_key(ACME), blocking.find_active_key(GLOBEX)
        change = rotated()
        blocking.apply(change)
        assert blocking.find_active_key(ACME) == change.key
        assert blocking.find_key(ACME, SEALING_KEY) == replace(old, state=KeyState.DECRYPT_ONLY, retired_at=change.key.created_at)
        assert blocking.find_active_key(GLOBEX) == other
        assert {key.key_id for key in blocking.find_keys([ACME, NEWCOMER])} == {SEALING_KEY, change.key.key_id}
        assert blocking.find_keys([]) == ()
        assert (blocking.last_key_version(ACME), blocking.last_key_version(GLOBEX), blocking.last_key_version(NEWCOMER)) == (2, 1, 0)

    def test_only_the_active_key_is_replaced_and_by_a_new_version(self, blocking: BlockingStore) -> None:
        only_opens = a_key(version=7, state=KeyState.DECRYPT_ONLY)
        blocking.apply(AddKey(key=only_opens))
        before = everything(blocking)
        for change in (
            replace(rotated(), replaces=uuid4()),
            replace(rotated(), replaces=only_opens.key_id),
            rotated(NEWCOMER),
            rotated(version=1),
            rotated(version=7),
        ):
            with pytest.raises(StaleWriteError):
                blocking.apply(change)
            assert everything(blocking) == before

    @pytest.mark.requirement("ENC-12")
    def test_one_of_sixteen_rotations_wins(self, blocking: BlockingStore) -> None:
        changes = [rotated(key_id=uuid4()) for _ in range(16)]
        answers = blocking.together([applying(change) for change in changes])
        assert [type(error) for error in refused(answers)] == [StaleWriteError] * 15
        assert blocking.find_active_key(ACME) == changes[answers.index(None)].key
        assert [key.version for key in blocking.list_keys(tenant_id=ACME, limit=10)] == [1, 2]

    def test_the_wrapping_changes_and_nothing_else(self, blocking: BlockingStore) -> None:
        blocking.apply(rotated())
        for before in blocking.list_keys(tenant_id=ACME, limit=10):
            blocking.apply(rewrapped(before))
            assert blocking.find_key(ACME, before.key_id) == replace(
                before, kek_uri="local:next", kek_key_id=b"next-kek-16bytes", wrapped=b"fake\x00rewrapped"
            )
        assert blocking.find_active_key(GLOBEX).kek_uri == "local:test"

    def test_a_key_that_is_wrapped_otherwise_by_now_is_left(self, blocking: BlockingStore) -> None:
        gone = a_key(version=2, state=KeyState.DESTROYED, destroyed_at=START, wrapped=b"")
        blocking.apply(AddKey(key=gone))
        key = blocking.find_active_key(ACME)
        before = everything(blocking)
        for strange in (
            replace(key, wrapped=b"fake\x00other"),
            replace(key, kek_key_id=b"fake-kek-another"),
            replace(key, key_id=uuid4()),
            replace(key, tenant_id=NEWCOMER),
            gone,
        ):
            with pytest.raises(StaleWriteError):
                blocking.apply(rewrapped(strange))
            assert everything(blocking) == before

    @pytest.mark.requirement("ENC-11")
    def test_one_of_sixteen_rewrappings_wins(self, blocking: BlockingStore) -> None:
        before = blocking.find_active_key(ACME)
        changes = [rewrapped(before, wrapped=b"fake %d" % number) for number in range(16)]
        answers = blocking.together([applying(change) for change in changes])
        assert [type(error) for error in refused(answers)] == [StaleWriteError] * 15
        assert blocking.find_active_key(ACME).wrapped == changes[answers.index(None)].wrapped
