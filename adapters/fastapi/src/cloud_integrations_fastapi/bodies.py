"""The JSON bodies of requests."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from typing import Annotated, Any, Final, Literal, Self
from uuid import UUID

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    JsonValue,
    WithJsonSchema,
    field_validator,
    model_validator,
)
from pydantic.alias_generators import to_camel
from pydantic_core import PydanticCustomError

from cloud_integrations import Secret
from cloud_integrations.errors import ValidationFailedError

from .slots import SLOT_SCHEMA


def _at_most(limit: int) -> AfterValidator:
    def check(secret: Secret) -> Secret:
        if not 1 <= len(secret.reveal()) <= limit:
            raise PydanticCustomError("secret_length", "length", {"max_length": limit})
        return secret

    return AfterValidator(check)


def _password(limit: int, **more: str) -> WithJsonSchema:
    return WithJsonSchema({"type": "string", "format": "password", "writeOnly": True, "minLength": 1, "maxLength": limit} | more)


def _never_null(schema: dict[str, Any]) -> None:
    """Describe a field that may be left out, which is None here, but must not be null."""
    del schema["default"]
    schema.update(schema.pop("anyOf")[0])


# The manager checks these values; the patterns here are for readers of the OpenAPI document.  The manager refuses more invisible
# characters than a pattern can list: also those that Unicode has not assigned yet.
_SEEN = r"[^\s\x00-\x1F\x7F-\xA0\xAD\u061C\u180E\u200B-\u200F\u2028-\u202F\u205F-\u206F\u3000\uE000-\uF8FF\uFEFF\uFFF0-\uFFFB]"
VISIBLE = f"^{_SEEN}+$"
_NAME = f"^{_SEEN}(?: |{_SEEN})+{_SEEN}$"

_LONGEST_INPUT = 16_384

Key = Annotated[Secret, _at_most(_LONGEST_INPUT), _password(_LONGEST_INPUT, pattern=r"^[\x20-\x7E\t\r\n]+$")]  # a key in PEM has lines
Code = Annotated[Secret, _at_most(4_096), _password(4_096, pattern=r"^[\x20-\x7E]+$")]
State = Annotated[Secret, _at_most(512), _password(512, pattern=r"^[\x21-\x7E]+$")]
Tenant = Annotated[str, Field(min_length=1, max_length=255, pattern=VISIBLE)]
Name = Annotated[str, Field(min_length=3, max_length=50, json_schema_extra={"pattern": _NAME})]
Uri = Annotated[str, Field(min_length=1, max_length=2_048)]
# RFC 6749 §3.3: a scope is visible ASCII without quote and backslash.
Scope = Annotated[str, Field(min_length=1, max_length=256, pattern=r"^[\x21\x23-\x5B\x5D-\x7E]+$")]
Scopes = Annotated[list[Scope], Field(max_length=100)]
Slot = Annotated[str, WithJsonSchema(SLOT_SCHEMA)]
ClientId = Annotated[str, Field(min_length=1, max_length=2_048)]
ClientSecret = Annotated[Secret, _at_most(2_048), _password(2_048)]
ResourceId = Annotated[str, Field(min_length=1, max_length=255, pattern=VISIBLE)]
MethodId = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[\x21-\x7E]+$")]

_WORD = r"^[a-z0-9_]{1,64}$"
_MOST_VALUES = 32


def _by_name(values: object) -> object:
    # Pydantic would put a name that it refuses into its error, and a name may be a secret in the wrong place.
    if isinstance(values, dict):
        if len(values) > _MOST_VALUES:
            raise PydanticCustomError("too_long", "too many", {"max_length": _MOST_VALUES})
        if not all(re.fullmatch(_WORD, name) for name in values):
            raise PydanticCustomError("names", "names")
    return values


def _object(value: WithJsonSchema, *, least: int = 0) -> WithJsonSchema:
    names = {"propertyNames": {"type": "string", "pattern": _WORD}, "minProperties": least, "maxProperties": _MOST_VALUES}
    return WithJsonSchema({"type": "object", "additionalProperties": value.json_schema} | names)


Inputs = Annotated[
    dict[str, Annotated[Secret, _at_most(_LONGEST_INPUT)]],
    BeforeValidator(_by_name),
    Field(min_length=1),
    _object(_password(_LONGEST_INPUT), least=1),
]
Variables = Annotated[
    dict[str, Annotated[str, Field(min_length=1, max_length=255)]],
    BeforeValidator(_by_name),
    _object(WithJsonSchema({"type": "string", "minLength": 1, "maxLength": 255})),
]


_RFC_3339: Final = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(?:\.\d+)?(?:[Zz]|[+-]\d\d:\d\d)", re.ASCII)


def _read_time(value: Any, /) -> Any:
    """Refuse what pydantic would take beside a time of RFC 3339: a number, for seconds since 1970, and a shorter text."""
    if not isinstance(value, str) or not _RFC_3339.fullmatch(value):
        raise PydanticCustomError("time", "time")
    return value


Time = Annotated[AwareDatetime, Field(strict=False), BeforeValidator(_read_time)]
"""A time of RFC 3339, §5.6."""


def _optional(alias: str | None = None) -> Any:
    return Field(default=None, alias=alias, json_schema_extra=_never_null)


class _Body(BaseModel):
    """The base of all request bodies: unknown fields and null are refused."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, hide_input_in_errors=True)

    @field_validator("*", mode="before")
    @classmethod
    def _not_null(cls, value: object) -> object:
        if value is None:
            raise PydanticCustomError("not_null", "null")
        return value


