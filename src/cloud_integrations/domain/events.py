"""The closed list of events, and what the audit log and the observer get of each.

A flow names an event once; this list says what the audit log and the observer get of it.  So neither is forgotten, and both agree.

To add an event from outside the package, call `register` with an `EventKind`; then `manager.audit.record` records the event:

    register(EventKind(name="report.exported", action="report.exported", details=Keys.of("rows")))
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final, Literal, Protocol

from cloud_integrations.domain.audit import AuditEvent, Outcome
from cloud_integrations.domain.identifiers import IntegrationId, ProviderId, TenantId
from cloud_integrations.domain.integration import Integration

__all__ = ["DETAILS", "EVENTS", "FACT_KEYS", "EventKind", "Fact", "Keys", "register"]

RecordedName = Literal[
    "access.denied",
    "application.added",
    "application.changed",
    "application.removed",
    "audit.read",
    "authorization.begun",
    "authorization.denied",
    "authorization.not_completed",
    "authorization.reconnect_begun",
    "credential.not_refreshed",
    "credential.recovered",
    "credential.refresh_failed",
    "credential.refresh_started",
    "credential.refresh_unknown",
    "credential.refresh_unsettled",
    "credential.refreshed",
    "credential.refused",
    "credential.used",
    "integration.connected",
    "integration.disabled",
    "integration.enabled",
    "integration.imported",
    "integration.not_connected",
    "integration.not_reconnected",
    "integration.not_verified",
    "integration.reconnected",
    "integration.refused",
    "integration.removed",
    "integration.renamed",
    "integration.trust_loosened",
    "integration.verified",
    "key.destroyed",
    "key.refused",
    "key.rewrapped",
    "key.rotated",
    "tenant.erased",
    "token.abandoned",
    "token.kept",
    "token.not_revoked",
    "token.revoked",
]
"""The names of events that are written to the audit log."""
UnrecordedName = Literal[
    "application.secret_outdated",
    "authorization.failed",
    "credential.answer_unread",
    "credential.ended",
    "credential.reconnect_soon",
    "credential.refresh_broken_off",
    "credential.shared",
    "credential.unpersisted",
    "integration.account_changed",
    "key_format.unusual",
    "revocation.unrecorded",
    "storage.damaged_row",
    "token.left_behind",
    "worker.round_failed",
]
"""The names of events that only the observer gets."""
EventName = Literal[RecordedName, UnrecordedName]

Action = Literal[
    "application.added",
    "application.changed",
    "application.removed",
    "audit.read",
    "authorization.begun",
    "authorization.completed",
    "authorization.reconnect_begun",
    "credential.recovered",
    "credential.refresh",
    "credential.used",
    "integration.connected",
    "integration.disabled",
    "integration.enabled",
    "integration.imported",
    "integration.reconnected",
    "integration.removed",
    "integration.renamed",
    "integration.trust_loosened",
    "integration.verified",
    "key.destroyed",
    "key.refused",
    "key.rewrapped",
    "key.rotated",
    "tenant.erased",
    "token.abandoned",
    "token.kept",
    "token.revoked",
]
FactName = Literal[
    "application.secret_outdated",
    "authorization.failed",
    "credential.answer_unread",
    "credential.reconnect_required",
    "credential.reconnect_soon",
    "credential.recovered",
    "credential.refresh_failed",
    "credential.refreshed",
    "credential.shared",
    "credential.unpersisted",
    "integration.account_changed",
    "integration.connected",
    "integration.reconnected",
    "integration.removed",
    "integration.trust_loosened",
    "key_format.unusual",
    "revocation.delayed",
    "storage.damaged_row",
    "tenant.erased",
    "token.left_behind",
    "worker.round_failed",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Keys:
    """The keys of the details of one event: those that it always has, and those that it sometimes has."""

    always: frozenset[str] = frozenset()
    sometimes: frozenset[str] = frozenset()

    @classmethod
    def of(cls, *always: str, sometimes: tuple[str, ...] = ()) -> Keys:
        """Return a value with these keys."""
        return cls(always=frozenset(always), sometimes=frozenset(sometimes))

    def pick(self, facts: Mapping[str, str], /) -> dict[str, str]:
        """Return those of *facts* whose keys are listed here, in the order of *facts*."""
        return {name: value for name, value in facts.items() if name in self.always or name in self.sometimes}


DETAILS: Final[Mapping[Action, Keys]] = MappingProxyType({
    "application.added": Keys.of("provider"),
    "application.changed": Keys.of("provider"),
    "application.removed": Keys.of("provider"),
    "audit.read": Keys(),
    "authorization.begun": Keys.of("provider", sometimes=("slot",)),
    "authorization.completed": Keys.of(sometimes=("covers",)),
    "authorization.reconnect_begun": Keys.of("provider", sometimes=("slot",)),
    "credential.recovered": Keys.of("since", "was"),
    "credential.refresh": Keys.of(sometimes=("attempt", "rotated")),
    "credential.used": Keys(),
    "integration.connected": Keys.of(sometimes=("account_changed", "bound", "provider", "replaced", "shared", "slot", "verified")),
    "integration.disabled": Keys.of("fields"),
    "integration.enabled": Keys.of("fields"),
    "integration.imported": Keys.of("provider", "shared", "verified", sometimes=("slot",)),
    "integration.reconnected": Keys.of(sometimes=("account_changed", "bound", "provider", "replaced", "shared", "slot", "verified")),
    "integration.removed": Keys.of("earlier", sometimes=("api_key", "installation", "manual_url", "slot")),
    "integration.renamed": Keys.of("fields"),
    "integration.trust_loosened": Keys(),
    "integration.verified": Keys.of("account_changed"),
    "key.destroyed": Keys.of("version"),
    "key.refused": Keys.of("below"),
    "key.rewrapped": Keys.of("kek", "old_kek", "version"),
    "key.rotated": Keys.of("kek", "version"),
    "tenant.erased": Keys.of("keys"),
    "token.abandoned": Keys.of("token"),
    "token.kept": Keys.of("token"),
    "token.revoked": Keys.of("token"),
})  # fmt: skip
"""Every action of the audit log with the keys of its details; `docs/reference/audit.md` explains them."""

_PROVIDER = ("tenant", "provider", "provider_id")
_INTEGRATION = (*_PROVIDER, "integration")

FACT_KEYS: Final[Mapping[FactName, Keys]] = MappingProxyType({
    "application.secret_outdated": Keys.of(*_PROVIDER, "place"),
    "authorization.failed": Keys.of(*_PROVIDER, "reason", sometimes=("integration", "error_description")),
    "credential.answer_unread": Keys.of(*_INTEGRATION, "members"),
    "credential.reconnect_required": Keys.of(*_INTEGRATION, "reason", sometimes=("error_description",)),
    "credential.reconnect_soon": Keys.of(*_INTEGRATION, "before"),
    "credential.recovered": Keys.of(*_INTEGRATION, "since", "was"),
    "credential.refresh_failed": Keys.of(*_INTEGRATION, "reason", sometimes=("error_description",)),
    "credential.refreshed": Keys.of(*_INTEGRATION),
    "credential.shared": Keys.of(*_INTEGRATION),
    "credential.unpersisted": Keys.of(*_INTEGRATION),
    "integration.account_changed": Keys.of(*_INTEGRATION),
    "integration.connected": Keys.of(*_INTEGRATION, sometimes=("slot",)),
    "integration.reconnected": Keys.of(*_INTEGRATION, sometimes=("slot",)),
    "integration.removed": Keys.of(*_INTEGRATION, sometimes=("slot",)),
    "integration.trust_loosened": Keys.of(*_INTEGRATION),
    "key_format.unusual": Keys.of(*_PROVIDER, "hint", sometimes=("integration",)),
    "revocation.delayed": Keys.of(*_INTEGRATION, "token", sometimes=("error_description",)),
    "storage.damaged_row": Keys.of("table", "row", sometimes=("tenant",)),
    "tenant.erased": Keys.of("tenant"),
    "token.left_behind": Keys.of(*_INTEGRATION, "token", "reason"),
    "worker.round_failed": Keys.of("code"),
})  # fmt: skip
"""Every fact that the observer gets, with its keys; `docs/reference/facts.md` explains them."""

ITS_OWN: Final = "*"
"""Stands for the action of `access.denied`, which is the denied action as the host names it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EventKind:
    """One kind of event: what the audit log and the observer get of it.

    In the audit log it has the action `action` (None: it is not recorded), the outcome `outcome` and the keys `details`.
    The observer gets it as the fact `fact` (None: it does not) with the keys `keys`.
    """

    name: str
    action: str | None = None
    outcome: Outcome = Outcome.SUCCESS
    details: Keys = Keys()
    fact: str | None = None
    keys: Keys = Keys()

    @property
    def needed(self) -> frozenset[str]:
        """The keys that such an event always has."""
        return self.details.always | self.keys.always

    @property
    def names(self) -> frozenset[str]:
        """All keys that such an event can have."""
        return self.needed | self.details.sometimes | self.keys.sometimes


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """An event as the observer gets it, without secrets: a name from a closed list, and text by the keys that `FACT_KEYS` lists.

    A fact about an integration has `tenant`, `integration` (its id), `provider` (the slug, or the id if the catalogue does not have
    the provider) and `provider_id`; where it is connected or removed also `slot`, if that is not the default one.
    `error_description` is the provider's own error text: at most 512 printable characters, without the secrets that were sent.  It is
    for the operator only.
    """

    name: str
    """A `FactName`, or the fact of an event that was registered."""
    facts: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """An event as the audit log and the observer get it."""

    audit: AuditEvent | None = None
    fact: Fact | None = None


