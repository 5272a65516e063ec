"""Webhooks, in SQL."""

from __future__ import annotations

import json
from uuid import UUID

from sqlalchemy import Connection, and_, bindparam, delete, insert, select, update

from cloud_integrations.backends.sqlalchemy import schema
from cloud_integrations.backends.sqlalchemy.clock import micros, micros_or_none
from cloud_integrations.backends.sqlalchemy.db_errors import refused_as, unless_stale
from cloud_integrations.backends.sqlalchemy.rows import AnyRow, Rows, count, time, time_or_none, words
from cloud_integrations.domain.identifiers import ProviderId, TenantId
from cloud_integrations.domain.webhook import FORMATS, OFF_REASONS, StoredWebhook
from cloud_integrations.errors import StaleWriteError
from cloud_integrations.ports.store import DamagedRow, MarkWebhook, RemoveWebhook, SaveWebhook

from .handlers import handles
from .keys import require_active_key

_w = schema.webhook.c

_COLUMNS = tuple(_w)
_OF_TENANT = _w.tenant_id == bindparam("if_tenant")
_THIS = and_(_OF_TENANT, _w.webhook_id == bindparam("if_id"))
_AT_GENERATION = _w.generation == bindparam("if_generation")
_FIND = select(*_COLUMNS).where(_THIS)
_LIST = select(*_COLUMNS).where(_OF_TENANT).order_by(_w.created_at, _w.webhook_id)
_ADD = insert(schema.webhook)
_REPLACE = update(schema.webhook).where(_THIS, _AT_GENERATION)
_MARK = _REPLACE.where(_w.off_reason.is_(None))
_REMOVE = delete(schema.webhook).where(_THIS)


def find_webhook(connection: Connection, tenant_id: TenantId, webhook_id: UUID, /) -> StoredWebhook | None:
    """Return a webhook of the tenant; None: there is none."""
    return _ROWS.one(connection.execute(_FIND, {"if_tenant": tenant_id, "if_id": webhook_id}).first())


def list_webhooks(connection: Connection, tenant_id: TenantId, /) -> tuple[StoredWebhook | DamagedRow, ...]:
    """Return the webhooks of a tenant, on or off, the one that was added first first."""
    return _ROWS.each(connection.execute(_LIST, {"if_tenant": tenant_id}).all())


@handles(SaveWebhook, tenant="webhook.tenant_id")
def _save_webhook(connection: Connection, change: SaveWebhook) -> None:
    new = change.webhook
    require_active_key(connection, new.tenant_id, new.key_id)
    values = {
        "events": json.dumps(new.events),
        "providers": json.dumps([str(provider_id) for provider_id in new.providers]),
        "format": new.format,
        "off_reason": new.off_reason,
        "failing_since": micros_or_none(new.failing_since),
        "secrets": new.secrets,
        "generation": new.generation,
        "key_id": new.key_id,
        "sealed_parts": new.sealed_parts,
        "updated_at": micros(new.updated_at),
    }
    if new.generation == 1:
        fixed = {"tenant_id": new.tenant_id, "webhook_id": new.id, "created_at": micros(new.created_at)}
        with refused_as(StaleWriteError()):
            connection.execute(_ADD, {**fixed, **values})
        return
    where = {"if_tenant": new.tenant_id, "if_id": new.id, "if_generation": new.generation - 1}
    unless_stale(connection.execute(_REPLACE, {**where, **values}).rowcount == 1)


@handles(MarkWebhook)
def _mark_webhook(connection: Connection, change: MarkWebhook) -> None:
    where = {"if_tenant": change.tenant_id, "if_id": change.webhook_id, "if_generation": change.generation}
    connection.execute(_MARK, {**where, "failing_since": micros_or_none(change.failing_since), "off_reason": change.off_reason})


@handles(RemoveWebhook)
def _remove_webhook(connection: Connection, change: RemoveWebhook) -> None:
    removed = connection.execute(_REMOVE, {"if_tenant": change.tenant_id, "if_id": change.webhook_id})
    unless_stale(removed.rowcount == 1)


def _webhook(row: AnyRow) -> StoredWebhook:
    return StoredWebhook(
        id=row.webhook_id,
        tenant_id=row.tenant_id,
        events=words(row.events),
        providers=tuple([ProviderId(UUID(text)) for text in words(row.providers)]),
        format=FORMATS[row.format],
        off_reason=None if row.off_reason is None else OFF_REASONS[row.off_reason],
        failing_since=time_or_none(row.failing_since),
        secrets=count(row.secrets, least=1),
        generation=count(row.generation, least=1),
        key_id=row.key_id,
        sealed_parts=row.sealed_parts,
        created_at=time(row.created_at),
        updated_at=time(row.updated_at),
    )


_ROWS = Rows(schema.webhook, _COLUMNS, _webhook, names=("webhook_id",))
