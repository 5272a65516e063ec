"""An exercise for an incident: many integrations, one leaked caller, and an operator at the command line who is killed twice.

The steps: scope, freeze, open, revoke (killed twice with SIGKILL and repeated), report.  At the end the simulated provider says of each
of its tokens whether it lives: all that the leaked caller could have read are dead, and no other one is.

    python examples/incident_exercise.py --integrations 10000
    python examples/incident_exercise.py --database-url postgresql+psycopg://user@host/empty_database
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, create_engine, event

from cloud_integrations import Actor, Catalogue, ImportedGrant, IntegrationManager, LocalKeyring, Settings
from cloud_integrations.backends.sqlalchemy import migrate, sqlite_engine
from cloud_integrations.testing import IssuedGrant, ProviderServer, SimulatedProvider

LEAKED = Actor(type="service", id="billing")
OTHER = Actor(type="service", id="reports")
SETTINGS = Settings(callback_url="http://127.0.0.1:8000/oauth/callback", loopback=True)
IN_SCOPE = 10
"""One integration in so many was used by the leaked caller."""


def cli(folder: Path, *words: str) -> dict[str, Any]:
    """Run one command to its end, and return what it printed."""
    ran = subprocess.run(  # noqa: S603  # our own command line
        command(*words), cwd=folder, env=environment(), capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout)


def command(*words: str) -> list[str]:
    """Return a command line that prints JSON."""
    return [sys.executable, "-m", "cloud_integrations_cli", "--output", "json", *words]


def environment() -> dict[str, str]:
    """Return the environment without settings of an installation on this machine."""
    return {name: value for name, value in os.environ.items() if not name.startswith("CLOUD_INTEGRATIONS_")}


def as_toml(value: Any) -> str:
    """Write JSON's values as TOML's."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(str(name))} = {as_toml(item)}" for name, item in value.items()) + "}"
    return "[" + ", ".join(map(as_toml, value)) + "]" if isinstance(value, list) else json.dumps(value)


def write_settings(folder: Path, provider: SimulatedProvider, database_url: str) -> LocalKeyring:
    """Write what the command line reads, and return the keyring that it uses."""
    for entry in provider.catalogue_entries():
        document = entry.model_dump(mode="json", by_alias=True, exclude_defaults=True)
        (folder / f"{entry.id}.toml").write_text("".join(f"{name} = {as_toml(value)}\n" for name, value in document.items()))
    application = provider.application()
    assert application.client_secret is not None
    for name, secret in (("keyring", LocalKeyring.generate_key("2026-11")), ("client.secret", application.client_secret)):
        (folder / name).touch(mode=0o600)
        (folder / name).write_text(secret.reveal() + "\n")
    (folder / "cloud-integrations.toml").write_text(
        f'database_url = "{database_url}"\nkeyring_file = "keyring"\nprovider_files = ["simulated.toml", "simulated_keys.toml"]\n'
        f'[[applications]]\nprovider = "simulated"\nclient_id = "{application.client_id}"\nclient_secret_file = "client.secret"\n'
    )
    return LocalKeyring.from_file(folder / "keyring")


def prepare(engine: Engine, keyring: LocalKeyring, provider: SimulatedProvider, count: int) -> dict[str, IssuedGrant]:
    """Import *count* grants, one for each tenant, and use one in ten as the leaked caller and the next as another one."""
    grants: dict[str, IssuedGrant] = {}
    with IntegrationManager.over(
        engine,
        keys=keyring,
        providers=Catalogue.of(*provider.catalogue_entries()),
        applications=[provider.application()],
        settings=SETTINGS,
    ) as manager:
        operator, leaked, other = (manager.acting_as(actor) for actor in ("ada", LEAKED, OTHER))
        for number in range(count):
            tenant, grant = f"tenant-{number}", provider.issue_grant(account=f"account-{number}")
            imported = ImportedGrant(
                provider="simulated",
                name=f"Files {number}",
                access_token=grant.access,
                refresh_token=grant.refresh,
                expires_at=datetime.now(UTC) + timedelta(hours=1),
            )
            operator.import_credential(tenant, imported, verify=False)
            grants[tenant] = grant
            if number % IN_SCOPE == 0:
                leaked.credential(tenant, "simulated")
            elif number % IN_SCOPE == 1:
                other.credential(tenant, "simulated")
    return grants


