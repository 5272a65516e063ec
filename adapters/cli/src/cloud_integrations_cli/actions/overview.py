"""The commands about all tenants."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from cloud_integrations import BoundedCount, ListedIntegration
from cloud_integrations.documents import SlottedIntegrationDetailOut
from cloud_integrations_cli import wiring
from cloud_integrations_cli.exits import CommandLineError
from cloud_integrations_cli.render import Screen, timestamp
from cloud_integrations_cli.settings import Configuration
from cloud_integrations_cli.tables import Column, Listing, shown_time
from cloud_integrations_cli.times import in_utc
from cloud_integrations_cli.words import say_word

from .integrations import FACTS, STATE, slugs_of

_PAGE = 200
_LISTING = Listing(
    columns=(
        Column("ID", "id"),
        Column("Tenant", "tenantId"),
        Column("Provider", lambda each: each["provider"] or each["providerId"]),
        Column("Method", "method"),
        Column("Health", lambda each: say_word(each["health"]["state"])),
        Column("Since", lambda each: shown_time(each["health"]["since"])),
        Column("Ends", lambda each: shown_time(each["endsAt"])),
        Column("Last use", lambda each: shown_time(each["lastUsedAt"])),
    ),
    fields=(
        "id",
        "tenantId",
        "providerId",
        "provider",
        "method",
        "slot",
        *FACTS,
        "endsAt",
        "keyVersion",
        *STATE,
    ),
    empty="no integrations",
)
_HOURS = Listing(
    columns=(
        Column("Hour", lambda each: shown_time(each["start"])),
        Column("Renewed", lambda each: _number(each["renewed"], each)),
        Column("Failed", lambda each: _number(each["failed"], each)),
    ),
    fields=(),
    empty="no hours",
)
_HOURS_BY_PROVIDER = Listing(columns=(Column("Provider", "provider"), *_HOURS.columns), fields=(), empty="no renewal in this time")
_DAYS = Listing(
    columns=(Column("Day", "day"), Column("End", lambda each: _number(each["number"], each))), fields=(), empty="nothing ends in this time"
)
_ERRORS = Listing(
    columns=(
        Column("Error", "error"),
        Column("Health", lambda each: say_word(each["health"])),
        Column("Integrations", lambda each: str(each["number"])),
        Column("Last", lambda each: shown_time(each["lastAt"])),
    ),
    fields=(),
    empty="none has failed in this time",
)

_RULES = {
    "keep": "none: it does not end",
    "refresh": "by its refresh token",
    "mint": "from what is stored",
    "reconnect": "none: the tenant reconnects",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Matching:
    """Which integrations are meant: those that agree with all that is not None."""

    tenant: str | None
    provider: str | None
    method: str | None
    health: str | None
    ends_before: datetime | None
    unused_since: datetime | None
    key_version: int | None

    @property
    def arguments(self) -> dict[str, Any]:
        """The arguments by which the library knows them."""
        return {
            "tenant_id": self.tenant,
            "provider": self.provider,
            "method": self.method,
            "health": self.health,
            "ends_before": in_utc(self.ends_before),
            "unused_since": in_utc(self.unused_since),
            "key_version": self.key_version,
        }


def report(screen: Screen, configuration: Configuration, /) -> None:
    """Show what works, what ends soon and what waits."""
    with wiring.open_manager(configuration) as manager:
        found = manager.overview.report()
    if screen.as_json:
        screen.json({"data": found.as_json()})
        return
    screen.facts(
        {
            "Integrations": str(found.integrations),
            **{say_word(health).capitalize(): str(number) for health, number in found.by_health.items() if number},
            "End within 14 days": _bounded(found.ending_soon),
            "Due now": str(found.work.due.count),
            "Waiting": str(found.waiting),
            "Given up": str(found.given_up),
            "Freezes": str(found.freezes),
        }
    )


def search(screen: Screen, configuration: Configuration, matching: Matching, /, *, after: str | None, limit: int) -> None:
    """Show integrations of all tenants, and by what the search goes on."""
    fields = _LISTING.read_fields(screen.fields)
    found: list[ListedIntegration] = []
    with wiring.open_manager(configuration) as manager:
        slugs = slugs_of(manager)
        # A page may be short, and even empty, before the last.
        while len(found) < limit:
            page = manager.overview.integrations(**matching.arguments, after=after, limit=min(limit - len(found), _PAGE))
            found += page.items
            after = page.after
            if after is None:
                break
    documents = [_document(listed, slugs) for listed in found]
    if screen.as_json:
        screen.json({"data": {"integrations": _LISTING.pick(documents, fields), "after": after}})
        return
    screen.table(_LISTING, documents, fields)
    if after is not None:
        screen.note(f"\nthere may be more: --after {after}")


def count(screen: Screen, configuration: Configuration, matching: Matching, /) -> None:
    """Show how many integrations agree."""
    with wiring.open_manager(configuration) as manager:
        found = manager.overview.count(**matching.arguments)
    if screen.as_json:
        screen.json({"data": found.as_json()})
    else:
        screen.facts({"Integrations": _bounded(found)})


def renewal(screen: Screen, configuration: Configuration, integration: str, /, *, tenant: str, slot: str) -> None:
    """Show how far the renewal of one credential is.

    Whether this process asks the server is left out: it has asked nobody yet.
    """
    with wiring.open_manager(configuration) as manager:
        found = manager.overview.renewal(tenant, integration, slot=slot)
    if screen.as_json:
        screen.json({"data": {name: value for name, value in found.as_json().items() if name != "circuit"}})
        return
    times = {
        "Due": found.due_at,
        "Leased until": found.leased_until,
        "Sent": found.sent_at,
        "Failed": found.failed_at,
        "Refused since": found.refused_since,
        "Next attempt": found.next_attempt_at,
    }
    screen.facts(
        {
            "Renewal": _RULES[found.rule],
            "Generation": str(found.generation),
            "Obtained": shown_time(timestamp(found.obtained_at)),
            "Phase": found.phase,
            "Lease": str(found.lease),
            "Failed attempts": str(found.attempts),
            **({"Last error": found.last_error} if found.last_error else {}),
            **{name: shown_time(timestamp(time)) for name, time in times.items() if time is not None},
        }
    )


def history(screen: Screen, configuration: Configuration, /, *, hours: int, provider: str | None, by_provider: bool) -> None:
    """Show renewals by the hour, of all providers together, or of each; then people see only the hours in which there are some."""
    if by_provider and provider is not None:
        raise CommandLineError("give --provider or --by-provider, not both")
    with wiring.open_manager(configuration) as manager:
        if by_provider:
            history = manager.overview.history_by_provider(hours=hours).by_provider
            rows = [(name, hour) for name, each in history.items() for hour in each if hour.renewed or hour.failed or screen.as_json]
            screen.show(_HOURS_BY_PROVIDER, [{"provider": name, **hour.as_json()} for name, hour in rows])
            return
        found = manager.overview.history(hours=hours, provider=provider)
    screen.show(_HOURS, [hour.as_json() for hour in found])


def ends(screen: Screen, configuration: Configuration, /, *, days: int) -> None:
    """Show what ends by the day; people see only the days on which something does."""
    with wiring.open_manager(configuration) as manager:
        found = manager.overview.ends(days=days)
    screen.show(_DAYS, [day.as_json() for day in found if day.number or screen.as_json])


def errors(screen: Screen, configuration: Configuration, provider: str, /, *, since: datetime | None) -> None:
    """Show how integrations with a provider fail."""
    with wiring.open_manager(configuration) as manager:
        found = manager.overview.errors(provider, since=in_utc(since))
    if screen.as_json:
        screen.json({"data": found.as_json()})
    else:
        screen.table(_ERRORS, [error.as_json() for error in found.errors])


def _document(listed: ListedIntegration, slugs: Mapping[UUID, str]) -> dict[str, Any]:
    facts = listed.integration
    return SlottedIntegrationDetailOut.of(facts).as_json() | {
        "provider": slugs.get(facts.provider_id, ""),
        "method": facts.method_id,
        "endsAt": None if listed.ends_at is None else timestamp(listed.ends_at),
        "keyVersion": listed.key_version,
    }


def _bounded(found: BoundedCount) -> str:
    return f"{found.number} or more" if found.at_least else str(found.number)


def _number(number: int, document: Mapping[str, Any]) -> str:
    return f"{number}+" if document["atLeast"] else str(number)
