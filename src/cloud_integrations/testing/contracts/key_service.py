"""What every `KeyService` promises, as tests.

Inherit the class and provide the fixtures it asks for:

    class TestMyKeys(KeyServiceContract):
        @pytest.fixture
        def keys(self):
            return MyKeys(...)

        @pytest.fixture
        def strange_keys(self):
            return MyKeys(...)  # over another wrapping key, which `keys` does not have

        @pytest.fixture
        def rotated_keys(self):
            return MyKeys(...)  # over two: a third one, which wraps, and that of `strange_keys`
"""

from __future__ import annotations

import pickle
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from cloud_integrations.domain.envelope import KeyState, WrappedKey, kek_key_id
from cloud_integrations.errors import DecryptError, KeyringError, SealingError
from cloud_integrations.ports.key_service import KeyService

DATA_KEY = b"a fake data key of 32 test bytes"
KEY_ID = UUID("0190a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b")


def wrap_for_test(keys: KeyService, /, data_key: bytes = DATA_KEY, *, tenant_id: str = "tenant-a", key_id: UUID = KEY_ID) -> WrappedKey:
    """Wrap *data_key* and return the row that a store would keep."""
    ref, wrapped = keys.wrap(data_key, tenant_id=tenant_id, key_id=key_id, version=1)
    return WrappedKey(
        key_id=key_id,
        tenant_id=tenant_id,
        version=1,
        state=KeyState.ACTIVE,
        suite=1,
        kek_uri=ref.kek_uri,
        kek_key_id=ref.kek_key_id,
        wrapped=wrapped,
        created_at=datetime(2026, 1, 1, tzinfo=UTC),
        retired_at=None,
        destroyed_at=None,
    )


class KeyServiceContract:
    """Inherit, and provide the fixtures `keys`, `strange_keys` and `rotated_keys`."""

    def test_what_was_wrapped_unwraps(self, keys: KeyService) -> None:
        assert keys.unwrap(wrap_for_test(keys)) == DATA_KEY

    def test_the_primary_key_wraps(self, keys: KeyService) -> None:
        ref, _ = keys.wrap(DATA_KEY, tenant_id="tenant-a", key_id=KEY_ID, version=1)
        assert ref == keys.primary("tenant-a") == keys.keks()[0]
        assert ref.kek_key_id == kek_key_id(ref.kek_uri)
        assert len(ref.kek_key_id) == 16

    def test_the_data_key_is_not_in_the_wrapped_value(self, keys: KeyService) -> None:
        assert DATA_KEY not in wrap_for_test(keys).wrapped

    def test_two_wraps_of_one_key_differ(self, keys: KeyService) -> None:
        assert wrap_for_test(keys).wrapped != wrap_for_test(keys).wrapped

    @pytest.mark.parametrize("size", [0, 31, 33])
    def test_only_keys_of_32_bytes_are_wrapped(self, keys: KeyService, size: int) -> None:
        with pytest.raises(SealingError):
            wrap_for_test(keys, bytes(size))

    @pytest.mark.parametrize(
        "change",
        [
            {"tenant_id": "tenant-b"},
            {"key_id": UUID("0190a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5c")},
            {"version": 2},
            {"wrapped": b""},
            {"wrapped": DATA_KEY},
        ],
        ids=["another tenant", "another key id", "another version", "nothing", "the key itself"],
    )
    def test_a_wrapped_key_unwraps_in_its_own_row_only(self, keys: KeyService, change: dict[str, Any]) -> None:
        with pytest.raises(DecryptError):
            keys.unwrap(replace(wrap_for_test(keys), **change))

    def test_two_swapped_keys_do_not_unwrap(self, keys: KeyService) -> None:
        mine = wrap_for_test(keys)
        theirs = wrap_for_test(keys, bytes(32), tenant_id="tenant-b", key_id=UUID(int=KEY_ID.int + 1))
        for row, wrapped in ((mine, theirs.wrapped), (theirs, mine.wrapped)):
            with pytest.raises(DecryptError):
                keys.unwrap(replace(row, wrapped=wrapped))

    def test_a_tampered_key_does_not_unwrap(self, keys: KeyService) -> None:
        row = wrap_for_test(keys)
        for position in (0, len(row.wrapped) // 2, len(row.wrapped) - 1):
            changed = bytearray(row.wrapped)
            changed[position] ^= 1
            with pytest.raises(DecryptError):
                keys.unwrap(replace(row, wrapped=bytes(changed)))

    def test_a_strange_wrapping_key_is_named(self, keys: KeyService, strange_keys: KeyService) -> None:
        row = wrap_for_test(strange_keys)
        with pytest.raises(KeyringError) as caught:
            keys.unwrap(row)
        assert row.kek_uri in str(caught.value)

    def test_every_wrapping_key_is_named_once(self, keys: KeyService, strange_keys: KeyService) -> None:
        assert len(set(keys.keks())) == len(keys.keks())
        assert not set(keys.keks()) & set(strange_keys.keks())

    def test_a_row_cannot_bring_a_wrapping_key_of_its_own(self, keys: KeyService, strange_keys: KeyService) -> None:
        # Otherwise anybody who can write to the database could plant a data key that they know.
        theirs = wrap_for_test(strange_keys)
        mine = keys.keks()[0]
        with pytest.raises(DecryptError):
            keys.unwrap(replace(theirs, kek_uri=mine.kek_uri, kek_key_id=mine.kek_key_id))

    def test_the_first_key_wraps_and_all_unwrap(self, strange_keys: KeyService, rotated_keys: KeyService) -> None:
        row = wrap_for_test(strange_keys)
        assert rotated_keys.unwrap(row) == DATA_KEY
        assert wrap_for_test(rotated_keys).kek_uri == rotated_keys.primary("tenant-a").kek_uri != row.kek_uri

    @pytest.mark.parametrize("changed", [("kek_uri",), ("kek_key_id",), ("kek_uri", "kek_key_id")], ids="+".join)
    def test_a_wrapped_key_is_bound_to_its_wrapping_key(self, rotated_keys: KeyService, changed: tuple[str, ...]) -> None:
        other = rotated_keys.keks()[1]
        with pytest.raises(DecryptError):
            rotated_keys.unwrap(replace(wrap_for_test(rotated_keys), **{name: getattr(other, name) for name in changed}))

    def test_a_wrapped_key_is_short(self, keys: KeyService) -> None:
        assert len(wrap_for_test(keys).wrapped) <= 4096

    def test_no_key_is_shown(self, keys: KeyService) -> None:
        shown = f"{keys!r} {keys} {wrap_for_test(keys)!r}"
        assert DATA_KEY.hex() not in shown
        assert repr(DATA_KEY)[2:-1] not in shown

    def test_it_is_not_pickled(self, keys: KeyService) -> None:
        with pytest.raises(TypeError):
            pickle.dumps(keys)
