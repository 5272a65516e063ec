"""The endpoints of a tenant's webhooks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastapi import Request, Response

from cloud_integrations import AsyncIntegrationManager
from cloud_integrations.documents import NewWebhookOut, WebhookOut, WebhookTestOut

from .answers import Done, Many, One, as_json
from .bodies import AddWebhook, EditWebhook, RotateSecret
from .parameters import TenantPath, WebhookPath
from .reading import read_body, read_body_or_none, read_id
from .route import Call

if TYPE_CHECKING:
    from cloud_integrations import Webhook


class WebhookEndpoints:
    """The endpoints: each parses, calls the manager once, and renders."""

    def __init__(self, manager: AsyncIntegrationManager) -> None:
        self._manager = manager

    async def list_webhooks(self, tenant_id: TenantPath) -> Response:
        """List a tenant's webhooks, the one that was added first first, without their secrets."""
        found: tuple[Webhook, ...] = await self._manager.webhooks.list(tenant_id)
        return as_json(Many[WebhookOut](data=tuple(map(WebhookOut.of, found))))

    async def add_webhook(self, request: Request, tenant_id: TenantPath) -> Response:
        """Have the tenant's events sent to an address, signed by Standard Webhooks.

        The answer has the secret, which is not shown again.
        """
        body = await read_body(request, AddWebhook)
        new = await self._acting(request).webhooks.add(
            tenant_id, body.url, events=body.events, providers=body.providers, format=body.format
        )
        return as_json(One[NewWebhookOut](data=NewWebhookOut.of_new(new)), status=201)

    async def edit_webhook(self, request: Request, tenant_id: TenantPath, webhook_id: WebhookPath) -> Response:
        """Change a webhook's address or filters, or switch it off or on again."""
        body = await read_body(request, EditWebhook)
        edited = await self._acting(request).webhooks.edit(
            tenant_id, read_id(webhook_id), url=body.url, events=body.events, providers=body.providers, enabled=body.enabled
        )
        return as_json(One[WebhookOut](data=WebhookOut.of(edited)))

    async def remove_webhook(self, request: Request, tenant_id: TenantPath, webhook_id: WebhookPath) -> Response:
        """Delete a webhook with its secrets; what waits for it is not sent."""
        await self._acting(request).webhooks.remove(tenant_id, read_id(webhook_id))
        return as_json(Done())

    async def rotate_webhook_secret(self, request: Request, tenant_id: TenantPath, webhook_id: WebhookPath) -> Response:
        """Give a webhook a new secret, which is not shown again; the one before signs beside it for `overlap` seconds, by default a day."""
        body = await read_body_or_none(request, RotateSecret)
        named = {} if body is None or body.overlap is None else {"overlap": body.overlap}
        new = await self._acting(request).webhooks.rotate_secret(tenant_id, read_id(webhook_id), **named)
        return as_json(One[NewWebhookOut](data=NewWebhookOut.of_new(new)))

    async def test_webhook(self, tenant_id: TenantPath, webhook_id: WebhookPath) -> Response:
        """Send the event `webhook.test` to a webhook now, and say whether it was taken."""
        return as_json(One[WebhookTestOut](data=WebhookTestOut.of(await self._manager.events.test(tenant_id, read_id(webhook_id)))))

    def _acting(self, request: Request) -> Any:
        call = Call.of(request)
        return self._manager.acting_as(call.actor, request_id=call.request_id)
