"""`token`: a credential that works."""

from __future__ import annotations

from datetime import timedelta

from cloud_integrations.documents import CredentialOut, TokenOut
from cloud_integrations_cli import wiring
from cloud_integrations_cli.characters import can_be_written
from cloud_integrations_cli.exits import CommandLineError
from cloud_integrations_cli.prompts import confirm
from cloud_integrations_cli.render import Screen, moment
from cloud_integrations_cli.settings import Configuration
from cloud_integrations_cli.words import say_word


def get(
    screen: Screen,
    configuration: Configuration,
    tenant: str,
    which: str,
    /,
    *,
    reveal: bool,
    yes: bool,
    min_ttl: float | None,
) -> None:
    """Make sure that a credential works; with *reveal* print it."""
    with wiring.open_manager(configuration) as manager:
        named = wiring.read_id(which) or wiring.find_provider(configuration, which).id
        if reveal:
            entry = wiring.find_provider(configuration, manager.get_integration(tenant, named).provider_id)
            confirm(f"Print the secret of {entry.name} for tenant {tenant}? It is recorded in the audit.", yes=yes)
        held = manager.credential(tenant, named, min_ttl=None if min_ttl is None else timedelta(seconds=min_ttl))
    if reveal and not screen.as_json and not all(can_be_written(secret.reveal()) for secret in (held.value, held.secret) if secret):
        raise CommandLineError("the secret has characters that this output's encoding does not have; --output json shows it in ASCII")
    if held.warning:
        screen.note(f"warning: {say_word(held.warning)}")
    if screen.as_json:
        screen.json({"data": (TokenOut if reveal else CredentialOut).of(held).as_json()})
    elif reveal:
        screen.text(held.value.reveal())
        if held.secret is not None:
            screen.text(held.secret.reveal())
    else:
        screen.facts(
            {
                "Integration": str(held.integration_id),
                "Connected by": held.auth_type.value,
                "Expires": moment(held.expires_at, unknown="unknown, or never"),
                "Scopes": " ".join(held.scopes) or "–",
                "Secret": "works; --reveal prints it",
            }
        )
