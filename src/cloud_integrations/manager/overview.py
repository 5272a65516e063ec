"""The operator's view of all tenants."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from cloud_integrations import flows
from cloud_integrations.domain.integration import Health
from cloud_integrations.domain.overview import (
    BoundedCount,
    Circuit,
    EndingDay,
    ErrorCounts,
    IntegrationPage,
    Overview,
    RenewalHistory,
    RenewalHour,
    RenewalReport,
)

from .parts import AsyncPart, Part


class Overviews(Part):
    """The operator's view of all tenants: `manager.overview`.  It changes nothing, and asks the host for no permission."""

    def report(self) -> Overview:
        """Return what works, what ends soon and what waits, over all tenants.

        It is what `worker.report` counts, with the freezes in force and how many integrations end soon.  For that, all integrations are
        read, so ask at most a few times a minute.  Raises `StorageUnavailableError`.
        """
        return self._run(flows.overview(self._wiring))

    def integrations(
        self,
        *,
        tenant_id: str | None = None,
        provider: str | UUID | None = None,
        method: str | None = None,
        health: Health | str | None = None,
        ends_before: datetime | None = None,
        unused_since: datetime | None = None,
        key_version: int | None = None,
        after: str | None = None,
        limit: int = 50,
    ) -> IntegrationPage:
        """Return integrations of all tenants, page by page: those that agree with every argument that is given.

        *method* is the id of one of a provider's methods; *health* is a `Health` or its word.  *ends_before* asks for those that work
        and whose known end is before this time, *unused_since* for those that were connected before this time and not used since (uses
        are known to a day), *key_version* for those whose credential is sealed by this version of their tenant's data key.
        *limit* is 1 to 200.  For the next page pass its *after*, with the same filter, until that is None.  A page takes the same time
        whatever the number of rows; so where few of many agree, it may end with fewer than *limit*, even with none, and go on.
        Raises `ValidationFailedError` or `ProviderNotFoundError`.
        """
        return self._run(
            flows.search_integrations(
                self._wiring,
                tenant=tenant_id,
                provider=provider,
                method=method,
                health=health,
                ends_before=ends_before,
                unused_since=unused_since,
                key_version=key_version,
                after=after,
                limit=limit,
            )
        )

    def count(
        self,
        *,
        tenant_id: str | None = None,
        provider: str | UUID | None = None,
        method: str | None = None,
        health: Health | str | None = None,
        ends_before: datetime | None = None,
        unused_since: datetime | None = None,
        key_version: int | None = None,
    ) -> BoundedCount:
        """Count the integrations of all tenants that agree with every argument that is given, as in `integrations`.

        It stops after looking at 10,000 of them, and then says that there are at least as many as it found.
        Raises `ValidationFailedError` or `ProviderNotFoundError`.
        """
        return self._run(
            flows.count_matching(
                self._wiring,
                tenant=tenant_id,
                provider=provider,
                method=method,
                health=health,
                ends_before=ends_before,
                unused_since=unused_since,
                key_version=key_version,
            )
        )

    def history(self, *, hours: int = 24, provider: str | UUID | None = None) -> tuple[RenewalHour, ...]:
        """Return how many renewals succeeded and failed in each of the last *hours* hours (1 to 168, UTC), over all tenants.

        The last is the present hour.  It is counted from the audit log, up to 10,000 events of an hour and outcome, and as far as that
        was not pruned; *provider* asks for those among them that are with one.
        Raises `ValidationFailedError` or `ProviderNotFoundError`.
        """
        return self._run(flows.count_renewals(self._wiring, hours=hours, provider=provider))

    def history_by_provider(self, *, hours: int = 24) -> RenewalHistory:
        """Return the same as `history` with all providers, and beside it that of each provider with a renewal in these hours.

        Where the counting of an hour stopped, there may be more with every provider.  Raises `ValidationFailedError`.
        """
        return self._run(flows.count_renewals_by_provider(self._wiring, hours=hours))

    def ends(self, *, days: int = 90) -> tuple[EndingDay, ...]:
        """Return how many integrations that work end on each of *days* days (1 to 366, UTC) from today, over all tenants.

        About 2,000 of a day are counted.  Raises `ValidationFailedError`.
        """
        return self._run(flows.count_ends(self._wiring, days=days))

    def errors(self, provider: str | UUID, *, since: datetime | None = None) -> ErrorCounts:
        """Return how integrations with *provider* fail, over all tenants: by health and error of the last attempt.

        Those that failed before *since* (None: a day ago) are left out, and so are those that work again or are disabled.
        Raises `ValidationFailedError` or `ProviderNotFoundError`.
        """
        return self._run(flows.count_errors(self._wiring, provider, since=since))

    def renewal(self, tenant_id: str, integration: str | UUID, *, slot: str = "") -> RenewalReport:
        """Return how far the renewal of one credential is: its number, the lease, failed attempts, and when it is next tried.

        *integration* and *slot* are as in `get_integration`.  Raises `ValidationFailedError` or `IntegrationNotFoundError`.
        """
        return self._run(flows.report_renewal(self._wiring, tenant_id, integration, slot=slot))

    def circuit(self, provider: str | UUID) -> Circuit | None:
        """Return whether this process asks the authorization server of *provider* with your application, or waits because it failed.

        None: there is no application, or the tenants' variables choose the server; then `renewal` has it for each integration.
        Raises `ValidationFailedError` or `ProviderNotFoundError`.
        """
        return self._run(flows.find_circuit(self._wiring, provider))