def _key_or_inputs(schema: dict[str, Any]) -> None:
    halves = [{"required": [name]} for name in ("apiKey", "secretKey")]
    by_key = {"required": ["apiKey"], "not": {"required": ["inputs"]}}
    schema["oneOf"] = [by_key, {"required": ["inputs"], "not": {"anyOf": halves}}]


class Credentials(_Body):
    """What the tenant enters, by the names of the provider's inputs.

    `apiKey` and `secretKey` are short for the first two secret inputs; `endsAt` is when the key ends, where the tenant knows.
    """

    model_config = ConfigDict(json_schema_extra=_key_or_inputs)

    api_key: Key | None = _optional("apiKey")
    secret_key: Key | None = _optional("secretKey")
    inputs: Inputs | None = _optional()
    ends_at: Time | None = _optional("endsAt")

    @model_validator(mode="after")
    def _one_form(self) -> Self:
        if self.inputs is not None and {"api_key", "secret_key"} & self.model_fields_set:
            raise PydanticCustomError("not_with_key", "mixed", {"member": "inputs"})
        if self.inputs is None and self.api_key is None:
            raise PydanticCustomError("key_missing", "missing", {"member": "apiKey"})
        return self

    def by_key(self) -> dict[str, Any]:
        """Return the arguments for a key."""
        return {"api_key": self.api_key, "secret_key": self.secret_key, "ends_at": self.ends_at}

    def by_inputs(self) -> dict[str, Any]:
        """Return the arguments for inputs."""
        return {"inputs": self.inputs, "ends_at": self.ends_at}


def _exactly_one_way(schema: dict[str, Any]) -> None:
    by_code = {"required": ["code", "redirectUri"], "not": {"required": ["credentials"]}}
    by_key = {"required": ["credentials"], "not": {"anyOf": [{"required": [name]} for name in ("code", "redirectUri", "state")]}}
    schema["oneOf"] = [by_code, by_key]


class CreateIntegration(_Body):
    """A new integration, by an OAuth2 code or by what the tenant enters."""

    model_config = ConfigDict(json_schema_extra=_exactly_one_way)

    provider_id: UUID = Field(alias="providerId")
    name: Name
    slot: Slot = ""
    method: MethodId | None = _optional()
    variables: Variables | None = _optional()
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


def _one_secret_or_several(schema: dict[str, Any]) -> None:
    schema["not"] = {"required": ["clientSecret", "clientSecrets"]}


class BeginAuthorization(_Body):
    """A new OAuth2 connection: through this browser, or with `device` by a code that is entered in any other one."""

    provider_id: UUID = Field(alias="providerId")
    name: Name
    slot: Slot = ""
    method: MethodId | None = _optional()
    variables: Variables | None = _optional()
    scopes: Scopes = Field(default_factory=list)
    return_to: Uri | None = _optional("returnTo")
    device: bool = False

    @model_validator(mode="after")
    def _comes_back(self) -> Self:
        _check_device(self)
        return self


class SaveApplication(_Body):
    """An OAuth application that the tenant registered at the provider itself.

    While its secret is rotated, `clientSecrets` has up to five secrets, the new one first.
    """

    model_config = ConfigDict(json_schema_extra=_one_secret_or_several)

    provider_id: UUID = Field(alias="providerId")
    client_id: ClientId = Field(alias="clientId")
    client_secret: ClientSecret | None = _optional("clientSecret")
    client_secrets: Annotated[list[ClientSecret], Field(min_length=1, max_length=5)] | None = _optional("clientSecrets")
    method: MethodId | None = _optional()
    variables: Variables | None = _optional()
    scopes: Scopes = Field(default_factory=list)
    client_auth: Literal["basic", "basic_raw", "post", "tls", "none"] | None = _optional("clientAuth")
    issuer: Uri | None = _optional()

    @model_validator(mode="after")
    def _one_form(self) -> Self:
        if self.client_secret is not None and self.client_secrets is not None:
            raise ValidationFailedError(field="clientSecrets", problem="cannot be given together with clientSecret")
        return self

    @property
    def secrets(self) -> Secret | list[Secret] | None:
        """The secret, the secrets, or None for a public client."""
        return self.client_secret if self.client_secrets is None else self.client_secrets


