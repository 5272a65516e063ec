"""Rows of all tables as sealed rows: which key seals them, and sealing them under another."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from uuid import UUID

from cloud_integrations.domain.identifiers import ContextId, IntegrationId, TenantId
from cloud_integrations.domain.rekeying import SealedRow

from .tables import Tables


def sealed_rows(tables: Tables) -> list[SealedRow]:
    """Return every sealed row, in the words of its sealing context."""
    return [*_integrations(tables), *_authorizations(tables), *_applications(tables), *_webhooks(tables), *_entries(tables)]


def replace_sealed(tables: Tables, before: SealedRow, after: SealedRow) -> None:
    """Write the sealed fields of *after*, unless the row has changed since *before* or would gain or lose a field."""
    found = next((row for row in sealed_rows(tables) if _version(row) == _version(before)), None)
    if found is None or before.sealed.keys() != after.sealed.keys():
        return
    match before.table:
        case "ci_integration":
            key = (before.tenant_id, IntegrationId(UUID(before.row)))
            stored = tables.integrations[key]
            fields: dict[str, Any] = dict(after.sealed)
            tables.integrations[key] = replace(stored, credential=replace(stored.credential, key_id=after.key_id, **fields))
        case "ci_authorization":
            state_hash = bytes.fromhex(before.row)
            pending = tables.pending[state_hash]
            tables.pending[state_hash] = replace(pending, key_id=after.key_id, sealed_parts=after.sealed["parts"])
        case "ci_application":
            application = tables.applications[before.tenant_id, ContextId(UUID(before.row))]
            resealed = replace(application, key_id=after.key_id, sealed_secrets=after.sealed["secrets"])
            tables.applications[before.tenant_id, application.facts.id] = resealed
        case "ci_webhook":
            webhook = tables.webhooks[before.tenant_id, UUID(before.row)]
            replaced = replace(webhook, key_id=after.key_id, sealed_parts=after.sealed["parts"])
            tables.webhooks[before.tenant_id, webhook.id] = replaced
        case _:
            entry = tables.outbox[before.tenant_id, UUID(before.row)]
            tables.outbox[before.tenant_id, entry.id] = replace(entry, key_id=after.key_id, sealed_payload=after.sealed["payload"])


def _version(row: SealedRow) -> tuple[str, TenantId, str, int, UUID]:
    return row.table, row.tenant_id, row.row, row.generation, row.key_id


def _integrations(tables: Tables) -> list[SealedRow]:
    return [
        SealedRow(
            table="ci_integration",
            tenant_id=stored.facts.tenant_id,
            row=str(stored.facts.id),
            generation=stored.credential.generation,
            key_id=stored.credential.key_id,
            sealed={name: value for name in ("presented", "renewal") if (value := getattr(stored.credential, name)) is not None},
        )
        for stored in list(tables.integrations.values())
    ]


def _authorizations(tables: Tables) -> list[SealedRow]:
    return [
        SealedRow(
            table="ci_authorization",
            tenant_id=pending.tenant_id,
            row=pending.state_hash.hex(),
            key_id=pending.key_id,
            sealed={"parts": pending.sealed_parts},
        )
        for pending in list(tables.pending.values())
        if pending.key_id is not None and pending.sealed_parts is not None
    ]


def _applications(tables: Tables) -> list[SealedRow]:
    return [
        SealedRow(
            table="ci_application",
            tenant_id=stored.facts.tenant_id,
            row=str(stored.facts.id),
            generation=stored.generation,
            key_id=stored.key_id,
            sealed={"secrets": stored.sealed_secrets},
        )
        for stored in list(tables.applications.values())
    ]


def _webhooks(tables: Tables) -> list[SealedRow]:
    return [
        SealedRow(
            table="ci_webhook",
            tenant_id=webhook.tenant_id,
            row=str(webhook.id),
            generation=webhook.generation,
            key_id=webhook.key_id,
            sealed={"parts": webhook.sealed_parts},
        )
        for webhook in list(tables.webhooks.values())
    ]


def _entries(tables: Tables) -> list[SealedRow]:
    return [
        SealedRow(
            table="ci_outbox",
            tenant_id=entry.tenant_id,
            row=str(entry.id),
            key_id=entry.key_id,
            sealed={"payload": entry.sealed_payload},
        )
        for entry in list(tables.outbox.values())
        if entry.key_id is not None and entry.sealed_payload is not None
    ]
