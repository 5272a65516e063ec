"""Walks along the indexes of integrations, over all tenants.

A walk goes along an index in its order: from its beginning or after a position, in pieces of limited size, and looks at each row whether
it fits.  So a piece costs the same in a table of any size.  Which index that is depends on the filter; some filters take several walks.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    ColumnElement,
    Connection,
    Integer,
    String,
    and_,
    bindparam,
    case,
    func,
    literal,
    literal_column,
    not_,
    or_,
    select,
)

from cloud_integrations.backends.sqlalchemy import schema
from cloud_integrations.backends.sqlalchemy.clock import NOW_ONCE, given_time, micros
from cloud_integrations.backends.sqlalchemy.rows import AnyRow, AnySelect, python_type
from cloud_integrations.backends.sqlalchemy.tables.integration_rows import IS_UNCHOSEN, REFRESHED, STATE_NOW
from cloud_integrations.domain.cursor import CursorValue
from cloud_integrations.domain.integration import APPLICATION_REASONS, HEALTH, Health, State
from cloud_integrations.domain.overview import IntegrationFilter

_i = schema.integration.c
_k = schema.key.c

KEY = (_i.tenant_id, _i.integration_id)
KEY_VERSION: ColumnElement[int] = (
    select(_k.version)
    .where(_k.tenant_id == _i.tenant_id, _k.key_id == _i.key_id)
    .correlate(schema.integration)
    .scalar_subquery()
    .label("key_version")
)
_WORKS_NOW = STATE_NOW.in_([state.value for state in State if state.is_refreshed])
_IS_REFUSED = func.coalesce(_i.reason, "").in_(sorted(APPLICATION_REASONS))
_STATES: Mapping[Health, tuple[State, ...]] = {
    **{health: (state,) for state, health in HEALTH.items()},
    Health.CHOOSE_RESOURCE: (State.ACTIVE,),
    Health.APPLICATION_REFUSED: (State.RETRY, State.UNKNOWN, State.ACTIVE),
}
"""The stored states of integrations with a health; those that have ended by their time are found beside them."""


def word(text: str, /) -> ColumnElement[str]:
    """Return a word of ours as a part of the statement, so that the database knows how many rows have it and which partial index fits."""
    return literal_column(f"'{text}'", String)


_NOT_RENEWED = _i.renewal_rule == word("reconnect")
_SURE = frozenset({Health.RECONNECT_REQUIRED, Health.DISABLED})
"""The healths that a stored state means whatever else is in the row."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Walk:
    """A walk along an index, in the order of its columns."""

    within: tuple[ColumnElement[bool], ...] = ()
    """What is true of all its rows; the index finds them by it."""
    order: tuple[Column[Any], ...] = KEY
    """The columns of the index, but for those before the key that are equal in all of them."""
    fits: tuple[ColumnElement[bool], ...] = ()
    """What is looked at in each row."""

    @property
    def kinds(self) -> tuple[type, ...]:
        """The types of a position."""
        return tuple(python_type(column) for column in self.order)

    def last_position(self, rows: Sequence[AnyRow], /) -> tuple[CursorValue, ...]:
        """Return the position of the last of these rows of `rows` that was not edited so that it has none; empty: there is none."""
        kinds = self.kinds
        for row in reversed(rows):
            values = tuple(row[:-1])
            if all(isinstance(value, kind) for value, kind in zip(values, kinds, strict=True)):
                return values
        return ()

    def rows(self, connection: Connection, position: tuple[CursorValue, ...], /, *, size: int) -> list[AnyRow]:
        """Return the position, which ends in the key, and the fit of the next rows: *size* of them, or fewer if there are no more."""
        found: list[AnyRow] = []
        for conditions in self._behind(position):
            statement = (
                select(*self.order, self._fit.label("fits"))
                .where(*self.within, *conditions)
                .order_by(*self.order)
                .limit(bindparam("count", type_=Integer, literal_execute=True))
            )
            found += connection.execute(statement, {"count": size - len(found), "clock": given_time(connection)}).all()
            if len(found) == size:
                break
        return found

    def _behind(self, position: tuple[CursorValue, ...]) -> Iterator[Sequence[ColumnElement[bool]]]:
        """Return the conditions of the rows behind a position, part by part.

        One condition for all of them, (a, b) > (x, y), is a range of the index for no more than two of the databases.
        """
        if not position:
            yield ()
            return
        pairs = list(zip(self.order, position, strict=True))
        for kept in reversed(range(len(pairs))):
            column, value = pairs[kept]
            yield (*[same == equal for same, equal in pairs[:kept]], column > value)

    def counting(self, *, most: ColumnElement[int]) -> AnySelect:
        """Return the statement that counts the rows that are looked at, at most *most*, and those of them that fit."""
        looked = (
            select(self._fit.label("fits")).select_from(schema.integration).where(*self.within).order_by(*self.order).limit(most).subquery()
        )
        fitting = func.coalesce(func.sum(looked.c.fits), 0)
        return select(func.count().label("looked"), fitting.label("fitting")).select_from(looked)

    @property
    def _fit(self) -> ColumnElement[int]:
        return case((and_(*self.fits), 1), else_=0) if self.fits else literal(1, Integer)


