"""`token`: a credential that works."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from cloud_integrations import Credential
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
    slot: str,
    reveal: bool,
    yes: bool,
    min_ttl: float | None,
) -> None:
    """Get a credential that works and show its facts; with *reveal*, print the secret."""
    with wiring.open_manager(configuration) as manager:
        named = wiring.read_id(which) or wiring.find_provider(configuration, which).id
        if reveal:
            entry = wiring.find_provider(configuration, manager.get_integration(tenant, named, slot=slot).provider_id)
            confirm(f"Print the secret of {entry.name} for tenant {tenant}? It is recorded in the audit.", yes=yes)
        held = manager.credential(tenant, named, slot=slot, min_ttl=None if min_ttl is None else timedelta(seconds=min_ttl))
    if reveal and not screen.as_json and not all(can_be_written(secret.reveal()) for secret in held.values().values()):
        raise CommandLineError("the secret has characters that this output's encoding does not have; --output json shows it in ASCII")
    if held.warning:
        screen.note(f"warning: {say_word(held.warning)}")
    if screen.as_json:
        screen.json({"data": _document(held, reveal=reveal)})
    elif reveal:
        _print_secrets(screen, held)
    else:
        screen.facts(
            {
                "Integration": str(held.integration_id),
                "Connected by": held.auth_type.value,
                "Expires": moment(held.expires_at, unknown="unknown, or never"),
                "Scopes": " ".join(held.scopes) or "–",
                "Sent in": _places(held),
                "Secret": "works; --reveal prints it",
            }
        )


def _document(held: Credential, *, reveal: bool) -> dict[str, Any]:
    if not reveal:
        return CredentialOut.of(held).as_json() | {"forms": list(held.forms)}
    values = {name: secret.reveal() for name, secret in held.values().items()}
    return TokenOut.of(held).as_json() | {"forms": list(held.forms), "values": values}


def _print_secrets(screen: Screen, held: Credential) -> None:
    if "sign" in held.forms:
        # They are not shown one after the other as a key and its secret are, so each needs its name.
        for name, secret in held.values().items():
            screen.text(f"{name}: {secret.reveal()}")
        screen.note(f"each request is signed with these ({held.present.sign})")
        return
    screen.text(held.value.reveal())
    if held.secret is not None:
        screen.text(held.secret.reveal())


def _places(held: Credential) -> str:
    """Say where requests carry the credential; its values are not among it."""
    shown = held.present
    places = [f"the header {name}" for name in shown.headers] + [f"the query parameter {name}" for name in shown.query]
    places += ["HTTP Basic"] if shown.basic is not None else []
    places += [f"a signature ({shown.sign})"] if shown.sign is not None else []
    return ", ".join(places) or ", ".join(held.forms)
