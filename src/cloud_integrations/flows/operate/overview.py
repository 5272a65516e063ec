"""What an operator sees of all tenants: counts, and integrations page by page."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TypedDict, Unpack
from uuid import UUID

from cloud_integrations.domain.arguments import read_count, read_moment_or_none, read_text
from cloud_integrations.domain.identifiers import ContextId
from cloud_integrations.domain.identifiers import tenant_id as read_tenant_id
from cloud_integrations.domain.integration import Health
from cloud_integrations.domain.overview import (
    ENDS_SOON,
    BoundedCount,
    Circuit,
    EndingDay,
    ErrorCounts,
    IntegrationFilter,
    IntegrationPage,
    Overview,
    RenewalHistory,
    RenewalHour,
    RenewalReport,
)
from cloud_integrations.errors import ProviderInactiveError, ValidationFailedError
from cloud_integrations.flows.shared.clients import client_of, operators_application
from cloud_integrations.flows.shared.events import provider_name
from cloud_integrations.flows.shared.lookup import known_provider, load_named, tell_damaged
from cloud_integrations.flows.shared.wiring import Wiring
from cloud_integrations.ports.store import DamagedRow, RenewalCounts

from .freezes import list_freezes
from .work_report import work_report

MAX_PAGE = 200
MOST_HOURS = 168
MOST_DAYS = 366
_LONGEST_CURSOR = 2_000
_LONGEST_METHOD = 64


class AskedFilter(TypedDict):
    """The arguments of `read_filter`, as a caller gave them; None: whatever it is."""

    tenant: str | None
    provider: str | UUID | None
    method: str | None
    health: Health | str | None
    ends_before: datetime | None
    unused_since: datetime | None
    key_version: int | None


async def overview(wiring: Wiring, /) -> Overview:
    """Return the counts over all tenants.  Raises `StorageUnavailableError`."""
    return Overview(
        work=await work_report(wiring),
        ending_soon=await wiring.store.count_matching(IntegrationFilter(ends_before=wiring.clock.now() + ENDS_SOON)),
        freezes=len(await list_freezes(wiring, lifted=False)),
    )


async def search_integrations(
    wiring: Wiring,
    /,
    *,
    after: str | None,
    limit: int,
    **asked: Unpack[AskedFilter],
) -> IntegrationPage:
    """Return the next integrations of all tenants that agree with every argument that is given.

    One whose row cannot be read is left out, and the observer is told.  Raises as `read_filter`, and `ValidationFailedError` for *after*.
    """
    matching = read_filter(wiring, **asked)
    after = None if after is None else read_text("after", after, most=_LONGEST_CURSOR)
    found = await wiring.store.search_integrations(matching, after=after, limit=read_count("limit", limit, most=MAX_PAGE))
    items = []
    for item in found.items:
        if isinstance(item, DamagedRow):
            tell_damaged(wiring, item)
        else:
            items.append(item)
    return IntegrationPage(items=tuple(items), after=found.after)


async def count_matching(
    wiring: Wiring,
    /,
    **asked: Unpack[AskedFilter],
) -> BoundedCount:
    """Count the integrations of all tenants that agree with every argument that is given.  Raises as `read_filter`."""
    matching = read_filter(wiring, **asked)
    return await wiring.store.count_matching(matching)


async def count_renewals(wiring: Wiring, /, *, hours: int, provider: str | UUID | None) -> tuple[RenewalHour, ...]:
    """Return the renewals of the last *hours* hours, the present one included, by the hour.

    Raises `ValidationFailedError` or `ProviderNotFoundError`.
    """
    hours = read_count("hours", hours, most=MOST_HOURS)
    provider_id = None if provider is None else known_provider(wiring, provider)
    counted = await _count_last_hours(wiring, hours)
    return tuple([each.total if provider_id is None else each.of(provider_id) for each in counted])


async def count_renewals_by_provider(wiring: Wiring, /, *, hours: int) -> RenewalHistory:
    """Return the same as `count_renewals`, with all providers and with each, from one read.  Raises `ValidationFailedError`."""
    counted = await _count_last_hours(wiring, read_count("hours", hours, most=MOST_HOURS))
    ids = {provider_id for each in counted for provider_id in (*each.renewed, *each.failed) if provider_id is not None}
    names = {provider_name(wiring, provider_id): provider_id for provider_id in ids}
    return RenewalHistory(
        hours=tuple([each.total for each in counted]),
        by_provider={name: tuple([each.of(names[name]) for each in counted]) for name in sorted(names)},
    )


async def _count_last_hours(wiring: Wiring, hours: int) -> tuple[RenewalCounts, ...]:
    present = wiring.clock.now().astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    return await wiring.store.count_renewals(since=present - timedelta(hours=hours - 1), hours=hours)


async def count_ends(wiring: Wiring, /, *, days: int) -> tuple[EndingDay, ...]:
    """Return how many integrations end on each of *days* days, from today.  Raises `ValidationFailedError`."""
    days = read_count("days", days, most=MOST_DAYS)
    return await wiring.store.count_ends(since=wiring.clock.now().astimezone(UTC).date(), days=days)


async def count_errors(wiring: Wiring, provider: str | UUID, /, *, since: datetime | None) -> ErrorCounts:
    """Return how integrations with *provider* fail, since a time, or a day ago.

    Raises `ValidationFailedError` or `ProviderNotFoundError`.
    """
    provider_id = known_provider(wiring, provider)
    since = read_moment_or_none("since", since)
    return await wiring.store.count_errors(provider_id, since=wiring.clock.now() - timedelta(days=1) if since is None else since)


async def report_renewal(wiring: Wiring, tenant: str, integration: UUID | str, /, *, slot: str) -> RenewalReport:
    """Return how far the renewal of one credential is.  The host's `Tenants` is not asked, as in `read_filter`.

    Raises `ValidationFailedError` or `IntegrationNotFoundError`.
    """
    stored = await load_named(wiring, read_tenant_id(tenant), integration, slot=slot)
    context = stored.facts.context_id
    return RenewalReport.of(stored, circuit=None if context is None else _circuit_of(wiring, context))


async def find_circuit(wiring: Wiring, provider: str | UUID, /) -> Circuit | None:
    """Return whether this process asks the authorization server of a provider, with the operator's application.

    None: there is no application, or the tenants' variables choose the server.  Raises `ValidationFailedError` or `ProviderNotFoundError`.
    """
    found = wiring.providers.require(known_provider(wiring, provider))
    try:
        client = client_of(wiring, found, operators_application(wiring, found), {})
    except (ProviderInactiveError, ValidationFailedError):
        return None
    return _circuit_of(wiring, client.context_id)


def _circuit_of(wiring: Wiring, context: ContextId) -> Circuit:
    wait = wiring.breaker.look(context)
    return Circuit(
        application_id=context,
        wait_seconds=None if wait is None else wait.total_seconds(),
        reason=wiring.breaker.reason(context),
    )


def read_filter(
    wiring: Wiring,
    /,
    *,
    tenant: str | None,
    provider: str | UUID | None,
    method: str | None,
    health: Health | str | None,
    ends_before: datetime | None,
    unused_since: datetime | None,
    key_version: int | None,
) -> IntegrationFilter:
    """Return which integrations are meant.

    The host's `Tenants` is not asked: a tenant that it no longer knows may still have integrations.
    Raises `ValidationFailedError` or `ProviderNotFoundError`.
    """
    return IntegrationFilter(
        tenant_id=None if tenant is None else read_tenant_id(tenant),
        provider_id=None if provider is None else known_provider(wiring, provider),
        method_id=None if method is None else read_text("method", method, most=_LONGEST_METHOD),
        health=None if health is None else _read_health(health),
        ends_before=read_moment_or_none("endsBefore", ends_before),
        unused_since=read_moment_or_none("unusedSince", unused_since),
        key_version=None if key_version is None else read_count("keyVersion", key_version, most=2**31 - 1),
    )


def _read_health(value: Health | str) -> Health:
    try:
        return Health(value)
    except ValueError:
        raise ValidationFailedError(field="health", problem=f"must be one of {', '.join(Health)}") from None
