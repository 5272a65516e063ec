"""What operators see of all tenants: reads."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Final, Protocol

from cloud_integrations.domain.identifiers import ProviderId
from cloud_integrations.domain.overview import BoundedCount, EndingDay, ErrorCounts, IntegrationFilter, ListedIntegration, RenewalHour

from .damaged_row import DamagedRow

MAX_LOOKED: Final = 2_000
"""About how many rows a page looks at before it ends with fewer than it may hold."""

MAX_ENDING: Final = 2_000
"""The largest number of ends of one day that are looked at, by each of the two times by which an integration ends."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundPage:
    """Integrations that were found, and the text by which the search goes on; None: there are no more."""

    items: tuple[ListedIntegration | DamagedRow, ...]
    after: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RenewalCounts:
    """How many renewals of one hour succeeded and failed, by provider; None stands for events that name no provider."""

    start: datetime
    renewed: Mapping[ProviderId | None, int]
    failed: Mapping[ProviderId | None, int]
    at_least: bool
    """Whether there may be more, with any provider, because counting stopped."""

    @property
    def total(self) -> RenewalHour:
        """The renewals with all providers."""
        renewed, failed = sum(self.renewed.values()), sum(self.failed.values())
        return RenewalHour(start=self.start, renewed=renewed, failed=failed, at_least=self.at_least)

    def of(self, provider_id: ProviderId, /) -> RenewalHour:
        """Return the renewals with one provider."""
        renewed, failed = self.renewed.get(provider_id, 0), self.failed.get(provider_id, 0)
        return RenewalHour(start=self.start, renewed=renewed, failed=failed, at_least=self.at_least)


class AsyncOverviewStore(Protocol):
    """Reads over all tenants, none of which takes longer where there are more rows."""

    async def search_integrations(self, matching: IntegrationFilter, /, *, after: str | None = None, limit: int) -> FoundPage:
        """Return at most *limit* integrations of all tenants that *matching* admits.

        Each has the health that it has by the store's clock.  The order is the store's own; *after* is that of the page before, for the
        same filter, and the pages together have each integration once that did not change meanwhile.  A page looks at no more than
        about `MAX_LOOKED` rows.  Raises `ValidationFailedError` for an *after* that is not from such a page.
        """
        ...

    async def count_matching(self, matching: IntegrationFilter, /) -> BoundedCount:
        """Count the integrations of all tenants that *matching* admits, among the first `MAX_COUNTED` that have to be looked at."""
        ...

    async def count_renewals(self, *, since: datetime, hours: int) -> tuple[RenewalCounts, ...]:
        """Count the events of renewals in each of *hours* hours from *since*, of all tenants, by provider.

        Of each hour and outcome the first `MAX_COUNTED` events are looked at, whatever their providers.
        """
        ...

    async def count_ends(self, *, since: date, days: int) -> tuple[EndingDay, ...]:
        """Count the integrations of all tenants that work and whose known end is on each of *days* days (UTC) from *since*.

        Of each day about the first `MAX_ENDING` are looked at.
        """
        ...

    async def count_errors(self, provider_id: ProviderId, /, *, since: datetime) -> ErrorCounts:
        """Count the integrations with a provider, of all tenants, whose last attempt failed at that time or later, by health and error.

        Those that are disabled are left out, and where the row names no error, its reason stands for it.  Of each state, the first
        `MAX_LOOKED` are looked at.
        """
        ...


class OverviewStore(Protocol):
    """The blocking form of `AsyncOverviewStore`: the same methods, the same promises."""

    def search_integrations(self, matching: IntegrationFilter, /, *, after: str | None = None, limit: int) -> FoundPage: ...

    def count_matching(self, matching: IntegrationFilter, /) -> BoundedCount: ...

    def count_renewals(self, *, since: datetime, hours: int) -> tuple[RenewalCounts, ...]: ...

    def count_ends(self, *, since: date, days: int) -> tuple[EndingDay, ...]: ...

    def count_errors(self, provider_id: ProviderId, /, *, since: datetime) -> ErrorCounts: ...
