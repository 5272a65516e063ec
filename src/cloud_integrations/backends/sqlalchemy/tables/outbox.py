"""The outbox of revocations, in SQL."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from typing import get_args

from sqlalchemy import Connection, and_, bindparam, delete, func, insert, select, update

from cloud_integrations.backends.sqlalchemy import schema
from cloud_integrations.backends.sqlalchemy.clock import NOW_ONCE, given_time, length, micros
from cloud_integrations.backends.sqlalchemy.db_errors import refused_as
from cloud_integrations.backends.sqlalchemy.rows import AnyRow, Rows, Unreadable, count, pairs, time
from cloud_integrations.domain.identifiers import ProviderId, TenantId
from cloud_integrations.domain.removal import Revocation, TokenKind
from cloud_integrations.errors import StaleWriteError
from cloud_integrations.ports.store import AddRevocation, DamagedRow, DelayRevocation, FinishRevocation

from .handlers import handles
from .keys import require_active_key

# Names of parameters begin with `if_` in conditions, so that they never meet a column that is set.
_r = schema.revocation.c

_REVOCATION = (
    _r.revocation_id,
    _r.tenant_id,
    _r.integration_id,
    _r.provider_id,
    _r.method_id,
    _r.context_id,
    _r.kind,
    _r.sealed_token,
    _r.key_id,
    _r.account_fingerprint,
    _r.variables,
    _r.attempts,
    _r.next_attempt_at,
    _r.created_at,
    _r.last_error,
)
_THIS_REVOCATION = and_(_r.tenant_id == bindparam("if_tenant"), _r.revocation_id == bindparam("if_id"))
_ADD_REVOCATION = insert(schema.revocation)
_FINISH_REVOCATION = delete(schema.revocation).where(_THIS_REVOCATION)
_DELAY_REVOCATION = update(schema.revocation).where(_THIS_REVOCATION).values(attempts=_r.attempts + 1)
_HOLD_REVOCATION = update(schema.revocation).where(_THIS_REVOCATION)
_DUE_REVOCATIONS = (
    select(*_REVOCATION, NOW_ONCE.label("now"))
    .where(_r.next_attempt_at <= NOW_ONCE)
    .order_by(_r.next_attempt_at, _r.tenant_id, _r.revocation_id)
    .limit(bindparam("count"))
    .with_for_update(skip_locked=True)
)
_LIST_REVOCATIONS = (
    select(*_REVOCATION).where(_r.tenant_id == bindparam("if_tenant")).order_by(_r.created_at, _r.revocation_id).limit(bindparam("count"))
)
_LIST_REVOCATIONS_FROM_ONE = _LIST_REVOCATIONS.where(_r.provider_id == bindparam("if_provider"))
_COUNT_REVOCATIONS = select(func.count()).select_from(schema.revocation)


def claim_revocations(connection: Connection, *, limit: int, hold: timedelta) -> tuple[Revocation | DamagedRow, ...]:
    """Return entries of the outbox whose time has come, oldest first, and hold them."""
    rows = connection.execute(_DUE_REVOCATIONS, {"count": limit, "clock": given_time(connection)}).all()
    # What cannot be named cannot be held: it stays due, and is told each time.
    to_hold = [
        {"if_tenant": row.tenant_id, "if_id": row.revocation_id, "next_attempt_at": row.now + length(hold)}
        for row in rows
        if not isinstance(row.revocation_id, Unreadable)
    ]
    if to_hold:
        connection.execute(_HOLD_REVOCATION, to_hold)
    claimed = []
    for row in rows:
        entry = _CLAIMED_ROWS.value_or_name(row)
        claimed.append(replace(entry, next_attempt_at=time(row.now + length(hold))) if isinstance(entry, Revocation) else entry)
    return tuple(claimed)


def count_revocations(connection: Connection) -> int:
    """Return how many tokens wait to be revoked."""
    return int(connection.execute(_COUNT_REVOCATIONS).scalar_one())


def list_revocations(
    connection: Connection, tenant_id: TenantId, /, *, provider_id: ProviderId | None = None, limit: int
) -> tuple[Revocation | DamagedRow, ...]:
    """Return entries of the outbox for tokens of this tenant (from one provider), the oldest first."""
    if provider_id is None:
        rows = connection.execute(_LIST_REVOCATIONS, {"if_tenant": tenant_id, "count": limit})
    else:
        rows = connection.execute(_LIST_REVOCATIONS_FROM_ONE, {"if_tenant": tenant_id, "if_provider": provider_id, "count": limit})
    return _REVOCATION_ROWS.each(rows)


@handles(AddRevocation)
def _add_revocation(connection: Connection, change: AddRevocation) -> None:
    entry = change.revocation
    require_active_key(connection, entry.tenant_id, entry.key_id)
    row = {
        "tenant_id": entry.tenant_id,
        "revocation_id": entry.id,
        "integration_id": entry.integration_id,
        "provider_id": entry.provider_id,
        "method_id": entry.method_id,
        "context_id": entry.context_id,
        "kind": entry.kind,
        "sealed_token": entry.sealed_token,
        "key_id": entry.key_id,
        "account_fingerprint": entry.account_fingerprint,
        "variables": json.dumps(entry.variables),
        "attempts": entry.attempts,
        "next_attempt_at": micros(entry.next_attempt_at),
        "created_at": micros(entry.created_at),
        "last_error": entry.last_error,
    }
    with refused_as(StaleWriteError()):
        connection.execute(_ADD_REVOCATION, row)


@handles(FinishRevocation)
def _finish_revocation(connection: Connection, change: FinishRevocation) -> None:
    connection.execute(_FINISH_REVOCATION, {"if_tenant": change.tenant_id, "if_id": change.revocation_id})


@handles(DelayRevocation)
def _delay_revocation(connection: Connection, change: DelayRevocation) -> None:
    connection.execute(
        _DELAY_REVOCATION,
        {
            "if_tenant": change.tenant_id,
            "if_id": change.revocation_id,
            "next_attempt_at": micros(change.next_attempt_at),
            "last_error": change.error,
        },
    )


_KINDS: dict[str, TokenKind] = {kind: kind for kind in get_args(TokenKind)}


def _revocation(row: AnyRow) -> Revocation:
    return Revocation(
        id=row.revocation_id,
        tenant_id=row.tenant_id,
        integration_id=row.integration_id,
        provider_id=row.provider_id,
        method_id=row.method_id,
        context_id=row.context_id,
        kind=_KINDS[row.kind],
        sealed_token=row.sealed_token,
        key_id=row.key_id,
        account_fingerprint=row.account_fingerprint,
        variables=pairs(row.variables),
        attempts=count(row.attempts),
        next_attempt_at=time(row.next_attempt_at),
        created_at=time(row.created_at),
        last_error=row.last_error,
    )


_CLAIMED_ROWS = Rows(schema.revocation, _DUE_REVOCATIONS.selected_columns, _revocation, names=("revocation_id",))
_REVOCATION_ROWS = Rows(schema.revocation, _REVOCATION, _revocation, names=("revocation_id",))
