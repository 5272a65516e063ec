"""Replicas of an application: real processes with managers of their own, which die or are held up at a chosen point.

Started once, as a program, it loads everything and forks a replica for each order on its standard input, because a
start from nothing would cost each a second.  An order is a line of JSON; what happens in a replica goes, as lines of
JSON, to the Unix socket that the order names.  Tokens are told by their ids only.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
import threading
import time
from contextlib import suppress
from datetime import timedelta
from uuid import UUID

import httpx
import psycopg  # noqa: F401  # loaded once for every replica, like the next
import pymysql  # noqa: F401
from rotation_jobs import DyingStore, do
from sqlalchemy import create_engine, event, make_url

from cloud_integrations.backends.aes_gcm import AesGcmCipher
from cloud_integrations.backends.keys.local import LocalKeyring
from cloud_integrations.backends.sqlalchemy import SqlAlchemyStore, sqlite_engine
from cloud_integrations.backends.transport.httpx_transport import HttpxTransport
from cloud_integrations.domain.application import OAuthApplication
from cloud_integrations.domain.audit import SYSTEM
from cloud_integrations.domain.provider import Provider
from cloud_integrations.domain.secret import Secret
from cloud_integrations.errors import CloudIntegrationsError
from cloud_integrations.manager import IntegrationManager
from cloud_integrations.ports.settings import Settings
from cloud_integrations.providers.catalogue import Catalogue
from cloud_integrations.runtime.clock import SystemClock
from cloud_integrations.testing import SimulatedProvider, token_id


class Fault:
    """Does what was ordered the first time that the chosen point is reached, and says so."""

    def __init__(self, order, wire, clock):
        self._point, self._action, self._clock = order["failpoint"], order["action"], clock
        self._change = order["change"]
        self._passed, self._jump = order["passed"], timedelta(seconds=order["jump"])
        self._wire = wire
        self._lock = threading.Lock()
        self._happened = False
        self.writing = threading.local()

    def at(self, point, *, change=None):
        """Return whether it happened here; *change* are the kinds of changes being written, where that matters."""
        with self._lock:
            if self._happened or point != self._point or (change is not None and self._change not in change):
                return False
            self._happened = True
        self._wire.tell(at=point)
        if self._action != "hold":
            os.kill(os.getpid(), {"kill": signal.SIGKILL, "stop": signal.SIGSTOP}[self._action])
        # A signal may reach another thread first, so this one waits for it here; who was stopped also waits for the test's word.
        self._wire.wait()
        # The test lets time pass by moving the times in the row, so how far the clocks ran on, or were set, is told here.
        self._clock.held_up += self._passed
        self._clock.skew += self._jump
        return True


class Wire:
    """The line to the test."""

    def __init__(self, path):
        connection = socket.socket(socket.AF_UNIX)
        connection.connect(path)
        self._in, self._out = connection.makefile("r"), connection.makefile("w")
        self._lock = threading.Lock()

    def tell(self, **facts):
        with self._lock:
            self._out.write(json.dumps(facts) + "\n")
            self._out.flush()

    def wait(self):
        """Wait for the test's word; its end is an end here too."""
        if not self._in.readline():
            os._exit(1)


class ReplicaClock:
    """This machine's clocks, wrong by as much as the order says."""

    def __init__(self, skew):
        self._clock = SystemClock()
        self.skew = timedelta(seconds=skew)
        self.held_up = 0.0

    def now(self):
        return self._clock.now() + self.skew

    def monotonic(self):
        return self._clock.monotonic() + self.held_up


class FaultyStore:
    """The store, with a point behind each step of the protocol."""

    def __init__(self, store, fault):
        self._store, self._fault = store, fault

    def __getattr__(self, name):
        return getattr(self._store, name)

    def apply(self, *changes):
        kinds = {type(change).__name__ for change in changes}
        self._fault.at("before_begin", change=kinds)
        self._fault.writing.kinds = kinds
        try:
            self._store.apply(*changes)
        finally:
            self._fault.writing.kinds = set()
        for kind, point in (("TakeLease", "after_lease"), ("MarkSent", "after_sent"), ("SaveRenewal", "before_release")):
            if kind in kinds:
                self._fault.at(point)


class FaultyTransport:
    """The transport, with a point on either side."""

    def __init__(self, transport, fault, wire):
        self._transport, self._fault, self._wire = transport, fault, wire

    def send(self, request, /, *, deadline):
        self._fault.at("before_post")
        response = self._transport.send(request, deadline=deadline)
        with suppress(ValueError, KeyError, TypeError):
            self._wire.tell(received=token_id(json.loads(response.body)["refresh_token"]))
        self._fault.at("after_response")
        return response

    def close(self):
        self._transport.close()


