"""Without a word from the host every tenant exists."""

from __future__ import annotations

from cloud_integrations.runtime.tenants import AnyTenant, AsyncAnyTenant


async def test_any_tenant_exists():
    AnyTenant().require("acme")
    await AsyncAnyTenant().require("acme")
