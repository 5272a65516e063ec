"""An event that this library does not know: a report was made with a tenant's access."""

from __future__ import annotations

from cloud_integrations import IntegrationManager
from cloud_integrations.domain.events import EventKind, Keys, register

register(
    EventKind(
        name="report.exported",
        action="report.exported",
        details=Keys.of("rows", sometimes=("format",)),
        fact="report.exported",
        keys=Keys.of("tenant", "provider", "integration", "rows"),
    )
)


def export_report(manager: IntegrationManager, tenant_id: str, integration_id: str) -> None:
    """Make a report, and say so."""
    manager.audit.record(tenant_id, event="report.exported", integration=integration_id, facts={"rows": "12", "format": "csv"})
