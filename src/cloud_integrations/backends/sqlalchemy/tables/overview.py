"""What operators see of all tenants, in SQL."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import Connection, Integer, bindparam, literal, select

from cloud_integrations.backends.sqlalchemy import schema
from cloud_integrations.backends.sqlalchemy.clock import NOW, given_time
from cloud_integrations.backends.sqlalchemy.rows import AnyRow, Rows, count, time
from cloud_integrations.backends.sqlalchemy.tables.integration_rows import FACTS, NAMED_INTEGRATION, facts
from cloud_integrations.backends.sqlalchemy.tables.walks import KEY, KEY_VERSION, find_walks
from cloud_integrations.backends.sqlalchemy.visibility import across_tenants
from cloud_integrations.domain.cursor import read_cursor, write_cursor
from cloud_integrations.domain.overview import BoundedCount, IntegrationFilter, ListedIntegration
from cloud_integrations.ports.store import MAX_COUNTED, MAX_LOOKED, DamagedRow, FoundPage

_i = schema.integration.c

_CHUNK = 1_000
_LISTED = (*FACTS, KEY_VERSION, NOW.label("read_at"))
# Not by pairs, for which SQLite uses no index: an id is that of one integration, and the pairs are compared afterwards.
_LIST = select(*_LISTED).where(
    _i.tenant_id.in_(bindparam("if_tenants", expanding=True)), _i.integration_id.in_(bindparam("if_ids", expanding=True))
)


@across_tenants
def search_integrations(connection: Connection, matching: IntegrationFilter, /, *, after: str | None = None, limit: int) -> FoundPage:
    """Return at most *limit* integrations of all tenants that *matching* admits, in the order of the walks."""
    walks = find_walks(matching)
    number, position = (0, ()) if after is None else read_cursor(after, [walk.kinds for walk in walks])
    found: list[AnyRow] = []
    looked, size = 0, limit + 1
    while number < len(walks) and looked < MAX_LOOKED:
        walk = walks[number]
        rows = walk.rows(connection, position, size=size)
        for place, row in enumerate(rows):
            if row[-1] and len(found) == limit:
                return _page(connection, found, write_cursor(number, walk.last_position(rows[:place]) or position))
            if row[-1]:
                found.append(row)
        looked += len(rows)
        reached = walk.last_position(rows)
        if len(rows) < size or not reached:
            number, position = number + 1, ()
        else:
            position = reached
        size = _CHUNK
    return _page(connection, found, write_cursor(number, position) if number < len(walks) else None)


@across_tenants
def count_matching(connection: Connection, matching: IntegrationFilter, /) -> BoundedCount:
    """Count the integrations of all tenants that *matching* admits, among the first `MAX_COUNTED` of the walks."""
    number, left = 0, MAX_COUNTED
    for walk in find_walks(matching):
        # As a literal: for a parameter, PostgreSQL's planner assumes a tenth of the table.
        statement = walk.counting(most=literal(left, Integer, literal_execute=True))
        looked, fitting = connection.execute(statement, {"clock": given_time(connection)}).one()
        number, left = number + int(fitting), left - looked
        if left == 0:
            return BoundedCount(number=number, at_least=True)
    return BoundedCount(number=number, at_least=False)


def _page(connection: Connection, found: Sequence[AnyRow], after: str | None) -> FoundPage:
    keys = [row[-3:-1] for row in found]
    readable = [key for key in keys if isinstance(key[1], UUID)]
    named = {"if_tenants": [key[0] for key in readable], "if_ids": [key[1] for key in readable], "clock": given_time(connection)}
    rows = {(row.tenant_id, row.integration_id): row for row in connection.execute(_LIST, named)} if readable else {}
    items: list[ListedIntegration | DamagedRow] = []
    for key in keys:
        if key not in readable:
            items.append(_KEY_ROWS.damaged(key))
        elif key in rows:  # otherwise it was removed just now
            items.append(_LISTED_ROWS.value_or_name(rows[key]))
    return FoundPage(items=tuple(items), after=after)


def _listed(row: AnyRow) -> ListedIntegration:
    *_, key_version, read_at = row
    return ListedIntegration(
        integration=facts(row[: len(FACTS)]).as_of(time(read_at)),
        key_version=None if key_version is None else count(key_version, least=1),
    )


_KEY_ROWS = Rows(schema.integration, KEY, _listed, names=NAMED_INTEGRATION)
_LISTED_ROWS = Rows(schema.integration, _LISTED, _listed, names=NAMED_INTEGRATION)
