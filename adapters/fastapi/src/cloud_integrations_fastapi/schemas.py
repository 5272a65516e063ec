"""What comes in and what goes out, as JSON."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, ClassVar, Generic, Literal, Self, TypeVar
from uuid import UUID

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, WithJsonSchema, field_validator, model_validator
from pydantic.alias_generators import to_camel
from pydantic_core import PydanticCustomError

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
    Secret,
    Status,
)
from cloud_integrations.errors import ValidationFailedError

T = TypeVar("T")


def _at_most(limit: int) -> AfterValidator:
    def check(secret: Secret) -> Secret:
        if not 1 <= len(secret.reveal()) <= limit:
            raise PydanticCustomError("secret_length", "length", {"max_length": limit})
        return secret

    return AfterValidator(check)


def _password(limit: int, pattern: str) -> WithJsonSchema:
    schema = {"type": "string", "format": "password", "writeOnly": True, "minLength": 1, "maxLength": limit, "pattern": pattern}
    return WithJsonSchema(schema)


def _never_null(schema: dict[str, Any]) -> None:
    """A field may be left out, which is None here, but not be sent as null."""
    del schema["default"]
    schema.update(schema.pop("anyOf")[0])


# The manager checks these; what stands here tells the readers of the OpenAPI document.  Python knows more invisible characters than a
# pattern can list: those that nobody has given a meaning yet.
_SEEN = r"[^\s\x00-\x1F\x7F-\xA0\xAD\u061C\u180E\u200B-\u200F\u2028-\u202F\u205F-\u206F\u3000\uE000-\uF8FF\uFEFF\uFFF0-\uFFFB]"
VISIBLE = f"^{_SEEN}+$"
_NAME = f"^{_SEEN}(?: |{_SEEN})+{_SEEN}$"

Key = Annotated[Secret, _at_most(16_384), _password(16_384, r"^[\x20-\x7E\t\r\n]+$")]  # a key in PEM has lines
Code = Annotated[Secret, _at_most(4_096), _password(4_096, r"^[\x20-\x7E]+$")]
State = Annotated[Secret, _at_most(512), _password(512, r"^[\x21-\x7E]+$")]
Tenant = Annotated[str, Field(min_length=1, max_length=255, pattern=VISIBLE)]
Name = Annotated[str, Field(min_length=3, max_length=50, json_schema_extra={"pattern": _NAME})]
Uri = Annotated[str, Field(min_length=1, max_length=2_048)]
# RFC 6749 §3.3: a scope is visible ASCII without quote and backslash.
Scope = Annotated[str, Field(min_length=1, max_length=256, pattern=r"^[\x21\x23-\x5B\x5D-\x7E]+$")]
Scopes = Annotated[list[Scope], Field(max_length=100)]


def _optional(alias: str | None = None) -> Any:
    return Field(default=None, alias=alias, json_schema_extra=_never_null)


class _Body(BaseModel):
    """Something sent to us: no field but those named, and nothing is null."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, hide_input_in_errors=True)

    @field_validator("*", mode="before")
    @classmethod
    def _not_null(cls, value: object) -> object:
        if value is None:
            raise PydanticCustomError("not_null", "null")
        return value


class Credentials(_Body):
    """An API key, with its second half where the provider has one."""

    api_key: Key = Field(alias="apiKey")
    secret_key: Key | None = _optional("secretKey")


def _exactly_one_way(schema: dict[str, Any]) -> None:
    by_code = {"required": ["code", "redirectUri"], "not": {"required": ["credentials"]}}
    by_key = {"required": ["credentials"], "not": {"anyOf": [{"required": [name]} for name in ("code", "redirectUri", "state")]}}
    schema["oneOf"] = [by_code, by_key]


class CreateIntegration(_Body):
    """A new integration: by an OAuth2 code, or by an API key."""

    model_config = ConfigDict(json_schema_extra=_exactly_one_way)

    provider_id: UUID = Field(alias="providerId")
    name: Name
    code: Code | None = _optional()
    redirect_uri: Uri | None = _optional("redirectUri")
    state: State | None = _optional()
    credentials: Credentials | None = _optional()

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        by_code = sorted({"code", "redirect_uri", "state"} & self.model_fields_set)
        if self.credentials is not None and by_code:
            raise ValidationFailedError(field=to_camel(by_code[0]), problem="cannot be given together with credentials")
        if self.credentials is None and not by_code:
            raise ValidationFailedError(field="credentials", problem="is required, or code and redirectUri")
        if self.credentials is None:
            self.by_code()
        return self

    def by_code(self) -> tuple[Secret, str]:
        """Return code and redirect URI, or raise `ValidationFailedError`."""
        if self.code is None:
            raise ValidationFailedError(field="code", problem="is required")
        if self.redirect_uri is None:
            raise ValidationFailedError(field="redirectUri", problem="is required")
        return self.code, self.redirect_uri


class BeginAuthorization(_Body):
    """An OAuth2 connection to begin."""

    provider_id: UUID = Field(alias="providerId")
    name: Name
    scopes: Scopes = Field(default_factory=list)
    return_to: Uri | None = _optional("returnTo")


def _something(schema: dict[str, Any]) -> None:
    schema["minProperties"] = 1


class EditIntegration(_Body):
    """Another name, or switched off or on."""

    model_config = ConfigDict(json_schema_extra=_something)

    name: Name | None = _optional()
    status: Literal["active", "inactive"] | None = _optional()

    @model_validator(mode="after")
    def _some_change(self) -> Self:
        if self.name is None and self.status is None:
            raise ValidationFailedError(field="body", problem="must give name or status")
        return self


def _credentials_alone(schema: dict[str, Any]) -> None:
    by_key = {"required": ["credentials"], "not": {"anyOf": [{"required": ["scopes"]}, {"required": ["returnTo"]}]}}
    schema["oneOf"] = [{"not": {"required": ["credentials"]}}, by_key]


class Reconnect(_Body):
    """A new authorization (OAuth2), or a new key."""

    model_config = ConfigDict(json_schema_extra=_credentials_alone)

    scopes: Scopes = Field(default_factory=list)
    return_to: Uri | None = _optional("returnTo")
    credentials: Credentials | None = _optional()

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if self.credentials is not None and {"scopes", "return_to"} & self.model_fields_set:
            raise ValidationFailedError(field="credentials", problem="cannot be given together with scopes or returnTo")
        return self


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
