"""Count what waits to be done, and how many integrations work."""

from __future__ import annotations

from cloud_integrations.domain.work_report import HealthCount, WorkReport
from cloud_integrations.flows.shared.events import provider_name
from cloud_integrations.flows.shared.wiring import Wiring


async def work_report(wiring: Wiring, /) -> WorkReport:
    """Return the counts over all tenants, each from one query, and hand them to the telemetry.  Raises `StorageUnavailableError`."""
    counts = await wiring.store.count_integrations()
    integrations = [
        HealthCount(provider=provider_name(wiring, provider_id), provider_id=provider_id, health=health, count=count)
        for (provider_id, health), count in counts.items()
    ]
    report = WorkReport(
        due=await wiring.store.count_due(),
        outbox=await wiring.store.count_outbox(),
        integrations=tuple(sorted(integrations, key=lambda one: (one.provider, one.health))),
    )
    wiring.telemetry.take(report)
    return report