def find_walks(matching: IntegrationFilter) -> list[Walk]:
    """Return the walks that together come to each integration that *matching* admits, once."""
    asked = _conditions(matching)
    if matching.tenant_id is not None:
        return [Walk(within=(asked.pop("tenant"),), fits=tuple(asked.values()))]
    if matching.ends_before is not None:
        del asked["ends"]
        return ending_walks(literal(micros(matching.ends_before), BigInteger), *asked.values())
    if matching.unused_since is not None:
        return [Walk(within=(asked.pop("unused"),), order=(_i.idle_since, *KEY), fits=tuple(asked.values()))]
    if matching.health is not None or matching.provider_id is not None:
        return _by_state(asked, matching)
    return [Walk(fits=tuple(asked.values()))]


def _conditions(matching: IntegrationFilter) -> dict[str, ColumnElement[bool]]:
    found: dict[str, ColumnElement[bool]] = {}
    if matching.tenant_id is not None:
        found["tenant"] = _i.tenant_id == matching.tenant_id
    if matching.provider_id is not None:
        found["provider"] = _i.provider_id == matching.provider_id
    if matching.method_id is not None:
        found["method"] = _i.method_id == matching.method_id
    if matching.health is not None:
        found["health"] = _has_health(matching.health)
    if matching.ends_before is not None:
        before = micros(matching.ends_before)
        found["ends"] = and_(_WORKS_NOW, or_(_i.reconnect_before < before, and_(_NOT_RENEWED, _i.expires_at < before)))
    if matching.unused_since is not None:
        found["unused"] = _i.idle_since < micros(matching.unused_since)
    if matching.key_version is not None:
        found["key"] = KEY_VERSION.in_([matching.key_version])
    return found


def ending_walks(before: ColumnElement[int], /, *others: ColumnElement[bool], since: ColumnElement[int] | None = None) -> list[Walk]:
    """Return the walks to what works and ends before a time (and not before *since*): what no worker renews, and grants and keys."""
    ends_by_time = and_(_NOT_RENEWED, func.coalesce(_i.expires_at, before) < before)
    by_time, by_grant = _i.expires_at > NOW_ONCE, list[ColumnElement[bool]]()
    if since is not None:
        # One lower bound for each: of two, PostgreSQL may begin at the lower.
        others = (*others, func.coalesce(_i.reconnect_before, since) >= since)
        by_time = _i.expires_at >= since
        by_grant.append(_i.reconnect_before >= since)
    return [
        Walk(within=(_NOT_RENEWED, by_time, _i.expires_at < before), order=(_i.expires_at, *KEY), fits=(_WORKS_NOW, *others)),
        Walk(
            within=(*by_grant, _i.reconnect_before < before),
            order=(_i.reconnect_before, *KEY),
            fits=(_WORKS_NOW, not_(ends_by_time), *others),
        ),
    ]


def _by_state(asked: dict[str, ColumnElement[bool]], matching: IntegrationFilter) -> list[Walk]:
    health = asked.pop("health", None)
    ended = [Walk(within=(_NOT_RENEWED, _i.expires_at <= NOW_ONCE), order=(_i.expires_at, *KEY), fits=(REFRESHED, *asked.values()))]
    # In the order of the index, so that the columns whose values are given come first.
    equal, order = [], [_i.provider_id, _i.method_id, *KEY]
    for name in ("provider", "method"):
        if name not in asked:
            break
        equal.append(asked.pop(name))
        del order[0]
    if health is not None and matching.health not in _SURE:
        asked["health"] = health
    walks = [
        Walk(within=(_i.state == word(state.value), *equal), order=tuple(order), fits=tuple(asked.values()))
        for state in (tuple(State) if matching.health is None else _STATES[matching.health])
    ]
    return walks + ended if matching.health is Health.RECONNECT_REQUIRED else walks


def _has_health(health: Health) -> ColumnElement[bool]:
    if health is Health.APPLICATION_REFUSED:
        return and_(_WORKS_NOW, _IS_REFUSED)
    (state,) = _STATES[health]
    in_state = STATE_NOW.in_([state.value])
    if health in _SURE:
        return in_state
    if state is State.ACTIVE:
        return and_(in_state, not_(_IS_REFUSED), IS_UNCHOSEN.in_([int(health is Health.CHOOSE_RESOURCE)]))
    return and_(in_state, not_(_IS_REFUSED))
