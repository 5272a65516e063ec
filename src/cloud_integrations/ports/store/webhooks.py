"""Webhooks: changes and reads."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol
from uuid import UUID

from cloud_integrations.domain.identifiers import TenantId
from cloud_integrations.domain.webhook import OffReason, StoredWebhook

from .damaged_row import DamagedRow


@dataclass(frozen=True, slots=True, kw_only=True)
class SaveWebhook:
    """Store a webhook, or replace the one with the same id.

    `StaleWriteError` unless the stored generation is one less than the new one; 1 means that there is none yet.
    """

    webhook: StoredWebhook


@dataclass(frozen=True, slots=True, kw_only=True)
class MarkWebhook:
    """Write whether a webhook takes messages; it is no error if it is gone, has another generation, or is off.

    *off_reason* switches it off; None: it stays on.
    """

    tenant_id: TenantId
    webhook_id: UUID
    generation: int
    failing_since: datetime | None
    off_reason: OffReason | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoveWebhook:
    """Delete a webhook with its secrets.  `StaleWriteError` if it is gone."""

    tenant_id: TenantId
    webhook_id: UUID


class AsyncWebhookStore(Protocol):
    """Reads of webhooks."""

    async def find_webhook(self, tenant_id: TenantId, webhook_id: UUID, /) -> StoredWebhook | None:
        """Return a webhook of the tenant; None: there is none."""
        ...

    async def list_webhooks(self, tenant_id: TenantId, /) -> tuple[StoredWebhook | DamagedRow, ...]:
        """Return the webhooks of a tenant, on or off, the one that was added first first."""
        ...


class WebhookStore(Protocol):
    """The blocking form of `AsyncWebhookStore`: the same methods, the same promises."""

    def find_webhook(self, tenant_id: TenantId, webhook_id: UUID, /) -> StoredWebhook | None: ...

    def list_webhooks(self, tenant_id: TenantId, /) -> tuple[StoredWebhook | DamagedRow, ...]: ...
