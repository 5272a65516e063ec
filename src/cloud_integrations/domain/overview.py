"""What an operator sees of all tenants: counts, and integrations page by page."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Final

from cloud_integrations.errors import ApplicationReason

from .event_message import GIVEN_UP
from .identifiers import ContextId, IntegrationId, ProviderId, TenantId
from .integration import Health, Integration, Phase, RenewalRule, StoredIntegration
from .serialisation import Serialisable
from .work_report import WorkReport

ENDS_SOON: Final = timedelta(days=14)
"""What ends within this time counts as ending soon."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BoundedCount(Serialisable):
    """A count that stops at 10,000 integrations that were looked at."""

    number: int
    at_least: bool
    """Whether there may be more, because counting stopped."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Overview(Serialisable):
    """What works, what ends and what waits, over all tenants; it names no tenant."""

    work: WorkReport
    """What waits to be done, and the integrations by provider and health."""
    ending_soon: BoundedCount
    """The integrations that work, and whose key or grant has a known end that is at most 14 days away, so that the tenant must reconnect.

    An end by disuse moves on when the worker renews the grant, or checks the key, before it.
    """
    freezes: int
    """The freezes in force."""

    @property
    def by_health(self) -> Mapping[Health, int]:
        """The number of integrations by health; every health is there."""
        found: Counter[Health] = Counter()
        for counted in self.work.integrations:
            found[counted.health] += counted.count
        return {health: found[health] for health in Health}

    @property
    def integrations(self) -> int:
        """The number of all integrations."""
        return sum(counted.count for counted in self.work.integrations)

    @property
    def waiting(self) -> int:
        """The number of entries of the outbox that are still tried."""
        return sum(counted.count for counted in self.work.outbox if counted.kind != GIVEN_UP)

    @property
    def given_up(self) -> int:
        """The number of deliveries that were given up and can be tried again by `events.retry`."""
        return sum(counted.count for counted in self.work.outbox if counted.kind == GIVEN_UP)


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedIntegration(Serialisable):
    """An integration as an operator sees it in a list."""

    integration: Integration
    """Its `health` is that of now, `state_since` says since when, and `method_id` how it was connected."""
    key_version: int | None = None
    """The version of the tenant's data key that sealed the credential; None: the key is gone."""

    @property
    def ends_at(self) -> datetime | None:
        """When the tenant must reconnect at the latest, because the key, the grant or what cannot be renewed ends; None: not known."""
        facts = self.integration
        ends = [facts.reconnect_before, facts.expires_at if facts.renewal_rule == "reconnect" else None]
        return min((end for end in ends if end is not None), default=None)

    @property
    def idle_since(self) -> datetime:
        """When it was last used, or connected if it never was."""
        facts = self.integration
        return facts.created_at if facts.last_used_at is None else facts.last_used_at


@dataclass(frozen=True, slots=True, kw_only=True)
class IntegrationFilter:
    """Which integrations are meant: those that agree with every field that is not None."""

    tenant_id: TenantId | None = None
    provider_id: ProviderId | None = None
    method_id: str | None = None
    health: Health | None = None
    ends_before: datetime | None = None
    """Those that work, and whose known end is before this time."""
    unused_since: datetime | None = None
    """Those that were connected before this time and not used since."""
    key_version: int | None = None

    def admits(self, listed: ListedIntegration, /) -> bool:
        """Whether an integration is one of them."""
        facts = listed.integration
        return (
            self.tenant_id in {None, facts.tenant_id}
            and self.provider_id in {None, facts.provider_id}
            and self.method_id in {None, facts.method_id}
            and self.health in {None, facts.health}
            and self.key_version in {None, listed.key_version}
            and (self.ends_before is None or self._ends(listed, self.ends_before))
            and (self.unused_since is None or listed.idle_since < self.unused_since)
        )

    @staticmethod
    def _ends(listed: ListedIntegration, before: datetime) -> bool:
        end = listed.ends_at
        return listed.integration.state.is_refreshed and end is not None and end < before


