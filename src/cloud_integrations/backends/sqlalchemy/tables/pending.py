"""Pending authorizations, in SQL."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Final, get_args

from sqlalchemy import Connection, and_, bindparam, delete, exists, insert, not_, or_, select, update

from cloud_integrations.backends.sqlalchemy import schema
from cloud_integrations.backends.sqlalchemy.clock import NOW, NOW_ONCE, given_time, length, micros, micros_or_none
from cloud_integrations.backends.sqlalchemy.db_errors import refused_as, unless_stale
from cloud_integrations.backends.sqlalchemy.rows import AnyRow, Rows, pairs, time, time_or_none, words
from cloud_integrations.backends.sqlalchemy.visibility import across_tenants
from cloud_integrations.domain.audit import Actor
from cloud_integrations.domain.device import Polling
from cloud_integrations.domain.identifiers import ProviderId, TenantId
from cloud_integrations.domain.pending import PendingAuthorization, PendingKind, most_of_actor, surplus
from cloud_integrations.errors import StaleWriteError
from cloud_integrations.ports.store import AddPending, BeginPoll, ClosePending, EndPoll

from .handlers import handles
from .keys import require_active_key

# Parameters in conditions have names with the prefix `if_`, so that they differ from those of columns that are set.
_a = schema.authorization.c
_KINDS: Final[dict[str, PendingKind]] = {kind: kind for kind in get_args(PendingKind)}

_PENDING = (
    _a.state_hash,
    _a.tenant_id,
    _a.provider_id,
    _a.slot,
    _a.awaits,
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
    _a.sealed_parts,
    _a.key_id,
    _a.issuer,
    _a.variables,
    _a.return_to,
    _a.poll_interval,
    _a.poll_next_at,
    _a.poll_count,
    _a.created_at,
    _a.expires_at,
    _a.consumed_at,
)
_OPEN = and_(_a.consumed_at.is_(None), _a.expires_at > NOW)
_BY_STATE = _a.state_hash == bindparam("if_hash")
_FIND_PENDING = select(*_PENDING).where(_BY_STATE, _OPEN)
_FIND_CLOSED = select(*_PENDING).where(_BY_STATE, not_(_OPEN))
_TAKE_PENDING = update(schema.authorization).where(_BY_STATE, _OPEN).values(consumed_at=NOW)
_TAKEN_PENDING = select(*_PENDING).where(_BY_STATE)
_OF_SLOT = and_(_a.tenant_id == bindparam("if_tenant"), _a.provider_id == bindparam("if_provider"), _a.slot == bindparam("if_slot"))
_HAS_PENDING = select(exists().where(_OF_SLOT, _OPEN, _a.awaits == "callback"))
_AT_COUNT = _a.poll_count == bindparam("if_count")
_BEGIN_POLL = (
    update(schema.authorization)
    .where(_BY_STATE, _OPEN, _AT_COUNT, _a.poll_next_at <= NOW)
    .values(poll_count=_a.poll_count + 1, poll_next_at=NOW + bindparam("set_hold"))
)
_END_POLL = (
    update(schema.authorization)
    .where(_BY_STATE, _OPEN, _AT_COUNT)
    .values(poll_interval=bindparam("set_interval"), poll_next_at=NOW + bindparam("set_wait"))
)
_ADD_PENDING = insert(schema.authorization)
_CLOSE_PENDING = delete(schema.authorization).where(_OF_SLOT)
_DROP_CLOSED = delete(schema.authorization).where(
    _a.tenant_id == bindparam("if_tenant"), or_(_a.expires_at <= NOW_ONCE, _a.consumed_at.is_not(None))
)
_OPEN_OF_TENANT = {
    is_setup: select(_a.state_hash, _a.actor_type, _a.actor_id)
    .where(_a.tenant_id == bindparam("if_tenant"), _OPEN, _a.awaits == "setup" if is_setup else _a.awaits != "setup")
    .order_by(_a.created_at.desc(), _a.state_hash.desc())
    for is_setup in (False, True)
}
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


@across_tenants
def find_pending(connection: Connection, state_hash: bytes, /) -> PendingAuthorization | None:
    """Return an authorization that is neither consumed nor expired (by the store's clock), or None."""
    row = connection.execute(_FIND_PENDING, {"if_hash": state_hash, "clock": given_time(connection)}).first()
    return _PENDING_ROWS.one(row)


@across_tenants
def find_closed(connection: Connection, state_hash: bytes, /) -> PendingAuthorization | None:
    """Return an authorization that is consumed or expired (by the store's clock) and not yet deleted, or None."""
    row = connection.execute(_FIND_CLOSED, {"if_hash": state_hash, "clock": given_time(connection)}).first()
    return _PENDING_ROWS.one(row)


@across_tenants
def take_pending(connection: Connection, state_hash: bytes, /) -> PendingAuthorization | None:
    """Consume an authorization by one conditional statement; None if there is none, or another call consumed it (OAU-015)."""
    if connection.execute(_TAKE_PENDING, {"if_hash": state_hash, "clock": given_time(connection)}).rowcount != 1:
        return None
    return _PENDING_ROWS.one(connection.execute(_TAKEN_PENDING, {"if_hash": state_hash}).one())


@across_tenants
def sweep_pending(connection: Connection, *, limit: int) -> int:
    """Delete up to *limit* expired authorizations, consumed or not, of all tenants; return how many."""
    found = connection.execute(_EXPIRED, {"count": limit, "clock": given_time(connection)}).scalars()
    # A hash that was edited and is no longer bytes cannot be a parameter: its row stays, and the others are deleted.
    hashes = [state_hash for state_hash in found if isinstance(state_hash, bytes)]
    if hashes:
        connection.execute(_SWEEP_PENDING, {"if_hashes": hashes})
    return len(hashes)


def has_pending(connection: Connection, tenant_id: TenantId, provider_id: ProviderId, /, *, slot: str = "") -> bool:
    """Return whether an authorization of this tenant with this provider is open for this slot, and waits for a callback."""
    where = {"if_tenant": tenant_id, "if_provider": provider_id, "if_slot": slot, "clock": given_time(connection)}
    return bool(connection.execute(_HAS_PENDING, where).scalar_one())


@handles(AddPending, tenant="pending.tenant_id")
def _add_pending(connection: Connection, change: AddPending) -> None:
    pending = change.pending
    if pending.key_id is not None:
        require_active_key(connection, pending.tenant_id, pending.key_id)
    where = {"if_tenant": pending.tenant_id, "clock": given_time(connection)}
    connection.execute(_DROP_CLOSED, where)
    opened = [
        (row.state_hash, Actor(type=row.actor_type, id=row.actor_id))
        for row in connection.execute(_OPEN_OF_TENANT[pending.awaits == "setup"], where)
        if isinstance(row.state_hash, bytes)
    ]
    if dropped := surplus(opened, pending.actor, most=most_of_actor(pending.awaits)):
        connection.execute(_DROP_SURPLUS, {"if_tenant": pending.tenant_id, "if_hashes": dropped})
    row = {
        "state_hash": pending.state_hash,
        "tenant_id": pending.tenant_id,
        "provider_id": pending.provider_id,
        "slot": pending.slot,
        "awaits": pending.awaits,
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
        "sealed_parts": pending.sealed_parts,
        "key_id": pending.key_id,
        "issuer": pending.issuer,
        "variables": json.dumps(pending.variables),
        "return_to": pending.return_to,
        "poll_interval": None if pending.polling is None else length(pending.polling.interval),
        "poll_next_at": None if pending.polling is None else micros(pending.polling.next_at),
        "poll_count": None if pending.polling is None else pending.polling.count,
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
        slot=row.slot,
        awaits=_KINDS[row.awaits],
        method_id=row.method_id,
        context_id=row.context_id,
        integration_id=row.integration_id,
        reconnects_generation=row.reconnects_generation,
        actor=Actor(type=row.actor_type, id=row.actor_id),
        browser_hash=row.browser_hash,
        name=row.name,
        redirect_uri=row.redirect_uri,
        scopes=words(row.scopes),
        sealed_parts=row.sealed_parts,
        key_id=row.key_id,
        issuer=row.issuer,
        variables=pairs(row.variables),
        return_to=row.return_to,
        polling=_polling(row),
        created_at=time(row.created_at),
        expires_at=time(row.expires_at),
        consumed_at=time_or_none(row.consumed_at),
    )


def _polling(row: AnyRow) -> Polling | None:
    if row.poll_count is None:
        return None
    return Polling(interval=timedelta(microseconds=row.poll_interval), next_at=time(row.poll_next_at), count=row.poll_count)


_PENDING_ROWS = Rows(schema.authorization, _PENDING, _pending, names=("state_hash",))


@handles(ClosePending)
def _close_pending(connection: Connection, change: ClosePending) -> None:
    where = {"if_tenant": change.tenant_id, "if_provider": change.provider_id, "if_slot": change.slot}
    connection.execute(_CLOSE_PENDING, where)


@handles(BeginPoll)
@across_tenants
def _begin_poll(connection: Connection, change: BeginPoll) -> None:
    where = {"if_hash": change.state_hash, "if_count": change.count, "clock": given_time(connection)}
    written = connection.execute(_BEGIN_POLL, {**where, "set_hold": length(change.hold)})
    unless_stale(written.rowcount == 1)


@handles(EndPoll)
@across_tenants
def _end_poll(connection: Connection, change: EndPoll) -> None:
    where = {"if_hash": change.state_hash, "if_count": change.count, "clock": given_time(connection)}
    written = connection.execute(_END_POLL, {**where, "set_interval": length(change.interval), "set_wait": length(change.wait)})
    unless_stale(written.rowcount == 1)
