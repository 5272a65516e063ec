"""A credential that an application already holds, on its way in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from cloud_integrations.domain.arguments import read_moment_or_none, read_provider, read_scopes, read_secret_or_none, read_variables
from cloud_integrations.domain.auth_type import AuthType
from cloud_integrations.domain.secret import Secret
from cloud_integrations.errors import ValidationFailedError


@dataclass(frozen=True, slots=True, kw_only=True, init=False)
class ImportedCredential:
    """One tenant's credential, as the application kept it: either OAuth2 tokens or an API key.

    *provider* is a slug or UUID; *name* has 3 to 50 characters; times are aware.  Secrets may be given as text, and are wrapped at once.
    Raises `ValidationFailedError` that names the field, for what is of another type, empty or naive.
    """

    provider: str | UUID
    name: str
    access_token: Secret | None
    refresh_token: Secret | None
    expires_at: datetime | None
    """When the access token ends; None: unknown, or never."""
    scopes: tuple[str, ...]
    granted_at: datetime | None
    """When the tenant consented, where it is known."""
    api_key: Secret | None
    secret_key: Secret | None
    variables: Mapping[str, str]

    def __init__(
        self,
        *,
        provider: str | UUID,
        name: str,
        access_token: Secret | str | None = None,
        refresh_token: Secret | str | None = None,
        expires_at: datetime | None = None,
        scopes: Sequence[str] = (),
        granted_at: datetime | None = None,
        api_key: Secret | str | None = None,
        secret_key: Secret | str | None = None,
        variables: Mapping[str, str] | None = None,
    ) -> None:
        read = {
            "provider": read_provider(provider),
            "name": name,
            "access_token": read_secret_or_none("accessToken", access_token),
            "refresh_token": read_secret_or_none("refreshToken", refresh_token),
            "expires_at": read_moment_or_none("expiresAt", expires_at),
            "scopes": read_scopes(scopes),
            "granted_at": read_moment_or_none("grantedAt", granted_at),
            "api_key": read_secret_or_none("apiKey", api_key),
            "secret_key": read_secret_or_none("secretKey", secret_key),
            "variables": read_variables(variables),
        }
        for field, value in read.items():
            object.__setattr__(self, field, value)

    @property
    def auth_type(self) -> AuthType:
        """Which kind it is.  Raises `ValidationFailedError` when its parts do not belong together."""
        if self.api_key is not None:
            if self.access_token is not None or self.refresh_token is not None:
                raise ValidationFailedError(field="apiKey", problem="and OAuth2 tokens exclude each other")
            return AuthType.API_KEY
        if self.secret_key is not None:
            raise ValidationFailedError(field="secretKey", problem="needs an apiKey")
        if self.access_token is None:
            raise ValidationFailedError(field="accessToken", problem="or apiKey is required")
        return AuthType.OAUTH2
