"""Freezes: which hand-outs of credentials are stopped, by whom and why."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from .audit import Actor, Caller
from .identifiers import ContextId, FreezeId, IntegrationId, ProviderId, TenantId
from .serialisation import Serialisable

LONGEST_REASON = 255


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection(Serialisable):
    """The uses of credentials that an incident is about: those that fit everything named here; with nothing named, all.

    `application_id` is the context id of an OAuth application.  `actor` is who asks for a credential, or the person for whom an agent does.
    """

    tenant_id: TenantId | None = None
    provider_id: ProviderId | None = None
    application_id: ContextId | None = None
    integration_id: IntegrationId | None = None
    actor: Actor | None = None

    def covers(
        self, *, tenant_id: TenantId, provider_id: ProviderId, application_id: ContextId | None, integration_id: IntegrationId
    ) -> bool:
        """Whether an integration fits, whoever uses it."""
        return (
            self.tenant_id in {None, tenant_id}
            and self.provider_id in {None, provider_id}
            and self.application_id in {None, application_id}
            and self.integration_id in {None, integration_id}
        )

    def names(self, caller: Caller, /) -> bool:
        """Whether *caller* fits."""
        return self.actor is None or self.actor in {caller.actor, caller.on_behalf_of}

    @property
    def words(self) -> dict[str, str]:
        """What is named, by name, as text."""
        named = {
            "tenant": self.tenant_id,
            "provider": self.provider_id,
            "application": self.application_id,
            "integration": self.integration_id,
            "actor": self.actor,
        }
        return {name: str(value) for name, value in named.items() if value is not None}


@dataclass(frozen=True, slots=True, kw_only=True)
class Freeze(Serialisable):
    """Credentials that are not handed out until somebody lifts the freeze.

    `renewals`: whether they are still renewed meanwhile.
    """

    id: FreezeId
    selection: Selection
    renewals: bool
    reason: str
    begun_at: datetime
    begun_by: Actor
    lifted_at: datetime | None = None
    lifted_by: Actor | None = None
    lift_reason: str | None = None
