"""What cron or a Kubernetes CronJob runs: one pass over what is due, and an exit code."""

from __future__ import annotations

import sys
from datetime import timedelta
from urllib.parse import parse_qsl, urlsplit

from cloud_integrations import AesGcmCipher, Catalogue, IntegrationManager, LocalKeyring, MemoryStore, Settings
from cloud_integrations.errors import CloudIntegrationsError
from cloud_integrations.testing import FixedClock, SimulatedProvider, SimulatedTransport

BATCH = 100


def run_pass(manager: IntegrationManager) -> int:
    """Renew until nothing is due, try the revocations that wait, and return the exit code."""
    failed = 0
    try:
        while True:
            run = manager.worker.refresh_due(limit=BATCH)
            failed += run.failed
            print(f"claimed {run.claimed}, renewed {run.renewed}, postponed {run.postponed}, to reconnect {run.reconnect_required}")
            if run.claimed < BATCH:
                break
        waiting = manager.worker.retry_revocations().waiting
        print(f"revocations that still wait: {waiting}")
    except CloudIntegrationsError as error:
        print(f"this pass ended early: {error}", file=sys.stderr)
        return 1
    return 1 if failed else 0


# A real job takes `SqlAlchemyStore`, `HttpxTransport` and the keyring of the installation instead.
clock = FixedClock()
provider = SimulatedProvider(clock=clock)
with IntegrationManager(
    store=MemoryStore(clock),
    transport=SimulatedTransport(provider),
    keys=LocalKeyring([LocalKeyring.generate_key("job")]),
    cipher=AesGcmCipher(),
    providers=Catalogue.of(*provider.catalogue_entries()),
    applications=[provider.application()],
    settings=Settings(callback_url="https://app.example.com/api/v1/oauth/callback"),
    clock=clock,
) as manager:
    for tenant in ("acme", "globex"):
        grace = manager.acting_as("grace")
        begun = grace.begin_oauth(tenant, "simulated", name="Cloud account")
        came_back = parse_qsl(urlsplit(provider.sign_in(begun.url)).query)
        grace.complete_oauth(begun.context_id, came_back, browser_token=begun.browser_token)

    print("a minute later")
    clock.advance(timedelta(minutes=1))
    assert run_pass(manager) == 0
    assert provider.refresh_count == 0

    print("shortly before the tokens end")
    clock.advance(timedelta(minutes=58))
    code = run_pass(manager)
    assert provider.refresh_count == 2

sys.exit(code)
