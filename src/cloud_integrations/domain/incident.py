"""Incidents: which credentials a leak concerns, and what became of each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, Literal

from .audit import Actor
from .freezing import Selection
from .identifiers import IncidentId, IntegrationId, TenantId
from .removal import Removal, RevocationOutcome
from .serialisation import Serialisable

ItemState = Literal["pending", "ended", "settled", "gone", "reconnected"]
"""What was done about one integration of an incident.

`pending`: nothing yet.  `ended`: its secrets left the row, and its tokens are in the outbox.  `settled`: the receipt says what happened
to each of them.  `gone`: it was removed before.  `reconnected`: its tenant has connected it again since, so that it holds another grant.
"""
OPEN_STATES: Final[tuple[ItemState, ...]] = ("pending", "ended")
NOT_ENDED: Final = frozenset({RevocationOutcome.FAILED, RevocationOutcome.UNSUPPORTED, RevocationOutcome.SHARED})


@dataclass(frozen=True, slots=True, kw_only=True)
class Use(Serialisable):
    """An integration whose credential was handed out, as the audit log has it."""

    tenant_id: TenantId
    integration_id: IntegrationId
    records: int
    """The number of events; one speaks for all uses of an actor in `Settings.use_window`."""
    first_at: datetime
    last_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope(Serialisable):
    """The credentials that could have been read, from the uses in the audit log."""

    selection: Selection
    since: datetime | None
    until: datetime | None
    uses: tuple[Use, ...]

    @property
    def tenants(self) -> int:
        """The number of tenants."""
        return len({use.tenant_id for use in self.uses})

    @property
    def records(self) -> int:
        """The number of events."""
        return sum(use.records for use in self.uses)


@dataclass(frozen=True, slots=True, kw_only=True)
class Incident(Serialisable):
    """A leak: the scope that was stored when it was opened, and why."""

    id: IncidentId
    selection: Selection
    since: datetime | None
    until: datetime | None
    reason: str
    opened_at: datetime
    opened_by: Actor


@dataclass(frozen=True, slots=True, kw_only=True)
class IncidentItem(Serialisable):
    """One integration of an incident."""

    incident_id: IncidentId
    use: Use
    audit_seq: int
    """The number of the newest event of the tenant when the incident was opened: a grant that came later is not meant."""
    state: ItemState = "pending"
    receipt: Removal | None = None
    settled_at: datetime | None = None

    @property
    def works_on(self) -> bool:
        """Whether a token or key of it may still work at the provider."""
        receipt = self.receipt
        if receipt is None:
            return self.state in OPEN_STATES
        outcomes = {receipt.refresh_token, receipt.access_token, receipt.api_key, receipt.other_key, receipt.installation}
        left_alone = (receipt.refresh_reason, receipt.access_reason, receipt.key_reason, receipt.other_key_reason)
        return bool(outcomes & NOT_ENDED) or any(left_alone)


@dataclass(frozen=True, slots=True, kw_only=True)
class IncidentRun(Serialisable):
    """What one call did about an incident, in numbers of integrations."""

    asked: int = 0
    revoked: int = 0
    """Every token and key of it has ended."""
    not_ended: int = 0
    """A token or key of it may still work: the receipt says which and why."""
    gone: int = 0
    reconnected: int = 0
    failed: int = 0
    """Nothing was done, because the store or a key service did not answer; call again."""
    left: int = 0
    """Those about which something is still to be done."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IncidentReport(Serialisable):
    """What was done about an incident."""

    incident: Incident
    items: tuple[IncidentItem, ...]
    waiting: int
    """The number of tokens that the outbox still has to revoke."""
    states: Mapping[str, int] = field(default_factory=dict)
    """The number of integrations in each state."""

    @property
    def still_works(self) -> tuple[IncidentItem, ...]:
        """The integrations of which a token or key may still work."""
        return tuple(item for item in self.items if item.works_on)

    @property
    def manual_urls(self) -> tuple[str, ...]:
        """The pages where a person must end something, each once."""
        found = (item.receipt.manual_url for item in self.items if item.receipt is not None and item.works_on)
        return tuple(dict.fromkeys(url for url in found if url is not None))
