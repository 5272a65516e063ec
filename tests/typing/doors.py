"""What a type checker tells the callers of the two doors; read by mypy and pyright, never run."""

from __future__ import annotations

from typing import assert_type
from uuid import UUID

from cloud_integrations import (
    SYSTEM,
    AsyncIntegrationManager,
    Credential,
    ImportedGrant,
    Integration,
    IntegrationManager,
    OAuthApplication,
    Secret,
)


def blocking(manager: IntegrationManager, integration_id: UUID) -> None:
    with manager as entered:
        assert_type(entered, IntegrationManager)
    assert_type(manager.list_integrations("acme"), tuple[Integration, ...])
    assert_type(manager.get_integration("acme", integration_id), Integration)
    assert_type(manager.credential("acme", "github"), Credential)


async def awaiting(manager: AsyncIntegrationManager, integration_id: UUID) -> None:
    async with manager as entered:
        assert_type(entered, AsyncIntegrationManager)
    assert_type(manager.acting_as(SYSTEM), AsyncIntegrationManager)
    assert_type(await manager.list_integrations("acme"), tuple[Integration, ...])
    assert_type(await manager.get_integration("acme", integration_id), Integration)
    assert_type(await manager.credential("acme", "github"), Credential)


def secrets(secret: Secret) -> None:
    assert_type(secret.reveal(), str)


def texts(manager: IntegrationManager, params: dict[str, str]) -> None:
    OAuthApplication(provider="github", client_id="client-1", client_secret="fake-secret", redirect_uris=["https://app.example/x"])
    credential = ImportedGrant(provider="github", name="Files of Acme", access_token="fake-token", scopes=["read"])
    acting = manager.acting_as("ada", request_id="r-1")
    assert_type(acting, IntegrationManager)
    acting.import_credential(tenant_id="acme", credential=credential)
    acting.add_api_key("acme", "github", name="Key of Acme", api_key="fake-key")
    acting.complete_oauth("0197f3a0-0000-7000-8000-000000000000", params, browser_token="fake-token")
    manager.get_integration(tenant_id="acme", integration="0197f3a0-0000-7000-8000-000000000000")
    manager.credential("acme", "github", min_ttl=60)