class _Row(Protocol):
    """A row that names its integration: a pending authorization, an entry of the outbox, a due integration."""

    @property
    def tenant_id(self) -> TenantId: ...
    @property
    def provider_id(self) -> ProviderId: ...
    @property
    def integration_id(self) -> IntegrationId: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """The integration, or else the tenant or other thing, that an event is about."""

    tenant_id: TenantId
    provider_id: ProviderId | None = None
    integration_id: IntegrationId | None = None
    slot: str = ""
    """The slot of the integration, as far as the event names it; empty: the default slot."""
    other: str | None = None
    """The `resource` of the audit log, for anything but an integration or a tenant."""

    @classmethod
    def of(cls, facts: Integration, /) -> Subject:
        """Return an integration as the subject."""
        return cls(tenant_id=facts.tenant_id, provider_id=facts.provider_id, integration_id=facts.id, slot=facts.slot)

    @classmethod
    def named_by(cls, row: _Row, /) -> Subject:
        """Return the integration that *row* names as the subject."""
        return cls(tenant_id=row.tenant_id, provider_id=row.provider_id, integration_id=row.integration_id)

    @property
    def resource(self) -> str:
        """The `resource` of the audit log: `integration:<id>`, `tenant:<id>`, or `other`."""
        if self.other is not None:
            return self.other
        return f"tenant:{self.tenant_id}" if self.integration_id is None else f"integration:{self.integration_id}"


