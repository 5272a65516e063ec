"""The commands about our own issuer."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from cloud_integrations import LocalSigningKeys, Secret
from cloud_integrations_cli.exits import CommandLineError
from cloud_integrations_cli.files import append_private, rewrite_private, write_private
from cloud_integrations_cli.issuers import open_signing_keys
from cloud_integrations_cli.render import Screen
from cloud_integrations_cli.settings import Configuration
from cloud_integrations_cli.tables import Column, Listing

_BLOCK = re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?-----END [A-Z ]*PRIVATE KEY-----", re.DOTALL)
_KEYS = Listing(
    columns=(
        Column("Key", "kid"),
        Column("Bits", "bits"),
        Column("Use", lambda key: "signs and is published" if key["signs"] else "is published"),
    ),
    fields=("kid", "bits", "signs", "jwk", *(f"jwk.{name}" for name in ("kty", "use", "alg", "kid", "n", "e"))),
    empty="no key",
)
_SERVE = "Run `serve` there, or mount create_issuer_router, and let the internet reach it without signing in."
ISSUER_PROBLEMS: Mapping[str, tuple[str, str]] = {
    "loopback": ("is this computer alone: no provider can read its keys", "Set issuer.url to a public https address, for good."),
    "configuration_unreachable": ("does not answer for its discovery document", _SERVE),
    "configuration_unusable": ("answers with something else than a discovery document", _SERVE),
    "other_issuer": (
        "is not the issuer that its discovery document names",
        "Set issuer.url to what tenants have entered at their providers.",
    ),
    "other_key_set": ("names a key set at another address", "Does another issuer have this address?"),
    "keys_unreachable": ("does not answer for its key set", _SERVE),
    "keys_unusable": ("answers with something else than a key set", _SERVE),
    "key_missing": (
        "does not publish each of our keys, so tokens may be refused",
        "Restart what serves it with the keys that are set up here.",
    ),
    "key_unknown": ("publishes a key that is not set up here", "Is a key being rotated? Whoever has this key can sign in as each tenant."),
}
"""By the problem: a sentence that goes on from the issuer's address, and what to do."""


def new_key(screen: Screen, /, *, file: Path) -> None:
    """Add a private key at the end of *file*, and name it."""
    made = LocalSigningKeys.generate_key()
    [public] = LocalSigningKeys([made]).public_keys()
    signs = not file.exists()
    if signs:
        write_private(file, made.reveal())
        screen.note(f"{file}: {public.key_id} signs from now on; keep the file where backups of the database are not")
    else:
        LocalSigningKeys.from_file(file)  # raises before a key is added to what is no file of keys
        append_private(file, made.reveal())
        later = f"`cloud-integrations issuer promote {public.key_id} --file {file}`"
        screen.note(f"{file}: {public.key_id} is published; a day after every process has it, {later}")
    if screen.as_json:
        screen.json({"data": {"kid": public.key_id, "file": str(file), "signs": signs}})


def promote(screen: Screen, key_id: str, /, *, file: Path) -> None:
    """Put the key with this id first in *file*, so that it signs from now on."""
    moved = False

    def move(before: str) -> str:
        nonlocal moved
        # From here on no local variable, which a traceback may show, has a key as text.
        whole, blocks = Secret(before), [Secret(block) for block in _BLOCK.findall(before)]
        del before
        ids = [LocalSigningKeys([block]).public_keys()[0].key_id for block in blocks]
        if key_id not in ids:
            return whole.reveal()
        moved = True
        place = ids.index(key_id)
        ordered = [blocks[place], *blocks[:place], *blocks[place + 1 :]]
        return "".join(f"{block.reveal()}\n" for block in ordered)

    rewrite_private(file, move)
    if not moved:
        raise CommandLineError(f"{file} has no key of this id")
    screen.note(f"{file}: {key_id} signs, in every process that starts now; remove the old key a day later")
    if screen.as_json:
        screen.json({"data": {"kid": key_id, "file": str(file)}})


def show(screen: Screen, configuration: Configuration, /) -> None:
    """Show the public keys; a private key is never shown."""
    rows = [
        {"kid": key.key_id, "bits": key.bits, "signs": place == 0, "jwk": key.as_jwk()}
        for place, key in enumerate(open_signing_keys(configuration).public_keys())
    ]
    screen.show(_KEYS, rows)
