"""The commands about sessions of agents."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from cloud_integrations import Actor, AgentSession
from cloud_integrations.documents import SessionOut
from cloud_integrations_cli import wiring
from cloud_integrations_cli.exits import CommandLineError
from cloud_integrations_cli.render import Screen, moment
from cloud_integrations_cli.settings import Configuration
from cloud_integrations_cli.tables import Column, Listing, shown_time

_LISTING = Listing(
    columns=(
        Column("ID", "id"),
        Column("Agent", "agent.id"),
        Column("For", "onBehalfOf.id"),
        Column("Providers", lambda each: ", ".join(access["name"] for access in each["access"])),
        Column("Expires", lambda each: shown_time(each["expiresAt"])),
        Column("Revoked", lambda each: shown_time(each["revokedAt"])),
    ),
    fields=(
        "id",
        "tenantId",
        "agent",
        "agent.type",
        "agent.id",
        "onBehalfOf",
        "onBehalfOf.type",
        "onBehalfOf.id",
        "access",
        "methods",
        "needsApproval",
        "openedAt",
        "expiresAt",
        "revokedAt",
    ),
    empty="no sessions",
)


def _document(session: AgentSession) -> dict[str, Any]:
    return SessionOut.of(session).as_json()


def open_session(
    screen: Screen,
    configuration: Configuration,
    tenant: str,
    /,
    *,
    agent: str,
    on_behalf_of: str,
    providers: Sequence[str],
    hosts: Sequence[str],
    methods: Sequence[str],
    ttl: int,
) -> None:
    """Open a session, and show its id."""
    given = _hosts(hosts, providers)
    with wiring.open_manager(configuration) as manager:
        opened = manager.sessions.open(
            tenant,
            actor=Actor(type="agent", id=agent),
            on_behalf_of=Actor(id=on_behalf_of),
            providers=providers,
            hosts=given or None,
            methods=methods,
            ttl=ttl,
        )
        session = manager.sessions.get(tenant, opened.id)
    if screen.as_json:
        screen.json({"data": _document(session)})
        return
    screen.text(str(session.id))
    hosts_of = ", ".join(host for each in session.access for host in each.hosts)
    screen.note(f"{', '.join(session.methods)} to {hosts_of}, until {moment(session.expires_at)}")


def list_all(screen: Screen, configuration: Configuration, tenant: str, /) -> None:
    """Show a tenant's sessions."""
    with wiring.open_manager(configuration) as manager:
        screen.show(_LISTING, [_document(session) for session in manager.sessions.list(tenant)])


def revoke(screen: Screen, configuration: Configuration, tenant: str, session: str, /) -> None:
    """End a session."""
    with wiring.open_manager(configuration) as manager:
        revoked = manager.sessions.revoke(tenant, session)
    if screen.as_json:
        screen.json({"data": _document(revoked)})
        return
    screen.note("revoked")


def _hosts(hosts: Sequence[str], providers: Sequence[str]) -> dict[str, list[str]]:
    """Return hosts by provider; one that names no provider belongs to the only one.  Raises `CommandLineError`."""
    found: dict[str, list[str]] = {}
    for text in hosts:
        name, separator, host = text.rpartition("=")
        if not separator and len(providers) > 1:
            raise CommandLineError("--host needs PROVIDER=HOST where there are several providers")
        found.setdefault(name if separator else providers[0], []).append(host)
    return found
