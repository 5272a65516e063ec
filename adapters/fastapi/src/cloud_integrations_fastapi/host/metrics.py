"""The metrics of a process, in the text format of Prometheus."""

from __future__ import annotations

import asyncio
from time import monotonic

from starlette.responses import Response

from cloud_integrations import AsyncIntegrationManager, PrometheusMetrics
from cloud_integrations.errors import CloudIntegrationsError

COUNTED_EVERY = 15.0
"""The counts of the whole database are read at most this often, in seconds, however often somebody asks."""


class MetricsEndpoint:
    """Answers with *metrics*, and with the counts of `worker.report`; while the database does not answer, without these."""

    def __init__(self, manager: AsyncIntegrationManager, metrics: PrometheusMetrics, /) -> None:
        self._manager = manager
        self._metrics = metrics
        self._counting = asyncio.Lock()
        self._count_again_at = 0.0
        self._is_counted = False

    async def answer(self) -> Response:
        """Return all metrics."""
        async with self._counting:
            if monotonic() >= self._count_again_at:
                try:
                    await self._manager.worker.report()
                    self._is_counted = True
                except CloudIntegrationsError:
                    self._is_counted = False
                self._count_again_at = monotonic() + COUNTED_EVERY
        text = self._metrics.text(gauges=self._is_counted)
        return Response(text, headers={"Content-Type": self._metrics.content_type, "Cache-Control": "no-store"})
