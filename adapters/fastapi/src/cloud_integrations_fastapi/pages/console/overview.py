"""The first page of the console: whether all is well, and what is not."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from fastapi import Request, Response

from cloud_integrations import Health, KeyReport, Overview

from .charts import ends_chart, renewals_chart, renewals_strip
from .desk import Desk

SOON: Final = timedelta(days=14)


@dataclass(frozen=True, slots=True, kw_only=True)
class Banner:
    """Something that needs somebody, with the page where it is dealt with."""

    text: str
    url: str
    tone: str = "warn"


class OverviewPage:
    """The counts, the health of each provider, and what needs somebody."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def show(self, request: Request) -> Response:
        """Show the overview."""
        manager = self._desk.manager
        report = await manager.overview.report()
        history = await manager.overview.history_by_provider()
        by_provider: dict[str, dict[Health, int]] = {}
        for each in report.work.integrations:
            by_provider.setdefault(each.provider, {})[each.health] = each.count
        return self._desk.show(
            request,
            "overview",
            section="overview",
            report=report,
            names={each.slug: each.name for each in self._desk.providers().values()},
            by_provider=sorted(by_provider.items(), key=lambda item: -sum(item[1].values())),
            # The day after, because the filter means the start of a day: what is counted is on that list.
            ends_before=(self._desk.shell.now() + SOON + timedelta(days=1)).date().isoformat(),
            charts=(renewals_chart(history.hours), ends_chart(await manager.overview.ends())),
            strips={slug: renewals_strip(hours) for slug, hours in history.by_provider.items()},
            banners=self._banners(report, await manager.keys.report()),
        )

    def _banners(self, report: Overview, keys: KeyReport) -> list[Banner]:
        url = self._desk.shell.url
        refused = report.by_health[Health.APPLICATION_REFUSED]
        found = (
            (report.freezes, "freeze is", "freezes are", "in force: credentials are not handed out.", url("incidents"), "warn"),
            (refused, "integration", "integrations", "cannot be renewed: the provider refuses your application.",
             url("integrations", health=Health.APPLICATION_REFUSED), "bad"),
            (keys.returned, "data key", "data keys", "of erased tenants came back with a backup.", url("keys"), "bad"),
            (keys.misplaced, "data key is", "data keys are", "not wrapped by the primary wrapping key.", url("keys"), "warn"),
            (report.given_up, "delivery was", "deliveries were", "given up: events retry tries them again.", url("audit"), "warn"),
        )  # fmt: skip
        return [
            Banner(text=f"{number} {one if number == 1 else many} {rest}", url=where, tone=tone)
            for number, one, many, rest, where, tone in found
            if number
        ]
