"""A credential that an application already holds, on its way in: a grant, or a key."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from cloud_integrations.domain.arguments import (
    read_moment_or_none,
    read_provider,
    read_scopes,
    read_secret,
    read_secret_or_none,
    read_variables,
)
from cloud_integrations.domain.secret import Secret


@dataclass(frozen=True, slots=True, kw_only=True, init=False)
class ImportedGrant:
    """One tenant's OAuth2 tokens, as the application kept them.

    *provider* is a slug or UUID; *name* has 3 to 50 characters; times are aware.  Secrets may be given as text, and are wrapped at once.
    Raises `ValidationFailedError` that names the field, for what is of another type, empty or naive.
    """

    provider: str | UUID
    name: str
    access_token: Secret
    refresh_token: Secret | None
    expires_at: datetime | None
    """When the access token ends; None: unknown, or never."""
    scopes: tuple[str, ...]
    granted_at: datetime | None
    """When the tenant consented, where it is known."""
    variables: Mapping[str, str]

    def __init__(
        self,
        *,
        provider: str | UUID,
        name: str,
        access_token: Secret | str,
        refresh_token: Secret | str | None = None,
        expires_at: datetime | None = None,
        scopes: Sequence[str] = (),
        granted_at: datetime | None = None,
        variables: Mapping[str, str] | None = None,
    ) -> None:
        read = {
            "provider": read_provider(provider),
            "name": name,
            "access_token": read_secret("accessToken", access_token),
            "refresh_token": read_secret_or_none("refreshToken", refresh_token),
            "expires_at": read_moment_or_none("expiresAt", expires_at),
            "scopes": read_scopes(scopes),
            "granted_at": read_moment_or_none("grantedAt", granted_at),
            "variables": read_variables(variables),
        }
        for field, value in read.items():
            object.__setattr__(self, field, value)


@dataclass(frozen=True, slots=True, kw_only=True, init=False)
class ImportedKey:
    """One tenant's API key, as the application kept it.

    *provider* is a slug or UUID; *name* has 3 to 50 characters.  Secrets may be given as text, and are wrapped at once.
    Raises `ValidationFailedError` that names the field, for what is of another type or empty.
    """

    provider: str | UUID
    name: str
    api_key: Secret
    secret_key: Secret | None
    """The second half, where the provider has one."""
    variables: Mapping[str, str]

    def __init__(
        self,
        *,
        provider: str | UUID,
        name: str,
        api_key: Secret | str,
        secret_key: Secret | str | None = None,
        variables: Mapping[str, str] | None = None,
    ) -> None:
        read = {
            "provider": read_provider(provider),
            "name": name,
            "api_key": read_secret("apiKey", api_key),
            "secret_key": read_secret_or_none("secretKey", secret_key),
            "variables": read_variables(variables),
        }
        for field, value in read.items():
            object.__setattr__(self, field, value)
