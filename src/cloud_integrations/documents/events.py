"""Webhooks, and events as they get them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Self
from urllib.parse import quote
from uuid import UUID

from cloud_integrations.domain.event_message import DeliveryState, EventDelivery, EventMessage
from cloud_integrations.domain.serialisation import to_camel
from cloud_integrations.domain.webhook import NewWebhook, OffReason, Webhook, WebhookFormat, WebhookTest

from .base import Document

_OURS = {"tenant": "tenantId", "integration": "integrationId"}
"""Keys that have other names in the HTTP API."""


def event_body(message: EventMessage, /, *, body_format: WebhookFormat, product: str) -> dict[str, Any]:
    """Return the body of a delivery: that of Standard Webhooks, or a CloudEvent 1.0 in its JSON format.

    The `data` of both is the same, with names in camelCase.  A CloudEvent's source is the installation's *product* and the tenant.
    """
    data = _data(message)
    time = message.occurred_at.isoformat().replace("+00:00", "Z")
    if body_format == "standard":
        return {"type": message.name, "timestamp": time, "data": data}
    owner = "" if message.tenant_id is None else f"/tenants/{quote(message.tenant_id, safe='')}"
    subject = {} if message.integration_id is None else {"subject": f"integrations/{message.integration_id}"}
    return {
        "specversion": "1.0",
        "id": str(message.id),
        "source": f"/{product}{owner}",
        "type": message.name,
        **subject,
        "time": time,
        "datacontenttype": "application/json",
        "data": data,
    }


@dataclass(slots=True, kw_only=True)
class WebhookOut(Document):
    """An address that gets events, without its secrets."""

    id: UUID
    tenant_id: str | None
    url: str
    events: tuple[str, ...]
    providers: tuple[UUID, ...]
    format: WebhookFormat
    enabled: bool
    off_reason: OffReason | None
    failing_since: datetime | None
    secrets: int
    created_at: datetime
    updated_at: datetime

    @classmethod
    def of(cls, webhook: Webhook, /) -> Self:
        """Return the document of a webhook."""
        return cls._shown(webhook)


@dataclass(slots=True, kw_only=True)
class NewWebhookOut(WebhookOut):
    """A webhook with its new secret, which is shown this once."""

    secret: str

    @classmethod
    def of_new(cls, new: NewWebhook, /) -> Self:
        """Return the document of a webhook with its new secret."""
        return cls._shown(new.webhook, secret=new.secret.reveal())


@dataclass(slots=True, kw_only=True)
class WebhookTestOut(Document):
    """Whether a webhook took a test."""

    webhook_id: UUID
    message_id: UUID
    taken: bool
    reason: str | None

    @classmethod
    def of(cls, tested: WebhookTest, /) -> Self:
        """Return the document of a test."""
        return cls._shown(tested)


@dataclass(slots=True, kw_only=True)
class EventDeliveryOut(Document):
    """An event that has not arrived at one receiver."""

    id: UUID
    event: str
    message_id: UUID
    tenant_id: str | None
    integration_id: UUID | None
    occurred_at: datetime
    data: dict[str, str]
    receiver: str
    state: DeliveryState
    attempts: int
    due_at: datetime | None
    given_up_at: datetime | None
    last_error: str | None

    @classmethod
    def of(cls, delivery: EventDelivery, /) -> Self:
        """Return the document of a delivery."""
        event = delivery.event
        return cls._shown(
            delivery,
            event=event.name,
            message_id=event.id,
            tenant_id=event.tenant_id,
            integration_id=event.integration_id,
            occurred_at=event.occurred_at,
            data=_data(event),
        )


def _data(message: EventMessage) -> dict[str, str]:
    return {_OURS.get(key, to_camel(key)): value for key, value in message.data.items()}