EVERY_INTEGRATION: Final = IntegrationFilter()
"""The filter that admits every integration."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IntegrationPage(Serialisable):
    """Integrations in an order of the store's, each once."""

    items: tuple[ListedIntegration, ...]
    """They may be fewer than the limit, and even none, where `after` is set: a page stops after looking at some thousand rows."""
    after: str | None
    """What to pass for the next page; None: this is the last."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RenewalHour(Serialisable):
    """The renewals that ended in one hour, by the audit log."""

    start: datetime
    renewed: int
    failed: int
    """Those that were refused, that got no answer, and those whose outcome is not known."""
    at_least: bool
    """Whether there may be more: of one outcome, the first 10,000 of the hour are looked at, those with other providers included."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RenewalHistory(Serialisable):
    """The renewals of the same hours, with all providers and with each."""

    hours: tuple[RenewalHour, ...]
    """With all providers."""
    by_provider: Mapping[str, tuple[RenewalHour, ...]]
    """By slug, or by id if the catalogue does not have the provider; those without a renewal in these hours are left out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EndingDay(Serialisable):
    """How many integrations that work now end on a day (UTC), so that their tenants must reconnect."""

    day: date
    number: int
    at_least: bool
    """Whether there may be more: about the first 2,000 of a day are looked at."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorCount(Serialisable):
    """How many integrations have failed in the same way."""

    health: Health
    error: str
    """What went wrong at the last attempt, a word such as `invalid_grant` or `server_error`."""
    number: int
    last_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorCounts(Serialisable):
    """How integrations with one provider fail, the most frequent first."""

    errors: tuple[ErrorCount, ...]
    at_least: bool
    """Whether there may be more: of each state, the first 2,000 integrations are looked at."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Circuit(Serialisable):
    """Whether this process asks an authorization server; another process may have met other answers."""

    application_id: ContextId
    """The authorization server with the application."""
    wait_seconds: float | None = None
    """How long no request is sent; 0: the next one is a probe.  None: requests are sent as usual."""
    reason: ApplicationReason | None = None
    """Why the provider refuses the application; None: it does not."""

    @property
    def open(self) -> bool:
        """Whether requests are held back, because the server did not answer or refused the application."""
        return self.wait_seconds is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class RenewalReport(Serialisable):
    """How far the renewal of one credential is.  Times are those of the database's clock."""

    tenant_id: TenantId
    integration_id: IntegrationId
    rule: RenewalRule
    generation: int
    """The number of the stored credential: 1 when connected, and one more with every renewal and every reconnect."""
    obtained_at: datetime
    """When the credential was obtained."""
    due_at: datetime | None
    """When the worker should renew or check it; None: it need not."""
    phase: Phase
    """How far the attempt is that was begun last; `idle`: there is none."""
    lease: int
    """The number of the last attempt's lease; 0: there was none.  It only grows, and of two attempts the one with the higher wins."""
    leased_until: datetime | None
    """Until when the lease is held, so that no other attempt begins; None: it is not.

    While `sent_at` is set, the next attempt waits a little longer, in case that request is still under way.
    """
    sent_at: datetime | None
    """When the first request was sent whose answer is not known; None: every answer is known."""
    attempts: int
    """The failed attempts since the last success."""
    failed_at: datetime | None
    """When the last of them ended."""
    last_error: str | None
    """What went wrong then, a word such as `server_error`."""
    refused_since: datetime | None
    """Since when the provider has answered with refusals only; None: it has not."""
    next_attempt_at: datetime | None
    """Before which time no further attempt is made; None: any time."""
    circuit: Circuit | None
    """Whether this process asks the server that renews it; None: it has none."""

    @classmethod
    def of(cls, stored: StoredIntegration, /, *, circuit: Circuit | None) -> RenewalReport:
        """Return what a row says."""
        facts, marks = stored.facts, stored.marks
        leased = marks.lease_until is not None and marks.lease_until >= stored.read_at
        return cls(
            tenant_id=facts.tenant_id,
            integration_id=facts.id,
            rule=facts.renewal_rule,
            generation=stored.credential.generation,
            obtained_at=marks.refreshed_at or facts.created_at,
            due_at=marks.due_at,
            phase=marks.phase,
            lease=marks.lease_token,
            leased_until=marks.lease_until if leased else None,
            sent_at=marks.sent_at,
            attempts=marks.attempts,
            failed_at=marks.failed_at,
            last_error=marks.last_error,
            refused_since=marks.refused_since,
            next_attempt_at=marks.next_attempt_at,
            circuit=circuit,
        )
