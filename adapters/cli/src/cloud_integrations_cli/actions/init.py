"""`init`: settings, a key and a database to start with."""

from __future__ import annotations

from pathlib import Path

from cloud_integrations import LocalKeyring
from cloud_integrations.errors import ConfigurationError
from cloud_integrations_cli.files import write_private
from cloud_integrations_cli.render import Screen
from cloud_integrations_cli.settings import FILE_NAME, load

from .db import migrate_database
from .keys import new_kid

KEYRING = "keyring"
DATABASE = "cloud-integrations.db"
TEMPLATE = f"""\
# Settings of cloud-integrations. Relative paths are relative to this file.
# Each can also be given in the environment, which wins: CLOUD_INTEGRATIONS_DATABASE_URL and so on.

# An SQLAlchemy URL: sqlite:///file, postgresql://user:password@host/name, mysql+pymysql://…
database_url = "sqlite:///{DATABASE}"

# The keys that seal everything, newest first. Keep a copy where backups of the database are not.
keyring_file = "{KEYRING}"

# Where browsers reach `cloud-integrations serve`. https everywhere but on this computer.
public_url = "http://127.0.0.1:8000"
host = "127.0.0.1"
port = 8000

# Refuse a posted code that does not bring the state of an authorization begun here. Leave it on unless a front end needs it off.
require_state = true

# Refuse a reconnect that answers as another account than before.
pin_accounts = false

# Let a tenant have several integrations with one provider, each in a slot of its own.
slots = false

# Providers beside those that are built in, and those that are switched off.
# provider_files = ["providers"]
# inactive_providers = ["okta"]

# How providers are reached, where not directly; HTTPS_PROXY and SSL_CERT_FILE of the environment are not read.
# proxy = "http://proxy.example:3128"
# ca_file = "company-ca.pem"

# One entry for each OAuth application. `cloud-integrations doctor` says which redirect URI to register for it.
# [[applications]]
# provider = "github"
# client_id = "…"
# client_secret_file = "github.secret"

# One entry for each bearer token of `serve`: `cloud-integrations tokens generate` prints it.
# [[tokens]]
# sha256 = "…"
# actor = "service:backend"
# tenants = ["acme"]
# permissions = ["list", "read", "connect", "providers"]

# Seconds.
# [limits]
# token_cache = 60
# deadline = 15
"""


def init(screen: Screen, folder: Path, /) -> None:
    """Write settings, a keyring and a SQLite database into *folder*; raises `ConfigurationError` when one exists."""
    files = {name: folder / name for name in (FILE_NAME, KEYRING, DATABASE)}
    for file in files.values():
        if file.exists():
            raise ConfigurationError(setting=str(file), problem="exists already; nothing was written")
    kid = new_kid()
    write_private(files[KEYRING], f"{LocalKeyring.generate_key(kid).reveal()}\n")
    write_private(files[FILE_NAME], TEMPLATE)
    # SQLite accepts an empty file; made here, the file is private from the beginning.
    write_private(files[DATABASE], "")
    _, revision = migrate_database(load(files[FILE_NAME]))
    if screen.as_json:
        screen.json({"data": {"files": [str(file) for file in files.values()], "kid": kid, "revision": revision}})
        return
    screen.facts({"Settings": str(files[FILE_NAME]), "Keyring": f"{files[KEYRING]} (key {kid})", "Database": f"{files[DATABASE]}"})
    screen.note("\nnext: add an application to the settings, then run `cloud-integrations doctor`")
