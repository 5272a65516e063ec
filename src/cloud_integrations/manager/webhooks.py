"""Webhooks, which get events outside, and the events on their way."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import timedelta
from uuid import UUID

from cloud_integrations import flows
from cloud_integrations.domain.audit import Actor
from cloud_integrations.domain.event_message import DeliveryState, EventDelivery
from cloud_integrations.domain.webhook import NewWebhook, Webhook, WebhookFormat, WebhookTest

from .parts import AsyncPart, Part


class Webhooks(Part):
    """Webhooks of tenants and of the installation: `manager.webhooks`.  A tenant id of None means the installation, for operators."""

    def add(
        self,
        tenant_id: str | None,
        url: str,
        *,
        events: Sequence[str] = (),
        providers: Sequence[str | UUID] = (),
        format: WebhookFormat = "standard",  # noqa: A002  # the word of the HTTP API
        actor: Actor | str | None = None,
        request_id: str | UUID | None = None,
    ) -> NewWebhook:
        """Have events sent to *url*, signed by Standard Webhooks; the answer has the secret, which is not shown again.

        *events* and *providers* select what is sent; empty: all.  A webhook of a tenant gets the events of the tenant, one of the
        installation (None) those of all tenants.  With *format* `cloudevents` the body is a CloudEvent.  A tenant's address must be
        public, or at one of the setting `private_servers`; the installation's may be private.  At most 20 for each.
        Raises `ConfigurationError` unless the setting `events` is on, `ValidationFailedError`, `TenantNotFoundError` or
        `ProviderNotFoundError`.
        """
        return self._run(
            flows.add_webhook(
                self._wiring,
                tenant_id,
                url,
                events=events,
                providers=providers,
                body_format=format,
                caller=self._acting(actor, request_id),
            )
        )

    def list(self, tenant_id: str | None) -> tuple[Webhook, ...]:
        """Return the webhooks of a tenant, or of the installation (None), without their secrets, the one that was added first first.

        Raises `TenantNotFoundError` or `ValidationFailedError`.
        """
        return self._run(flows.list_webhooks(self._wiring, tenant_id))

    def edit(
        self,
        tenant_id: str | None,
        webhook_id: UUID | str,
        *,
        url: str | None = None,
        events: Sequence[str] | None = None,
        providers: Sequence[str | UUID] | None = None,
        enabled: bool | None = None,
        actor: Actor | str | None = None,
        request_id: str | UUID | None = None,
    ) -> Webhook:
        """Change what is given, and return the webhook.

        What waits for it goes to the new *url*.  With *enabled*, one that was switched off, also by itself, gets events again; what
        happened meanwhile it does not get.  Raises `WebhookNotFoundError`, `ValidationFailedError`, `TenantNotFoundError` or
        `ProviderNotFoundError`.
        """
        return self._run(
            flows.edit_webhook(
                self._wiring,
                tenant_id,
                webhook_id,
                url=url,
                events=events,
                providers=providers,
                enabled=enabled,
                caller=self._acting(actor, request_id),
            )
        )

    def rotate_secret(
        self,
        tenant_id: str | None,
        webhook_id: UUID | str,
        *,
        overlap: timedelta | float = timedelta(days=1),
        actor: Actor | str | None = None,
        request_id: str | UUID | None = None,
    ) -> NewWebhook:
        """Give the webhook a new secret, and return it; the one before signs beside it for *overlap* (seconds or a timedelta).

        At most five sign at a time.  After a leak, give 0.  Raises `WebhookNotFoundError`, `ValidationFailedError` or
        `TenantNotFoundError`.
        """
        return self._run(
            flows.rotate_webhook_secret(self._wiring, tenant_id, webhook_id, overlap=overlap, caller=self._acting(actor, request_id))
        )

    def remove(
        self,
        tenant_id: str | None,
        webhook_id: UUID | str,
        *,
        actor: Actor | str | None = None,
        request_id: str | UUID | None = None,
    ) -> None:
        """Delete the webhook with its secrets; what waits for it is not sent.

        Raises `WebhookNotFoundError`, `ValidationFailedError` or `TenantNotFoundError`.
        """
        self._run(flows.remove_webhook(self._wiring, tenant_id, webhook_id, caller=self._acting(actor, request_id)))


class Events(Part):
    """Events on their way out: `manager.events`."""

    def list(
        self,
        *,
        tenant_id: str | None = None,
        state: DeliveryState = "waiting",
        receiver: str | None = None,
        limit: int = 100,
    ) -> tuple[EventDelivery, ...]:
        """Return deliveries that wait, or were given up (*state*), the oldest event first; at most *limit* (1 to 1,000).

        *tenant_id* selects the events of one tenant, *receiver* one receiver, as deliveries name it.
        Raises `ValidationFailedError` or `TenantNotFoundError`.
        """
        return self._run(flows.list_deliveries(self._wiring, tenant_id, state=state, receiver=receiver, limit=limit))

    def retry(
        self,
        *,
        ids: Collection[UUID | str] | None = None,
        tenant_id: str | None = None,
        state: DeliveryState = "given_up",
        receiver: str | None = None,
        actor: Actor | str | None = None,
        request_id: str | UUID | None = None,
    ) -> int:
        """Have deliveries tried again by the next round, as if they were new; return how many, at most 1,000.

        *ids* selects some of those that `list` returns with the same other arguments; None: all of them.
        Raises `ValidationFailedError` or `TenantNotFoundError`.
        """
        return self._run(
            flows.retry_deliveries(self._wiring, tenant_id, ids=ids, receiver=receiver, state=state, caller=self._acting(actor, request_id))
        )

    def test(self, tenant_id: str | None, webhook_id: UUID | str) -> WebhookTest:
        """Send the event `webhook.test` to a webhook now, on or off, and return whether it was taken.

        Raises `WebhookNotFoundError`, `ValidationFailedError`, `TenantNotFoundError`, and what opening a sealed value raises.
        """
        return self._run(flows.ping_webhook(self._wiring, tenant_id, webhook_id))


class AsyncWebhooks(AsyncPart):
    """Webhooks of tenants and of the installation: `manager.webhooks`.  A tenant id of None means the installation, for operators."""

    async def add(
        self,
        tenant_id: str | None,
        url: str,
        *,
        events: Sequence[str] = (),
        providers: Sequence[str | UUID] = (),
        format: WebhookFormat = "standard",  # noqa: A002  # the word of the HTTP API
        actor: Actor | str | None = None,
        request_id: str | UUID | None = None,
    ) -> NewWebhook:
        """Have events sent to *url*, signed by Standard Webhooks; the answer has the secret, which is not shown again.

        *events* and *providers* select what is sent; empty: all.  A webhook of a tenant gets the events of the tenant, one of the
        installation (None) those of all tenants.  With *format* `cloudevents` the body is a CloudEvent.  A tenant's address must be
        public, or at one of the setting `private_servers`; the installation's may be private.  At most 20 for each.
        Raises `ConfigurationError` unless the setting `events` is on, `ValidationFailedError`, `TenantNotFoundError` or
        `ProviderNotFoundError`.
        """
        return await self._run(
            flows.add_webhook(
                self._wiring,
                tenant_id,
                url,
                events=events,
                providers=providers,
                body_format=format,
                caller=self._acting(actor, request_id),
            )
        )

    async def list(self, tenant_id: str | None) -> tuple[Webhook, ...]:
        """Return the webhooks of a tenant, or of the installation (None), without their secrets, the one that was added first first.

        Raises `TenantNotFoundError` or `ValidationFailedError`.
        """
        return await self._run(flows.list_webhooks(self._wiring, tenant_id))

    async def edit(
        self,
        tenant_id: str | None,
        webhook_id: UUID | str,
        *,
        url: str | None = None,
        events: Sequence[str] | None = None,
        providers: Sequence[str | UUID] | None = None,
        enabled: bool | None = None,
        actor: Actor | str | None = None,
        request_id: str | UUID | None = None,
    ) -> Webhook:
        """Change what is given, and return the webhook.

        What waits for it goes to the new *url*.  With *enabled*, one that was switched off, also by itself, gets events again; what
        happened meanwhile it does not get.  Raises `WebhookNotFoundError`, `ValidationFailedError`, `TenantNotFoundError` or
        `ProviderNotFoundError`.
        """
        return await self._run(
            flows.edit_webhook(
                self._wiring,
                tenant_id,
                webhook_id,
                url=url,
                events=events,
                providers=providers,
                enabled=enabled,
                caller=self._acting(actor, request_id),
            )
        )

    async def rotate_secret(
        self,
        tenant_id: str | None,
        webhook_id: UUID | str,
        *,
        overlap: timedelta | float = timedelta(days=1),
        actor: Actor | str | None = None,
        request_id: str | UUID | None = None,
    ) -> NewWebhook:
        """Give the webhook a new secret, and return it; the one before signs beside it for *overlap* (seconds or a timedelta).

        At most five sign at a time.  After a leak, give 0.  Raises `WebhookNotFoundError`, `ValidationFailedError` or
        `TenantNotFoundError`.
        """
        return await self._run(
            flows.rotate_webhook_secret(self._wiring, tenant_id, webhook_id, overlap=overlap, caller=self._acting(actor, request_id))
        )

    async def remove(
        self,
        tenant_id: str | None,
        webhook_id: UUID | str,
        *,
        actor: Actor | str | None = None,
        request_id: str | UUID | None = None,
    ) -> None:
        """Delete the webhook with its secrets; what waits for it is not sent.

        Raises `WebhookNotFoundError`, `ValidationFailedError` or `TenantNotFoundError`.
        """
        await self._run(flows.remove_webhook(self._wiring, tenant_id, webhook_id, caller=self._acting(actor, request_id)))


class AsyncEvents(AsyncPart):
    """Events on their way out: `manager.events`."""

    async def list(
        self,
        *,
        tenant_id: str | None = None,
        state: DeliveryState = "waiting",
        receiver: str | None = None,
        limit: int = 100,
    ) -> tuple[EventDelivery, ...]:
        """Return deliveries that wait, or were given up (*state*), the oldest event first; at most *limit* (1 to 1,000).

        *tenant_id* selects the events of one tenant, *receiver* one receiver, as deliveries name it.
        Raises `ValidationFailedError` or `TenantNotFoundError`.
        """
        return await self._run(flows.list_deliveries(self._wiring, tenant_id, state=state, receiver=receiver, limit=limit))

    async def retry(
        self,
        *,
        ids: Collection[UUID | str] | None = None,
        tenant_id: str | None = None,
        state: DeliveryState = "given_up",
        receiver: str | None = None,
        actor: Actor | str | None = None,
        request_id: str | UUID | None = None,
    ) -> int:
        """Have deliveries tried again by the next round, as if they were new; return how many, at most 1,000.

        *ids* selects some of those that `list` returns with the same other arguments; None: all of them.
        Raises `ValidationFailedError` or `TenantNotFoundError`.
        """
        return await self._run(
            flows.retry_deliveries(self._wiring, tenant_id, ids=ids, receiver=receiver, state=state, caller=self._acting(actor, request_id))
        )

    async def test(self, tenant_id: str | None, webhook_id: UUID | str) -> WebhookTest:
        """Send the event `webhook.test` to a webhook now, on or off, and return whether it was taken.

        Raises `WebhookNotFoundError`, `ValidationFailedError`, `TenantNotFoundError`, and what opening a sealed value raises.
        """
        return await self._run(flows.ping_webhook(self._wiring, tenant_id, webhook_id))
