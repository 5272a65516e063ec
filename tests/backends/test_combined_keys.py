"""Several key services as one."""

from __future__ import annotations

import pytest
from tests.tracebacks import shown_by, shown_by_copies

from cloud_integrations.backends.aes_gcm import AesGcmCipher
from cloud_integrations.backends.keys.combined import CombinedKeys
from cloud_integrations.backends.keys.local import LocalKeyring
from cloud_integrations.backends.memory.store import MemoryStore
from cloud_integrations.errors import ConfigurationError, KeyringError, KeyServiceUnavailableError, SealingError
from cloud_integrations.manager import IntegrationManager
from cloud_integrations.providers.catalogue import Catalogue
from cloud_integrations.testing import SimulatedProvider, SimulatedTransport
from cloud_integrations.testing.contracts.key_service import DATA_KEY, KEY_ID, KeyServiceContract, wrap_for_test


def ring(*kids):
    return LocalKeyring([LocalKeyring.generate_key(kid) for kid in kids])


class Remote(LocalKeyring):
    """A service that is elsewhere, and can be switched off."""

    waits = True
    gone = False

    def unwrap(self, wrapped, /):
        if self.gone:
            raise KeyServiceUnavailableError
        return super().unwrap(wrapped)


@pytest.mark.requirement("ENC-09", "ENC-19")
class TestCombinedKeys(KeyServiceContract):
    @pytest.fixture
    def keys(self):
        return CombinedKeys(ring("a", "b"), ring("c"))

    @pytest.fixture
    def strange(self):
        return ring("d")

    @pytest.fixture
    def strange_keys(self, strange):
        return CombinedKeys(strange)

    @pytest.fixture
    def rotated_keys(self, strange):
        return CombinedKeys(ring("e"), strange)


def test_a_tenant_that_brings_a_key_has_it_alone():
    common, own = ring("common"), ring("acme")
    keys = CombinedKeys(common, tenants={"tenant-a": own})
    mine = wrap_for_test(keys)
    assert mine.kek_uri == "local:acme" == keys.primary("tenant-a").kek_uri
    assert keys.primary("tenant-b").kek_uri == "local:common"
    assert keys.unwrap(mine) == DATA_KEY
    # What was wrapped before the tenant brought its key still opens.
    assert keys.unwrap(wrap_for_test(common)) == DATA_KEY


def test_a_tenant_cannot_plant_a_data_key_in_another_tenants_row():
    own = ring("acme")
    keys = CombinedKeys(ring("common"), tenants={"tenant-a": own})
    planted = wrap_for_test(own, tenant_id="tenant-b")
    with pytest.raises(KeyringError, match="belongs to another tenant"):
        keys.unwrap(planted)


def test_a_service_of_several_tenants_that_is_common_too_is_named_once():
    shared = ring("shared")
    keys = CombinedKeys(shared, tenants={"tenant-a": shared, "tenant-b": shared})
    assert len(keys.keks()) == 1
    assert keys.unwrap(wrap_for_test(keys, tenant_id="tenant-b")) == DATA_KEY


def test_two_services_with_one_key_are_refused():
    with pytest.raises(ConfigurationError, match="local:a in two services"):
        CombinedKeys(ring("a"), ring("b", "a"))


@pytest.mark.parametrize(("parts", "waits"), [((), False), ((Remote([LocalKeyring.generate_key("far")]),), True)])
def test_it_waits_where_one_of_them_does(parts, waits):
    assert CombinedKeys(ring("near"), *parts).waits is waits


@pytest.mark.requirement("ENC-18")
def test_it_shows_no_key_and_is_not_copied():
    keys = CombinedKeys(ring("a"), tenants={"tenant-a": ring("b")})
    assert repr(keys) == "CombinedKeys(LocalKeyring(kids=('a',)), tenants={'tenant-a': LocalKeyring(kids=('b',))})"
    assert "FAKE" not in shown_by_copies(keys)
    with pytest.raises(SealingError) as caught:
        keys.wrap(b"FAKE-CANARY-" + bytes(40), tenant_id="t", key_id=KEY_ID, version=1)
    assert "wrap {" in shown_by(caught.value)
    assert "FAKE-CANARY" not in shown_by(caught.value)


def test_a_tenant_moves_to_its_own_key_and_switches_everything_off():
    provider, store = SimulatedProvider(), MemoryStore()
    common, own = ring("common"), Remote([LocalKeyring.generate_key("acme")])

    def open_manager(keys):
        return IntegrationManager(
            store=store,
            transport=SimulatedTransport(provider),
            keys=keys,
            cipher=AesGcmCipher(),
            providers=Catalogue.of(*provider.catalogue_entries()),
        ).acting_as("ada")

    for tenant in ("acme", "globex"):
        open_manager(common).add_api_key(tenant, "simulated_keys", name="A key", api_key=provider.valid_api_key)
    combined = CombinedKeys(common, tenants={"acme": own})
    manager = open_manager(combined)
    assert manager.keys.report().misplaced == 1
    assert manager.keys.rewrap().changed == 1
    assert [usage.kek_uri for usage in manager.keys.report(tenant_id="acme").usage] == ["local:acme"]
    fresh = open_manager(combined)
    fresh.start()
    own.gone = True
    with pytest.raises(KeyServiceUnavailableError):
        fresh.credential("acme", "simulated_keys")
    assert fresh.credential("globex", "simulated_keys").value == provider.valid_api_key
    own.gone = False
    assert open_manager(CombinedKeys(common, own)).keys.rewrap().changed == 1
    assert open_manager(common).credential("acme", "simulated_keys").value == provider.valid_api_key
