"""The commands about events on their way out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from cloud_integrations.documents import EventDeliveryOut, WebhookTestOut
from cloud_integrations_cli import wiring
from cloud_integrations_cli.exits import CommandLineError
from cloud_integrations_cli.render import Screen
from cloud_integrations_cli.settings import Configuration
from cloud_integrations_cli.tables import Column, Listing, shown_time

_LISTING = Listing(
    columns=(
        Column("ID", "id"),
        Column("Event", "event"),
        Column("Tenant", lambda each: each["tenantId"] or ""),
        Column("Receiver", "receiver"),
        Column("Attempts", lambda each: str(each["attempts"])),
        Column("Last error", lambda each: each["lastError"] or ""),
        Column("Happened", lambda each: shown_time(each["occurredAt"])),
    ),
    fields=(
        "id",
        "event",
        "messageId",
        "tenantId",
        "integrationId",
        "occurredAt",
        "data",
        "receiver",
        "state",
        "attempts",
        "dueAt",
        "givenUpAt",
        "lastError",
    ),
    empty="none",
)


def list_all(screen: Screen, configuration: Configuration, tenant: str | None, /, *, state: str, receiver: str | None, limit: int) -> None:
    """Show the events that have not arrived."""
    chosen: Any = state
    with wiring.open_manager(configuration) as manager:
        found = manager.events.list(tenant_id=tenant, state=chosen, receiver=receiver, limit=limit)
    screen.show(_LISTING, [EventDeliveryOut.of(delivery).as_json() for delivery in found])


def retry(
    screen: Screen, configuration: Configuration, tenant: str | None, /, *, ids: Sequence[str] | None, state: str, receiver: str | None
) -> None:
    """Have events tried again."""
    chosen: Any = state
    with wiring.open_manager(configuration) as manager:
        count = manager.events.retry(ids=ids, tenant_id=tenant, state=chosen, receiver=receiver)
    if screen.as_json:
        screen.json({"data": {"retried": count}})
        return
    screen.facts({"Tried again": str(count)})


def ping(screen: Screen, configuration: Configuration, tenant: str | None, webhook: str, /) -> None:
    """Send a test to a webhook."""
    with wiring.open_manager(configuration) as manager:
        tested = manager.events.test(tenant, webhook)
    if screen.as_json:
        screen.json({"data": WebhookTestOut.of(tested).as_json()})
    elif tested.taken:
        screen.note("taken")
    if not tested.taken:
        raise CommandLineError(f"the webhook did not take it: {tested.reason}")