class TracedHttp(httpx.HTTPTransport):
    """Says when the last byte of a request was written."""

    def __init__(self, fault):
        super().__init__()
        self._fault = fault

    def handle_request(self, request):
        request.extensions = {**request.extensions, "trace": self._look}
        return super().handle_request(request)

    def _look(self, name, _facts):
        if name == "http11.receive_response_headers.started":
            self._fault.at("after_request_written")


def open_engine(url, fault):
    if url.startswith("sqlite"):
        engine = sqlite_engine(make_url(url).database, timeout=float(make_url(url).query.get("timeout", 20)))
    else:
        engine = create_engine(url, pool_size=4, max_overflow=0, hide_parameters=True)
    commit = engine.dialect.do_commit

    def committing(_connection):
        fault.at("before_commit", change=getattr(fault.writing, "kinds", ()))

    def do_commit(dbapi_connection):
        commit(dbapi_connection)
        if fault.at("after_commit_before_ack", change=getattr(fault.writing, "kinds", ())) and not url.startswith("sqlite"):
            # What a driver says when the connection breaks before the server's answer is there.
            raise engine.dialect.loaded_dbapi.OperationalError("the connection was lost")

    event.listen(engine, "commit", committing)
    engine.dialect.do_commit = do_commit
    return engine


def open_manager(order, fault, wire, clock):
    described = SimulatedProvider(
        slug=order["slug"],
        rotation=order["rotation"],
        reuse=order["reuse"],
        grace=timedelta(seconds=order["grace"]),
        access_lifetime=timedelta(seconds=order["access_lifetime"]),
        base_url=order["provider_url"],
    )
    client = httpx.Client(transport=TracedHttp(fault), trust_env=False) if order["failpoint"] == "after_request_written" else None
    store = FaultyStore(SqlAlchemyStore(open_engine(order["database"], fault)), fault)
    return IntegrationManager(
        store=DyingStore(store, order) if "dies" in order else store,
        transport=FaultyTransport(HttpxTransport(client, clock=clock), fault, wire),
        keys=LocalKeyring([Secret(entry) for entry in order.get("keyring") or [order["keyring_entry"]]]),
        cipher=AesGcmCipher(),
        providers=Catalogue.of(*described.catalogue_entries(), *map(Provider.model_validate, order.get("providers", ()))),
        applications=[OAuthApplication(provider=order["slug"], client_id=order["client_id"], client_secret=Secret(order["client_secret"]))],
        settings=Settings(
            callback_url="https://app.example/oauth/callback",
            **{name: timedelta(seconds=seconds) for name, seconds in order["settings"].items()},
        ),
        clock=clock,
    )


def outcome(call):
    began = time.monotonic()
    try:
        token = call()
    except CloudIntegrationsError as error:
        facts = {"error": type(error).__name__, "reason": error.details.get("reason")}
    except Exception as error:  # noqa: BLE001  # an error of another kind is what the test looks for
        facts = {"error": f"foreign {type(error).__name__}", "reason": None}
    else:
        facts = {"token": token_id(token.value), "generation": token.generation, "warning": token.warning}
    return {**facts, "seconds": time.monotonic() - began}


def run(order):
    wire = Wire(order["wire"])
    clock = ReplicaClock(order["skew"])
    fault = Fault(order, wire, clock)
    opened = open_manager(order, fault, wire, clock)
    opened.start()
    manager = opened.acting_as(SYSTEM)
    wire.tell(ready=os.getpid())
    wire.wait()
    if "job" in order:
        wire.tell(outcome=do(manager, order))
        opened.close()
        return
    together = threading.Barrier(order["callers"])

    def call():
        if order["calls"] == "refresh":
            manager.refresh(order["tenant"], UUID(order["integration_id"]))
        credential = manager.credential(order["tenant"], order.get("wants", order["slug"]))
        return manager.replace_refused(order["tenant"], credential) if order["calls"] == "replace" else credential

    def one():
        together.wait()
        wire.tell(outcome=outcome(call))

    threads = [threading.Thread(target=one) for _ in range(order["callers"])]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    opened.close()


def main():
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for them here: the end of its socket tells of a replica's end
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    for line in sys.stdin:
        if os.fork() == 0:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
            try:
                run(json.loads(line))
            finally:
                os._exit(0)


if __name__ == "__main__":
    main()
