"""The commands about keys and tokens."""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from pydantic import ValidationError

from cloud_integrations import LocalKeyring
from cloud_integrations_fastapi import Permission

from . import wiring
from .exits import CommandLineError
from .files import prepend_private
from .render import Screen
from .settings import Configuration, ServeToken

TOKEN_PREFIX = "cit_"  # noqa: S105  # it lets scanners recognise a leaked token; it is no secret


def new_kid() -> str:
    """Name a key after the day and four random letters, so that names stay different and sort by age."""
    return f"{datetime.now(UTC):%Y%m%d}-{secrets.token_hex(2)}"


def generate(screen: Screen, /, *, kid: str | None, file: Path | None) -> None:
    """Make a key: print it, or put it in front of a keyring file, where it becomes the primary."""
    entry = LocalKeyring.generate_key(kid or new_kid())
    name = entry.reveal().partition(":")[0]
    if file is None:
        screen.note("this is a secret: keep it where backups of the database are not")
        screen.text(entry.reveal())
        return
    if file.exists() and name in LocalKeyring.from_file(file).kids:
        raise CommandLineError(f"{file} has a key of this name already; a name is for ever, choose another --kid")
    prepend_private(file, f"{entry.reveal()}\n")
    screen.note(f"{file}: {name} is the primary key now; keep the file where backups of the database are not")
    if screen.as_json:
        screen.json({"data": {"kid": name, "file": str(file)}})


def list_all(screen: Screen, configuration: Configuration, /) -> None:
    """Show which keys there are, never a key."""
    kids = wiring.keyring(configuration).kids
    if screen.as_json:
        screen.json({"data": [{"kid": kid, "primary": position == 0} for position, kid in enumerate(kids)]})
    else:
        screen.table(
            ("Key", "Use"),
            [(kid, "wraps and unwraps" if position == 0 else "unwraps") for position, kid in enumerate(kids)],
            empty="no key",
        )


def generate_token(screen: Screen, /, *, actor: str, tenants: Sequence[str], permissions: Sequence[str] | None) -> None:
    """Make a bearer token for `serve`: it is shown once, the settings keep its SHA-256."""
    usual = [permission.value for permission in Permission if permission not in {Permission.USE, Permission.REVEAL}]
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
    screen.note("\nFor the settings file:\n\n" + token_toml(entry))


def new_token() -> str:
    """Return 256 random bits as text."""
    return TOKEN_PREFIX + secrets.token_urlsafe(32)


def token_hash(token: str, /) -> str:
    """Return the SHA-256 under which a token is kept; it has 256 random bits, so a fast hash is enough."""
    return hashlib.sha256(token.encode()).hexdigest()


def token_toml(entry: ServeToken, /) -> str:
    """Write the entry as it stands in the settings."""
    # JSON's strings and lists are TOML's, too.
    fields = {name: json.dumps(value) for name, value in entry.model_dump(mode="json").items()}
    return "[[tokens]]\n" + "\n".join(f"{name} = {value}" for name, value in fields.items())
