"""The commands about webhooks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from cloud_integrations import NewWebhook, Webhook
from cloud_integrations.documents import NewWebhookOut, WebhookOut
from cloud_integrations_cli import wiring
from cloud_integrations_cli.prompts import confirm
from cloud_integrations_cli.render import Screen
from cloud_integrations_cli.settings import Configuration
from cloud_integrations_cli.tables import Column, Listing, shown_time


def _state(webhook: Mapping[str, Any]) -> str:
    return "on" if webhook["enabled"] else f"off ({webhook['offReason']})"


_LISTING = Listing(
    columns=(
        Column("ID", "id"),
        Column("Address", "url"),
        Column("Events", lambda each: ", ".join(each["events"]) or "all"),
        Column("State", _state),
        Column("Failing since", lambda each: shown_time(each["failingSince"]) if each["failingSince"] else ""),
    ),
    fields=(
        "id",
        "tenantId",
        "url",
        "events",
        "providers",
        "format",
        "enabled",
        "offReason",
        "failingSince",
        "secrets",
        "createdAt",
        "updatedAt",
    ),
    empty="no webhooks",
)


def list_all(screen: Screen, configuration: Configuration, tenant: str | None, /) -> None:
    """Show the webhooks of a tenant, or of the installation."""
    with wiring.open_manager(configuration) as manager:
        screen.show(_LISTING, [WebhookOut.of(webhook).as_json() for webhook in manager.webhooks.list(tenant)])


def add(
    screen: Screen,
    configuration: Configuration,
    tenant: str | None,
    url: str,
    /,
    *,
    events: Sequence[str],
    providers: Sequence[str],
    body_format: str,
) -> None:
    """Add a webhook, and show its secret this once."""
    chosen: Any = body_format
    with wiring.open_manager(configuration) as manager:
        _show_new(screen, manager.webhooks.add(tenant, url, events=events, providers=providers, format=chosen))


def rotate_secret(screen: Screen, configuration: Configuration, tenant: str | None, webhook: str, /, *, overlap: int) -> None:
    """Give a webhook a new secret, and show it this once."""
    with wiring.open_manager(configuration) as manager:
        _show_new(screen, manager.webhooks.rotate_secret(tenant, webhook, overlap=overlap))


def switch(screen: Screen, configuration: Configuration, tenant: str | None, webhook: str, /, *, enabled: bool) -> None:
    """Switch a webhook on or off."""
    with wiring.open_manager(configuration) as manager:
        edited = manager.webhooks.edit(tenant, webhook, enabled=enabled)
    if screen.as_json:
        screen.json({"data": WebhookOut.of(edited).as_json()})
        return
    screen.note("on" if enabled else "off")


def remove(screen: Screen, configuration: Configuration, tenant: str | None, webhook: str, /, *, yes: bool) -> None:
    """Delete a webhook."""
    with wiring.open_manager(configuration) as manager:
        confirm(f"Delete the webhook {webhook}?", yes=yes)
        manager.webhooks.remove(tenant, webhook)
    if screen.as_json:
        screen.json({"success": True})
        return
    screen.note("removed")


def _show_new(screen: Screen, new: NewWebhook) -> None:
    if screen.as_json:
        screen.json({"data": NewWebhookOut.of_new(new).as_json()})
        return
    webhook: Webhook = new.webhook
    screen.facts({"ID": str(webhook.id), "Address": webhook.url, "Secret": new.secret.reveal()})
    screen.note("\ngive the secret to the receiver now: it is not shown again")
