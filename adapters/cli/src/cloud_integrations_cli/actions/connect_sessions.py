"""The commands about connect sessions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

from cloud_integrations import Actor, ConnectSession
from cloud_integrations.documents import ConnectSessionOut
from cloud_integrations_cli import wiring
from cloud_integrations_cli.exits import CommandLineError
from cloud_integrations_cli.render import Screen, moment
from cloud_integrations_cli.settings import Configuration
from cloud_integrations_cli.tables import Column, Listing, shown_time

_LISTING = Listing(
    columns=(
        Column("ID", "id"),
        Column("For", "actor.id"),
        Column("Providers", lambda each: ", ".join(each["providers"]) or "all"),
        Column("Slot", "slot"),
        Column("Opened", lambda each: shown_time(each["openedAt"])),
        Column("Expires", lambda each: shown_time(each["expiresAt"])),
    ),
    fields=(
        "id",
        "tenantId",
        "actor",
        "actor.type",
        "actor.id",
        "providers",
        "slot",
        "locale",
        "returnTo",
        "origin",
        "createdAt",
        "expiresAt",
        "openedAt",
    ),
    empty="no connect sessions",
)
_LOOPBACK = {"127.0.0.1", "::1", "localhost"}


def _document(session: ConnectSession) -> dict[str, Any]:
    return ConnectSessionOut.of(session).as_json()


def create(
    screen: Screen,
    configuration: Configuration,
    tenant: str,
    /,
    *,
    person: str,
    at: str,
    providers: Sequence[str],
    slot: str,
    locale: str | None,
    return_to: str | None,
    origin: str | None,
) -> None:
    """Create a connect session, and show its link, which is shown this once."""
    pages = _read_pages(at)
    with wiring.open_manager(configuration) as manager:
        new = manager.connect_sessions.create(
            tenant, actor=Actor(id=person), providers=providers, slot=slot, locale=locale, return_to=return_to, origin=origin
        )
    link = f"{pages}/start?link={new.link_token.reveal()}"
    if screen.as_json:
        screen.json({"data": _document(new.session) | {"link": link}})
        return
    screen.text(link)
    screen.note(f"works once, until {moment(new.session.expires_at)}")


def list_all(screen: Screen, configuration: Configuration, tenant: str, /) -> None:
    """Show a tenant's connect sessions."""
    with wiring.open_manager(configuration) as manager:
        screen.show(_LISTING, [_document(session) for session in manager.connect_sessions.list(tenant)])


def revoke(screen: Screen, configuration: Configuration, tenant: str, session: str, /) -> None:
    """End a connect session."""
    with wiring.open_manager(configuration) as manager:
        manager.connect_sessions.revoke(tenant, session)
    if screen.as_json:
        screen.json({"success": True})
        return
    screen.note("revoked")


def _read_pages(at: str) -> str:
    """Return the address of the pages, without a slash at its end.  Raises `CommandLineError`: the link would show its token in transit."""
    try:
        parts = urlsplit(at)
        is_safe = parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in _LOOPBACK)
    except ValueError:
        is_safe, parts = False, urlsplit("")
    if not is_safe or not parts.hostname or parts.query or parts.fragment or "@" in parts.netloc:
        raise CommandLineError("--at must be an https URL without a query, such as https://app.example.com/connect")
    return at.rstrip("/")
