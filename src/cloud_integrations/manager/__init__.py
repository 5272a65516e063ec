"""The two managers, a line per flow: `IntegrationManager` (blocking) and `AsyncIntegrationManager`."""

from __future__ import annotations

from .integrations import AsyncIntegrationManager, IntegrationManager

__all__ = ["AsyncIntegrationManager", "IntegrationManager"]
