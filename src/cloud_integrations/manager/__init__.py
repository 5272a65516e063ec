"""The two managers: `IntegrationManager` blocks, `AsyncIntegrationManager` awaits; each method calls one flow."""

from __future__ import annotations

from .integrations import AsyncIntegrationManager, IntegrationManager

__all__ = ["AsyncIntegrationManager", "IntegrationManager"]