def _event(
    name: EventName, *, action: Action | None = None, outcome: Outcome = Outcome.SUCCESS, fact: FactName | None = None
) -> tuple[EventName, EventKind]:
    details = Keys() if action is None else DETAILS[action]
    keys = Keys() if fact is None else FACT_KEYS[fact]
    return name, EventKind(name=name, action=action, outcome=outcome, details=details, fact=fact, keys=keys)


EVENTS: Final[Mapping[EventName, EventKind]] = MappingProxyType(dict((
    # Its action is the host's word.
    ("access.denied", EventKind(name="access.denied", action=ITS_OWN, outcome=Outcome.DENIED, details=Keys.of("covers"))),
    _event("application.added", action="application.added"),
    _event("application.changed", action="application.changed"),
    _event("application.removed", action="application.removed"),
    _event("audit.read", action="audit.read"),
    _event("authorization.begun", action="authorization.begun"),
    _event("authorization.denied", action="authorization.completed", outcome=Outcome.DENIED),
    _event("authorization.not_completed", action="authorization.completed", outcome=Outcome.FAILURE),
    _event("authorization.reconnect_begun", action="authorization.reconnect_begun"),
    _event("credential.not_refreshed", action="credential.refresh", outcome=Outcome.FAILURE),
    _event("credential.recovered", action="credential.recovered", fact="credential.recovered"),
    _event("credential.refresh_failed", action="credential.refresh", outcome=Outcome.FAILURE, fact="credential.refresh_failed"),
    _event("credential.refresh_started", action="credential.refresh", outcome=Outcome.STARTED),
    _event("credential.refresh_unknown", action="credential.refresh", outcome=Outcome.UNKNOWN, fact="credential.refresh_failed"),
    _event("credential.refresh_unsettled", action="credential.refresh", outcome=Outcome.UNKNOWN),
    _event("credential.refreshed", action="credential.refresh", fact="credential.refreshed"),
    _event("credential.refused", action="credential.refresh", outcome=Outcome.FAILURE, fact="credential.reconnect_required"),
    _event("credential.used", action="credential.used"),
    _event("integration.connected", action="integration.connected", fact="integration.connected"),
    _event("integration.disabled", action="integration.disabled"),
    _event("integration.enabled", action="integration.enabled"),
    _event("integration.imported", action="integration.imported", fact="integration.connected"),
    _event("integration.not_connected", action="integration.connected", outcome=Outcome.FAILURE),
    _event("integration.not_reconnected", action="integration.reconnected", outcome=Outcome.FAILURE),
    _event("integration.not_verified", action="integration.verified", outcome=Outcome.FAILURE),
    _event("integration.reconnected", action="integration.reconnected", fact="integration.reconnected"),
    _event("integration.refused", action="integration.verified", outcome=Outcome.FAILURE, fact="credential.reconnect_required"),
    _event("integration.removed", action="integration.removed", fact="integration.removed"),
    _event("integration.renamed", action="integration.renamed"),
    _event("integration.trust_loosened", action="integration.trust_loosened", outcome=Outcome.FAILURE, fact="integration.trust_loosened"),
    _event("integration.verified", action="integration.verified"),
    _event("key.destroyed", action="key.destroyed"),
    _event("key.refused", action="key.refused"),
    _event("key.rewrapped", action="key.rewrapped"),
    _event("key.rotated", action="key.rotated"),
    _event("tenant.erased", action="tenant.erased", fact="tenant.erased"),
    _event("token.abandoned", action="token.abandoned", outcome=Outcome.FAILURE),
    _event("token.kept", action="token.kept"),
    _event("token.not_revoked", action="token.revoked", outcome=Outcome.FAILURE, fact="revocation.delayed"),
    _event("token.revoked", action="token.revoked"),
    _event("application.secret_outdated", fact="application.secret_outdated"),
    _event("authorization.failed", fact="authorization.failed"),
    _event("credential.answer_unread", fact="credential.answer_unread"),
    _event("credential.ended", fact="credential.reconnect_required"),
    _event("credential.reconnect_soon", fact="credential.reconnect_soon"),
    _event("credential.refresh_broken_off", fact="credential.refresh_failed"),
    _event("credential.shared", fact="credential.shared"),
    _event("credential.unpersisted", fact="credential.unpersisted"),
    _event("integration.account_changed", fact="integration.account_changed"),
    _event("key_format.unusual", fact="key_format.unusual"),
    _event("revocation.unrecorded", fact="revocation.delayed"),
    _event("storage.damaged_row", fact="storage.damaged_row"),
    _event("token.left_behind", fact="token.left_behind"),
    _event("worker.round_failed", fact="worker.round_failed"),
)))  # fmt: skip
"""Every event of the library."""

_REGISTERED: dict[str, EventKind] = {}


def register(kind: EventKind, /) -> None:
    """Add a kind of event, for the whole process.  Call it before the first such event.

    Raises `ValueError` if the kind has neither an action nor a fact, or if its name, its action or its fact exists already.
    """
    if kind.action is None and kind.fact is None:
        raise ValueError(f"the event {kind.name} is neither recorded nor told")
    for what, name, taken in (
        ("an event", kind.name, {*EVENTS, *_REGISTERED}),
        ("an action", kind.action, {ITS_OWN, *DETAILS, *(other.action for other in _REGISTERED.values())}),
        ("a fact", kind.fact, {*FACT_KEYS, *(other.fact for other in _REGISTERED.values())}),
    ):
        if name is not None and name in taken:
            raise ValueError(f"there is {what} {name} already")
    _REGISTERED[kind.name] = kind


def find_registered(name: str, /) -> EventKind | None:
    """Return the kind of event that was registered under *name*; None: there is none."""
    return _REGISTERED.get(name)
