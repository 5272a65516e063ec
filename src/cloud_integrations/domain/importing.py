"""Credentials that an application has stored itself and imports: grants and keys."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from cloud_integrations.domain.arguments import (
    read_moment_or_none,
    read_provider,
    read_scopes,
    read_secret,
    read_secret_or_none,
    read_slot,
    read_text_or_none,
    read_variables,
)
from cloud_integrations.domain.entered import read_inputs
from cloud_integrations.domain.secret import Secret
from cloud_integrations.errors import ValidationFailedError


@dataclass(frozen=True, slots=True, kw_only=True, init=False)
class ImportedGrant:
    """One tenant's OAuth2 tokens, to import.

    *provider* is a slug or UUID, *name* has 3 to 50 characters, and times are aware.  A secret may be text, which is wrapped in a
    `Secret` at once.  *scopes* are the granted ones, *variables* the tenant's values for the provider's addresses.

    Raises `ValidationFailedError`, which names the field, for a value that is empty, naive or of another type.
    """

    provider: str | UUID
    name: str
    slot: str
    """The slot in which it is stored; empty: the default slot."""
    access_token: Secret
    refresh_token: Secret | None
    expires_at: datetime | None
    """When the access token ends; None: unknown, or never."""
    scopes: tuple[str, ...]
    granted_at: datetime | None
    """When the tenant consented; None: unknown."""
    variables: Mapping[str, str]
    dpop_key: Secret | None
    """The private key to which the tokens are bound (RFC 9449), of the curve P-256 in PEM; None: they are bearer tokens."""

    def __init__(
        self,
        *,
        provider: str | UUID,
        name: str,
        access_token: Secret | str,
        refresh_token: Secret | str | None = None,
        dpop_key: Secret | str | None = None,
        expires_at: datetime | None = None,
        scopes: Sequence[str] = (),
        granted_at: datetime | None = None,
        variables: Mapping[str, str] | None = None,
        slot: str = "",
    ) -> None:
        read = {
            "provider": read_provider(provider),
            "name": name,
            "slot": read_slot(slot),
            "access_token": read_secret("accessToken", access_token),
            "refresh_token": read_secret_or_none("refreshToken", refresh_token),
            "dpop_key": read_secret_or_none("dpopKey", dpop_key),
            "expires_at": read_moment_or_none("expiresAt", expires_at),
            "scopes": read_scopes(scopes),
            "granted_at": read_moment_or_none("grantedAt", granted_at),
            "variables": read_variables(variables),
        }
        for attribute, value in read.items():
            object.__setattr__(self, attribute, value)


@dataclass(frozen=True, slots=True, kw_only=True, init=False)
class ImportedKey:
    """One tenant's API key or other values that the tenant has entered, to import.

    *provider* is a slug or UUID, and *name* has 3 to 50 characters.  Exactly one of *api_key* and *inputs* is given.  A secret may be
    text, which is wrapped in a `Secret` at once.  *variables* are the tenant's values for the provider's addresses.

    Raises `ValidationFailedError`, which names the field, for a value that is empty or of another type.
    """

    provider: str | UUID
    name: str
    slot: str
    """The slot in which it is stored; empty: the default slot."""
    api_key: Secret | None
    """The key; None: `inputs` are given."""
    secret_key: Secret | None
    """The second part of the key, for providers that have one."""
    inputs: Mapping[str, Secret] | None = field(repr=False)
    """Values by the names of the provider's inputs; None: `api_key` is given."""
    method: str | None
    """The id of the provider's method; None: the first that the values fit."""
    ends_at: datetime | None
    """When the key ends; None: unknown, or never."""
    variables: Mapping[str, str]

    def __init__(
        self,
        *,
        provider: str | UUID,
        name: str,
        api_key: Secret | str | None = None,
        secret_key: Secret | str | None = None,
        inputs: Mapping[str, Secret | str] | None = None,
        method: str | None = None,
        ends_at: datetime | None = None,
        variables: Mapping[str, str] | None = None,
        slot: str = "",
    ) -> None:
        if inputs is not None and (api_key is not None or secret_key is not None):
            raise ValidationFailedError(field="inputs", problem="cannot be given together with apiKey or secretKey")
        read = {
            "provider": read_provider(provider),
            "name": name,
            "slot": read_slot(slot),
            "api_key": read_secret("apiKey", api_key) if inputs is None else None,
            "secret_key": read_secret_or_none("secretKey", secret_key),
            "inputs": None if inputs is None else read_inputs(inputs, None).inputs,
            "method": read_text_or_none("method", method),
            "ends_at": read_moment_or_none("endsAt", ends_at),
            "variables": read_variables(variables),
        }
        for attribute, value in read.items():
            object.__setattr__(self, attribute, value)
