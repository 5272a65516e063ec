"""A credential that an application already holds, on its way in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from cloud_integrations.domain.auth_type import AuthType
from cloud_integrations.domain.secret import Secret
from cloud_integrations.errors import ValidationFailedError


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportedCredential:
    """One tenant's credential, as the application kept it: either OAuth2 tokens or an API key.

    *provider* is a slug or UUID; *name* has 3 to 50 characters; times are aware.
    """

    provider: str | UUID
    name: str
    access_token: Secret | None = None
    refresh_token: Secret | None = None
    expires_at: datetime | None = None
    """When the access token ends; None: unknown, or never."""
    scopes: tuple[str, ...] = ()
    granted_at: datetime | None = None
    """When the tenant consented, where it is known."""
    api_key: Secret | None = None
    secret_key: Secret | None = None
    variables: Mapping[str, str] = field(default_factory=dict)

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
