"""The stand-in for a row that cannot be read."""

from __future__ import annotations

from dataclasses import dataclass

from cloud_integrations.domain.identifiers import TenantId


@dataclass(frozen=True, slots=True, kw_only=True)
class DamagedRow:
    """Takes the position of a row that cannot be read, because it was edited."""

    table: str
    row: str
    """Its key, as far as that can be read."""
    tenant_id: TenantId | None = None
