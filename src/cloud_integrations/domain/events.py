"""The closed list of events, and what the audit log, the observer and receivers outside get of each.

A flow names an event once; this list says what each of them gets of it.  So none is forgotten, and all agree.

To add an event from outside the package, call `register` with an `EventKind`; then `manager.audit.record` records the event:

    register(EventKind(name="report.exported", action="report.exported", details=Keys.of("rows")))
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final, Protocol
from uuid import UUID

from cloud_integrations.domain.announcements import APPLICATION, END, TROUBLE, TRUST, Announced
from cloud_integrations.domain.audit import AuditEvent, Outcome
from cloud_integrations.domain.event_keys import DETAILS, FACT_KEYS, MESSAGE_KEYS, NO_KEYS, Keys
from cloud_integrations.domain.event_message import EventMessage
from cloud_integrations.domain.event_names import Action, EventName, FactName, MessageName
from cloud_integrations.domain.identifiers import ContextId, IntegrationId, ProviderId, TenantId
from cloud_integrations.domain.integration import Integration

__all__ = ["DETAILS", "EVENTS", "FACT_KEYS", "MESSAGE_KEYS", "EventKind", "Fact", "Keys", "Once", "register"]


_INTEGRATION_PREFIX: Final = "integration:"
ITS_OWN: Final = "*"
"""Stands for the action of `access.denied`, which is the denied action as the host names it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Once:
    """A message that is delivered once, until what it says has ended or is another.

    *announcement* is what it is remembered by, beside its integration or application.  *by* is the fact that tells one from another;
    None: its name does.
    *lasting* says that it is delivered only when it has lasted for the setting `trouble_after`.
    """

    announcement: str
    by: str | None = None
    lasting: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class EventKind:
    """One kind of event: what the audit log, the observer and receivers outside get of it.

    In the audit log it has the action `action` (None: it is not recorded), the outcome `outcome` and the keys `details`.
    The observer gets it as the fact `fact` (None: it does not) with the keys `keys`.
    Webhooks and handlers get it as the message `message` (None: they do not) with the keys `data`: it is written in the transaction of
    its change and delivered at least once.  `once` says that it is not repeated, and `ends` names the announcement that it ends: then it
    is delivered only if that was made.
    """

    name: str
    action: str | None = None
    outcome: Outcome = Outcome.SUCCESS
    details: Keys = NO_KEYS
    fact: str | None = None
    keys: Keys = NO_KEYS
    message: str | None = None
    data: Keys = NO_KEYS
    once: Once | None = None
    ends: str | None = None

    @property
    def needed(self) -> frozenset[str]:
        """The keys that such an event always has."""
        return self.details.always | self.keys.always | self.data.always

    @property
    def names(self) -> frozenset[str]:
        """All keys that such an event can have."""
        return self.needed | self.details.sometimes | self.keys.sometimes | self.data.sometimes


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
    """An event as the audit log, the observer and receivers outside get it."""

    audit: AuditEvent | None = None
    fact: Fact | None = None
    message: EventMessage | None = None
    announced: Announced | None = None
    """Set for a message that is delivered once, or that ends one."""


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
    context_id: ContextId | None = None
    """The OAuth application that obtained the integration's access, as far as the event names it."""
    application_id: ContextId | None = None
    """The application, where it is about one."""
    other: str | None = None
    """The `resource` of the audit log, for anything but an integration, an application or a tenant."""

    @classmethod
    def of(cls, facts: Integration, /) -> Subject:
        """Return an integration as the subject."""
        return cls(
            tenant_id=facts.tenant_id,
            provider_id=facts.provider_id,
            integration_id=facts.id,
            slot=facts.slot,
            context_id=facts.context_id,
        )

    @classmethod
    def named_by(cls, row: _Row, /) -> Subject:
        """Return the integration that *row* names as the subject."""
        return cls(tenant_id=row.tenant_id, provider_id=row.provider_id, integration_id=row.integration_id)

    @property
    def resource(self) -> str:
        """The `resource` of the audit log: `integration:<id>`, `application:<id>`, `tenant:<id>`, or `other`."""
        if self.other is not None:
            return self.other
        if self.application_id is not None:
            return f"application:{self.application_id}"
        return f"tenant:{self.tenant_id}" if self.integration_id is None else f"{_INTEGRATION_PREFIX}{self.integration_id}"


def integration_of(resource: str, /) -> IntegrationId:
    """Return the id of the integration that a `resource` of the audit log names.  Raises `ValueError` if it names none."""
    return IntegrationId(UUID(resource.removeprefix(_INTEGRATION_PREFIX)))


_REPORTED: Final = Once(announcement=TROUBLE)
_END: Final = Once(announcement=END, by="until")


def _event(
    name: EventName,
    *,
    action: Action | None = None,
    outcome: Outcome = Outcome.SUCCESS,
    fact: FactName | None = None,
    message: MessageName | None = None,
    once: Once | None = None,
    ends: str | None = None,
) -> tuple[EventName, EventKind]:
    kind = EventKind(
        name=name,
        action=action,
        outcome=outcome,
        details=NO_KEYS if action is None else DETAILS[action],
        fact=fact,
        keys=NO_KEYS if fact is None else FACT_KEYS[fact],
        message=message,
        data=NO_KEYS if message is None else MESSAGE_KEYS[message],
        once=once,
        ends=ends,
    )
    return name, kind


