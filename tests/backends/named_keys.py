"""The contract, for key services that are made from the names of their keys."""

from __future__ import annotations

import pytest

from cloud_integrations.testing.contracts.key_service import DATA_KEY, KEY_ID, KeyServiceContract


def wrap(keys):
    """Wrap as flows do; the frame of the contract's own helper holds the data key."""
    return keys.wrap(DATA_KEY, tenant_id="tenant-a", key_id=KEY_ID, version=1)


class NamedKeysContract(KeyServiceContract):
    """Wants a fixture `make`, which takes names."""

    own, strange = "ci", "strange"

    @pytest.fixture
    def keys(self, make):
        return make(self.own)

    @pytest.fixture
    def strange_keys(self, make):
        return make(self.strange)

    @pytest.fixture
    def rotated_keys(self, make):
        return make(self.own, self.strange)
