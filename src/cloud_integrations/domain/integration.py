"""An integration: one tenant's access to one provider, its state and its sealed credential."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Final, Literal, get_args
from uuid import UUID

from cloud_integrations.domain.auth_type import AuthType
from cloud_integrations.domain.identifiers import ContextId, IntegrationId, ProviderId, TenantId
from cloud_integrations.domain.replacement import Replacement
from cloud_integrations.domain.serialisation import Serialisable
from cloud_integrations.errors import ApplicationReason, ReconnectReason, ValidationFailedError

RenewalRule = Literal["keep", "refresh", "mint", "reconnect"]
"""How the next credential is obtained.

`keep`: this one does not end.  `refresh`: by a refresh token, which may be used once.  `mint`: from stored parts, any number of
times.  `reconnect`: by the tenant.
"""
RENEWED: frozenset[RenewalRule] = frozenset({"refresh", "mint"})
"""The rules by which a credential is renewed without the tenant, from the parts that are stored as `renewal`."""


class Status(StrEnum):
    """The status of an integration; `inactive`: it is disabled, or the tenant must reconnect."""

    ACTIVE = "active"
    INACTIVE = "inactive"


class State(StrEnum):
    """The state that is stored; it is finer than `Status`.

    `active`: the credential works.  `retry`: the last renewal failed and is repeated.  `unknown`: a renewal was sent and its outcome is
    not known.  `needs_reauth`: the tenant must reconnect.  `disabled`: a user disabled the integration.
    """

    ACTIVE = "active"
    RETRY = "retry"
    UNKNOWN = "unknown"
    NEEDS_REAUTH = "needs_reauth"
    DISABLED = "disabled"

    @property
    def is_refreshed(self) -> bool:
        """Whether the credential is renewed: the integration is not disabled and the tenant need not reconnect."""
        return self.status is Status.ACTIVE

    @property
    def status(self) -> Status:
        """The status in the public API; `inactive` if the integration is disabled or the tenant must reconnect."""
        return Status.INACTIVE if self in {State.NEEDS_REAUTH, State.DISABLED} else Status.ACTIVE


class Health(StrEnum):
    """The health of an integration; `advice` says what to do.

    `ok`: it works.  `retrying`: a renewal failed and is repeated.  `application_refused`: the provider refuses the operator's
    application.  `unknown`: the answer to a renewal was lost.  `reconnect_required`: the tenant must reconnect.
    `choose_resource`: it works, and the tenant must choose one of the resources that it reaches.  `disabled`: a user disabled it.
    """

    OK = "ok"
    CHOOSE_RESOURCE = "choose_resource"
    RETRYING = "retrying"
    APPLICATION_REFUSED = "application_refused"
    UNKNOWN = "unknown"
    RECONNECT_REQUIRED = "reconnect_required"
    DISABLED = "disabled"


REVOKED_BY_OPERATOR: Final = "revoked_by_operator"
"""The reason of an integration whose access an operator has ended; it holds no secret until the tenant reconnects."""
SWITCHED_OFF: Final = "switched_off"
"""The reason of an integration that was disabled while it worked."""
APPLICATION_REASONS: Final[Mapping[str, ApplicationReason]] = {reason: reason for reason in get_args(ApplicationReason)}
"""The reasons of `AppMisconfiguredError`: no tenant is at fault, and nothing can be renewed until the operator acts."""
_RECONNECT_REASONS: Final[Mapping[str, ReconnectReason]] = {reason: reason for reason in get_args(ReconnectReason)}
HEALTH = {
    State.ACTIVE: Health.OK,
    State.RETRY: Health.RETRYING,
    State.UNKNOWN: Health.UNKNOWN,
    State.NEEDS_REAUTH: Health.RECONNECT_REQUIRED,
    State.DISABLED: Health.DISABLED,
}
ADVICE = {
    Health.OK: "Nothing to do.",
    Health.CHOOSE_RESOURCE: "The credential works; the tenant must choose which of the resources that it reaches is meant.",
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
    """The account that a credential belongs to, as the provider names it: an id, and a label for people.  None: not known."""

    account_id: str | None = None
    label: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Integration(Serialisable):
    """One tenant's access to one provider, without its secrets.  Times are aware UTC datetimes."""

    id: IntegrationId
    tenant_id: TenantId
    provider_id: ProviderId
    name: str
    auth_type: AuthType
    state: State = State.ACTIVE
    state_since: datetime
    """Since when `health` has its present value."""
    reason: str | None = None
    """Why it is not active, or why its renewal fails: a word from a closed list; None: it is active."""
    created_at: datetime
    updated_at: datetime
    scopes: tuple[str, ...] = ()
    """The scopes that the provider granted (OAuth2)."""
    requested_scopes: tuple[str, ...] = ()
    """The scopes that the authorization asked for (OAuth2)."""
    missing_scopes: tuple[str, ...] = ()
    """Requested scopes that were not granted, by the provider's rules (`Scopes.missing`) when the scopes were stored."""
    expires_at: datetime | None = None
    """When the access token ends; None: unknown, or never."""
    renewal_rule: RenewalRule = "keep"
    """How the next credential is obtained."""
    granted_at: datetime | None = None
    """When the tenant last consented (OAuth2)."""
    reconnect_before: datetime | None = None
    """When the refresh token or the key ends, so that the tenant must reconnect; None: not known."""
    last_used_at: datetime | None = None
    """When its credential was last used, to a day; None: never, or uses are not recorded (`Settings.use_window=None`)."""
    account: AccountFacts = AccountFacts()
    variables: dict[str, str] = field(default_factory=dict)
    """The values of the provider's variables that belong to the tenant, by name; empty where the tenant must choose a resource first."""
    context_id: ContextId | None = None
    """The configured authorization server and application that issued the grant (OAuth2)."""
    method_id: str
    slot: str = ""
    """Tells a tenant's integrations with one provider apart; empty: the default slot.  It never changes."""

    @property
    def renewable(self) -> bool:
        """Whether it is renewed without the tenant."""
        return self.renewal_rule in RENEWED

    def as_of(self, now: datetime, /) -> Integration:
        """Return the integration as callers see it *now*: if its access token has ended and cannot be renewed, it needs a reconnect.

        This is computed and never stored, so that a process whose clock is wrong does not end a working integration.
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
        """The health in the public API."""
        health = health_of(self.state, self.reason)
        return Health.CHOOSE_RESOURCE if health is Health.OK and find_unchosen(self.variables) is not None else health

    @property
    def advice(self) -> str:
        """What a person should do about `health`, as a sentence."""
        return ADVICE[self.health]


def health_of(state: State, reason: str | None, /) -> Health:
    """Return the health that a state and its reason mean, whether a resource is chosen or not."""
    if state.is_refreshed and reason in APPLICATION_REASONS:
        return Health.APPLICATION_REFUSED
    return HEALTH[state]


def find_unchosen(variables: Mapping[str, str], /) -> str | None:
    """Return the name of the variable that waits until the tenant chooses a resource; None: there is none."""
    return next((name for name, value in variables.items() if value == ""), None)


_WORKS = frozenset({Health.OK, Health.CHOOSE_RESOURCE})
"""The healths of a credential that works."""


def is_working(facts: Integration, /) -> bool:
    """Whether the credential works, also where the tenant must still choose a resource."""
    return facts.health in _WORKS


def is_recovery(before: Integration, after: Integration, /) -> bool:
    """Whether the credential works again: it did not before, without being disabled, and does after."""
    return before.as_of(after.updated_at).health not in _WORKS | {Health.DISABLED} and is_working(after)


class Phase(StrEnum):
    """The phase of a refresh attempt.

    `idle`: there is none.  `leased`: a lease was taken.  `sent`: the request is leaving or has left.  `unknown`: it may still be under way.
    """

    IDLE = "idle"
    LEASED = "leased"
    SENT = "sent"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class SealedCredential:
    """A credential as it is stored: sealed, and bound to its generation."""

    generation: int
    key_id: UUID
    """The data key that sealed `presented` and `renewal`."""
    presented: bytes = field(repr=False)
    """The parts that requests to the provider's API carry."""
    renewal: bytes | None = field(default=None, repr=False)
    """The parts that the next credential is obtained with, for example a refresh token; None: there are none."""
    presented_fingerprint: bytes | None = field(default=None, repr=False)
    """16 bytes of a keyed hash of the access token; two tenants with the same token have the same fingerprint."""
    renewal_fingerprint: bytes | None = field(default=None, repr=False)
    """The fingerprint of the refresh token."""
    account_fingerprint: bytes | None = field(default=None, repr=False)
    """The fingerprint of the account at the OAuth application that has the grant; None: the account is not known."""

    def fits(self, rule: RenewalRule, /) -> bool:
        """Whether it has `renewal` exactly if *rule* needs it."""
        return (self.renewal is not None) is (rule in RENEWED)