EVENTS: Final[Mapping[EventName, EventKind]] = MappingProxyType(dict((
    # Its action is the host's word.
    ("access.denied", EventKind(name="access.denied", action=ITS_OWN, outcome=Outcome.DENIED, details=Keys.of("covers"))),
    _event("actor.erased", action="actor.erased"),
    _event("application.added", action="application.added"),
    _event("application.changed", action="application.changed"),
    _event("application.removed", action="application.removed"),
    _event("audit.pruned", action="audit.pruned"),
    _event("audit.read", action="audit.read"),
    _event("authorization.begun", action="authorization.begun"),
    _event("authorization.denied", action="authorization.completed", outcome=Outcome.DENIED),
    _event("authorization.not_completed", action="authorization.completed", outcome=Outcome.FAILURE),
    _event("authorization.reconnect_begun", action="authorization.reconnect_begun"),
    _event("connect_session.created", action="connect_session.created"),
    _event("connect_session.opened", action="connect_session.opened"),
    _event("connect_session.revoked", action="connect_session.revoked"),
    _event("credential.frozen", action="credential.frozen", outcome=Outcome.DENIED),
    _event("credential.not_refreshed", action="credential.refresh", outcome=Outcome.FAILURE),
    _event(
        "credential.recovered", action="credential.recovered", fact="credential.recovered",
        message="credential.recovered", ends=TROUBLE,
    ),
    _event("credential.refresh_failed", action="credential.refresh", outcome=Outcome.FAILURE, fact="credential.refresh_failed"),
    _event("credential.refresh_started", action="credential.refresh", outcome=Outcome.STARTED),
    _event("credential.refresh_unknown", action="credential.refresh", outcome=Outcome.UNKNOWN, fact="credential.refresh_failed"),
    _event("credential.refresh_unsettled", action="credential.refresh", outcome=Outcome.UNKNOWN),
    _event("credential.refreshed", action="credential.refresh", fact="credential.refreshed"),
    _event(
        "credential.refused", action="credential.refresh", outcome=Outcome.FAILURE, fact="credential.reconnect_required",
        message="credential.reconnect_required", once=_REPORTED,
    ),
    _event("credential.used", action="credential.used"),
    _event("event.retried", action="event.retried"),
    _event("freeze.begun", action="freeze.begun", fact="freeze.begun"),
    _event("freeze.lifted", action="freeze.lifted", fact="freeze.lifted"),
    _event("incident.approved", action="incident.approved"),
    _event("incident.not_approved", action="incident.approved", outcome=Outcome.DENIED),
    _event("incident.opened", action="incident.opened", fact="incident.opened"),
    _event("incident.revocation", action="incident.revocation", outcome=Outcome.STARTED),
    _event("incident.rotation", action="incident.rotation", outcome=Outcome.STARTED),
    _event(
        "integration.connected", action="integration.connected", fact="integration.connected",
        message="integration.connected",
    ),
    _event("integration.disabled", action="integration.disabled", message="integration.disabled"),
    _event("integration.enabled", action="integration.enabled", message="integration.enabled"),
    _event("integration.imported", action="integration.imported", fact="integration.connected", message="integration.connected"),
    _event("integration.not_connected", action="integration.connected", outcome=Outcome.FAILURE),
    _event("integration.not_reconnected", action="integration.reconnected", outcome=Outcome.FAILURE),
    _event("integration.not_verified", action="integration.verified", outcome=Outcome.FAILURE),
    _event(
        "integration.reconnected", action="integration.reconnected", fact="integration.reconnected",
        message="integration.reconnected",
    ),
    _event(
        "integration.refused", action="integration.verified", outcome=Outcome.FAILURE, fact="credential.reconnect_required",
        message="credential.reconnect_required", once=_REPORTED,
    ),
    _event("integration.removed", action="integration.removed", fact="integration.removed", message="integration.removed"),
    _event("integration.renamed", action="integration.renamed"),
    _event("integration.resource_chosen", action="integration.resource_chosen"),
    _event(
        "integration.revoked", action="integration.revoked", fact="credential.reconnect_required",
        message="credential.reconnect_required", once=_REPORTED,
    ),
    _event(
        "integration.trust_loosened", action="integration.trust_loosened", outcome=Outcome.FAILURE, fact="integration.trust_loosened",
        message="integration.trust_loosened", once=Once(announcement=TRUST),
    ),
    _event("integration.verified", action="integration.verified"),
    _event("key.destroyed", action="key.destroyed"),
    _event("key.refused", action="key.refused"),
    _event("key.rewrapped", action="key.rewrapped"),
    _event("key.rotated", action="key.rotated"),
    _event("key_rotation.begun", action="key_rotation.begun"),
    _event(
        "key_rotation.cancelled", action="key_rotation.cancelled", fact="key_rotation.cancelled",
        message="key_rotation.cancelled",
    ),
    _event("key_rotation.ended", action="key_rotation.ended", fact="key_rotation.ended", message="key_rotation.ended"),
    _event(
        "key_rotation.finished", action="key_rotation.finished", fact="key_rotation.finished",
        message="key_rotation.finished",
    ),
    _event("key_rotation.not_begun", action="key_rotation.begun", outcome=Outcome.FAILURE),
    _event("key_rotation.not_cancelled", action="key_rotation.cancelled", outcome=Outcome.FAILURE),
    _event("key_rotation.not_finished", action="key_rotation.finished", outcome=Outcome.FAILURE),
    _event("key_rotation.requested", action="key_rotation.requested", outcome=Outcome.STARTED),
    _event(
        "key_rotation.unsettled", action="key_rotation.requested", outcome=Outcome.UNKNOWN, fact="key_rotation.unsettled",
        message="key_rotation.unsettled",
    ),
    _event("session.approved", action="session.approved"),
    _event("session.opened", action="session.opened"),
    _event("session.refused", action="session.refused", outcome=Outcome.DENIED),
    _event("session.revoked", action="session.revoked"),
    _event("tenant.erased", action="tenant.erased", fact="tenant.erased", message="tenant.erased"),
    _event("token.abandoned", action="token.abandoned", outcome=Outcome.FAILURE, message="revocation.given_up"),
    _event("token.kept", action="token.kept"),
    _event("token.not_revoked", action="token.revoked", outcome=Outcome.FAILURE, fact="revocation.delayed"),
    _event("token.revoked", action="token.revoked"),
    _event("webhook.added", action="webhook.added"),
    _event("webhook.changed", action="webhook.changed"),
    _event("webhook.removed", action="webhook.removed"),
    _event("webhook.secret_rotated", action="webhook.secret_rotated"),
    _event("webhook.switched_off", action="webhook.switched_off", outcome=Outcome.FAILURE, fact="webhook.switched_off"),
    _event("application.recovered", message="application.recovered", ends=APPLICATION),
    _event("application.refused", message="application.refused", once=Once(announcement=APPLICATION, by="reason", lasting=True)),
    _event("application.secret_outdated", fact="application.secret_outdated"),
    _event("authorization.failed", fact="authorization.failed"),
    _event("credential.answer_unread", fact="credential.answer_unread"),
    _event("credential.ended", fact="credential.reconnect_required", message="credential.reconnect_required", once=_REPORTED),
    _event("credential.key_ends_soon", fact="credential.key_ends_soon", message="credential.key_ends_soon", once=_END),
    _event("credential.reconnect_soon", fact="credential.reconnect_soon", message="credential.reconnect_soon", once=_END),
    _event("credential.refresh_broken_off", fact="credential.refresh_failed"),
    _event("credential.retrying", message="credential.retrying", once=Once(announcement=TROUBLE, lasting=True)),
    _event("credential.shared", fact="credential.shared"),
    _event("credential.unpersisted", fact="credential.unpersisted"),
    _event("incident.item_failed", fact="incident.item_failed"),
    _event("integration.account_changed", fact="integration.account_changed", message="integration.account_changed"),
    _event("integration.resources_unread", fact="integration.resources_unread"),
    _event("key_format.unusual", fact="key_format.unusual"),
    _event("method.ends", fact="method.ends"),
    _event("rate_limit.reached", fact="rate_limit.reached"),
    _event("rate_limit.unshared", fact="rate_limit.unshared"),
    _event("revocation.unrecorded", fact="revocation.delayed"),
    _event("storage.damaged_row", fact="storage.damaged_row"),
    _event("token.left_behind", fact="token.left_behind"),
    _event("worker.round_failed", fact="worker.round_failed"),
)))  # fmt: skip
"""Every event of the library."""

