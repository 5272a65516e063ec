"""Data keys, and check values of the keys that wrap them, in SQL."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Select, and_, bindparam, delete, exists, func, insert, literal, null, or_, select, tuple_, update

from cloud_integrations.backends.sqlalchemy import schema
from cloud_integrations.backends.sqlalchemy.clock import micros, micros_or_none
from cloud_integrations.backends.sqlalchemy.db_errors import OutdatedSnapshotError, insert_unless_there, refused_as, unless_stale
from cloud_integrations.backends.sqlalchemy.rows import AnyRow, Rows, count, time, time_or_none
from cloud_integrations.backends.sqlalchemy.tables.handlers import handles
from cloud_integrations.backends.sqlalchemy.visibility import across_tenants, without_tenant
from cloud_integrations.domain.envelope import SUITE_AES_256_GCM, KeyCheck, KeyState, WrappedKey
from cloud_integrations.domain.identifiers import TenantId
from cloud_integrations.errors import DamagedRowError, KeyRetiredError, StaleWriteError
from cloud_integrations.ports.store import AddKey, AddKeyCheck, DestroyKey, EraseTenant, RefuseKeys, RewrapKey, RotateKey

k = schema.key.c
_f = schema.key_floor.c
_c = schema.key_check.c
i = schema.integration.c
a = schema.authorization.c
o = schema.outbox.c
OF_TENANT = k.tenant_id == bindparam("if_tenant")
_THIS = and_(OF_TENANT, k.key_id == bindparam("if_key"))
NOT_DESTROYED = k.state != KeyState.DESTROYED.value
KEY = (
    k.key_id,
    k.tenant_id,
    k.version,
    k.state,
    k.suite,
    k.kek_uri,
    k.kek_key_id,
    k.wrapped,
    k.created_at,
    k.retired_at,
    k.destroyed_at,
)
_WITH_FLOOR = schema.key.outerjoin(schema.key_floor, _f.tenant_id == k.tenant_id)
_FOUND = and_(
    NOT_DESTROYED,
    k.version >= func.coalesce(_f.min_version, 1),
    k.version > func.coalesce(_f.erased_version, 0),
)
_FIND_KEY = select(*KEY).select_from(_WITH_FLOOR).where(_THIS, _FOUND)
_FIND_KEYS = select(*KEY).select_from(_WITH_FLOOR).where(k.tenant_id.in_(bindparam("if_tenants", expanding=True)), _FOUND)
_FIND_ACTIVE_KEY = select(*KEY).select_from(_WITH_FLOOR).where(OF_TENANT, k.active_marker == 1, _FOUND)
# A key that `find_key` does not find must not seal, because the value could not be opened.  Not a join: only the key's row is locked.
_MAY_SEAL = and_(
    k.active_marker == 1,
    ~exists().where(_f.tenant_id == k.tenant_id, or_(_f.min_version > k.version, _f.erased_version >= k.version)),
)
_HOLD_ACTIVE_KEY = select(k.key_id).where(_THIS, _MAY_SEAL).with_for_update(read=True)
# The condition on the tenants is for SQLite, which uses no index for pairs.
HOLD_ACTIVE_KEYS = (
    select(k.tenant_id, k.key_id)
    .where(
        k.tenant_id.in_(bindparam("if_tenants", expanding=True)),
        tuple_(k.tenant_id, k.key_id).in_(bindparam("if_keys", expanding=True)),
        _MAY_SEAL,
    )
    .with_for_update(read=True)
)
_LAST_VERSION = select(func.max(k.version)).where(OF_TENANT)
_LAST_DESTROYED_VERSION = _LAST_VERSION.where(k.state == KeyState.DESTROYED.value)
_FIND_FLOOR = select(_f.tenant_id, _f.erased_version).where(_f.tenant_id == bindparam("if_tenant"))
_SET_FLOOR = update(schema.key_floor).where(_f.tenant_id == bindparam("if_tenant"))
_LIST_KEYS = select(*KEY).where(NOT_DESTROYED).order_by(k.tenant_id, k.version).limit(bindparam("count"))
# Written so that every database starts reading the index where the page begins.
_BEYOND = and_(
    k.tenant_id >= bindparam("if_after_tenant"),
    or_(k.tenant_id > bindparam("if_after_tenant"), k.version > bindparam("if_after_version")),
)
_LIST_DESTROYED = select(k.key_id, k.tenant_id, k.version).where(OF_TENANT, k.state == KeyState.DESTROYED.value).order_by(k.version)
_LIST_KEYS_OF_TENANT = _LIST_KEYS.where(OF_TENANT)
# Scalar subqueries, which are evaluated key by key: for an EXISTS, PostgreSQL would read each whole table first.
_FIRST_ROW = func.coalesce(
    *[
        select(literal(1)).where(sealed.c.tenant_id == k.tenant_id, sealed.c.key_id == k.key_id).limit(1).scalar_subquery()
        for sealed in (schema.integration, schema.authorization, schema.application, schema.webhook, schema.outbox)
    ]
)
_LIST_REPLACED = (
    select(*KEY)
    .where(k.state == KeyState.DECRYPT_ONLY.value, _FIRST_ROW.is_not(None))
    .order_by(k.key_id, k.tenant_id)
    .limit(bindparam("count"))
)
_LIST_REPLACED_BEYOND = _LIST_REPLACED.where(k.key_id > bindparam("if_after"))
_LIST_RETURNED = (
    select(*KEY)
    .select_from(_WITH_FLOOR)
    .where(NOT_DESTROYED, k.version <= _f.erased_version)
    .order_by(k.tenant_id, k.version)
    .limit(bindparam("count"))
)
_LIST_KEK_IDS = select(k.kek_key_id).where(NOT_DESTROYED).distinct()
_LIST_KEY_CHECKS = select(_c.kek_uri, _c.kek_key_id, _c.canary)
_ADD_KEY = insert(schema.key)
_RETIRE = update(schema.key).where(_THIS, k.state == KeyState.ACTIVE.value).values(state=KeyState.DECRYPT_ONLY.value, active_marker=null())
_REWRAP = update(schema.key).where(
    _THIS, NOT_DESTROYED, k.kek_key_id == bindparam("if_kek"), k.wrapped == bindparam("if_wrapped", type_=k.wrapped.type)
)
_OVERWRITE: dict[str, Any] = {"state": KeyState.DESTROYED.value, "active_marker": null(), "wrapped": b""}
_DESTROY = update(schema.key).where(_THIS, k.state == KeyState.DECRYPT_ONLY.value, _FIRST_ROW.is_(None)).values(**_OVERWRITE)
_DESTROY_ALL = update(schema.key).where(OF_TENANT, NOT_DESTROYED).values(**_OVERWRITE)
_ANY_INTEGRATION = select(literal(1)).where(i.tenant_id == bindparam("if_tenant")).limit(1)
_PASSES = 5
_DROP_PENDING = delete(schema.authorization).where(a.tenant_id == bindparam("if_tenant"))
_DROP_APPLICATIONS = delete(schema.application).where(schema.application.c.tenant_id == bindparam("if_tenant"))
_DROP_CONNECT_SESSIONS = delete(schema.connect_session).where(schema.connect_session.c.tenant_id == bindparam("if_tenant"))
_DROP_SESSIONS = delete(schema.session).where(schema.session.c.tenant_id == bindparam("if_tenant"))
_DROP_ENTRIES = delete(schema.outbox).where(o.tenant_id == bindparam("if_tenant"), o.key_id.is_not(None))
_DROP_WEBHOOKS = delete(schema.webhook).where(schema.webhook.c.tenant_id == bindparam("if_tenant"))
_DROP_ANNOUNCEMENTS = delete(schema.announcement).where(schema.announcement.c.tenant_id == bindparam("if_tenant"))


def find_key(connection: Connection, tenant_id: TenantId, key_id: UUID, /) -> WrappedKey | None:
    """Return this data key of the tenant; None if there is none, or if it is destroyed, refused (`RefuseKeys`) or erased."""
    row = connection.execute(_FIND_KEY, {"if_tenant": tenant_id, "if_key": key_id}).first()
    return KEY_ROWS.one(row)


@across_tenants
def find_keys(connection: Connection, tenant_ids: Collection[TenantId], /) -> tuple[WrappedKey, ...]:
    """Return every data key of these tenants that `find_key` would find, in no order; at most 1,000 tenants."""
    return KEY_ROWS.all(connection.execute(_FIND_KEYS, {"if_tenants": list(tenant_ids)}))


def find_active_key(connection: Connection, tenant_id: TenantId, /) -> WrappedKey | None:
    """Return the data key that new values of the tenant are sealed with, or None."""
    row = connection.execute(_FIND_ACTIVE_KEY, {"if_tenant": tenant_id}).first()
    return KEY_ROWS.one(row)


def last_key_version(connection: Connection, tenant_id: TenantId, /) -> int:
    """Return the highest version of a data key that the tenant has or ever had; 0 if there was none."""
    last = _version(connection, _LAST_VERSION, tenant_id)
    return max(last, _erased_version(connection, tenant_id))


@across_tenants
def list_keys(
    connection: Connection, *, tenant_id: TenantId | None = None, after: tuple[TenantId, int] | None = None, limit: int
) -> tuple[WrappedKey, ...]:
    """Return data keys that are not destroyed, ordered by tenant and version."""
    statement = _LIST_KEYS if tenant_id is None else _LIST_KEYS_OF_TENANT
    parameters: dict[str, Any] = {"count": limit} if tenant_id is None else {"count": limit, "if_tenant": tenant_id}
    if after is not None:
        statement = statement.where(_BEYOND)
        parameters |= {"if_after_tenant": after[0], "if_after_version": after[1]}
    return KEY_ROWS.all(connection.execute(statement, parameters))


@across_tenants
def list_replaced_keys(connection: Connection, *, after: UUID | None = None, limit: int) -> tuple[WrappedKey, ...]:
    """Return data keys that only open and still seal a row, ordered by id."""
    if after is None:
        rows = connection.execute(_LIST_REPLACED, {"count": limit})
    else:
        rows = connection.execute(_LIST_REPLACED_BEYOND, {"count": limit, "if_after": after})
    return KEY_ROWS.all(rows)


@across_tenants
def list_returned_keys(connection: Connection, *, limit: int) -> tuple[WrappedKey, ...]:
    """Return data keys that were erased with their tenant and exist again: a backup was restored."""
    return KEY_ROWS.all(connection.execute(_LIST_RETURNED, {"count": limit}))


def list_destroyed_keys(connection: Connection, tenant_id: TenantId, /) -> tuple[UUID, ...]:
    """Return the ids of the tenant's data keys that were destroyed, the oldest first."""
    return _DESTROYED_ROWS.all(connection.execute(_LIST_DESTROYED, {"if_tenant": tenant_id}))


