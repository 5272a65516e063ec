"""An integration: one tenant's access to one provider, and how it is doing."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Literal
from uuid import UUID

from cloud_integrations.domain.auth_type import AuthType
from cloud_integrations.domain.identifiers import ContextId, IntegrationId, ProviderId, TenantId
from cloud_integrations.domain.serialisation import Serialisable
from cloud_integrations.errors import ValidationFailedError

RenewalRule = Literal["keep", "refresh", "mint", "reconnect"]
"""How the next credential is got: this one stays; by spending a refresh token; by minting, as often as wanted; by the tenant."""
RENEWED: frozenset[RenewalRule] = frozenset({"refresh", "mint"})
"""The rules by which a credential is renewed without the tenant: they need what is stored as `renewal`."""


class Status(StrEnum):
    """What the public API says."""

    ACTIVE = "active"
    INACTIVE = "inactive"


class State(StrEnum):
    """What the refresh protocol knows (finer than `Status`)."""

    ACTIVE = "active"
    RETRY = "retry"
    UNKNOWN = "unknown"
    NEEDS_REAUTH = "needs_reauth"
    DISABLED = "disabled"

    @property
    def is_refreshed(self) -> bool:
        """Whether its token is renewed: neither switched off nor waiting for the tenant."""
        return self.status is Status.ACTIVE

    @property
    def status(self) -> Status:
        """The public status: usable, or waiting for somebody."""
        return Status.INACTIVE if self in {State.NEEDS_REAUTH, State.DISABLED} else Status.ACTIVE


class Health(StrEnum):
    """What the detail route says of an integration."""

    OK = "ok"
    RETRYING = "retrying"
    APPLICATION_REFUSED = "application_refused"
    UNKNOWN = "unknown"
    RECONNECT_REQUIRED = "reconnect_required"
    DISABLED = "disabled"


SWITCHED_OFF = "switched_off"
"""The reason of an integration that somebody switched off while it worked."""
APPLICATION_REASONS = frozenset(
    {
        "invalid_client",
        "unauthorized_client",
        "client_refused",
        "clock_skew",
        "platform_config",
        "no_usable_application",
        "application_changed",
    }
)
"""The reasons of `AppMisconfiguredError`: nothing can be renewed until the operator acts, and no tenant is at fault."""
HEALTH = {
    State.ACTIVE: Health.OK,
    State.RETRY: Health.RETRYING,
    State.UNKNOWN: Health.UNKNOWN,
    State.NEEDS_REAUTH: Health.RECONNECT_REQUIRED,
    State.DISABLED: Health.DISABLED,
}
ADVICE = {
    Health.OK: "Nothing to do.",
    Health.RETRYING: "Nothing to do: the provider had a problem and the renewal is being repeated.",
    Health.APPLICATION_REFUSED: (
        "The tenant need not act: the operator must correct the client id or secret of this provider's application. "
        "A token that still works is handed out, with a warning, until it ends."
    ),
    Health.UNKNOWN: "Nothing to do yet: a renewal was sent and its answer was lost; it is decided at the next attempt.",
    Health.RECONNECT_REQUIRED: "The tenant must reconnect this integration.",
    Health.DISABLED: "Enable the integration to use it again.",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountFacts:
    """Who the provider says the credential belongs to."""

    account_id: str | None = None
    label: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Integration(Serialisable):
    """What may be shown of an integration.  It has no field for a secret."""

    id: IntegrationId
    tenant_id: TenantId
    provider_id: ProviderId
    name: str
    auth_type: AuthType
    state: State = State.ACTIVE
    state_since: datetime
    """Since when its `health` is what it is."""
    reason: str | None = None
    """Why it is not simply active: a word from a closed list."""
    created_at: datetime
    updated_at: datetime
    scopes: tuple[str, ...] = ()
    """As granted by the provider (OAuth2)."""
    requested_scopes: tuple[str, ...] = ()
    missing_scopes: tuple[str, ...] = ()
    """Requested scopes that were not granted, by the provider's rule (`Scopes.missing`) when these were stored."""
    expires_at: datetime | None = None
    """When the access token ends; None: unknown, or never."""
    renewal_rule: RenewalRule = "keep"
    """How the next credential is got."""
    granted_at: datetime | None = None
    """When the tenant last consented (OAuth2)."""
    reconnect_before: datetime | None = None
    """When the refresh token ends for good, where the provider says so."""
    account: AccountFacts = AccountFacts()
    variables: dict[str, str] = field(default_factory=dict)
    context_id: ContextId | None = None
    """The OAuth application that the grant was issued to."""
    method_id: str
    slot: str = ""
    """Tells several integrations of a tenant with one provider apart; empty where the tenant has one."""

    @property
    def renewable(self) -> bool:
        """Whether it is renewed without the tenant."""
        return self.renewal_rule in RENEWED

    def as_of(self, now: datetime, /) -> Integration:
        """Return it as callers find it *now*: an access token that has ended, and cannot be renewed, asks for a reconnect.

        That is worked out and never stored: a process whose clock is wrong must not end what works.
        """
        if self.expires_at is None or now < self.expires_at or self.renewable or not self.state.is_refreshed:
            return self
        return replace(self, state=State.NEEDS_REAUTH, state_since=self.expires_at, reason="expired")

    @property
    def status(self) -> Status:
        """The public status."""
        return self.state.status

    @property
    def health(self) -> Health:
        """How it is doing, in the words of the detail route."""
        if self.state.is_refreshed and self.reason in APPLICATION_REASONS:
            return Health.APPLICATION_REFUSED
        return HEALTH[self.state]

    @property
    def advice(self) -> str:
        """What to do about its health."""
        return ADVICE[self.health]


