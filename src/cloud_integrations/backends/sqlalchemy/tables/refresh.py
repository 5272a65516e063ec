"""Leases, renewals and due times, in SQL."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Integer, and_, bindparam, case, func, literal, not_, null, or_, select, tuple_, update

from cloud_integrations.backends.sqlalchemy import schema
from cloud_integrations.backends.sqlalchemy.clock import NOW, NOW_ONCE, given_time, length, micros, micros_or_none
from cloud_integrations.backends.sqlalchemy.databases import database_of
from cloud_integrations.backends.sqlalchemy.db_errors import unless_stale
from cloud_integrations.backends.sqlalchemy.rows import AnyRow, Rows, Unreadable, count, nearest_time
from cloud_integrations.backends.sqlalchemy.tables.handlers import handles
from cloud_integrations.backends.sqlalchemy.tables.integration_rows import (
    AT_GENERATION,
    IS_RENEWED,
    NAMED_INTEGRATION,
    REFRESHED,
    RULES,
    THIS,
    WITH_LEASE,
    credential_columns,
    replacement_columns,
    require_one,
)
from cloud_integrations.backends.sqlalchemy.tables.keys import require_active_key
from cloud_integrations.backends.sqlalchemy.visibility import across_tenants
from cloud_integrations.domain.identifiers import ContextId, IntegrationId, ProviderId, TenantId
from cloud_integrations.domain.integration import RENEWED, DueIntegration, Phase, State
from cloud_integrations.domain.work_report import DueCount
from cloud_integrations.ports.store import MAX_COUNTED, DamagedRow, MarkSent, SaveRenewal, SetDue, SettleAttempt, TakeLease

_i = schema.integration.c

_OTHERS_OF_APPLICATION = and_(_i.provider_id == bindparam("if_provider"), _i.integration_id != bindparam("if_id"))
_OTHERS_RENEWED = select(
    func.max(case((_i.refreshed_at >= bindparam("if_since"), 1), else_=0)),
    func.max(case((_i.failed_at >= bindparam("if_since"), 1), else_=0)),
).where(_OTHERS_OF_APPLICATION)
_OTHERS_RENEWED_OF_CONTEXT = _OTHERS_RENEWED.where(_i.context_id == bindparam("if_context"))
_OTHERS_RENEWED_OF_NONE = _OTHERS_RENEWED.where(_i.context_id.is_(None))
_LIST_UNRENEWED = (
    select(_i.tenant_id, _i.integration_id, _i.provider_id, _i.generation, _i.renewal_rule)
    .where(_i.provider_id == bindparam("if_provider"), _i.state == State.NEEDS_REAUTH.value, IS_RENEWED)
    .order_by(_i.tenant_id, _i.integration_id)
    .limit(bindparam("count"))
)
_BEYOND = or_(
    _i.tenant_id > bindparam("after_tenant"), and_(_i.tenant_id == bindparam("after_tenant"), _i.integration_id > bindparam("after_id"))
)
_IN_FLIGHT = _i.phase.in_(("sent", "unknown"))
_REST_AFTER_SENDING = case((_IN_FLIGHT, bindparam("if_delay")), else_=0)
_TAKE_ANY_LEASE = (
    update(schema.integration)
    .where(
        THIS,
        AT_GENERATION,
        _i.state != "disabled",
        or_(_i.lease_until.is_(None), _i.lease_until + _REST_AFTER_SENDING < NOW),
    )
    .values(lease_token=_i.lease_token + 1, lease_until=NOW + bindparam("set_length"))
)
_TAKE_LEASE = _TAKE_ANY_LEASE.where(REFRESHED)
_MARK_ANY_SENT = (
    update(schema.integration)
    .where(THIS, WITH_LEASE, AT_GENERATION, _i.state != "disabled", _i.lease_until > NOW + bindparam("if_needed"))
    .values(phase="sent", sent_at=func.coalesce(_i.sent_at, NOW))
)
_MARK_SENT = _MARK_ANY_SENT.where(REFRESHED)
_SAVE_RENEWAL = (
    update(schema.integration)
    .where(THIS, _i.writer_lease < bindparam("if_lease"), AT_GENERATION)
    .values(
        lease_until=case((WITH_LEASE, null()), else_=_i.lease_until),
        lease_owner=case((WITH_LEASE, null()), else_=_i.lease_owner),
        phase=case((WITH_LEASE, literal(Phase.IDLE.value)), else_=_i.phase),
        sent_at=case((and_(not_(WITH_LEASE), _IN_FLIGHT), _i.sent_at), else_=null()),
    )
)
_SAVE_RENEWAL_OF_DISABLED = _SAVE_RENEWAL.where(_i.state == "disabled")
_SAVE_RENEWAL_OF_ACTIVE = _SAVE_RENEWAL.where(_i.state != "disabled")
_SAVE_RENEWAL_AND_TAKE_NOTHING_BACK = _SAVE_RENEWAL_OF_ACTIVE.where(or_(WITH_LEASE, _i.state != "needs_reauth"))
_SET_DUE = update(schema.integration).where(THIS, AT_GENERATION, REFRESHED)
_SETTLE = update(schema.integration).where(THIS, WITH_LEASE, AT_GENERATION, _i.state != "disabled")
_SETTLE_AND_END_LEASE = _SETTLE.values(attempts=_i.attempts + bindparam("set_count"), lease_until=null(), lease_owner=null())
_SETTLE_AND_KEEP_LEASE = _SETTLE.values(attempts=_i.attempts + bindparam("set_count"))


@across_tenants
def others_renewed(
    connection: Connection, provider_id: ProviderId, context_id: ContextId | None, /, *, since: datetime, but: IntegrationId
) -> bool | None:
    """Return whether other integrations of an OAuth application, of any tenant, were renewed since then.

    True: one was renewed or connected.  False: none was, though one was tried.  None: none was tried.
    """
    where: dict[str, Any] = {"if_provider": provider_id, "if_id": but, "if_since": micros(since)}
    if context_id is None:
        row = connection.execute(_OTHERS_RENEWED_OF_NONE, where).one()
    else:
        row = connection.execute(_OTHERS_RENEWED_OF_CONTEXT, {**where, "if_context": context_id}).one()
    renewed, failed = row
    if renewed:
        return True
    return False if failed else None


@across_tenants
def list_unrenewed(
    connection: Connection,
    provider_id: ProviderId,
    /,
    *,
    reason: str | None = None,
    after: tuple[TenantId, IntegrationId] | None = None,
    limit: int,
) -> tuple[DueIntegration, ...]:
    """Return integrations that are in state needs_reauth and have a refresh token, ordered by tenant and id."""
    statement, named = _LIST_UNRENEWED, {"if_provider": provider_id, "count": limit}
    if reason is not None:
        statement, named = statement.where(_i.reason == bindparam("if_reason")), {**named, "if_reason": reason}
    if after is not None:
        statement, named = statement.where(_BEYOND), {**named, "after_tenant": after[0], "after_id": after[1]}
    return _DUE_ROWS.all(connection.execute(statement, named))


@handles(TakeLease)
def _take_lease(connection: Connection, change: TakeLease) -> None:
    written = connection.execute(
        _TAKE_ANY_LEASE if change.asks_again else _TAKE_LEASE,
        {
            "if_tenant": change.tenant_id,
            "if_id": change.integration_id,
            "if_generation": change.expected_generation,
            "if_delay": length(change.takeover_delay),
            "set_length": length(change.length),
            "clock": given_time(connection),
            "lease_owner": change.owner,
            "phase": Phase.LEASED.value,
            "attempt_id": change.attempt_id,
        },
    )
    unless_stale(written.rowcount == 1)


@handles(MarkSent)
def _mark_sent(connection: Connection, change: MarkSent) -> None:
    statement = _MARK_ANY_SENT if change.asks_again else _MARK_SENT
    written = connection.execute(statement, {**_own_attempt(change), "if_needed": length(change.needed), "clock": given_time(connection)})
    unless_stale(written.rowcount == 1)


@handles(SaveRenewal, tenant="facts.tenant_id")
def _save_renewal(connection: Connection, change: SaveRenewal) -> None:
    facts = change.facts
    require_active_key(connection, facts.tenant_id, change.credential.key_id)
    where = {"if_tenant": facts.tenant_id, "if_id": facts.id}
    if facts.state is State.DISABLED:
        statement = _SAVE_RENEWAL_OF_DISABLED
        state: dict[str, Any] = {"reason": facts.reason}
    else:
        statement = _SAVE_RENEWAL_OF_ACTIVE if change.takes_back else _SAVE_RENEWAL_AND_TAKE_NOTHING_BACK
        state = {
            "state": facts.state.value,
            "state_since": micros(facts.state_since),
            "reason": facts.reason,
            "due_at": micros_or_none(change.due_at),
        }
    written = connection.execute(
        statement,
        {
            **where,
            "if_lease": change.lease_token,
            "if_attempt": change.attempt_id,
            "if_generation": change.credential.generation - 1,
            **{column: value for column, value in credential_columns(change.credential).items() if column != "account_fingerprint"},
            **state,
            "scopes": json.dumps(facts.scopes),
            "missing_scopes": json.dumps(facts.missing_scopes),
            "expires_at": micros_or_none(facts.expires_at),
            "reconnect_before": micros_or_none(facts.reconnect_before),
            **({} if change.variables is None else {"variables": json.dumps(change.variables)}),
            "updated_at": micros(facts.updated_at),
            "writer_lease": change.lease_token,
            "attempts": 0,
            "next_attempt_at": micros_or_none(change.next_attempt_at),
            "last_error": None,
            "failed_at": None,
            "refused_since": None,
            "refreshed_at": micros(change.refreshed_at),
            **replacement_columns(change.replacement),
        },
    )
    require_one(connection, written.rowcount, where)


@handles(SetDue)
def _set_due(connection: Connection, change: SetDue) -> None:
    where = {"if_tenant": change.tenant_id, "if_id": change.integration_id, "if_generation": change.expected_generation}
    written = connection.execute(_SET_DUE, {**where, "due_at": micros(change.due_at)})
    unless_stale(written.rowcount == 1)


@handles(SettleAttempt)
def _settle_attempt(connection: Connection, change: SettleAttempt) -> None:
    statement = _SETTLE_AND_KEEP_LEASE if change.phase is Phase.UNKNOWN else _SETTLE_AND_END_LEASE
    written = connection.execute(
        statement,
        {
            **_own_attempt(change),
            "set_count": int(change.count_attempt),
            "phase": change.phase.value,
            "state": change.state.value,
            "reason": change.reason,
            "state_since": micros(change.state_since),
            "last_error": change.error,
            "failed_at": micros_or_none(change.failed_at),
            "refused_since": micros_or_none(change.refused_since),
            "next_attempt_at": micros_or_none(change.next_attempt_at),
            "due_at": micros_or_none(change.due_at) if change.state.is_refreshed else None,
            **({} if change.state is State.UNKNOWN else {"sent_at": None}),
        },
    )
    unless_stale(written.rowcount == 1)


def _own_attempt(change: MarkSent | SettleAttempt) -> dict[str, Any]:
    return {
        "if_tenant": change.tenant_id,
        "if_id": change.integration_id,
        "if_lease": change.lease_token,
        "if_attempt": change.attempt_id,
        "if_generation": change.generation,
    }


_CLAIMS_FROM_THE_FRONT = 20
"""One in this many claims begins at the earliest due time."""
# IS NOT NULL is the condition of the partial index; without it, a prepared statement could not conclude it from its parameter.
_DUE = and_(_i.due_at.is_not(None), _i.due_at <= NOW_ONCE, REFRESHED)
_CLAIMED = (_i.tenant_id, _i.integration_id, _i.provider_id, _i.generation, _i.renewal_rule)
# The count is rendered as a literal: for a parameter, PostgreSQL's planner assumes a tenth of the table.
_LONGEST_DUE = (
    select(*_CLAIMED, _i.due_at, NOW_ONCE.label("now"))
    .where(_DUE, _i.due_at >= bindparam("since"))
    .order_by(_i.due_at, _i.tenant_id, _i.integration_id)
    .limit(bindparam("count", type_=Integer, literal_execute=True))
    .with_for_update(skip_locked=True)
)
_LONGEST_DUE_FIRST = _LONGEST_DUE.cte("due")
_CLAIM_DUE = (
    update(schema.integration)
    .where(_i.tenant_id == _LONGEST_DUE_FIRST.c.tenant_id, _i.integration_id == _LONGEST_DUE_FIRST.c.integration_id)
    .values(due_at=NOW_ONCE + bindparam("set_hold"))
    .returning(*_CLAIMED, _LONGEST_DUE_FIRST.c.due_at)
)
# The condition on the tenants is for SQLite, which uses no index for pairs.
_HOLD_DUE = update(schema.integration).where(
    _i.tenant_id.in_(bindparam("if_tenants", expanding=True)),
    tuple_(_i.tenant_id, _i.integration_id).in_(bindparam("if_keys", expanding=True)),
)
_OLDEST_DUE = select(_i.due_at).where(_DUE).order_by(_i.due_at).limit(MAX_COUNTED).subquery()
_COUNT_DUE = select(func.count().label("due"), func.min(_OLDEST_DUE.c.due_at).label("since")).select_from(_OLDEST_DUE)


class DueFront:
    """The due time at which a claim begins to search; one for each store.

    Before it are rows that other transactions lock and, until the database removes them, dead index entries of claimed rows.  It is
    only a hint: a claim that finds too few rows behind it searches again from the start, and so does one claim in 20, for rows that
    have become due before it.
    """

    __slots__ = ("_claims", "since")

    def __init__(self) -> None:
        self.since = 0
        self._claims = 0

    def begin(self) -> int:
        """Return the due time from which to search, in microseconds since 1970."""
        self._claims += 1
        return self.since if self._claims % _CLAIMS_FROM_THE_FRONT else 0


def _due(row: AnyRow) -> DueIntegration:
    return DueIntegration(
        tenant_id=row[0],
        integration_id=row[1],
        provider_id=row[2],
        generation=count(row[3], least=1),
        renewable=RULES[row[4]] in RENEWED,
    )


_DUE_ROWS = Rows(schema.integration, _CLAIMED, _due, names=NAMED_INTEGRATION)


@across_tenants
def claim_due(connection: Connection, front: DueFront, *, limit: int, hold: timedelta) -> tuple[DueIntegration | DamagedRow, ...]:
    """Return the *limit* integrations that have been due for longest, and move their due time *hold* into the future."""
    since = front.begin()
    rows = _claim_since(connection, since, limit=limit, hold=hold)
    is_full = len(rows) == limit
    if since and not is_full:
        rows = [*rows, *_claim_since(connection, 0, limit=limit - len(rows), hold=hold)]
    front.since = max(row.due_at for row in rows) if is_full else 0
    return _DUE_ROWS.each([row[: len(_CLAIMED)] for row in rows])


def _claim_since(connection: Connection, since: int, *, limit: int, hold: timedelta) -> Sequence[AnyRow]:
    found = {"since": since, "count": limit, "clock": given_time(connection)}
    if database_of(connection).updates_return_joined_rows:
        return connection.execute(_CLAIM_DUE, {**found, "set_hold": length(hold)}).all()
    # On other databases an UPDATE returns no rows, or no columns of the joined table.
    rows = connection.execute(_LONGEST_DUE, found).all()
    if rows:
        # A row whose id cannot be read cannot be held: it stays due and is reported by each claim.
        keys = [(row.tenant_id, row.integration_id) for row in rows if not isinstance(row.integration_id, Unreadable)]
        to_hold = {"if_tenants": [tenant_id for tenant_id, _ in keys], "if_keys": keys, "due_at": rows[0].now + length(hold)}
        connection.execute(_HOLD_DUE, to_hold)
    return rows


@across_tenants
def count_due(connection: Connection) -> DueCount:
    """Return how many integrations are due and not claimed, at most `MAX_COUNTED`, and since when the oldest is."""
    row = connection.execute(_COUNT_DUE, {"clock": given_time(connection)}).one()
    return DueCount(count=row.due, since=None if row.since is None else nearest_time(row.since))
