"""Integrations, their health, and how they are connected."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal, Self
from uuid import UUID

from cloud_integrations.domain.auth_type import AuthType
from cloud_integrations.domain.device import DeviceAuthorization, DevicePending
from cloud_integrations.domain.integration import AccountFacts, Health, Integration, Status
from cloud_integrations.domain.pending import Authorization
from cloud_integrations.domain.resources import Resource, ResourceList
from cloud_integrations.domain.setup import Setup
from cloud_integrations.domain.tenant_application import TenantApplication

from .base import Document
from .offers import GuideOut


@dataclass(slots=True, kw_only=True)
class IntegrationOut(Document):
    """An integration, with its name, its status and its kind of access."""

    id: UUID
    tenant_id: str
    provider_id: UUID
    name: str
    status: Status
    auth_type: AuthType
    created_at: datetime
    updated_at: datetime

    @classmethod
    def of(cls, integration: Integration, /) -> Self:
        """Return the document of an integration."""
        # A list has many of these; naming each field takes half the time of `_shown`.
        return cls(
            id=integration.id,
            tenant_id=integration.tenant_id,
            provider_id=integration.provider_id,
            name=integration.name,
            status=integration.status,
            auth_type=integration.auth_type,
            created_at=integration.created_at,
            updated_at=integration.updated_at,
        )


@dataclass(slots=True, kw_only=True)
class SlottedIntegrationOut(IntegrationOut):
    """An integration as it is shown where `Settings.slots` is on: with its slot, which is empty for the default slot."""

    slot: str

    @classmethod
    def of(cls, integration: Integration, /) -> Self:
        """Return the document of an integration."""
        return cls(
            id=integration.id,
            tenant_id=integration.tenant_id,
            provider_id=integration.provider_id,
            name=integration.name,
            status=integration.status,
            auth_type=integration.auth_type,
            created_at=integration.created_at,
            updated_at=integration.updated_at,
            slot=integration.slot,
        )


@dataclass(slots=True, kw_only=True)
class HealthOut(Document):
    """The health of an integration: its state, since when, why, and what to do."""

    state: Health
    since: datetime
    reason: str | None
    advice: str

    @classmethod
    def of(cls, integration: Integration, /) -> Self:
        """Return the health of an integration."""
        return cls._shown(integration, state=integration.health, since=integration.state_since)


@dataclass(slots=True, kw_only=True)
class AccountOut(Document):
    """The account that the credential belongs to, as the provider names it; null: not known."""

    id: str | None
    label: str | None

    @classmethod
    def of(cls, account: AccountFacts, /) -> Self:
        """Return the document of an account."""
        return cls._shown(account, id=account.account_id)


@dataclass(slots=True, kw_only=True)
class IntegrationDetailOut(IntegrationOut):
    """An integration with its scopes, its times, its account and its health."""

    scopes: tuple[str, ...]
    requested_scopes: tuple[str, ...]
    missing_scopes: tuple[str, ...]
    expires_at: datetime | None
    reconnect_before: datetime | None
    last_used_at: datetime | None
    health: HealthOut
    account: AccountOut

    @classmethod
    def of(cls, integration: Integration, /) -> Self:
        """Return the document of an integration."""
        return cls._shown(integration, health=HealthOut.of(integration), account=AccountOut.of(integration.account))


@dataclass(slots=True, kw_only=True)
class SlottedIntegrationDetailOut(IntegrationDetailOut):
    """The same, with its slot, where `Settings.slots` is on."""

    slot: str


@dataclass(slots=True, kw_only=True)
class ResourceOut(Document):
    """One thing at the provider that a credential reaches, such as a site; null: its page is not known."""

    id: str
    label: str
    url: str | None

    @classmethod
    def of(cls, resource: Resource, /) -> Self:
        """Return the document of a resource."""
        return cls._shown(resource)


@dataclass(slots=True, kw_only=True)
class ResourcesOut(Document):
    """What a credential reaches: `chosen` is the id of one, null: none is chosen.  A list that is not `complete` may lack some."""

    variable: str
    chosen: str | None
    complete: bool
    resources: tuple[ResourceOut, ...]

    @classmethod
    def of(cls, found: ResourceList, /) -> Self:
        """Return the document of a list."""
        return cls._shown(found, complete=found.is_complete, resources=tuple(map(ResourceOut.of, found.resources)))


@dataclass(slots=True, kw_only=True)
class ApplicationOut(Document):
    """A tenant's own OAuth application, without its secret."""

    id: UUID
    tenant_id: str
    provider_id: UUID
    method: str
    client_id: str
    secrets: int
    scopes: tuple[str, ...]
    issuer: str | None
    variables: dict[str, str]
    redirect_uri: str | None
    created_at: datetime
    updated_at: datetime

    @classmethod
    def of(cls, application: TenantApplication, /) -> Self:
        """Return the document of an application."""
        return cls._shown(application, method=application.method_id, variables=dict(application.variables))


