"""The parts of the settings, one class for each table of the file."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from cloud_integrations import Actor, Secret


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Application(_Part):
    """An OAuth application as registered at a provider; see `OAuthApplication`."""

    provider: str
    client_id: str
    client_secret: tuple[Secret, ...] = ()
    """One secret or a list, the one to use first; while a secret is rotated, the application has two."""
    client_secret_file: tuple[Path, ...] = ()
    """One file or a list, each with one secret."""
    method_id: str | None = None
    scopes: tuple[str, ...] | None = None
    redirect_uris: tuple[str, ...] = ()
    variables: dict[str, str] = {}
    client_auth: Literal["basic", "basic_raw", "post", "tls", "none"] | None = None
    issuer: str | None = None
    secret_since: date | None = None
    """The day on which the first secret was made, for reports of its age."""

    @model_validator(mode="after")
    def _one_place_for_the_secret(self) -> Self:
        if self.client_secret and self.client_secret_file:
            raise ValueError("give client_secret or client_secret_file, not both")
        return self

    @field_validator("client_secret", "client_secret_file", mode="before")
    @classmethod
    def _as_a_list(cls, value: Any) -> Any:
        if value is None:
            return ()
        if not isinstance(value, list | tuple):
            return (value,)
        if not value:
            raise ValueError("must not be an empty list; leave it out for a public client")
        return tuple(value)

    @property
    def secret_count(self) -> int:
        """How many client secrets the application has."""
        return len(self.client_secret) + len(self.client_secret_file)


class PlatformPart(_Part):
    """The operator's own credential at a provider, which roles of tenants trust; see `PlatformCredential`."""

    principal: str | None = None
    """The name that tenants trust, such as the ARN of the operator's role; setups show it."""
    parts: dict[str, Secret] = {}
    """The secrets by name; for AWS `access_key_id`, `secret_access_key` and, for a temporary key, `session_token`."""
    part_files: dict[str, Path] = {}
    """Files with one secret each, by the same names; they are read for each request, so they may be replaced meanwhile."""
    source: Literal["botocore"] | None = None
    """`botocore`, for AWS: the credentials that botocore finds (environment, profiles, SSO, role of the instance or container)."""

    @model_validator(mode="after")
    def _one_place_for_each_part(self) -> Self:
        if (self.source is not None) == bool(self.parts or self.part_files):
            raise ValueError("give parts or part_files, or source")
        if self.parts.keys() & self.part_files.keys():
            raise ValueError("give a part in parts or in part_files, not in both")
        return self


class ServeToken(_Part):
    """A bearer token that `serve` accepts: only its SHA-256 is kept."""

    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    actor: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]{0,31}:\S{1,200}$")]
    """`type:id`, as the audit names it."""
    tenants: Literal["*"] | tuple[str, ...]
    permissions: tuple[str, ...]

    @property
    def who(self) -> Actor:
        """The actor as a value."""
        kind, _, name = self.actor.partition(":")
        return Actor(type=kind, id=name)


class Vault(_Part):
    """Where HashiCorp Vault or OpenBao is; the keys are named in `key_services`."""

    address: str
    token_file: Path
    """Read again for each call: an agent may renew it."""
    namespace: str | None = None


class IssuerSettings(_Part):
    """Our own issuer of tokens: its address, and its keys by URI; the first signs, all are published."""

    url: str
    keys: tuple[str, ...]
    """`file:` and the path of a file with private keys in PEM, or `aws-kms:` and the ARN of a signing key."""


PerMinute = Annotated[int, Field(ge=0, le=1_000_000)]


class RateLimits(_Part):
    """How often a minute the doors of `serve` may be used; what is left out has the library's default, and 0 sets no limit."""

    begin_per_minute: PerMinute | None = None
    verify_per_minute: PerMinute | None = None
    reveal_per_minute: PerMinute | None = None
    callback_per_minute: PerMinute | None = None


class CheckpointSettings(_Part):
    """The keys that sign checkpoints of the audit log."""

    name: str
    """The name of this installation under its checkpoints, such as `audit.example.com/production`."""
    keys: tuple[str, ...] = ()
    """`file:` and the path of a file with private Ed25519 keys in PEM, or `aws-kms:` and the ARN of a signing key; none: only verify."""
    trusted: tuple[str, ...] = ()
    """Public keys, as `audit keys` shows them, whose checkpoints are verified too."""


class Pkcs11(_Part):
    """How to reach the token; the keys are named in `key_services`."""

    library: Path
    pin_file: Path


Seconds = Annotated[float, Field(ge=0, le=31_536_000)]


class Limits(_Part):
    """Lengths of time in seconds; what is left out has the library's default."""

    min_ttl: Seconds | None = None
    token_cache: Seconds | None = None
    use_window: Seconds | None = None
    data_key_cache: Seconds | None = None
    data_key_grace: Seconds | None = None
    pending_lifetime: Seconds | None = None
    deadline: Seconds | None = None
    lease: Seconds | None = None
    wait_limit: Seconds | None = None
    approval_wait: Seconds | None = None
    refusal_limit: Seconds | None = None
    setup_lifetime: Seconds | None = None
    setup_patience: Seconds | None = None
    trust_check: Seconds | None = None
    persist_limit: Seconds | None = None
    trouble_after: Seconds | None = None
