"""Use credentials in the tasks of a Celery worker that forks: renewed by itself, not lost at a time limit, repeated after an outage.

`python examples/celery_prefork.py` starts a simulated provider and a real worker on this machine, gives it tasks, and ends it.  Messages
lie in a folder; in production the broker is Redis or RabbitMQ.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from threading import Event
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import requests
from celery import Celery, Task
from celery.exceptions import SoftTimeLimitExceeded
from celery.signals import worker_process_init, worker_process_shutdown
from sqlalchemy import Engine

from cloud_integrations import Actor, Catalogue, IntegrationManager, LocalKeyring, OAuthApplication, Settings
from cloud_integrations.backends.sqlalchemy import migrate, sqlite_engine
from cloud_integrations.errors import CloudIntegrationsError
from cloud_integrations.testing import Misbehaviour, ProviderServer, SimulatedProvider

# The product, as the worker imports it.

FOLDER = Path(os.environ.get("PRODUCT_FOLDER") or tempfile.mkdtemp(prefix="product-"))
REPORTS = Actor(type="service", id="reports")

app = Celery("product", broker="filesystem://", backend=f"file://{FOLDER}/results", set_as_current=False)
app.conf.broker_transport_options = {
    "data_folder_in": str(FOLDER / "messages"),
    "data_folder_out": str(FOLDER / "messages"),
    "control_folder": str(FOLDER / "control"),
    "polling_interval": 0.1,
}
app.conf.worker_proc_alive_timeout = 60  # seconds in which a worker process makes its manager


def build_manager(provider_url: str, client_secret: str) -> tuple[Engine, IntegrationManager]:
    """Put the parts together; a real product has its database, its keyring file, and `Catalogue.builtin()`."""
    engine = sqlite_engine(FOLDER / "integrations.db")
    manager = IntegrationManager.over(
        engine,
        keys=LocalKeyring.from_file(FOLDER / "keyring"),
        providers=Catalogue.of(*SimulatedProvider().catalogue_entries(provider_url)),
        applications=[OAuthApplication(provider="simulated", client_id="fake-client-id", client_secret=client_secret)],
        settings=Settings(callback_url="https://app.example.com/connections/callback"),
    )
    return engine, manager


class Process:
    """What a worker process has for itself: a forked child must not use the connections of its parent."""

    engine: Engine
    manager: IntegrationManager


@worker_process_init.connect
def begin(**_: object) -> None:
    """Make engine and manager after the fork, and find a missing table or a wrong key now."""
    Process.engine, Process.manager = build_manager(os.environ["PROVIDER_URL"], os.environ["CLIENT_SECRET"])
    Process.manager.start()


@worker_process_shutdown.connect
def end(**_: object) -> None:
    """Wait until renewals that are under way are stored: a worker process ends without waiting for its threads."""
    Process.manager.close()
    Process.engine.dispose()


@app.task(name="make-report", bind=True, max_retries=5, soft_time_limit=1)
def make_report(self: Task[..., str], tenant_id: str) -> str:
    """Call the provider for a tenant.  The message holds the tenant's id alone: a token never goes through the broker.

    Errors are settled here, because Celery's JSON turns a raised one into a plain `Exception`.
    """
    acting = Process.manager.acting_as(REPORTS, request_id=self.request.id)
    try:
        answer = requests.get(f"{os.environ['PROVIDER_URL']}/me", auth=acting.auth(tenant_id, "simulated"), timeout=10)
    except SoftTimeLimitExceeded:
        return "the time was up"
    except CloudIntegrationsError as error:
        if not error.retryable:
            return error.code  # somebody must act: the tenant, who connects again, or the operator
        wait = error.retry_after or timedelta(minutes=1)
        raise self.retry(countdown=wait.total_seconds(), exc=RuntimeError(error.code)) from None
    return f"the provider answered {answer.status_code} at attempt {self.request.retries + 1}"


# The demonstration.


class SlowProvider(SimulatedProvider):
    """Renews a token at once, and sends its answer when `may_answer` is set."""

    may_answer = Event()

    @contextmanager
    def receive(self, method: str, url_path: str, /, **request: Any) -> Generator[Any]:
        """Hold back the answer to a renewal."""
        with super().receive(method, url_path, **request) as answer:
            if b"grant_type=refresh_token" in request["body"]:
                self.may_answer.wait(60)
            yield answer


@contextmanager
def worker(**environment: str) -> Generator[subprocess.Popen[bytes]]:
    """Run a worker with two processes, and end it as a deployment does: SIGTERM lets it finish what it has begun."""
    command = [sys.executable, "-m", "celery", "--app", "celery_prefork", "--workdir", str(Path(__file__).parent), "--quiet"]
    command += ["worker", "--pool", "prefork", "--concurrency", "2", "--loglevel", "ERROR", "--without-gossip", "--without-mingle"]
    started = subprocess.Popen(command, env={**os.environ, **environment})  # noqa: S603  # the worker of this very program
    try:
        yield started
        started.terminate()
        started.wait(60)
    finally:
        started.kill()
        started.wait()


def report(tenant_id: str) -> tuple[str, str]:
    """Have a report made; return the id of its task and what came of it."""
    sent = make_report.delay(tenant_id)
    return sent.id, sent.get(timeout=120, interval=0.05)


def main() -> None:
    """Connect a tenant as the web application does, then let the worker use what was connected."""
    for name in ("messages", "control", "results"):
        (FOLDER / name).mkdir()
    (FOLDER / "keyring").touch(mode=0o600)
    (FOLDER / "keyring").write_text(LocalKeyring.generate_key("product").reveal())
    provider = SlowProvider()
    secret = provider.application().client_secret.reveal()
    with ProviderServer(provider) as server:
        engine, manager = build_manager(server.url, secret)
        migrate.upgrade(engine)
        with manager:
            ada = manager.acting_as("ada")
            for tenant in ("acme", "globex", "initech"):
                begun = ada.begin_oauth(tenant, "simulated", name="Cloud account")
                came_back = parse_qsl(urlsplit(provider.sign_in(begun.url)).query)
                ada.complete_oauth(begun.context_id, came_back, browser_token=begun.browser_token)

            with worker(PRODUCT_FOLDER=str(FOLDER), PROVIDER_URL=server.url, CLIENT_SECRET=secret) as process:
                task_id, said = report("acme")
                print("a task:", said)
                used = [record.event for record in ada.audit.list("acme") if record.event.actor == REPORTS]
                print("in the audit log:", used[0].actor, "with the task's id as request id:", used[0].request_id == task_id)
                assert used[0].request_id == task_id

                provider.expire_access(manager.credential("acme", "simulated").value)
                _, said = report("acme")
                print("the token was refused, and the time limit came while it was renewed:", said)
                assert (said, provider.refresh_count) == ("the time was up", 1)
                provider.may_answer.set()
                _, said = report("acme")
                print("the next task:", said, "- renewals at the provider:", provider.refresh_count)
                assert (said, provider.refresh_count) == ("the provider answered 200 at attempt 1", 1)

                provider.expire_access(manager.credential("globex", "simulated").value)
                provider.misbehave(Misbehaviour.UNAVAILABLE, endpoint="refresh", retry_after=timedelta(seconds=1))
                _, said = report("globex")
                print("the provider was down for a moment:", said)
                assert said == "the provider answered 200 at attempt 2"

                provider.revoke_grant()
                _, said = report("initech")
                print("the customer has withdrawn consent:", said)
                assert said == "integration/reconnect-required"
            print("the worker ended with exit code", process.returncode)
            assert process.returncode == 0
            assert manager.audit.verify("acme").whole
        engine.dispose()


if __name__ == "__main__":
    try:
        main()
    finally:
        shutil.rmtree(FOLDER)