_REGISTERED: dict[str, EventKind] = {}


def register(kind: EventKind, /) -> None:
    """Add a kind of event, for the whole process.  Call it before the first such event.

    Raises `ValueError` if the kind has neither an action nor a fact nor a message, or if its name, action, fact or message exists already.
    """
    if kind.action is None and kind.fact is None and kind.message is None:
        raise ValueError(f"the event {kind.name} is neither recorded nor told nor delivered")
    for what, name, taken in (
        ("an event", kind.name, {*EVENTS, *_REGISTERED}),
        ("an action", kind.action, {ITS_OWN, *DETAILS, *(other.action for other in _REGISTERED.values())}),
        ("a fact", kind.fact, {*FACT_KEYS, *(other.fact for other in _REGISTERED.values())}),
        ("a message", kind.message, {*MESSAGE_KEYS, *(other.message for other in _REGISTERED.values())}),
    ):
        if name is not None and name in taken:
            raise ValueError(f"there is {what} {name} already")
    _REGISTERED[kind.name] = kind


def find_message(name: str, /) -> EventKind | None:
    """Return the kind of event that was registered with the message *name*; None: there is none."""
    return next((kind for kind in _REGISTERED.values() if kind.message == name), None)


def find_registered(name: str, /) -> EventKind | None:
    """Return the kind of event that was registered under *name*; None: there is none."""
    return _REGISTERED.get(name)
