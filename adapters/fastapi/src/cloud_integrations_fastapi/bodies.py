"""The JSON bodies of requests."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self
from uuid import UUID

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, WithJsonSchema, field_validator, model_validator
from pydantic.alias_generators import to_camel
from pydantic_core import PydanticCustomError

from cloud_integrations import Secret
from cloud_integrations.errors import ValidationFailedError


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
