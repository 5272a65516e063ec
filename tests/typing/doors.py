"""What a type checker tells the callers of the two doors; read by mypy and pyright, never run."""

from __future__ import annotations

from typing import assert_type
from uuid import UUID

from cloud_integrations import AsyncIntegrationManager, Credential, Integration, IntegrationManager, Secret


def blocking(manager: IntegrationManager, integration_id: UUID) -> None:
    with manager as entered:
        assert_type(entered, IntegrationManager)
    assert_type(manager.list_integrations("acme"), tuple[Integration, ...])
    assert_type(manager.get_integration("acme", integration_id), Integration)
    assert_type(manager.token("acme", "github"), Credential)


async def awaiting(manager: AsyncIntegrationManager, integration_id: UUID) -> None:
    async with manager as entered:
        assert_type(entered, AsyncIntegrationManager)
    assert_type(await manager.list_integrations("acme"), tuple[Integration, ...])
    assert_type(await manager.get_integration("acme", integration_id), Integration)
    assert_type(await manager.token("acme", "github"), Credential)


def secrets(secret: Secret) -> None:
    assert_type(secret.reveal(), str)