def is_recovery(before: Integration, after: Integration, /) -> bool:
    """Whether what was stored as *after* works again: it was not switched off before, and its health was not `ok` and is now."""
    return before.as_of(after.updated_at).health not in {Health.OK, Health.DISABLED} and after.health is Health.OK


class Phase(StrEnum):
    """Where a refresh attempt stands."""

    IDLE = "idle"
    LEASED = "leased"
    SENT = "sent"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class SealedCredential:
    """The credential as it is stored: ciphertext only, bound to its generation."""

    generation: int
    key_id: UUID
    """The data key that sealed every part of it."""
    presented: bytes = field(repr=False)
    """The parts that a request shows."""
    renewal: bytes | None = field(default=None, repr=False)
    """The parts from which the next credential is made; None: there are none."""
    presented_fingerprint: bytes | None = field(default=None, repr=False)
    """16 bytes of a keyed hash, the same for every tenant that holds this access token."""
    renewal_fingerprint: bytes | None = field(default=None, repr=False)
    """The same of the refresh token."""
    account_fingerprint: bytes | None = field(default=None, repr=False)
    """The same of the account, at the OAuth application that the grant was issued to; None: nobody knows whose it is."""

    def fits(self, rule: RenewalRule, /) -> bool:
        """Whether it has what this rule renews it from, and nothing where it is not renewed."""
        return (self.renewal is not None) is (rule in RENEWED)


@dataclass(frozen=True, slots=True, kw_only=True)
class RefreshMarks:
    """The columns of the refresh protocol, as read; times are the database's."""

    lease_token: int = 0
    """Counts leases; a fencing token."""
    lease_until: datetime | None = None
    lease_owner: str | None = None
    phase: Phase = Phase.IDLE
    attempt_id: str | None = None
    sent_at: datetime | None = None
    """When the first request left whose outcome is not known; None: the outcome of each is."""
    writer_lease: int = 0
    """The lease that wrote the held credential."""
    attempts: int = 0
    next_attempt_at: datetime | None = None
    last_error: str | None = None
    failed_at: datetime | None = None
    """When the last attempt ended that brought no tokens; None: there was none since the last success."""
    refused_since: datetime | None = None
    """Since when the provider answers each attempt with a refusal that names no reason of ours; time without answers is left out."""
    refreshed_at: datetime | None = None
    due_at: datetime | None = None
    """When the worker should renew it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredCredential:
    """What handing out an integration's credential takes, and no more: the narrow read of the way that is taken most."""

    tenant_id: TenantId
    integration_id: IntegrationId
    provider_id: ProviderId
    auth_type: AuthType
    method_id: str
    state: State
    reason: str | None
    generation: int
    presented: bytes = field(repr=False)
    """The sealed parts that a request shows."""
    renewal_rule: RenewalRule
    in_doubt: bool
    """A refresh request is out, or nobody knows how one ended."""
    obtained_at: datetime
    """When the access token came."""
    expires_at: datetime | None
    scopes: tuple[str, ...]
    missing_scopes: tuple[str, ...]
    variables: dict[str, str]

    @property
    def renewable(self) -> bool:
        """Whether it is renewed without the tenant."""
        return self.renewal_rule in RENEWED


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredIntegration:
    """An integration with its sealed credential, as a store gives it."""

    facts: Integration
    credential: SealedCredential
    marks: RefreshMarks = RefreshMarks()
    read_at: datetime
    """The store's clock when the row was read."""

    @property
    def to_use(self) -> StoredCredential:
        """What handing out its credential takes."""
        facts, credential = self.facts, self.credential
        return StoredCredential(
            tenant_id=facts.tenant_id,
            integration_id=facts.id,
            provider_id=facts.provider_id,
            auth_type=facts.auth_type,
            method_id=facts.method_id,
            state=facts.state,
            reason=facts.reason,
            generation=credential.generation,
            presented=credential.presented,
            renewal_rule=facts.renewal_rule,
            in_doubt=self.marks.sent_at is not None,
            obtained_at=self.marks.refreshed_at or facts.created_at,
            expires_at=facts.expires_at,
            scopes=facts.scopes,
            missing_scopes=facts.missing_scopes,
            variables=facts.variables,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class DueIntegration:
    """An integration that is to be renewed: its time has come, or somebody asks for it."""

    tenant_id: TenantId
    integration_id: IntegrationId
    provider_id: ProviderId
    generation: int


def integration_name(text: str, /) -> str:
    """Read a name of 3 to 50 characters.  Raises `ValidationFailedError`."""
    if not isinstance(text, str) or not 3 <= len(text) <= 50 or not text.isprintable() or text != text.strip():
        raise ValidationFailedError(field="name", problem="must be 3 to 50 visible characters, without space at either end")
    return text
