"""Tenants' own OAuth applications: changes and reads."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from cloud_integrations.domain.identifiers import ContextId, TenantId
from cloud_integrations.domain.tenant_application import StoredApplication


@dataclass(frozen=True, slots=True, kw_only=True)
class SaveApplication:
    """Store a tenant's application, or replace the one with the same id.

    `StaleWriteError` unless the stored generation is one less than the new one; 1 means that there is none yet.
    """

    application: StoredApplication


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoveApplication:
    """Delete a tenant's application.

    `StaleWriteError` if it is gone, its generation is another one, or an integration of the tenant has a grant that was issued to it.
    """

    tenant_id: TenantId
    application_id: ContextId
    expected_generation: int


class AsyncApplicationStore(Protocol):
    """Reads of tenants' applications."""

    async def list_applications(self, tenant_id: TenantId, /) -> tuple[StoredApplication, ...]:
        """Return the applications of a tenant, the one that was created last first."""
        ...


class ApplicationStore(Protocol):
    """The blocking form of `AsyncApplicationStore`: the same methods, the same promises."""

    def list_applications(self, tenant_id: TenantId, /) -> tuple[StoredApplication, ...]: ...
