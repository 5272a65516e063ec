"""The commands about bearer tokens of `serve`."""

from __future__ import annotations

import json
from collections.abc import Sequence

from pydantic import ValidationError

from cloud_integrations_cli.exits import CommandLineError
from cloud_integrations_cli.render import Screen
from cloud_integrations_cli.settings_parts import ServeToken
from cloud_integrations_fastapi import Permission
from cloud_integrations_fastapi.host import new_token, token_hash


def generate(screen: Screen, /, *, actor: str, tenants: Sequence[str], permissions: Sequence[str] | None) -> None:
    """Make a bearer token for `serve`: print it, and the entry for the settings with its SHA-256."""
    usual = [
        permission.value
        for permission in Permission
        if permission not in {Permission.USE, Permission.REVEAL, Permission.OPERATE, Permission.INCIDENTS}
    ]
    wanted = list(permissions or usual)
    if unknown := sorted(set(wanted) - {permission.value for permission in Permission}):
        raise CommandLineError(f"no such permission: {', '.join(unknown)}; there are {', '.join(Permission)}")
    token = new_token()
    try:
        entry = ServeToken(
            sha256=token_hash(token), actor=actor, tenants="*" if "*" in tenants else tuple(tenants), permissions=tuple(wanted)
        )
    except ValidationError:
        raise CommandLineError("--actor takes type:id, such as service:backend") from None
    if screen.as_json:
        screen.json({"data": {"token": token, **entry.model_dump(mode="json")}})
        return
    screen.note("The token, shown this once:")
    screen.text(token)
    screen.note("\nFor the settings file:\n\n" + _token_toml(entry))


def _token_toml(entry: ServeToken, /) -> str:
    """Return the entry as TOML, for the settings."""
    # Strings and lists of JSON are valid TOML.
    fields = {name: json.dumps(value) for name, value in entry.model_dump(mode="json").items()}
    return "[[tokens]]\n" + "\n".join(f"{name} = {value}" for name, value in fields.items())
