"""What a tenant enters to connect an account without a consent at the provider."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, Literal

from cloud_integrations.domain.arguments import read_moment_or_none, read_secret, read_secret_or_none, read_text_or_none
from cloud_integrations.domain.secret import Secret
from cloud_integrations.errors import ValidationFailedError

InputForm = Literal["text", "pem", "json", "origin"]
"""What a value is: one line of visible ASCII, keys or certificates in PEM (RFC 7468), a JSON document, or the address of a server."""
ENDS_AT: Final = "credentials.endsAt"
"""The name in errors of the time at which a key ends."""
_NAME = re.compile(r"[a-z][a-z0-9_]{0,31}")


@dataclass(frozen=True, slots=True, kw_only=True)
class EnteredKey:
    """An API key, and the secret that goes with it if the provider has one: the shorthand for the first two secret inputs."""

    api_key: Secret
    secret_key: Secret | None = None
    method_id: str | None = None
    """The method that it is for; None: the first whose key has its form."""
    ends_at: datetime | None = None
    """When the key ends, as the person who enters it says; None: they do not say."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EnteredInputs:
    """Values by the names of the provider's own inputs."""

    inputs: Mapping[str, Secret] = field(repr=False)
    method_id: str | None = None
    """The method that they are for; None: the one whose inputs fit."""
    ends_at: datetime | None = None
    """When the key among them ends, as the person who enters it says; None: they do not say."""


Entered = EnteredKey | EnteredInputs


def read_key(api_key: object, secret_key: object, method: object = None, ends_at: object = None, /) -> EnteredKey:
    """Return a key that was given as text or as a secret.  Raises `ValidationFailedError` that names the field."""
    return EnteredKey(
        api_key=read_secret("credentials.apiKey", api_key),
        secret_key=read_secret_or_none("credentials.secretKey", secret_key),
        method_id=read_text_or_none("method", method),
        ends_at=read_moment_or_none(ENDS_AT, ends_at),
    )


def read_inputs(inputs: object, method: object, ends_at: object = None, /) -> EnteredInputs:
    """Return inputs that were given as text or as secrets.  Raises `ValidationFailedError` that names the field."""
    if not isinstance(inputs, Mapping) or not inputs or not all(isinstance(name, str) for name in inputs):
        raise ValidationFailedError(field="credentials.inputs", problem="must be a mapping of names to values, and not empty")
    named = {name: read_secret(_field(name), value) for name, value in inputs.items()}
    return EnteredInputs(inputs=named, method_id=read_text_or_none("method", method), ends_at=read_moment_or_none(ENDS_AT, ends_at))


def _field(name: str) -> str:
    """Name an input in an error; what was pasted in the place of a name is not repeated."""
    return f"credentials.inputs.{name}" if _NAME.fullmatch(name) else "credentials.inputs"
