"""Keep integrations in a SQLite file under keys of a keyring file, across two runs of a program."""

from __future__ import annotations

import tempfile
from pathlib import Path

from cloud_integrations import Actor, Catalogue, IntegrationManager, LocalKeyring
from cloud_integrations.backends.sqlalchemy import migrate, sqlite_engine
from cloud_integrations.errors import KeyringError
from cloud_integrations.testing import SimulatedProvider, SimulatedTransport

CRON = Actor(type="service", id="nightly-report")
provider = SimulatedProvider()


def run(folder: Path, keyring: LocalKeyring) -> None:
    """Do what one run of the program does: connect if needed, then use the credential."""
    engine = sqlite_engine(folder / "integrations.db")
    migrate.upgrade(engine)
    try:
        with IntegrationManager.over(
            engine,
            transport=SimulatedTransport(provider),
            keys=keyring,
            providers=Catalogue.of(*provider.catalogue_entries()),
        ) as opened:
            manager = opened.acting_as(CRON)
            if not manager.list_integrations("acme"):
                manager.add_api_key("acme", "simulated_keys", name="Reports", api_key=provider.valid_api_key)
                print("  connected, and the key is sealed in the file")
            token = manager.credential("acme", "simulated_keys")
            assert token.value == provider.valid_api_key
            print(f"  a credential that works, sent as {', '.join(token.headers())}; audit events: {manager.audit.verify('acme').checked}")
    finally:
        engine.dispose()


with tempfile.TemporaryDirectory() as temporary:
    folder = Path(temporary)
    key_file = folder / "keyring"
    key_file.touch(mode=0o600)
    key_file.write_text(LocalKeyring.generate_key("2026-11").reveal() + "\n", encoding="utf-8")

    print("first run")
    run(folder, LocalKeyring.from_file(key_file))
    print("second run")
    run(folder, LocalKeyring.from_file(key_file))

    stored = b"".join(file.read_bytes() for file in folder.glob("integrations.db*"))
    print(f"the secret in the file: {'yes' if provider.valid_api_key.reveal().encode() in stored else 'no'}")

    print("third run, with another key under the same name")
    try:
        run(folder, LocalKeyring([LocalKeyring.generate_key("2026-11")]))
    except KeyringError as error:
        print(f"  refused at the start: {error}")