@without_tenant
def list_key_checks(connection: Connection) -> tuple[KeyCheck, ...]:
    """Return the check values of every key-encryption key ever used."""
    return _CHECK_ROWS.all(connection.execute(_LIST_KEY_CHECKS))


@across_tenants
def list_kek_ids(connection: Connection) -> tuple[bytes, ...]:
    """Return the ids of the key-encryption keys that wrap a data key which is not destroyed."""
    return tuple(sorted(_KEK_ROWS.all(connection.execute(_LIST_KEK_IDS))))


def require_active_key(connection: Connection, tenant_id: TenantId, key_id: UUID) -> None:
    """Lock the row of the tenant's active key until the transaction ends; raise `KeyRetiredError` if *key_id* is not that key."""
    if connection.execute(_HOLD_ACTIVE_KEY, {"if_tenant": tenant_id, "if_key": key_id}).first() is None:
        raise KeyRetiredError


@handles(AddKey, tenant="key.tenant_id")
def add_key(connection: Connection, change: AddKey) -> None:
    """See `AddKey`."""
    _insert_key(connection, change.key)


@handles(RotateKey, tenant="key.tenant_id")
def rotate_key(connection: Connection, change: RotateKey) -> None:
    """See `RotateKey`."""
    key = change.key
    retired = connection.execute(_RETIRE, {"if_tenant": key.tenant_id, "if_key": change.replaces, "retired_at": micros(key.created_at)})
    unless_stale(retired.rowcount == 1)
    _insert_key(connection, key)


