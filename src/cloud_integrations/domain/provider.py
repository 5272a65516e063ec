"""What is known about a provider, as data.

One provider is one value read from one file; every field has the standard's value as its default,
so that a plain OAuth2 provider takes a few lines.  Lengths of time are seconds in the files and
`timedelta` here.  URLs may hold `{variables}`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import timedelta
from enum import StrEnum
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, PlainSerializer, model_validator

from cloud_integrations.domain.identifiers import ProviderId, provider_id
from cloud_integrations.errors import ValidationFailedError


def _seconds(value: timedelta) -> float:
    return value.total_seconds()


def _not_negative(value: timedelta) -> timedelta:
    if value < timedelta():
        raise ValueError("must not be negative")
    return value


Seconds = Annotated[timedelta, AfterValidator(_not_negative), PlainSerializer(_seconds)]
_VARIABLE = re.compile(r"\{([a-z0-9_]+)\}")


class _Facts(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class AuthType(StrEnum):
    """How an integration proves itself, as the public API says it."""

    OAUTH2 = "oauth2"
    API_KEY = "apikey"


class Predicate(_Facts):
    """A test on one place of a JSON answer; exactly one comparison is given."""

    path: str
    equals: str | int | bool | None = None
    exists: bool | None = None
    absent: bool | None = None
    not_null: bool | None = None

    @model_validator(mode="after")
    def _one_comparison(self) -> Self:
        given = self.model_fields_set & {"equals", "exists", "absent", "not_null"}
        if len(given) != 1:
            raise ValueError("give exactly one of equals, exists, absent, not_null")
        return self


class Variable(_Facts):
    """A value that URLs or requests need: from the tenant, the operator, a callback or a reply."""

    name: str
    pattern: str | None = None
    choices: tuple[str, ...] = ()
    default: str | None = None
    required: bool = True
    in_host: bool = False
    source: Literal["input", "site", "callback", "token_reply", "after_connecting", "credential", "application"] = "input"
    label: str = ""
    hint: str = ""

    def check(self, value: str, /) -> str:
        """Return *value*, or raise `ValidationFailedError` that names the variable and never repeats the value."""
        if self.choices and value not in self.choices:
            raise ValidationFailedError(field=f"variables.{self.name}", problem=f"must be one of {', '.join(self.choices)}")
        if self.pattern and not re.fullmatch(self.pattern, value):
            raise ValidationFailedError(field=f"variables.{self.name}", problem="does not have the form this provider asks for")
        return value


class Scopes(_Facts):
    """Which scopes are asked for, and how they are written."""

    default: tuple[str, ...] = ()
    separator: str = " "
    reply_separator: str | None = None
    reply_field: str = "scope"
    fixed: bool = False
    """The scopes are chosen where the application is registered: none are sent or compared."""
    offline: tuple[str, ...] = ()
    """Added so that a refresh token is issued; never reported as missing."""
    extra_lists: dict[str, tuple[str, ...]] = {}
    always: tuple[str, ...] = ()
    unlisted: tuple[str, ...] = ()
    on_reconnect: Literal["replace", "union", "incremental"] = "replace"


class Callback(_Facts):
    """What the provider brings back to the redirect URI."""

    code: str = "code"
    keep: tuple[str, ...] = ()
    site_from: str | None = None
    issuer: Literal["off", "optional", "required"] = "optional"
    """`required`: refuse a callback without `iss` (RFC 9207).  An `iss` that is there is always compared."""
    code_may_be_absent: bool = False
    confirm: str | None = None


class Reply(_Facts):
    """How a token answer is read where it strays from RFC 6749 §5.1."""

    map: dict[str, str] = {}
    """Standard name → dotted path in the answer."""
    encodings: dict[str, Literal["seconds", "epoch_s", "epoch_ms", "iso8601"]] = {}
    success: tuple[Predicate, ...] = ()
    formats: tuple[Literal["json", "form"], ...] = ("json",)
    named_credentials: dict[str, str] = {}
    token_types: tuple[str, ...] = ("bearer",)
    token_type_required: bool = True
    statuses: tuple[int, ...] = (200,)


class Placement(_Facts):
    """Where a credential goes in a request."""

    in_: Annotated[Literal["header", "query", "basic_user", "basic_password"], Field(alias="in")] = "header"
    name: str = "Authorization"
    prefix: str = "Bearer "
    template: str = "{value}"

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


class AccessTokenFacts(_Facts):
    """How long an access token lives and how it is sent."""

    expires_in: Literal["always", "absent", "conditional", "never"] = "always"
    assumed_lifetime: Seconds | None = None
    expiry_field: str | None = None
    expiry_encoding: Literal["seconds", "epoch_s", "epoch_ms", "iso8601"] = "seconds"
    min_remaining: Seconds = timedelta()
    placement: Placement = Placement()


class RefreshTokenFacts(_Facts):
    """How refresh tokens behave; what is not known is read as the strictest."""

    issued: bool = True
    rotates: Literal["always", "sometimes", "never", "configurable", "unknown"] = "unknown"
    reuse: Literal["none", "tolerant", "grace", "strict"] | None = None
    """What happens when a spent refresh token is sent again.  Left out: derived, see `reuse_rule`."""
    single_use: bool | None = None
    grace: Seconds = timedelta()
    replay_kills_family: bool | None = None
    ends_old_access: bool = False
    idle: Seconds | None = None
    absolute: Seconds | None = None
    max_live: int | None = None
    lifetime_field: str | None = None
    recovery: Literal["replay_within_grace", "remint", "reconnect"] = "reconnect"

    @property
    def reuse_rule(self) -> Literal["none", "tolerant", "grace", "strict"]:
        """`none`: the token is not replaced; `tolerant`: an old one still works; `grace`: for `grace`; `strict`: never."""
        if self.reuse is not None:
            return self.reuse
        if self.grace > timedelta():
            return "grace"
        if self.rotates == "never":
            return "none"
        return "strict"


class Assertion(_Facts):
    """A JWT that stands for a secret (RFC 7523)."""

    alg: str
    iss: str = ""
    sub: str = ""
    aud: str = ""
    claims: dict[str, str] = {}
    key_header: str | None = None
    max_lifetime: Seconds = timedelta(minutes=5)


class Input(_Facts):
    """One value the tenant enters."""

    name: str
    secret: bool = True
    patterns: tuple[str, ...] = ()
    """Hints: a mismatch warns and never refuses."""
    required: bool = True
    normalise: tuple[str, ...] = ("strip",)
    multiline: bool = False
    label: str = ""
    hint: str = ""
    derives: dict[str, str] = {}


class Signing(_Facts):
    """A signature scheme, handed to a signer."""

    scheme: str
    options: dict[str, Any] = {}


class KeyExpiry(_Facts):
    """How static keys end and are rotated."""

    date_from: str | None = None
    idle: Seconds | None = None
    rotate: str | None = None


class AfterConnecting(_Facts):
    """A request that finds the resources a new grant can reach."""

    method: str = "GET"
    url: str
    path: str = ""
    id: str = "id"
    label: str = "name"
    link: str | None = None


class Revoke(_Facts):
    """How a grant is ended at the provider (RFC 7009 where nothing else is said)."""

    method: Literal["POST", "DELETE", "GET", "PUT"] = "POST"
    url: str | None = None
    """Left out: the provider has no revocation request; `manual_url` says where the tenant can do it."""
    body: Literal["form", "json", "none"] = "form"
    param: str = "token"
    auth: Literal["client_basic", "client_post", "bearer", "none"] = "client_basic"
    which: Literal["access", "refresh", "both"] = "both"
    """Which tokens the request takes."""
    kills: Literal["token", "grant"] = "token"
    """`grant`: one request ends every token of the grant."""
    hint: bool = True
    statuses: tuple[int, ...] = (200, 204)
    success: tuple[Predicate, ...] = ()
    manual_url: str | None = None
    headers: dict[str, str] = {}


class Method(_Facts):
    """One way to get access at a provider."""

    id: str
    kind: Literal[
        "code", "install", "client_credentials", "jwt_bearer", "token_exchange", "device", "key", "basic", "digest", "signed", "assumed_role"
    ]
    application: Literal["platform", "owner"] = "platform"
    authorize_url: str | None = None
    token_url: str | None = None
    refresh_url: str | None = None
    device_url: str | None = None
    userinfo_url: str | None = None
    introspection: str | None = None
    discovery_url: str | None = None
    issuer: str | None = None
    scopes: Scopes = Scopes()
    pkce: Literal["required", "s256", "off"] = "s256"
    client_auth: tuple[Literal["basic", "post", "none", "private_key_jwt", "platform_key"], ...] = ("basic",)
    body: Literal["form", "json"] = "form"
    authorize_params: dict[str, str] = {}
    token_params: dict[str, str] = {}
    refresh_params: dict[str, str] = {}
    headers: dict[Literal["token", "api"], dict[str, str]] = {}
    grant_type: str | None = None
    callback: Callback = Callback()
    code_lifetime: Seconds = timedelta(minutes=10)
    reply: Reply = Reply()
    access_token: AccessTokenFacts = AccessTokenFacts()
    refresh_token: RefreshTokenFacts = RefreshTokenFacts()
    assertion: Assertion | None = None
    inputs: tuple[Input, ...] = ()
    placement: tuple[Placement, ...] = (Placement(),)
    signing: Signing | None = None
    key_expiry: KeyExpiry | None = None
    made_by_platform: tuple[str, ...] = ()
    after_connecting: AfterConnecting | None = None
    revoke: Revoke | None = None

    @property
    def auth_type(self) -> AuthType:
        """What the public API calls this way."""
        return AuthType.API_KEY if self.kind in {"key", "basic", "digest", "signed"} else AuthType.OAUTH2

    @model_validator(mode="after")
    def _has_what_its_kind_needs(self) -> Self:
        if self.kind == "code" and not (self.authorize_url and self.token_url):
            raise ValueError("a code method needs authorize_url and token_url")
        if self.kind == "key" and not self.inputs:
            raise ValueError("a key method needs inputs")
        return self


Outcome = Literal["alive", "alive_but_denied", "dead", "wrong_region", "clock_skew", "unknown"]


class Verification(_Facts):
    """The provider's cheapest read-only check of a credential."""

    for_methods: tuple[str, ...] = ()
    """Method ids; empty means every method."""
    method: Literal["GET", "POST", "HEAD"] = "GET"
    url: str
    headers: dict[str, str] = {}
    body: str | None = None
    needs: tuple[str, ...] = ()
    statuses: tuple[int, ...] = (200,)
    success: tuple[Predicate, ...] = ()
    identity: tuple[str, ...] = ()
    """Paths (`json:`, `header:`, `ctx:`), joined by `/`; empty means the key's keyed fingerprint stands in."""
    label: tuple[str, ...] = ()
    status_rules: dict[int, Outcome] = {401: "dead"}
    is_exchange: bool = False


