"""What the store does with data keys, and with the rows that they seal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any
from uuid import UUID

from sqlalchemy import (
    Column,
    Connection,
    Integer,
    Select,
    Table,
    and_,
    bindparam,
    delete,
    exists,
    func,
    insert,
    literal,
    null,
    or_,
    select,
    tuple_,
    update,
)

from cloud_integrations.backends.sqlalchemy import schema
from cloud_integrations.backends.sqlalchemy.clock import micros, micros_or_none
from cloud_integrations.backends.sqlalchemy.db_errors import OutdatedSnapshotError, insert_unless_there, refused_as, unless_stale
from cloud_integrations.backends.sqlalchemy.rows import AnyRow, Rows, count, time, time_or_none
from cloud_integrations.domain.envelope import SUITE_AES_256_GCM, KeyCheck, KeyState, WrappedKey
from cloud_integrations.domain.identifiers import TenantId
from cloud_integrations.domain.rekeying import KeyUsage, SealedRow
from cloud_integrations.errors import DamagedRowError, KeyRetiredError, StaleWriteError
from cloud_integrations.ports.store import AddKey, AddKeyCheck, DestroyKey, EraseTenant, RefuseKeys, Reseal, RewrapKey, RotateKey

from .handlers import handles

_k = schema.key.c
_f = schema.key_floor.c
_c = schema.key_check.c
_i = schema.integration.c
_a = schema.authorization.c
_r = schema.revocation.c

_OF_TENANT = _k.tenant_id == bindparam("if_tenant")
_THIS = and_(_OF_TENANT, _k.key_id == bindparam("if_key"))
_NOT_DESTROYED = _k.state != KeyState.DESTROYED.value

_KEY = (
    _k.key_id,
    _k.tenant_id,
    _k.version,
    _k.state,
    _k.suite,
    _k.kek_uri,
    _k.kek_key_id,
    _k.wrapped,
    _k.created_at,
    _k.retired_at,
    _k.destroyed_at,
)
_WITH_FLOOR = schema.key.outerjoin(schema.key_floor, _f.tenant_id == _k.tenant_id)
_FOUND = and_(
    _NOT_DESTROYED,
    _k.version >= func.coalesce(_f.min_version, 1),
    _k.version > func.coalesce(_f.erased_version, 0),
)
_FIND_KEY = select(*_KEY).select_from(_WITH_FLOOR).where(_THIS, _FOUND)
_FIND_KEYS = select(*_KEY).select_from(_WITH_FLOOR).where(_k.tenant_id.in_(bindparam("if_tenants", expanding=True)), _FOUND)
_FIND_ACTIVE_KEY = select(*_KEY).select_from(_WITH_FLOOR).where(_OF_TENANT, _k.active_marker == 1, _FOUND)
# A key that is not found would seal what nobody can open.  No join: only the key's row is to be held.
_MAY_SEAL = and_(
    _k.active_marker == 1,
    ~exists().where(_f.tenant_id == _k.tenant_id, or_(_f.min_version > _k.version, _f.erased_version >= _k.version)),
)
_HOLD_ACTIVE_KEY = select(_k.key_id).where(_THIS, _MAY_SEAL).with_for_update(read=True)
# The tenants lead to the keys: SQLite finds no index for pairs.
_HOLD_ACTIVE_KEYS = (
    select(_k.tenant_id, _k.key_id)
    .where(
        _k.tenant_id.in_(bindparam("if_tenants", expanding=True)),
        tuple_(_k.tenant_id, _k.key_id).in_(bindparam("if_keys", expanding=True)),
        _MAY_SEAL,
    )
    .with_for_update(read=True)
)
_LAST_VERSION = select(func.max(_k.version)).where(_OF_TENANT)
_LAST_DESTROYED_VERSION = _LAST_VERSION.where(_k.state == KeyState.DESTROYED.value)
_FIND_FLOOR = select(_f.tenant_id, _f.erased_version).where(_f.tenant_id == bindparam("if_tenant"))
_SET_FLOOR = update(schema.key_floor).where(_f.tenant_id == bindparam("if_tenant"))

_LIST_KEYS = select(*_KEY).where(_NOT_DESTROYED).order_by(_k.tenant_id, _k.version).limit(bindparam("count"))
# Written so that an index is entered at the place where the page begins, on every database.
_BEYOND = and_(
    _k.tenant_id >= bindparam("if_after_tenant"),
    or_(_k.tenant_id > bindparam("if_after_tenant"), _k.version > bindparam("if_after_version")),
)
_LIST_DESTROYED = select(_k.key_id, _k.tenant_id, _k.version).where(_OF_TENANT, _k.state == KeyState.DESTROYED.value).order_by(_k.version)
_LIST_KEYS_OF_TENANT = _LIST_KEYS.where(_OF_TENANT)
# Looked up key by key; for an EXISTS, PostgreSQL would read each table whole first.
_FIRST_ROW = func.coalesce(
    *[
        select(literal(1)).where(sealed.c.tenant_id == _k.tenant_id, sealed.c.key_id == _k.key_id).limit(1).scalar_subquery()
        for sealed in (schema.integration, schema.authorization, schema.revocation)
    ]
)
_LIST_REPLACED = (
    select(*_KEY)
    .where(_k.state == KeyState.DECRYPT_ONLY.value, _FIRST_ROW.is_not(None))
    .order_by(_k.key_id, _k.tenant_id)
    .limit(bindparam("count"))
)
_LIST_REPLACED_BEYOND = _LIST_REPLACED.where(_k.key_id > bindparam("if_after"))
_LIST_RETURNED = (
    select(*_KEY)
    .select_from(_WITH_FLOOR)
    .where(_NOT_DESTROYED, _k.version <= _f.erased_version)
    .order_by(_k.tenant_id, _k.version)
    .limit(bindparam("count"))
)
_LIST_KEK_IDS = select(_k.kek_key_id).where(_NOT_DESTROYED).distinct()
_LIST_KEY_CHECKS = select(_c.kek_uri, _c.kek_key_id, _c.canary)

_ADD_KEY = insert(schema.key)
_RETIRE = update(schema.key).where(_THIS, _k.state == KeyState.ACTIVE.value).values(state=KeyState.DECRYPT_ONLY.value, active_marker=null())
_REWRAP = update(schema.key).where(
    _THIS, _NOT_DESTROYED, _k.kek_key_id == bindparam("if_kek"), _k.wrapped == bindparam("if_wrapped", type_=_k.wrapped.type)
)
_OVERWRITE: dict[str, Any] = {"state": KeyState.DESTROYED.value, "active_marker": null(), "wrapped": b""}
_DESTROY = update(schema.key).where(_THIS, _k.state == KeyState.DECRYPT_ONLY.value, _FIRST_ROW.is_(None)).values(**_OVERWRITE)
_DESTROY_ALL = update(schema.key).where(_OF_TENANT, _NOT_DESTROYED).values(**_OVERWRITE)
_ANY_INTEGRATION = select(literal(1)).where(_i.tenant_id == bindparam("if_tenant")).limit(1)
_PASSES = 5
_DROP_PENDING = delete(schema.authorization).where(_a.tenant_id == bindparam("if_tenant"))
_DROP_REVOCATIONS = delete(schema.revocation).where(_r.tenant_id == bindparam("if_tenant"))


def find_key(connection: Connection, tenant_id: TenantId, key_id: UUID) -> WrappedKey | None:
    """Return this data key of the tenant, unless it is destroyed, refused or erased."""
    row = connection.execute(_FIND_KEY, {"if_tenant": tenant_id, "if_key": key_id}).first()
    return _KEY_ROWS.one(row)


def find_keys(connection: Connection, tenant_ids: Collection[TenantId]) -> tuple[WrappedKey, ...]:
    """Return every data key of these tenants that is not destroyed, refused or erased."""
    return _KEY_ROWS.all(connection.execute(_FIND_KEYS, {"if_tenants": list(tenant_ids)}))


def find_active_key(connection: Connection, tenant_id: TenantId) -> WrappedKey | None:
    """Return the data key that new values of the tenant are sealed with, or None."""
    row = connection.execute(_FIND_ACTIVE_KEY, {"if_tenant": tenant_id}).first()
    return _KEY_ROWS.one(row)


def last_key_version(connection: Connection, tenant_id: TenantId) -> int:
    """Return the highest version that the tenant has or ever had."""
    last = _version(connection, _LAST_VERSION, tenant_id)
    return max(last, _erased_version(connection, tenant_id))


def list_keys(
    connection: Connection, *, tenant_id: TenantId | None, after: tuple[TenantId, int] | None, limit: int
) -> tuple[WrappedKey, ...]:
    """Return data keys that are not destroyed, ordered by tenant and version."""
    statement = _LIST_KEYS if tenant_id is None else _LIST_KEYS_OF_TENANT
    parameters: dict[str, Any] = {"count": limit} if tenant_id is None else {"count": limit, "if_tenant": tenant_id}
    if after is not None:
        statement = statement.where(_BEYOND)
        parameters |= {"if_after_tenant": after[0], "if_after_version": after[1]}
    return _KEY_ROWS.all(connection.execute(statement, parameters))


def list_replaced_keys(connection: Connection, *, after: UUID | None, limit: int) -> tuple[WrappedKey, ...]:
    """Return data keys that only open and still seal a row, ordered by id."""
    if after is None:
        rows = connection.execute(_LIST_REPLACED, {"count": limit})
    else:
        rows = connection.execute(_LIST_REPLACED_BEYOND, {"count": limit, "if_after": after})
    return _KEY_ROWS.all(rows)


def list_returned_keys(connection: Connection, *, limit: int) -> tuple[WrappedKey, ...]:
    """Return data keys that were erased with their tenant and are there again."""
    return _KEY_ROWS.all(connection.execute(_LIST_RETURNED, {"count": limit}))


def list_destroyed_keys(connection: Connection, tenant_id: TenantId) -> tuple[UUID, ...]:
    """Return the ids of the tenant's data keys that were destroyed, the oldest first."""
    return _DESTROYED_ROWS.all(connection.execute(_LIST_DESTROYED, {"if_tenant": tenant_id}))


