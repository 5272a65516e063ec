"""`serve --demo` fills the console: something in every state, for an operator alone."""

from __future__ import annotations

import asyncio
from typing import Any
from unittest.mock import patch

import httpx
import pytest

pytest.importorskip("jinja2")
pytest.importorskip("babel")

from cloud_integrations import AsyncIntegrationManager, Health, Integration
from cloud_integrations_cli.actions.demo_tenants import fill
from cloud_integrations_cli.actions.serve import DEMO_TENANT, demo_host


async def _walk() -> None:
    async with demo_host() as demo:
        demo.bound.close()  # nobody listens: the application is asked without a network
        await fill(demo.manager, demo.provider, oauth=demo.oauth_slug, keys=demo.keys_slug)
        report = await demo.manager.overview.report()
        wanted = {Health.OK, Health.RETRYING, Health.UNKNOWN, Health.APPLICATION_REFUSED, Health.RECONNECT_REQUIRED, Health.DISABLED}
        assert {health for health, count in report.by_health.items() if count} >= wanted
        assert (report.freezes, report.waiting > 0, report.ending_soon.number > 0) == (1, True, True)
        assert await demo.manager.list_integrations(DEMO_TENANT) == (), "the tenant of the ready line is empty"
        transport = httpx.ASGITransport(demo.app)
        async with httpx.AsyncClient(transport=transport, base_url=demo.url) as client:
            tenants_own = {"Authorization": f"Bearer {demo.token.reveal()}"}
            operators = {"Authorization": f"Bearer {demo.operator_token.reveal()}"}
            for path, text in (
                ("", "Reconnect required"),
                ("/integrations", "borealis"),
                ("/providers", "Simulated"),
                ("/incidents", "A log of the billing service was public"),
                ("/audit/operator", "incident.opened"),
                ("/audit/tenants/borealis", "integration.revoked"),
                ("/keys", "still sealed under a replaced data key"),
                ("/keys/tenants/مؤسسة-النور", "Data keys destroyed"),
            ):
                assert (await client.get(f"/console{path}", headers=tenants_own)).status_code == 403, path
                page = await client.get(f"/console{path}", headers=operators)
                assert (page.status_code, text in page.text) == (200, True), path


async def _stall() -> None:
    async with demo_host() as demo:
        demo.bound.close()
        add = type(demo.manager).add_api_key

        async def late(manager: AsyncIntegrationManager, *args: Any, **named: Any) -> Integration:
            await asyncio.sleep(0.01)  # as on a machine that has other work
            return await add(manager, *args, **named)

        with patch.object(type(demo.manager), "add_api_key", late):
            await fill(demo.manager, demo.provider, oauth=demo.oauth_slug, keys=demo.keys_slug)


def test_a_demonstration_begins_on_a_slow_machine() -> None:
    asyncio.run(_stall())


def test_a_demonstration_has_something_in_every_state_for_the_operator_alone() -> None:
    asyncio.run(_walk())
