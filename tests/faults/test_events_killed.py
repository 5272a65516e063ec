"""kill -9 at any moment of a change or a delivery: no event is lost, none has a second id, and none overtakes another."""

from __future__ import annotations

import json
import os
import random
import secrets
import signal
import subprocess
import sys
import threading
import time
from collections import defaultdict
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from standardwebhooks.webhooks import Webhook
from tests.sizes import FULL

import cloud_integrations
from cloud_integrations import HttpxTransport
from cloud_integrations.testing import SimulatedProvider, SimulatedTransport

from .conftest import DATABASES
from .event_worker import built
from .processes import PATIENCE, until

pytestmark = pytest.mark.slow  # each starts processes

KILLS = 200 if FULL else 67
"""Of each database; 201 in all."""
AT_ONCE = 2
CHANGES = {"integration.connected", "integration.disabled", "integration.enabled"}


class Receiver:
    """What arrived, each verified, in order."""

    def __init__(self):
        self.secret = None
        self.arrived = []
        self._lock = threading.Lock()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers["content-length"]))
                event = Webhook(receiver.secret).verify(body, dict(self.headers))
                with receiver._lock:
                    receiver.arrived.append((self.headers["webhook-id"], event))
                self.send_response(204)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, format, *args):  # noqa: A002  # the signature of the class above
                """Say nothing."""

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, request, client_address):
                """Say nothing of clients that were killed."""

        self.server = Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/"

    def __enter__(self):
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()


class Workers:
    """The program that forks processes, and those that live."""

    def __init__(self, order):
        self.order = order
        self.living = []
        source = Path(cloud_integrations.__file__).parents[1]
        self._program = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("event_worker.py"))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(source)},
        )
        assert self._program.stdout.readline() == "ready\n"

    def start(self, seed):
        self._program.stdin.write(json.dumps({**self.order, "seed": seed}) + "\n")
        self._program.stdin.flush()
        self.living.append(json.loads(self._program.stdout.readline())["ready"])

    def kill_one(self):
        os.kill(self.living.pop(0), signal.SIGKILL)

    def close(self):
        while self.living:
            self.kill_one()
        self._program.stdin.close()
        self._program.wait(PATIENCE)
        self._program.stdout.close()


@pytest.mark.timeout(1800)  # a busy machine forks slowly
@pytest.mark.requirement("TST-03")
@pytest.mark.parametrize("database", DATABASES, indirect=True)
def test_killed_at_random_workers_lose_no_event_and_make_no_second_id(database, keyring_entry):
    seed = secrets.randbits(32)
    chance = random.Random(seed)  # for a test
    provider = SimulatedProvider()
    tenants = [f"tenant-{secrets.token_hex(4)}" for _ in range(6)]
    with built(database.url, keyring_entry, SimulatedTransport(provider)) as door, Receiver() as receiver:
        manager = door.acting_as("alice")
        new = manager.webhooks.add(None, receiver.url)
        receiver.secret = new.secret.reveal()
        for tenant in tenants:
            manager.add_api_key(tenant, "simulated_keys", name="Key", api_key=provider.valid_api_key)
        workers = Workers({"url": database.url, "key": keyring_entry, "tenants": tenants})
        try:
            for number in range(KILLS + AT_ONCE):
                workers.start(seed + number)
                if len(workers.living) > AT_ONCE:
                    # Nothing is decided by this pause: it lets the end come at another moment each time.
                    time.sleep(chance.random() * 0.1)
                    workers.kill_one()
        finally:
            workers.close()
        with built(database.url, keyring_entry, HttpxTransport()) as last:

            def is_quiet():
                last.worker.deliver_events()
                return {"event", "delivery"}.isdisjoint(each.kind for each in manager.worker.report().outbox)

            until(is_quiet, f"the last delivery, with the seed {seed}")
        manager.webhooks.remove(None, new.webhook.id)
        _check(manager, tenants, receiver.arrived, seed)


def _check(manager, tenants, arrived, seed):
    by_id = {}
    order = defaultdict(list)
    for message_id, event in arrived:
        if event["type"] in CHANGES and event["data"]["tenantId"] in tenants:
            # What comes again is the same.
            assert by_id.setdefault(message_id, event) == event, seed
            if message_id not in order[event["data"]["tenantId"]]:
                order[event["data"]["tenantId"]].append(message_id)
    for tenant in tenants:
        happened = []
        before = None
        while page := manager.audit.list(tenant, before=before, limit=200):
            happened += [str(record.event.event_id) for record in page if record.event.action in CHANGES]
            before = page[-1].seq
        assert order[tenant] == happened[::-1], f"{tenant} with the seed {seed}"
    assert len(by_id) > len(tenants)
