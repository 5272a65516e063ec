"""Webhooks: addresses outside that get events, signed by Standard Webhooks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final, Literal, get_args
from uuid import UUID

from cloud_integrations.domain.identifiers import ProviderId, TenantId
from cloud_integrations.domain.secret import Secret
from cloud_integrations.domain.serialisation import Serialisable

WEBHOOK_TABLE: Final = "ci_webhook"
"""The table of webhooks, as sealing contexts name it."""
MOST_WEBHOOKS: Final = 20
"""The most webhooks of a tenant, and of the installation."""
MOST_SECRETS: Final = 5
"""The most secrets of one webhook that sign at the same time."""
SECRET_PREFIX: Final = "whsec_"  # noqa: S105  # the beginning of one
"""How a secret begins; its bytes follow in base64 (Standard Webhooks, "Signature scheme")."""
PING: Final = "webhook.test"
"""The name of the event that `events.test` sends; no webhook can filter it."""

WebhookFormat = Literal["standard", "cloudevents"]
"""The body: `standard` is that of Standard Webhooks, `cloudevents` is a CloudEvent 1.0 in JSON.  Both are signed the same way."""
FORMATS: Final[Mapping[str, WebhookFormat]] = {name: name for name in get_args(WebhookFormat)}
OffReason = Literal["asked", "gone", "failing"]
"""Why a webhook is off: somebody switched it off, it answered 410, or it has failed for `FAILING_LIMIT`."""
OFF_REASONS: Final[Mapping[str, OffReason]] = {name: name for name in get_args(OffReason)}
FAILING_LIMIT: Final = timedelta(days=5)
"""How long a webhook may take nothing until it is switched off: longer than one message is tried."""

_URL: Final = "url"
_NEWEST: Final = "secret"
_UNTIL: Final = "until "


@dataclass(frozen=True, slots=True, kw_only=True)
class Webhook(Serialisable):
    """An address that gets events, without its secrets."""

    id: UUID
    tenant_id: TenantId | None
    """Whose events it gets; None: those of all tenants."""
    url: str
    events: tuple[str, ...]
    """The events that it gets, by name; empty: all."""
    providers: tuple[ProviderId, ...]
    """It gets only events about these providers, and those about none; empty: all."""
    format: WebhookFormat
    off_reason: OffReason | None
    """Why it gets nothing; None: it is on."""
    failing_since: datetime | None
    """Since when it has taken nothing; None: it took the last message, or got none yet."""
    secrets: int
    """How many secrets sign: more than one while one is rotated."""
    created_at: datetime
    updated_at: datetime

    @property
    def enabled(self) -> bool:
        """Whether it is on."""
        return self.off_reason is None


@dataclass(frozen=True, slots=True, kw_only=True)
class NewWebhook:
    """A webhook that was added, or whose secret was rotated, with the secret, which is shown this once."""

    webhook: Webhook
    secret: Secret


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookTest(Serialisable):
    """Whether a webhook took a test."""

    webhook_id: UUID
    message_id: UUID
    """The `webhook-id` of the test."""
    reason: str | None
    """Why it was not taken: `status_<code>` of the answer, `unreachable`, `answer_lost`, `endpoint_not_allowed` …; None: it was."""

    @property
    def taken(self) -> bool:
        """Whether it was taken."""
        return self.reason is None


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredWebhook:
    """A webhook as a store has it; its address and its secrets are sealed."""

    id: UUID
    tenant_id: TenantId
    """The owner: a tenant or `OPERATOR`."""
    events: tuple[str, ...]
    providers: tuple[ProviderId, ...]
    format: WebhookFormat
    off_reason: OffReason | None = None
    failing_since: datetime | None = None
    secrets: int = 1
    generation: int
    """One more with every change of the operator or the tenant; part of the sealing context."""
    key_id: UUID
    sealed_parts: bytes = field(repr=False)
    """The parts of a `Target`."""
    created_at: datetime
    updated_at: datetime

    def wants(self, name: str, provider_id: str | None, /) -> bool:
        """Whether it gets events of this name about this provider; None: about none."""
        if self.off_reason is not None or (self.events and name not in self.events):
            return False
        return not self.providers or provider_id is None or provider_id in map(str, self.providers)


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Where a webhook is, and what signs for it: the newest secret, and older ones until their time."""

    url: str = field(repr=False)
    secret: Secret
    older: tuple[tuple[Secret, datetime], ...] = ()
    """The newest first."""

    def signing(self, now: datetime, /) -> tuple[Secret, ...]:
        """Return the secrets that sign *now*, the newest first."""
        return (self.secret, *(secret for secret, until in self.older if until > now))

    def with_secret(self, secret: Secret, /, *, now: datetime, until: datetime) -> Target:
        """Return the target with a new secret; the one before signs until *until* beside it."""
        older = [(self.secret, until), *self.older]
        living = [(old, ends) for old, ends in older if ends > now]
        return Target(url=self.url, secret=secret, older=tuple(living[: MOST_SECRETS - 1]))

    def parts(self) -> dict[str, Secret]:
        """Return it as the parts to be sealed."""
        # The position keeps names apart where two secrets end at one moment.
        older = {f"{_UNTIL}{until.isoformat()} {place}": secret for place, (secret, until) in enumerate(self.older)}
        return {_URL: Secret(self.url), _NEWEST: self.secret, **older}

    @classmethod
    def of(cls, parts: Mapping[str, Secret], /) -> Target:
        """Return the target that `parts` described."""
        older = [
            (secret, datetime.fromisoformat(name.removeprefix(_UNTIL).rpartition(" ")[0]))
            for name, secret in parts.items()
            if name.startswith(_UNTIL)
        ]
        return cls(url=parts[_URL].reveal(), secret=parts[_NEWEST], older=tuple(older))
