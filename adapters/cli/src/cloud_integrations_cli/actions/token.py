"""`token`: a credential that works."""

from __future__ import annotations

import json
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

from cloud_integrations import Credential
from cloud_integrations.documents import CredentialOut, TokenOut
from cloud_integrations_cli import wiring
from cloud_integrations_cli.characters import can_be_written
from cloud_integrations_cli.exits import CommandLineError
from cloud_integrations_cli.prompts import confirm, decode_secret, read_secret_file
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
    narrow: Path | None,
) -> None:
    """Get a credential that works, narrowed as the file *narrow* says, and show its facts; with *reveal*, print the secret."""
    less = None if narrow is None else _read_narrow(narrow)
    with wiring.open_manager(configuration) as manager:
        named = wiring.read_id(which) or wiring.find_provider(configuration, which).id
        if reveal:
            entry = wiring.find_provider(configuration, manager.get_integration(tenant, named, slot=slot).provider_id)
            confirm(f"Print the secret of {entry.name} for tenant {tenant}? It is recorded in the audit.", yes=yes)
        life = None if min_ttl is None else timedelta(seconds=min_ttl)
        held = manager.credential(tenant, named, slot=slot, min_ttl=life, narrow=less)
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
                **({"Narrowed by": ", ".join(held.narrowed)} if held.narrowed else {}),
                "Sent in": _places(held),
                "Secret": "works; --reveal prints it",
            }
        )


def _read_narrow(file: Path) -> dict[str, Any]:
    """Return the JSON object in *file*, or in standard input.  Raises `CommandLineError`, which does not repeat it."""
    text = decode_secret("--narrow", sys.stdin.buffer.read()) if str(file) == "-" else read_secret_file("--narrow", file)
    try:
        read = json.loads(text.reveal(), object_pairs_hook=_once)
    except (ValueError, RecursionError):
        read = None
    if not isinstance(read, dict):
        raise CommandLineError("--narrow needs a JSON object, with each name once")
    return read


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name is there twice")
    return found


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
