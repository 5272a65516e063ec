from __future__ import annotations

from datetime import UTC, datetime

import pytest

from cloud_integrations.backends.memory import AsyncMemoryStore, MemoryStore
from cloud_integrations.ports.store import AddIntegration
from cloud_integrations.testing.store_contract import ACME, StoreContract, a_credential, an_integration


class TestMemoryStore(StoreContract):
    @pytest.fixture
    def store(self, clock):
        return MemoryStore(clock)


class TestAsyncMemoryStore(StoreContract):
    @pytest.fixture
    def store(self, clock):
        return AsyncMemoryStore(clock)


def test_without_a_clock_it_follows_the_wall_clock():
    store = MemoryStore()
    facts = an_integration()
    before = datetime.now(UTC)
    store.apply(AddIntegration(facts=facts, credential=a_credential()))
    assert before <= store.find_integration(ACME, facts.id).read_at <= datetime.now(UTC)
