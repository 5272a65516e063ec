"""What a store promises about lists of keys."""

from __future__ import annotations

from collections.abc import Sequence

from cloud_integrations.domain.envelope import KeyState, WrappedKey
from cloud_integrations.domain.identifiers import TenantId
from cloud_integrations.domain.integration import Integration
from cloud_integrations.domain.rekeying import KeyUsage
from cloud_integrations.ports.store import AddEntry, AddKey, AddPending, Reseal, RotateKey
from cloud_integrations.testing.clock import START
from cloud_integrations.testing.contracts.store.base import BlockingStore, Contract
from cloud_integrations.testing.contracts.store.keys.sealing import SEALED_ROWS, sealing
from cloud_integrations.testing.contracts.store.values import (
    ACME,
    GLOBEX,
    NEWCOMER,
    a_key,
    a_pending,
    an_entry,
    an_integration,
    resealed,
    rotated,
    row_of,
)


class ListingContract(Contract):
    """Lists of data keys, page by page, and counts of their use."""

    def test_all_keys_are_listed_page_by_page(self, blocking: BlockingStore) -> None:
        # Tenants are ordered as the store compares text.
        names = [TenantId(name) for name in ("a", "B", "b", "á", "ab", "a b", "z")]
        keys = [a_key(name, version=version, state=KeyState.DECRYPT_ONLY) for name in names for version in (1, 2, 10)]
        gone = [a_key(name, version=3, state=KeyState.DESTROYED, destroyed_at=START) for name in names]
        blocking.apply(*[AddKey(key=key) for key in (*reversed(keys), *gone)])
        for limit in (1, 2, 5, 100):
            listed: list[WrappedKey] = []
            while page := blocking.list_keys(after=_place_of(listed), limit=limit):
                assert len(page) <= limit
                listed += page
            assert sorted(listed, key=_by_place) == sorted(
                [*keys, *(blocking.find_active_key(name) for name in (ACME, GLOBEX))], key=_by_place
            )
            of_one_tenant = [
                key.tenant_id for number, key in enumerate(listed) if number == 0 or listed[number - 1].tenant_id != key.tenant_id
            ]
            assert len(of_one_tenant) == len(set(of_one_tenant)) == 9
            assert [key.version for key in listed if key.tenant_id == "b"] == [1, 2, 10]

    def test_the_keys_of_one_tenant_are_listed_page_by_page(self, blocking: BlockingStore) -> None:
        keys = [a_key(NEWCOMER, version=version, state=KeyState.DECRYPT_ONLY) for version in (1, 2, 3)]
        blocking.apply(*[AddKey(key=key) for key in reversed(keys)])
        assert blocking.list_keys(tenant_id=NEWCOMER, limit=10) == tuple(keys)
        assert blocking.list_keys(tenant_id=NEWCOMER, limit=2) == tuple(keys[:2])
        assert blocking.list_keys(tenant_id=NEWCOMER, after=(NEWCOMER, 2), limit=10) == tuple(keys[2:])
        assert blocking.list_keys(tenant_id=NEWCOMER, after=(NEWCOMER, 3), limit=10) == ()
        assert blocking.list_keys(tenant_id=TenantId("nobody"), limit=10) == ()

    def test_replaced_keys_are_listed_while_they_seal_something(self, blocking: BlockingStore) -> None:
        tenants = [TenantId(f"tenant-{number}") for number in range(3)]
        keys = [a_key(tenant_id) for tenant_id in tenants]
        blocking.apply(*[AddKey(key=key) for key in keys])
        for key, what in zip(keys, SEALED_ROWS, strict=True):
            blocking.apply(sealing(what, an_integration(TenantId(key.tenant_id)), key.key_id))
        assert blocking.list_replaced_keys(limit=10) == ()
        blocking.apply(*[RotateKey(key=a_key(TenantId(key.tenant_id), version=2), replaces=key.key_id) for key in keys], rotated())
        listed: list[WrappedKey] = []
        while page := blocking.list_replaced_keys(after=listed[-1].key_id if listed else None, limit=1):
            assert len(page) == 1
            listed += page
        assert {key.key_id for key in listed} == {key.key_id for key in keys}
        assert all(key.state is KeyState.DECRYPT_ONLY for key in listed)
        assert list(blocking.list_replaced_keys(limit=10)) == listed
        rows = blocking.list_sealed([(TenantId(key.tenant_id), key.key_id) for key in keys], limit=10)
        blocking.apply(Reseal(rows=tuple(resealed(row, blocking.find_active_key(row.tenant_id).key_id) for row in rows[1:])))
        assert [key.key_id for key in blocking.list_replaced_keys(limit=10)] == [rows[0].key_id]

    def test_usage_is_counted_by_wrapping_key_and_state(self, blocking: BlockingStore, facts: Integration) -> None:
        blocking.apply(
            AddPending(pending=a_pending()),
            AddPending(pending=a_pending(sealed_parts=None, key_id=None)),
            AddEntry(entry=an_entry(GLOBEX)),
            rotated(kek_uri="local:next"),
            AddKey(key=a_key(NEWCOMER, state=KeyState.DESTROYED, destroyed_at=START)),
        )
        blocking.apply(Reseal(rows=(resealed(row_of(facts)),)))
        assert sorted(blocking.list_key_usage(), key=lambda usage: (usage.kek_uri, usage.state)) == [
            KeyUsage(kek_uri="local:next", state=KeyState.ACTIVE, keys=1, rows=1),
            KeyUsage(kek_uri="local:test", state=KeyState.ACTIVE, keys=1, rows=1),
            KeyUsage(kek_uri="local:test", state=KeyState.DECRYPT_ONLY, keys=1, rows=1),
        ]

    def test_usage_of_one_tenant_is_counted_by_key(self, blocking: BlockingStore, facts: Integration) -> None:
        blocking.apply(AddPending(pending=a_pending()), AddEntry(entry=an_entry()), AddEntry(entry=an_entry(GLOBEX)))
        gone = a_key(version=3, state=KeyState.DESTROYED, destroyed_at=START)
        blocking.apply(rotated(kek_uri="local:next"), AddKey(key=gone), Reseal(rows=(resealed(row_of(facts)),)))
        old, new = blocking.list_keys(tenant_id=ACME, limit=10)
        assert blocking.list_key_usage(tenant_id=ACME) == (_usage(old, rows=2), _usage(new, rows=1))
        assert blocking.list_key_usage(tenant_id=NEWCOMER) == ()


def _place_of(listed: Sequence[WrappedKey]) -> tuple[TenantId, int] | None:
    return (TenantId(listed[-1].tenant_id), listed[-1].version) if listed else None


def _by_place(key: WrappedKey) -> tuple[str, int]:
    return key.tenant_id, key.version


def _usage(key: WrappedKey, *, rows: int) -> KeyUsage:
    return KeyUsage(
        kek_uri=key.kek_uri, state=key.state, key_id=key.key_id, version=key.version, created_at=key.created_at, keys=1, rows=rows
    )
