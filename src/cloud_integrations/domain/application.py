"""The operator's OAuth application at a provider."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from cloud_integrations.domain.auth_type import AuthType
from cloud_integrations.domain.identifiers import ProviderId
from cloud_integrations.domain.secret import Secret


@dataclass(frozen=True, slots=True, kw_only=True)
class OAuthApplication:
    """Client id and secret as registered at a provider; from configuration, never from the catalogue.

    `provider` is a slug.  `redirect_uris` are exact strings registered besides the library's own
    callback: the first of them, if any, takes its place in new authorizations (a front end that
    receives the code itself); all of them are allowed for posted codes.
    """

    provider: str
    client_id: str
    client_secret: Secret | None = None
    method_id: str | None = None
    scopes: tuple[str, ...] | None = None
    """Asked for when the caller names none; None: the provider's default."""
    redirect_uris: tuple[str, ...] = ()
    variables: Mapping[str, str] = field(default_factory=dict)
    client_auth: str | None = None
    """Overrides the provider's first choice: basic, basic_raw, post or none."""
    issuer: str | None = None
    """Expected `iss` in the callback (RFC 9207), where the catalogue does not know it."""


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