@dataclass(slots=True, kw_only=True)
class SetupOut(Document):
    """A setup that has begun: what the tenant needs to set the access up at the provider, and which inputs then complete it."""

    integration_id: UUID
    provider_id: UUID
    method: str
    made: dict[str, str]
    principal: str | None
    inputs: tuple[str, ...]
    guide: GuideOut | None
    expires_at: datetime

    @classmethod
    def of(cls, setup: Setup, /) -> Self:
        """Return the document of a setup, with what the library made for it."""
        return cls._shown(
            setup,
            method=setup.method_id,
            made={name: value.reveal() for name, value in setup.made.items()},
            guide=None if setup.guide is None else GuideOut.of(setup.guide),
        )


@dataclass(slots=True, kw_only=True)
class AuthorizationOut(Document):
    """Where to send the browser."""

    authorization_url: str
    state: str
    expires_at: datetime

    @classmethod
    def of(cls, authorization: Authorization, /) -> Self:
        """Return the URL and the state, in the open; `browser_token` is left out, because it belongs in the browser's cookie."""
        return cls(authorization_url=authorization.url, state=authorization.state.reveal(), expires_at=authorization.expires_at)


@dataclass(slots=True, kw_only=True)
class PushedAuthorizationOut(AuthorizationOut):
    """Where to send the browser before `openBefore`: the request was pushed, and the provider keeps it no longer (RFC 9126 §2.2)."""

    open_before: datetime

    @classmethod
    def of(cls, authorization: Authorization, /) -> Self:
        """Return the document of an authorization whose request was pushed."""
        return cls._shown(authorization, authorization_url=authorization.url, state=authorization.state.reveal())


@dataclass(slots=True, kw_only=True)
class DeviceAuthorizationOut(Document):
    """A code that a person enters at the provider, in any browser (RFC 8628)."""

    authorization_id: UUID
    integration_id: UUID
    user_code: str
    verification_uri: str
    verification_uri_complete: str | None
    scopes: tuple[str, ...]
    interval: int
    """The seconds between two polls."""
    expires_at: datetime

    @classmethod
    def of(cls, begun: DeviceAuthorization, /) -> Self:
        """Return the document of an authorization, with its code in the open."""
        return cls._shown(begun, user_code=begun.user_code.reveal(), interval=_seconds(begun.interval))


@dataclass(slots=True, kw_only=True)
class DevicePendingOut(Document):
    """The person has not decided yet: ask again after `interval` seconds."""

    pending: Literal[True] = True
    interval: int
    expires_at: datetime

    @classmethod
    def of(cls, pending: DevicePending, /) -> Self:
        """Return the document of an authorization that goes on."""
        return cls(interval=_seconds(pending.wait), expires_at=pending.expires_at)


def _seconds(wait: timedelta) -> int:
    return max(1, math.ceil(wait.total_seconds()))