def list_key_checks(connection: Connection) -> tuple[KeyCheck, ...]:
    """Return the canaries of every wrapping key ever used."""
    return _CHECK_ROWS.all(connection.execute(_LIST_KEY_CHECKS))


def list_kek_ids(connection: Connection) -> tuple[bytes, ...]:
    """Return the ids of the wrapping keys that wrap a data key which is not destroyed."""
    return tuple(sorted(_KEK_ROWS.all(connection.execute(_LIST_KEK_IDS))))


def require_active_key(connection: Connection, tenant_id: TenantId, key_id: UUID) -> None:
    """Hold the row of the tenant's active key until the transaction ends, or raise `KeyRetiredError`."""
    if connection.execute(_HOLD_ACTIVE_KEY, {"if_tenant": tenant_id, "if_key": key_id}).first() is None:
        raise KeyRetiredError


@handles(AddKey)
def add_key(connection: Connection, change: AddKey) -> None:
    """See `AddKey`."""
    _insert_key(connection, change.key)


@handles(RotateKey)
def rotate_key(connection: Connection, change: RotateKey) -> None:
    """See `RotateKey`."""
    key = change.key
    retired = connection.execute(_RETIRE, {"if_tenant": key.tenant_id, "if_key": change.replaces, "retired_at": micros(key.created_at)})
    unless_stale(retired.rowcount == 1)
    _insert_key(connection, key)


