"""Pending authorizations, in SQL."""

from __future__ import annotations

import json

from sqlalchemy import Connection, and_, bindparam, delete, exists, insert, or_, select, update

from cloud_integrations.backends.sqlalchemy import schema
from cloud_integrations.backends.sqlalchemy.clock import NOW, NOW_ONCE, given_time, micros, micros_or_none
from cloud_integrations.backends.sqlalchemy.db_errors import refused_as
from cloud_integrations.backends.sqlalchemy.rows import AnyRow, Rows, pairs, time, time_or_none, words
from cloud_integrations.domain.audit import Actor
from cloud_integrations.domain.identifiers import ProviderId, TenantId
from cloud_integrations.domain.pending import PendingAuthorization, surplus
from cloud_integrations.errors import StaleWriteError
from cloud_integrations.ports.store import AddPending, ClosePending

from .handlers import handles
from .keys import require_active_key

# Names of parameters begin with `if_` in conditions, so that they never meet a column that is set.
_a = schema.authorization.c

_PENDING = (
    _a.state_hash,
    _a.tenant_id,
    _a.provider_id,
    _a.method_id,
    _a.context_id,
    _a.integration_id,
    _a.reconnects_generation,
    _a.actor_type,
    _a.actor_id,
    _a.browser_hash,
    _a.name,
    _a.redirect_uri,
    _a.scopes,
    _a.sealed_verifier,
    _a.key_id,
    _a.issuer,
    _a.variables,
    _a.return_to,
    _a.created_at,
    _a.expires_at,
    _a.consumed_at,
)
_OPEN = and_(_a.consumed_at.is_(None), _a.expires_at > NOW)
_BY_STATE = _a.state_hash == bindparam("if_hash")
_FIND_PENDING = select(*_PENDING).where(_BY_STATE, _OPEN)
_TAKE_PENDING = update(schema.authorization).where(_BY_STATE, _OPEN).values(consumed_at=NOW)
_TAKEN_PENDING = select(*_PENDING).where(_BY_STATE)
_HAS_PENDING = select(exists().where(_a.tenant_id == bindparam("if_tenant"), _a.provider_id == bindparam("if_provider"), _OPEN))
_ADD_PENDING = insert(schema.authorization)
_CLOSE_PENDING = delete(schema.authorization).where(_a.tenant_id == bindparam("if_tenant"), _a.provider_id == bindparam("if_provider"))
_DROP_CLOSED = delete(schema.authorization).where(
    _a.tenant_id == bindparam("if_tenant"), or_(_a.expires_at <= NOW_ONCE, _a.consumed_at.is_not(None))
)
_OPEN_OF_TENANT = (
    select(_a.state_hash, _a.actor_type, _a.actor_id)
    .where(_a.tenant_id == bindparam("if_tenant"), _OPEN)
    .order_by(_a.created_at.desc(), _a.state_hash.desc())
)
_DROP_SURPLUS = delete(schema.authorization).where(
    _a.tenant_id == bindparam("if_tenant"), _a.state_hash.in_(bindparam("if_hashes", expanding=True))
)

_EXPIRED = (
    select(_a.state_hash)
    .where(_a.expires_at <= NOW_ONCE)
    .order_by(_a.expires_at, _a.tenant_id, _a.state_hash)
    .limit(bindparam("count"))
    .with_for_update(skip_locked=True)
)
_SWEEP_PENDING = delete(schema.authorization).where(_a.state_hash.in_(bindparam("if_hashes", expanding=True)))


def find_pending(connection: Connection, state_hash: bytes, /) -> PendingAuthorization | None:
    """Return an authorization that is neither consumed nor expired, or None."""
    row = connection.execute(_FIND_PENDING, {"if_hash": state_hash, "clock": given_time(connection)}).first()
    return _PENDING_ROWS.one(row)


def take_pending(connection: Connection, state_hash: bytes, /) -> PendingAuthorization | None:
    """Consume an authorization; None if there is none, or somebody was first."""
    if connection.execute(_TAKE_PENDING, {"if_hash": state_hash, "clock": given_time(connection)}).rowcount != 1:
        return None
    return _PENDING_ROWS.one(connection.execute(_TAKEN_PENDING, {"if_hash": state_hash}).one())


