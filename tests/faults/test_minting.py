"""Many callers in many processes want a credential that is minted: at most one mint in each process, and no caller fails."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from uuid import uuid4

import pytest
import sqlalchemy as sa

from cloud_integrations.backends.aes_gcm import AesGcmCipher
from cloud_integrations.backends.keys.local import LocalKeyring
from cloud_integrations.backends.sqlalchemy import SqlAlchemyStore
from cloud_integrations.backends.transport.httpx_transport import HttpxTransport
from cloud_integrations.domain.provider import Provider
from cloud_integrations.domain.secret import Secret
from cloud_integrations.manager import IntegrationManager
from cloud_integrations.providers.catalogue import Catalogue
from cloud_integrations.testing import token_id

from .conftest import DATABASES
from .processes import PATIENCE

pytestmark = pytest.mark.slow  # each starts processes

CALLERS = 50
PROCESSES = 4
LIFE = 3600


class _Mint(BaseHTTPRequestHandler):
    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        status, headers, body = self.server.bank.answer()
        self.send_response(status)
        for name, value in {**headers, "Content-Type": "application/json", "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        """Say nothing."""


class Bank:
    """A token endpoint that counts, a tenant whose key it knows, and replicas."""

    def __init__(self, database, keyring_entry, nursery):
        self.database, self.entry, self._nursery = database, keyring_entry, nursery
        self.tenant = f"tenant-{uuid4().hex[:8]}"
        self.minted, self.refused = [], 0
        self.down = False
        self.together = None
        """None: it answers at once; a barrier: only when so many have asked."""
        self.lives = []
        """How long the next ones live, in seconds; then they live `LIFE`."""
        self._lock = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _Mint)
        self._server.daemon_threads = True
        self._server.bank = self
        self.replicas = []

    def answer(self):
        if self.together is not None:
            self.together.wait(PATIENCE)
        with self._lock:
            if self.down:
                self.refused += 1
                # Longer than any test, so that no process asks a second time.
                return 503, {"Retry-After": "36000"}, b""
            self.minted.append(f"fake-{uuid4().hex}")
            return 200, {}, json.dumps({"access_token": self.minted[-1], "expires_in": self.lives.pop(0) if self.lives else LIFE}).encode()

    @property
    def document(self):
        step = {"url": f"http://127.0.0.1:{self._server.server_address[1]}/token", "fields": {"key": "{key}"}}
        method = {"id": "key", "kind": "key", "inputs": [{"name": "key"}], "mint": [step]}
        return {"id": "bank", "name": "Bank", "loopback": True, "methods": [method]}

    def __enter__(self):
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})
        self._thread.start()
        self.store = SqlAlchemyStore(self.database.engine)
        self.manager = IntegrationManager(
            store=self.store,
            transport=HttpxTransport(),
            keys=LocalKeyring([Secret(self.entry)]),
            cipher=AesGcmCipher(),
            providers=Catalogue.of(Provider.model_validate(self.document)),
        ).acting_as("alice")
        self.held = self.manager.add(self.tenant, "bank", name="Bank", inputs={"key": "fake-key"})
        return self

    def __exit__(self, *_):
        for replica in self.replicas:
            replica.close()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def pass_time(self, seconds):
        """Let the stored credential be older."""
        moved = ", ".join(f"{name} = {name} - :by" for name in ("expires_at", "refreshed_at", "state_since", "created_at"))
        with self.database.engine.begin() as connection:
            connection.execute(
                sa.text(f"UPDATE ci_integration SET {moved} WHERE tenant_id = :tenant"),
                {"by": int(seconds * 1_000_000), "tenant": self.tenant},
            )

    def ask(self):
        """Let fifty callers in each of four processes ask at once, and return what each process' callers got."""
        order = {
            "database": self.database.url, "keyring_entry": self.entry, "provider_url": "http://127.0.0.1:9", "slug": "simulated",
            "rotation": "never", "reuse": "tolerant", "grace": 30, "access_lifetime": LIFE, "client_id": "fake", "client_secret": "fake",
            "tenant": self.tenant, "integration_id": str(self.held.id), "failpoint": None, "action": None, "change": None, "passed": 0,
            "jump": 0, "skew": 0, "callers": CALLERS, "calls": "token", "providers": [self.document], "wants": "bank",
            "settings": {"deadline": PATIENCE, "wait_limit": PATIENCE, "lease": 2 * PATIENCE},
        }  # fmt: skip
        running = [self._nursery.start(order) for _ in range(PROCESSES)]
        self.replicas += running
        for replica in running:
            replica.go()
        outcomes = [replica.end() for replica in running]
        assert [len(each) for each in outcomes] == [CALLERS] * PROCESSES
        return [outcome for each in outcomes for outcome in each]


@pytest.fixture
def bank(database, keyring_entry, nursery):
    with Bank(database, keyring_entry, nursery) as bank:
        yield bank


@pytest.mark.requirement("Q71")
@pytest.mark.parametrize("at_once", [True, False], ids=["four-at-once", "as-they-come"])
@pytest.mark.parametrize("database", DATABASES, indirect=True)
def test_an_ended_credential_is_minted_once_in_each_process(bank, at_once):
    bank.pass_time(LIFE + 60)
    # No process can store before each has asked, so that all four mint.
    bank.together = threading.Barrier(PROCESSES) if at_once else None
    # An hour apart, so that no clock decides which ends last.
    bank.lives = [LIFE, 3 * LIFE, 4 * LIFE, 2 * LIFE] if at_once else []
    outcomes = bank.ask()
    assert {outcome.get("error") for outcome in outcomes} == {None}
    assert {outcome["warning"] for outcome in outcomes} == {None}
    mints = len(bank.minted) - 1
    assert {outcome["generation"] for outcome in outcomes} <= set(range(2, 2 + mints))
    assert {outcome["token"] for outcome in outcomes} <= {token_id(Secret(minted)) for minted in bank.minted[1:]}
    if at_once:
        stored = bank.manager.credential(bank.tenant, "bank")
        assert stored.value == Secret(bank.minted[3]), "the one that ends last stays"
        assert stored.generation <= 1 + PROCESSES
    assert mints == PROCESSES if at_once else 1 <= mints <= PROCESSES
    assert bank.manager.audit.verify(bank.tenant).whole


@pytest.mark.requirement("Q71")
@pytest.mark.parametrize("database", DATABASES, indirect=True)
def test_while_the_provider_is_down_the_living_one_is_handed_out_with_a_warning(bank):
    bank.pass_time(LIFE - 20)
    bank.down = True
    outcomes = bank.ask()
    assert {(outcome.get("error"), outcome["generation"]) for outcome in outcomes} == {(None, 1)}
    assert {outcome["warning"] for outcome in outcomes} == {"refresh_failed"}
    assert {outcome["token"] for outcome in outcomes} == {token_id(Secret(bank.minted[0]))}
    assert 1 <= bank.refused <= PROCESSES
    assert len(bank.minted) == 1
