"""Processes that change integrations and deliver events, until they are killed.

Started once, as a program, it loads everything and forks one for each line on its standard input.  Each process says its id on the standard
output when it begins, and then works until somebody ends it.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
from contextlib import contextmanager
from datetime import timedelta

import httpx  # noqa: F401  # loaded once for all, like the next
import psycopg  # noqa: F401
import pymysql  # noqa: F401
from sqlalchemy import create_engine, make_url

from cloud_integrations import Catalogue, HttpxTransport, IntegrationManager, Settings, SqlAlchemyStore, flows
from cloud_integrations.backends.aes_gcm import AesGcmCipher
from cloud_integrations.backends.keys.local import LocalKeyring
from cloud_integrations.backends.sqlalchemy import sqlite_engine
from cloud_integrations.domain.secret import Secret
from cloud_integrations.errors import CloudIntegrationsError
from cloud_integrations.testing import SimulatedProvider

PROVIDERS = Catalogue.of(*SimulatedProvider().catalogue_entries())
SETTINGS = Settings(events=True, loopback=True, lease=timedelta(seconds=2), deadline=timedelta(seconds=1))


@contextmanager
def built(url, key, transport):
    """The manager that every process has; it leaves no connection open."""
    made = make_url(url)
    engine = sqlite_engine(made.database) if made.drivername.startswith("sqlite") else create_engine(made)
    manager = IntegrationManager(
        store=SqlAlchemyStore(engine),
        transport=transport,
        keys=LocalKeyring([Secret(key)]),
        cipher=AesGcmCipher(),
        providers=PROVIDERS,
        settings=SETTINGS,
    )
    try:
        yield manager
    finally:
        manager.close()
        engine.dispose()


def work(order):
    """Switch integrations off and on, and deliver what is due, until the process is ended."""
    with built(order["url"], order["key"], HttpxTransport()) as manager:
        _work(manager.acting_as(f"process-{order['seed']}"), order)


def _work(manager, order):
    chance = random.Random(order["seed"])  # for a test
    manager.report()
    _say(json.dumps({"ready": os.getpid()}))
    while True:
        tenant = chance.choice(order["tenants"])
        try:
            [held] = manager.list_integrations(tenant)
            manager.edit_integration(tenant, held.id, status=chance.choice(["active", "inactive"]))
            manager.worker.deliver_events(limit=20)
        except CloudIntegrationsError:
            # Two of them in each other's way; the next turn comes.
            continue


def _say(line):
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def main():
    flows.load()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for those that are killed
    _say("ready")
    for line in sys.stdin:
        if os.fork() == 0:
            sys.stdin.close()
            work(json.loads(line))


if __name__ == "__main__":
    main()
