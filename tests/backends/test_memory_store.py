from __future__ import annotations

import inspect
from datetime import UTC, datetime
from typing import get_args

import pytest

from cloud_integrations.backends.memory.store import AsyncMemoryStore, MemoryStore
from cloud_integrations.backends.memory.tables import HANDLERS
from cloud_integrations.errors import KeyRetiredError
from cloud_integrations.ports.store import AddIntegration, AsyncStore, Change, EraseTenant
from cloud_integrations.testing.clock import START
from cloud_integrations.testing.contracts.store import ACME, StoreContract, a_credential, add_sealing_keys, an_integration


class TestMemoryStore(StoreContract):
    @pytest.fixture
    def store(self, clock):
        return MemoryStore(clock)


class TestAsyncMemoryStore(StoreContract):
    @pytest.fixture
    def store(self, clock):
        return AsyncMemoryStore(clock)


def test_every_change_has_a_handler():
    assert set(HANDLERS) == set(get_args(Change))


def test_the_awaiting_store_has_the_methods_of_the_blocking_one():
    for name in get_methods(AsyncStore):
        blocking, awaiting = getattr(MemoryStore, name), getattr(AsyncMemoryStore, name)
        assert inspect.iscoroutinefunction(awaiting)
        assert inspect.signature(awaiting) == inspect.signature(blocking)


def get_methods(port):
    return [name for name, _ in inspect.getmembers(port, inspect.isfunction) if not name.startswith("_")]


def test_without_a_clock_it_follows_the_wall_clock():
    store = MemoryStore()
    add_sealing_keys(store, ACME)
    facts = an_integration()
    before = datetime.now(UTC)
    store.apply(AddIntegration(facts=facts, credential=a_credential()))
    assert before <= store.find_integration(ACME, facts.id).read_at <= datetime.now(UTC)


@pytest.mark.requirement("ENC-14")
def test_a_key_that_is_brought_back_is_found_out_and_of_no_use():
    store = MemoryStore()
    add_sealing_keys(store, ACME)
    key = store.find_active_key(ACME)
    store.apply(EraseTenant(tenant_id=ACME, erased_at=START))
    (erased,) = store._tables.keys.values()
    assert erased.wrapped == b""
    store._tables.keys[ACME, key.key_id] = key
    assert store.list_returned_keys(limit=10) == (key,)
    assert store.find_key(ACME, key.key_id) is None
    assert store.find_active_key(ACME) is None
    with pytest.raises(KeyRetiredError):
        store.apply(AddIntegration(facts=an_integration(), credential=a_credential()))


def test_versions_are_remembered_where_the_keys_are_gone():
    store = MemoryStore()
    add_sealing_keys(store, ACME)
    store.apply(EraseTenant(tenant_id=ACME, erased_at=START))
    store._tables.keys.clear()
    assert store.last_key_version(ACME) == 1