class AsyncOverviews(AsyncPart):
    """The operator's view of all tenants: `manager.overview`.  It changes nothing, and asks the host for no permission."""

    async def report(self) -> Overview:
        """Return what works, what ends soon and what waits, over all tenants.

        It is what `worker.report` counts, with the freezes in force and how many integrations end soon.  For that, all integrations are
        read, so ask at most a few times a minute.  Raises `StorageUnavailableError`.
        """
        return await self._run(flows.overview(self._wiring))

    async def integrations(
        self,
        *,
        tenant_id: str | None = None,
        provider: str | UUID | None = None,
        method: str | None = None,
        health: Health | str | None = None,
        ends_before: datetime | None = None,
        unused_since: datetime | None = None,
        key_version: int | None = None,
        after: str | None = None,
        limit: int = 50,
    ) -> IntegrationPage:
        """Return integrations of all tenants, page by page: those that agree with every argument that is given.

        *method* is the id of one of a provider's methods; *health* is a `Health` or its word.  *ends_before* asks for those that work
        and whose known end is before this time, *unused_since* for those that were connected before this time and not used since (uses
        are known to a day), *key_version* for those whose credential is sealed by this version of their tenant's data key.
        *limit* is 1 to 200.  For the next page pass its *after*, with the same filter, until that is None.  A page takes the same time
        whatever the number of rows; so where few of many agree, it may end with fewer than *limit*, even with none, and go on.
        Raises `ValidationFailedError` or `ProviderNotFoundError`.
        """
        return await self._run(
            flows.search_integrations(
                self._wiring,
                tenant=tenant_id,
                provider=provider,
                method=method,
                health=health,
                ends_before=ends_before,
                unused_since=unused_since,
                key_version=key_version,
                after=after,
                limit=limit,
            )
        )

    async def count(
        self,
        *,
        tenant_id: str | None = None,
        provider: str | UUID | None = None,
        method: str | None = None,
        health: Health | str | None = None,
        ends_before: datetime | None = None,
        unused_since: datetime | None = None,
        key_version: int | None = None,
    ) -> BoundedCount:
        """Count the integrations of all tenants that agree with every argument that is given, as in `integrations`.

        It stops after looking at 10,000 of them, and then says that there are at least as many as it found.
        Raises `ValidationFailedError` or `ProviderNotFoundError`.
        """
        return await self._run(
            flows.count_matching(
                self._wiring,
                tenant=tenant_id,
                provider=provider,
                method=method,
                health=health,
                ends_before=ends_before,
                unused_since=unused_since,
                key_version=key_version,
            )
        )

    async def history(self, *, hours: int = 24, provider: str | UUID | None = None) -> tuple[RenewalHour, ...]:
        """Return how many renewals succeeded and failed in each of the last *hours* hours (1 to 168, UTC), over all tenants.

        The last is the present hour.  It is counted from the audit log, up to 10,000 events of an hour and outcome, and as far as that
        was not pruned; *provider* asks for those among them that are with one.
        Raises `ValidationFailedError` or `ProviderNotFoundError`.
        """
        return await self._run(flows.count_renewals(self._wiring, hours=hours, provider=provider))

    async def history_by_provider(self, *, hours: int = 24) -> RenewalHistory:
        """Return the same as `history` with all providers, and beside it that of each provider with a renewal in these hours.

        Where the counting of an hour stopped, there may be more with every provider.  Raises `ValidationFailedError`.
        """
        return await self._run(flows.count_renewals_by_provider(self._wiring, hours=hours))

    async def ends(self, *, days: int = 90) -> tuple[EndingDay, ...]:
        """Return how many integrations that work end on each of *days* days (1 to 366, UTC) from today, over all tenants.

        About 2,000 of a day are counted.  Raises `ValidationFailedError`.
        """
        return await self._run(flows.count_ends(self._wiring, days=days))

    async def errors(self, provider: str | UUID, *, since: datetime | None = None) -> ErrorCounts:
        """Return how integrations with *provider* fail, over all tenants: by health and error of the last attempt.

        Those that failed before *since* (None: a day ago) are left out, and so are those that work again or are disabled.
        Raises `ValidationFailedError` or `ProviderNotFoundError`.
        """
        return await self._run(flows.count_errors(self._wiring, provider, since=since))

    async def renewal(self, tenant_id: str, integration: str | UUID, *, slot: str = "") -> RenewalReport:
        """Return how far the renewal of one credential is: its number, the lease, failed attempts, and when it is next tried.

        *integration* and *slot* are as in `get_integration`.  Raises `ValidationFailedError` or `IntegrationNotFoundError`.
        """
        return await self._run(flows.report_renewal(self._wiring, tenant_id, integration, slot=slot))

    async def circuit(self, provider: str | UUID) -> Circuit | None:
        """Return whether this process asks the authorization server of *provider* with your application, or waits because it failed.

        None: there is no application, or the tenants' variables choose the server; then `renewal` has it for each integration.
        Raises `ValidationFailedError` or `ProviderNotFoundError`.
        """
        return await self._run(flows.find_circuit(self._wiring, provider))