@handles(RewrapKey)
def rewrap_key(connection: Connection, change: RewrapKey) -> None:
    """See `RewrapKey`."""
    before = change.before
    written = connection.execute(
        _REWRAP,
        {
            "if_tenant": before.tenant_id,
            "if_key": before.key_id,
            "if_kek": before.kek_key_id,
            "if_wrapped": before.wrapped,
            "kek_uri": change.kek_uri,
            "kek_key_id": change.kek_key_id,
            "wrapped": change.wrapped,
        },
    )
    unless_stale(written.rowcount == 1)


@handles(DestroyKey)
def destroy_key(connection: Connection, change: DestroyKey) -> None:
    """See `DestroyKey`."""
    # Nothing is written under a key that only opens, so what this statement does not see does not come.
    destroyed = connection.execute(
        _DESTROY, {"if_tenant": change.tenant_id, "if_key": change.key_id, "destroyed_at": micros(change.destroyed_at)}
    )
    unless_stale(destroyed.rowcount == 1)


@handles(RefuseKeys)
def refuse_keys(connection: Connection, change: RefuseKeys) -> None:
    """See `RefuseKeys`."""
    _set_floor(connection, change.tenant_id, {"min_version": change.min_version})


@handles(EraseTenant)
def erase_tenant(connection: Connection, change: EraseTenant) -> None:
    """See `EraseTenant`."""
    of_tenant = {"if_tenant": change.tenant_id}
    at = micros(change.erased_at)
    # Two erasures of one tenant queue here: they may see its keys in different orders.
    _set_floor(connection, change.tenant_id, {"erased_at": at})
    # Then the keys: this waits for whoever writes under one, so that the look at the integrations is the last word.
    # Who was waited for may have put another key in its place, which a statement that waited did not see.
    for _ in range(_PASSES):
        if connection.execute(_DESTROY_ALL, {**of_tenant, "destroyed_at": at}).rowcount == 0:
            break
    else:
        raise StaleWriteError
    unless_stale(connection.execute(_ANY_INTEGRATION, of_tenant).first() is None)
    connection.execute(_DROP_PENDING, of_tenant)
    connection.execute(_DROP_REVOCATIONS, of_tenant)
    # A key that came to a tenant without one meanwhile is not among them: it begins the tenant's next life.
    last = _version(connection, _LAST_DESTROYED_VERSION, change.tenant_id)
    last = max(last, _erased_version(connection, change.tenant_id))
    _set_floor(connection, change.tenant_id, {"erased_version": last})