def sweep_pending(connection: Connection, *, limit: int) -> int:
    """Delete up to *limit* expired authorizations of all tenants; return how many."""
    found = connection.execute(_EXPIRED, {"count": limit, "clock": given_time(connection)}).scalars()
    # A hash that somebody has edited names no row to a statement: it stays, and holds up no other.
    hashes = [state_hash for state_hash in found if isinstance(state_hash, bytes)]
    if hashes:
        connection.execute(_SWEEP_PENDING, {"if_hashes": hashes})
    return len(hashes)


def has_pending(connection: Connection, tenant_id: TenantId, provider_id: ProviderId, /) -> bool:
    """Whether an authorization of this tenant with this provider is open."""
    return bool(
        connection.execute(_HAS_PENDING, {"if_tenant": tenant_id, "if_provider": provider_id, "clock": given_time(connection)}).scalar_one()
    )


@handles(AddPending)
def _add_pending(connection: Connection, change: AddPending) -> None:
    pending = change.pending
    if pending.key_id is not None:
        require_active_key(connection, pending.tenant_id, pending.key_id)
    where = {"if_tenant": pending.tenant_id, "clock": given_time(connection)}
    connection.execute(_DROP_CLOSED, where)
    opened = [
        (row.state_hash, Actor(type=row.actor_type, id=row.actor_id))
        for row in connection.execute(_OPEN_OF_TENANT, where)
        if isinstance(row.state_hash, bytes)
    ]
    if dropped := surplus(opened, pending.actor):
        connection.execute(_DROP_SURPLUS, {"if_tenant": pending.tenant_id, "if_hashes": dropped})
    row = {
        "state_hash": pending.state_hash,
        "tenant_id": pending.tenant_id,
        "provider_id": pending.provider_id,
        "method_id": pending.method_id,
        "context_id": pending.context_id,
        "integration_id": pending.integration_id,
        "reconnects_generation": pending.reconnects_generation,
        "actor_type": pending.actor.type,
        "actor_id": pending.actor.id,
        "browser_hash": pending.browser_hash,
        "name": pending.name,
        "redirect_uri": pending.redirect_uri,
        "scopes": json.dumps(pending.scopes),
        "sealed_verifier": pending.sealed_verifier,
        "key_id": pending.key_id,
        "issuer": pending.issuer,
        "variables": json.dumps(pending.variables),
        "return_to": pending.return_to,
        "created_at": micros(pending.created_at),
        "expires_at": micros(pending.expires_at),
        "consumed_at": micros_or_none(pending.consumed_at),
    }
    with refused_as(StaleWriteError()):
        connection.execute(_ADD_PENDING, row)


def _pending(row: AnyRow) -> PendingAuthorization:
    return PendingAuthorization(
        state_hash=bytes(row.state_hash),
        tenant_id=row.tenant_id,
        provider_id=row.provider_id,
        method_id=row.method_id,
        context_id=row.context_id,
        integration_id=row.integration_id,
        reconnects_generation=row.reconnects_generation,
        actor=Actor(type=row.actor_type, id=row.actor_id),
        browser_hash=row.browser_hash,
        name=row.name,
        redirect_uri=row.redirect_uri,
        scopes=words(row.scopes),
        sealed_verifier=row.sealed_verifier,
        key_id=row.key_id,
        issuer=row.issuer,
        variables=pairs(row.variables),
        return_to=row.return_to,
        created_at=time(row.created_at),
        expires_at=time(row.expires_at),
        consumed_at=time_or_none(row.consumed_at),
    )


_PENDING_ROWS = Rows(schema.authorization, _PENDING, _pending, names=("state_hash",))


@handles(ClosePending)
def _close_pending(connection: Connection, change: ClosePending) -> None:
    connection.execute(_CLOSE_PENDING, {"if_tenant": change.tenant_id, "if_provider": change.provider_id})