ErrorClass = Literal["renew", "reauthorize", "dead", "denied", "retry", "wait", "restart", "clock_skew", "wrong_region", "platform_config"]


class ErrorRule(_Facts):
    """One line of the table that turns a provider's failure into one of a closed list; the first that fits wins."""

    at: Literal["token", "api", "verify"]
    status: int | None = None
    path: str | None = None
    equals: str | None = None
    matches: str | None = None
    class_: Annotated[ErrorClass, Field(alias="class")]
    then: str | None = None

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


class RateLimit(_Facts):
    """How the provider tells its limits."""

    limit: str | None = None
    remaining: str | None = None
    reset: str | None = None
    reset_format: Literal["epoch_s", "epoch_ms", "delta_s", "iso8601", "http_date", "structured", "duration_text"] = "epoch_s"
    retry_after: str = "Retry-After"
    statuses: tuple[int, ...] = (429,)
    body: tuple[Predicate, ...] = ()


class Deprecation(_Facts):
    """Something that the provider retires."""

    what: str
    until: str | None = None
    successor: str | None = None


class Provider(_Facts):
    """One provider: where it is reached, how access is got, checked, renewed and given back."""

    id: Annotated[str, Field(pattern=r"^[a-z0-9_]{1,64}$")]
    """The slug; stable for ever."""
    name: str
    category: str = "other"
    documentation: str = ""
    active: bool = True
    variables: tuple[Variable, ...] = ()
    sites: dict[str, dict[str, str]] = {}
    base_urls: dict[str, str] = {}
    methods: tuple[Method, ...]
    verifications: tuple[Verification, ...] = ()
    error_rules: tuple[ErrorRule, ...] = ()
    rate_limit: RateLimit = RateLimit()
    self_hosted: bool = False
    deprecations: tuple[Deprecation, ...] = ()
    dialect: str | None = None
    loopback: bool = False
    """Plain http to a loopback address is allowed: simulated providers and development only."""

    @property
    def provider_id(self) -> ProviderId:
        """The provider's UUID, made from its slug."""
        return provider_id(self.id)

    @property
    def auth_types(self) -> tuple[AuthType, ...]:
        """The ways of the public API that this provider supports, in the order of its methods."""
        return tuple(dict.fromkeys(method.auth_type for method in self.methods))

    def find_method(self, auth_type: AuthType, /, *, method_id: str | None = None) -> Method | None:
        """Return the named method, or the first that works by code (OAuth2) or by key (API key)."""
        kinds = {"code"} if auth_type is AuthType.OAUTH2 else {"key", "basic"}
        for method in self.methods:
            if method.kind in kinds and method_id in {None, method.id}:
                return method
        return None

    def fill_variables(self, given: Mapping[str, str], /) -> dict[str, str]:
        """Check *given* and add defaults.  Raises `ValidationFailedError` naming the variable.

        Variables that only a callback, a reply or a later request can fill are left out.
        """
        known = {variable.name: variable for variable in self.variables}
        for name in given:
            if name not in known:
                raise ValidationFailedError(field=f"variables.{name}", problem="is not a variable of this provider")
        filled: dict[str, str] = {}
        for variable in self.variables:
            value = given.get(variable.name, variable.default)
            if value is not None:
                filled[variable.name] = variable.check(value)
            elif variable.required and variable.source in {"input", "site", "application"}:
                raise ValidationFailedError(field=f"variables.{variable.name}", problem="is required by this provider")
        return filled

    @model_validator(mode="after")
    def _variables_are_declared(self) -> Self:
        declared = {variable.name for variable in self.variables} | {"client_id"}
        for where, template in self._templates():
            for name in _VARIABLE.findall(template):
                if name not in declared and name not in self._input_names():
                    raise ValueError(f"{where} uses {{{name}}}, which is no variable of this provider")
            if not self.loopback and not template.startswith(("https://", "{")):
                raise ValueError(f"{where} must be an https URL")
        for variable in self.variables:
            if variable.pattern is not None:
                re.compile(variable.pattern)
            if variable.in_host and not variable.choices and variable.pattern is None:
                raise ValueError(f"variable {variable.name} lands in a host and needs choices or a pattern")
        return self

    def _input_names(self) -> set[str]:
        return {given.name for method in self.methods for given in method.inputs}

    def _templates(self) -> list[tuple[str, str]]:
        found: list[tuple[str, str]] = []
        for method in self.methods:
            for field in ("authorize_url", "token_url", "refresh_url", "device_url", "userinfo_url", "introspection", "discovery_url", "issuer"):
                if (template := getattr(method, field)) is not None:
                    found.append((f"{method.id}.{field}", template))
            if method.revoke is not None and method.revoke.url is not None:
                found.append((f"{method.id}.revoke.url", method.revoke.url))
        found.extend((f"verifications[{index}].url", check.url) for index, check in enumerate(self.verifications))
        return found


def fill(template: str, values: Mapping[str, str], /) -> str:
    """Put *values* into the `{places}` of a URL template; a place without a value is a `KeyError`."""
    return _VARIABLE.sub(lambda place: values[place.group(1)], template)
