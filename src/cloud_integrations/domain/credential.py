"""Credentials in the open, for the moment they are used."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from cloud_integrations.domain.auth_type import AuthType
from cloud_integrations.domain.identifiers import IntegrationId, ProviderId
from cloud_integrations.domain.provider import Placement
from cloud_integrations.domain.secret import Secret


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """What a token endpoint gave (RFC 6749 §5.1), read and checked."""

    access_token: Secret
    refresh_token: Secret | None = None
    """None: none came, and one that is held stays good (RFC 6749 §6)."""
    expires_at: datetime | None = None
    scopes: tuple[str, ...] | None = None
    """None: the answer was silent, so they are those asked for (RFC 6749 §5.1)."""
    refresh_expires_at: datetime | None = None
    variables: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiKey:
    """A static key, with its second half where the provider has one."""

    key: Secret
    secret: Secret | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessToken:
    """A credential that works, ready to be sent.

    `value` is the access token or API key, `secret` the second half of an API key.  `expires_at` is
    an aware UTC datetime, or None when it is unknown or never.  `warning` says in a word why
    somebody should look (`refresh_failed`: it still works, but renewing it does not).
    """

    integration_id: IntegrationId
    provider_id: ProviderId
    auth_type: AuthType
    value: Secret
    secret: Secret | None = None
    expires_at: datetime | None = None
    scopes: tuple[str, ...] = ()
    missing_scopes: tuple[str, ...] = ()
    warning: str | None = None
    generation: int = 0
    placement: tuple[Placement, ...] = (Placement(),)

    def headers(self) -> dict[str, str]:
        """Return the headers to send, secrets in the open.

        A credential that the provider wants elsewhere (`placement`) adds none here.
        """
        return {
            place.name: place.prefix + place.template.replace("{value}", self.value.reveal())
            for place in self.placement
            if place.in_ == "header"
        }