EventNames = Annotated[list[Annotated[str, Field(min_length=1, max_length=255)]], Field(max_length=100)]
WebhookProviders = Annotated[list[UUID], Field(max_length=100)]


class AddWebhook(_Body):
    """An https address with a public host, and which events it gets; without `events` or `providers`, those of all."""

    url: Uri
    events: EventNames = Field(default_factory=list)
    providers: WebhookProviders = Field(default_factory=list)
    format: Literal["standard", "cloudevents"] = "standard"


class RotateSecret(_Body):
    """How long the secret before signs beside the new one, in seconds."""

    overlap: Annotated[int, Field(ge=0, le=366 * 86_400)] | None = _optional()


def _something(schema: dict[str, Any]) -> None:
    schema["minProperties"] = 1


class EditIntegration(_Body):
    """A new name, or a new status: `inactive` disables, `active` enables."""

    model_config = ConfigDict(json_schema_extra=_something)

    name: Name | None = _optional()
    status: Literal["active", "inactive"] | None = _optional()

    @model_validator(mode="after")
    def _some_change(self) -> Self:
        if self.name is None and self.status is None:
            raise ValidationFailedError(field="body", problem="must give name or status")
        return self


class ChooseResource(_Body):
    """The id of the resource that the integration is for, as the list of resources has it."""

    resource: ResourceId


class EditWebhook(_Body):
    """What to change of a webhook; with `enabled`, it is switched on or off."""

    model_config = ConfigDict(json_schema_extra=_something)

    url: Uri | None = _optional()
    events: EventNames | None = _optional()
    providers: WebhookProviders | None = _optional()
    enabled: bool | None = _optional()

    @model_validator(mode="after")
    def _some_change(self) -> Self:
        if not self.model_fields_set:
            raise ValidationFailedError(field="body", problem="must give url, events, providers or enabled")
        return self


def _credentials_alone(schema: dict[str, Any]) -> None:
    by_key = {"required": ["credentials"], "not": {"anyOf": [{"required": ["scopes"]}, {"required": ["returnTo"]}]}}
    schema["oneOf"] = [{"not": {"required": ["credentials"]}}, by_key]


class RevealToken(_Body):
    """What the credential is narrowed to, by the names that the provider's method takes."""

    narrow: Annotated[dict[str, JsonValue], WithJsonSchema({"type": "object", "minProperties": 1})] | None = _optional()


class Reconnect(_Body):
    """A new authorization (OAuth2), or new values that the tenant enters."""

    model_config = ConfigDict(json_schema_extra=_credentials_alone)

    method: MethodId | None = _optional()
    scopes: Scopes = Field(default_factory=list)
    return_to: Uri | None = _optional("returnTo")
    device: bool = False
    credentials: Credentials | None = _optional()

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if self.credentials is not None and {"scopes", "return_to", "device"} & self.model_fields_set:
            raise ValidationFailedError(field="credentials", problem="cannot be given together with scopes, returnTo or device")
        _check_device(self)
        return self


def _check_device(body: BeginAuthorization | Reconnect) -> None:
    if body.device and body.return_to is not None:
        raise ValidationFailedError(field="returnTo", problem="cannot be given together with device: no browser comes back")


def schema_of(body: type[BaseModel], /) -> dict[str, Any]:
    """Return the schema of a body with its parts inlined: in the OpenAPI document its references would lead nowhere."""
    schema = _schema_with_references(body)
    parts = schema.get("$defs", {})

    def walk(node: Any) -> Any:
        if isinstance(node, dict):
            if "$ref" in node:
                return walk(parts[node["$ref"].rpartition("/")[2]])
            return {key: walk(value) for key, value in node.items() if key != "title"}
        return [walk(item) for item in node] if isinstance(node, list) else node

    walked: dict[str, Any] = walk({key: value for key, value in schema.items() if key != "$defs"})
    return walked


@cache
def _schema_with_references(body: type[BaseModel]) -> Mapping[str, Any]:
    return body.model_json_schema()
