"""Renew tokens ahead of time with Celery: beat starts a task that renews the tokens that are due.

Broker, beat and worker run in this process, so that the program is complete and ends by itself.  In production the broker is Redis or
RabbitMQ, `celery -A product worker` runs as often as you like, and `celery -A product beat` once.  `celery_prefork.py` shows tasks that
use credentials.
"""

from __future__ import annotations

import os
import tempfile
import time
from datetime import timedelta
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

from celery import Celery
from celery.beat import EmbeddedService
from celery.contrib.testing.worker import start_worker
from celery.signals import worker_process_init, worker_process_shutdown

from cloud_integrations import Catalogue, IntegrationManager, LocalKeyring, Settings
from cloud_integrations.backends.sqlalchemy import migrate, sqlite_engine
from cloud_integrations.testing import FixedClock, SimulatedProvider, SimulatedTransport

BATCH = 100
EVERY = 0.2
"""Seconds; a real program looks every 30."""

# The product: a manager for each worker process, and a task.

clock = FixedClock()
provider = SimulatedProvider(clock=clock)
keyring = LocalKeyring([LocalKeyring.generate_key("product")])
folder = tempfile.TemporaryDirectory()
engine = sqlite_engine(Path(folder.name, "integrations.db"))

app = Celery("product", broker=os.environ.get("CELERY_BROKER_URL", "memory://"), backend="cache+memory://", set_as_current=False)
app.conf.beat_schedule = {"refresh": {"task": "refresh-due", "schedule": EVERY, "options": {"expires": 30}}}
app.conf.task_default_queue = "cloud-integrations"


def build_manager() -> IntegrationManager:
    """Put the parts together; a real program takes `HttpxTransport`, its keyring file, and no clock."""
    return IntegrationManager.over(
        engine,
        transport=SimulatedTransport(provider),
        keys=keyring,
        providers=Catalogue.of(*provider.catalogue_entries()),
        applications=[provider.application()],
        settings=Settings(callback_url="https://app.example.com/api/v1/oauth/callback"),
        clock=clock,
    )


class Process:
    """What a worker process holds."""

    manager: IntegrationManager


@worker_process_init.connect
def begin(**_: object) -> None:
    """Open the manager after the fork: neither connections nor threads come along."""
    Process.manager = build_manager()
    Process.manager.start()


@worker_process_shutdown.connect
def end(**_: object) -> None:
    """Let what is under way end."""
    Process.manager.close()


@app.task(name="refresh-due", ignore_result=True)
def refresh_due() -> None:
    """Renew until nothing is due, and try the revocations that wait."""
    while (run := Process.manager.worker.refresh_due(limit=BATCH)).claimed == BATCH:
        pass
    if run.claimed:
        print(f"  the task claimed {run.claimed}, renewed {run.renewed}")
    Process.manager.worker.retry_revocations()


# The demonstration: a tenant connects, and an hour passes.

migrate.upgrade(engine)
with build_manager() as opened:
    web = opened.acting_as("grace")
    begun = web.begin_oauth("acme", "simulated", name="Cloud account")
    came_back = parse_qsl(urlsplit(provider.sign_in(begun.url)).query)
    web.complete_oauth(begun.context_id, came_back, browser_token=begun.browser_token)

    with start_worker(app, pool="solo", perform_ping_check=False):
        beat = EmbeddedService(app, thread=True, scheduler_cls="celery.beat:Scheduler")
        beat.start()
        print(f"{clock.now():%H:%M}  connected; beat and worker run")
        clock.advance(timedelta(minutes=59))
        print(f"{clock.now():%H:%M}  the token ends soon")
        for _ in range(300):
            if provider.refresh_count:
                break
            time.sleep(0.1)
        beat.stop()
    end()  # a worker in a thread is told when it begins, not when it ends

    assert provider.refresh_count == 1
    token = web.credential("acme", "simulated")
    print(f"the token that was waiting works until {token.expires_at:%H:%M}; refresh requests at the provider: {provider.refresh_count}")

engine.dispose()
folder.cleanup()
