"""What can be connected: the providers of the catalogue, as users of this installation see them, and its settings."""

from __future__ import annotations

from uuid import UUID

from cloud_integrations import flows
from cloud_integrations.domain.application import ProviderSummary
from cloud_integrations.domain.readiness import ProviderReadiness
from cloud_integrations.ports.settings import Settings

from .parts import AsyncPart, Part


class Offering(Part):
    """The methods of `IntegrationManager` that show and find providers, and say what each lacks here."""

    def list_providers(self, *, search: str | None = None, category: str | None = None) -> tuple[ProviderSummary, ...]:
        """Return every provider, with the methods by which this installation can connect it.

        *search* is what a person typed, at most 100 characters: the providers that fit it by slug, name, alias, description or category,
        the best first.  *category* is one of `CATEGORIES`: the providers of it.
        Raises `ValidationFailedError` for a category that does not exist.
        """
        return flows.list_providers(self._wiring, search=search, category=category)

    def get_provider(self, provider: str | UUID) -> ProviderSummary:
        """Return one provider as `list_providers` has it; *provider* is its slug or UUID.  Raises `ProviderNotFoundError`."""
        return flows.get_provider(self._wiring, provider)

    def report_providers(self) -> tuple[ProviderReadiness, ...]:
        """Return for every provider what works here, what is missing for the rest, and what ends by age or by announcement."""
        return flows.report_providers(self._wiring)

    def report_ageing(self) -> tuple[ProviderReadiness, ...]:
        """Return what `report_providers` does, and how many integrations of all tenants each end concerns.

        The store counts them in one statement.  Raises `StorageUnavailableError`.
        """
        return self._run(flows.report_ageing(self._wiring))

    @property
    def settings(self) -> Settings:
        """The settings that this manager was made with."""
        return self._wiring.settings


class AsyncOffering(AsyncPart):
    """The methods of `AsyncIntegrationManager` that show and find providers; only `report_ageing` is a coroutine."""

    def list_providers(self, *, search: str | None = None, category: str | None = None) -> tuple[ProviderSummary, ...]:
        """Return every provider, with the methods by which this installation can connect it.

        *search* is what a person typed, at most 100 characters: the providers that fit it by slug, name, alias, description or category,
        the best first.  *category* is one of `CATEGORIES`: the providers of it.
        Raises `ValidationFailedError` for a category that does not exist.
        """
        return flows.list_providers(self._wiring, search=search, category=category)

    def get_provider(self, provider: str | UUID) -> ProviderSummary:
        """Return one provider as `list_providers` has it; *provider* is its slug or UUID.  Raises `ProviderNotFoundError`."""
        return flows.get_provider(self._wiring, provider)

    def report_providers(self) -> tuple[ProviderReadiness, ...]:
        """Return for every provider what works here, what is missing for the rest, and what ends by age or by announcement."""
        return flows.report_providers(self._wiring)

    async def report_ageing(self) -> tuple[ProviderReadiness, ...]:
        """Return what `report_providers` does, and how many integrations of all tenants each end concerns.

        The store counts them in one statement.  Raises `StorageUnavailableError`.
        """
        return await self._run(flows.report_ageing(self._wiring))

    @property
    def settings(self) -> Settings:
        """The settings that this manager was made with."""
        return self._wiring.settings
