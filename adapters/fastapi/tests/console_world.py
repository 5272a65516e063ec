"""A console over both doors, for tests: who may do what, and integrations of several tenants."""

from __future__ import annotations

from dataclasses import dataclass, field
from urllib.parse import parse_qsl, urlsplit

import pytest

from cloud_integrations import Actor
from cloud_integrations_fastapi import Denied, Permission
from cloud_integrations_fastapi.pages import Branding, create_console

from .page_browser import Browser

HOSTILE = '<b>"Zoë"</b> & مرحبا'


@dataclass
class Operators:
    """`Authorization: Bearer olga`: she may do everything but what a test takes from her."""

    without: set[tuple[Permission, str | None]] = field(default_factory=set)
    asked: list[tuple[Permission, str | None]] = field(default_factory=list)

    async def authorize(self, request, permission, tenant_id):
        self.asked.append((permission, tenant_id))
        if request.headers.get("authorization") != "Bearer olga":
            return None
        actor = Actor(id="olga")
        return Denied(actor) if (permission, tenant_id) in self.without else actor


def mount(api, **options):
    """Mount the console in the application of *api*; return who is asked."""
    operators = Operators()
    branding = Branding(product="Example Cloud")
    api.app.include_router(create_console(api.manager, authorize=operators.authorize, branding=branding, **options))
    return operators


@pytest.fixture
def api(make_api):
    """An application with the console."""
    api = make_api(revokes_keys=True, limited=False)
    api.operators = mount(api)
    return api


@pytest.fixture
async def browser(api):
    """Olga's browser at that application."""
    async with api.client("olga", base_url="https://app.example.com") as client:
        yield Browser(client)


async def connect(api, tenant="acme", name="Production", **more):
    """Connect a tenant by a key; return the integration."""
    return await api.call("add_api_key", tenant, api.keys.id, name=name, api_key=api.provider.issue_api_key(), **more)


async def connect_oauth(api, tenant="acme", name="By sign-in"):
    """Connect a tenant by consent; return the integration."""
    begun = await api.call("begin_oauth", tenant, api.oauth.id, name=name)
    callback = parse_qsl(urlsplit(api.provider.sign_in(begun.url)).query)
    return (await api.call("complete_oauth", begun.context_id, callback, browser_token=begun.browser_token)).integration


async def use(api, integration, actor):
    """Hand out the credential of an integration to *actor*."""
    await api.call("credential", integration.tenant_id, integration.id, actor=actor)