@handles(AddKeyCheck)
def add_key_check(connection: Connection, change: AddKeyCheck) -> None:
    """See `AddKeyCheck`."""
    check = change.check
    row = {"kek_uri": check.kek_uri, "kek_key_id": check.kek_key_id, "canary": check.canary}
    insert_unless_there(connection, schema.key_check, row)


def _insert_key(connection: Connection, key: WrappedKey) -> None:
    unless_stale(key.version > _erased_version(connection, TenantId(key.tenant_id)))
    row = {
        "tenant_id": key.tenant_id,
        "key_id": key.key_id,
        "version": key.version,
        "state": key.state.value,
        "active_marker": 1 if key.state is KeyState.ACTIVE else None,
        "suite": key.suite,
        "kek_uri": key.kek_uri,
        "kek_key_id": key.kek_key_id,
        "wrapped": key.wrapped,
        "created_at": micros(key.created_at),
        "retired_at": micros_or_none(key.retired_at),
        "destroyed_at": micros_or_none(key.destroyed_at),
    }
    with refused_as(StaleWriteError()):
        connection.execute(_ADD_KEY, row)


def _version(connection: Connection, highest: Select[Any], tenant_id: TenantId) -> int:
    found = connection.execute(highest, {"if_tenant": tenant_id}).scalar()
    if found is not None and not isinstance(found, int):
        # Of numbers and texts, SQLite takes a text for the highest.
        raise DamagedRowError(table=schema.key.name, row="?")
    return found or 0


def _erased_version(connection: Connection, tenant_id: TenantId) -> int:
    return _FLOOR_ROWS.one(connection.execute(_FIND_FLOOR, {"if_tenant": tenant_id}).first()) or 0


def _set_floor(connection: Connection, tenant_id: TenantId, values: Mapping[str, int]) -> None:
    insert_unless_there(connection, schema.key_floor, {"tenant_id": tenant_id, "min_version": 1, "erased_version": 0})
    if connection.execute(_SET_FLOOR, {"if_tenant": tenant_id, **values}).rowcount == 0:
        raise OutdatedSnapshotError


def _wrapped_key(row: AnyRow) -> WrappedKey:
    if row.suite != SUITE_AES_256_GCM:
        # There is no other, so nothing that this key sealed says so, too.
        raise ValueError
    return WrappedKey(
        key_id=row.key_id,
        tenant_id=row.tenant_id,
        version=count(row.version, least=1),
        state=KeyState(row.state),
        suite=row.suite,
        kek_uri=row.kek_uri,
        kek_key_id=row.kek_key_id,
        wrapped=row.wrapped,
        created_at=time(row.created_at),
        retired_at=time_or_none(row.retired_at),
        destroyed_at=time_or_none(row.destroyed_at),
    )


def _key_check(row: AnyRow) -> KeyCheck:
    return KeyCheck(kek_uri=row.kek_uri, kek_key_id=row.kek_key_id, canary=row.canary)


_KEY_ROWS = Rows(schema.key, _KEY, _wrapped_key, names=("key_id",))
_FLOOR_ROWS = Rows(schema.key_floor, _FIND_FLOOR.selected_columns, lambda row: count(row.erased_version), names=("tenant_id",))
_CHECK_ROWS = Rows(schema.key_check, _LIST_KEY_CHECKS.selected_columns, _key_check, names=("kek_key_id",))
_DESTROYED_ROWS = Rows(schema.key, _LIST_DESTROYED.selected_columns, lambda row: row.key_id, names=("tenant_id", "version"))
_KEK_ROWS = Rows(schema.key, _LIST_KEK_IDS.selected_columns, lambda row: row.kek_key_id, names=("kek_key_id",))


