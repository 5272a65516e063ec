"""What operators see of all tenants, in memory."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Final, cast
from uuid import UUID

from cloud_integrations.domain.audit import REFRESH, Outcome
from cloud_integrations.domain.cursor import read_cursor, write_cursor
from cloud_integrations.domain.identifiers import IntegrationId, ProviderId, TenantId
from cloud_integrations.domain.integration import Health, State, health_of
from cloud_integrations.domain.overview import (
    BoundedCount,
    EndingDay,
    ErrorCount,
    ErrorCounts,
    IntegrationFilter,
    ListedIntegration,
)
from cloud_integrations.ports.store import MAX_COUNTED, FoundPage, RenewalCounts

from .tables import Memory

_HOUR: Final = timedelta(hours=1)


class Overview(Memory):
    """Reads over all tenants."""

    def search_integrations(self, matching: IntegrationFilter, /, *, after: str | None = None, limit: int) -> FoundPage:
        """Return integrations that *matching* admits, in the order of tenants and ids."""
        place = None if after is None else cast("tuple[TenantId, IntegrationId]", read_cursor(after, [(str, UUID)])[1])
        found = [listed for listed in self._listed() if matching.admits(listed) and (place is None or _key(listed) > place)]
        items = tuple(found[:limit])
        return FoundPage(items=items, after=write_cursor(0, _key(items[-1])) if len(found) > limit else None)

    def count_matching(self, matching: IntegrationFilter, /) -> BoundedCount:
        """Count the integrations that *matching* admits."""
        number = sum(map(matching.admits, self._listed()))
        return BoundedCount(number=min(number, MAX_COUNTED), at_least=number >= MAX_COUNTED)

    def count_renewals(self, *, since: datetime, hours: int) -> tuple[RenewalCounts, ...]:
        """Count the events of renewals in each of *hours* hours from *since*, by provider."""
        counts: defaultdict[tuple[int, Outcome], Counter[ProviderId | None]] = defaultdict(Counter)
        for chain in list(self._tables.chains.values()):
            for event in [record.event for record in chain]:
                if event.action == REFRESH:
                    counts[(event.occurred_at - since) // _HOUR, event.outcome][event.provider_id] += 1
        return tuple(
            [
                RenewalCounts(
                    start=since + number * _HOUR,
                    renewed=counts[number, Outcome.SUCCESS],
                    failed=counts[number, Outcome.FAILURE] + counts[number, Outcome.UNKNOWN],
                    at_least=False,
                )
                for number in range(hours)
            ]
        )

    def count_ends(self, *, since: date, days: int) -> tuple[EndingDay, ...]:
        """Count the integrations that work and whose known end is on each of *days* days from *since*."""
        ends = Counter(
            listed.ends_at.astimezone(UTC).date()
            for listed in self._listed()
            if listed.ends_at is not None and listed.integration.state.is_refreshed
        )
        dates = [since + timedelta(days=number) for number in range(days)]
        return tuple([EndingDay(day=day, number=ends[day], at_least=False) for day in dates])

    def count_errors(self, provider_id: ProviderId, /, *, since: datetime) -> ErrorCounts:
        """Count the integrations with a provider whose last attempt failed at that time or later, by health and error."""
        times: defaultdict[tuple[Health, str], list[datetime]] = defaultdict(list)
        for stored in list(self._tables.integrations.values()):
            facts, marks = stored.facts, stored.marks
            error, at = marks.last_error or facts.reason, marks.failed_at or facts.state_since
            if facts.provider_id == provider_id and facts.state is not State.DISABLED and error is not None and at >= since:
                times[health_of(facts.state, facts.reason), error].append(at)
        errors = [ErrorCount(health=health, error=error, number=len(at), last_at=max(at)) for (health, error), at in times.items()]
        return ErrorCounts(errors=tuple(sorted(errors, key=lambda each: (-each.number, each.health, each.error))), at_least=False)

    def _listed(self) -> Iterator[ListedIntegration]:
        now, tables = self._now(), self._tables
        for (tenant_id, _), stored in sorted(tables.integrations.items()):
            key = tables.keys.get((tenant_id, stored.credential.key_id))
            yield ListedIntegration(
                integration=stored.facts.as_of(now),
                key_version=None if key is None else key.version,
            )


def _key(listed: ListedIntegration) -> tuple[TenantId, IntegrationId]:
    return listed.integration.tenant_id, listed.integration.id
