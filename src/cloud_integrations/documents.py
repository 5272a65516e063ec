"""The JSON of what is shown to people and programs: the HTTP API sends it, the command line prints it.

Each document is made by `of`.  `as_json` returns its plain values; pydantic, and so FastAPI, knows its schema.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from datetime import datetime
from functools import cache
from typing import Any, ClassVar, Literal, Self
from uuid import UUID

from cloud_integrations.domain.application import InputSummary, MethodSummary, ProviderSummary
from cloud_integrations.domain.audit import Actor, AuditRecord, Outcome
from cloud_integrations.domain.auth_type import AuthType
from cloud_integrations.domain.check import CheckOutcome, CheckReport
from cloud_integrations.domain.credential import Credential
from cloud_integrations.domain.integration import AccountFacts, Health, Integration, Status
from cloud_integrations.domain.pending import Authorization
from cloud_integrations.domain.serialisation import Serialisable, to_camel

__all__ = [
    "AccountOut",
    "ActorOut",
    "AuditOut",
    "AuthorizationOut",
    "CheckOut",
    "CredentialOut",
    "HealthOut",
    "InputOut",
    "IntegrationDetailOut",
    "IntegrationOut",
    "MethodOut",
    "ProviderOut",
    "TokenOut",
]


class _Document(Serialisable):
    """A dataclass that is shown; no model, which takes twice the time in a long list."""

    __slots__ = ()
    __pydantic_config__: ClassVar = {"alias_generator": to_camel, "extra": "forbid"}

    @classmethod
    def _shown(cls, value: object, /, **others: object) -> Self:
        """Return the document of *value*: its fields of the same names, and *others*."""
        kind: type = cls
        return cls(**{name: getattr(value, name) for name in _names(kind) if name not in others}, **others)


@cache
def _names(kind: Any) -> tuple[str, ...]:
    return tuple(each.name for each in fields(kind))


@dataclass(frozen=True, slots=True, kw_only=True)
class IntegrationOut(_Document):
    """An integration."""

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
        return cls._shown(integration)


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthOut(_Document):
    """How it is doing, since when, why, and what to do."""

    state: Health
    since: datetime
    reason: str | None
    advice: str

    @classmethod
    def of(cls, integration: Integration, /) -> Self:
        """Show how the integration is doing."""
        return cls._shown(integration, state=integration.health, since=integration.state_since)


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountOut(_Document):
    """Whose account the credential opens, as the provider says."""

    id: str | None
    label: str | None

    @classmethod
    def of(cls, account: AccountFacts, /) -> Self:
        """Show what is known of the account."""
        return cls._shown(account, id=account.account_id)


@dataclass(frozen=True, slots=True, kw_only=True)
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
        return cls._shown(integration, health=HealthOut.of(integration), account=AccountOut.of(integration.account))


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthorizationOut(_Document):
    """Where to send the browser."""

    authorization_url: str
    state: str
    expires_at: datetime

    @classmethod
    def of(cls, authorization: Authorization, /) -> Self:
        """Show the URL and the state; the browser's own value goes into its cookie."""
        return cls(authorization_url=authorization.url, state=authorization.state.reveal(), expires_at=authorization.expires_at)


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckOut(_Document):
    """What the provider said of the credential."""

    works: bool
    outcome: CheckOutcome
    verified: bool
    account: AccountOut
    account_changed: bool
    checked_at: datetime

    @classmethod
    def of(cls, report: CheckReport, /) -> Self:
        """Show the report."""
        return cls._shown(report, account=AccountOut.of(report.account))


@dataclass(frozen=True, slots=True, kw_only=True)
class InputOut(_Document):
    """One value that a tenant enters; `field` is what takes it in `credentials`."""

    name: str
    label: str
    hint: str
    required: bool
    secret: bool
    field: Literal["apiKey", "secretKey"] | None

    @classmethod
    def of(cls, asked: InputSummary, /) -> Self:
        """Show what is asked."""
        return cls._shown(asked, field=None if asked.argument is None else to_camel(asked.argument))


@dataclass(frozen=True, slots=True, kw_only=True)
class MethodOut(_Document):
    """A way to connect, what it takes, and where a person withdraws the access by hand."""

    id: str
    auth_type: AuthType
    inputs: tuple[InputOut, ...]
    manual_url: str | None

    @classmethod
    def of(cls, method: MethodSummary, /) -> Self:
        """Show the way."""
        return cls._shown(method, inputs=tuple(map(InputOut.of, method.inputs)))


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderOut(_Document):
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
        return cls._shown(provider, methods=tuple(map(MethodOut.of, provider.methods)))


@dataclass(frozen=True, slots=True, kw_only=True)
class ActorOut(_Document):
    """Who acted."""

    type: str
    id: str

    @classmethod
    def of(cls, actor: Actor, /) -> Self:
        """Show who it was."""
        return cls._shown(actor)


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditOut(_Document):
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
        actor = ActorOut.of(record.event.actor)
        return cls._shown(record.event, seq=record.seq, actor=actor, details=dict(record.event.details), hash=record.hash.hex())


@dataclass(frozen=True, slots=True, kw_only=True)
class CredentialOut(_Document):
    """A credential, and nothing of its secrets."""

    integration_id: UUID
    provider_id: UUID
    auth_type: AuthType
    expires_at: datetime | None
    scopes: tuple[str, ...]
    missing_scopes: tuple[str, ...]
    warning: str | None

    @classmethod
    def of(cls, token: Credential, /) -> Self:
        """Show what may be shown."""
        return cls._shown(token)


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenOut(CredentialOut):
    """A credential in the open."""

    value: str = field(repr=False)
    secret: str | None = field(repr=False)
    headers: dict[str, str] = field(repr=False)
    params: dict[str, str] = field(repr=False)

    @classmethod
    def of(cls, token: Credential, /) -> Self:
        """Reveal the credential."""
        return cls._shown(
            token,
            value=token.value.reveal(),
            secret=None if token.secret is None else token.secret.reveal(),
            headers=token.headers() if "headers" in token.forms else {},
            params=token.params() if "params" in token.forms else {},
        )
