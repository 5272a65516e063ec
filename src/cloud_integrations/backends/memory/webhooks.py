"""Webhooks, in memory."""

from __future__ import annotations

from dataclasses import replace
from uuid import UUID

from cloud_integrations.domain.identifiers import TenantId
from cloud_integrations.domain.webhook import StoredWebhook
from cloud_integrations.ports.store import MarkWebhook, RemoveWebhook, SaveWebhook

from .keys import require_active_key
from .tables import Memory, Tables, handles, unless_stale


class Webhooks(Memory):
    """Reads of webhooks."""

    def find_webhook(self, tenant_id: TenantId, webhook_id: UUID, /) -> StoredWebhook | None:
        """Return a webhook of the tenant; None: there is none."""
        return self._tables.webhooks.get((tenant_id, webhook_id))

    def list_webhooks(self, tenant_id: TenantId, /) -> tuple[StoredWebhook, ...]:
        """Return the webhooks of a tenant, on or off, the one that was added first first."""
        own = [webhook for (owner, _), webhook in self._tables.webhooks.items() if owner == tenant_id]
        return tuple(sorted(own, key=lambda webhook: (webhook.created_at, webhook.id)))


@handles(SaveWebhook)
def save_webhook(tables: Tables, change: SaveWebhook) -> None:
    """Store a webhook, unless another change came between."""
    new = change.webhook
    require_active_key(tables, new.tenant_id, new.key_id)
    stored = tables.webhooks.get((new.tenant_id, new.id))
    unless_stale(new.generation == (1 if stored is None else stored.generation + 1))
    tables.webhooks[new.tenant_id, new.id] = new


@handles(MarkWebhook)
def mark_webhook(tables: Tables, change: MarkWebhook) -> None:
    """Write whether a webhook takes messages."""
    stored = tables.webhooks.get((change.tenant_id, change.webhook_id))
    if stored is not None and stored.generation == change.generation and stored.off_reason is None:
        marked = replace(stored, failing_since=change.failing_since, off_reason=change.off_reason)
        tables.webhooks[change.tenant_id, change.webhook_id] = marked


@handles(RemoveWebhook)
def remove_webhook(tables: Tables, change: RemoveWebhook) -> None:
    """Delete a webhook."""
    unless_stale(tables.webhooks.pop((change.tenant_id, change.webhook_id), None) is not None)
