"""Remove an integration and revoke its tokens."""

from __future__ import annotations

from uuid import UUID

from cloud_integrations.domain.arguments import read_flag
from cloud_integrations.domain.audit import Caller
from cloud_integrations.domain.envelope import DataKey
from cloud_integrations.domain.events import Subject
from cloud_integrations.domain.integration import StoredIntegration
from cloud_integrations.domain.removal import Removal
from cloud_integrations.flows.shared.events import happened
from cloud_integrations.flows.shared.lookup import find_named, known_tenant
from cloud_integrations.flows.shared.wiring import Wiring
from cloud_integrations.ports.store import ClosePending, EraseIntegration

from .ending import Closing, end_access


async def disconnect(
    wiring: Wiring, tenant: str, integration: UUID | str, /, *, slot: str, revoke_key: bool = False, caller: Caller
) -> Removal:
    """Erase the integration, then revoke its tokens, and return what happened to each token and key.

    A key that was pasted is revoked only with *revoke_key*.  Raises `IntegrationNotFoundError`, and `ValidationFailedError` for
    *revoke_key*.
    """
    revoke_key = read_flag("revokeKey", revoke_key)
    tenant_id = await known_tenant(wiring, tenant)
    integration_id = await find_named(wiring, tenant_id, integration, slot=slot)

    def erase(stored: StoredIntegration, _: DataKey | None, stays: dict[str, str]) -> Closing:
        facts = stored.facts
        return Closing(
            others=[
                EraseIntegration(tenant_id=tenant_id, integration_id=facts.id, expected_generation=stored.credential.generation),
                ClosePending(tenant_id=tenant_id, provider_id=facts.provider_id, slot=facts.slot),
                happened(wiring, "integration.removed", Subject.of(facts), caller, **stays),
            ]
        )

    return await end_access(wiring, tenant_id, integration_id, revoke_key=revoke_key, close=erase, caller=caller)
