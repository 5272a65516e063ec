"""The JSON of answers."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar, Generic, Literal, Self, TypeVar
from uuid import UUID

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel

from cloud_integrations import (
    AuditRecord,
    Authorization,
    AuthType,
    CheckReport,
    Credential,
    Health,
    Integration,
    MethodSummary,
    Outcome,
    ProviderSummary,
    Status,
)

T = TypeVar("T")


class _Answer(BaseModel):
    """Something we say."""

    model_config = ConfigDict(
        alias_generator=to_camel, populate_by_name=True, frozen=True, extra="forbid", json_schema_serialization_defaults_required=True
    )


class One(_Answer, Generic[T]):
    """One thing."""

    data: T


class Many(_Answer, Generic[T]):
    """A list of things."""

    data: tuple[T, ...]


class Done(_Answer):
    """It is done."""

    success: Literal[True] = True


@dataclass(slots=True, kw_only=True)
class IntegrationOut:
    """An integration."""

    # Lists hold many, and a plain dataclass is made and written in half the time of a model.
    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(alias_generator=to_camel, extra="forbid")

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
        """Show what may be shown."""
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


class HealthOut(_Answer):
    """How it is doing, since when, why, and what to do."""

    state: Health
    since: datetime
    reason: str | None
    advice: str


class AccountOut(_Answer):
    """Whose account the credential opens, as the provider says."""

    id: str | None
    label: str | None


@dataclass(slots=True, kw_only=True)
class IntegrationDetailOut(IntegrationOut):
    """An integration and how it is doing."""

    scopes: tuple[str, ...]
    requested_scopes: tuple[str, ...]
    missing_scopes: tuple[str, ...]
    expires_at: datetime | None
    reconnect_before: datetime | None
    health: HealthOut
    account: AccountOut

    @classmethod
    def of(cls, integration: Integration, /) -> Self:
        """Show what may be shown."""
        return cls(
            id=integration.id,
            tenant_id=integration.tenant_id,
            provider_id=integration.provider_id,
            name=integration.name,
            status=integration.status,
            auth_type=integration.auth_type,
            created_at=integration.created_at,
            updated_at=integration.updated_at,
            scopes=integration.scopes,
            requested_scopes=integration.requested_scopes,
            missing_scopes=integration.missing_scopes,
            expires_at=integration.expires_at,
            reconnect_before=integration.reconnect_before,
            health=HealthOut(state=integration.health, since=integration.state_since, reason=integration.reason, advice=integration.advice),
            account=AccountOut(id=integration.account.account_id, label=integration.account.label),
        )


class AuthorizationOut(_Answer):
    """Where to send the browser."""

    authorization_url: str
    state: str
    expires_at: datetime

    @classmethod
    def of(cls, authorization: Authorization, /) -> Self:
        """Show the URL and the state; the browser's own value goes into its cookie."""
        return cls(authorization_url=authorization.url, state=authorization.state.reveal(), expires_at=authorization.expires_at)


class CheckOut(_Answer):
    """What the provider said of the credential."""

    works: bool
    outcome: Literal["alive", "alive_but_denied", "dead", "wrong_region", "clock_skew", "unknown"]
    verified: bool
    account: AccountOut
    account_changed: bool
    checked_at: datetime

    @classmethod
    def of(cls, report: CheckReport, /) -> Self:
        """Show the report."""
        return cls(
            works=report.works,
            outcome=report.outcome,
            verified=report.verified,
            account=AccountOut(id=report.account.account_id, label=report.account.label),
            account_changed=report.account_changed,
            checked_at=report.checked_at,
        )


class InputOut(_Answer):
    """One value that a tenant enters; `field` is what takes it in `credentials`."""

    name: str
    label: str
    hint: str
    required: bool
    secret: bool
    field: Literal["apiKey", "secretKey"] | None


class MethodOut(_Answer):
    """A way to connect, what it takes, and where a person withdraws the access by hand."""

    id: str
    auth_type: AuthType
    inputs: tuple[InputOut, ...]
    manual_url: str | None

    @classmethod
    def of(cls, method: MethodSummary, /) -> Self:
        """Show the way."""
        fields: dict[str | None, Literal["apiKey", "secretKey"]] = {"api_key": "apiKey", "secret_key": "secretKey"}
        inputs = tuple(
            InputOut(
                name=given.name,
                label=given.label,
                hint=given.hint,
                required=given.required,
                secret=given.secret,
                field=fields.get(given.argument),
            )
            for given in method.inputs
        )
        return cls(id=method.id, auth_type=method.auth_type, inputs=inputs, manual_url=method.manual_url)


class ProviderOut(_Answer):
    """A provider, and what works with it here."""

    id: UUID
    slug: str
    name: str
    category: str
    active: bool
    auth_types: tuple[AuthType, ...]
    documentation: str
    redirect_uri: str | None
    methods: tuple[MethodOut, ...]

    @classmethod
    def of(cls, provider: ProviderSummary, /) -> Self:
        """Show the provider."""
        return cls(
            id=provider.id,
            slug=provider.slug,
            name=provider.name,
            category=provider.category,
            active=provider.active,
            auth_types=provider.auth_types,
            documentation=provider.documentation,
            redirect_uri=provider.redirect_uri,
            methods=tuple(map(MethodOut.of, provider.methods)),
        )


class ActorOut(_Answer):
    """Who acted."""

    type: str
    id: str


class AuditOut(_Answer):
    """One thing that happened, and its place in the tenant's chain."""

    seq: int
    event_id: UUID
    occurred_at: datetime
    actor: ActorOut
    action: str
    resource: str
    outcome: Outcome
    reason: str | None
    request_id: str | None
    details: dict[str, str]
    hash: str

    @classmethod
    def of(cls, record: AuditRecord, /) -> Self:
        """Show the record."""
        event = record.event
        return cls(
            seq=record.seq,
            event_id=event.event_id,
            occurred_at=event.occurred_at,
            actor=ActorOut(type=event.actor.type, id=event.actor.id),
            action=event.action,
            resource=event.resource,
            outcome=event.outcome,
            reason=event.reason,
            request_id=event.request_id,
            details=dict(event.details),
            hash=record.hash.hex(),
        )


class TokenOut(_Answer):
    """A credential in the open."""

    integration_id: UUID
    provider_id: UUID
    auth_type: AuthType
    value: str
    secret: str | None
    headers: dict[str, str]
    params: dict[str, str]
    expires_at: datetime | None
    scopes: tuple[str, ...]
    missing_scopes: tuple[str, ...]
    warning: str | None

    @classmethod
    def of(cls, token: Credential, /) -> Self:
        """Reveal the credential."""
        return cls(
            integration_id=token.integration_id,
            provider_id=token.provider_id,
            auth_type=token.auth_type,
            value=token.value.reveal(),
            secret=None if token.secret is None else token.secret.reveal(),
            headers=token.headers() if "headers" in token.forms else {},
            params=token.params() if "params" in token.forms else {},
            expires_at=token.expires_at,
            scopes=token.scopes,
            missing_scopes=token.missing_scopes,
            warning=token.warning,
        )


class ErrorFacts(_Answer):
    """What went wrong."""

    code: str
    message: str
    details: dict[str, Any]


class ErrorOut(_Answer):
    """An error."""

    success: Literal[False]
    error: ErrorFacts
