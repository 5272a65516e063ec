"""Write tests/backends/corpus/<release>/installation.json: a database of this release, with its keys, for all later ones to read.

Run it once, when the release is made, after tools/ci1_corpus.py.  It refuses to write what is already there.  The rows are those of a
life that was played with fake secrets, as SQLite stores them; what must be read from them stands beside them.
"""

from __future__ import annotations

import base64
import hashlib
import json
import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from cloud_integrations import AesGcmCipher, Catalogue, IntegrationManager, LocalKeyring, Settings, SqlAlchemyStore, __version__
from cloud_integrations.backends.sqlalchemy import migrate, sqlite_engine
from cloud_integrations.testing import AdvancingPause, FixedClock, Misbehaviour, SeededEntropy, SimulatedProvider, SimulatedTransport

CORPUS = Path(__file__).parents[1] / "tests/backends/corpus"
TENANTS = ("acme", "ténant/ü", "globex")
CALLBACK = "https://app.example/oauth/callback"
KEYS = {"fake-2026-01": b"fake-wrapping-key-1-of-32-bytes.", "fake-2026-02": b"fake-wrapping-key-2-of-32-bytes."}
"""Oldest first: the second becomes the primary one in the middle of the life."""


def main() -> None:
    """Write the file, and add its sum."""
    folder = CORPUS / ".".join(__version__.split(".")[:2])
    target = folder / "installation.json"
    written = json.dumps(installation(), indent=1, sort_keys=True) + "\n"
    with target.open("x", encoding="utf-8") as file:
        file.write(written)
    with (CORPUS / "SHA256SUMS").open("a", encoding="utf-8") as sums:
        sums.write(f"{hashlib.sha256(written.encode()).hexdigest()}  {folder.name}/{target.name}\n")
    print(target)


def installation() -> dict[str, Any]:
    """Play a life, and return its rows, its keys, and what must be read from them."""
    with tempfile.TemporaryDirectory() as place:
        path = Path(place, "life.db")
        engine = sqlite_engine(path)
        try:
            expected = _play(engine)
        finally:
            engine.dispose()
        return {"release": __version__, "keyring": _entries(*KEYS)[::-1], "tables": _rows(path), "expected": expected}


def open_manager(engine: Any, keyring: LocalKeyring, provider: SimulatedProvider, clock: FixedClock) -> IntegrationManager:
    """Return a manager over the database of a life, or of a copy of one."""
    return IntegrationManager(
        store=SqlAlchemyStore(engine, clock=clock),
        transport=SimulatedTransport(provider),
        keys=keyring,
        cipher=AesGcmCipher(),
        providers=Catalogue.of(*provider.catalogue_entries()),
        applications=[provider.application()],
        settings=Settings(callback_url=CALLBACK, slots=True),
        clock=clock,
        pause=AdvancingPause(clock),
    )


def _entries(*kids: str) -> list[str]:
    return [f"{kid}:{base64.b64encode(KEYS[kid]).decode()}" for kid in kids]


def _play(engine: Any) -> dict[str, Any]:
    clock = FixedClock()
    provider = SimulatedProvider(clock=clock, entropy=SeededEntropy("corpus"))
    migrate.upgrade(engine)
    old, both = (_entries("fake-2026-01"), _entries("fake-2026-02", "fake-2026-01"))
    with closing(open_manager(engine, LocalKeyring(old), provider, clock)) as opened:
        acting = opened.acting_as("ada")
        for tenant in TENANTS:
            _connect(acting, provider, tenant)
            acting.add_api_key(tenant, f"{provider.slug}_keys", name="Key", api_key=provider.issue_api_key(), slot="second")
        acting.keys.rotate(tenant_id=TENANTS[0])
    with closing(open_manager(engine, LocalKeyring(both), provider, clock)) as opened:
        acting = opened.acting_as("ada")
        _connect(acting, provider, TENANTS[0], slot="third")
        _connect(acting, provider, TENANTS[2], slot="gone")
        provider.misbehave(Misbehaviour.UNAVAILABLE, endpoint="revoke", times=None)
        for held in acting.list_integrations(TENANTS[2]):
            if held.slot == "gone":
                acting.delete(TENANTS[2], held.id)
        acting.begin_oauth(TENANTS[1], provider.slug, name="Begun", slot="begun")
        expected = {tenant: [_told(opened, held) for held in acting.list_integrations(tenant)] for tenant in TENANTS}
        return {
            "integrations": expected,
            "audit": {tenant: _end_of_chain(acting, tenant) for tenant in TENANTS},
            "revocations": sum(each.count for each in acting.worker.report().outbox if each.kind == "revocation"),
            "at": clock.now().isoformat(),
        }


def _connect(acting: Any, provider: SimulatedProvider, tenant: str, slot: str = "") -> None:
    begun = acting.begin_oauth(tenant, provider.slug, name="Files", slot=slot)
    params = parse_qsl(urlsplit(provider.sign_in(begun.url)).query)
    acting.complete_oauth(begun.context_id, params, browser_token=begun.browser_token)


def _told(opened: IntegrationManager, held: Any) -> dict[str, Any]:
    values = opened.acting_as("ada").credential(held.tenant_id, held.id).values()
    return {
        "id": str(held.id),
        "name": held.name,
        "slot": held.slot,
        "status": held.status.value,
        "scopes": sorted(held.scopes),
        "values": {name: value.reveal() for name, value in values.items()},
    }


def _end_of_chain(acting: Any, tenant: str) -> dict[str, Any]:
    report = acting.audit.verify(tenant)
    return {"checked": report.checked, "hash": report.head.hash.hex()}


def _rows(path: Path) -> dict[str, list[dict[str, Any]]]:
    """Return every row of every table, as SQLite has it; bytes are `{"hex": …}`."""
    with closing(sqlite3.connect(path)) as connection:
        connection.row_factory = sqlite3.Row
        tables = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table' AND name LIKE 'ci_%' ORDER BY name")
        names = [name for (name,) in tables]
        return {name: [_plain(row) for row in connection.execute(f"SELECT * FROM {name} ORDER BY rowid")] for name in names}  # noqa: S608


def _plain(row: sqlite3.Row) -> dict[str, Any]:
    return {name: {"hex": row[name].hex()} if isinstance(row[name], bytes) else row[name] for name in row.keys()}  # noqa: SIM118  # a Row


if __name__ == "__main__":
    main()
