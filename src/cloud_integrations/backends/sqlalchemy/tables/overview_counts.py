"""What happened and what will, over all tenants, counted by time and by error in SQL.

Each statement looks at a limited number of index entries, whatever the size of the tables.
"""

from __future__ import annotations

from collections import Counter
from datetime import UTC, date, datetime, time, timedelta
from typing import Final

from sqlalchemy import BigInteger, Connection, Integer, bindparam, case, func, literal_column, select

from cloud_integrations.backends.sqlalchemy import schema
from cloud_integrations.backends.sqlalchemy.clock import given_time, micros
from cloud_integrations.backends.sqlalchemy.rows import AnySelect, nearest_time
from cloud_integrations.backends.sqlalchemy.tables.walks import ending_walks, word
from cloud_integrations.backends.sqlalchemy.visibility import across_tenants
from cloud_integrations.domain.audit import REFRESH, Outcome
from cloud_integrations.domain.identifiers import ProviderId
from cloud_integrations.domain.integration import Health, State, health_of
from cloud_integrations.domain.overview import EndingDay, ErrorCount, ErrorCounts
from cloud_integrations.ports.store import MAX_COUNTED, MAX_ENDING, MAX_LOOKED, RenewalCounts

_i = schema.integration.c
_e = schema.audit.c

_HOUR: Final = timedelta(hours=1)
_DAY: Final = timedelta(days=1)
_FAILING = (State.RETRY, State.UNKNOWN, State.NEEDS_REAUTH, State.ACTIVE)
"""The states in which a row may have an error; an active one has it where the application is refused, or a mint failed."""

_SINCE, _BEFORE = bindparam("since", type_=BigInteger), bindparam("before", type_=BigInteger)
_MOST = literal_column(str(MAX_COUNTED), Integer)


def _renewals(outcome: Outcome) -> AnySelect:
    looked = (
        select(_e.provider_id)
        .where(_e.action == word(REFRESH), _e.outcome == word(outcome.value), _e.occurred_at >= _SINCE, _e.occurred_at < _BEFORE)
        .order_by(_e.occurred_at)
        .limit(_MOST)
        .subquery("looked")
    )
    return select(looked.c.provider_id, func.count().label("number")).group_by(looked.c.provider_id)


# A statement for each hour and each day: one for all of them takes longer to write than these to run.
_RENEWALS = {outcome: _renewals(outcome) for outcome in (Outcome.SUCCESS, Outcome.FAILURE, Outcome.UNKNOWN)}
_ENDS = tuple(walk.counting(most=literal_column(str(MAX_ENDING), Integer)) for walk in ending_walks(_BEFORE, since=_SINCE))


@across_tenants
def count_renewals(connection: Connection, *, since: datetime, hours: int) -> tuple[RenewalCounts, ...]:
    """Count the events of renewals in each of *hours* hours from *since*, of all tenants, by provider."""
    found = []
    for start in (since + number * _HOUR for number in range(hours)):
        where = {"since": micros(start), "before": micros(start + _HOUR)}
        counts = {
            outcome: Counter({row.provider_id: int(row.number) for row in connection.execute(statement, where)})
            for outcome, statement in _RENEWALS.items()
        }
        found.append(
            RenewalCounts(
                start=start,
                renewed=counts[Outcome.SUCCESS],
                failed=counts[Outcome.FAILURE] + counts[Outcome.UNKNOWN],
                at_least=any(each.total() == MAX_COUNTED for each in counts.values()),
            )
        )
    return tuple(found)


@across_tenants
def count_ends(connection: Connection, *, since: date, days: int) -> tuple[EndingDay, ...]:
    """Count the integrations of all tenants that work and whose known end is on each of *days* days from *since*."""
    found = []
    for day in (since + number * _DAY for number in range(days)):
        start = datetime.combine(day, time(), UTC)
        where = {"since": micros(start), "before": micros(start + _DAY), "clock": given_time(connection)}
        counts = [connection.execute(statement, where).one() for statement in _ENDS]
        number = sum(int(row.fitting) for row in counts)
        found.append(EndingDay(day=day, number=number, at_least=any(row.looked == MAX_ENDING for row in counts)))
    return tuple(found)


@across_tenants
def count_errors(connection: Connection, provider_id: ProviderId, /, *, since: datetime) -> ErrorCounts:
    """Count the integrations with a provider, of all tenants, whose last attempt failed at that time or later, by health and error."""
    errors: dict[tuple[Health, str], ErrorCount] = {}
    at_least = False
    for state in _FAILING:
        rows = connection.execute(_errors_in(state, provider_id, micros(since))).all()
        at_least |= sum(row.looked for row in rows) == MAX_LOOKED
        for row in rows:
            number = int(row.number)
            if not number or not isinstance(row.error, str):
                continue
            health = health_of(state, row.reason)
            other = errors.get((health, row.error))
            last_at = nearest_time(row.last_at)
            errors[health, row.error] = ErrorCount(
                health=health,
                error=row.error,
                number=number if other is None else number + other.number,
                last_at=last_at if other is None else max(last_at, other.last_at),
            )
    ordered = sorted(errors.values(), key=lambda each: (-each.number, each.health, each.error))
    return ErrorCounts(errors=tuple(ordered), at_least=at_least)


def _errors_in(state: State, provider_id: ProviderId, since: int) -> AnySelect:
    looked = (
        select(_i.reason, func.coalesce(_i.last_error, _i.reason).label("error"), func.coalesce(_i.failed_at, _i.state_since).label("at"))
        .where(_i.state == word(state.value), _i.provider_id == provider_id)
        .order_by(_i.method_id, _i.tenant_id, _i.integration_id)
        .limit(literal_column(str(MAX_LOOKED), Integer))
        .subquery()
    )
    found = looked.c
    is_meant = case((found.at >= since, 1), else_=0)
    counts = (func.count().label("looked"), func.sum(is_meant).label("number"), func.max(found.at).label("last_at"))
    return select(found.reason, found.error, *counts).group_by(found.reason, found.error)
