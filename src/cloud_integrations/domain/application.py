"""The operator's OAuth application at a provider."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal
from uuid import UUID

from cloud_integrations.domain.arguments import (
    LONGEST_URL,
    read_provider,
    read_scopes,
    read_secret_or_none,
    read_text,
    read_text_or_none,
    read_texts,
    read_variables,
)
from cloud_integrations.domain.auth_type import AuthType
from cloud_integrations.domain.identifiers import ProviderId
from cloud_integrations.domain.secret import Secret
from cloud_integrations.errors import ConfigurationError, ValidationFailedError

ClientAuth = Literal["basic", "basic_raw", "post", "none"]
"""How an application proves itself to a token endpoint (RFC 6749 §2.3.1); `basic_raw`: without percent-encoding."""


@dataclass(frozen=True, slots=True, kw_only=True, init=False)
class OAuthApplication:
    """Client id and secret as registered at a provider; from configuration, never from the catalogue.

    `provider` is a slug or UUID.  `client_secret` may be given as text, and is wrapped at once.
    `redirect_uris` are exact strings registered besides the library's own
    callback: the first of them, if any, takes its place in new authorizations (a front end that
    receives the code itself); all of them are allowed for posted codes.
    Raises `ConfigurationError` that names the setting, for what is of another type or empty.
    """

    provider: str
    client_id: str
    client_secret: Secret | None
    method_id: str | None
    scopes: tuple[str, ...] | None
    """Asked for when the caller names none; None: the provider's default."""
    redirect_uris: tuple[str, ...]
    variables: Mapping[str, str]
    client_auth: ClientAuth | None
    """Overrides the provider's first choice: `basic`, `basic_raw`, `post` or `none`."""
    issuer: str | None
    """Expected `iss` in the callback (RFC 9207), where the catalogue does not know it."""

    def __init__(
        self,
        *,
        provider: str | UUID,
        client_id: str,
        client_secret: Secret | str | None = None,
        method_id: str | None = None,
        scopes: Sequence[str] | None = None,
        redirect_uris: Sequence[str] = (),
        variables: Mapping[str, str] | None = None,
        client_auth: ClientAuth | None = None,
        issuer: str | None = None,
    ) -> None:
        try:
            read = {
                "provider": str(read_provider(provider)),
                "client_id": read_text("client_id", client_id, most=LONGEST_URL),
                "client_secret": read_secret_or_none("client_secret", client_secret),
                "method_id": read_text_or_none("method_id", method_id),
                "scopes": None if scopes is None else read_scopes(scopes),
                "redirect_uris": read_texts("redirect_uris", redirect_uris, most=LONGEST_URL),
                "variables": read_variables(variables),
                "client_auth": read_text_or_none("client_auth", client_auth),
                "issuer": read_text_or_none("issuer", issuer, most=LONGEST_URL),
            }
        except ValidationFailedError as error:
            raise ConfigurationError(setting=f"OAuthApplication.{error.field}", problem=error.problem) from None
        for field, value in read.items():
            object.__setattr__(self, field, value)


@dataclass(frozen=True, slots=True, kw_only=True)
class InputSummary:
    """One value that a tenant enters."""

    name: str
    label: str
    hint: str
    required: bool
    secret: bool
    argument: Literal["api_key", "secret_key"] | None
    """What takes it in `add_api_key` (`apiKey` and `secretKey` over HTTP); None: nothing does."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MethodSummary:
    """A way to connect a provider that works in this installation."""

    id: str
    auth_type: AuthType
    inputs: tuple[InputSummary, ...]
    """What a tenant enters; empty for OAuth2."""
    manual_url: str | None
    """Where a person withdraws the access by hand; None: nobody knows, or it depends on a variable of the tenant's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderSummary:
    """A provider as users of this installation see it."""

    id: ProviderId
    slug: str
    name: str
    category: str
    active: bool
    auth_types: tuple[AuthType, ...]
    """The ways that work here: `oauth2` only where an application is configured."""
    documentation: str
    redirect_uri: str | None = None
    """What to register at the provider, where an application is configured and its variables are known."""
    methods: tuple[MethodSummary, ...] = ()
    """The ways of `auth_types`, in order of preference, with what each takes."""
