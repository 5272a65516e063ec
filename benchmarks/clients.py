"""What a live credential adds to a request of each client, beside the client's own static credential."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import Any

from bench.clients import CLIENTS, Client, Doors
from bench.host import READS_ONCE, TENANT, Host
from bench.measure import Contestant, Goal, Skipped, Table, awaiting, blocking, compare, main

from cloud_integrations import AsyncMemoryStore, ImportedKey, MemoryStore

AWS = ImportedKey(
    provider="aws", name="Account", method="access_key", inputs={"access_key_id": "fake-id", "secret_access_key": "fake-secret"}
)


def tables(*, quick: bool) -> Iterator[Table | Skipped]:
    """Measure the live values of both managers, with a token in memory; clients that are not installed are named."""
    host = Host()
    manager = host.manager(MemoryStore(), READS_ONCE)
    host.connect(manager)
    manager.acting_as("ada").import_credential(TENANT, AWS, verify=False)
    with asyncio.Runner() as runner:
        awaited = host.async_manager(AsyncMemoryStore(), READS_ONCE)
        runner.run(host.connect_async(awaited))
        runner.run(awaited.acting_as("ada").import_credential(TENANT, AWS, verify=False))
        doors = Doors(manager, awaited, host.oauth.id)
        for name, client in CLIENTS.items():
            title = f"{name}, with the credential in memory"
            try:
                package = import_module(client.module)
            except ImportError:
                yield Skipped(title=title, reason="it is not installed")
                continue
            yield _compare(title, client, doors, package, runner, quick=quick)


def _compare(title: str, client: Client, doors: Doors, package: Any, runner: asyncio.Runner, *, quick: bool) -> Table:
    pair = client.pair(doors, package)
    runs = [awaiting(runner, call) if client.awaits else blocking(call) for call in pair]
    return compare(
        title,
        [Contestant(role="limit", name="static", run=runs[0]), Contestant(role="ours", name="live", run=runs[1])],
        rounds=2 if quick else 40,
        count=20 if quick else 2_000,
        goals=[Goal(name="µs more", value=_more, bound=5)],
    )


def _more(samples: Mapping[str, float]) -> float:
    return samples["live"] - samples["static"]


if __name__ == "__main__":
    main(__doc__, tables)
