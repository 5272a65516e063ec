"""The keys of actions, facts and messages, in closed lists."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from cloud_integrations.domain.event_names import Action, FactName, MessageName


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


NO_KEYS: Final = Keys()

_SELECTION = ("actor", "application", "integration", "provider", "tenant")
"""What a freeze may name."""
_OF_A_CONNECTION = ("account_changed", "bound", "held", "most", "provider", "replaced", "shared", "slot", "verified")

DETAILS: Final[Mapping[Action, Keys]] = MappingProxyType({
    "actor.erased": Keys.of("events", "proof", "pseudonym", "statement"),
    "application.added": Keys.of("provider"),
    "application.changed": Keys.of("provider"),
    "application.removed": Keys.of("provider"),
    "audit.pruned": Keys.of("events", "through"),
    "audit.read": Keys(),
    "authorization.begun": Keys.of("provider", sometimes=("slot",)),
    "authorization.completed": Keys.of(sometimes=("covers",)),
    "authorization.reconnect_begun": Keys.of("provider", sometimes=("slot",)),
    "connect_session.created": Keys.of("connects_as", "expires_at", sometimes=("providers", "slot")),
    "connect_session.opened": Keys(),
    "connect_session.revoked": Keys(),
    "credential.frozen": Keys.of("covers", "freeze", sometimes=("on_behalf_of", "session")),
    "credential.recovered": Keys.of("since", "was"),
    "credential.refresh": Keys.of(sometimes=("attempt", "rotated")),
    "credential.used": Keys.of(sometimes=("narrowed", "on_behalf_of", "session")),
    "event.retried": Keys.of("count"),
    "freeze.begun": Keys.of("freeze", "renewals", sometimes=_SELECTION),
    "freeze.lifted": Keys.of("freeze"),
    "incident.approved": Keys.of("incident", sometimes=("covers",)),
    "incident.opened": Keys.of("incident", "integrations", sometimes=_SELECTION),
    "incident.revocation": Keys.of("incident", sometimes=("approved_by",)),
    "incident.rotation": Keys.of("incident", "tenants"),
    "integration.connected": Keys.of(sometimes=_OF_A_CONNECTION),
    "integration.disabled": Keys.of("fields"),
    "integration.enabled": Keys.of("fields"),
    "integration.imported": Keys.of("provider", "shared", "verified", sometimes=("slot",)),
    "integration.reconnected": Keys.of(sometimes=_OF_A_CONNECTION),
    "integration.removed": Keys.of("earlier", sometimes=("api_key", "installation", "manual_url", "slot")),
    "integration.renamed": Keys.of("fields"),
    "integration.resource_chosen": Keys.of("fields"),
    "integration.revoked": Keys.of("earlier", "incident", sometimes=("api_key", "installation", "manual_url", "slot")),
    "integration.trust_loosened": Keys(),
    "integration.verified": Keys.of("account_changed"),
    "key.destroyed": Keys.of("version"),
    "key.refused": Keys.of("below"),
    "key.rewrapped": Keys.of("kek", "old_kek", "version"),
    "key.rotated": Keys.of("kek", "version"),
    "key_rotation.begun": Keys.of(sometimes=("made_by", "provider", "slot", "until", "verified")),
    "key_rotation.cancelled": Keys.of(sometimes=("provider", "slot")),
    "key_rotation.ended": Keys.of("key", "then", sometimes=("manual_url", "slot")),
    "key_rotation.finished": Keys.of(sometimes=("made_by", "provider", "slot", "until", "verified")),
    "key_rotation.requested": Keys.of("made_by", sometimes=("manual_url", "provider", "slot")),
    "session.approved": Keys.of("host", "method", "on_behalf_of", "provider", sometimes=("until",)),
    "session.opened": Keys.of("expires_at", "hosts", "methods", "on_behalf_of", "providers", sometimes=("opened_by",)),
    "session.refused": Keys.of("covers", "on_behalf_of", sometimes=("host", "method", "provider")),
    "session.revoked": Keys(),
    "tenant.erased": Keys.of("keys"),
    "token.abandoned": Keys.of("token"),
    "token.kept": Keys.of("token"),
    "token.revoked": Keys.of("token"),
    "webhook.added": Keys.of("format"),
    "webhook.changed": Keys.of("fields"),
    "webhook.removed": Keys(),
    "webhook.secret_rotated": Keys.of("until"),
    "webhook.switched_off": Keys(),
})  # fmt: skip
"""Every action of the audit log with the keys of its details; `docs/reference/audit.md` explains them."""

_PROVIDER = ("tenant", "provider", "provider_id")
_INTEGRATION = (*_PROVIDER, "integration")

FACT_KEYS: Final[Mapping[FactName, Keys]] = MappingProxyType({
    "application.secret_outdated": Keys.of(*_PROVIDER, "place"),
    "authorization.failed": Keys.of(*_PROVIDER, "reason", sometimes=("integration", "error_description")),
    "credential.answer_unread": Keys.of(*_INTEGRATION, "members"),
    "credential.key_ends_soon": Keys.of(*_INTEGRATION, "before"),
    "credential.reconnect_required": Keys.of(*_INTEGRATION, "reason", sometimes=("error_description",)),
    "credential.reconnect_soon": Keys.of(*_INTEGRATION, "before"),
    "credential.recovered": Keys.of(*_INTEGRATION, "since", "was"),
    "credential.refresh_failed": Keys.of(*_INTEGRATION, "reason", sometimes=("error_description",)),
    "credential.refreshed": Keys.of(*_INTEGRATION),
    "credential.shared": Keys.of(*_INTEGRATION),
    "credential.unpersisted": Keys.of(*_INTEGRATION),
    "freeze.begun": Keys.of("freeze", "reason", "renewals", sometimes=_SELECTION),
    "freeze.lifted": Keys.of("freeze", "reason"),
    "incident.item_failed": Keys.of("tenant", "incident", "reason"),
    "incident.opened": Keys.of("incident", "integrations", "reason", sometimes=_SELECTION),
    "integration.account_changed": Keys.of(*_INTEGRATION),
    "integration.connected": Keys.of(*_INTEGRATION, sometimes=("ends", "held", "most", "slot")),
    "integration.reconnected": Keys.of(*_INTEGRATION, sometimes=("ends", "held", "most", "slot")),
    "integration.removed": Keys.of(*_INTEGRATION, sometimes=("slot",)),
    "integration.resources_unread": Keys.of(*_INTEGRATION, "reason"),
    "integration.trust_loosened": Keys.of(*_INTEGRATION),
    "key_format.unusual": Keys.of(*_PROVIDER, "hint", sometimes=("integration",)),
    "key_rotation.cancelled": Keys.of(*_INTEGRATION),
    "key_rotation.ended": Keys.of(*_INTEGRATION, "key", "then", sometimes=("manual_url",)),
    "key_rotation.finished": Keys.of(*_INTEGRATION, sometimes=("until",)),
    "key_rotation.unsettled": Keys.of(*_INTEGRATION, "made_by", sometimes=("manual_url",)),
    "method.ends": Keys.of("provider", "provider_id", "method", "ends", "instead", "source", "integrations"),
    "rate_limit.reached": Keys.of("use", sometimes=("tenant",)),
    "rate_limit.unshared": Keys.of("error"),
    "revocation.delayed": Keys.of(*_INTEGRATION, "token", sometimes=("error_description",)),
    "storage.damaged_row": Keys.of("table", "row", sometimes=("tenant",)),
    "tenant.erased": Keys.of("tenant"),
    "token.left_behind": Keys.of(*_INTEGRATION, "token", "reason"),
    "webhook.switched_off": Keys.of("webhook", "reason", sometimes=("tenant",)),
    "worker.round_failed": Keys.of("code"),
})  # fmt: skip
"""Every fact that the observer gets, with its keys; `docs/reference/facts.md` explains them."""


def _about_integration(*always: str, sometimes: tuple[str, ...] = ()) -> Keys:
    return Keys.of(*_INTEGRATION, *always, sometimes=("slot", *sometimes))


MESSAGE_KEYS: Final[Mapping[MessageName, Keys]] = MappingProxyType({
    "application.recovered": Keys.of("provider", "provider_id", sometimes=("tenant",)),
    "application.refused": Keys.of("provider", "provider_id", "reason", sometimes=("tenant",)),
    "credential.key_ends_soon": _about_integration("before"),
    "credential.reconnect_required": _about_integration("reason"),
    "credential.reconnect_soon": _about_integration("before"),
    "credential.recovered": _about_integration(),
    "credential.retrying": _about_integration("reason"),
    "integration.account_changed": _about_integration(),
    "integration.connected": _about_integration(),
    "integration.disabled": _about_integration(),
    "integration.enabled": _about_integration(),
    "integration.reconnected": _about_integration(),
    "integration.removed": _about_integration(),
    "integration.trust_loosened": _about_integration(),
    "key_rotation.cancelled": _about_integration(),
    "key_rotation.ended": _about_integration("key", "then", sometimes=("manual_url",)),
    "key_rotation.finished": _about_integration(sometimes=("until",)),
    "key_rotation.unsettled": _about_integration("made_by", sometimes=("manual_url",)),
    "revocation.given_up": _about_integration("token", sometimes=("reason",)),
    "tenant.erased": Keys.of("tenant"),
})  # fmt: skip
"""Every message that is delivered, to webhooks and to handlers, with its keys; `docs/reference/events.md` explains them.

No message has what a provider said to developers, because it also goes to tenants.
"""