def hurry(engine: Engine) -> None:
    """Let SQLite not wait for the disk while the exercise is prepared: 20,000 transactions wait for minutes on a slow one."""
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", lambda connection, _: connection.execute("PRAGMA synchronous = OFF"))


def revoke_and_be_killed(folder: Path, provider: SimulatedProvider, incident: str, *, after: int) -> None:
    """Begin to revoke, and kill the process when the provider has been asked *after* more times."""
    before = provider.count("revoke")
    process = subprocess.Popen(  # noqa: S603  # as above
        command("incident", "revoke", incident, "--yes", "--per-second", "1000"),
        cwd=folder,
        env=environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    while provider.count("revoke") < before + after and process.poll() is None:
        time.sleep(0.01)
    assert process.poll() is None, "it had ended before it could be killed"
    process.kill()
    process.wait()
    print(f"  killed after {provider.count('revoke') - before} requests")


@contextmanager
def timed(what: str) -> Iterator[None]:
    """Say what begins, and how long it took."""
    began = time.monotonic()
    print(what, flush=True)
    yield
    print(f"  {time.monotonic() - began:.1f} s", flush=True)


def exercise(folder: Path, count: int, database_url: str | None) -> None:
    """Go through the incident."""
    provider = SimulatedProvider()
    with ProviderServer(provider):
        url = database_url or f"sqlite:///{folder / 'integrations.db'}"
        keyring = write_settings(folder, provider, url)
        engine = create_engine(url) if database_url else sqlite_engine(folder / "integrations.db")
        hurry(engine)
        migrate.upgrade(engine)
        with timed(f"{count} integrations are imported, {count // IN_SCOPE} of them are used by the leaked caller"):
            grants = prepare(engine, keyring, provider, count)
        engine.dispose()

        with timed("scope"):
            uses = cli(folder, "incident", "scope", "--used-by", str(LEAKED))["data"]
        concerned = {use["tenantId"] for use in uses}
        assert concerned == {tenant for number, tenant in enumerate(grants) if number % IN_SCOPE == 0}

        with timed("freeze, and open the incident"):
            cli(folder, "incident", "freeze", "--used-by", str(LEAKED), "--reason", "its host was broken into")
            incident = cli(folder, "incident", "open", "--used-by", str(LEAKED), "--reason", "its host was broken into")["data"]["id"]
            assert cli(folder, "incident", "revoke", incident, "--dry-run")["data"]["left"] == len(concerned)

        with timed("revoke, killed twice"):
            for _ in range(2):
                revoke_and_be_killed(folder, provider, incident, after=max(1, len(concerned) // 4))
            run = cli(folder, "incident", "revoke", incident, "--yes", "--per-second", "1000")["data"]
            assert (run["left"], run["notEnded"], run["failed"]) == (0, 0, 0), run

        with timed("report"):
            report = cli(folder, "incident", "report", incident)["data"]
        assert report["states"] == {"settled": len(concerned)}, report["states"]
        assert (report["waiting"], report["stillWorks"]) == (0, 0)

    living = {tenant for tenant, grant in grants.items() if any(provider.is_alive(token) for token in grant)}
    assert living == grants.keys() - concerned
    print(f"every token of {len(concerned)} integrations in scope is dead, and those of {len(living)} others live")


def main() -> None:
    """Read the arguments, and go through the exercise in a folder of its own."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--integrations", type=int, default=10_000)
    parser.add_argument("--database-url", help="an empty database; SQLite in a temporary folder without it")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        exercise(Path(folder), arguments.integrations, arguments.database_url)


if __name__ == "__main__":
    main()
