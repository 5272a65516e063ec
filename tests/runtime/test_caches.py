"""Short memory."""

from __future__ import annotations

from datetime import timedelta
from uuid import uuid4

import pytest

from cloud_integrations.domain.audit import Actor
from cloud_integrations.domain.auth_type import AuthType
from cloud_integrations.domain.credential import Credential
from cloud_integrations.domain.identifiers import TenantId
from cloud_integrations.domain.secret import Secret
from cloud_integrations.runtime.caches import DenialWindows, TenantTokenCache, TtlCache
from cloud_integrations.testing import FixedClock


@pytest.fixture
def clock():
    return FixedClock()


def a_token():
    return Credential(integration_id=uuid4(), provider_id=uuid4(), auth_type=AuthType.OAUTH2, parts={"access_token": Secret("fake-token")})


def test_a_value_is_remembered_until_its_time_is_over(clock):
    cache = TtlCache(clock, limit=10)
    cache.put("key", "value", seconds=5)
    clock.advance(timedelta(seconds=4.9))
    assert cache.find("key") == "value"
    clock.advance(timedelta(seconds=0.1))
    assert cache.find("key") is None
    assert repr(cache) == "TtlCache(0 of 10)"


def test_setting_the_wall_clock_changes_nothing(clock):
    cache = TtlCache(clock, limit=10)
    cache.put("key", "value", seconds=5)
    clock.jump(timedelta(days=1))
    assert cache.find("key") == "value"


def test_the_oldest_are_forgotten_first(clock):
    cache = TtlCache(clock, limit=2)
    for key in "abac":
        cache.put(key, key.upper(), seconds=5)
    assert [cache.find(key) for key in "abc"] == ["A", None, "C"]


def test_what_is_dropped_or_cleared_is_forgotten(clock):
    cache = TtlCache(clock, limit=10)
    for key in "ab":
        cache.put(key, key, seconds=5)
    cache.drop("a")
    cache.drop("never there")
    assert (cache.find("a"), cache.find("b")) == (None, "b")
    cache.clear()
    assert cache.find("b") is None


def test_a_token_is_found_for_its_tenant_alone(clock):
    by_tenant = TenantTokenCache(clock)
    token = a_token()
    by_tenant.put(by_tenant.for_tenant("acme"), "provider", token, seconds=5)
    assert by_tenant.find("acme", "provider") is token
    assert by_tenant.find("acme", "other") is None
    assert by_tenant.find("globex", "provider") is None
    clock.advance(timedelta(seconds=5))
    assert by_tenant.find("acme", "provider") is None
    assert "fake-token" not in repr(by_tenant)


def test_what_is_put_on_a_shelf_that_was_dropped_meanwhile_is_not_seen(clock):
    by_tenant = TenantTokenCache(clock)
    tenant_tokens = by_tenant.for_tenant("acme")
    by_tenant.drop("acme")
    by_tenant.put(tenant_tokens, "provider", a_token(), seconds=5)
    assert by_tenant.find("acme", "provider") is None


def test_shelves_and_what_stands_on_them_are_limited(clock):
    by_tenant = TenantTokenCache(clock, tenants=2, per_tenant=2)
    for tenant in ("a", "b", "c"):
        for provider in ("x", "y", "z"):
            by_tenant.put(by_tenant.for_tenant(tenant), provider, a_token(), seconds=5)
    assert set(by_tenant.by_tenant) == {"b", "c"}
    assert set(by_tenant.by_tenant["c"]) == {"y", "z"}
    by_tenant.clear()
    assert by_tenant.by_tenant == {}


def test_denied_attempts_of_more_tenants_than_fit_are_forgotten_oldest_first(clock):
    windows = DenialWindows(clock, tenants=2)
    mallory = Actor(id="mallory")
    for tenant in ("acme", "globex", "initech"):
        assert windows.admit(TenantId(tenant), mallory, "look") == "attempt"
    assert repr(windows) == "DenialWindows(2 tenants)"
    assert windows.admit(TenantId("initech"), mallory, "look") is None
    windows.withdraw(TenantId("acme"), mallory, "look")
    assert windows.admit(TenantId("acme"), mallory, "look") == "attempt"
