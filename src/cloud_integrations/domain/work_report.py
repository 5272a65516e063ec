"""What waits to be done, and how many integrations work: counts over all tenants, for operators."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from cloud_integrations.domain.identifiers import ProviderId
from cloud_integrations.domain.integration import Health
from cloud_integrations.domain.serialisation import Serialisable


@dataclass(frozen=True, slots=True, kw_only=True)
class DueCount(Serialisable):
    """Renewals that are due and that no worker has claimed."""

    count: int
    """At most 10,000, which means that or more."""
    since: datetime | None = None
    """Since when the oldest is due, by the store's clock; None: there is none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OutboxCount(Serialisable):
    """Entries of one kind that wait in the outbox; there is at least one."""

    kind: str
    count: int
    since: datetime
    """When the oldest was written."""
    due_since: datetime
    """The earliest time of a next attempt; one that lies well in the past means that no worker claims this kind."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthCount(Serialisable):
    """Integrations with one provider that have the same health; there is at least one."""

    provider: str
    """The slug; the id if the catalogue does not have the provider."""
    provider_id: ProviderId
    health: Health
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkReport(Serialisable):
    """What waits to be done, and how many integrations work; it names no tenant."""

    due: DueCount
    outbox: tuple[OutboxCount, ...] = ()
    """By kind."""
    integrations: tuple[HealthCount, ...] = ()
    """By provider and health."""