# Sealed rows


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sealed:
    """A table with sealed columns."""

    table: Table
    row: Column[Any]
    """With the tenant, its primary key."""
    fields: Mapping[str, Column[Any]]
    """By the field's name in the sealing context."""
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
                # The key ids lead to the rows.  For pairs SQLite finds no index and PostgreSQL plans for long, so that no database
                # is tempted, the tenant among them is no plain column.
                columns.key_id.in_(bindparam("if_key_ids", expanding=True)),
                tuple_(func.coalesce(columns.tenant_id, ""), columns.key_id).in_(bindparam("if_keys", expanding=True)),
            )
            .limit(bindparam("count"))
        )

    def write(self, connection: Connection, rows: Collection[tuple[SealedRow, SealedRow]]) -> None:
        """Replace the fields of each row that is still as it was."""
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
            row=_i.integration_id,
            fields={name: _i[name] for name in ("access_token", "refresh_token", "api_key", "api_secret")},
            generation=_i.generation,
            to_text=str,
            from_text=UUID,
        ),
        _Sealed(
            table=schema.authorization,
            row=_a.state_hash,
            fields={"verifier": _a.sealed_verifier},
            to_text=lambda value: bytes(value).hex(),
            from_text=bytes.fromhex,
        ),
        _Sealed(table=schema.revocation, row=_r.revocation_id, fields={"token": _r.sealed_token}, to_text=str, from_text=UUID),
    )
}
_LISTINGS = {name: sealed.listing for name, sealed in _SEALED.items()}


def list_sealed(connection: Connection, keys: Collection[tuple[TenantId, UUID]], *, limit: int) -> tuple[SealedRow, ...]:
    """Return rows of any table that are sealed under these data keys."""
    found: list[SealedRow] = []
    wanted = {"if_keys": list(keys), "if_key_ids": [key_id for _, key_id in keys]}
    for name, listing in _LISTINGS.items():
        if keys and len(found) < limit:
            rows = connection.execute(listing, {**wanted, "count": limit - len(found)})
            found += _SEALED_ROWS[name].all(rows)
    return tuple(found)


@handles(Reseal)
def reseal(connection: Connection, change: Reseal) -> None:
    """See `Reseal`."""
    # A field that is only on one side would be lost, or belong to another credential.
    rows = [(before, after) for before, after in change.rows if before.sealed.keys() == after.sealed.keys()]
    wanted = sorted({(after.tenant_id, after.key_id) for _, after in rows})
    these = {"if_keys": wanted, "if_tenants": sorted({tenant_id for tenant_id, _ in wanted})}
    active = {tuple(row) for row in connection.execute(_HOLD_ACTIVE_KEYS, these)} if wanted else set()
    # In the order of their keys, so that of two who reseal the same rows nobody waits in a circle.
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


_BY_KEK = (_k.kek_uri, _k.state)
_COUNT_KEYS = select(*_BY_KEK, func.count()).where(_NOT_DESTROYED).group_by(*_BY_KEK)
_COUNT_ROWS = [
    select(*_BY_KEK, func.count())
    .select_from(sealed.table.join(schema.key, and_(sealed.table.c.tenant_id == _k.tenant_id, sealed.table.c.key_id == _k.key_id)))
    .where(_NOT_DESTROYED)
    .group_by(*_BY_KEK)
    for sealed in _SEALED.values()
]
_COUNT_ROWS_OF_TENANT = [
    select(sealed.table.c.key_id, func.count()).where(sealed.table.c.tenant_id == bindparam("if_tenant")).group_by(sealed.table.c.key_id)
    for sealed in _SEALED.values()
]
_KEYS_OF_TENANT = select(*_KEY).where(_OF_TENANT, _NOT_DESTROYED).order_by(_k.version)


def list_key_usage(connection: Connection, *, tenant_id: TenantId | None) -> tuple[KeyUsage, ...]:
    """Count data keys and rows by wrapping key and state, or each data key's rows of one tenant."""
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
        for key in _KEY_ROWS.all(connection.execute(_KEYS_OF_TENANT, {"if_tenant": tenant_id}))
    )


def _state(word: str) -> KeyState:
    if word in set(KeyState):
        return KeyState(word)
    raise DamagedRowError(table=schema.key.name, row="?")
