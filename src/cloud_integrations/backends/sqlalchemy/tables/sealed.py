"""Rows that data keys seal: listing, counting and resealing them, in SQL."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any
from uuid import UUID

from sqlalchemy import Column, Connection, Integer, Select, Table, and_, bindparam, func, literal, select, tuple_, update

from cloud_integrations.backends.sqlalchemy import schema
from cloud_integrations.backends.sqlalchemy.rows import AnyRow, Rows
from cloud_integrations.backends.sqlalchemy.tables.handlers import handles
from cloud_integrations.backends.sqlalchemy.tables.keys import HOLD_ACTIVE_KEYS, KEY, KEY_ROWS, NOT_DESTROYED, OF_TENANT, a, i, k, o
from cloud_integrations.backends.sqlalchemy.visibility import across_tenants
from cloud_integrations.domain.envelope import KeyState
from cloud_integrations.domain.identifiers import TenantId
from cloud_integrations.domain.rekeying import KeyUsage, SealedRow
from cloud_integrations.errors import DamagedRowError
from cloud_integrations.ports.store import Reseal


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sealed:
    """A table with sealed columns."""

    table: Table
    row: Column[Any]
    """The column that, with the tenant, is the primary key."""
    fields: Mapping[str, Column[Any]]
    """The sealed columns, by their name as a field in the sealing context."""
    generation: Column[Any] | None = None
    to_text: Callable[[Any], str]
    from_text: Callable[[str], Any]

    @property
    def listing(self) -> Select[Any]:
        columns = self.table.c
        generation = literal(0, Integer) if self.generation is None else self.generation
        return (
            select(columns.tenant_id, self.row, generation, columns.key_id, *self.fields.values())
            .where(
                # The key ids find the rows.  For pairs, SQLite uses no index and PostgreSQL takes long to plan, so `coalesce` keeps
                # every database from using an index for them.
                columns.key_id.in_(bindparam("if_key_ids", expanding=True)),
                tuple_(func.coalesce(columns.tenant_id, ""), columns.key_id).in_(bindparam("if_keys", expanding=True)),
            )
            .limit(bindparam("count"))
        )

    def write(self, connection: Connection, rows: Collection[tuple[SealedRow, SealedRow]]) -> None:
        """Replace the sealed fields of each row that still has the same key and generation."""
        columns = self.table.c
        conditions = [
            columns.tenant_id == bindparam("if_tenant"),
            self.row == bindparam("if_row"),
            columns.key_id == bindparam("if_key"),
        ]
        if self.generation is not None:
            conditions.append(self.generation == bindparam("if_generation"))
        connection.execute(
            update(self.table).where(*conditions),
            [
                {
                    "if_tenant": before.tenant_id,
                    "if_row": self.from_text(before.row),
                    "if_key": before.key_id,
                    **({} if self.generation is None else {"if_generation": before.generation}),
                    "key_id": after.key_id,
                    **{column.name: after.sealed.get(field) for field, column in self.fields.items()},
                }
                for before, after in rows
            ],
        )


_SEALED = {
    sealed.table.name: sealed
    for sealed in (
        _Sealed(
            table=schema.integration,
            row=i.integration_id,
            fields={name: i[name] for name in ("presented", "renewal")},
            generation=i.generation,
            to_text=str,
            from_text=UUID,
        ),
        _Sealed(
            table=schema.authorization,
            row=a.state_hash,
            fields={"parts": a.sealed_parts},
            to_text=lambda value: bytes(value).hex(),
            from_text=bytes.fromhex,
        ),
        _Sealed(
            table=schema.application,
            row=schema.application.c.context_id,
            fields={"secrets": schema.application.c.sealed_secrets},
            generation=schema.application.c.generation,
            to_text=str,
            from_text=UUID,
        ),
        _Sealed(
            table=schema.webhook,
            row=schema.webhook.c.webhook_id,
            fields={"parts": schema.webhook.c.sealed_parts},
            generation=schema.webhook.c.generation,
            to_text=str,
            from_text=UUID,
        ),
        _Sealed(table=schema.outbox, row=o.entry_id, fields={"payload": o.sealed_payload}, to_text=str, from_text=UUID),
    )
}
_LISTINGS = {name: sealed.listing for name, sealed in _SEALED.items()}


@across_tenants
def list_sealed(connection: Connection, keys: Collection[tuple[TenantId, UUID]], /, *, limit: int) -> tuple[SealedRow, ...]:
    """Return at most *limit* rows of any table that are sealed under these data keys (tenant, key id)."""
    found: list[SealedRow] = []
    wanted = {"if_keys": list(keys), "if_key_ids": [key_id for _, key_id in keys]}
    for name, listing in _LISTINGS.items():
        if keys and len(found) < limit:
            rows = connection.execute(listing, {**wanted, "count": limit - len(found)})
            found += _SEALED_ROWS[name].all(rows)
    return tuple(found)


@handles(Reseal)
@across_tenants
def reseal(connection: Connection, change: Reseal) -> None:
    """See `Reseal`."""
    # A row that would gain or lose a field is skipped: the field would be lost, or belong to another credential.
    rows = [(before, after) for before, after in change.rows if before.sealed.keys() == after.sealed.keys()]
    wanted = sorted({(after.tenant_id, after.key_id) for _, after in rows})
    these = {"if_keys": wanted, "if_tenants": sorted({tenant_id for tenant_id, _ in wanted})}
    active = {tuple(row) for row in connection.execute(HOLD_ACTIVE_KEYS, these)} if wanted else set()
    # In the order of their keys, so that two processes that reseal the same rows do not deadlock.
    rows.sort(key=lambda pair: (pair[0].tenant_id, pair[0].row))
    for name, sealed in _SEALED.items():
        of_table = [pair for pair in rows if pair[0].table == name and (pair[1].tenant_id, pair[1].key_id) in active]
        if of_table:
            sealed.write(connection, of_table)


def _sealed_row(sealed: _Sealed, row: AnyRow) -> SealedRow:
    tenant_id, key, generation, key_id, *values = row
    return SealedRow(
        table=sealed.table.name,
        tenant_id=tenant_id,
        row=sealed.to_text(key),
        generation=generation,
        key_id=key_id,
        sealed={field: value for field, value in zip(sealed.fields, values, strict=True) if value is not None},
    )


_SEALED_ROWS = {
    name: Rows(sealed.table, _LISTINGS[name].selected_columns, partial(_sealed_row, sealed), names=(sealed.row.key,))
    for name, sealed in _SEALED.items()
}
_BY_KEK = (k.kek_uri, k.state)
_COUNT_KEYS = select(*_BY_KEK, func.count()).where(NOT_DESTROYED).group_by(*_BY_KEK)
_COUNT_ROWS = [
    select(*_BY_KEK, func.count())
    .select_from(sealed.table.join(schema.key, and_(sealed.table.c.tenant_id == k.tenant_id, sealed.table.c.key_id == k.key_id)))
    .where(NOT_DESTROYED)
    .group_by(*_BY_KEK)
    for sealed in _SEALED.values()
]
_COUNT_ROWS_OF_TENANT = [
    select(sealed.table.c.key_id, func.count()).where(sealed.table.c.tenant_id == bindparam("if_tenant")).group_by(sealed.table.c.key_id)
    for sealed in _SEALED.values()
]
_KEYS_OF_TENANT = select(*KEY).where(OF_TENANT, NOT_DESTROYED).order_by(k.version)


@across_tenants
def list_key_usage(connection: Connection, *, tenant_id: TenantId | None = None) -> tuple[KeyUsage, ...]:
    """Count data keys that are not destroyed and the rows that they seal, by key-encryption key and state, or per key of one tenant."""
    if tenant_id is None:
        by_kek: Counter[tuple[str, str]] = Counter()
        for statement in _COUNT_ROWS:
            for kek_uri, state, count in connection.execute(statement):
                by_kek[kek_uri, state] += count
        return tuple(
            KeyUsage(kek_uri=kek_uri, state=_state(state), keys=count, rows=by_kek[kek_uri, state])
            for kek_uri, state, count in sorted(connection.execute(_COUNT_KEYS).all())
        )
    by_key: Counter[UUID] = Counter()
    for statement in _COUNT_ROWS_OF_TENANT:
        for key_id, count in connection.execute(statement, {"if_tenant": tenant_id}):
            by_key[key_id] += count
    return tuple(
        KeyUsage(
            kek_uri=key.kek_uri,
            state=key.state,
            key_id=key.key_id,
            version=key.version,
            created_at=key.created_at,
            keys=1,
            rows=by_key[key.key_id],
        )
        for key in KEY_ROWS.all(connection.execute(_KEYS_OF_TENANT, {"if_tenant": tenant_id}))
    )


def _state(word: str) -> KeyState:
    """Return the state of a data key.  Raises `DamagedRowError` for a word that is no state."""
    if word in set(KeyState):
        return KeyState(word)
    raise DamagedRowError(table=schema.key.name, row="?")
