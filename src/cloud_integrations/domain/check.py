"""What a provider's own check said of a credential."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from cloud_integrations.domain.identifiers import IntegrationId
from cloud_integrations.domain.integration import AccountFacts
from cloud_integrations.domain.serialisation import Serialisable

CheckOutcome = Literal["alive", "alive_but_denied", "dead", "wrong_region", "clock_skew", "unknown"]


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckReport(Serialisable):
    """The provider's answer: whether the credential lives, and whose it is."""

    integration_id: IntegrationId
    outcome: CheckOutcome
    account: AccountFacts
    account_changed: bool = False
    checked_at: datetime
    verified: bool = True
    """False where the provider has no check that fits."""

    @property
    def works(self) -> bool:
        """Whether the provider accepts the credential."""
        return self.outcome in {"alive", "alive_but_denied"}