@dataclass(frozen=True, slots=True, kw_only=True)
class RefreshMarks:
    """The columns of the refresh protocol (`docs/explanation/refresh.md`); times are in the database's clock."""

    lease_token: int = 0
    """The number of the last lease: a fencing token that only grows."""
    lease_until: datetime | None = None
    lease_owner: str | None = None
    phase: Phase = Phase.IDLE
    attempt_id: str | None = None
    sent_at: datetime | None = None
    """When the first request without a known outcome was sent; None: every outcome is known."""
    writer_lease: int = 0
    """The number of the lease that wrote the stored credential."""
    attempts: int = 0
    next_attempt_at: datetime | None = None
    last_error: str | None = None
    failed_at: datetime | None = None
    """When the last failed attempt ended; None: no attempt has failed since the last success."""
    refused_since: datetime | None = None
    """Since when the provider has answered with refusals only; time without answers does not count.  None: it has not."""
    refreshed_at: datetime | None = None
    replacement: Replacement | None = None
    """Set if the stored credential was made because the provider had refused the one before."""
    due_at: datetime | None = None
    """When the worker should renew it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredCredential:
    """The columns that are needed to hand out a credential; this is the most frequent read."""

    tenant_id: TenantId
    integration_id: IntegrationId
    provider_id: ProviderId
    auth_type: AuthType
    method_id: str
    context_id: ContextId | None
    state: State
    reason: str | None
    generation: int
    presented: bytes = field(repr=False)
    """The sealed parts that requests to the provider's API carry."""
    renewal_rule: RenewalRule
    in_doubt: bool
    """Whether a refresh request is under way, or the outcome of one is not known."""
    obtained_at: datetime
    """When the access token was obtained."""
    expires_at: datetime | None
    scopes: tuple[str, ...]
    missing_scopes: tuple[str, ...]
    variables: dict[str, str]
    last_used_at: datetime | None = None
    """When it was last used, to a day; None: never, or it is not known."""

    @property
    def renewable(self) -> bool:
        """Whether it is renewed without the tenant."""
        return self.renewal_rule in RENEWED


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredIntegration:
    """An integration with its sealed credential, as a store returns it."""

    facts: Integration
    credential: SealedCredential
    marks: RefreshMarks = RefreshMarks()
    read_at: datetime
    """The time of the store's clock when the row was read."""

    @property
    def to_use(self) -> StoredCredential:
        """The part that is needed to hand out the credential."""
        facts, credential = self.facts, self.credential
        return StoredCredential(
            tenant_id=facts.tenant_id,
            integration_id=facts.id,
            provider_id=facts.provider_id,
            auth_type=facts.auth_type,
            method_id=facts.method_id,
            context_id=facts.context_id,
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
            last_used_at=facts.last_used_at,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class DueIntegration:
    """An integration to renew or to check, because it is due or because an operator asks for it."""

    tenant_id: TenantId
    integration_id: IntegrationId
    provider_id: ProviderId
    generation: int
    renewable: bool = True
    """Whether it is renewed without the tenant; otherwise it is due to be checked, so that it does not end by disuse."""


def integration_name(text: str, /) -> str:
    """Return *text* if it is a name: 3 to 50 visible characters.  Raises `ValidationFailedError` for any other value."""
    if not isinstance(text, str) or not 3 <= len(text) <= 50 or not text.isprintable() or text != text.strip():
        raise ValidationFailedError(field="name", problem="must be 3 to 50 visible characters, without space at either end")
    return text


def reconnect_reason(reason: str | None, /) -> ReconnectReason:
    """Return *reason* of an integration that must reconnect; a row that says nothing, or another word, means `revoked`."""
    return _RECONNECT_REASONS.get(reason or "", "revoked")