@handles(RewrapKey, tenant="before.tenant_id")
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
    # Nothing is written under a replaced key, so no row can appear that this statement does not see.
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
    # Two erasures of one tenant wait for each other here, because they might lock its keys in different orders.
    _set_floor(connection, change.tenant_id, {"erased_at": at})
    # Then the keys: this waits for transactions that seal under one of them, so that no integration is added after the look below.
    # Such a transaction may also have made another key, which a statement that waited does not see: so it is repeated.
    for _ in range(_PASSES):
        if connection.execute(_DESTROY_ALL, {**of_tenant, "destroyed_at": at}).rowcount == 0:
            break
    else:
        raise StaleWriteError
    unless_stale(connection.execute(_ANY_INTEGRATION, of_tenant).first() is None)
    connection.execute(_DROP_PENDING, of_tenant)
    connection.execute(_DROP_APPLICATIONS, of_tenant)
    connection.execute(_DROP_SESSIONS, of_tenant)
    connection.execute(_DROP_CONNECT_SESSIONS, of_tenant)
    connection.execute(_DROP_ENTRIES, of_tenant)
    connection.execute(_DROP_WEBHOOKS, of_tenant)
    connection.execute(_DROP_ANNOUNCEMENTS, of_tenant)
    # Only destroyed versions count: a key that was made for the tenant in the meantime stays and belongs to a new beginning.
    last = _version(connection, _LAST_DESTROYED_VERSION, change.tenant_id)
    last = max(last, _erased_version(connection, change.tenant_id))
    _set_floor(connection, change.tenant_id, {"erased_version": last})


@handles(AddKeyCheck)
@without_tenant
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
        # SQLite's MAX ranks a text above every number, so the column has a text.
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
        # No other suite exists, so the column was edited.
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


KEY_ROWS = Rows(schema.key, KEY, _wrapped_key, names=("key_id",))
_FLOOR_ROWS = Rows(schema.key_floor, _FIND_FLOOR.selected_columns, lambda row: count(row.erased_version), names=("tenant_id",))
_CHECK_ROWS = Rows(schema.key_check, _LIST_KEY_CHECKS.selected_columns, _key_check, names=("kek_key_id",))
_DESTROYED_ROWS = Rows(schema.key, _LIST_DESTROYED.selected_columns, lambda row: row.key_id, names=("tenant_id", "version"))
_KEK_ROWS = Rows(schema.key, _LIST_KEK_IDS.selected_columns, lambda row: row.kek_key_id, names=("kek_key_id",))
